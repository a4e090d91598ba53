"""How a model answers each mark of a pool: those of a registry and as many more that were never stamped.

Every mark is treated alike, so that if the model depends on none of them their scores are exchangeable.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from ufm.auditing.journals import Journal
from ufm.evidence.detectors import DEFAULT, LABEL_KNOWN
from ufm.measures.response import BlackBox, Response
from ufm.measures.shifts import kl_divergence
from ufm.progress import progress
from ufm.scores import CLIP, SUM_TOLERANCE, detection

MARKS_AT_ONCE = 8
HALF_A_DIGIT = 0.005  # by which a probability of two decimals may be off

KINDS = ("ood", "black")  # of images: those that are given, and a black one
GIVES = ("probabilities", "logits", "class")

Predict = Callable[[torch.Tensor], ArrayLike]
Gives = Literal["probabilities", "logits", "class"]
Arrays = dict[str, np.ndarray]


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
    gives: Gives,
    n_classes: int | None = None,
    position: tuple[int, int] = (1, 1),
    batch_size: int = 1_000,
    journal: Journal | None = None,
    labels: Mapping[str, int | None] | None = None,
) -> Pool:
    """Ask a model about every mark at one place, on images and on a black one.

    The scores are the book's default detectors, with the pool in the place of permutations of one mark's pixels.

    Args:
        predict: of float images (n, C, H, W) in [0, 1], n at most `batch_size`, the outputs (n, n_classes).
        marks: (n_marks, 1 or C, h, w) in [0, 1].
        images: (n_images, C, H, W), floating in [0, 1], of any kind; those of the training set are not needed.
        gives: what the outputs are. Probabilities may be rounded, also to zero and one; of a "class" its number, (n,)
            or (n, 1), or rows (n, n_classes) of which one value is 1.
        n_classes: how many classes there are, where the outputs do not tell.
        position: row and column of the marks' top-left pixel.
        batch_size: images that are sent at once.
        journal: of what is answered, which may hold the first of it already.
        labels: that will be looked at, by what has them: they are to be classes of the model.

    Raises:
        ValueError: what `ufm.measures.response.BlackBox` refuses, but for rounding; one class alone; a label of none.
        NotAuditable: no mark moves the outputs on any of the images, as may be where these are classes alone.
    """
    return scored(
        answered(predict, marks, images, gives, n_classes, position, batch_size, journal, labels), len(images)
    )


def scored(arrays: Arrays, n_images: int) -> Pool:
    """The scores of marks by how they move the outputs on so many images. Raises NotAuditable as `pool` does."""
    n_marks = len(arrays["ood_shift"])
    if not any(arrays[f"{kind}_shift"].any() for kind in KINDS):
        raise NotAuditable(f"predict: none of {n_marks} marks moves the outputs on any of {n_images} images")
    among = Among(arrays)
    labels = range(arrays["ood_shift"].shape[-1])
    known = [LABEL_KNOWN.statistic(replace(among, labels=np.array(label))) for label in labels]
    return Pool(DEFAULT.statistic(among), np.stack(known, -1), n_queries(n_marks, n_images))


def answered(
    predict: Predict,
    marks: np.ndarray,
    images: torch.Tensor,
    gives: Gives,
    n_classes: int | None = None,
    position: tuple[int, int] = (1, 1),
    batch_size: int = 1_000,
    journal: Journal | None = None,
    labels: Mapping[str, int | None] | None = None,
) -> Arrays:
    """How each mark moves a model's outputs: "ood_shift" (n_marks, n_classes), "ood_kl_mean" (n_marks,).

    The same of the black image, with "black" in the place of "ood". Arguments and errors as those of `pool`.
    """
    known = Journal() if journal is None else journal
    logits = in_logits(predict, gives, n_classes)
    stamped = torch.as_tensor(marks, dtype=images.dtype, device=images.device)
    some = dict(zip(KINDS, (images, torch.zeros_like(images[:1])), strict=True))
    left = sum((len(stamped) - known.n(kind)) * len(some[kind]) for kind in KINDS)
    with progress(None, "audit, queries", total=left) as bar:
        for kind in KINDS:
            answers = BlackBox(
                logits, some[kind], gives="logits", position=position, shape=marks.shape[-2:], batch_size=batch_size
            )
            if answers.clean.shape[1] < 2:
                raise ValueError("predict: gave one output an image; there must be one for each of two classes or more")
            require_labels(labels or {}, answers.clean.shape[1])
            known.recall(kind, answers.clean.numpy(force=True))
            for few in stamped[known.n(kind) :].split(MARKS_AT_ONCE):
                known.add(kind, moved(answers, few))
                bar.update(len(few) * len(some[kind]))
    return known.arrays


def require_labels(labels: Mapping[str, int | None], n_classes: int) -> None:
    """Raise a ValueError that names a label which is no class of a model, and what has it."""
    for whose, label in labels.items():
        if label is not None and not 0 <= label < n_classes:
            raise ValueError(f"label: {label}{whose} is none of the model's {n_classes} classes, from 0")


def n_queries(n_marks: int, n_images: int) -> int:
    """How many images are sent for so many marks: each with every mark and without, and a black one."""
    return (1 + n_marks) * (1 + n_images)


def moved(answers: Response, marks: torch.Tensor) -> Arrays:
    """Mean shift (n_marks, n_classes) and mean KL divergence (n_marks,) of a model's outputs by each mark, in nats."""
    logits, log_clean = answers.logits(marks), answers.clean.log_softmax(-1)
    shift = (logits - answers.clean).double().mean(1)
    shift = shift - shift.mean(-1, keepdim=True)
    divergence = kl_divergence(log_clean, logits.log_softmax(-1)).double().mean(1)
    return {"shift": shift.numpy(force=True), "kl_mean": divergence.numpy(force=True)}


