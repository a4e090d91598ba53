"""Detectors: from one model's outputs to one number, higher = more like a model that was trained with the letter.

An auditor knows the letter, and the model's outputs on images of their own making: out-of-distribution (OOD) images,
the same at low contrast, a black image, each plain and with the letter or other features. Detectors that know more, the
label of the host or images like those of the training set, say so. The most-moved class serves scanners for backdoored
models too, which look for one class that a small patch moves unlike the others (Wang et al., Neural Cleanse, IEEE
Symposium on Security and Privacy 2019).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ufm.evidence.cards import Cards
from ufm.evidence.effects import learnt, on_label, patch_effects
from ufm.plan.thresholds import THRESHOLDS
from ufm.statistics.roc import auc


@dataclass(frozen=True)
class Detector:
    """A statistic of one model's outputs.

    `score` takes cards, a kind of host and the seeds (n_seeds,) from which it may learn, and gives (n_seeds, n_models).
    """

    name: str
    score: Callable[[Cards, str, np.ndarray], np.ndarray]
    knows: str = ""  # what an auditor must have beside the letter and the model: "label", "test images" or both
    learns: bool = False  # whether the scores depend on the seeds from which it may learn


def standardised_shift(effects: np.ndarray, null: np.ndarray) -> np.ndarray:
    """How far the letter moves each class, in standard deviations over permutations of its pixels.

    z_k = (s_k − mean s_k(permutations)) / sd s_k(permutations), of patch effects s: (…, n_classes) of the letter and
    (…, n_permutations, n_classes). Raises ValueError: fewer than two permutations, or a class that none of them moves.
    """
    if null.shape[-2] < 2:
        raise ValueError(f"standardising needs at least two permutations, not {null.shape[-2]}")
    spread = null.std(-2, ddof=1)
    if not (spread > 0).all():
        raise ValueError("permutations all move a class alike, so there is nothing to standardise by")
    return (effects - null.mean(-2)) / spread


@lru_cache(maxsize=64)  # most detectors ask for it, once a fold
def z(cards: Cards, images: str) -> np.ndarray:
    """The letter's standardised shift on images of a kind, (n_seeds, n_models, n_classes)."""
    effects = patch_effects(cards, images)
    return standardised_shift(effects[:, :, 0], effects[:, :, cards.permutations])


@lru_cache(maxsize=64)
def divergence(cards: Cards, images: str) -> np.ndarray:
    """log KL(clean ‖ letter), in standard deviations over permutations, (n_seeds, n_models)."""
    log_kl = np.log(np.maximum(cards.arrays[f"{images}_kl_mean"], 1e-7))
    return standardised_shift(log_kl[..., :1], log_kl[..., cards.permutations, None])[..., 0]


def probability(cards: Cards, images: str) -> np.ndarray:
    """Standardised shift of the probability, (n_seeds, n_models, n_classes), by the permutations of the short list."""
    gain = cards.arrays[f"{images}_probability"]
    return standardised_shift(gain[:, :, 0], gain[:, :, cards.permutations])


def matched(cards: Cards, images: str, *, shrinkage: float) -> np.ndarray:
    """Shift towards each class alone, whitened over permutations: a matched filter, (n_seeds, n_models, n_classes).

    d_kᵀ S⁻¹ e / √(d_kᵀ S⁻¹ d_k) with e the specific effect, d_k class k against the mean of the classes and S the
    covariance of the permutations' effects, shrunk by `shrinkage` towards its diagonal: a letter of 5 × 5 pixels has
    about 24 independent permutations.
    """
    effects = patch_effects(cards, images)
    null = effects[:, :, cards.permutations]
    deviations = null - null.mean(2, keepdims=True)
    covariance = np.einsum("smpk,smpl->smkl", deviations, deviations) / (null.shape[2] - 1)
    n_classes = covariance.shape[-1]
    diagonal = covariance * np.eye(n_classes)
    inverse = np.linalg.inv((1 - shrinkage) * covariance + shrinkage * diagonal)
    towards = np.eye(n_classes) - 1 / n_classes
    specific = effects[:, :, 0] - null.mean(2)
    along = np.einsum("kj,smjl,sml->smk", towards, inverse, specific)
    return along / np.sqrt(np.einsum("kj,smjl,kl->smk", towards, inverse, towards))


