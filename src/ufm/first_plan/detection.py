"""C2: whether the feature and a model's outputs are enough to show what it memorised."""

from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from math import isnan, nan
from typing import TypeVar

import pandas as pd

from ufm.evidence import Cards, learnt, plain
from ufm.evidence.detectors import DEFAULT
from ufm.evidence.performance import evidence
from ufm.first_plan.claims import Claim, Outcome, Result, n_seeds
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import THRESHOLDS

T = TypeVar("T")
CLAIM = Claim(
    "C2",
    "The feature and the model's outputs are enough to show it.",
    "detection",
    "how often the outputs put a network that learnt the letter before one that never saw it; one half is guessing",
)
CHOSEN_ON = "mnist-small"  # the population on which the detector was chosen, so no part of C2's evidence


class Verdict(StrEnum):
    """The plan's, on a set of C2."""

    TOLD = "told from guessing"
    NOT_TOLD = "not told from guessing"
    TOO_FEW = "cannot be decided"


def result(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """C2, a set a population."""
    there, asked = deciding(plain(populations)), deciding(plain(planned))
    if not there:
        return None
    table = sets(there)
    agree, n = int((table["low"] > 0.5).sum()), n_seeds(there.values())
    return Result(table, partial(detectable, table), agree, len(table), len(asked), "area", n)


def deciding(populations: Mapping[str, T]) -> dict[str, T]:
    """The populations, or their sweeps, that decide C2: those that the detector was not chosen on."""
    return {name: one for name, one in populations.items() if name != CHOSEN_ON}


def sets(populations: Mapping[str, Cards], host: str = "hard") -> pd.DataFrame:
    """C2, a row a population that the detector was not chosen on.

    Columns: population, n (seeds whose canary learnt the letter), n_seeds, estimate, low, high (area of the default
    detector), p (exchange test), verdict. NaN where too few canaries learnt the letter, or where seeds are pending.
    """
    rows = []
    for cards in populations.values():
        n_learnt = int(learnt(cards, host).sum())
        row = {"population": cards.title, "n": n_learnt, "n_seeds": len(cards.seeds)}
        decides = n_learnt >= THRESHOLDS.fewest_learnt and cards.complete
        nothing = {"estimate": nan, "low": nan, "high": nan, "p": nan}
        area = evidence(DEFAULT, cards, host) if decides else nothing
        told = Verdict.TOLD if area["low"] > 0.5 else Verdict.NOT_TOLD
        rows.append(area | row | {"verdict": Verdict.TOO_FEW if isnan(area["low"]) else told})
    return pd.DataFrame(rows)[["population", "n", "n_seeds", "estimate", "low", "high", "p", "verdict"]]


def detectable(table: pd.DataFrame, p_corrected: float) -> Outcome:
    """C2's outcome from its sets and the claim's corrected p."""
    above = (table["low"] > 0.5).to_numpy()
    if above.all() and p_corrected < THRESHOLDS.level:
        return Outcome.HOLDS
    if above.any():
        return Outcome.IN_PART
    return Outcome.DOES_NOT_HOLD if (table["high"] < THRESHOLDS.smallest_area).all() else Outcome.UNDECIDED
