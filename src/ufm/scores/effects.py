"""Effects of a stamped feature on a model's log-probabilities, and the contrast of two models."""

import numpy as np
from numpy.typing import ArrayLike

from ufm.scores.checks import _as_float64, _log_probabilities, _require_finite, _require_same_shape
from ufm.scores.published import centred_log_probability


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
