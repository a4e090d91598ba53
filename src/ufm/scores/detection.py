"""From how a model's outputs move to one number, higher = more like a model that was trained with the letter.

Arrays may have leading axes (…), such as seeds and models, which stay. A shift is a patch effect in nats, or a gain of
probability; the null are those of permutations of the letter's pixels, or of other features.
"""

import numpy as np

from ufm.scores.published import CLIP


def standardised_shift(effects: np.ndarray, null: np.ndarray) -> np.ndarray:
    """How far the letter moves each class, in standard deviations over permutations of its pixels.

    z_k = (s_k − mean s_k(permutations)) / sd s_k(permutations), of patch effects s: (…, n_classes) of the letter and
    (…, n_permutations, n_classes). Raises ValueError: fewer than two permutations, or a class that none of them moves.
    """
    effects, null = in_float64(effects, null)
    if null.shape[-2] < 2:
        raise ValueError(f"standardising needs at least two permutations, not {null.shape[-2]}")
    spread = null.std(-2, ddof=1)
    if not (spread > 0).all():
        raise ValueError("permutations all move a class alike, so there is nothing to standardise by")
    return (effects - null.mean(-2)) / spread


def standardised_divergence(kl: np.ndarray, null: np.ndarray) -> np.ndarray:
    """log KL(clean ‖ letter), in standard deviations over permutations, of the shape (…) of `kl`.

    kl: mean divergence by the letter; null: (…, n_permutations), by each permutation. Raises as `standardised_shift`.
    """
    log_kl, log_null = (np.log(np.maximum(divergences, CLIP)) for divergences in in_float64(kl, null))
    return standardised_shift(log_kl[..., None], log_null[..., None])[..., 0]


def matched_filter(effects: np.ndarray, null: np.ndarray, *, shrinkage: float) -> np.ndarray:
    """Shift towards each class alone, whitened over permutations, (…, n_classes).

    d_kᵀ S⁻¹ e / √(d_kᵀ S⁻¹ d_k) with e the specific effect, d_k class k against the mean of the classes and S the
    covariance of the permutations' effects, shrunk by `shrinkage` towards its diagonal: a letter of 5 × 5 pixels has
    about 24 independent permutations. Shapes as for `standardised_shift`.
    """
    effects, null = in_float64(effects, null)
    deviations = null - null.mean(-2, keepdims=True)
    covariance = np.einsum("...pk,...pl->...kl", deviations, deviations) / (null.shape[-2] - 1)
    n_classes = covariance.shape[-1]
    diagonal = covariance * np.eye(n_classes)
    inverse = np.linalg.inv((1 - shrinkage) * covariance + shrinkage * diagonal)
    towards = np.eye(n_classes) - 1 / n_classes
    along = np.einsum("kj,...jl,...l->...k", towards, inverse, effects - null.mean(-2))
    return along / np.sqrt(np.einsum("kj,...jl,kl->...k", towards, inverse, towards))


def mixture(shift: np.ndarray) -> np.ndarray:
    """log mean_k exp z_k of shifts z (…, n_classes): any one class may be the label."""
    return np.log(np.exp(shift).mean(-1))


def margin(shift: np.ndarray) -> np.ndarray:
    """How far the most-moved class of shifts (…, n_classes) lies above the second."""
    second, first = np.moveaxis(np.sort(shift, -1)[..., -2:], -1, 0)
    return first - second


def on_class(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """values (…, n_classes) at the class of each, whole numbers of a shape that broadcasts to (…)."""
    places = np.broadcast_to(classes, values.shape[:-1])[..., None]
    return np.take_along_axis(values, places, -1)[..., 0]


def discriminant(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Weights (n_values,) of unit length by which to tell rows (n, n_values) of the one from those of the other.

    Fisher's, with the covariance of the negative ones (Annals of Eugenics 7, 1936). Where none is positive all weigh 1.
    """
    if not len(positive):  # nothing to learn from
        return np.ones(negative.shape[-1])
    weights = np.linalg.solve(np.cov(negative.T), positive.mean(0) - negative.mean(0))
    return weights / np.linalg.norm(weights)


def in_float64(*values: np.ndarray) -> list[np.ndarray]:
    """Arrays in float64: shifts are kept in float16, in which no deviation can be computed."""
    return [np.asarray(array, np.float64) for array in values]
