"""Tests by signs and permutations."""

import numpy as np
from numpy.typing import ArrayLike

from ufm.statistics.checks import BATCH, finite_sample, require_draws


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
