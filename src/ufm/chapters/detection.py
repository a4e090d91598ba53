"""C2: whether the feature and a model's outputs are enough to show what it memorised."""

import textwrap
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from math import isnan, nan
from typing import Any, TypeVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence import Cards, learnt, plain
from ufm.evidence.claims import Claim, Outcome, Result, n_seeds
from ufm.evidence.detectors import DEFAULT, LABEL_KNOWN, PAPER, SHOWN
from ufm.evidence.performance import evidence
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import THRESHOLDS
from ufm.report.by_population import Quantities, joined, wide
from ufm.report.figures import HOST_COLOURS, LINES, WIDTH, closed, label, panels
from ufm.report.texts import counted, number, p_text, span, with_interval

T = TypeVar("T")
CLAIM = Claim(
    "C2",
    "The feature and the model's outputs are enough to show it.",
    "detection",
    "how often the outputs put a network that learnt the letter before one that never saw it; one half is guessing",
)
CHOSEN_ON = "mnist-small"  # the population on which the detector was chosen, so no part of C2's evidence
IMAGES = {"ood": "OOD images", "dim": "at 0.3 of their contrast", "black": "black image", "test": "test images"}
ENDS, ALL_ENDS = ("estimate", "low", "high"), ("all", "all_low", "all_high")  # columns of areas


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
    return Result(table, partial(detectable, table), agree, len(table), len(asked), "sets", "area", n)


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


def quantities(
    areas: Mapping[str, pd.DataFrame],
    learnt: Mapping[str, Mapping[str, float]],
    thresholds: pd.DataFrame,
) -> Quantities:
    """What the Detection chapter found."""

    def areas_of(name: str) -> dict[str, dict[str, float]]:
        return {population: table.set_index("detector").loc[name].to_dict() for population, table in areas.items()}

    rates = {row["population"]: row for row in thresholds.to_dict("records")}
    found_share = {
        population: {"estimate": row["found"], "low": np.nan, "high": np.nan, "n": row["n_learnt"]}
        for population, row in rates.items()
    }
    return {
        "default detector": areas_of(DEFAULT.name),
        "paper's score": areas_of(PAPER.name),
        "label known": areas_of(LABEL_KNOWN.name),
        "learnt": learnt,
        "false-positive rate": rates,
        "found": found_share,
    }


def called(singles: Mapping[str, pd.DataFrame], models: str) -> str:
    """For the text: what single models are called, counted over populations and statistics."""
    rows = joined(singles)
    return counted(rows.loc[rows["models"] == models, "verdict"])


def guessed(tables: Mapping[str, pd.DataFrame], models: str, *, images: str = "black") -> str:
    """How often the guessed label is right on images of a kind, over populations, "0.29 to 0.73"."""
    rows = joined(tables)
    return span(rows.loc[(rows["images"] == images) & (rows["models"] == models), "estimate"])


