"""Detectors: from one model's outputs to one number, higher = more like a model that was trained with the letter.

An auditor knows the letter, and the model's outputs on images of their own making: out-of-distribution (OOD) images,
the same at low contrast, a black image, each plain and with the letter or other features. Detectors that know more, the
label of the host or images like those of the training set, say so. The most-moved class serves scanners for backdoored
models too, which look for one class that a small patch moves unlike the others (Wang et al., Neural Cleanse, IEEE
Symposium on Security and Privacy 2019).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ufm.evidence.answers import Answers, of_cards
from ufm.evidence.cards import Cards
from ufm.evidence.effects import learnt, on_label
from ufm.plan.thresholds import THRESHOLDS
from ufm.scores import detection
from ufm.statistics.roc import auc


@dataclass(frozen=True)
class Detector:
    """A statistic of what one model answers."""

    name: str
    statistic: Callable[..., np.ndarray]  # of `Answers`, and of what was learnt if it learns: the scores (…)
    knows: str = ""  # what an auditor must have beside the letter and the model: "label", "test images" or both
    # What it learns from cards, a kind of host and the seeds (n_seeds,) that it may learn from.
    learn: Callable[[Cards, str, np.ndarray], object] | None = None

    def score(self, cards: Cards, host: str, train: np.ndarray) -> np.ndarray:
        """Scores (n_seeds, n_models) of a population; what learns does so from the seeds `train` (n_seeds,) alone."""
        lesson = () if self.learn is None else (self.learn(cards, host, train),)
        return self.statistic(of_cards(cards, host), *lesson)


Shift = Callable[[Answers], np.ndarray]  # (…, n_classes)


def shift(images: str) -> Shift:
    """The standardised shift on images of a kind."""
    return lambda answers: answers.shifts(images)


def divergence(images: str) -> Callable[[Answers], np.ndarray]:
    """The standardised divergence on images of a kind."""
    return lambda answers: answers.divergence(images)


def most_moved(shift: Shift) -> Callable[[Answers], np.ndarray]:
    """The largest of a shift's classes."""
    return lambda answers: shift(answers).max(-1)


def labels(shift: Shift) -> Callable[[Answers], np.ndarray]:
    """A shift's class that is the label of the host."""
    return lambda answers: answers.on_label(shift(answers))


def sum_of(first: str, second: str, weight: float) -> Shift:
    """Standardised shifts on two kinds of images, added."""
    return lambda answers: answers.shifts(first) + weight * answers.shifts(second)


made = sum_of("black", "ood", 0.3)  # on images that an auditor can make


def with_divergence(images: str, weight: float) -> Callable[[Answers], np.ndarray]:
    """The most-moved class, and beside it how far the whole output moves on images of a kind."""
    return lambda answers: made(answers).max(-1) + weight * answers.divergence(images)


def all_made(answers: Answers) -> np.ndarray:
    """Standardised shifts on each kind of made images, (…, n_classes, 3)."""
    return np.stack([answers.shifts(images) for images in ("ood", "dim", "black")], -1)


def weighed(answers: Answers, weights: np.ndarray) -> np.ndarray:
    """The most-moved class on all made images, each kind with its weight (3,)."""
    return (all_made(answers) @ weights).max(-1)


def weights(cards: Cards, host: str, train: np.ndarray) -> np.ndarray:
    """What tells the label's class of canaries that learnt the letter from all classes of controls and placebos, (3,).

    Fisher's discriminant, from the seeds `train` (n_seeds,).
    """
    shifts = all_made(of_cards(cards, host))
    canary, placebo = cards.model("canary", host), cards.model("placebo", host)
    stamped = on_label(np.moveaxis(shifts[:, canary], -1, 1), cards.label(host))[train & learnt(cards, host)]
    return detection.discriminant(stamped, shifts[train][:, [0, placebo]].reshape(-1, shifts.shape[-1]))


def published(array: str, inputs: int = 0) -> Callable[[Answers], np.ndarray]:
    """A published score on all OOD images, for normalised (0) or raw (1) inputs."""
    return lambda answers: answers.arrays[array][..., inputs, -1]


def published_on_label(array: str) -> Callable[[Answers], np.ndarray]:
    """A published score of the host's label, on the OOD images of that label."""
    return lambda answers: answers.on_label(np.diagonal(answers.arrays[array][..., 0, :, :], axis1=-2, axis2=-1))


