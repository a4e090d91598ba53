"""From a model's outputs to a number: pure functions of arrays."""

from ufm.scores.checks import SUM_TOLERANCE
from ufm.scores.effects import contrast, patch_effect, specific_effect
from ufm.scores.published import (
    CLIP,
    centred_log_probability,
    kl_divergence,
    label_guess,
    label_guess_score,
    label_known_score,
    memorisation_score,
)

__all__ = [
    "CLIP",
    "SUM_TOLERANCE",
    "centred_log_probability",
    "contrast",
    "kl_divergence",
    "label_guess",
    "label_guess_score",
    "label_known_score",
    "memorisation_score",
    "patch_effect",
    "specific_effect",
]
