"""From numbers to evidence: intervals, tests and power over independent seeds, and corrections for several tests."""

import warnings
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import brentq

# What a summary table holds, in this order; `ufm.compare` reads the same columns.
SUMMARY_COLUMNS = ("quantity", "estimate", "low", "high", "n")
# Resamples drawn at a time: all 100 000 flips of 200 seeds would fill 0.6 GB.
BATCH = 1000
# Fewer random draws cannot reach p = 1 / (1 + n) = 0.05.
FEWEST_DRAWS = 19


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


def paired_difference(first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Mean of first − second, seed by seed, with Student's t interval.

    first, second: (n_seeds,), in the same order of seeds (a pandas index is not looked at).

    Raises ValueError: lengths differ, or what `mean_interval` refuses.
    """
    first, second = finite_sample(first, "first"), finite_sample(second, "second")
    if len(first) != len(second):
        raise ValueError(f"pairs need equal lengths, not {len(first)} and {len(second)}")
    return mean_interval(first - second, confidence=confidence)


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
        found = stats.bootstrap(
            (np.arange(n_seeds),),
            lambda drawn, axis: statistic(_multiplicities(drawn, n_seeds)),
            n_resamples=n_resamples,
            batch=BATCH,
            vectorized=True,
            confidence_level=confidence,
            method="BCa",
            random_state=np.random.default_rng(seed),
        )
    low, high = map(float, found.confidence_interval)
    # Rounding may part ends that coincide.
    if not np.isfinite(found.bootstrap_distribution).all() or np.isclose(low, high, rtol=1e-12, atol=0):
        low = high = np.nan
    return Interval(float(statistic(np.ones(n_seeds, dtype=int))), low, high, int(n_seeds))


def bootstrap_t_interval(
    values: ArrayLike, *, n_resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Mean of one value a seed with a bootstrap-t interval over seeds, for skewed values.

    The quantiles of (mean* − mean) / error* over resamples stand in for Student's (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, chapter 12); error = s / √n with n − 1. Resamples of equal values are left out.
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
    drawn = np.random.default_rng(seed).choice(values, (n_resamples, n))
    errors = drawn.std(1, ddof=1) / np.sqrt(n)
    spread = errors > 1e-12 * np.abs(values).max()
    studentised = (drawn.mean(1)[spread] - mean) / errors[spread]
    first, last = np.quantile(studentised, [(1 - confidence) / 2, (1 + confidence) / 2])
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


def sign_flip_test(values: ArrayLike, *, n_flips: int = 100_000, seed: int = 0) -> float:
    """Two-sided p-value of a mean of zero, where values are symmetric about zero under the null hypothesis, in (0, 1].

    Share of random signs under which `|mean|` is at least the observed, the observed one counted. All 2ⁿ signs are used
    where they are no more than `n_flips`. values: (n_seeds,), independent (Fisher, The Design of Experiments, 1935).

    Raises ValueError: fewer than two values, not 1-D, a value that is not finite, or fewer than 19 flips.
    """
    values = finite_sample(values, "values")
    n = len(values)
    if n < 2:
        raise ValueError(f"a sign-flip test needs at least two values, not {n}")
    require_draws(n_flips, "flips")
    # Not scipy.stats.permutation_test, which permutes indices to draw signs and takes ten times as long.
    rng, exact, sums = np.random.default_rng(seed), 2**n <= n_flips, []
    n_flips = 2**n if exact else n_flips
    for start in range(0, n_flips, BATCH):
        batch = np.arange(start, min(start + BATCH, n_flips))
        flipped = batch[:, None] >> np.arange(n) & 1 if exact else rng.integers(0, 2, (len(batch), n), dtype=np.int8)
        sums.append(np.abs(values.sum() - 2 * flipped.astype(float) @ values))
    rounding = 1e-12 * np.abs(values).sum()  # sums that are equal may differ by as much
    null = np.concatenate(sums)[int(exact) :]  # the first of all signs flips none
    return float(permutation_p_value(abs(values.sum()) - rounding, null))


def permutation_p_value(observed: ArrayLike, null: ArrayLike, *, alternative: str = "greater") -> np.ndarray:
    """Permutation p-value (1 + #{null ≥ observed}) / (1 + n_null), never zero, of the shape of `observed`.

    observed: (...); null: (..., n_null), or (n_null,) for all. "less" counts null ≤ observed; "two-sided" is twice the
    smaller of both, at most 1 (Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9, 2010).

    Raises ValueError: an empty null, shapes that do not fit, NaN, or another alternative.
    """
    observed, null = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    if null.ndim == 0 or null.shape[-1] == 0 or null.shape[:-1] not in ((), observed.shape):
        raise ValueError(f"observed values of shape {observed.shape} do not fit a null of shape {null.shape}")
    if np.isnan(observed).any() or np.isnan(null).any():
        raise ValueError("observed values or null hold NaN")
    n_null = null.shape[-1]
    greater = (1 + (null >= observed[..., None]).sum(-1)) / (1 + n_null)
    less = (1 + (null <= observed[..., None]).sum(-1)) / (1 + n_null)
    both = {"greater": greater, "less": less, "two-sided": np.minimum(1, 2 * np.minimum(greater, less))}
    if alternative not in both:
        raise ValueError(f"alternative must be one of {', '.join(both)}, not {alternative!r}")
    return both[alternative]


def holm(p_values: ArrayLike) -> np.ndarray:
    """Adjusted p-values that bound the chance of any false rejection, in the order given.

    The i-th smallest of m becomes the largest (m − j + 1) p_(j) of the j ≤ i, at most 1 (Holm, Scandinavian Journal of
    Statistics 6, 1979). p_values: (n_tests,); the tests may depend on each other.

    Raises ValueError: no p-values, not 1-D, or one outside [0, 1].
    """
    p_values = _p_values(p_values)
    order = np.argsort(p_values)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1)).clip(max=1)
    return adjusted


def benjamini_hochberg(p_values: ArrayLike) -> np.ndarray:
    """Adjusted p-values that bound the expected share of false ones among all rejections, in the order given.

    p_values: (n_tests,), of independent or positively dependent tests (Benjamini and Hochberg, JRSS B 57, 1995).

    Raises ValueError: no p-values, not 1-D, or one outside [0, 1].
    """
    return stats.false_discovery_control(_p_values(p_values), method="bh")


def single_models(p_values: ArrayLike, *, n_null: int, alpha: float = 0.05) -> np.ndarray:
    """Verdict on each of several models: "evidence", "no evidence" or "cannot be decided", shape (n_models,).

    p_values: (n_models,), each against a null of `n_null` values. Evidence: rejected after Benjamini and Hochberg. It
    cannot be decided on a model if even the smallest p-value of such a null, 1 / (1 + n_null), would not be rejected
    beside those of the other models. That p-value is always rejected up to alpha / n_models and never above alpha; in
    between others must be small too. So where there is evidence on one model, all are decided.

    Raises ValueError: what `benjamini_hochberg` refuses, or a p-value that such a null cannot give.
    """
    p_values, smallest = _p_values(p_values), 1 / (1 + n_null)
    if p_values.min() < smallest * (1 - 1e-9):
        raise ValueError(f"a null of {n_null} values gives no p-value of {p_values.min():.3g}")
    at_best = np.tile(p_values, (len(p_values), 1))
    np.fill_diagonal(at_best, smallest)
    decidable = stats.false_discovery_control(at_best, axis=1).diagonal() <= alpha
    rejected = benjamini_hochberg(p_values) <= alpha
    return np.where(rejected, "evidence", np.where(decidable, "no evidence", "cannot be decided"))


def smallest_detectable(sd: float, n: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest mean that a two-sided t-test over n seeds finds with this power, in the unit of `sd`.

    Solves `P(|T| > t_{n−1, 1−α/2}) = power` for the noncentrality √n · mean / sd of T.

    sd: standard deviation over seeds.

    Raises ValueError: sd not above zero, fewer than two seeds, or not 0 < alpha < power < 1.
    """
    if not (0 < sd < np.inf and n >= 2 and 0 < alpha < power < 1):
        raise ValueError(f"sd {sd}, n {n}, power {power}, alpha {alpha}: need sd > 0, n ≥ 2, 0 < alpha < power < 1")
    critical = stats.t.isf(alpha / 2, n - 1)

    def excess(noncentrality: float) -> float:
        both = stats.nct.sf(critical, n - 1, [noncentrality, -noncentrality])
        return both.sum() - power

    upper = critical
    while excess(upper) < 0:
        upper *= 2
    return float(brentq(excess, 0, upper) * sd / np.sqrt(n))


def seeds_needed(effect: float, sd: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Fewest seeds, two or more, with which a two-sided t-test finds a mean of ±effect with this power.

    The inverse of `smallest_detectable`. effect, sd: in one unit.

    Raises ValueError: an effect of zero or not finite, or what `smallest_detectable` refuses.
    """
    if not 0 < abs(effect) < np.inf:
        raise ValueError(f"effect must be finite and not zero, not {effect}")

    def found(n: int) -> bool:  # a root is known to its rounding only
        return smallest_detectable(sd, n, power=power, alpha=alpha) <= abs(effect) * (1 + 1e-9)

    most = 2
    while not found(most):
        most *= 2
    return 2 + bisect_left(range(2, most), True, key=found)


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


def finite_sample(values: ArrayLike, name: str, *, per: str = "seed") -> np.ndarray:
    """`values` as a finite float64 array (n,), one value a seed (or what `per` says); anything else is a ValueError."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except TypeError as error:  # pandas' NA, None and other objects
        raise ValueError(f"{name} must be numbers, none missing") from error
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, one value a {per}, but has shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite values")
    return array


def require_draws(n_draws: int, name: str) -> None:
    """Raises ValueError where p = 1 / (1 + n_draws) cannot reach 0.05."""
    if n_draws < FEWEST_DRAWS:
        raise ValueError(f"fewer than {FEWEST_DRAWS} {name} cannot reach p = 0.05, and here are {n_draws}")


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


def _p_values(values: ArrayLike) -> np.ndarray:
    p_values = finite_sample(values, "p_values", per="test")
    if len(p_values) == 0 or p_values.min() < 0 or p_values.max() > 1:
        raise ValueError("p_values must be one or more numbers in [0, 1]")
    return p_values


def require_confidence(confidence: float) -> None:
    """Raises ValueError unless 0 < confidence < 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not be {confidence}")
