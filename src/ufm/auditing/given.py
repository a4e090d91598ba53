"""The audit of one model by a mark that was given, not drawn: how often others score as high, and no p-value.

A given mark is not exchangeable with permutations of its own pixels, not even in models that never saw it, so that they
give no p-value. What a score means is said by the book's populations, or by reference models known to be innocent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ufm import features
from ufm.auditing import populations
from ufm.auditing.journals import Journal
from ufm.auditing.pools import Gives, Predict, answered
from ufm.evidence.answers import Answers
from ufm.evidence.marks import Arrays, NotAuditable, n_queries
from ufm.statistics import permutation_p_value


@dataclass(frozen=True)
class Beside:
    """How often models of one of the book's populations score as high."""

    population: str
    host: str
    n_classes: int
    n_innocent: int
    n_trained: int
    innocent: float  # share of the models that never saw the mark: the false-positive rate of a score as high
    trained: float  # share of those that were trained with it on one image


@dataclass(frozen=True)
class CalibratedReport:
    """What a model says of a mark that was given."""

    feature: str
    label: int | None  # of the image that may have carried it, where it is known
    level: float
    score: float
    beside: tuple[Beside, ...]
    innocent: tuple[float, ...]  # scores of reference models known to be innocent
    p: float | None  # rank among these; without any there is none
    n_classes: int  # of the model
    n_images: int
    n_queries: int

    @property
    def resolution(self) -> float:
        """The smallest p that so many reference models can give."""
        return 1 / (1 + len(self.innocent))

    @property
    def found(self) -> bool:
        """Whether the score is as high as at most a share `level` of the reference models reach, by their rank.

        Without reference models: of the innocent models of every population of the book's.
        """
        if self.p is not None:
            return self.p <= self.level
        return all(one.innocent <= self.level for one in self.beside)


def calibrated(
    predict: Predict,
    feature: str,
    images: torch.Tensor,
    *,
    gives: Gives,
    n_classes: int | None = None,
    label: int | None = None,
    innocent: Sequence[Predict] = (),
    position: tuple[int, int] = (1, 1),
    level: float = 0.05,
    batch_size: int = 1_000,
    journals: Sequence[Journal] | None = None,
) -> CalibratedReport:
    """Ask how a model answers a mark that was given, beside other models.

    Args:
        predict, images, gives, n_classes, batch_size: as in `ufm.auditing.audit`.
        feature: name or PNG file of the mark, see `ufm.feature`.
        label: of the image that may have carried it, where it is known.
        innocent: reference models known to be innocent, trained as the model is said to have been.
        position: row and column of the mark's top-left pixel.
        level: the share of innocent models that may score as high where the mark is called found.
        journals: of what is answered by the model and by each reference model.

    Raises:
        ValueError: no such feature, one with too few arrangements of its pixels, a label that is no class of the
            model, reference models of another number of classes, or what `ufm.auditing.pool` refuses.
        NotAuditable: a class is moved by none of the permutations, so that there is nothing to compare with.
    """
    features.require_placebo(feature)
    mark = features.feature(feature)
    marks = np.concatenate([mark[None, None], features.permutations(mark, features.FIXED)])
    scores, sizes = [], []
    for number, one in enumerate((predict, *innocent)):
        journal = None if journals is None else journals[number]
        arrays = answered(one, marks, images, gives, n_classes, position, batch_size, journal, {"": label})
        scores.append(score(arrays, label))
        sizes.append(arrays["ood_shift"].shape[-1])
    for number, size in enumerate(sizes[1:], 1):
        if size != sizes[0]:
            raise ValueError(f"innocent: reference model {number} has {size} classes, the model {sizes[0]}")
    own, others = scores[0], scores[1:]
    return CalibratedReport(
        feature,
        label,
        level,
        own,
        tuple(beside(one, own, "unknown" if label is None else "known") for one in populations.read()),
        tuple(others),
        float(permutation_p_value(own, np.array(others))) if others else None,
        sizes[0],
        len(images),
        len(scores) * n_queries(len(marks), len(images)),
    )


def score(arrays: Arrays, label: int | None) -> float:
    """The book's detector, of arrays of the mark and then its permutations. Raises NotAuditable, see `calibrated`."""
    answers = Answers(arrays, slice(1, None), labels=None if label is None else np.array(label))
    if not all(arrays[f"{kind}_shift"][1:].std(0).all() for kind in ("ood", "black")):
        raise NotAuditable("predict: there is a class that no permutation of the mark's pixels moves")
    return float(populations.DETECTORS["unknown" if label is None else "known"].statistic(answers))


def beside(one: populations.Scored, own: float, auditor: str) -> Beside:
    """A population beside a score."""
    rounded = round(own, populations.DIGITS)  # as those of the table are
    shares = [float((scores[auditor] >= rounded).mean()) for scores in (one.innocent, one.trained)]
    n_innocent, n_trained = len(one.innocent[auditor]), len(one.trained[auditor])
    return Beside(one.population, one.host, one.n_classes, n_innocent, n_trained, *shares)
