"""Notebooks outside the book: plain Markdown, every number in it, and cells that still run."""

import importlib.util
import json
import re
import shlex
from html import unescape

import nbformat
import papermill
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from ufm import paths
from ufm.book import anywhere, bibliography, notebooks, published, site
from ufm.book.published import Published
from ufm.cli import runs

NOWHERE = Published()
GITHUB = Published("https://github.com/owner/name", "main")
SITE = Published("https://github.com/owner/name", "main", "https://owner.github.io/name")


def glue(name, text):
    """What the cell of `glue(name, value, display=False)` leaves."""
    metadata = {"scrapbook": {"name": name, "mime_prefix": anywhere.RECORD}}
    return new_output("display_data", {f"{anywhere.RECORD}text/plain": text}, metadata=metadata)


def notebook(*texts, outputs=(), **metadata):
    """One of these Markdown cells and a code cell with these outputs."""
    return new_notebook(
        cells=[*map(new_markdown_cell, texts), new_code_cell("1", outputs=list(outputs), metadata=metadata)]
    )


def flat(one, where=NOWHERE, **others):
    return anywhere.anywhere("controls", {"controls": one} | others, where)


def said(markdown, where=NOWHERE, outputs=(), **others):
    """What becomes of one text."""
    cells = flat(notebook(markdown, outputs=outputs), where, **others).cells
    return next(cell.source for cell in cells if cell.cell_type == "markdown")


def test_numbers_stand_in_the_text_as_on_the_page():
    outputs = [glue("share", "'0.25 to 0.42'"), glue("nats", "0.12345")]
    assert said("a {glue:text}`share` b {glue:text}`nats:.2f`.", outputs=outputs) == "a 0.25 to 0.42 b 0.12."
    other = notebook(outputs=[glue("share", "'9'")])
    assert said("{glue:text}`hosts.ipynb::share:s`, {glue:text}`share`", outputs=outputs, hosts=other) == (
        "9, 0.25 to 0.42"
    )


def test_a_number_that_no_cell_gives_is_one_line():
    with pytest.raises(ValueError, match=r"^controls: no cell gives 'gone', which its text shows$"):
        said("{glue:text}`gone`")


def test_what_is_handed_to_the_text_is_no_output_and_everything_else_stays():
    shown = new_output("execute_result", {"text/html": "<table>", "text/plain": "a table"}, execution_count=1)
    [cell] = flat(notebook(outputs=[glue("share", "1"), shown])).cells
    assert cell.outputs == [shown]


@pytest.mark.parametrize(
    ("where", "chapter", "page"),
    [
        (NOWHERE, "[Hosts](hosts.ipynb)", "the plan"),
        (
            GITHUB,
            "[Hosts](https://github.com/owner/name/blob/main/notebooks/hosts.md)",
            "[the plan](https://github.com/owner/name/blob/main/book/plan.md)",
        ),
        (
            SITE,
            "[Hosts](https://owner.github.io/name/hosts.html#large)",
            "[the plan](https://owner.github.io/name/plan.html)",
        ),
    ],
)
def test_links_to_other_pages_lead_where_these_are(where, chapter, page):
    assert said("[Hosts](hosts.ipynb#large), [the plan](plan.md), [out](https://a.org/b.md)", where) == (
        f"{chapter}, {page}, [out](https://a.org/b.md)"
    )


def test_references_are_words():
    figure = {"mystnb": {"figure": {"name": "fig-controls-null", "caption": "Of $D$,\n{term}`seeds <seed>`.\n"}}}
    one = notebook(
        "(label)=\n## A {term}`canary`\n\nSee {numref}`fig-controls-null`, {numref}`Table %s <tab-hosts-all>`."
    )
    one.cells[-1].metadata = figure
    text, code, caption = flat(one).cells
    assert text.source == "## A canary\n\nSee Figure 1, Table."
    assert caption.source == "**Figure 1.** Of $D$, seeds."
    assert "mystnb" not in code.metadata
    assert said("{numref}`fig-first-plan-a` and {math}`x^2`") == "a figure of [first-plan](first-plan.ipynb) and $x^2$"


def test_directives_are_quotations():
    text = "Before\n\n:::{note}\nOne `a`\n\ntwo\n:::\n\n```{tip} What for\n:class: tip\nThis.\n```\n\n```\ncode\n```"
    assert said(text) == "Before\n\n> **Note**\n>\n> One `a`\n>\n> two\n\n> **What for**\n>\n> This.\n\n```\ncode\n```"
    assert said("```{math}\n:label: one\nx\n```") == "$$\nx\n$$"


def test_what_is_included_stands_in_the_text():
    table = (paths.BOOK / "benchmarks" / "untrained.md").read_text(encoding="utf-8").strip()
    assert said("Before.\n\n```{include} benchmarks/untrained.md\n```\n\nAfter.") == f"Before.\n\n{table}\n\nAfter."


