"""What detectors are given: how the outputs of one model or of many move when features are stamped."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from ufm.evidence.cards import Cards
from ufm.scores import detection


@dataclass(frozen=True, eq=False)
class Answers:
    """Arrays of one model, or of many along leading axes (…), named as those of a card.

    Of each kind of images that is asked for: "ood_shift" (…, n_features, n_classes), "ood_kl_mean" (…, n_features) and
    "ood_probability" like the shift, as `ufm.measures.shifts.shifts` gives them. The letter is the first feature.
    """

    arrays: Mapping[str, np.ndarray]
    permutations: slice  # places of the permutations of the letter's pixels among the features
    letters: slice = field(default_factory=lambda: slice(0))  # places of the other letters
    labels: np.ndarray | None = None  # of hosts, where they are known: whole numbers that broadcast to (…)

    def shifts(self, images: str) -> np.ndarray:
        """Standardised shift by the letter on images of a kind, (…, n_classes)."""
        return standardised(self, f"{images}_shift")

    def probabilities(self, images: str) -> np.ndarray:
        """The same of the gain of probability."""
        return standardised(self, f"{images}_probability")

    def shifts_by_letters(self, images: str) -> np.ndarray:
        """Shift by the letter, standardised by those by the other letters, (…, n_classes)."""
        moved = self.arrays[f"{images}_shift"]
        return detection.standardised_shift(moved[..., 0, :], moved[..., self.letters, :])

    def whitened(self, images: str, *, shrinkage: float) -> np.ndarray:
        """Shift by the letter through a matched filter, (…, n_classes)."""
        moved = self.arrays[f"{images}_shift"]
        return detection.matched_filter(moved[..., 0, :], moved[..., self.permutations, :], shrinkage=shrinkage)

    def divergence(self, images: str) -> np.ndarray:
        """Standardised divergence by the letter, (…)."""
        return diverged(self, f"{images}_kl_mean")

    def on_label(self, values: np.ndarray) -> np.ndarray:
        """values (…, n_classes) at the label of the host, (…). Raises ValueError: it is not known."""
        if self.labels is None:
            raise ValueError("labels: this detector needs the label of the host")
        return detection.on_class(values, self.labels)


@lru_cache(maxsize=64)  # most detectors ask for it, once a fold
def standardised(answers: Answers, array: str) -> np.ndarray:
    """The letter's standardised shift in an array, (…, n_classes)."""
    moved = answers.arrays[array]
    return detection.standardised_shift(moved[..., 0, :], moved[..., answers.permutations, :])


@lru_cache(maxsize=64)
def diverged(answers: Answers, array: str) -> np.ndarray:
    """The letter's standardised divergence in an array, (…)."""
    kl = answers.arrays[array]
    return detection.standardised_divergence(kl[..., 0], kl[..., answers.permutations])


@lru_cache(maxsize=64)  # so that what was standardised is found again
def of_cards(cards: Cards, host: str = "") -> Answers:
    """The answers of all models of a population, (n_seeds, n_models), and the labels of a kind of host if one is named.

    Cards with fewer permutations give answers with as many.
    """
    labels = cards.label(host)[:, None] if host else None
    return Answers(cards.arrays, cards.permutations, slice(cards.random_features.stop, None), labels)
