"""How a model answers each mark of a pool: those of a registry and as many more that were never stamped.

Every mark is treated alike, so that if the model depends on none of them their scores are exchangeable.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from ufm.evidence.detectors import DEFAULT, LABEL_KNOWN
from ufm.measures.response import BlackBox, Response
from ufm.measures.shifts import kl_divergence
from ufm.scores import CLIP, SUM_TOLERANCE, detection

MARKS_AT_ONCE = 8
HALF_A_DIGIT = 0.005  # by which a probability of two decimals may be off

Predict = Callable[[torch.Tensor], ArrayLike]


class NotAuditable(ValueError):
    """The outputs say nothing about any mark."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Scores of a model for each mark, higher = more like a model that was trained with it."""

    unknown: np.ndarray  # (n_marks,) where the label of the image is not known
    known: np.ndarray  # (n_marks, n_classes) by the label that it has
    n_queries: int  # images that were sent to the model


@dataclass(frozen=True, eq=False)
class Among:
    """What `ufm.evidence.answers.Answers` gives to detectors, of every mark, standardised by all of them."""

    arrays: dict[str, np.ndarray]  # "ood_shift" (n_marks, n_classes), "ood_kl_mean" (n_marks,) and so on
    labels: np.ndarray | None = None  # that broadcast to (n_marks,)

    def shifts(self, images: str) -> np.ndarray:
        """Standardised shift by each mark on images of a kind, (n_marks, n_classes)."""
        return standardised(self.arrays[f"{images}_shift"])

    def divergence(self, images: str) -> np.ndarray:
        """Standardised divergence by each mark, (n_marks,)."""
        kl = self.arrays[f"{images}_kl_mean"]
        return standardised(np.log(np.maximum(kl, CLIP)))

    def on_label(self, values: np.ndarray) -> np.ndarray:
        """values (n_marks, n_classes) at the label, (n_marks,)."""
        assert self.labels is not None  # where a detector asks for it
        return detection.on_class(values, self.labels)


def pool(
    predict: Predict,
    marks: np.ndarray,
    images: torch.Tensor,
    *,
    gives: Literal["probabilities", "logits"],
    position: tuple[int, int] = (1, 1),
    batch_size: int = 1_000,
) -> Pool:
    """Ask a model about every mark at one place, on images and on a black one.

    The scores are the book's default detectors, with the pool in the place of permutations of one mark's pixels.

    Args:
        predict: of float images (n, C, H, W) in [0, 1], n at most `batch_size`, the outputs (n, n_classes).
        marks: (n_marks, 1 or C, h, w) in [0, 1].
        images: (n_images, C, H, W), floating in [0, 1], of any kind; those of the training set are not needed.
        gives: what the outputs are. Probabilities may be rounded, also to zero and one.
        position: row and column of the marks' top-left pixel.
        batch_size: images that are sent at once.

    Raises:
        ValueError: what `ufm.measures.response.BlackBox` refuses, but for rounding.
        NotAuditable: no mark moves the outputs on any of the images, as may be where these are classes alone.
    """
    logits = in_logarithms(predict) if gives == "probabilities" else predict
    stamped = torch.as_tensor(marks, dtype=images.dtype, device=images.device)
    arrays: dict[str, np.ndarray] = {}
    for kind, some in (("ood", images), ("black", torch.zeros_like(images[:1]))):
        answers = BlackBox(
            logits, some, gives="logits", position=position, shape=marks.shape[-2:], batch_size=batch_size
        )
        arrays |= {f"{kind}_{name}": values for name, values in moved(answers, stamped).items()}
    if not any(arrays[f"{kind}_shift"].any() for kind in ("ood", "black")):
        raise NotAuditable(f"predict: none of {len(marks)} marks moves the outputs on any of {len(images)} images")
    among = Among(arrays)
    labels = range(arrays["ood_shift"].shape[-1])
    known = [LABEL_KNOWN.statistic(replace(among, labels=np.array(label))) for label in labels]
    return Pool(DEFAULT.statistic(among), np.stack(known, -1), n_queries(len(marks), len(images)))


def n_queries(n_marks: int, n_images: int) -> int:
    """How many images are sent for so many marks: each with every mark and without, and a black one."""
    return (1 + n_marks) * (1 + n_images)


def moved(answers: Response, marks: torch.Tensor) -> dict[str, np.ndarray]:
    """Mean shift (n_marks, n_classes) and mean KL divergence (n_marks,) of a model's outputs by each mark, in nats."""
    log_clean = answers.clean.log_softmax(-1)
    shifts, divergences = [], []
    for few in marks.split(MARKS_AT_ONCE):
        logits = answers.logits(few)
        shift = (logits - answers.clean).double().mean(1)
        shifts.append(shift - shift.mean(-1, keepdim=True))
        divergences.append(kl_divergence(log_clean, logits.log_softmax(-1)).double().mean(1))
    return {"shift": torch.cat(shifts).numpy(force=True), "kl_mean": torch.cat(divergences).numpy(force=True)}


def standardised(values: np.ndarray) -> np.ndarray:
    """Values (n_marks, …) less their mean, over their standard deviation; 0 where all are equal."""
    spread = values.std(0, ddof=1)
    return (values - values.mean(0)) / np.where(spread > 0, spread, 1)


def in_logarithms(predict: Predict) -> Callable[[torch.Tensor], np.ndarray]:
    """The logarithms of probabilities, which may be rounded; of zero it is that of 1e-7, as in the published score."""

    def logarithms(batch: torch.Tensor) -> np.ndarray:
        given = np.asarray(predict(batch), dtype=np.float64)
        if given.ndim == 2 and np.isfinite(given).all():
            tolerance = HALF_A_DIGIT * given.shape[1] + SUM_TOLERANCE
            if (given < 0).any() or (np.abs(given.sum(1) - 1) > tolerance).any():
                raise ValueError("predict: gave what are no probabilities; are they logits?")
        return np.log(np.clip(given, CLIP, 1))

    return logarithms
