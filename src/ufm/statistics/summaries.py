"""Tables of estimates with intervals."""

from collections.abc import Mapping
from dataclasses import astuple

import pandas as pd

from ufm.statistics.intervals import Interval

# What a summary table holds, in this order; `ufm.book.compare` reads the same columns.
SUMMARY_COLUMNS = ("quantity", "estimate", "low", "high", "n")


def summary(values_by_quantity: Mapping[str, Interval]) -> pd.DataFrame:
    """Summary table, one row a quantity in the mapping's order: columns quantity, estimate, low, high, n."""
    rows = [(quantity, *astuple(interval)) for quantity, interval in values_by_quantity.items()]
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def columns(intervals: Mapping[str, Interval]) -> dict[str, float]:
    """Intervals as columns of a table: name, name_low and name_high of each."""
    return {
        f"{name}{end}": value
        for name, one in intervals.items()
        for end, value in {"": one.estimate, "_low": one.low, "_high": one.high}.items()
    }
