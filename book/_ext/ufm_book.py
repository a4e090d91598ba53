"""Sphinx extension of this book: what stands under each title, one script less on every page, one more to search."""

import json
from pathlib import Path

from docutils import nodes
from sphinx.util import logging

logger = logging.getLogger(__name__)
NOTE = "Note"  # the label of what must be read before the page
AT_A_GLANCE = ("Profile", "Models", "Date")  # labels that are seen before the box is opened


class provenance(nodes.container):
    """`<details>` in HTML; other builders know its parent and write a container."""


class provenance_summary(nodes.rubric):
    """`<summary>` in HTML; other builders write a rubric."""


def in_words(value):
    """A value as the box shows it; of one that has parts each with its own, of sweeps what sets each apart."""
    if not isinstance(value, dict):
        return str(value)
    of_parts = ((name, one, in_words(one)) for name, one in value.items())
    return ", ".join(
        f"{name} = {words}" if not isinstance(one, dict) else f"{name} ({words})" if words else name
        for name, one, words in of_parts
    )


def provenance_box(entry):
    """The box for one page: how much was trained and when in a line, and behind it everything else."""
    entry = {label: value for label, value in entry.items() if label != NOTE}
    line = " · ".join(f"{label}: {entry[label]}" for label in AT_A_GLANCE if label in entry)
    fields = nodes.field_list()
    for label, value in entry.items():
        if isinstance(value, dict):
            literals = [nodes.literal("", f"{key} = {in_words(one)}") for key, one in value.items()]
            parts = [node for literal in literals for node in (nodes.Text(", "), literal)][1:]
        elif label not in AT_A_GLANCE:
            parts = [nodes.Text(value)]
        else:
            continue
        fields += nodes.field("", nodes.field_name("", label), nodes.field_body("", nodes.paragraph("", "", *parts)))
    if not len(fields):
        return nodes.container("", nodes.paragraph("", line), classes=["provenance"])
    return provenance("", provenance_summary("", line), fields, classes=["provenance"])


def read_provenance(app, env, added, changed, removed):
    """Read provenance.json and name the cached pages whose entry is no longer the one they show."""
    path = Path(app.srcdir) / "provenance.json"
    if path.is_file():
        entries = json.loads(path.read_text(encoding="utf-8"))
    else:
        logger.warning("%s is missing: no page says how it was made", path, type="ufm", subtype="provenance")
        entries = {}
    before, env.ufm_provenance = getattr(env, "ufm_provenance", {}), entries
    # As JSON, because equal dictionaries may differ in the order of their labels.
    return [doc for doc in before | entries if json.dumps(before.get(doc)) != json.dumps(entries.get(doc))]


def insert_provenance(app, doctree):
    """Put the page's box under its first title (at reading, so that every builder and the search see it)."""
    entry = app.env.ufm_provenance.get(app.env.docname)
    title = next(doctree.findall(nodes.title), None)
    if entry and title is not None:
        after = title.parent.index(title) + 1
        title.parent.insert(after, provenance_box(entry))
        if NOTE in entry:
            title.parent.insert(after, nodes.container("", nodes.paragraph("", entry[NOTE]), classes=["rehearsal"]))


def silence_thebe(app):
    """Keep sphinx-thebe off the pages: Jupyter Book loads it even when it is switched off.

    Its script runs twice on each page and fails the second time, and its configuration names a foreign repository.
    Its style sheet stays registered, therefore the listener that copies its static files stays too.
    """
    for event in ("env-before-read-docs", "doctree-resolved"):
        for listener in list(app.events.listeners.get(event, ())):
            if listener.handler.__module__ == "sphinx_thebe":
                app.disconnect(listener.id)


def search_without_excerpts(app, pagename, templatename, context, doctree):
    """Where the book is opened as a file, let the search name pages without quoting them.

    A browser lets no script read another file, and complains of each page that the search asks for.
    """
    if pagename == "search":
        script = 'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'
        app.add_js_file(None, body=script)


def setup(app):
    """Called by Sphinx, after the extensions that Jupyter Book loads itself."""
    app.add_node(
        provenance,
        html=(
            lambda self, node: self.body.append(self.starttag(node, "details")),
            lambda self, node: self.body.append("</details>\n"),
        ),
    )
    app.add_node(
        provenance_summary,
        html=(
            lambda self, node: self.body.append(self.starttag(node, "summary", "")),
            lambda self, node: self.body.append("</summary>\n"),
        ),
    )
    app.connect("env-get-outdated", read_provenance)
    app.connect("doctree-read", insert_provenance)
    app.connect("html-page-context", search_without_excerpts)
    silence_thebe(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
