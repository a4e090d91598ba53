"""The verdict on each claim, as the plan page decides it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isnan, nan
from typing import TypeVar

import pandas as pd

from ufm import detectors, regularisers, seed_variance
from ufm.cells import LEVEL, MEMORISED, NOT_MEMORISED, UNDECIDED, contrast_cells
from ufm.evidence import Cards, learnt, plain
from ufm.performance import evidence
from ufm.profiles import CNN_SETTINGS, SAME_HOSTS, Sweep
from ufm.statistics import holm

SMALLEST_AREA = 0.6  # the smallest area that matters
FEWEST_LEARNT = 20  # canaries, below which a set decides nothing about detection
CHOSEN_ON = "mnist-small"  # the population on which the detector was chosen, so no part of C2's evidence

T = TypeVar("T")
HOLDS, IN_PART, DOES_NOT_HOLD, NOT_TESTED = "holds", "holds in part", "does not hold", "not tested"


@dataclass(frozen=True)
class Claim:
    """What the paper says, in other words, and where it is looked at."""

    name: str
    statement: str
    chapter: str = ""


CLAIMS = (
    Claim("C1", "A feature that occurs once in the training images is memorised.", "hosts"),
    Claim("C1, CNNs", "The same of convolutional networks (small size, batches of 128).", "cnns"),
    Claim("C2", "The feature and the model's outputs are enough to show it.", "detection"),
    Claim("C3", "Usual ways to prevent overfitting do not prevent it.", "regularisers"),
    Claim("C4", "An image with a unique feature is highly influential."),
    Claim("C5", "Memorisation varies much with the training seed.", "seeds"),
    Claim("C6", "The risk matters for medical images."),
)


def memorised(table: pd.DataFrame, p_corrected: float) -> str:
    """The verdict on a claim that asks for memorisation in every cell, C1 or C3, and its corrected p."""
    cells = table["verdict"]
    if (cells == MEMORISED).all() and p_corrected < LEVEL:
        return HOLDS
    if (cells == MEMORISED).any():
        return IN_PART
    return DOES_NOT_HOLD if (cells == NOT_MEMORISED).all() else UNDECIDED


def detection_sets(populations: Mapping[str, Cards], host: str = "hard") -> pd.DataFrame:
    """C2, a row a population that the detector was not chosen on.

    Columns: population, n (seeds whose canary learnt the letter), n_seeds, estimate, low, high (area of the default
    detector), p (exchange test). NaN where too few canaries learnt the letter, or where seeds are pending.
    """
    rows = []
    for cards in populations.values():
        ours = int(learnt(cards, host).sum())
        row = {"population": cards.title, "n": ours, "n_seeds": len(cards.seeds)}
        decides = ours >= FEWEST_LEARNT and cards.complete
        enough = evidence(detectors.DEFAULT, cards, host) if decides else {}
        rows.append({"estimate": nan, "low": nan, "high": nan, "p": nan} | enough | row)
    return pd.DataFrame(rows)[["population", "n", "n_seeds", "estimate", "low", "high", "p"]]


def headline(populations: Mapping[str, T]) -> dict[str, T]:
    """The populations that decide C2: those that the detector was not chosen on."""
    return {name: one for name, one in populations.items() if name != CHOSEN_ON}


def detectable(table: pd.DataFrame, p_corrected: float) -> str:
    """C2's verdict from its sets and the claim's corrected p."""
    above = (table["low"] > 0.5).to_numpy()
    if above.all() and p_corrected < LEVEL:
        return HOLDS
    if above.any():
        return IN_PART
    return DOES_NOT_HOLD if (table["high"] < SMALLEST_AREA).all() else UNDECIDED


def varies(table: pd.DataFrame, p_corrected: float) -> str:
    """C5's verdict from the spread over seeds as a share of the mean, and the claim's corrected p."""
    if (table["low"] > seed_variance.SMALLEST_SHARE).all() and p_corrected < LEVEL:
        return HOLDS
    return DOES_NOT_HOLD if (table["high"] < seed_variance.SMALLEST_SHARE).all() else UNDECIDED


@dataclass(frozen=True)
class Result:
    """What the populations say of one claim."""

    table: pd.DataFrame  # a row a cell: estimate, low, high, p among others
    rule: Callable[[pd.DataFrame, float], str]  # from the table and the corrected p to the verdict
    agree: int  # cells in which the claim holds
    asked: int  # cells that the plan asks for
    cells: str  # what a cell is called
    unit: str
    n: int  # seeds


def results(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> dict[str, Result]:
    """By claim, of those that any population with all its seeds says something of."""
    there, found = {name: cards for name, cards in populations.items() if cards.complete}, {}
    asked = {name: sweep for name, sweep in planned.items() if not sweep.setting}
    ours = plain(there)
    if ours:
        table, n = contrast_cells(ours), sum(len(cards.seeds) for cards in ours.values())
        n_asked = sum(len(sweep.protocol.hosts) for sweep in asked.values())
        found["C1"] = Result(table, memorised, count(table), n_asked, "cells", "nats", n)
    nets = {name: cards for name, cards in there.items() if cards.setting in CNN_SETTINGS.values()}
    if nets:
        table, n = contrast_cells(nets), sum(len(cards.seeds) for cards in nets.values())
        n_asked = sum(sweep.setting in CNN_SETTINGS.values() for sweep in planned.values())
        found["C1, CNNs"] = Result(table, memorised, count(table), n_asked, "cells", "nats", n)
    ours = headline(ours)
    if ours:
        table, n = detection_sets(ours), sum(len(cards.seeds) for cards in ours.values())
        agree = int((table["low"] > 0.5).sum())
        found["C2"] = Result(table, detectable, agree, len(headline(asked)), "sets", "area", n)
    ways = regularisers.ways(there)
    if ways:
        table, n = regularisers.cells(there), sum(len(next(iter(of.values())).seeds) for of in ways.values())
        found["C3"] = Result(table, memorised, count(table), regularisers.asked(planned), "cells", "nats", n)
    ours = seed_variance.crossed(there)
    if ours is not None:
        row = seed_variance.relative_spread(seed_variance.by_host_and_seed(ours), seed_variance.noise(there))
        table = pd.DataFrame([{"population": ours.trained_on} | row])
        agree, n_asked = (
            int(row["low"] > seed_variance.SMALLEST_SHARE),
            sum(sweep.setting == SAME_HOSTS for sweep in planned.values()),
        )
        found["C5"] = Result(table, varies, agree, n_asked, "sets", "of the mean", len(ours.seeds))
    return found


def count(cells: pd.DataFrame) -> int:
    """In how many cells the feature is memorised."""
    return int((cells["verdict"] == MEMORISED).sum())


def verdicts(populations: Mapping[str, Cards], *, planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """A row a claim: columns claim, statement, effect, low, high, unit, p, n, holds_in, verdict, chapter.

    A claim's p is the largest of its cells, corrected after Holm over the claims that are tested; effect and interval
    are of the cell in which the claim is weakest, of those that have one. `planned`: the sweeps that the plan asks for;
    while one lacks seeds, the verdict is one "so far". `holds_in` says in how many of the cells asked for.
    """
    found = results(populations, planned)
    raw = {name: float(result.table["p"].max(skipna=False)) for name, result in found.items()}
    tested = [name for name, p in raw.items() if not isnan(p)]
    corrected = dict(zip(tested, holm([raw[name] for name in tested]), strict=True)) if tested else {}
    rows = []
    for claim in CLAIMS:
        row = {"claim": claim.name, "statement": claim.statement, "effect": nan, "low": nan, "high": nan, "unit": ""}
        row |= {"p": nan, "n": 0, "holds_in": "", "verdict": NOT_TESTED, "chapter": claim.chapter}
        if claim.name in found:
            result, p = found[claim.name], corrected.get(claim.name, nan)
            weakest = result.table.sort_values("low").iloc[0]  # of those with an effect
            row |= {"effect": weakest["estimate"], "low": weakest["low"], "high": weakest["high"], "unit": result.unit}
            row |= {"p": p, "n": result.n, "holds_in": f"{result.agree} of {result.asked} {result.cells}"}
            row |= {"verdict": result.rule(result.table, p) + (" so far" if len(result.table) < result.asked else "")}
        rows.append(row)
    return pd.DataFrame(rows)
