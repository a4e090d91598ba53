"""A claim, and what the populations say of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import pandas as pd

from ufm.evidence.cards import Cards
from ufm.evidence.cells import Verdict, contrast_cells
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import THRESHOLDS


class Outcome(StrEnum):
    """What became of a claim."""

    HOLDS = "holds"
    IN_PART = "holds in part"
    DOES_NOT_HOLD = "does not hold"
    UNDECIDED = "undecided"
    NOT_TESTED = "not tested"


@dataclass(frozen=True)
class Claim:
    """What the paper says, in other words, and where it is looked at."""

    name: str
    statement: str
    chapter: str
    effect: str  # what its effect is, in words


@dataclass(frozen=True)
class Result:
    """What the populations say of one claim.

    What the plan calls a set of C2 or C5, or a group of C4, is a cell here too.
    """

    table: pd.DataFrame  # cells by which it is judged: estimate, low, high, p, verdict among others
    outcome: Callable[[float], Outcome]  # from the corrected p
    agree: int  # cells in which the claim holds
    there: int  # cells that have all their seeds
    asked: int  # cells that the plan asks for
    unit: str
    n: int  # seeds
    every: pd.DataFrame | None = None  # cells of which the page tells, where these are more than it is judged by


def of_contrasts(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """Of a claim that asks for memorisation on every kind of host of every population; None without any."""
    if not populations:
        return None
    asked = sum(len(sweep.protocol.hosts) for sweep in planned.values())
    return of_cells(contrast_cells(populations), asked, n_seeds(populations.values()))


def of_cells(cells: pd.DataFrame, asked: int, n: int) -> Result:
    """Of a claim that asks for memorisation in every cell."""
    agree = int((cells["verdict"] == Verdict.MEMORISED).sum())
    return Result(cells, partial(memorised, cells), agree, len(cells), asked, "nats", n)


def memorised(cells: pd.DataFrame, p_corrected: float) -> Outcome:
    """The outcome of a claim that asks for memorisation in every cell, and its corrected p."""
    verdicts = cells["verdict"]
    if (verdicts == Verdict.MEMORISED).all() and p_corrected < THRESHOLDS.level:
        return Outcome.HOLDS
    if (verdicts == Verdict.MEMORISED).any():
        return Outcome.IN_PART
    return Outcome.DOES_NOT_HOLD if (verdicts == Verdict.NOT_MEMORISED).all() else Outcome.UNDECIDED


def n_seeds(populations: Iterable[Cards]) -> int:
    """Seeds of several populations."""
    return sum(len(cards.seeds) for cards in populations)
