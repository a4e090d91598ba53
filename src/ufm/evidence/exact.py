"""Exact evidence from marks that were drawn before training: their ranks among the draws that were not used.

If a model depends on none of the marks, those that were planted and those that were not are exchangeable in it,
whatever else it is; so is every score that treats them alike. All that is random is the draw, whose law is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from ufm.statistics import permutation_p_value

BATCH = 1_000  # draws at a time


@dataclass(frozen=True, eq=False)
class Place:
    """Marks that were planted at one place of their images, and how a model answers the whole pool there."""

    scores: np.ndarray  # (n_planted, n_pool): of each mark of the pool, seen under the label of each planted one
    planted: np.ndarray  # (n_planted,) where in the pool the planted ones are
    unused: np.ndarray  # (n_unused,) where in it those are that were never stamped


@dataclass(frozen=True)
class Combined:
    """What all planted marks say together."""

    statistic: float  # sum of the planted marks' scores
    z: float  # the same, in standard deviations over draws from their mean
    p: float  # one-sided, in (0, 1]: the share of draws with as large a sum, the observed one counted
    n: int  # planted marks
    smallest: float  # the p that those of the pool would have had which score highest, whichever they are


def mark_p_values(place: Place) -> np.ndarray:
    """p-value (n_planted,) of each planted mark: its rank among those that were never stamped, exact and one-sided."""
    own = place.scores[np.arange(len(place.planted)), place.planted]
    return permutation_p_value(own, place.scores[:, place.unused])


def combined(places: Sequence[Place], *, n_draws: int = 99_999, seed: int = 0) -> Combined:
    """Whether the planted marks score higher than as many others, drawn from planted and unused ones alike.

    Every draw gives each image another mark of the pool of its place, no mark twice. Exact whatever the model and
    however many draws are made (Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9, 2010),
    if no mark is in the pools of two places: what is drawn at one would else say something of the other.

    Raises ValueError: nothing was planted, or a pool holds nothing else.
    """
    if not any(len(place.planted) for place in places):
        raise ValueError("registry: no mark was planted, so there is nothing to look for")
    rng, observed, best, null = np.random.default_rng(seed), 0.0, 0.0, np.zeros(n_draws)
    for place in places:
        pool, slots = np.concatenate([place.planted, place.unused]), np.arange(len(place.planted))
        if not len(place.unused):
            raise ValueError("draws: without marks that were never stamped there is nothing to compare with")
        observed += float(place.scores[slots, place.planted].sum())
        best += float(place.scores[:, pool][linear_sum_assignment(place.scores[:, pool], maximize=True)].sum())
        for start in range(0, n_draws, BATCH):
            n = min(BATCH, n_draws - start)
            drawn = pool[rng.random((n, len(pool))).argpartition(len(slots) - 1, axis=1)[:, : len(slots)]]
            drawn = rng.permuted(drawn, axis=1)  # the chosen ones come in no random order
            null[start : start + n] += place.scores[slots, drawn].sum(1)
    rounding = 1e-9 * max(1.0, float(np.abs(null).max()))
    p, smallest = (float(permutation_p_value(value - rounding, null)) for value in (observed, best))
    z = (observed - null.mean()) / null.std() if null.std() > 0 else 0.0
    return Combined(observed, float(z), p, sum(len(place.planted) for place in places), smallest)
