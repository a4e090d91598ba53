"""Numbers and words as the book prints them."""

import re
from collections.abc import Iterable, Mapping
from math import isnan

import pandas as pd

from ufm.evidence.questions import There
from ufm.statistics import SUMMARY_COLUMNS

UNDECIDED = "cannot be decided"  # of what has no number
TEN = 10  # from which on hundredths say nothing
WAITS = There.OPEN.value
REHEARSED = "rehearsal: no word"  # in the place of a plan's word on small models of the embedded profile
# Columns that hold a plan's words.
WORDS = (
    *("there", "versus_there", "prevents", "change", "unknown_told", "known_told", "paper_told"),
    *("verdict", "in_words", "reading"),
)


def key(quantity: str) -> str:
    """A quantity's name as the text calls its numbers, such as `m_canaries`."""
    return re.sub(r"\W+", "_", quantity.lower()).strip("_")


def size_of(population: str) -> str:
    """How many images a population is trained on, as its name has it: of "MNIST, 10 000 images" the last."""
    return population.partition(", ")[2]


def number(value: float, digits: int) -> str:
    """A number as text, a dash for NaN; minus zero is zero, and a number of NumPy is rounded as Python's is."""
    if isnan(value):
        return "–"
    return f"{round(float(value), digits) + 0.0:.{digits}f}".replace("-", "−")


def p_text(p: float) -> str:
    """A p-value as text, such as "0.031" or "< 0.001"."""
    return "–" if isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def with_interval(row: Mapping[str, float], *, digits: int = 2, end: str = "") -> str:
    """An estimate and its interval as text, such as "0.47 (0.35 to 0.58)"; "cannot be decided" where there is none.

    The columns are `estimate`, `low`, `high`; with `end` such as "found" they are `found`, `found_low`, `found_high`.
    An interval that rounds to its estimate is said as "0.00 (within 0.01)", and from ten on a number has one digit.
    """
    estimate, low, high = (row[name] for name in ((end, f"{end}_low", f"{end}_high") if end else SUMMARY_COLUMNS[1:4]))
    if isnan(estimate):
        return UNDECIDED
    if abs(estimate) >= TEN:
        digits = min(digits, 1)
    middle, *ends = (number(value, digits) for value in (estimate, low, high))
    if isnan(low):
        return middle
    alike = {middle} == set(ends)
    return f"{middle} (within {number(10**-digits, digits)})" if alike else f"{middle} ({ends[0]} to {ends[1]})"


def estimates(table: pd.DataFrame, *, digits: int = 3) -> dict[str, str]:
    """Each quantity of a summary table as text, see `with_interval`."""
    return {row["quantity"]: with_interval(row, digits=digits) for row in table.to_dict("records")}


def numbers(table: pd.DataFrame, *, digits: int = 2) -> dict[str, str]:
    """For the text: each quantity of a summary table without its interval."""
    return {key(row["quantity"]): span([row["estimate"]], digits=digits) for row in table.to_dict("records")}


def span(values: Iterable[float], *, digits: int = 2) -> str:
    """From the smallest to the largest, "0.45 to 0.52", or one number where both round alike.

    Over those that are numbers; "cannot be decided" where none is.
    """
    numbers = [value for value in values if not isnan(value)]
    if not numbers:
        return UNDECIDED
    return " to ".join(dict.fromkeys(number(value, digits) for value in (min(numbers), max(numbers))))


def worded(table: pd.DataFrame, profile: str) -> pd.DataFrame:
    """A table with a plan's words as a profile's pages print them: those of the embedded one say none."""
    if profile != "embedded":
        return table
    return table.assign(**{name: REHEARSED for name in WORDS if name in table})


def by_word(words: pd.Series, names: pd.Series) -> str:
    """What each word is said of, in the order of first occurrence: "Undecided: a; b. There and small: c"."""
    said = {str(word): "; ".join(some) for word, some in names.groupby(words, sort=False)}
    return ". ".join(f"{word[0].upper()}{word[1:]}: {some}" for word, some in said.items())


def in_short(words: pd.Series, names: pd.Series) -> str:
    """The same, but of rows that wait for seeds only how many there are."""
    waits = words == WAITS
    said = [by_word(words[~waits], names[~waits])] if not waits.all() else []
    if waits.any():
        said.append(f"{WAITS[0].upper()}{WAITS[1:]}: {waits.sum()} of {len(words)}")
    return ". ".join(said)


def counted(words: pd.Series) -> str:
    """How often each word occurs, such as "3 × memorised; 1 × undecided"."""
    return "; ".join(f"{count} × {word}" for word, count in words.value_counts(sort=False).items())
