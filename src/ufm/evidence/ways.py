"""What ways of training do to memorisation, each beside models of the same seeds and hosts without it."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np
import pandas as pd

from ufm.evidence.cards import Cards, on_seeds, planned_as
from ufm.evidence.cells import corrected
from ufm.evidence.performance import accuracies
from ufm.evidence.questions import IS_THERE, There, asked, of_row, on_its_host
from ufm.evidence.regimes import SCALES, require_same_seeds, scaled_contrasts
from ufm.plan.second import Row, regime
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import SECOND
from ufm.statistics import bootstrap_interval, bootstrap_t_interval, columns, sign_flip_test

Compared = Mapping[str, tuple[str, str]]  # by way, the regime of the models with it and that of those without


class Change(StrEnum):
    """What a way does to memorisation."""

    RAISES = "raises"
    REDUCES = "reduces"
    OPPOSITE = "scales disagree"
    ONE_SCALE = "one scale alone"
    NOTHING = "no change shown"
    OPEN = "waits for seeds"


class Prevents(StrEnum):
    """Whether a way against overfitting prevents memorisation."""

    NOT = "does not prevent it"
    ON_HOST = "leaves it on its host alone"
    PREVENTS = "prevents it"
    UNDECIDED = "undecided"
    OPEN = "waits for seeds"


def side_by_side(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> dict[str, Cards]:
    """The cards of the seeds that a plan has of each of its sweeps, and of plain models the same ones."""
    ours = {name: (cards, planned[name]) for name, cards in populations.items() if name in planned}
    return {
        name: on_seeds(planned_as(cards, seeds=sweep.seeds, needed=sweep.needed), sweep.seeds)
        for name, (cards, sweep) in ours.items()
    }


def questions(populations: Mapping[str, Cards], rows: Sequence[Row]) -> pd.DataFrame:
    """The three questions of rows that are corrected together, with the accuracy of the controls.

    Columns: those of `ufm.evidence.questions.asked`, and accuracy, accuracy_low, accuracy_high.
    """
    table, costs = asked(populations, rows), []
    for row in rows:
        parts = [accuracies(cards) for cards in of_row(populations, row)]
        whole = np.concatenate(parts) if parts else np.zeros(0)
        costs.append(columns({"accuracy": bootstrap_interval(whole)}) if len(whole) >= row.needed else {})
    return table.join(pd.DataFrame(costs, index=table.index))


def prevention(asked: pd.DataFrame, compared: Compared) -> pd.DataFrame:
    """What is said of each way, from the rows of `ufm.evidence.questions.asked` with it and without it.

    A row a population, way and kind of host. Columns: those of the row of the models with it, and way, versus (the
    regime without it), of that one versus_there (the word), versus_contrast and versus_gain with their ends, prevents.
    """
    by_setting = {(row["population"], row["setting"], row["host"]): row for row in asked.to_dict("records")}
    rows = []
    for way, (with_it, versus) in compared.items():
        for (population, setting, host), row in by_setting.items():
            without = by_setting.get((population, versus, host))
            if setting == with_it and without is not None:
                words = row["there"], without["there"]
                of_it = {
                    "way": way,
                    "versus": versus,
                    "versus_there": words[1],
                    "prevents": prevents(*words, on_its_host(row)),
                }
                ends = {f"{name}{end}" for name in ("contrast", "gain") for end in ("", "_low", "_high")}
                rows.append(row | of_it | {f"versus_{end}": without[end] for end in ends & without.keys()})
    return pd.DataFrame(rows)


def prevents(with_it: There, without: There, on_host: bool) -> Prevents:
    """The word for a way from those for the models with it and without it: there must be something to prevent.

    on_host: whether models with it answer the letter on the very image that it was on (`on_its_host`).
    """
    if There.OPEN in (with_it, without):
        return Prevents.OPEN
    if without not in IS_THERE:
        return Prevents.UNDECIDED
    if with_it in IS_THERE:
        return Prevents.NOT
    if with_it != There.NOT:
        return Prevents.UNDECIDED
    return Prevents.ON_HOST if on_host else Prevents.PREVENTS


def pairs(populations: Mapping[str, Cards], compared: Compared) -> dict[tuple[str, str, str], tuple[Cards, Cards]]:
    """Models with a way and without it, by (population, way, kind of host), where both are there.

    Where more seeds are planned without it than with it, those without are of the seeds with it.
    """
    there = {(cards.trained_on, regime(cards.sweep)): cards for cards in populations.values()}
    found: dict[tuple[str, str, str], tuple[Cards, Cards]] = {}
    for way, both in compared.items():
        for population in dict.fromkeys(population for population, _ in there):
            with_it, without = (there.get((population, one)) for one in both)
            if with_it is None or without is None:
                continue
            ours = with_it.sweep.seeds
            if set(ours) < set(without.sweep.seeds):
                without = on_seeds(planned_as(without, seeds=ours, needed=with_it.needed), ours)
            found |= {(population, way, host): (with_it, without) for host in with_it.protocol.hosts}
    return found


def ways(populations: Mapping[str, Cards], asked: pd.DataFrame, compared: Compared) -> pd.DataFrame:
    """What became of each way, a row a population, way and kind of host.

    Columns: those of `prevention`, and of `changes` those that say what it changes.
    """
    both, keys = pairs(populations, compared), ["population", "way", "host"]
    table = prevention(asked, compared)
    changed = changes(both, n_planned=len(table)) if both else pd.DataFrame(columns=[*keys, "change"])
    own = [name for name in changed if name.startswith((*SCALES, "cost")) or name == "change"]
    return table.merge(changed[[*keys, *own]], how="left", on=keys).fillna({"change": Change.OPEN})


def changes(pairs: Mapping[tuple[str, str, str], tuple[Cards, Cards]], *, n_planned: int = 0) -> pd.DataFrame:
    """What each way changes, paired over seeds: a row a way with and without it, by (population, way, kind of host).

    Columns: population, way, host, n, and for each of `SCALES` its mean difference with interval and p after Holm over
    the rows: nats, nats_low, nats_high, nats_p, nats_p_holm, spreads and so on; cost, cost_low, cost_high (mean
    difference of the controls' accuracy); change. Pairs that lack seeds are open, and count as a p of 1; so do those of
    n_planned rows that are not there at all.

    Raises ValueError: the two of a pair are not of the same seeds.
    """
    rows = []
    for (population, way, host), (with_it, without) in pairs.items():
        row: dict[str, object] = {"population": population, "way": way, "host": host, "n": len(with_it.seeds)}
        if with_it.complete and without.complete:
            require_same_seeds(f"{population}, {way}", with_it, without)
            one, other = scaled_contrasts(with_it, host), scaled_contrasts(without, host)
            for scale in SCALES:
                difference = one[scale] - other[scale]
                row |= columns({scale: bootstrap_t_interval(difference)})
                row |= {f"{scale}_p": sign_flip_test(difference)}
            row |= columns({"cost": bootstrap_interval(accuracies(with_it) - accuracies(without))})
        rows.append(row)
    table = pd.DataFrame(rows)
    for scale in SCALES:
        p = table.get(f"{scale}_p", pd.Series(np.nan, table.index))
        table[f"{scale}_p_holm"] = corrected(p.reindex(range(max(len(p), n_planned))), planned=True)
    return table.assign(change=[change(row) for row in table.to_dict("records")])


def change(row: Mapping[str, float]) -> Change:
    """The word for a row of `changes`: a scale says something where its corrected p is below the level."""
    return word({scale: (row[scale], row[f"{scale}_p_holm"]) for scale in SCALES if scale in row})


def word(found: Mapping[str, tuple[float, float]]) -> Change:
    """The word for the mean difference and corrected p of each of `SCALES`; without p of both it is open."""
    if len(found) < len(SCALES) or any(np.isnan(p) for _, p in found.values()):
        return Change.OPEN
    signs = [int(np.sign(mean)) * (p < SECOND.level) for mean, p in found.values()]
    if signs[0] == signs[1]:
        return {1: Change.RAISES, -1: Change.REDUCES, 0: Change.NOTHING}[signs[0]]
    return Change.OPPOSITE if signs[0] == -signs[1] else Change.ONE_SCALE
