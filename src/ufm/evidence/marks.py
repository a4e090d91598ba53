"""Scores of a model for each mark of a pool, by how they move its outputs.

Every mark is treated alike, so that if the model depends on none of them their scores are exchangeable.
"""

from dataclasses import dataclass, replace

import numpy as np

from ufm.evidence.detectors import DEFAULT, LABEL_KNOWN
from ufm.measures.layout import LOT_IMAGES as KINDS
from ufm.scores import CLIP, detection

Arrays = dict[str, np.ndarray]


class NotAuditable(ValueError):
    """The outputs say nothing about any mark."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Scores of a model for each mark, higher = more like a model that was trained with it."""

    unknown: np.ndarray  # (n_marks,) where the label of the image is not known
    known: np.ndarray  # (n_marks, n_classes) by the label that it has
    n_queries: int  # images that were sent to the model
    slope: (
        np.ndarray
    )  # (n_classes,) by how much `known` rises with each nat that a mark moves a class by, on all images


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


class Slopes(Among):
    """In the place of each standardised shift, by how much it rises with a nat; 0 where no mark moves a class."""

    def shifts(self, images: str) -> np.ndarray:
        """(1, n_classes)."""
        spread = self.arrays[f"{images}_shift"].std(0, ddof=1, keepdims=True)
        return np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0)


def scored(arrays: Arrays, n_images: int) -> Pool:
    """The scores of marks by how they move the outputs on so many images. Raises NotAuditable as `pool` does."""
    n_marks = len(arrays["ood_shift"])
    if not any(arrays[f"{kind}_shift"].any() for kind in KINDS):
        raise NotAuditable(f"predict: none of {n_marks} marks moves the outputs on any of {n_images} images")
    among = Among(arrays)
    [slope] = by_label(Slopes(arrays))  # which a detector that is linear in the shifts gives in the place of a score
    return Pool(DEFAULT.statistic(among), by_label(among), n_queries(n_marks, n_images), slope)


def by_label(among: Among) -> np.ndarray:
    """The score (n_marks, n_classes) of every mark where the label of its image is known, for each that it may have."""
    labels = range(among.arrays["ood_shift"].shape[-1])
    return np.stack([LABEL_KNOWN.statistic(replace(among, labels=np.array(label))) for label in labels], -1)


def n_queries(n_marks: int, n_images: int) -> int:
    """How many images are sent for so many marks: each with every mark and without, and a black one."""
    return (1 + n_marks) * (1 + n_images)


def standardised(values: np.ndarray) -> np.ndarray:
    """Values (n_marks, …) less their mean, over their standard deviation; 0 where all are equal."""
    spread = values.std(0, ddof=1)
    return (values - values.mean(0)) / np.where(spread > 0, spread, 1)
