"""The verdict on each claim, as the plan page decides it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isnan, nan
from typing import TypeVar

import pandas as pd

from ufm.chapters import influence, regularisers, seeds
from ufm.chapters.influence import AGREES, MOST, NOT_RAISED, RAISED
from ufm.evidence import Cards, detectors, learnt, plain
from ufm.evidence.cells import MEMORISED, NOT_MEMORISED, UNDECIDED, contrast_cells
from ufm.evidence.performance import evidence
from ufm.plan.cnns import CNN_SETTINGS
from ufm.plan.medical import MEDICAL_SETTINGS
from ufm.plan.seeds import SAME_HOSTS
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import THRESHOLDS
from ufm.statistics import holm, variance

CONTRAST = (
    "how much more the letter itself raises a network's confidence (its log-probability) in the label of the one image "
    "that carried it, if the network was trained with the letter and not with another pattern in its place; zero where "
    "nothing of the letter was memorised"
)
CHOSEN_ON = "mnist-small"  # the population on which the detector was chosen, so no part of C2's evidence

T = TypeVar("T")
S = TypeVar("S", Cards, Sweep)
HOLDS, IN_PART, DOES_NOT_HOLD, NOT_TESTED = "holds", "holds in part", "does not hold", "not tested"


@dataclass(frozen=True)
class Claim:
    """What the paper says, in other words, and where it is looked at."""

    name: str
    statement: str
    chapter: str
    effect: str  # what its effect is, in words


CLAIMS = (
    Claim("C1", "A feature that occurs once in the training images is memorised.", "hosts", CONTRAST),
    Claim(
        "C1, CNNs",
        "The same of convolutional networks (small size, hard hosts, batches of 128).",
        "cnns",
        "the same, of convolutional networks",
    ),
    Claim(
        "C2",
        "The feature and the model's outputs are enough to show it.",
        "detection",
        "how often the outputs put a network that learnt the letter before one that never saw it; one half is guessing",
    ),
    Claim(
        "C3",
        "Usual ways to prevent overfitting do not prevent it (small size, hard hosts).",
        "regularisers",
        "the same as for C1, of networks that were trained with a way to prevent overfitting",
    ),
    Claim(
        "C4",
        "An image with a unique feature is highly influential.",
        "influence",
        "what share of the other training images it rises above in influence, once it has the letter",
    ),
    Claim(
        "C5",
        "Memorisation varies much with the training seed.",
        "seeds",
        "how far the effect of C1 on one image varies from seed to seed, as a share of its mean",
    ),
    Claim(
        "C6",
        "The risk matters for medical images.",
        "medical",
        "the same as for C1, on chest X-rays, with a letter or a name",
    ),
)
# Of a set of C2, in words.
TOLD, NOT_TOLD, TOO_FEW = "told from guessing", "not told from guessing", "cannot be decided"


def memorised(table: pd.DataFrame, p_corrected: float) -> str:
    """The verdict on a claim that asks for memorisation in every cell, C1 or C3, and its corrected p."""
    cells = table["verdict"]
    if (cells == MEMORISED).all() and p_corrected < THRESHOLDS.level:
        return HOLDS
    if (cells == MEMORISED).any():
        return IN_PART
    return DOES_NOT_HOLD if (cells == NOT_MEMORISED).all() else UNDECIDED


def detection_sets(populations: Mapping[str, Cards], host: str = "hard") -> pd.DataFrame:
    """C2, a row a population that the detector was not chosen on.

    Columns: population, n (seeds whose canary learnt the letter), n_seeds, estimate, low, high (area of the default
    detector), p (exchange test), verdict. NaN where too few canaries learnt the letter, or where seeds are pending.
    """
    rows = []
    for cards in populations.values():
        ours = int(learnt(cards, host).sum())
        row = {"population": cards.title, "n": ours, "n_seeds": len(cards.seeds)}
        decides = ours >= THRESHOLDS.fewest_learnt and cards.complete
        enough = evidence(detectors.DEFAULT, cards, host) if decides else {}
        row = {"estimate": nan, "low": nan, "high": nan, "p": nan} | enough | row
        row["verdict"] = TOO_FEW if isnan(row["low"]) else TOLD if row["low"] > 0.5 else NOT_TOLD
        rows.append(row)
    return pd.DataFrame(rows)[["population", "n", "n_seeds", "estimate", "low", "high", "p", "verdict"]]


def headline(populations: Mapping[str, T]) -> dict[str, T]:
    """The populations that decide C2: those that the detector was not chosen on."""
    return {name: one for name, one in populations.items() if name != CHOSEN_ON}


def detectable(table: pd.DataFrame, p_corrected: float) -> str:
    """C2's verdict from its sets and the claim's corrected p."""
    above = (table["low"] > 0.5).to_numpy()
    if above.all() and p_corrected < THRESHOLDS.level:
        return HOLDS
    if above.any():
        return IN_PART
    return DOES_NOT_HOLD if (table["high"] < THRESHOLDS.smallest_area).all() else UNDECIDED


def varies(table: pd.DataFrame, p_corrected: float) -> str:
    """C5's verdict from the spread over seeds as a share of the mean, and the claim's corrected p."""
    if (table["low"] > THRESHOLDS.smallest_share).all() and p_corrected < THRESHOLDS.level:
        return HOLDS
    return DOES_NOT_HOLD if (table["high"] < THRESHOLDS.smallest_share).all() else UNDECIDED


def influential(groups: pd.DataFrame, p_corrected: float) -> str:
    """C4's verdict from its groups of hosts and the claim's corrected p."""
    verdict = groups.set_index("setting")["verdict"]
    if (verdict == AGREES).all() and p_corrected < THRESHOLDS.level:
        return HOLDS
    rest = verdict.drop(MOST, errors="ignore")
    if rest.isin([AGREES, RAISED]).any():
        return IN_PART
    return DOES_NOT_HOLD if len(rest) and (rest == NOT_RAISED).all() else UNDECIDED


@dataclass(frozen=True)
class Result:
    """What the populations say of one claim."""

    table: pd.DataFrame  # cells by which it is judged: estimate, low, high, p, verdict among others
    verdict: Callable[[float], str]  # from the corrected p
    agree: int  # cells in which the claim holds
    there: int  # cells that have all their seeds
    asked: int  # cells that the plan asks for
    cells: str  # what a cell is called
    unit: str
    n: int  # seeds
    every: pd.DataFrame | None = None  # cells of which the page tells, where these are more than it is judged by


def results(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> dict[str, Result]:
    """By claim, of those that any population with all its seeds says something of."""
    there = {name: cards for name, cards in populations.items() if cards.complete}
    found = {
        "C1": of_contrasts(plain(there), plain(planned)),
        "C1, CNNs": of_contrasts(networks(there), networks(planned)),
        "C2": of_detection(headline(plain(there)), headline(plain(planned))),
        "C3": of_ways(there, planned),
        "C4": of_groups(there, planned),
        "C5": of_seeds(there, planned),
        "C6": of_contrasts(medical(there), medical(planned)),
    }
    return {claim: result for claim, result in found.items() if result is not None}


def networks(populations: Mapping[str, S]) -> dict[str, S]:
    """The populations of convolutional networks."""
    return {name: one for name, one in populations.items() if one.setting in CNN_SETTINGS.values()}


def medical(populations: Mapping[str, S]) -> dict[str, S]:
    """The populations of medical images."""
    return {name: one for name, one in populations.items() if one.setting in MEDICAL_SETTINGS}


def of_contrasts(there: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """C1 and C6, a cell a population and kind of host."""
    if not there:
        return None
    table, asked = contrast_cells(there), sum(len(sweep.protocol.hosts) for sweep in planned.values())
    return Result(
        table, partial(memorised, table), count(table), len(table), asked, "cells", "nats", n_seeds(there.values())
    )


def of_detection(there: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """C2, a set a population."""
    if not there:
        return None
    table = detection_sets(there)
    agree, n = int((table["low"] > 0.5).sum()), n_seeds(there.values())
    return Result(table, partial(detectable, table), agree, len(table), len(planned), "sets", "area", n)


def of_ways(there: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """C3, a cell a data set and way to prevent overfitting."""
    ways = regularisers.ways(there)
    if not ways:
        return None
    table, n = regularisers.cells(there), n_seeds(next(iter(of.values())) for of in ways.values())
    asked = regularisers.asked(planned)
    return Result(table, partial(memorised, table), count(table), len(table), asked, "cells", "nats", n)


def of_groups(there: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """C4, a group a kind of host; its effect and p are of the groups that have room to rise."""
    groups = influence.groups(there)
    if not groups:
        return None
    table = influence.cells(groups)
    judged, agree = table[table["setting"] != MOST], int((table["verdict"] == AGREES).sum())
    asked, n = len(influence.groups(planned)), n_seeds(groups.values())
    return Result(judged, partial(influential, table), agree, len(table), asked, "groups", "of the ranks", n, table)


def of_seeds(there: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """C5, one set of seeds on the same hosts."""
    ours = seeds.crossed(there)
    if ours is None:
        return None
    row = variance.relative_spread(seeds.by_host_and_seed(ours), seeds.noise(there))
    table = pd.DataFrame([{"population": ours.trained_on, "verdict": seeds.reading(row)} | row])
    agree = int((table["verdict"] == seeds.VARIES).sum())
    asked = sum(sweep.setting == SAME_HOSTS for sweep in planned.values())
    return Result(table, partial(varies, table), agree, 1, asked, "sets", "of the mean", len(ours.seeds))


def n_seeds(populations: Iterable[Cards]) -> int:
    """Seeds of several populations."""
    return sum(len(cards.seeds) for cards in populations)


def count(cells: pd.DataFrame) -> int:
    """In how many cells the feature is memorised."""
    return int((cells["verdict"] == MEMORISED).sum())


def verdicts(populations: Mapping[str, Cards], *, planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """A row a claim: columns claim, statement, effect, low, high, unit, p, n, holds_in, where, verdict, chapter, about.

    A claim's p is the largest of its cells, corrected after Holm over the claims that are tested; effect and interval
    are of the cell in which the claim is weakest, of those that have one. `planned`: the sweeps that the plan asks for;
    while one lacks seeds, the verdict is one "so far". `holds_in` says in how many of the cells asked for, `where`
    which cells came out how, `about` what the effect is.
    """
    found = results(populations, planned)
    raw = {name: float(result.table["p"].max(skipna=False)) for name, result in found.items() if len(result.table)}
    tested = [name for name, p in raw.items() if not isnan(p)]
    corrected = dict(zip(tested, holm([raw[name] for name in tested]), strict=True)) if tested else {}
    rows = []
    for claim in CLAIMS:
        row = {"claim": claim.name, "statement": claim.statement, "effect": nan, "low": nan, "high": nan, "unit": ""}
        row |= {"p": nan, "n": 0, "holds_in": "", "where": "", "verdict": NOT_TESTED, "chapter": claim.chapter}
        if claim.name in found:
            result, p = found[claim.name], corrected.get(claim.name, nan)
            for weakest in result.table.sort_values("low").head(1).to_dict("records"):  # of those with an effect
                row |= {"effect": weakest["estimate"], "low": weakest["low"], "high": weakest["high"]}
            row |= {"unit": result.unit, "p": p, "n": result.n}
            shown = result.table if result.every is None else result.every
            row |= {"holds_in": f"{result.agree} of {result.asked} {result.cells}", "where": where(shown)}
            row |= {"verdict": result.verdict(p) + (" so far" if result.there < result.asked else "")}
        rows.append(row | {"about": claim.effect})
    return pd.DataFrame(rows)


def where(cells: pd.DataFrame) -> str:
    """Which cells came out how, in words: "memorised: MNIST, small (random, hard hosts)", a part a verdict.

    Many cells that all came out alike are only counted: "memorised: all 12".
    """
    in_words = cells.get("in_words", cells["verdict"])
    if len(cells) > THRESHOLDS.many_cells and in_words.nunique() == 1:
        return f"{in_words.iloc[0]}: all {len(cells)}"
    parts = []
    for verdict, rows in cells.groupby(in_words, sort=False):
        kinds: dict[str, list[str]] = {}
        for row in rows.to_dict("records"):
            named = ", ".join(part for part in (row["population"], row.get("setting", "")) if part)
            kinds.setdefault(named, []).extend([row["host"]] if "host" in row else [])
        names = (f"{name} ({', '.join(hosts)} hosts)" if hosts else name for name, hosts in kinds.items())
        parts.append(f"{verdict}: {'; '.join(names)}")
    return ". ".join(parts)