def test_citations_are_links(tmp_path, monkeypatch):
    (tmp_path / "works.bib").write_text(
        "@article{one, author={Ada Lovelace and van der Berg, Jan}, title={T}, year={1843}, doi={10.1/2}}\n"
        "@misc{two, author={A and B and C}, title={T}, year={2020}, url={https://a.org}}\n@misc{three, title={T}}\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(paths, "BOOK", tmp_path)
    settings = {"sphinx": {"config": {"bibtex_bibfiles": ["works.bib"]}}}
    monkeypatch.setattr(bibliography, "configuration", lambda: settings)
    assert said("{cite}`one, two`; {cite:t}`three`") == (
        "[Lovelace and van der Berg 1843](https://doi.org/10.1/2); [A and others 2020](https://a.org); T"
    )


def test_folded_cells_stay_folded_and_keep_their_tags():
    for tags, hidden in {("hide-input",): {"source"}, ("parameters", "remove-cell"): {"source", "outputs"}}.items():
        [cell] = flat(notebook(tags=list(tags))).cells
        assert cell.metadata.tags == list(tags)
        assert cell.metadata.jupyter == {f"{part}_hidden": True for part in hidden}
    [cell] = flat(notebook()).cells
    assert "jupyter" not in cell.metadata


def test_the_first_cell_fetches_the_library_where_its_address_is_known():
    first, *_ = flat(notebook("text"), GITHUB).cells
    assert "git clone --quiet --depth 1 --branch main https://github.com/owner/name.git ufm-book" in first.source
    assert flat(notebook("text")).cells[0].source == "text"


def test_the_first_cell_does_nothing_where_the_library_is():
    from IPython.core.interactiveshell import InteractiveShell

    source = anywhere.installing(GITHUB).source
    shell, ran = InteractiveShell(), []
    shell.system = ran.append
    shell.run_line_magic = lambda *words, **_: ran.append(words)
    assert shell.run_cell(source).success
    assert ran == []
    missing = source.replace('"ufm"', '"ufm_that_is_not_there"')
    assert shell.run_cell(missing).success
    assert [word for call in ran for word in call if word == "pip"] == ["pip"]
    assert ran[0].startswith("git clone")


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_nothing_that_only_the_book_knows_is_left(name):
    one = notebooks.read(name)
    keys = {key for cell in one.cells for key in re.findall(r"\{glue:text\}`([^`]+)`", str(cell))}
    own = {key.split(":")[0] for key in keys if "::" not in key}
    others = {
        other: notebook(
            outputs=[
                glue(key.split("::")[1].split(":")[0], "'5'") for key in keys if key.startswith(f"{other}.ipynb::")
            ]
        )
        for other in notebooks.NAMES
    }
    one.cells.append(new_code_cell(outputs=[glue(key, "'5'") for key in own]))
    made = anywhere.anywhere(name, others | {name: one}, SITE)
    nbformat.validate(made)
    for cell in made.cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"\{[\w:.-]+\}[`\n]|`{3,}\{|:{3,}|\]\([\w-]+\.(md|ipynb)", cell.source), cell.source
    code = [cell.source for cell in one.cells[:-1] if cell.cell_type == "code"]
    assert [cell.source for cell in made.cells if cell.cell_type == "code"][1:-1] == code


def test_a_notebook_runs_anywhere(tmp_path, monkeypatch):
    """In a folder of its own, by Jupyter's means alone."""
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "runs"))
    one = notebooks.read("method")
    keys = {key for cell in one.cells for key in re.findall(r"\{glue:text\}`([^`:]+)", str(cell))}
    one.cells[-1:] = [one.cells[-1], new_code_cell(outputs=[glue(key, "'5'") for key in keys])]
    nbformat.write(anywhere.anywhere("method", {"method": one}, GITHUB), tmp_path / "method.ipynb")
    small = {"n_train": 400, "n_ood": 60, "n_random": 1}
    done = papermill.execute_notebook(
        tmp_path / "method.ipynb", tmp_path / "out.ipynb", small, cwd=tmp_path, progress_bar=False
    )
    kinds = {kind for cell in done.cells for output in cell.get("outputs", []) for kind in output.get("data", {})}
    assert {"text/html"} < kinds
    assert any(kind.startswith("image/") for kind in kinds)


# Addresses


def test_links_need_the_repository_and_lead_to_what_is_published():
    assert NOWHERE.links("controls") == {}
    assert GITHUB.links("controls") == {
        "Open in Colab": "https://colab.research.google.com/github/owner/name/blob/notebooks/controls.ipynb",
        "Open in Binder": "https://mybinder.org/v2/gh/owner/name/notebooks?urlpath=lab/tree/controls.ipynb",
        "Edit this page": "https://github.com/owner/name/edit/main/notebooks/controls.md",
    }


