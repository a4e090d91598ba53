"""What the book shows of tables."""

import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser

import pandas as pd
import pytest

from ufm import paths
from ufm.report import tables
from ufm.statistics import SUMMARY_COLUMNS


@pytest.fixture
def summary():
    """Three quantities, one whose interval holds zero."""
    rows = [
        ("M, canaries", 0.3, 0.1, 0.5, 3),
        ("M, canary less control", 0.2, -0.04841, 0.44841, 3),
        ("share M > 0, canaries", 1.0, 0.292, 1.0, 3),
    ]
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


@pytest.mark.parametrize("printed", [tables.printed, tables.printed_summary])
def test_a_table_is_printed_the_same_every_time(summary, printed):
    before = summary.copy()
    first, second = (printed(summary, caption="Scores, in nats", name="scores").data for _ in range(2))
    assert first == second
    assert "Scores, in nats" in first
    assert 'id="T_scores"' in first
    pd.testing.assert_frame_equal(summary, before)


def test_a_printed_summary_has_a_row_a_quantity(summary):
    printed = unescape(tables.printed_summary(summary, caption="", name="one").data)
    for quantity in summary["quantity"]:
        assert f">{quantity}<" in printed
    assert '0.200 <span class="interval">(−0.048 to\u00a00.448)</span>' in printed


def test_lines_break_where_they_can_be_read():
    cells = ["0.1 (0.05 to 0.15)", "−1.0 (−2.0 to −0.5)", "< 0.001", "from shift to score", "a < b"]
    cells += ["X, 10 000 images", "2 0001"]
    printed = unescape(tables.printed(pd.DataFrame({"cell": cells}), caption="", name="one").data)
    for cell in ("<\u00a00.001", *cells[3:5], "X, 10\u00a0000 images", cells[-1]):
        assert f">{cell}<" in printed
    for estimate, interval in (
        ("0.1", "(0.05 to\u00a00.15)"),
        ("−1.0", "(−2.0 to\u00a0−0.5)"),
    ):
        assert f'>{estimate} <span class="interval">{interval}</span><' in printed


def test_fractions_are_rounded_have_a_true_minus_and_may_be_missing():
    table = pd.DataFrame({"score": [-0.17349, 0.2, float("nan"), -0.00001], "seeds": [3, 4, 5, 6]})
    printed = tables.printed(table, caption="", name="one").data
    assert re.findall(r"<td[^>]*>(.*?)</td>", printed) == ["−0.173", "3", "0.200", "4", "–", "5", "0.000", "6"]


def test_a_number_below_zero_has_a_minus_sign_and_so_many_digits():
    table = pd.DataFrame({"score": [-0.1734, 0.5, -0.0001], "n": [-3, 4, 5], "none": [float("nan"), 1.0, 2.0]})
    printed = unescape(tables.printed(table, caption="", name="one").data)
    assert re.findall(r">([-−]?\d\.\d+)<", printed) == ["−0.173", "0.500", "1.000", "0.000", "2.000"]
    assert re.findall(r">([-−]?\d)<", printed) == ["−3", "4", "5"]
    assert ">–<" in printed


def test_a_table_without_rows_says_so():
    found = tables.printed(pd.DataFrame({"seeds": []}), caption="Mean contrast", name="x").data
    assert found == '<p id="T_x">Mean contrast: nothing is recorded yet.</p>'


# Words that are marks in HTML

RUNS = "document.body.dataset.theirs = 'ran'"
MARKS = [
    f'x<img src=x onerror="{RUNS}">y',
    f"<script>{RUNS}</script>",
    f'</td></table></span><svg onload="{RUNS}">',
    f'</style></textarea><input autofocus onfocus="{RUNS}">',
    "a < b & c > d",
    "&lt;b&gt; &amp;",
]
PLACES = {
    "a cell": lambda marks: tables.printed(pd.DataFrame({"cell": [marks]}), caption="Caption", name="one"),
    "a column": lambda marks: tables.printed(pd.DataFrame({marks: ["cell"]}), caption="Caption", name="one"),
    "a caption": lambda marks: tables.printed(pd.DataFrame({"column": ["cell"]}), caption=marks, name="one"),
    "a caption without a table": lambda marks: tables.printed(pd.DataFrame({"a": []}), caption=marks, name="one"),
    "a quantity": lambda marks: tables.printed_summary(
        pd.DataFrame([(marks, 0.3, 0.1, 0.5, 3)], columns=list(SUMMARY_COLUMNS)), caption="Caption", name="one"
    ),
}


class Elements(HTMLParser):
    """What an HTML text has: its elements, the names of their attributes, and its words."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.words = [], set(), ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attributes}

    def handle_data(self, data):
        self.words += data


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("marks", MARKS)
def test_words_are_words_in_html(place, marks):
    found, harmless = Elements(place(marks).data), Elements(place("words").data)
    assert found.elements == harmless.elements
    assert found.attributes == harmless.attributes <= {"id", "class", "type"}
    assert found.words.count(marks) == harmless.words.count("words") == 1


def test_a_browser_runs_nothing_of_them(tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no browser: install chromium")
    page = "".join(place(marks).data for place in PLACES.values() for marks in MARKS)
    ours = "<img src=x onerror=\"document.body.dataset.ours = 'ran'\">"
    (tmp_path / "page.html").write_text(f"<meta charset=utf-8><body>{page}{ours}", encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [browser, *options, "--virtual-time-budget=2000", "--dump-dom", (tmp_path / "page.html").as_uri()]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8", timeout=60).stdout
    assert re.search("<body[^>]*>", shown)[0] == '<body data-ours="ran">'
    assert [tag for tag in Elements(shown).elements if tag in ("img", "script", "svg", "input")] == ["img"]


def test_only_tables_make_html():
    makers = {path.name for path in (paths.ROOT / "src").rglob("*.py") if "HTML(" in path.read_text(encoding="utf-8")}
    assert makers == {"tables.py", "interactive.py", "audit_your_own.py"}  # whose own tests hold what they make
