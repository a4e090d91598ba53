"""C3: what prevents overfitting, beside plain models of the same seeds and hosts.

A *way* is a method against overfitting. Early stopping is one too: its models are the plain ones of the populations,
and what they are compared with is the same models trained to the end.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from math import nan

import numpy as np
import pandas as pd

from ufm.evidence import Cards, contrasts, on_seeds
from ufm.evidence.cells import contrast_cells, corrected, points
from ufm.evidence.performance import accuracies, quality
from ufm.measures.layout import N_SHORT
from ufm.plan.regularisers import TO_THE_END, WAYS
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import THRESHOLDS
from ufm.statistics import bootstrap_interval, sign_flip_test

EARLY_STOPPING, PLAIN = "early stopping", "plain"  # the way of a population's models that stop early, or do not
HOST = "hard"


def ways(populations: Mapping[str, Cards]) -> dict[str, dict[str, Cards]]:
    """By data set and size the cards of each way, the population's own models first.

    All on the seeds that the ways have and need, against as many permutations. Populations that stand alone are left
    out.
    """
    found = {}
    for plain in populations.values():
        ours = {
            cards.setting: cards
            for cards in populations.values()
            if cards.trained_on == plain.trained_on and cards.setting in (*WAYS, TO_THE_END)
        }
        if ours and not plain.setting:
            seeds = sorted({int(seed) for cards in ours.values() for seed in cards.seeds})
            needed = max(cards.needed for cards in ours.values())
            way = PLAIN if plain.protocol.training.early_stopping == "none" else EARLY_STOPPING
            own = replace(on_seeds(plain, seeds), setting=way, needed=needed, n_permutations=N_SHORT)
            found[plain.trained_on] = {way: own, **ours}
    return found


def preventing(of: Mapping[str, Cards]) -> dict[str, Cards]:
    """The ways that are meant to prevent overfitting."""
    return {way: cards for way, cards in of.items() if way not in (PLAIN, TO_THE_END)}


def asked(planned: Mapping[str, Sweep]) -> int:
    """How many cells the plan asks for: a way and a data set each."""
    ours = [sweep for sweep in planned.values() if sweep.setting in (*WAYS, TO_THE_END)]
    return len(ours)  # one trained to the end stands for the early stopping that it is compared with


def cells(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """C3, a row a data set and way, `setting`, as `ufm.evidence.cells.contrast_cells` has them."""
    every = {(title, way): cards for title, of in ways(populations).items() for way, cards in preventing(of).items()}
    return contrast_cells(every, (HOST,))


def differences(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """What each way changes, a row a data set and way, paired over seeds.

    Columns: population, setting, versus (the models without it), n, estimate, low, high (contrast D with it less
    without, nats), p (sign flips), p_holm (over the rows), reading, accuracy, accuracy_low, accuracy_high (of the
    controls, with it less without). A way that lacks seeds has no p.
    """
    rows = []
    for title, of in ways(populations).items():
        for way, cards in preventing(of).items():
            versus = TO_THE_END if way == EARLY_STOPPING else next(iter(of))
            if versus not in of:
                continue
            seeds = np.intersect1d(cards.seeds, of[versus].seeds)
            with_it, without = (on_seeds(one, seeds) for one in (cards, of[versus]))
            change = contrasts(with_it, HOST) - contrasts(without, HOST)
            cost = asdict(bootstrap_interval(accuracies(with_it) - accuracies(without)))
            complete = cards.complete and of[versus].complete
            rows.append(
                {"population": title, "setting": way, "versus": versus}
                | asdict(bootstrap_interval(change))
                | {"p": sign_flip_test(change) if complete else nan, "p_holm": nan}
                | {"accuracy": cost["estimate"], "accuracy_low": cost["low"], "accuracy_high": cost["high"]}
            )
    table = pd.DataFrame(rows)
    table["p_holm"] = corrected(table["p"])
    table["reading"] = [reading(row) for row in table.to_dict("records")]
    return table


def reading(row: Mapping[str, float]) -> str:
    """Whether a way reduces or raises the contrast; neither is said of one that lacks seeds or is undecided."""
    if not row["p_holm"] < THRESHOLDS.level:
        return "seeds pending" if np.isnan(row["p_holm"]) else "no difference found"
    return "reduces" if row["estimate"] < 0 else "raises"


def those_that(differences: pd.DataFrame, reads: str) -> str:
    """The ways whose differences read so, "batch norm, dropout (MNIST, small)": in all populations, or in these."""
    names = []
    for way, rows in differences.groupby("setting", sort=False):
        ours = rows.loc[rows["reading"] == reads, "population"]
        if len(ours):
            names.append(way if len(ours) == len(rows) else f"{way} ({'; '.join(ours)})")
    return ", ".join(names) or "none of them"


def costs(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """How good the models of each way are and how much of the letter shows, a row a way."""
    return quality([cards for of in ways(populations).values() for cards in of.values()], HOST)


def by_seed(populations: Mapping[str, Cards]) -> dict[str, pd.DataFrame]:
    """Each seed's contrast by data set and size: columns seed, setting, contrast."""
    every = {(title, way): cards for title, of in ways(populations).items() for way, cards in of.items()}
    return points(every, HOST)
