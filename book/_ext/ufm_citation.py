"""Sphinx extension of this book: how to cite it, from CITATION.cff, and a link to that page at the foot of each."""

from pathlib import Path

import yaml
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
PAGE = "how-to-cite"


def read(path=ROOT / "CITATION.cff"):
    """The citation file as a mapping."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def persons(entry):
    """Its authors, each as "Given Family", or the name of a group."""
    return [
        " ".join(filter(None, (one.get("given-names"), one.get("family-names") or one["name"])))
        for one in entry["authors"]
    ]


def year(entry):
    """The year of its release, or None."""
    return str(entry["date-released"])[:4] if "date-released" in entry else None


def address(entry):
    """Where it is found: its DOI, else its repository or page, else None."""
    return f"https://doi.org/{entry['doi']}" if "doi" in entry else entry.get("repository-code") or entry.get("url")


def sentence(entry):
    """How it is cited in a text: author, year, title, version and address, as far as they are known, as nodes."""
    names = persons(entry)
    authors = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    lead = f"{authors} ({year(entry)}). " if year(entry) else f"{authors}. "
    parts = [nodes.Text(lead), nodes.emphasis("", entry["title"]), nodes.Text(f", version {entry['version']}.")]
    if where := address(entry):
        parts += [nodes.Text(" "), nodes.reference("", where, refuri=where)]
    return parts


def bibtex(entry):
    """The same as an entry of BibTeX."""
    groups = {one.get("name") for one in entry["authors"]}
    names = (f"{{{name}}}" if name in groups else name for name in persons(entry))
    fields = {
        "author": " and ".join(names),
        "title": f"{{{entry['title']}}}",
        "version": entry["version"],
        "year": year(entry),
        "doi": entry.get("doi"),
        "url": None if "doi" in entry else address(entry),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join(["@misc{ufm,", *lines, "}"])


class Citation(SphinxDirective):
    """A sentence to cite this book by, and its BibTeX."""

    def run(self):
        self.env.note_dependency(str(ROOT / "CITATION.cff"))
        entry = read()
        code = bibtex(entry)
        return [nodes.paragraph("", "", *sentence(entry)), nodes.literal_block(code, code, language="bibtex")]


def link_at_the_foot(app, pagename, templatename, context, doctree):
    """Lead from the foot of each page to the one that says how to cite it, where there is one."""
    if PAGE in app.env.all_docs and pagename != PAGE:
        link = f'<p><a href="{context["pathto"](PAGE)}">How to cite this page</a></p>'
        context["theme_extra_footer"] = (context.get("theme_extra_footer") or "") + link


def setup(app):
    """Called by Sphinx."""
    app.add_directive("citation", Citation)
    app.connect("html-page-context", link_at_the_foot)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
