"""Sphinx extension of this book: numbered tables, and links from tables and figures to their sources."""

import re
from html import unescape
from pathlib import Path

from docutils import nodes
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
OF_A_CELL = re.compile(r'<(?P<kind>table|p) id="T_(?P<name>[^"]+)"')  # as `ufm.report.tables` writes them
CAPTION = re.compile(r"<caption><span>(.*?)</span></caption>\s*", re.DOTALL)


class numbered_table(nodes.container):
    """`<figure>` in HTML; other builders know its parent and write a container."""


class table_caption(nodes.caption):
    """`<figcaption>` in HTML."""


class table_body(nodes.container):
    """What scrolls where the page is narrow."""


class Numbered(SphinxTransform):
    """A table of a cell is one that text can refer to, as `tab-` and its name, with its caption above it."""

    default_priority = 400  # before Sphinx collects what can be referred to

    def apply(self, **_):
        for bundle in [one for one in self.document.findall(nodes.container) if one.get("nb_element") == "mime_bundle"]:
            [raw, *_] = [*(one for one in bundle.findall(nodes.raw) if OF_A_CELL.search(one.astext())), None]
            if raw is None or bundle.parent.get("nb_element") != "cell_code_output":
                continue
            html = raw.astext()
            found = OF_A_CELL.search(html)
            words = CAPTION.search(html) if found["kind"] == "table" else re.search(r"<p[^>]*>(.*?)</p>", html)
            table = numbered_table("", names=[f"tab-{found['name']}"])
            self.document.note_explicit_target(table, table)
            bundle.replace_self(table)
            table += table_caption("", unescape(words[1]))
            if found["kind"] == "table":
                raw.children[:] = [nodes.Text(CAPTION.sub("", html[found.start() :]))]
                table += table_body("", bundle)


def links(doc, name, data, picture, repository):
    """The links beneath a figure or a table, as HTML: what it is drawn from, itself, and the cell that shows it.

    data: names of tables that the notebook `doc` keeps; picture: whether it is a drawing. repository: its address and
    branch, the first empty where it has none.
    """
    places = {f"{'data' if len(data) == 1 else one} (CSV)": f"tables/{doc}/{one}.csv" for one in data}
    if picture:
        places["picture (SVG)"] = f"figures/{name}.svg"
    if repository[0] and (lines := cell(doc, name)):
        places["code"] = f"{repository[0]}/blob/{repository[1]}/notebooks/{doc}.md?plain=1#L{lines[0]}-L{lines[1]}"
    return " · ".join(f'<a href="{place}">{words}</a>' for words, place in places.items())


def cell(doc, name, notebooks=NOTEBOOKS):
    """The first and the last line of the cell that shows a figure or a table of this name; None where there is none."""
    path = notebooks / f"{doc}.md"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    named = re.compile(rf'(name: |name=")({re.escape(name)}|{re.escape(name.removeprefix("tab-"))})"?,?\)?$')
    for place, line in enumerate(lines):
        if named.search(line.rstrip()):
            first = max(number for number in range(place) if lines[number].startswith("```{code-cell}"))
            return first + 1, lines.index("```", place) + 1
    return None


class Sources(SphinxPostTransform):
    """Beneath each figure and table of a cell stands where it comes from."""

    default_priority = 7
    formats = ("html",)

    def run(self, **_):
        theme = self.config.html_theme_options
        repository = theme.get("repository_url", ""), theme.get("repository_branch", "main")
        for one in list(self.document.findall(nodes.container)):
            if one.get("nb_element") != "cell_code":
                continue
            named = one["cell_metadata"].get("table", [])
            data = [named] if isinstance(named, str) else named
            shown = [node for node in one.findall() if isinstance(node, (nodes.figure, numbered_table)) and node["ids"]]
            for node in shown:
                picture = isinstance(node, nodes.figure)
                html = links(self.env.docname, node["ids"][0], data, picture, repository)
                if html:
                    beneath = nodes.raw("", f'<p class="sources">{html}</p>', format="html")
                    node += nodes.legend("", beneath) if picture else beneath


def visit_table(self, node):
    self.body.append(self.starttag(node, "figure", CLASS="numbered-table"))


def depart_table(self, node):
    self.body.append("</figure>\n")


def visit_caption(self, node):
    self.body.append("<figcaption><p>")
    self.add_fignumber(node.parent)
    self.body.append('<span class="caption-text">')


def depart_caption(self, node):
    self.body.append("</span>")
    self.add_permalink_ref(node.parent, "Link to this table")
    self.body.append("</p></figcaption>\n")


def visit_body(self, node):
    words = self.attval(node.parent[0].astext())
    self.body.append(f'<div class="scrolls" role="region" tabindex="0" aria-label="{words}">')


def depart_body(self, node):
    self.body.append("</div>\n")


def setup(app):
    """Called by Sphinx."""
    app.add_enumerable_node(numbered_table, "table", html=(visit_table, depart_table))
    app.add_node(table_caption, html=(visit_caption, depart_caption))
    app.add_node(table_body, html=(visit_body, depart_body))
    app.add_transform(Numbered)
    app.add_post_transform(Sources)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
