"""C3: what prevents overfitting, beside plain models of the same seeds and hosts.

A *way* is a method against overfitting. Early stopping is one too: its models are the plain ones of the populations,
and what they are compared with is the same models trained to the end.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from math import nan

import numpy as np
import pandas as pd

from ufm.evidence import Cards, on_seeds, planned_as
from ufm.evidence.cells import contrast_cells, corrected
from ufm.evidence.performance import accuracies
from ufm.evidence.regimes import scaled_contrasts
from ufm.evidence.ways import word
from ufm.first_plan.claims import Claim, Result, n_seeds, of_cells
from ufm.measures.layout import N_SHORT
from ufm.plan.sweep import Sweep
from ufm.plan.ways import TO_THE_END, WAYS
from ufm.statistics import bootstrap_interval, columns, sign_flip_test
from ufm.study.runs import NotYetRun

EARLY_STOPPING, PLAIN = "early stopping", "plain"  # the way of a population's models that stop early, or do not
HOST = "hard"
CLAIM = Claim(
    "C3",
    "Usual ways to prevent overfitting do not prevent it (10 000 images, hard hosts).",
    "regularisers",
    "the same as for C1, of networks that were trained with a way to prevent overfitting",
)


def result(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """C3, a cell a data set and way to prevent overfitting."""
    by_set = ways(populations)
    if not by_set:
        return None
    return of_cells(
        cells(populations), asked(planned), n_seeds(next(iter(ways_of_set.values())) for ways_of_set in by_set.values())
    )


def ways(populations: Mapping[str, Cards]) -> dict[str, dict[str, Cards]]:
    """By data set and size the cards of each way, the population's own models first.

    All on the seeds that the ways have and need, against as many permutations. Populations that stand alone are left
    out.
    """
    by_set = {}
    for plain in populations.values():
        settings = {
            cards.setting: cards
            for cards in populations.values()
            if cards.trained_on == plain.trained_on and cards.setting in (*WAYS, TO_THE_END)
        }
        if settings and not plain.setting:
            seeds = sorted({int(seed) for cards in settings.values() for seed in cards.seeds})
            needed = max(cards.needed for cards in settings.values())
            way = PLAIN if plain.protocol.training.early_stopping == "none" else EARLY_STOPPING
            same_seeds = replace(on_seeds(plain, seeds), n_permutations=N_SHORT)
            own = planned_as(same_seeds, setting=way, needed=needed)
            by_set[plain.trained_on] = {way: own, **settings}
    return by_set


def preventing(of_set: Mapping[str, Cards]) -> dict[str, Cards]:
    """The ways that are meant to prevent overfitting."""
    return {way: cards for way, cards in of_set.items() if way not in (PLAIN, TO_THE_END)}


def asked(planned: Mapping[str, Sweep]) -> int:
    """How many cells the plan asks for: a way and a data set each."""
    sweeps = [sweep for sweep in planned.values() if sweep.setting in (*WAYS, TO_THE_END)]
    return len(sweeps)  # one trained to the end stands for the early stopping that it is compared with


def cells(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """C3, a row a data set and way, `setting`, as `ufm.evidence.cells.contrast_cells` has them."""
    of_ways = ways(populations).items()
    every = {f"{title}, {way}": cards for title, of_set in of_ways for way, cards in preventing(of_set).items()}
    return contrast_cells(every, (HOST,))


def differences(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """What each way changes, a row a data set and way, paired over seeds.

    Columns: population, setting, versus (the models without it), n, estimate, low, high (contrast D with it less
    without, nats), p, p_holm (over the rows); spreads, spreads_low, spreads_high, spreads_p, spreads_p_holm
    (the same of D over the models' own spreads); reading, see `ufm.evidence.ways.word`; accuracy, accuracy_low,
    accuracy_high (of the controls, with it less without). A way that lacks seeds has no p.

    Raises NotYetRun where none stands beside the models without it.
    """
    rows = []
    for title, of_set in ways(populations).items():
        for way, cards in preventing(of_set).items():
            versus = TO_THE_END if way == EARLY_STOPPING else next(iter(of_set))
            if versus not in of_set:
                continue
            seeds = np.intersect1d(cards.seeds, of_set[versus].seeds)
            with_it, without = (on_seeds(side, seeds) for side in (cards, of_set[versus]))
            one, other = scaled_contrasts(with_it, HOST), scaled_contrasts(without, HOST)
            change, scaled = one["nats"] - other["nats"], one["spreads"] - other["spreads"]
            cost = asdict(bootstrap_interval(accuracies(with_it) - accuracies(without)))
            complete = cards.complete and of_set[versus].complete
            rows.append(
                {"population": title, "setting": way, "versus": versus}
                | asdict(bootstrap_interval(change))
                | {"p": sign_flip_test(change) if complete else nan, "p_holm": nan}
                | columns({"spreads": bootstrap_interval(scaled)})
                | {"spreads_p": sign_flip_test(scaled) if complete else nan, "spreads_p_holm": nan}
                | {"accuracy": cost["estimate"], "accuracy_low": cost["low"], "accuracy_high": cost["high"]}
            )
    if not rows:
        raise NotYetRun("No way has enough seeds yet beside the models without it.")
    table = pd.DataFrame(rows)
    for scale in ("", "spreads_"):
        table[f"{scale}p_holm"] = corrected(table[f"{scale}p"])
    table["reading"] = [
        word({"nats": (row["estimate"], row["p_holm"]), "spreads": (row["spreads"], row["spreads_p_holm"])})
        for row in table.to_dict("records")
    ]
    return table
