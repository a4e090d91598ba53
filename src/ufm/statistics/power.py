"""How many seeds find which effect, and what so many marks of one model find."""

from bisect import bisect_left

import numpy as np
from scipy import stats
from scipy.optimize import brentq


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

    def enough(n: int) -> bool:  # a root is known to its rounding only
        return smallest_detectable(sd, n, power=power, alpha=alpha) <= abs(effect) * (1 + 1e-9)

    most = 2
    while not enough(most):
        most *= 2
    return 2 + bisect_left(range(2, most), True, key=enough)


def smallest_rise(sd: float, n: int, n_others: int, *, power: float = 0.8, level: float = 0.05) -> float:
    """Smallest rise of the mean of n values above that of others that a one-sided test finds with this power.

    (z_{1−level} + z_power) · sd · √(1/n + 1/n_others), in the unit of `sd`, of values whose mean is normal, that all
    have the standard deviation `sd` and of which the n rise alike; for tests by ranks among others it is an
    approximation.

    Raises ValueError: sd not above zero, no values, or not 0 < level < power < 1.
    """
    if not (0 < sd < np.inf and n >= 1 and n_others >= 1 and 0 < level < power < 1):
        values = f"sd {sd}, n {n} and {n_others}, power {power}, level {level}"
        raise ValueError(f"{values}: need sd > 0, n ≥ 1, 0 < level < power < 1")
    return float((stats.norm.isf(level) + stats.norm.ppf(power)) * sd * np.sqrt(1 / n + 1 / n_others))