def most_moved(shift: Callable[[Cards], np.ndarray]) -> Callable[[Cards, str, np.ndarray], np.ndarray]:
    """The largest of a shift's classes."""
    return lambda cards, host, train: shift(cards).max(-1)


def labels(shift: Callable[[Cards], np.ndarray]) -> Callable[[Cards, str, np.ndarray], np.ndarray]:
    """A shift's class that is the label of the seed's host."""
    return lambda cards, host, train: on_label(shift(cards), cards.label(host))


def weighed(cards: Cards, host: str, train: np.ndarray) -> np.ndarray:
    """Standardised shifts on all made images, weighed by Fisher's discriminant on the seeds it may learn from.

    (n_seeds, n_models, n_classes). The discriminant tells the label's class of canaries that learnt the letter from
    all classes of controls and placebos (Fisher, Annals of Eugenics 7, 1936). Where none learnt it all weigh alike.
    """
    shifts = np.stack([z(cards, images) for images in ("ood", "dim", "black")], -1)
    canary, placebo = cards.model("canary", host), cards.model("placebo", host)
    stamped = on_label(np.moveaxis(shifts[:, canary], -1, 1), cards.label(host))[train & learnt(cards, host)]
    if not len(stamped):  # nothing to learn from
        return shifts.sum(-1)
    innocent = shifts[train][:, [0, placebo]].reshape(-1, shifts.shape[-1])
    weights = np.linalg.solve(np.cov(innocent.T), stamped.mean(0) - innocent.mean(0))
    return shifts @ (weights / np.linalg.norm(weights))


def made(cards: Cards) -> np.ndarray:
    """Standardised shifts on the black image and, weighing less, on OOD images, (n_seeds, n_models, n_classes)."""
    return z(cards, "black") + 0.3 * z(cards, "ood")


def with_divergence(images: str, weight: float) -> Callable[[Cards, str, np.ndarray], np.ndarray]:
    """The most-moved class, and beside it how far the whole output moves on images of a kind."""
    return lambda cards, host, train: made(cards).max(-1) + weight * divergence(cards, images)


def by_letters(cards: Cards) -> np.ndarray:
    """The letter's shift on the black image, standardised by those of the other letters."""
    effects = patch_effects(cards, "black")
    return standardised_shift(effects[:, :, 0], effects[:, :, cards.random_features.stop :])


def above_others(cards: Cards) -> np.ndarray:
    """How far the most-moved class lies above the second, (n_seeds, n_models)."""
    second, first = np.moveaxis(np.sort(made(cards), -1)[..., -2:], -1, 0)
    return first - second


def sum_of(first: str, second: str, weight: float) -> Callable[[Cards], np.ndarray]:
    """Standardised shifts on two kinds of images, added."""
    return lambda cards: z(cards, first) + weight * z(cards, second)


def published(array: str, inputs: int = 0) -> Callable[[Cards, str, np.ndarray], np.ndarray]:
    """A published score on all OOD images, for normalised (0) or raw (1) inputs."""
    return lambda cards, host, train: cards.arrays[array][:, :, inputs, -1]


def published_on_label(array: str) -> Callable[[Cards, str, np.ndarray], np.ndarray]:
    """A published score on the OOD images of the host's label."""

    def score(cards: Cards, host: str, train: np.ndarray) -> np.ndarray:
        return on_label(on_label(cards.arrays[array][:, :, 0], cards.label(host)), cards.label(host))

    return score


