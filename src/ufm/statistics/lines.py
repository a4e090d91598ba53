"""Straight lines through what each seed has along an axis: least squares, all points alike.

values: (n_seeds, n_points), one number a seed and point; places: (n_points,), where the points are on the axis. What
a seed's line gives is one number a seed: siblings stay together, and statistics are those of independent seeds.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ufm.statistics.checks import finite_sample, require_confidence
from ufm.statistics.intervals import Interval, bootstrap_over_seeds


def slope_weights(places: ArrayLike) -> np.ndarray:
    """Weights (n_points,) whose sum over values at these places is the slope of their line.

    Raises ValueError: fewer than two different places, not 1-D, or one that is not finite.
    """
    places = finite_sample(places, "places", per="point")
    if len(set(places.tolist())) < 2:
        raise ValueError(f"a line needs points at two places at least, not at {len(set(places.tolist()))}")
    centred = places - places.mean()
    return centred / (centred**2).sum()


def slopes(values: ArrayLike, places: ArrayLike) -> np.ndarray:
    """Slope (n_seeds,) of each seed's line. Raises ValueError: see `slope_weights`, or values of another shape."""
    weights = slope_weights(places)
    return _values(values, len(weights)) @ weights


def heights(values: ArrayLike, places: ArrayLike, at: float) -> np.ndarray:
    """What each seed's line (n_seeds,) has at a place. Raises ValueError: as `slopes`."""
    of_seeds, places = slopes(values, places), finite_sample(places, "places", per="point")
    return _values(values, len(places)).mean(1) + of_seeds * (at - places.mean())


def misses(values: ArrayLike, places: ArrayLike) -> np.ndarray:
    """Each seed's last value less what the line through its others has there, (n_seeds,).

    Raises ValueError: as `slopes`, of all points but the last.
    """
    places = finite_sample(places, "places", per="point")
    values = _values(values, len(places))
    return values[:, -1] - heights(values[:, :-1], places[:-1], places[-1])


def prediction(values: ArrayLike, places: ArrayLike, at: float, *, confidence: float = 0.95) -> Interval:
    """Mean of as many new seeds at a place where nothing was measured, with its prediction interval.

    The seeds' lines there, mean ± t_{n−1} · √(s² / n + v² / n): s is the standard deviation of the lines over seeds,
    and v that of the values at the measured place nearest to it, which new seeds are taken to have too.

    Raises ValueError: as `slopes`, fewer than two seeds, or confidence outside (0, 1).
    """
    require_confidence(confidence)
    ends = heights(values, places, at)
    n = len(ends)
    if n < 2:
        raise ValueError(f"a prediction interval needs at least two seeds, not {n}")
    nearest = np.asarray(values, dtype=np.float64)[:, int(np.abs(np.asarray(places) - at).argmin())]
    error = np.sqrt((ends.var(ddof=1) + nearest.var(ddof=1)) / n)
    half_width = float(stats.t.ppf((1 + confidence) / 2, n - 1) * error)
    return Interval(float(ends.mean()), float(ends.mean()) - half_width, float(ends.mean()) + half_width, n)


def growth(values: ArrayLike, places: ArrayLike, *, n_resamples: int = 10_000) -> Interval:
    """By which factor means over seeds grow a unit of place, exp of the slope of their logarithm.

    With a 95 % BCa bootstrap interval over seeds; no ends where a resample has a mean that is not above zero, and no
    estimate where the means are not. Raises ValueError: as `slopes`, or fewer than two seeds.
    """
    weights = slope_weights(places)
    values = _values(values, len(weights))

    def factor(drawn: np.ndarray) -> np.ndarray:
        means = drawn @ values / drawn.sum(-1, keepdims=True)
        return np.exp(np.log(np.where(means > 0, means, np.nan)) @ weights)

    return bootstrap_over_seeds(factor, len(values), n_resamples=n_resamples)


def _values(values: ArrayLike, n_points: int) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != n_points:
        raise ValueError(f"values need a row a seed and a column for each of {n_points} places, not {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("values hold NaN or infinite values")
    return values