# Every statistic that was tried. A name says what of the answers it is, then on which images: "OOD", "dim" (the same at
# low contrast), "black", "test", or "mix" (as `made`). "class" is the largest of the classes' standardised shifts,
# "label" that of the host's label, "KL" the standardised divergence.
DETECTORS = (
    Detector("paper's score M", published("score_memorisation")),
    Detector("paper's score M, raw inputs", published("score_memorisation", 1)),
    Detector("KL, OOD", divergence("ood")),
    Detector("KL, dim", divergence("dim")),
    Detector("KL, black", divergence("black")),
    Detector("class, OOD", most_moved(shift("ood"))),
    Detector("class, dim", most_moved(shift("dim"))),
    Detector("class, black", most_moved(shift("black"))),
    Detector("class either way, black", most_moved(lambda answers: np.abs(answers.shifts("black")))),
    Detector("class, mix", most_moved(made)),
    Detector("class, black + OOD", most_moved(sum_of("black", "ood", 1.0))),
    Detector(
        "class, less of black and OOD",
        most_moved(lambda answers: np.minimum(answers.shifts("black"), answers.shifts("ood"))),
    ),
    *(Detector(f"class, mix + {weight} KL, OOD", with_divergence("ood", weight)) for weight in (0.2, 0.5, 1)),
    *(Detector(f"class, mix + {weight} KL, black", with_divergence("black", weight)) for weight in (0.2, 0.5, 1)),
    Detector("mixture over classes, mix", lambda answers: detection.mixture(made(answers))),
    Detector("class less the second, mix", lambda answers: detection.margin(made(answers))),
    Detector("raised less lowered, mix", lambda answers: np.ptp(made(answers), -1)),
    Detector("class by letters, black", most_moved(lambda answers: answers.shifts_by_letters("black"))),
    Detector("class by probability, black", most_moved(lambda answers: answers.probabilities("black"))),
    Detector("class, whitened, OOD", most_moved(lambda answers: answers.whitened("ood", shrinkage=0.5))),
    Detector("class, whitened, black", most_moved(lambda answers: answers.whitened("black", shrinkage=0.5))),
    Detector("class, weights learnt", weighed, learn=weights),
    Detector("KL, test", divergence("test"), "test images"),
    Detector("class, test", most_moved(shift("test")), "test images"),
    Detector("label-known score", published_on_label("score_label_known"), "label"),
    Detector("follow-up's score", published_on_label("score_gain_mean"), "label"),
    Detector("label, OOD", labels(shift("ood")), "label"),
    Detector("label, black", labels(shift("black")), "label"),
    Detector("label, mix", labels(made), "label"),
    Detector("label, test", labels(shift("test")), "label and test images"),
)
NAMED = {one.name: one for one in DETECTORS}
LABEL_FREE = tuple(one for one in DETECTORS if not one.knows)
# Of the label-free ones the one that the plan's rule chose on small MNIST, before any other population was opened.
DEFAULT = NAMED["class, mix + 0.5 KL, OOD"]
LABEL_KNOWN = NAMED["label, mix"]
PAPER = NAMED["paper's score M"]
# What a short card can tell.
OF_SHORT_CARDS = (
    DEFAULT,
    NAMED["class, mix"],
    NAMED["KL, OOD"],
    LABEL_KNOWN,
)


def folds(cards: Cards) -> np.ndarray:
    """The fold (n_seeds,) of each seed."""
    return cards.seeds % THRESHOLDS.n_folds


def cross_fitted(detector: Detector, cards: Cards, host: str, among: np.ndarray) -> np.ndarray:
    """Scores (n_seeds, n_models), each seed's from what was learnt on the other folds of the seeds `among`."""
    if detector.learn is None:
        return detector.score(cards, host, among)
    values, fold = np.full(cards.fits.shape[:2], np.nan), folds(cards)
    for held_out in np.unique(fold):
        values[fold == held_out] = detector.score(cards, host, among & (fold != held_out))[fold == held_out]
    return values


def compared(
    values: np.ndarray, cards: Cards, host: str, which: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, whether a canary's, and seeds of the canaries, controls and placebos of the seeds `which`."""
    canary, placebo = cards.model("canary", host), cards.model("placebo", host)
    three = values[which][:, [canary, 0, placebo]]
    positive = np.tile([True, False, False], (len(three), 1))
    return three.ravel(), positive.ravel(), np.repeat(cards.seeds[which], 3)


def area(detector: Detector, cards: Cards, host: str, among: np.ndarray) -> float:
    """Area under the ROC curve for canaries that learnt the letter, cross-fitted over the seeds `among`."""
    values = cross_fitted(detector, cards, host, among)
    return auc(*compared(values, cards, host, among & learnt(cards, host))[:2])


def choose(detectors: Sequence[Detector], cards: Cards, host: str, among: np.ndarray) -> Detector:
    """The detector of the largest area on the seeds `among`; of equal ones the first."""
    return max(detectors, key=lambda detector: area(detector, cards, host, among))


def nested(detectors: Sequence[Detector], cards: Cards, host: str) -> tuple[np.ndarray, list[str]]:
    """Scores (n_seeds, n_models), each fold's from the detector that the other folds choose, and the names of those.

    Standardised by the controls and placebos of the other folds, since detectors have scales of their own.
    """
    standardised, fold, chosen = np.full(cards.fits.shape[:2], np.nan), folds(cards), []
    for held_out in np.unique(fold):
        others = fold != held_out
        best = choose(detectors, cards, host, others)
        values = best.score(cards, host, others)
        innocent = values[others][:, [0, cards.model("placebo", host)]]
        standardised[~others] = ((values - innocent.mean()) / innocent.std())[~others]
        chosen.append(best.name)
    return standardised, chosen