# Every statistic that was tried.
DETECTORS = (
    Detector("paper's score M", published("score_memorisation")),
    Detector("paper's score M, raw inputs", published("score_memorisation", 1)),
    Detector("KL divergence, OOD images", lambda cards, host, train: divergence(cards, "ood")),
    Detector("KL divergence, OOD images at 0.3 of their contrast", lambda cards, host, train: divergence(cards, "dim")),
    Detector("KL divergence, black image", lambda cards, host, train: divergence(cards, "black")),
    Detector("most-moved class, OOD images", most_moved(lambda cards: z(cards, "ood"))),
    Detector("most-moved class, OOD images at 0.3 of their contrast", most_moved(lambda cards: z(cards, "dim"))),
    Detector("most-moved class, black image", most_moved(lambda cards: z(cards, "black"))),
    Detector("most-moved class either way, black image", most_moved(lambda cards: np.abs(z(cards, "black")))),
    Detector("most-moved class, black image + 0.3 OOD images", most_moved(made)),
    Detector("most-moved class, black image + OOD images", most_moved(sum_of("black", "ood", 1.0))),
    Detector(
        "most-moved class, the less of black and OOD images",
        most_moved(lambda cards: np.minimum(z(cards, "black"), z(cards, "ood"))),
    ),
    *(
        Detector(f"most-moved class + {weight} KL divergence, OOD images", with_divergence("ood", weight))
        for weight in (0.2, 0.5, 1)
    ),
    *(
        Detector(f"most-moved class + {weight} KL divergence, black image", with_divergence("black", weight))
        for weight in (0.2, 0.5, 1)
    ),
    Detector("mixture over classes", lambda cards, host, train: np.log(np.exp(made(cards)).mean(-1))),
    Detector("most-moved class less the second", lambda cards, host, train: above_others(cards)),
    Detector("most-raised less most-lowered class", lambda cards, host, train: np.ptp(made(cards), -1)),
    Detector("most-moved class by other letters, black image", most_moved(by_letters)),
    Detector("most-raised probability, black image", most_moved(lambda cards: probability(cards, "black"))),
    Detector("whitened, OOD images", most_moved(lambda cards: matched(cards, "ood", shrinkage=0.5))),
    Detector("whitened, black image", most_moved(lambda cards: matched(cards, "black", shrinkage=0.5))),
    Detector(
        "all made images, weights learnt", lambda cards, host, train: weighed(cards, host, train).max(-1), "", True
    ),
    Detector("KL divergence, test images", lambda cards, host, train: divergence(cards, "test"), "test images"),
    Detector("most-moved class, test images", most_moved(lambda cards: z(cards, "test")), "test images"),
    Detector("label-known score", published_on_label("score_label_known"), "label"),
    Detector("follow-up's score", published_on_label("score_gain_mean"), "label"),
    Detector("label's shift, OOD images", labels(lambda cards: z(cards, "ood")), "label"),
    Detector("label's shift, black image", labels(lambda cards: z(cards, "black")), "label"),
    Detector("label's shift, black image + 0.3 OOD images", labels(made), "label"),
    Detector("label's shift, test images", labels(lambda cards: z(cards, "test")), "label and test images"),
)
NAMED = {one.name: one for one in DETECTORS}
LABEL_FREE = tuple(one for one in DETECTORS if not one.knows)
# Of the label-free ones the one that the plan's rule chose on small MNIST, before any other population was opened.
DEFAULT = NAMED["most-moved class + 0.5 KL divergence, OOD images"]
LABEL_KNOWN = NAMED["label's shift, black image + 0.3 OOD images"]
PAPER = NAMED["paper's score M"]
# What tables show of every population: the default, the paper's score, and what knowing more would give.
SHOWN = (DEFAULT, PAPER, NAMED["paper's score M, raw inputs"], LABEL_KNOWN, NAMED["KL divergence, test images"])
# What a short card can tell.
OF_SHORT_CARDS = (
    DEFAULT,
    NAMED["most-moved class, black image + 0.3 OOD images"],
    NAMED["KL divergence, OOD images"],
    LABEL_KNOWN,
)


def folds(cards: Cards) -> np.ndarray:
    """The fold (n_seeds,) of each seed."""
    return cards.seeds % THRESHOLDS.n_folds


def cross_fitted(detector: Detector, cards: Cards, host: str, among: np.ndarray) -> np.ndarray:
    """Scores (n_seeds, n_models), each seed's from what was learnt on the other folds of the seeds `among`."""
    if not detector.learns:
        return detector.score(cards, host, among)
    found, fold = np.full(cards.fits.shape[:2], np.nan), folds(cards)
    for one in np.unique(fold):
        found[fold == one] = detector.score(cards, host, among & (fold != one))[fold == one]
    return found


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
    found, fold, chosen = np.full(cards.fits.shape[:2], np.nan), folds(cards), []
    for one in np.unique(fold):
        others = fold != one
        best = choose(detectors, cards, host, others)
        values = best.score(cards, host, others)
        innocent = values[others][:, [0, cards.model("placebo", host)]]
        found[~others] = ((values - innocent.mean()) / innocent.std())[~others]
        chosen.append(best.name)
    return found, chosen
