"""Tables of cells are numbered, and beneath tables and figures stand links that lead somewhere."""

import re
import subprocess
import sys

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from test_drawings import extension, svg

from ufm import paths
from ufm.book import notebooks, site
from ufm.report import figures, tables

numbered = extension("ufm_numbered")
CONFIGURATION = """
import sys

sys.path.insert(0, {ext!r})
extensions = ["myst_nb", "ufm_drawings", "ufm_numbered"]
numfig = True
nb_execution_mode = "off"
html_extra_path = ["downloads"]
html_theme = "sphinx_book_theme"
html_theme_options = {{
    "repository_url": "https://forge/us/ours",
    "repository_branch": "trunk",
    "repository_provider": "github",
}}
exclude_patterns = ["downloads"]
"""


def code(source, output, **metadata):
    """An executed cell with one output."""
    cell = nbformat.v4.new_code_cell(source, execution_count=1, metadata=metadata)
    cell.outputs = [nbformat.v4.new_output("execute_result", data=output, execution_count=1)]
    return cell


def build(folder):
    """The page, as HTML, of a notebook with a figure, a table with rows and one without."""
    figure, axis = plt.subplots(figsize=(3, 2))
    axis.plot([0, 1], color="black")
    rows = tables.printed(pd.DataFrame({"D": ["0.1 (0.0 to 0.2)"]}), caption="Means & more", name="hosts-questions")
    none = tables.printed(pd.DataFrame({"D": []}), caption="Nothing", name="hosts-learnt")
    image = {"caption": "A line from corner to corner", "name": "fig-hosts-loss"}
    words = "# Hosts\n\nSee {numref}`tab-hosts-learnt`, {numref}`tab-hosts-questions` and {numref}`fig-hosts-loss`."
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(words),
            code("f()", {"text/plain": "<HTML>", "text/html": rows.data}, table="questions"),
            code("g()", {"text/plain": "<HTML>", "text/html": none.data}),
            code(
                "h()",
                {"text/plain": "<Figure>", "image/svg+xml": svg(figures.closed(figure))},
                table=["seeds", "hosts"],
                mystnb={"figure": image, "image": {"alt": "A line"}},
            ),
        ],
        metadata={"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}},
    )
    executed, source = folder / "executed", folder / "source"
    (executed / "tables").mkdir(parents=True)
    source.mkdir()
    nbformat.write(notebook, executed / "notebook.ipynb")
    for name in ("questions", "seeds", "hosts"):
        (executed / "tables" / f"{name}.csv").write_text(f"{name}\n1\n", encoding="utf-8")
    site.stage(source, {"hosts": executed})
    (source / "index.md").write_text("# Book\n\n```{toctree}\nhosts\n```\n", encoding="utf-8")
    configuration = CONFIGURATION.format(ext=str(paths.BOOK / "_ext"))
    (source / "conf.py").write_text(configuration, encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-n", str(source), str(folder / "html")]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return (folder / "html" / "hosts.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbered")
    return folder / "html", build(folder)


def test_tables_have_numbers_and_text_refers_to_them(page):
    _, html = page
    captions = re.findall(r'<span class="caption-number">(.*?) </span><span class="caption-text">(.*?)</span>', html)
    assert captions == [
        ("Table 1", "Means &amp; more"),
        ("Table 2", "Nothing: nothing is recorded yet."),
        ("Fig. 1", "A line from corner to corner"),
    ]
    referred = re.findall(r'href="#(\S+)"><span class="std std-numref">(.*?)</span>', html)
    assert referred == [
        ("tab-hosts-learnt", "Table 2"),
        ("tab-hosts-questions", "Table 1"),
        ("fig-hosts-loss", "Fig. 1"),
    ]
    for name, _ in referred:
        assert html.count(f'id="{name}"') == 1


def test_a_caption_stands_above_its_table_and_once(page):
    _, html = page
    assert html.count("Means &amp; more</span>") == 1
    assert "<caption>" not in html
    assert html.count('class="scrolls"') == 1  # what has no rows has no body
    assert html.index("Means &amp; more</span>") < html.index('<table id="T_hosts-questions">')


def test_a_figure_stands_in_the_page(page):
    _, html = page
    assert '<svg class="drawing" role="img" aria-label="A line"' in html
    assert "<img" not in re.search(r'<figure[^>]*id="fig-hosts-loss".*?</figure>', html, re.DOTALL)[0]


def test_links_lead_to_files(page):
    folder, html = page
    sources = [re.findall('href="(.*?)">(.*?)</a>', one) for one in re.findall('<p class="sources">(.*?)</p>', html)]
    here = [[link for link in one if link[1] != "code"] for one in sources]
    assert here == [
        [("tables/hosts/questions.csv", "data (CSV)")],
        [],
        [
            ("tables/hosts/seeds.csv", "seeds (CSV)"),
            ("tables/hosts/hosts.csv", "hosts (CSV)"),
            ("figures/fig-hosts-loss.svg", "picture (SVG)"),
        ],
    ]
    for place, _ in (link for one in here for link in one):
        assert (folder / place).stat().st_size > 0
    assert (folder / "tables/hosts/seeds.csv").read_text(encoding="utf-8") == "seeds\n1\n"


def test_a_repository_adds_the_cell_there(page):
    _, html = page
    assert "code" not in numbered.links("hosts", "fig-hosts-loss", ["seeds"], True, ("", "main"))
    links = re.findall(r'href="(https://forge[^"]*)">code</a>', html)
    lines = (paths.NOTEBOOKS / "hosts.md").read_text(encoding="utf-8").splitlines()
    assert len(links) == 3
    for link, words in zip(links, ('name="hosts-questions"', 'name="hosts-learnt"', "fig-hosts-loss"), strict=True):
        first, last = map(int, re.fullmatch(r".*/blob/trunk/notebooks/hosts.md\?plain=1#L(\d+)-L(\d+)", link).groups())
        assert lines[first - 1].startswith("```{code-cell}")
        assert lines[last - 1] == "```"
        assert words in "\n".join(lines[first - 1 : last])
        assert "\n".join(lines[first - 1 : last]).count("```") == 2


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_the_cell_of_every_figure_and_table_is_found(name):
    named = re.compile(r'^(?::\s+name: |.*\bname=")([\w-]+)"?', re.MULTILINE)
    text = (paths.NOTEBOOKS / f"{name}.md").read_text(encoding="utf-8")
    found = [one for one in named.findall(text) if one.startswith(("fig-", name))]
    assert found
    for one in found:
        assert numbered.cell(name, one if one.startswith("fig-") else f"tab-{one}"), one
    assert numbered.cell(name, "fig-nothing") is None
    assert numbered.cell("nothing", "fig-nothing") is None
