"""From numbers to evidence: intervals over independent seeds."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

# What a summary table holds, in this order; `ufm.compare` reads the same columns.
SUMMARY_COLUMNS = ("quantity", "estimate", "low", "high", "n")


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; low and high are NaN where there is none."""

    estimate: float  # in the unit of the values
    low: float  # lower end of the interval
    high: float  # upper end of the interval
    n: int  # independent seeds behind it


def mean_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Mean of one value a seed with Student's t interval, mean ± t_{n−1} · s / √n.

    values: (n_seeds,), independent; s is their standard deviation with n − 1. Equal values give an interval of no
    width. Several images or canaries of one model are not independent: average them to one value first.

    Raises ValueError: fewer than two values, not 1-D, a value that is not finite, or confidence outside (0, 1).
    """
    values = _sample(values, "values")
    _require_confidence(confidence)
    n = len(values)
    if n < 2:
        raise ValueError(f"the interval of a mean needs at least two values, not {n}")
    mean = float(values.mean())
    # By hand rather than scipy.stats.t.interval, which gives NaN for equal values (scale 0).
    half_width = float(stats.t.ppf((1 + confidence) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half_width, mean + half_width, n)


def share_interval(successes: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Share of successes with the exact (Clopper–Pearson) interval, all in [0, 1].

    successes: (n_seeds,) of True/False or 1/0, one model a seed, independent. The interval covers at least as often as
    it says, whatever the share (Clopper and Pearson, Biometrika 26, 1934), and is not symmetric about it.

    Raises ValueError: no values, not 1-D, a value other than true or false, or confidence outside (0, 1).
    """
    successes = _sample(successes, "successes")
    _require_confidence(confidence)
    n = len(successes)
    if n == 0:
        raise ValueError("a share needs at least one value")
    if not np.isin(successes, (0, 1)).all():
        raise ValueError("successes must be true or false, or 1 or 0")
    test = stats.binomtest(int(successes.sum()), n)
    interval = test.proportion_ci(confidence_level=confidence, method="exact")
    return Interval(float(test.statistic), float(interval.low), float(interval.high), n)


def paired_difference(first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Mean of first − second, seed by seed, with Student's t interval.

    first, second: (n_seeds,), in the same order of seeds (a pandas index is not looked at).

    Raises ValueError: lengths differ, or what `mean_interval` refuses.
    """
    first, second = _sample(first, "first"), _sample(second, "second")
    if len(first) != len(second):
        raise ValueError(f"pairs need equal lengths, not {len(first)} and {len(second)}")
    return mean_interval(first - second, confidence=confidence)


def summary(values_by_quantity: Mapping[str, Interval]) -> pd.DataFrame:
    """Summary table, one row a quantity in the mapping's order: columns quantity, estimate, low, high, n."""
    rows = [(quantity, *astuple(interval)) for quantity, interval in values_by_quantity.items()]
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def _sample(values: ArrayLike, name: str) -> np.ndarray:
    """`values` as a finite 1-D float64 array."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except TypeError as error:  # pandas' NA, None and other objects
        raise ValueError(f"{name} must be numbers, none missing") from error
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, one value a seed, but has shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite values")
    return array


def _require_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not be {confidence}")
