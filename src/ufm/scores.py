"""From a model's outputs to a number: memorisation scores and patch effects.

Every function is pure and takes NumPy arrays, nested lists or torch tensors (from any device, with or without
gradient); all arithmetic is float64 NumPy on the CPU. Logarithms are natural, so scores and effects are in nats. For an
image x, `p_clean` is the model's output on x, `p_unique` on x with the unique feature, `p_random` on x with a random
feature.
"""

import numpy as np
from numpy.typing import ArrayLike

# Keras' backend epsilon: probabilities are clipped to [CLIP, 1] before a logarithm, as in the released code.
CLIP = 1e-7
# How far a row may be from summing to 1. A float16 softmax rounds each probability by up to 5e-4 of itself, a float32
# one by far less; logits, percentages and sigmoid outputs miss by more.
SUM_TOLERANCE = 1e-3


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


def patch_effect(log_p_clean: ArrayLike, log_p_stamped: ArrayLike) -> np.ndarray:
    """Patch effect of a feature f on every class: mean_x [c_k(x + f) − c_k(x)], in nats.

    log_p_clean: (n_images, n_classes) log-softmax on x; log_p_stamped: (..., n_images, n_classes) on x with a feature.
    Leading axes are kept: (n_features, n_images, n_classes) gives (n_features, n_classes), (n_images, n_classes) gives
    (n_classes,). Positive = the feature raises the class.

    Raises ValueError: log_p_clean is not 2-D, images or classes differ, or an input that `centred_log_probability`
    refuses.
    """
    log_p_clean = _log_probabilities(log_p_clean, "log_p_clean", dimensions=(2,))
    log_p_stamped = _log_probabilities(log_p_stamped, "log_p_stamped")
    _require_same_shape(log_p_clean, "log_p_clean", log_p_stamped, "log_p_stamped")
    shift = centred_log_probability(log_p_stamped) - centred_log_probability(log_p_clean)
    return shift.mean(axis=-2)


def specific_effect(log_p_clean: ArrayLike, log_p_stamped: ArrayLike, log_p_permuted: ArrayLike) -> np.ndarray:
    """Specific effect of a feature: its patch effect less the mean patch effect of permutations of its pixels, in nats.

    A large patch effect says that something lit at that place was learnt, a large specific effect that this feature
    was. log_p_clean: (n_images, n_classes); log_p_stamped: (n_images, n_classes), leading axes kept as in
    `patch_effect`; log_p_permuted: (n_permutations, n_images, n_classes). Result: (n_classes,) after those axes.
    log_p_clean cancels out in exact arithmetic; it stays an argument so that one definition serves both effects.

    Raises ValueError: as `patch_effect`, or log_p_permuted is not 3-D.
    """
    log_p_permuted = _log_probabilities(log_p_permuted, "log_p_permuted", dimensions=(3,))
    effect_of_permutations = patch_effect(log_p_clean, log_p_permuted)
    return patch_effect(log_p_clean, log_p_stamped) - effect_of_permutations.mean(axis=0)


def contrast(
    *,
    letter_on_canary: ArrayLike,
    letter_on_placebo: ArrayLike,
    placebo_on_placebo: ArrayLike,
    placebo_on_canary: ArrayLike,
) -> float | np.ndarray:
    """Contrast D = ½ [e_L(canary) − e_L(placebo) + e_P(placebo) − e_P(canary)] of a seed and host, in nats.

    `letter_on_canary` is e_L(canary model), the specific effect of the letter on the host's label in the model that was
    trained with the letter, and so on: first the feature that is stamped at scoring, then the model. If neither model
    learnt its feature the two are exchangeable and D is symmetric about zero; positive = memorised. Elementwise: four
    numbers give a float, four arrays of one shape an array of that shape.

    Raises ValueError: the shapes differ or a value is not finite.
    """
    effects = {
        "letter_on_canary": _as_float64(letter_on_canary),
        "letter_on_placebo": _as_float64(letter_on_placebo),
        "placebo_on_placebo": _as_float64(placebo_on_placebo),
        "placebo_on_canary": _as_float64(placebo_on_canary),
    }
    for name, effect in effects.items():
        if effect.shape != effects["letter_on_canary"].shape:
            raise ValueError(f"{name} has shape {effect.shape}, letter_on_canary {effects['letter_on_canary'].shape}")
        _require_finite(effect, name)
    letter = effects["letter_on_canary"] - effects["letter_on_placebo"]
    placebo = effects["placebo_on_placebo"] - effects["placebo_on_canary"]
    difference = (letter + placebo) / 2
    return float(difference) if difference.ndim == 0 else difference


