"""What the book shows of tables."""

from html import unescape

import pandas as pd
import pytest

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
    assert "0.200 (−0.048 to\u00a00.448)" in printed


def test_lines_break_where_they_can_be_read():
    cells = ["0.1 (0.05 to 0.15)", "−1.0 (−2.0 to −0.5)", "< 0.001", "from shift to score", "a < b"]
    printed = unescape(tables.printed(pd.DataFrame({"cell": cells}), caption="", name="one").data)
    for cell in ("0.1 (0.05 to\u00a00.15)", "−1.0 (−2.0 to\u00a0−0.5)", "<\u00a00.001", *cells[3:]):
        assert f">{cell}<" in printed


def test_a_table_without_rows_says_so():
    found = tables.printed(pd.DataFrame({"seeds": []}), caption="Mean contrast", name="x").data
    assert found == "<p>Mean contrast: nothing is recorded yet.</p>"
