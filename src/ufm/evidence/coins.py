"""What coins that decided about one image each let say of differential privacy."""

from dataclasses import dataclass
from math import ceil

import numpy as np

from ufm.statistics import epsilon_bound, epsilon_of_gaussian, gaussian_bound

DELTA = 1e-5


@dataclass(frozen=True)
class Privacy:
    """Lower bounds on the privacy parameters of a training, each at the level by itself.

    Two data sets are neighbours if one record of the one, an image with its mark, is replaced by the same image without
    it, under the same label.
    """

    n: int  # coins
    guesses: int  # at the marks that score highest and lowest
    correct: int
    level: float
    delta: float
    epsilon: float  # in nats: for none below is the training (ε, δ)-differentially private
    largest: float  # what as many guesses would have shown if all were right
    mu: float  # for none below is it μ-Gaussian differentially private
    epsilon_of_mu: float  # at the same δ, of a training that is so for this very μ


def privacy(scores: np.ndarray, planted: np.ndarray, *, level: float, delta: float = DELTA) -> Privacy | None:
    """Bounds from guessing coins by scores (n,) that know none of them; planted (n,): how they fell. None below two."""
    n = len(scores)
    if n < 2:
        return None
    correct, guesses = guessed(scores, planted)
    mu = gaussian_bound(correct, guesses, n, level=level)
    return Privacy(
        n,
        guesses,
        correct,
        level,
        delta,
        epsilon_bound(correct, guesses, n, delta=delta, level=level),
        epsilon_bound(guesses, guesses, n, delta=delta, level=level),
        mu,
        epsilon_of_gaussian(mu, delta),
    )


def guessed(scores: np.ndarray, planted: np.ndarray) -> tuple[int, int]:
    """How many of so many guesses are right.

    Of the marks that score highest a quarter is guessed to be planted, of those that score lowest a quarter to be kept
    back. How many that are depends on n alone, as the bounds ask, and which on the scores.
    """
    each, order = ceil(len(scores) / 4), scores.argsort(kind="stable")
    return int(planted[order[-each:]].sum() + (~planted[order[:each]]).sum()), 2 * each
