"""From tables to what the book shows of them."""

from html import escape
from math import isfinite
from numbers import Integral
from typing import TYPE_CHECKING

import pandas as pd
from pandas.io.formats.style import Styler

from ufm.report.texts import estimates, number

if TYPE_CHECKING:
    from IPython.display import HTML

# In a narrow column a line breaks before the "to" of an interval, and never after a "<".
UNBROKEN = {r" to (?=[−\d])": " to\u00a0", r"^< ": "<\u00a0"}


def escaped(value):
    """A value as HTML shows it: of a text the characters themselves, whatever they mean there."""
    return escape(value, quote=False) if isinstance(value, str) else value


def written(value, digits: int):
    """A value as the book writes it: a number with a minus sign, one with a fraction with so many digits."""
    if isinstance(value, float) and isfinite(value):
        return number(value, digits)
    return str(value).replace("-", "−") if isinstance(value, Integral) else value


def printed(table: pd.DataFrame, *, caption: str, name: str, digits: int = 3) -> "HTML":
    """A table as the book prints it; the same table gives the same bytes. One without rows says so."""
    from IPython.display import HTML  # a machine that only trains has none

    if table.empty:
        return HTML(f"<p>{escaped(caption)}: nothing is recorded yet.</p>")
    # An element of its own stays in view beside a table that scrolls.
    said = f"<span>{escaped(caption)}</span>"
    table = table.replace(UNBROKEN, regex=True).map(escaped).map(written, digits=digits).rename(columns=escaped)
    style = Styler(table, uuid=name, cell_ids=False, caption=said).hide(axis="index")
    return HTML(style.to_html())


def printed_summary(table: pd.DataFrame, *, caption: str, name: str) -> "HTML":
    """A summary table as the book prints it, a row a quantity."""
    texts = estimates(table)
    return printed(pd.DataFrame({"quantity": texts.keys(), "estimate": texts.values()}), caption=caption, name=name)
