"""Notebooks that read and run outside the book: what only the book understands is put in as plain Markdown.

Numbers that the text took from cells, figures' captions, references to other pages, and a first cell that fetches the
library where it is missing.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from myst_nb.core.variables import format_plain_text

from ufm import files, paths
from ufm.book import notebooks
from ufm.book.bibliography import citations
from ufm.book.published import Published

RECORD = "application/papermill.record/"  # what glue puts before the kind of a value that is not shown
FOLDED = {  # by the book's tags, in the words of Jupyter
    "hide-input": {"source"},
    "remove-input": {"source"},
    "hide-output": {"outputs"},
    "remove-output": {"outputs"},
    "hide-cell": {"source", "outputs"},
    "remove-cell": {"source", "outputs"},
}
ROLE = re.compile(r"\{([\w:.-]+)\}(`+)(.+?)\2", re.DOTALL)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([\w-]+)\.(ipynb|md)(#[\w-]+)?\)")
FENCE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w:-]+)\}[ \t]*(?P<title>[^\n]*)\n(?P<body>.*?)^(?P=fence)[ \t]*$", re.M | re.S
)
OPTIONS = re.compile(r"\A(?::[\w-]+:[^\n]*\n)+\n?|\A---\n.*?\n---\n", re.S)
LABELLED = {"fig": "figure", "tab": "table", "table": "table"}  # what a label begins with
INSTALL = """\
# Fetches the library and its records where they are missing, as in Colab; in a checkout it does nothing.
import importlib.util
import sys

if importlib.util.find_spec("ufm") is None:
    !git clone --quiet --depth 1 --branch {branch} {repository}.git ufm-book
    %pip install --quiet --editable ./ufm-book[audit] myst-nb
    sys.path.insert(0, "ufm-book/src")  # which a kernel that is running does not find by itself"""


def anywhere(name: str, executed: Mapping[str, nbformat.NotebookNode], where: Published) -> nbformat.NotebookNode:
    """One of the executed notebooks as any Jupyter shows it.

    Raises ValueError for a number of its text that no cell of them gave.
    """
    notebook = executed[name]
    figures: list[dict[str, str] | None] = [cell.metadata.get("mystnb", {}).get("figure") for cell in notebook.cells]
    numbers = {figure["name"]: number for number, figure in enumerate(filter(None, figures), start=1)}
    text = Plain(name, {other: glued(one) for other, one in executed.items()}, numbers, where)
    cells = [installing(where)] if where.repository else []
    for cell, figure in zip(deepcopy(notebook.cells), figures, strict=True):
        cell.metadata.pop("mystnb", None)
        if cell.cell_type == "markdown":
            cell.source = text(cell.source)
        else:
            fold(cell)
            cell.outputs = [output for output in cell.outputs if shown(output)]
        cells.append(cell)
        if figure:
            caption = text(" ".join(figure["caption"].split()))
            cells.append(nbformat.v4.new_markdown_cell(f"**Figure {numbers[figure['name']]}.** {caption}"))
    flat = nbformat.v4.new_notebook(cells=cells, metadata=deepcopy(notebook.metadata))
    flat.metadata.pop("jupytext", None)  # which would pair it with a text that has other words
    return notebooks.with_fixed_ids(flat)


