"""From a model's outputs to a number: memorisation scores and patch effects.

Every function is pure and takes NumPy arrays, nested lists or torch tensors (from any device, with or without
gradient); all arithmetic is float64 NumPy on the CPU. Logarithms are natural, so scores and effects are in nats. For an
image x, `p_clean` is the model's output on x, `p_unique` on x with the unique feature, `p_random` on x with a random
feature.
"""

import numpy as np
from numpy.typing import ArrayLike

from ufm.scores.checks import _distributions, _labels, _log_probabilities, _require_same_shape, _unique_and_random

# Keras' backend epsilon: probabilities are clipped to [CLIP, 1] before a logarithm, as in the released code.
CLIP = 1e-7


def kl_divergence(p: ArrayLike, q: ArrayLike) -> np.ndarray:
    """Kullback–Leibler divergence KL(p ‖ q) = Σ_k p_k log(p_k / q_k) of each image, in nats, shape (n_images,).

    p, q: (n_images, n_classes) probabilities. Both are clipped to [1e-7, 1], p also where it is the weight, as
    `keras.losses.KLDivergence` does; clipped rows sum to slightly more than 1, so the result can fall below zero by up
    to n_classes · 1e-7 (more where a row's own sum is off).

    Raises ValueError: an input is not rows of distributions, or the shapes differ.
    """
    p, q = _distributions(p, "p"), _distributions(q, "q")
    _require_same_shape(p, "p", q, "q")
    return _clipped_kl(p, q)


def memorisation_score(p_clean: ArrayLike, p_unique: ArrayLike, p_random: ArrayLike) -> float:
    """Label-unknown score M = mean_x KL(p_clean ‖ p_unique) − mean_x KL(p_clean ‖ p_random), in nats.

    Positive = memorised: the unique feature moves the output further than random features do (Hartley and Tsaftaris,
    arXiv 2205.10079). p_clean, p_unique: (n_images, n_classes); p_random: the same shape, or (n_random, n_images,
    n_classes) for several random features an image, over all of which the second mean runs.

    Raises ValueError: an input is not rows of distributions, or the shapes differ.
    """
    p_clean = _distributions(p_clean, "p_clean")
    p_unique, p_random = _unique_and_random(p_unique, p_random)
    _require_same_shape(p_clean, "p_clean", p_unique, "p_unique")
    return float(_clipped_kl(p_clean, p_unique).mean() - _clipped_kl(p_clean, p_random).mean())


def label_known_score(p_unique: ArrayLike, p_random: ArrayLike, labels: ArrayLike, canary_label: int) -> float:
    """Label-known score: mean log p_unique[y] − mean log p_random[y] over the images whose label is y, in nats.

    Positive = memorised. The released notebook prints the same number with the sign turned, as a difference of KL
    divergences from the one-hot label. Probabilities are clipped to [1e-7, 1].

    p_unique: (n_images, n_classes); p_random: the same, or (n_random, n_images, n_classes); labels: (n_images,) whole
    numbers in [0, n_classes); canary_label: y, the label of the canary.

    Raises ValueError: an input is not rows of distributions, the shapes or lengths differ, a label lies outside the
    classes, or no image has the canary's label.
    """
    p_unique, p_random = _unique_and_random(p_unique, p_random)
    n_images, n_classes = p_unique.shape
    labels = _labels(labels, n_images, n_classes)
    if canary_label not in range(n_classes):
        raise ValueError(f"canary_label {canary_label} lies outside the {n_classes} classes")
    with_label = labels == canary_label
    if not with_label.any():
        raise ValueError(f"no image has the canary's label {canary_label}")
    return _log_probability_gain(p_unique[with_label], p_random[..., with_label, :], int(canary_label))


def label_guess(p_unique: ArrayLike, p_random: ArrayLike) -> int:
    """The class most raised by the unique feature: argmax_k mean_x (p_unique − p_random)_k; a tie goes to the first.

    A guess of the canary's label from the outputs alone (released code). p_unique: (n_images, n_classes); p_random: the
    same, or (n_random, n_images, n_classes).

    Raises ValueError: an input is not rows of distributions, or the shapes differ.
    """
    p_unique, p_random = _unique_and_random(p_unique, p_random)
    rise = p_unique.mean(axis=0) - p_random.reshape(-1, p_random.shape[-1]).mean(axis=0)
    return int(rise.argmax())


def label_guess_score(p_unique: ArrayLike, p_random: ArrayLike) -> float:
    """Label-guess score: mean log p_unique[g] − mean log p_random[g] with g = `label_guess`, in nats.

    The label-known score with the guess in place of the canary's label, over *all* images: no label is known here, so
    no image can be left out by its label. The class was chosen for having risen, so the score leans to the positive
    also where nothing was memorised: compare it with models that never saw the feature, not with zero.

    Shapes and errors as for `label_guess`. Probabilities are clipped to [1e-7, 1].
    """
    p_unique, p_random = _unique_and_random(p_unique, p_random)
    return _log_probability_gain(p_unique, p_random, label_guess(p_unique, p_random))


def centred_log_probability(log_p: ArrayLike) -> np.ndarray:
    """Centred log-probability c_k = log p_k − mean_j log p_j over the last axis; the shape stays, in nats.

    log_p: (..., n_classes), an *unclipped* log-softmax: clipping would flatten the very classes whose shift is sought.
    c equals the centred logit, so logits give the same result, and an auditor who sees only probabilities can take
    their logarithm as long as none has been rounded to zero.

    Raises ValueError: no classes or no images, a value is not finite, or the rows are probabilities (their logarithm
    was forgotten).
    """
    log_p = _log_probabilities(log_p, "log_p")
    return log_p - log_p.mean(axis=-1, keepdims=True)


def _clipped_kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p ‖ q) over the last axis; leading axes broadcast."""
    p, q = np.clip(p, CLIP, 1.0), np.clip(q, CLIP, 1.0)
    return (p * (np.log(p) - np.log(q))).sum(axis=-1)


def _log_probability_gain(p_unique: np.ndarray, p_random: np.ndarray, label: int) -> float:
    """mean log p_unique[label] − mean log p_random[label], clipped; p_random may have a leading axis."""
    log_unique = np.log(np.clip(p_unique[..., label], CLIP, 1.0))
    log_random = np.log(np.clip(p_random[..., label], CLIP, 1.0))
    return float(log_unique.mean() - log_random.mean())
