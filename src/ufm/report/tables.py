"""From tables to what the book shows of them."""

import re
from html import escape
from numbers import Integral
from typing import TYPE_CHECKING

import pandas as pd
from pandas.io.formats.style import Styler

from ufm.report.texts import estimates, number

if TYPE_CHECKING:
    from IPython.display import HTML

# In a narrow column a line breaks before the "to" of an interval, and never after a "<" or within a number.
UNBROKEN = {r" to (?=[−\d])": " to\u00a0", r"^< ": "<\u00a0", r"(?<=\d) (?=000\b)": "\u00a0"}
INTERVAL = re.compile(r"\(−?[\d.]+ to\u00a0−?[\d.]+\)")  # an element of its own, for a phone sets it below its estimate


def escaped(value):
    """A text as HTML shows it: the characters themselves, whatever they mean there."""
    return escape(value, quote=False) if isinstance(value, str) else value


def in_html(value, digits: int):
    """What stands in a cell: of a number its digits and sign, "–" where it is none; of a text its characters."""
    if isinstance(value, float):
        value = number(value, digits)
    elif isinstance(value, Integral):
        value = str(value).replace("-", "−")
    for pattern, words in UNBROKEN.items() if isinstance(value, str) else ():
        value = re.sub(pattern, words, value)
    return INTERVAL.sub(r'<span class="interval">\g<0></span>', escaped(value)) if isinstance(value, str) else value


def printed(table: pd.DataFrame, *, caption: str, name: str, digits: int = 3) -> "HTML":
    """A table as the book prints it; the same table gives the same bytes. One without rows says so."""
    from IPython.display import HTML  # a machine that only trains has none

    if table.empty:
        return HTML(f'<p id="T_{name}">{escaped(caption)}: nothing is recorded yet.</p>')
    # An element of its own stays in view beside a table that scrolls.
    said = f"<span>{escaped(caption)}</span>"
    table = table.map(lambda value: in_html(value, digits)).rename(columns=escaped)
    style = Styler(table, uuid=name, cell_ids=False, caption=said).hide(axis="index")
    return HTML(style.to_html())


def printed_summary(table: pd.DataFrame, *, caption: str, name: str) -> "HTML":
    """A summary table as the book prints it, a row a quantity."""
    texts = estimates(table)
    return printed(pd.DataFrame({"quantity": texts.keys(), "estimate": texts.values()}), caption=caption, name=name)