def glued(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """What cells hand to the text, by name, as it is displayed."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            values = {kind.removeprefix(RECORD): value for kind, value in output.get("data", {}).items()}
            if name and "text/plain" in values:
                found[name] = values["text/plain"]
    return found


def shown(output: nbformat.NotebookNode) -> bool:
    """Whether an output is for readers; a value that is handed to the text has done its work."""
    return not any(kind.startswith(RECORD) for kind in output.get("data", {}))


def fold(cell: nbformat.NotebookNode) -> None:
    """Say in Jupyter's words which parts of a cell are folded; the book's tags stay."""
    parts = sorted({part for tag in cell.metadata.get("tags", []) for part in FOLDED.get(tag, set())})
    if parts:
        cell.metadata["jupyter"] = {f"{part}_hidden": True for part in parts}


def installing(where: Published) -> nbformat.NotebookNode:
    """The first cell, which fetches what the others need."""
    source = INSTALL.format(repository=where.repository, branch=where.branch)
    return nbformat.v4.new_code_cell(source, metadata={"tags": ["hide-input"], "jupyter": {"source_hidden": True}})


@dataclass(frozen=True)
class Plain:
    """Turns the Markdown of one notebook into that which every Jupyter knows."""

    name: str
    said: Mapping[str, Mapping[str, str]]  # what cells of each notebook hand to the text
    numbers: Mapping[str, int]  # of this notebook's figures, by label
    where: Published
    cited: Mapping[str, str] = field(default_factory=citations)

    def __call__(self, markdown: str) -> str:
        """The same words without roles, directives and labels, and with links that lead somewhere."""
        while FENCE.search(markdown):  # one within another
            markdown = FENCE.sub(self.quoted, markdown)
        markdown = re.sub(r"^\([\w-]+\)=\n", "", markdown, flags=re.M)  # what references of the book lead to
        return LINK.sub(self.link, ROLE.sub(self.words, markdown))

    def words(self, role: re.Match[str]) -> str:
        """What a role shows."""
        kind, content = role[1], " ".join(role[3].split())
        if kind.startswith("glue"):
            return self.number(content)
        if kind.startswith("cite"):
            return "; ".join(self.cited[key.strip()] for key in content.split(","))
        if kind == "math":
            return f"${content}$"
        written = re.fullmatch(r"(.+?)\s*<(.+)>", content)
        label = written[2] if written else content
        if label in self.numbers:
            return f"Figure {self.numbers[label]}"
        return written[1].replace("%s", "").strip() if written else self.elsewhere(label)

    def number(self, content: str) -> str:
        """What a cell gave under a name; ValueError where none did."""
        page, _, rest = content.rpartition("::")
        key, _, form = rest.partition(":")
        given: Mapping[str, str] = self.said.get(page.removesuffix(".ipynb") or self.name, {})
        if key not in given:
            raise ValueError(f"{self.name}: no cell gives {content!r}, which its text shows")
        return format_plain_text(given[key], form)

    def elsewhere(self, label: str) -> str:
        """Where a label of another chapter is, whose numbers are the site's; what is no label stays."""
        kind, _, rest = label.partition("-")
        chapter = max((one for one in notebooks.NAMES if rest.startswith(f"{one}-")), key=len, default=None)
        if kind not in LABELLED or chapter is None:
            return label
        return f"a {LABELLED[kind]} of [{chapter}]({chapter}.ipynb)"

    def link(self, link: re.Match[str]) -> str:
        """A link to another page: to its address, else to the notebook beside this one, else its words alone."""
        words, page, kind, anchor = link[1], link[2], link[3], link[4] or ""
        folder = "notebooks" if kind == "ipynb" else "book"
        if self.where.site:
            return f"[{words}]({self.where.page(page)}{anchor})"
        if self.where.repository:
            return f"[{words}]({self.where.file(f'{folder}/{page}.md')})"
        return f"[{words}]({page}.ipynb)" if kind == "ipynb" else words

    def quoted(self, directive: re.Match[str]) -> str:
        """A directive as a formula, as the file that it includes, or as a quotation that begins with its title."""
        if directive["name"] == "include":
            return (paths.BOOK / directive["title"].strip()).read_text(encoding="utf-8").strip()
        body = OPTIONS.sub("", directive["body"]).strip()
        if directive["name"] == "math":
            return f"$$\n{body}\n$$"
        title = directive["title"] or directive["name"].partition(":")[0].capitalize()
        lines = [f"**{title}**", *(["", *body.splitlines()] if body else [])]
        return "\n".join(f"> {line}".rstrip() for line in lines)


def write(folder: Path, files_of: Mapping[str, Path], where: Published) -> list[Path]:
    """Write each executed notebook for anywhere, by name and with the file it lies in, beside its text notebook."""
    executed = {name: notebooks.executed(path) for name, path in files_of.items()}
    for name in executed:
        flat = anywhere(name, executed, where)
        files.write(folder / f"{name}.ipynb", nbformat.writes(flat).encode() + b"\n")
        files.write(folder / f"{name}.md", notebooks.source(name).read_bytes())
    return [folder / f"{name}.ipynb" for name in executed]
