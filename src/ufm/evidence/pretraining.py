"""Pretrained networks beside networks from scratch, on the same images and seeds (book/scaling-plan.md)."""

from collections.abc import Mapping

import pandas as pd

from ufm.evidence.cards import Cards, on_seeds, planned_as
from ufm.evidence.effects import contrasts
from ufm.evidence.regimes import SCALES
from ufm.evidence.scaling import NUMBERS, Growth, little, point
from ufm.evidence.ways import Change, change, changes
from ufm.plan.pretraining import SCRATCH, names
from ufm.plan.sweep import Sweep
from ufm.statistics import bootstrap_t_interval, columns

ABOUT = ["population", "way", "host", "n", "needed"]


def side_by_side(
    populations: Mapping[str, Cards], sweeps: Mapping[str, Sweep]
) -> dict[str, tuple[Sweep, Cards | None]]:
    """By what is done the sweep that is asked for and its cards, of the seeds that all have; none are recorded yet.

    Nothing where one side is not asked for.
    """
    planned = {way: sweeps[name] for way, name in names().items() if name in sweeps}
    if len(planned) < 2 or SCRATCH not in planned:
        return {}
    n, found = min(len(sweep.seeds) for sweep in planned.values()), {}
    for way, sweep in planned.items():
        seeds, cards = sweep.seeds[:n], populations.get(names()[way])
        kept = None if cards is None else planned_as(on_seeds(cards, seeds), seeds=seeds, needed=n)
        found[way] = sweep, kept
    return found


def rows(sides: Mapping[str, tuple[Sweep, Cards | None]]) -> list[dict[str, object]]:
    """What is done and kind of host, with the seeds that are there and those that are needed, as rows of a table."""
    n = min((len(sweep.seeds) for sweep, _ in sides.values()), default=0)
    return [
        {
            "population": sweep.trained_on,
            "way": way,
            "host": host,
            "n": 0 if cards is None else len(cards.seeds),
            "needed": n,
        }
        for way, (sweep, cards) in sides.items()
        for host in sweep.protocol.hosts
    ]


def models(sides: Mapping[str, tuple[Sweep, Cards | None]]) -> pd.DataFrame:
    """Models from scratch and pretrained ones, a row a way and kind of host.

    Columns: population, way, host, n (seeds), needed; and of those that have all seeds those of
    `ufm.evidence.scaling.point`.
    """
    found = rows(sides)
    for row in found:
        _, cards = sides[str(row["way"])]
        if cards is not None and cards.complete:
            row |= point(cards, str(row["host"]))
    named = [f"{name}{end}" for name in NUMBERS for end in ("", "_low", "_high")]
    return pd.DataFrame(found, columns=[*ABOUT, *named, "epoch"])


def compared(sides: Mapping[str, tuple[Sweep, Cards | None]]) -> pd.DataFrame:
    """What pretraining changes, paired over seeds with networks from scratch, a row a way and kind of host.

    Columns: population, way, host, n, needed, versus; those that `ufm.evidence.ways.changes` says, their p after Holm
    over all rows, those that wait among them; early (mean difference of D after ten epochs, nats) with its ends.
    """
    scratch, planned = sides.get(SCRATCH, (None, None))[1], []
    both: dict[tuple[str, str, str], tuple[Cards, Cards]] = {}
    for row in rows({way: side for way, side in sides.items() if way != SCRATCH}):
        way, host = str(row["way"]), str(row["host"])
        cards = sides[way][1]
        if cards is not None and scratch is not None:
            both[str(row["population"]), way, host] = cards, scratch
            if cards.complete and scratch.complete:
                early, other = (contrasts(one, host, epoch="early") for one in (cards, scratch))
                row |= columns({"early": bootstrap_t_interval(early - other)})
        planned.append(row | {"versus": SCRATCH})
    ends = [f"{name}{end}" for name in (*SCALES, "cost") for end in ("", "_low", "_high")]
    keys, own = (
        ["population", "way", "host"],
        [*ends, *(f"{scale}{end}" for scale in SCALES for end in ("_p", "_p_holm"))],
    )
    there = pd.DataFrame(columns=[*keys, *own], dtype=float)
    if both:
        there = changes(both, n_planned=len(planned)).reindex(columns=[*keys, *own])
    early_ends = [f"early{end}" for end in ("", "_low", "_high")]
    table = pd.DataFrame(planned, columns=[*ABOUT, "versus", *early_ends])
    table = table.merge(there.astype(dict.fromkeys(keys, object)), how="left", on=keys)
    return table.assign(change=[becomes(row) for row in table.to_dict("records")])


def becomes(row: Mapping[str, float]) -> Change | Growth:
    """The word for a row of `compared`: as for ways of training, or that nothing large was missed."""
    found = change(row)
    return Growth.LITTLE if found == Change.NOTHING and little(row, "nats") else found