def test_the_addresses_come_from_the_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    config = {
        "repository": {"url": "https://github.com/a/b/", "branch": "trunk"},
        "html": {"baseurl": "https://c.d/e/"},
    }
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    assert published.published() == Published("https://github.com/a/b", "trunk", "https://c.d/e")
    (tmp_path / "_config.yml").write_text("repository: {url: ''}\n", encoding="utf-8")
    assert published.published() == NOWHERE


@pytest.mark.parametrize(
    ("section", "key", "address"),
    [
        ("repository", "url", "https://gitlab.com/a/b"),
        ("repository", "url", "https://github.com/a"),
        ("repository", "url", "git@github.com:a/b.git"),
        ("html", "baseurl", "http://c.d"),
        ("html", "baseurl", "https://c.d/e?f"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line(tmp_path, monkeypatch, section, key, address):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "_config.yml").write_text(yaml.safe_dump({section: {key: address}}), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"^_config\.yml: {section}\.{key}: .* is none such as https://"):
        published.published()


def test_references_are_written_as_they_were_executed():
    """`make reference` keeps the outputs that nbval compares; readers get what is made from the same executions."""
    recipes = (paths.ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"\$\(UFM\) (ipynb.*)", recipes) == [
        "ipynb _build/notebooks",
        "ipynb --as-executed tests/reference",
    ]


def test_what_is_written_is_for_anywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(notebooks, "NAMES", ("method", "controls"))
    executed = notebook("{glue:text}`share`", outputs=[glue("share", "'0.25'")])
    executed.cells[-1].execution_count = 1
    (tmp_path / "runs" / "book" / "paper" / "method").mkdir(parents=True)
    (tmp_path / "runs" / "book" / "paper" / "method" / "pending.txt").write_text("trained by nobody", encoding="utf-8")
    (tmp_path / "runs" / "book" / "paper" / "controls").mkdir()
    nbformat.write(executed, tmp_path / "runs" / "book" / "paper" / "controls" / "notebook.ipynb")
    assert site.write_notebooks("paper", tmp_path / "out") == [tmp_path / "out" / "controls.ipynb"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["controls.ipynb", "controls.md"]
    assert nbformat.read(tmp_path / "out" / "controls.ipynb", 4).cells[0].source == "0.25"
    assert (tmp_path / "out" / "controls.md").read_bytes() == notebooks.source("controls").read_bytes()
    with pytest.raises(ValueError, match="method/notebook.ipynb: no executed notebook"):
        site.write_notebooks("embedded", tmp_path / "out")


@pytest.fixture(scope="module")
def extension():
    """The Sphinx extension that shows what is known of a page, which is no package."""
    specification = importlib.util.spec_from_file_location("ufm_running", paths.BOOK / "_ext" / "ufm_running.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("profile", ["embedded", "paper"])
def test_the_foot_of_a_page_says_how_it_is_run_again(extension, tmp_path, profile):
    """The command is the one by which the book itself executes; what is not there has no link."""
    entries = site.running(profile, {"controls": tmp_path}, GITHUB)
    html = unescape(extension.block(entries["controls"]))
    [command] = re.findall(r"<pre>(.*)</pre>", html)
    arguments = shlex.split(command)
    assert arguments[:3] == ["make", "run", "NOTEBOOK=controls"]
    given = runs.pairs(shlex.split(arguments[3].removeprefix("ARGS="))) if arguments[3:] else {}
    assert notebooks.typed("controls", given) == site.given(profile, "controls")
    links = dict(re.findall(r'<a href="([^"]+)"(?: download)?>([^<]+)</a>', html))
    assert list(links.values()) == [
        "Notebook (.ipynb)",
        "Text notebook (.md)",
        "Open in Colab",
        "Open in Binder",
        "Edit this page",
    ]
    assert list(links)[:2] == ["notebooks/controls.ipynb", "notebooks/controls.md"]
    for tutorial in notebooks.TUTORIALS:  # which know no profile
        command = site.running(profile, {tutorial: tmp_path}, GITHUB)[tutorial]["command"]
        assert command == f"make run NOTEBOOK={tutorial}"
    html = extension.block(site.running(profile, {"controls": tmp_path}, NOWHERE)["controls"])
    assert "http" not in html
    (tmp_path / "pending.txt").touch()
    html = extension.block(site.running(profile, {"controls": tmp_path}, GITHUB)["controls"])
    assert "make run NOTEBOOK=controls" in html
    assert "<a " not in html


def test_the_foot_stands_on_the_page_and_not_in_the_search(extension, tmp_path):
    class App:
        srcdir = tmp_path

    (tmp_path / "running.json").write_text(
        json.dumps(site.running("paper", {"controls": tmp_path}, NOWHERE)), encoding="utf-8"
    )
    bodies = {}
    for page in ("controls", "index"):
        context = {"body": "<p>text</p>"}
        extension.add_block(App, page, "page.html", context, object())
        bodies[page] = context["body"]
    assert bodies["index"] == "<p>text</p>"
    assert re.fullmatch(r'<p>text</p><aside class="running".*</aside>\n', bodies["controls"], re.DOTALL)
