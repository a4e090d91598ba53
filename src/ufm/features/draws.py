"""Features that are drawn: random ones, permutations of a feature's pixels, placebos."""

from math import comb

import numpy as np

from ufm.randomness.streams import stream

FIXED = 100  # permutations of a feature that effects may be measured against; a placebo is none of them


def random_features(n: int, *, shape: tuple[int, int] = (5, 5), seed: int, scope: str = "") -> np.ndarray:
    """Return `n` features of independent Bernoulli(1/2) pixels, (n, 1, h, w) float32 of 0 and 1.

    The first m of n features are those of any other n >= m.
    """
    draws = stream("random features", seed=seed, scope=scope).random((n, 1, *shape))
    return (draws < 0.5).astype(np.float32)


def permutations(feature: np.ndarray, n: int, *, seed: int = 0, scope: str = "", magnified: int = 1) -> np.ndarray:
    """Return `n` random permutations of a feature's own pixels, (n, 1, h, w); each keeps the feature's ink.

    Of a magnified feature its squares are permuted. The first m of n permutations are those of any other n >= m.

    Raises:
        ValueError: `feature` is not of shape (h, w).
    """
    feature = np.asarray(feature)
    if feature.ndim != 2:
        raise ValueError(f"only a feature of shape (h, w) can be permuted, not {feature.shape}")
    drawn = feature[::magnified, ::magnified]
    rows = stream("permutations", seed=seed, scope=scope).permuted(np.tile(drawn.ravel(), (n, 1)), axis=1)
    return rows.reshape(n, 1, *drawn.shape).repeat(magnified, 2).repeat(magnified, 3)


def arrangements(feature: np.ndarray) -> int:
    """In how many different ways a feature's pixels can be arranged; transparent ones are alike."""
    _, counts = np.unique(np.asarray(feature).ravel(), return_counts=True, equal_nan=True)
    n, left = 1, int(counts.sum())
    for count in counts.tolist():
        n, left = n * comb(left, count), left - count
    return n


def placebo(feature: np.ndarray, *, seed: int, host: str, scope: str = "", magnified: int = 1) -> np.ndarray:
    """Return the placebo feature of a seed and kind of host, (h, w): a permutation of the feature's own pixels.

    Of a magnified feature its squares are permuted. It is neither the feature nor one of its first FIXED permutations,
    which effects are measured against.

    Raises:
        ValueError: `feature` is not of shape (h, w), or has too few arrangements to draw one from.
    """
    feature = np.asarray(feature)
    feature = feature[::magnified, ::magnified]
    taken = [feature, *permutations(feature, FIXED)[:, 0]]
    draws = stream(f"placebo, {host} host", seed=seed, scope=scope)
    for _ in range(1_000):
        drawn = draws.permuted(feature.ravel()).reshape(feature.shape)
        if not any(np.array_equal(drawn, one, equal_nan=True) for one in taken):
            return drawn.repeat(magnified, 0).repeat(magnified, 1)
    raise ValueError("feature: too few arrangements of its pixels for a placebo")
