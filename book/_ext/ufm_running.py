"""Sphinx extension of this book: at the foot of a notebook's page, how it is run again, here and elsewhere."""

import json
from html import escape
from pathlib import Path


def block(entry):
    """The block of one page in HTML: the command, and links to what can be downloaded or opened elsewhere.

    It is no part of the page's text, so that the search does not find every page by it.
    """
    links = [
        f'<li><a href="{escape(address)}"{"" if "://" in address else " download"}>{escape(words)}</a></li>'
        for words, address in entry.get("links", {}).items()
    ]
    return (
        '<aside class="running" aria-label="Run this chapter again">\n'
        "<p>Run this chapter again, in a checkout; "
        "<code>ARGS=&quot;-p NAME VALUE&quot;</code> sets one of its parameters:</p>\n"
        f'<div class="highlight"><pre>{escape(entry["command"])}</pre></div>\n'
        + (f"<ul>{''.join(links)}</ul>\n" if links else "")
        + "</aside>\n"
    )


def add_block(app, pagename, templatename, context, doctree):
    """Put a page's block behind its text."""
    path = Path(app.srcdir) / "running.json"  # not there where one notebook is built alone
    entries = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if doctree is not None and pagename in entries:
        context["body"] += block(entries[pagename])


def setup(app):
    """Called by Sphinx."""
    app.connect("html-page-context", add_block)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