def standardised(values: np.ndarray) -> np.ndarray:
    """Values (n_marks, …) less their mean, over their standard deviation; 0 where all are equal."""
    spread = values.std(0, ddof=1)
    return (values - values.mean(0)) / np.where(spread > 0, spread, 1)


def in_logits(predict: Predict, gives: Gives, n_classes: int | None = None) -> Predict:
    """What answers with logits, or with logarithms that stand for them.

    Of probabilities, which may be rounded, they are taken; of zero it is that of 1e-7, as in the published score. A
    class has probability one.

    Raises ValueError: `gives` is none of these, or a class is given and not of how many.
    """
    if gives not in GIVES:
        raise ValueError(f"gives: {gives!r} is not one of {', '.join(GIVES)}")
    if gives == "class" and (n_classes is None or n_classes < 2):
        raise ValueError("n_classes: of a class alone it must be said of how many, two or more")
    if gives == "logits":
        return predict

    def logarithms(batch: torch.Tensor) -> np.ndarray:
        given = np.asarray(predict(batch), dtype=np.float64)
        if gives == "class" and n_classes is not None:
            given = of_class(given, n_classes)
        if given.ndim == 2 and np.isfinite(given).all():
            tolerance = HALF_A_DIGIT * given.shape[1] + SUM_TOLERANCE
            if (given < 0).any() or (np.abs(given.sum(1) - 1) > tolerance).any():
                raise ValueError("predict: gave what are no probabilities; are they logits?")
        return np.log(np.clip(given, CLIP, 1))

    return logarithms


def of_class(given: np.ndarray, n_classes: int) -> np.ndarray:
    """Rows (n, n_classes) of which one value is 1, of classes that are given so or by number, (n,) or (n, 1).

    Raises ValueError: what is given is neither.
    """
    if given.ndim == 2 and given.shape[1] == n_classes:
        if not (np.isin(given, (0, 1)).all() and (given.sum(1) == 1).all()):
            raise ValueError("predict: gave more than a class; are they probabilities or logits?")
        return given
    if given.size != len(given) or not (np.isin(given, np.arange(n_classes))).all():
        raise ValueError(f"predict: gave what is no class of {n_classes}, a whole number from 0 for each image")
    return np.eye(n_classes)[given.ravel().astype(int)]