def _clipped_kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p ‖ q) over the last axis; leading axes broadcast."""
    p, q = np.clip(p, CLIP, 1.0), np.clip(q, CLIP, 1.0)
    return (p * (np.log(p) - np.log(q))).sum(axis=-1)


def _log_probability_gain(p_unique: np.ndarray, p_random: np.ndarray, label: int) -> float:
    """mean log p_unique[label] − mean log p_random[label], clipped; p_random may have a leading axis."""
    log_unique = np.log(np.clip(p_unique[..., label], CLIP, 1.0))
    log_random = np.log(np.clip(p_random[..., label], CLIP, 1.0))
    return float(log_unique.mean() - log_random.mean())


def _as_float64(values: ArrayLike) -> np.ndarray:
    # Duck-typed so that this module works without torch; widened before .numpy(), which does not know bfloat16.
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def _distributions(values: ArrayLike, name: str, dimensions: tuple[int, ...] = (2,)) -> np.ndarray:
    """`values` as a float64 array whose last axis holds probabilities, or a ValueError that names it."""
    array = _as_float64(values)
    _require_images(array, name, dimensions)
    _require_finite(array, name)
    if (array < 0).any():
        raise ValueError(f"{name} holds a negative probability ({array.min():.6g})")
    sums = array.sum(axis=-1)
    worst = sums.flat[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > SUM_TOLERANCE:
        raise ValueError(f"{name} holds a row that sums to {worst:.6g}, not to 1 within {SUM_TOLERANCE:g}")
    return array


def _unique_and_random(p_unique: ArrayLike, p_random: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    p_unique = _distributions(p_unique, "p_unique")
    p_random = _distributions(p_random, "p_random", dimensions=(2, 3))
    _require_same_shape(p_unique, "p_unique", p_random, "p_random")
    return p_unique, p_random


def _log_probabilities(values: ArrayLike, name: str, dimensions: tuple[int, ...] = ()) -> np.ndarray:
    """`values` as a finite float64 array that is not, by oversight, probabilities."""
    array = _as_float64(values)
    _require_images(array, name, dimensions)
    _require_finite(array, name)
    if (array >= 0).all() and (np.abs(array.sum(axis=-1) - 1) <= SUM_TOLERANCE).all():
        raise ValueError(f"{name} holds probabilities; their logarithms are expected")
    return array


def _labels(values: ArrayLike, n_images: int, n_classes: int) -> np.ndarray:
    labels = _as_float64(values)
    if labels.shape != (n_images,):
        raise ValueError(f"labels have shape {labels.shape}, but there are {n_images} images")
    outside = ~np.isin(labels, np.arange(n_classes))
    if outside.any():
        raise ValueError(f"label {labels[outside][0]:g} is not one of the {n_classes} classes")
    return labels.astype(np.int64)


def _require_images(array: np.ndarray, name: str, dimensions: tuple[int, ...]) -> None:
    if dimensions and array.ndim not in dimensions:
        allowed = " or ".join(f"{n}-D" for n in dimensions)
        raise ValueError(f"{name} must be {allowed} (images, classes last), but has shape {array.shape}")
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"{name} holds no images or no classes (shape {array.shape})")


def _require_finite(array: np.ndarray, name: str) -> None:
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite values")


def _require_same_shape(first: np.ndarray, first_name: str, second: np.ndarray, second_name: str) -> None:
    """Same images and classes; `second` may have axes before them."""
    if second.shape[-2:] != first.shape:
        raise ValueError(
            f"images or classes differ: {first_name} has shape {first.shape}, {second_name} {second.shape}"
        )