def printed_tried(areas: pd.DataFrame) -> pd.DataFrame:
    """Every detector on one population, best first."""
    rows = [
        {
            "statistic": row["detector"],
            "knows also": row["knows"] or "–",
            "area, learnt": with_interval(row),
            "all": with_interval(row, end="all"),
            "found at 5 %": with_interval(row, end="found"),
        }
        for row in areas.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_areas(areas: Mapping[str, pd.DataFrame], *, end: str = "") -> pd.DataFrame:
    """Areas of the detectors that are shown, a column a population."""
    names = [detector.name for detector in SHOWN]
    order = {name: place for place, name in enumerate(names)}
    shown = {
        population: table[table["detector"].isin(names)].sort_values("detector", key=lambda column: column.map(order))
        for population, table in areas.items()
    }
    return wide(shown, "detector", end=end)


def printed_every_area(on_hard: Mapping[str, pd.DataFrame], on_random: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Areas of the detectors that are shown, learnt canaries, all, and those on random hosts, a column a population."""
    kinds = {"hard, learnt": printed_areas(on_hard), "hard, all": printed_areas(on_hard, end="all")}
    kinds["random, all"] = printed_areas(on_random, end="all")
    return joined(kinds).rename(columns={"population": "canaries"})


def printed_gains(gains: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """`ufm.evidence.performance.gain` as the book prints it, a row a population."""
    rows = [
        {"population": population, "default less paper's score M": with_interval(row), "seeds": row["n"]}
        for population, row in gains.items()
    ]
    return pd.DataFrame(rows)


def printed_sets(sets: pd.DataFrame) -> pd.DataFrame:
    """C2's sets as the book prints them."""
    rows = [
        {
            "population": row["population"],
            "seeds": row["n_seeds"],
            "learnt canaries": row["n"],
            "area": with_interval(row),
            "p": p_text(row["p"]),
        }
        for row in sets.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_outscoring(areas: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How often a learnt canary outscores both of its siblings, a column a population."""
    names = [detector.name for detector in SHOWN]
    table = {"detector": names}
    for population, rows in areas.items():
        share = rows.set_index("detector")["outscores"]
        table[population] = [cell(share[name]) for name in names]
    return pd.DataFrame(table)


def printed_guesses(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How often the guessed label is right, a row a kind of images and of models, a column a population."""
    named = {
        population: table.assign(guess=table["images"].map(IMAGES) + ", " + table["models"])
        for population, table in tables.items()
    }
    return wide(named, "guess")


def printed_thresholds(table: pd.DataFrame) -> pd.DataFrame:
    """`ufm.evidence.performance.thresholds` as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "innocent, flagged": with_interval(row),
            "learnt canaries, found": cell(row["found"]),
            "of": row["n_learnt"],
            "innocent, set on the first": with_interval(row, end="carried"),
            "found, set on the first": cell(row["carried_found"]),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_shares(hard: Mapping[str, Mapping[str, float]], random: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Shares of learnt canaries, a row a population."""
    rows = [
        {
            "population": population,
            "seeds": row["n"],
            "hard hosts": with_interval(row),
            "random hosts": with_interval(random[population]),
        }
        for population, row in hard.items()
    ]
    return pd.DataFrame(rows)


def cell(value: float) -> str:
    """A number of a table; a dash where there is none."""
    return "–" if isnan(value) else number(value, 2)


def drawn_curves(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """ROC curves, a line a detector, a panel a population."""
    figure, axes = panels(list(tables), height=3, share=True)
    for axis, table in zip(axes, tables.values(), strict=True):
        axis.plot([0, 1], [0, 1], color="0.4", linewidth=0.8)
        for (name, rows), (colour, line) in zip(table.groupby("detector", sort=False), LINES, strict=False):
            axis.plot(rows["false_positive_rate"], rows["true_positive_rate"], line, color=colour, label=name)
        axis.set_aspect("equal")
    label(axes, "false-positive rate", "canaries found")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", fontsize="small", ncols=1)
    sns.despine(figure)
    return closed(figure)


def drawn_areas(on_hard: Mapping[str, pd.DataFrame], on_random: Mapping[str, pd.DataFrame]) -> Figure:
    """Areas with intervals, a row a detector: learnt canaries and all on hard hosts, all on random ones."""
    figure, axes = panels(list(on_hard), height=3.2)
    hard = HOST_COLOURS["hard"]
    shown: tuple[tuple[str, Mapping[str, pd.DataFrame], tuple[str, ...], dict[str, Any]], ...] = (
        ("hard hosts, learnt", on_hard, ENDS, {"marker": "o", "color": hard}),
        (
            "hard hosts, all",
            on_hard,
            ALL_ENDS,
            {"marker": "o", "edgecolors": hard, "facecolors": "white"},
        ),
        ("random hosts, all", on_random, ALL_ENDS, {"marker": "x", "color": "#0072B2"}),
    )
    for panel, (axis, title) in enumerate(zip(axes, on_hard, strict=True)):
        names = sorted(on_hard[title]["detector"])
        for place, (kind, tables, ends, style) in enumerate(shown):
            estimate, low, high = (tables[title].set_index("detector").loc[names, end] for end in ends)
            rows = np.arange(len(names)) + 0.25 * (place - 1)
            axis.hlines(rows, low, high, color=style.get("color", hard), linewidth=1)
            axis.scatter(estimate, rows, 22, label=kind, zorder=2, **style)
        axis.axvline(0.5, color="0.4", linewidth=0.8)
        axis.set(ylim=(len(names) - 0.4, -0.6), yticks=range(len(names)), xlabel="area")
        axis.set_yticklabels([wrap(name) for name in names] if panel % 2 == 0 else [], fontsize="small")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def wrap(name: str) -> str:
    """A long name on two lines or more."""
    return "\n".join(textwrap.wrap(name, 26))


def drawn_power(images: Mapping[str, pd.DataFrame], permutations: Mapping[str, pd.DataFrame]) -> Figure:
    """Areas against the number of OOD images (paper's score) and of permutations (default detector)."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3), sharey=True, layout="constrained")
    contents = ((images, "n_images", "OOD images"), (permutations, "n_permutations", "permutations"))
    for axis, (tables, column, words) in zip(axes, contents, strict=True):
        for (name, table), (colour, line) in zip(tables.items(), LINES, strict=False):
            axis.plot(table[column], table["estimate"], line, color=colour, marker="o", markersize=3, label=name)
            axis.fill_between(table[column], table["low"], table["high"], color=colour, alpha=0.12, linewidth=0)
        axis.axhline(0.5, color="0.4", linewidth=0.8)
        axis.set(xscale="log", xlabel=words)
    axes[0].set(ylabel="area, learnt canaries", title="paper's score M")
    axes[1].set_title("default detector")
    axes[1].legend(loc="lower right", fontsize="small")
    sns.despine(figure)
    return closed(figure)
