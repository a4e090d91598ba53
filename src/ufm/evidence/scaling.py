"""Lines along the axes of the plan of how memorisation scales, and its words (book/scaling-plan.md).

A seed of an axis is one of each of its points, in their order: where points are of the same seeds these are siblings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isnan, nan

import numpy as np
import pandas as pd

from ufm.evidence.cards import Cards, on_seeds
from ufm.evidence.cells import corrected
from ufm.evidence.effects import contrasts
from ufm.evidence.performance import accuracies, controls
from ufm.evidence.questions import AUDITORS, CANARY, PLACEBO, audited, ends, met
from ufm.evidence.regimes import SCALES, scaled_contrasts
from ufm.evidence.ways import Change, word
from ufm.plan.scaling import UNLIKE, Axis
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import SECOND
from ufm.statistics import bootstrap_interval, bootstrap_t_interval, columns, sign_flip_test
from ufm.statistics.lines import growth, misses, prediction, slope_weights, slopes
from ufm.statistics.roc import auc_sum, auc_sum_test

FEWEST = 3  # points of a line: through two it goes anyway
SHOWN = ("unknown", "known")  # of the auditors
NUMBERS = (*SCALES, "early", "accuracy", *(f"{who}{end}" for who in SHOWN for end in ("", "_found")))  # of a point


class Growth(StrEnum):
    """What D does along an axis."""

    GROWS = "grows"
    SHRINKS = "shrinks"
    OPPOSITE = "scales disagree"
    ONE_SCALE = "one scale alone"
    LITTLE = "changes by little"
    NOTHING = "no change shown"
    OPEN = "waits for seeds"


class Easier(StrEnum):
    """What becomes of the area of an auditor who does not know the label."""

    MORE = "told more easily"
    LESS = "told less easily"
    NOTHING = "no change shown"
    OPEN = "waits for seeds"


class Foretold(StrEnum):
    """Whether the line through the other points foretells the last."""

    YES = "foretold"
    MISSED = "missed"
    UNCHECKED = "cannot be checked"
    NOT_ASKED = "not asked"
    OPEN = "waits for seeds"


@dataclass(frozen=True, eq=False)
class Points:
    """What is there of an axis: the cards of each point that has all its seeds."""

    axis: Axis
    hosts: tuple[str, ...]  # their kinds
    cards: Mapping[float, Cards]  # by value
    n: Mapping[float, int]  # seeds that are there, by value
    needed: int  # of each point

    @property
    def complete(self) -> bool:
        """Whether no point waits for seeds."""
        return len(self.cards) == len(self.axis.points)


def of_axes(populations: Mapping[str, Cards], sweeps: Mapping[str, Sweep], axes: Sequence[Axis]) -> list[Points]:
    """Of each axis its points among the sweeps that are asked for; axes of fewer than three are left out.

    Of each point the first seeds are taken, as many as all have.
    """
    found = []
    for axis in axes:
        names = {value: name for value, name in axis.points.items() if name in sweeps}
        if len(names) < FEWEST:
            continue
        needed = min(len(sweeps[name].seeds) for name in names.values())
        cards = {
            value: on_seeds(populations[name], sweeps[name].seeds[:needed])
            for value, name in names.items()
            if name in populations
        }
        n = {value: len(cards[value].seeds) if value in cards else 0 for value in names}
        whole = {value: cards[value] for value in names if n[value] == needed}
        hosts = sweeps[next(iter(names.values()))].protocol.hosts
        found.append(Points(replace(axis, points=names), hosts, whole, n, needed))
    return found


def points(every: Sequence[Points]) -> pd.DataFrame:
    """A row an axis, value and kind of host.

    Columns: axis, value, place (in steps of the axis), host, n (seeds), needed; and of points that have all seeds nats,
    spreads (mean D in nats and over the models' own spread), early (in nats at the tenth epoch), accuracy (of the
    controls), each with its ends; epoch (mean best one of the controls); for the auditors `SHOWN` unknown and known
    (area), unknown_found and known_found (share of canaries at 5 % false alarms), each with its ends.
    """
    rows, known = [], dict[tuple, dict]()
    for one in every:
        for value, name in one.axis.points.items():
            for host in one.hosts:
                row: dict[str, object] = {"axis": one.axis.name, "value": value, "place": one.axis.place(value)}
                row |= {"host": host, "n": one.n[value], "needed": one.needed}
                if value in one.cards:
                    key = name, one.needed, host  # plain models are a point of several axes
                    known[key] = known.get(key) or point(one.cards[value], host)
                    row |= known[key]
                rows.append(row)
    named = [f"{name}{end}" for name in NUMBERS for end in ("", "_low", "_high")]
    about = ["axis", "value", "place", "host", "n", "needed"]
    return pd.DataFrame(rows, columns=[*about, *named, "epoch"])


def point(cards: Cards, host: str) -> dict[str, float]:
    """The numbers of a row of `points`."""
    scaled = scaled_contrasts(cards, host)
    row = columns({scale: bootstrap_t_interval(of_seeds) for scale, of_seeds in scaled.items()})
    row |= columns({"early": bootstrap_t_interval(contrasts(cards, host, epoch="early"))})
    row |= columns({"accuracy": bootstrap_interval(accuracies(cards))})
    for who in SHOWN:
        row |= {f"{who}{end}": value for end, value in audited(cards.seeds, met(cards, host, AUDITORS[who])).items()}
    return row | {"epoch": float(controls(cards)["best_epoch"].mean())}


def lines(every: Sequence[Points]) -> pd.DataFrame:
    """What is fitted along each axis, a row an axis and kind of host.

    Columns: axis, host, step (in words), n (seeds that all points have), needed. Where no seed is lacking, a step: of
    each scale of D nats, nats_low, nats_high, nats_p, nats_p_holm, spreads and so on; factor (of mean D, no number
    where it is not above zero at some point), area, area_p, area_p_holm (label unknown), early (of D in nats at the
    tenth epoch, which no word hangs on), accuracy, each with its ends;
    level (the line's D in nats at place 0); whole (the fitted change in nats from the first to the last value), miss
    (D at the last value less what the others' line has there, nats), last (mean D there). The words are change, reading
    (of the area) and verdict (whether the last value is foretold).
    """
    rows: list[dict] = []
    for one in every:
        for host in one.hosts:
            row: dict[str, object] = {"axis": one.axis.name, "host": host, "step": one.axis.step}
            row |= {"n": min(one.n.values()), "needed": one.needed}
            rows.append(row | (line(one, host) if one.complete else {}))
    table = pd.DataFrame(rows, columns=None if rows else ["axis", "host", "step", "n", "needed"])
    for name in (*SCALES, "area"):
        p = table.get(f"{name}_p", pd.Series(nan, table.index, dtype=float))
        table[f"{name}_p_holm"] = corrected(p, planned=True)
    found = table.to_dict("records")
    return table.assign(
        change=[grows(row) for row in found],
        reading=[easier(row) for row in found],
        verdict=[foretold(row) for row in found],
    )


def line(one: Points, host: str) -> dict[str, float]:
    """The numbers of a row of `lines`, not yet corrected for the others."""
    every = [one.cards[value] for value in one.axis.points]
    places = [one.axis.place(value) for value in one.axis.points]
    row: dict[str, float] = {}
    for scale in SCALES:
        of_seeds = slopes(values(every, host, scale), places)
        row |= columns({scale: bootstrap_t_interval(of_seeds)}) | {f"{scale}_p": sign_flip_test(of_seeds)}
    nats = values(every, host, "nats")
    row["level"] = float(nats.mean() - row["nats"] * np.mean(places))
    length = places[-1] - places[0]
    row |= {f"whole{end}": length * row[f"nats{end}"] for end in ("", "_low", "_high")}
    above = all(ends(columns({"d": bootstrap_t_interval(of_point)}), "d")[1] > 0 for of_point in nats.T)
    row |= columns({"factor": growth(nats, places)}) if above else {}
    row |= columns({"miss": bootstrap_t_interval(misses(nats, places))}) | {"last": float(nats[:, -1].mean())}
    scores = {
        f"{value:g}": met(cards, host, AUDITORS["unknown"])[:, [CANARY, PLACEBO]].ravel()
        for value, cards in one.cards.items()
    }
    n_seeds = len(nats)
    models = slope_weights(places), np.tile([True, False], n_seeds), np.repeat(np.arange(n_seeds), 2)
    row |= columns({"area": auc_sum(scores, *models)}) | {"area_p": auc_sum_test(scores, *models)}
    early = np.stack([contrasts(cards, host, epoch="early") for cards in every], 1)
    row |= columns({"early": bootstrap_t_interval(slopes(early, places))})
    accuracy = np.stack([accuracies(cards) for cards in every], 1)
    return row | columns({"accuracy": bootstrap_t_interval(slopes(accuracy, places))})


def values(every: Sequence[Cards], host: str, scale: str) -> np.ndarray:
    """D on a scale, (n_seeds, n_points)."""
    return np.stack([scaled_contrasts(cards, host)[scale] for cards in every], 1)


def further(every: Sequence[Points], table: pd.DataFrame) -> pd.DataFrame:
    """What lines say beyond the largest value, a row an axis, kind of host and value that nothing was trained at.

    table: as `lines` has it. Columns: axis, host, value, place, n, verdict; and where the largest value is foretold,
    nats (mean D of as many new seeds) with the ends of its prediction interval.
    """
    rows = []
    of_axis = {one.axis.name: one for one in every}
    for row in table.to_dict("records"):
        one = of_axis[row["axis"]]
        for value in one.axis.further:
            found = {"axis": row["axis"], "host": row["host"], "value": value, "place": one.axis.place(value)}
            found |= {"n": row["n"], "verdict": row["verdict"]}
            if row["verdict"] == Foretold.YES:
                nats = values([one.cards[known] for known in one.axis.points], row["host"], "nats")
                places = [one.axis.place(known) for known in one.axis.points]
                found |= columns({"nats": prediction(nats, places, one.axis.place(value))})
            rows.append(found)
    about = ["axis", "host", "value", "place", "n", "verdict"]
    return pd.DataFrame(rows, columns=[*about, "nats", "nats_low", "nats_high"])


def grows(row: Mapping[str, float]) -> Growth:
    """The word for D along an axis: slopes and corrected p of both scales, and the fitted change in nats."""
    found = word({scale: (row[scale], row[f"{scale}_p_holm"]) for scale in SCALES if scale in row})
    if found == Change.NOTHING:
        return Growth.LITTLE if little(row, "whole") else Growth.NOTHING
    return {
        Change.RAISES: Growth.GROWS,
        Change.REDUCES: Growth.SHRINKS,
        Change.OPPOSITE: Growth.OPPOSITE,
        Change.ONE_SCALE: Growth.ONE_SCALE,
        Change.OPEN: Growth.OPEN,
    }[found]


def little(row: Mapping[str, float], name: str) -> bool:
    """Whether the interval of a change in nats lies within what counts as large."""
    _, low, high = ends(row, name)
    return -SECOND.large < low and high < SECOND.large


def easier(row: Mapping[str, float]) -> Easier:
    """The word for the area along an axis: its slope and corrected p."""
    p = row.get("area_p_holm", nan)
    if isnan(p):
        return Easier.OPEN
    if p >= SECOND.level:
        return Easier.NOTHING
    return Easier.MORE if row["area"] > 0 else Easier.LESS


def foretold(row: Mapping) -> Foretold:
    """The word for the largest value, from what the line through the others misses there, and D itself."""
    if (row["axis"], row["host"]) == UNLIKE:
        return Foretold.NOT_ASKED
    if isnan(row.get("miss", nan)):
        return Foretold.OPEN
    _, low, high = ends(row, "miss")
    if not low <= 0 <= high:
        return Foretold.MISSED
    margin = max(SECOND.large, abs(row["last"]) / 2)
    return Foretold.YES if -margin < low and high < margin else Foretold.UNCHECKED
