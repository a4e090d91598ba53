"""How a model answers each mark of a pool: those of a registry and as many more that were never stamped."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import softmax

from ufm.auditing.journals import Journal
from ufm.evidence.marks import KINDS, Arrays, Pool, scored
from ufm.measures.layout import LOT_KEPT as KEPT
from ufm.measures.response import BlackBox, Response
from ufm.progress import progress
from ufm.scores import CLIP, SUM_TOLERANCE, kl_divergence

MARKS_AT_ONCE = 8
HALF_A_DIGIT = 0.005  # by which a probability of two decimals may be off

GIVES = ("probabilities", "logits", "class")

Predict = Callable[[torch.Tensor], ArrayLike]
Gives = Literal["probabilities", "logits", "class"]


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
    left = sum(max(0, len(stamped) - known.n(kind)) * len(some[kind]) for kind in KINDS)
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
    return {f"{kind}_{name}": known.arrays[f"{kind}_{name}"][: len(stamped)] for kind in KINDS for name in KEPT}


def require_labels(labels: Mapping[str, int | None], n_classes: int) -> None:
    """Raise a ValueError that names a label which is no class of a model, and what has it."""
    for whose, label in labels.items():
        if label is not None and not 0 <= label < n_classes:
            raise ValueError(f"label: {label}{whose} is none of the model's {n_classes} classes, from 0")


def moved(answers: Response, marks: torch.Tensor) -> Arrays:
    """Mean shift (n_marks, n_classes) and mean KL divergence (n_marks,) of a model's outputs by each mark, in nats.

    In NumPy, which has no threads: those of torch wait by spinning, and the model needs the processors.
    """
    logits, clean = answers.logits(marks).numpy(force=True), answers.clean.numpy(force=True)
    shift, p_clean = (logits - clean).mean(1), softmax(clean, -1)
    divergence = [kl_divergence(p_clean, p).mean() for p in softmax(logits, -1)]
    return {"shift": shift - shift.mean(-1, keepdims=True), "kl_mean": np.array(divergence)}


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
