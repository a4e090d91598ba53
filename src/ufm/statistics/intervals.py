"""Intervals over independent seeds."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ufm.statistics.checks import BATCH, finite_sample, require_confidence


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
    values = finite_sample(values, "values")
    require_confidence(confidence)
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
    successes = finite_sample(successes, "successes")
    require_confidence(confidence)
    n = len(successes)
    if n == 0:
        raise ValueError("a share needs at least one value")
    if not np.isin(successes, (0, 1)).all():
        raise ValueError("successes must be true or false, or 1 or 0")
    test = stats.binomtest(int(successes.sum()), n)
    interval = test.proportion_ci(confidence_level=confidence, method="exact")
    return Interval(float(test.statistic), float(interval.low), float(interval.high), n)


def bootstrap_interval(
    values: ArrayLike, *, n_resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Mean of one value a seed with a BCa bootstrap interval over seeds (Efron, JASA 82, 1987).

    values: (n_seeds,), independent. Equal values give NaN for both ends: their resamples say nothing about the spread.

    Raises ValueError: fewer than two values, not 1-D, a value that is not finite, or confidence outside (0, 1).
    """
    values = finite_sample(values, "values")

    def mean(drawn: np.ndarray) -> np.ndarray:
        return drawn @ values / drawn.sum(-1)

    return bootstrap_over_seeds(mean, len(values), n_resamples=n_resamples, confidence=confidence, seed=seed)


def bootstrap_over_seeds(
    statistic: Callable[[np.ndarray], np.ndarray],
    n_seeds: int,
    *,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """A statistic of all seeds with a BCa bootstrap interval; whole seeds are drawn, with all that belongs to them.

    statistic: from (..., n_seeds), how often each seed was drawn, to (...). Both ends are NaN where resamples cannot
    give an interval: one has no statistic (NaN), or the ends coincide.

    Raises ValueError: fewer than two seeds, or confidence outside (0, 1).
    """
    require_confidence(confidence)
    if n_seeds < 2:
        raise ValueError(f"a bootstrap over seeds needs at least two, not {n_seeds}")
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        # Resamples without spread are told by their ends below, and give NaN.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        bootstrap = stats.bootstrap(
            (np.arange(n_seeds),),
            lambda drawn, axis: statistic(_multiplicities(drawn, n_seeds)),
            n_resamples=n_resamples,
            batch=BATCH,
            vectorized=True,
            confidence_level=confidence,
            method="BCa",
            random_state=np.random.default_rng(seed),
        )
    low, high = map(float, bootstrap.confidence_interval)
    # Rounding may part ends that coincide.
    if not np.isfinite(bootstrap.bootstrap_distribution).all() or np.isclose(low, high, rtol=1e-12, atol=0):
        low = high = np.nan
    return Interval(float(statistic(np.ones(n_seeds, dtype=int))), low, high, int(n_seeds))


def bootstrap_t_interval(
    values: ArrayLike, *, n_resamples: int = 100_000, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Mean of one value a seed with a bootstrap-t interval over seeds, for skewed values.

    The quantiles of (mean* − mean) / error* over resamples stand in for Student's (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, chapter 12); error = s / √n with n − 1. Resamples of equal values are left out.
    Words hang on the ends, so that there are many resamples: `benchmarks/words.py` lists what other seeds would say.
    values: (n_seeds,), independent. Two values, or equal ones, give NaN for both ends.

    Raises ValueError: fewer than two values, not 1-D, a value that is not finite, or confidence outside (0, 1).
    """
    values = finite_sample(values, "values")
    require_confidence(confidence)
    n, mean = len(values), float(values.mean())
    if n < 2:
        raise ValueError(f"a bootstrap over seeds needs at least two values, not {n}")
    error = float(values.std(ddof=1) / np.sqrt(n))
    if not error > 1e-12 * np.abs(values).max():
        return Interval(mean, np.nan, np.nan, n)
    rng, studentised = np.random.default_rng(seed), []
    for start in range(0, n_resamples, BATCH):
        drawn = rng.choice(values, (min(BATCH, n_resamples - start), n))
        errors = drawn.std(1, ddof=1) / np.sqrt(n)
        spread = errors > 1e-12 * np.abs(values).max()
        studentised.append((drawn.mean(1)[spread] - mean) / errors[spread])
    first, last = np.quantile(np.concatenate(studentised), [(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = float(mean - last * error), float(mean - first * error)
    return Interval(mean, *((low, high) if first < last else (np.nan, np.nan)), n)


def correlation_interval(
    first: ArrayLike,
    second: ArrayLike,
    seeds: ArrayLike | None = None,
    *,
    ranks: bool = False,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Pearson's correlation, or Spearman's of `ranks`, with a BCa bootstrap interval over whole seeds, in [−1, 1].

    first, second: (n_values,), in the same order; seeds: (n_values,), that of each, several values a seed; None: each
    has its own. Each resample ranks anew. NaN for values that are all equal, both ends also where those of a resample
    are; n counts seeds.

    Raises ValueError: lengths differ, not 1-D, a value that is not finite, or fewer than two seeds.
    """
    first, second = finite_sample(first, "first", per="pair"), finite_sample(second, "second", per="pair")
    owners = np.arange(len(first)) if seeds is None else finite_sample(seeds, "seeds", per="pair")
    if not len(first) == len(second) == len(owners):
        raise ValueError(f"pairs need equal lengths, not {len(first)}, {len(second)} and {len(owners)}")
    index = np.unique(owners, return_inverse=True)[1]

    # Centred for precision, equal values at zero; of ranks every sum is a whole number of quarters: ties stay ties.
    centred = [values - np.median(values) for values in (first, second)]

    def correlation(drawn: np.ndarray) -> np.ndarray:
        times = drawn[..., index].astype(float)
        x, y = (_middle_ranks(values, times) if ranks else values for values in centred)

        def covariance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
            total = times.sum(-1)
            return total * (times * one * other).sum(-1) - (times * one).sum(-1) * (times * other).sum(-1)

        with np.errstate(invalid="ignore"):
            return covariance(x, y) / np.sqrt(covariance(x, x) * covariance(y, y))

    return bootstrap_over_seeds(
        correlation, len(np.unique(owners)), n_resamples=n_resamples, confidence=confidence, seed=seed
    )


def _middle_ranks(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Ranks of values (n,), ties in their middle, in a resample that has each so many times, (..., n)."""
    levels, place = np.unique(values, return_inverse=True)
    of_level = times @ (place[:, None] == np.arange(len(levels))).astype(float)
    return (of_level.cumsum(-1) - of_level / 2)[..., place]


def _multiplicities(drawn: np.ndarray, n_seeds: int) -> np.ndarray:
    """How often each seed was drawn, (..., n_seeds), from the seeds drawn, (..., n_drawn)."""
    rows = drawn.astype(int).reshape(-1, drawn.shape[-1])
    shifted = rows + n_seeds * np.arange(len(rows))[:, None]
    return np.bincount(shifted.ravel(), minlength=len(rows) * n_seeds).reshape(*drawn.shape[:-1], n_seeds)
