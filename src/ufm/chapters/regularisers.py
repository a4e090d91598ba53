"""C3: what prevents overfitting, beside plain models of the same seeds and hosts.

A *way* is a method against overfitting. Early stopping is one too: its models are the plain ones of the populations,
and what they are compared with is the same models trained to the end.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from math import nan

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence import Cards, on_seeds, planned_as
from ufm.evidence.cells import contrast_cells, corrected, points
from ufm.evidence.claims import Claim, Result, n_seeds, of_cells
from ufm.evidence.performance import accuracies, quality
from ufm.evidence.regimes import Change, scaled_contrasts, word
from ufm.measures.layout import N_SHORT
from ufm.plan.regularisers import TO_THE_END, WAYS
from ufm.plan.sweep import Sweep
from ufm.report.by_population import Quantities, interval_of, ranges
from ufm.report.figures import closed, label, panels
from ufm.report.texts import key, p_text, span, with_interval
from ufm.statistics import bootstrap_interval, columns, sign_flip_test
from ufm.study.runs import NotYetRun

EARLY_STOPPING, PLAIN = "early stopping", "plain"  # the way of a population's models that stop early, or do not
HOST = "hard"
CLAIM = Claim(
    "C3",
    "Usual ways to prevent overfitting do not prevent it (small size, hard hosts).",
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
    (the same of D over the models' own spreads); reading, see `ufm.evidence.regimes.word`; accuracy, accuracy_low,
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


def those_that(differences: pd.DataFrame, reads: str) -> str:
    """The ways whose differences read so, "batch norm, dropout (MNIST, small)": in all populations, or in these."""
    names = []
    for way, rows in differences.groupby("setting", sort=False):
        populations = rows.loc[rows["reading"] == reads, "population"]
        if len(populations):
            names.append(way if len(populations) == len(rows) else f"{way} ({'; '.join(populations)})")
    return ", ".join(names) or "none of them"


def costs(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """How good the models of each way are and how much of the letter shows, a row a way."""
    return quality([cards for of_set in ways(populations).values() for cards in of_set.values()], HOST)


def by_seed(populations: Mapping[str, Cards]) -> dict[str, pd.DataFrame]:
    """Each seed's contrast by data set and size: columns seed, setting, contrast."""
    every = {f"{title}, {way}": cards for title, of_set in ways(populations).items() for way, cards in of_set.items()}
    return points(every, HOST)


def quantities(costs: pd.DataFrame, differences: pd.DataFrame) -> Quantities:
    """What the Regularisers chapter found."""
    found: dict[str, dict] = {}
    for row in costs.to_dict("records"):
        for name in ("contrast", "early", "accuracy", "learnt", "area"):
            found.setdefault(f"{name}, {row['setting']}", {})[row["population"]] = interval_of(row, name)
    for row in differences.to_dict("records"):
        found.setdefault(f"change, {row['setting']}", {})[row["population"]] = row
    return found


def texts(costs: pd.DataFrame, differences: pd.DataFrame) -> dict[str, str]:
    """`ranges` of the quantities, with a text for every way, recorded or not, and for the populations' own models.

    The last are called `contrast_of_their_own` and so on, whether they stop early or are trained to the end.
    """
    names, found = ("contrast", "early", "area"), ranges(quantities(costs, differences), digits=3)
    found |= accuracy_changes(differences)
    texts = {key(f"{name}, {way}"): "not recorded" for way in (*WAYS, TO_THE_END) for name in names}
    own = EARLY_STOPPING if key(f"contrast, {EARLY_STOPPING}") in found else PLAIN
    return texts | {f"{name}_of_their_own": found[key(f"{name}, {own}")] for name in names} | found


def accuracy_changes(differences: pd.DataFrame) -> dict[str, str]:
    """For the text: how the accuracy changes with ways that reduce or raise the contrast, and with early stopping."""
    groups = {f"accuracy_{reads}": differences["reading"] == reads for reads in (Change.REDUCES, Change.RAISES)}
    groups["accuracy_early_stopping"] = differences["setting"] == EARLY_STOPPING
    return {
        name: span(differences.loc[rows, "accuracy"], digits=3) if rows.any() else "not recorded"
        for name, rows in groups.items()
    }


def printed_differences(differences: pd.DataFrame) -> pd.DataFrame:
    """What each way changes, as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "way": row["setting"],
            "against": row["versus"],
            "change of D, nats": with_interval(row, digits=3),
            "p": p_text(row["p_holm"]),
            "in own spreads": with_interval(row, end="spreads"),
            "p ": p_text(row["spreads_p_holm"]),
            "reading": row["reading"],
            "change of accuracy": with_interval(row, digits=3, end="accuracy"),
        }
        for row in differences.to_dict("records")
    ]
    return pd.DataFrame(rows)


def drawn_costs(costs: pd.DataFrame) -> Figure:
    """Mean contrast against accuracy, a point a setting with both intervals, a panel a population.

    Columns: population, setting, and accuracy and contrast, each with its low and high end.
    """
    titles = list(costs["population"].unique())
    figure, axes = panels(titles, height=3)
    order = list(costs["setting"].unique())
    palette = dict(zip(order, sns.color_palette("colorblind", len(order)), strict=True))
    for axis, title in zip(axes, titles, strict=True):
        for row in costs[costs["population"] == title].to_dict("records"):
            colour, marker = palette[row["setting"]], "oXsD^vP*"[order.index(row["setting"]) % 8]
            axis.plot([row["accuracy_low"], row["accuracy_high"]], [row["contrast"]] * 2, color=colour)
            axis.plot([row["accuracy"]] * 2, [row["contrast_low"], row["contrast_high"]], color=colour)
            axis.scatter(
                row["accuracy"], row["contrast"], 40, color=[colour], marker=marker, label=row["setting"], zorder=3
            )
        axis.axhline(0, color="0.4", linewidth=0.8)
    label(axes, "accuracy", "mean contrast D (nats)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    sns.despine(figure)
    return closed(figure)
