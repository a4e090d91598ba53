"""C4: how influential a host is with the letter and without, by how influential it is without.

A *rank share* is the share of the other training images with less self-influence, as an influence card has it
of the host that each model was trained on: plain in the control, with the letter in the canary.
"""

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from math import isnan, nan
from pathlib import Path
from typing import TypeVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence import Cards, contrasts
from ufm.evidence.cells import corrected, remarked
from ufm.evidence.claims import Claim, Outcome, Result, n_seeds
from ufm.plan.influence import BY_INFLUENCE
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import THRESHOLDS
from ufm.report.by_population import Quantities, interval_of, ranges
from ufm.report.figures import KINDS, WIDTH, closed
from ufm.report.host_pictures import images
from ufm.report.texts import key, number, p_text, with_interval
from ufm.statistics import bootstrap_interval, sign_flip_test
from ufm.study.runs import Population

Kept = TypeVar("Kept", Cards, Population, Sweep)
MOST = "most influential hosts"  # they have no room to rise
CLAIM = Claim(
    "C4",
    "An image with a unique feature is highly influential.",
    "influence",
    "what share of the other training images it rises above in influence, once it has the letter",
)


class Verdict(StrEnum):
    """The plan's, on a group of hosts."""

    AGREES = "agrees"
    RAISED = "raised"  # but not highly influential
    NOT_RAISED = "not raised"
    UNDECIDED = "undecided"
    OPEN = "seeds pending"


def result(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """C4, a group a kind of host; its effect and p are of the groups that have room to rise."""
    by_group = groups(populations)
    if not by_group:
        return None
    table = cells(by_group)
    judged, agree = table[table["setting"] != MOST], int((table["verdict"] == Verdict.AGREES).sum())
    asked, n = len(groups(planned)), n_seeds(by_group.values())
    return Result(judged, partial(influential, table), agree, len(table), asked, "groups", "of the ranks", n, table)


def influential(groups: pd.DataFrame, p_corrected: float) -> Outcome:
    """C4's outcome from its groups of hosts and the claim's corrected p."""
    verdict = groups.set_index("setting")["verdict"]
    if (verdict == Verdict.AGREES).all() and p_corrected < THRESHOLDS.level:
        return Outcome.HOLDS
    rest = verdict.drop(MOST, errors="ignore")
    if rest.isin([Verdict.AGREES, Verdict.RAISED]).any():
        return Outcome.IN_PART
    return Outcome.DOES_NOT_HOLD if len(rest) and (rest == Verdict.NOT_RAISED).all() else Outcome.UNDECIDED


def groups(populations: Mapping[str, Kept]) -> dict[str, Kept]:
    """The populations, or their sweeps, whose hosts were chosen by their influence, in the plan's order."""
    return {name: cards for name, cards in populations.items() if cards.setting in BY_INFLUENCE}


def ranks(cards: Cards) -> dict[str, np.ndarray]:
    """Rank share (n_seeds,) of each seed's host in its control, canary and placebo, by role."""
    [host] = cards.protocol.hosts
    places = {role: cards.model(role, host) for role in ("control", "canary", "placebo")}
    return {role: cards.arrays["influence_rank"][:, place, 0].astype(float) for role, place in places.items()}


def cells(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """C4, a row a group of hosts.

    Columns: population, setting, n (seeds), estimate, low, high (rank share with the letter less without, canary less
    control), p (sign flips), p_holm (over the rows), without and with_letter (mean rank shares in control and canary)
    and with_placebo, and beyond_placebo, the letter's less the placebo's, each with its low and high end, contrast,
    contrast_low, contrast_high (mean D, nats), verdict, in_words (the verdict with a remark where the rise is smaller
    than what matters). A group that lacks seeds has no p and is open.
    """
    rows = []
    for cards in groups(populations).values():
        shares, [host] = ranks(cards), cards.protocol.hosts
        rise = shares["canary"] - shares["control"]
        row = {"population": cards.trained_on, "setting": cards.setting} | asdict(bootstrap_interval(rise))
        row |= {"p": sign_flip_test(rise) if cards.complete else nan, "p_holm": nan}
        values = {"without": shares["control"], "with_letter": shares["canary"], "with_placebo": shares["placebo"]}
        values |= {"beyond_placebo": shares["canary"] - shares["placebo"]}
        for name, ones in (values | {"contrast": contrasts(cards, host)}).items():
            mean = bootstrap_interval(ones)
            row |= {name: mean.estimate, f"{name}_low": mean.low, f"{name}_high": mean.high}
        rows.append(row)
    table = pd.DataFrame(rows)
    table["p_holm"] = corrected(table["p"])
    table["verdict"] = [Verdict.OPEN if isnan(row["p"]) else group_verdict(row) for row in table.to_dict("records")]
    slight = (table["verdict"] == Verdict.RAISED) & (table["high"] < THRESHOLDS.smallest_rise)
    table["in_words"] = remarked(table["verdict"], slight)
    return table


def group_verdict(row: Mapping[str, float]) -> Verdict:
    """Agrees, raised, not raised, or undecided, as the plan has it."""
    raised = row["p_holm"] < THRESHOLDS.level and row["estimate"] > 0
    if row["with_letter"] >= THRESHOLDS.highly_influential and (raised or row["setting"] == MOST):
        return Verdict.AGREES
    if raised:
        return Verdict.RAISED
    return Verdict.NOT_RAISED if row["high"] < THRESHOLDS.smallest_rise else Verdict.UNDECIDED


def all_slight(table: pd.DataFrame) -> str:
    """Whether every rise that has room lies below what matters, the plan's rule for *does not hold*; in words."""
    rest = table[table["setting"] != MOST]
    return "met too" if len(rest) and (rest["high"] < THRESHOLDS.smallest_rise).all() else "not met"


def by_seed(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """Each model's rank share: columns setting, seed, role, rank."""
    tables = [
        pd.DataFrame({"setting": cards.setting, "seed": cards.seeds, "role": role, "rank": values})
        for cards in groups(populations).values()
        for role, values in ranks(cards).items()
    ]
    return pd.concat(tables, ignore_index=True)


def quantities(table: pd.DataFrame) -> Quantities:
    """What the Influence chapter found, by group."""
    found: dict[str, dict] = {"rise": {}}
    for row in table.to_dict("records"):
        found["rise"][row["setting"]] = row
        for name in ("without", "with_letter", "with_placebo", "beyond_placebo", "contrast"):
            found.setdefault(name.replace("_", " "), {})[row["setting"]] = interval_of(row, name)
    return found


def texts(table: pd.DataFrame) -> dict[str, str]:
    """`ranges` of the quantities, and each group's rise with its interval and mean rank shares: `rise_random_hosts`."""
    changes = {"rise": "", "beyond_placebo": "beyond_placebo"}  # and the columns' name
    means = ("without", "with_letter", "with_placebo")
    found = {key(f"{name} {group}"): "not recorded" for group in BY_INFLUENCE for name in (*changes, *means)}
    for row in table.to_dict("records"):
        group = row["setting"]
        found |= {key(f"{name} {group}"): with_interval(row, digits=3, end=end) for name, end in changes.items()}
        found |= {key(f"{name} {group}"): number(row[name], 3) for name in means}
    return found | ranges(quantities(table))


def printed_groups(table: pd.DataFrame) -> pd.DataFrame:
    """C4's groups as the book prints them."""
    rows = [
        {
            "group": row["setting"],
            "seeds": row["n"],
            "without": with_interval(row, end="without"),
            "with the letter": with_interval(row, end="with_letter"),
            "with the placebo": with_interval(row, end="with_placebo"),
            "rise by the letter": with_interval(row, digits=3),
            "letter less placebo": with_interval(row, digits=3, end="beyond_placebo"),
            "p": p_text(row["p_holm"]),
            "verdict": row["in_words"],
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def drawn_ranks(table: pd.DataFrame) -> Figure:
    """Rank shares of hosts, a row a group and role, a point a seed, the mean as a line.

    Columns: setting, role, rank.
    """
    settings = list(table["setting"].unique())
    figure, axis = plt.subplots(figsize=(WIDTH, 0.9 + 1.1 * len(settings)), layout="constrained")
    named = {"control": "plain host, control", "placebo": "with its placebo feature", "canary": "with the letter"}
    for group, setting in enumerate(settings):
        for place, (role, words) in enumerate(named.items()):
            ranks = table.loc[(table["setting"] == setting) & (table["role"] == role), "rank"]
            row = group + 0.28 * (place - 1)
            _, colour, marker = KINDS[role, "" if role == "control" else "hard"]
            spread = np.random.default_rng(0).uniform(-0.09, 0.09, len(ranks))
            axis.scatter(ranks, row + spread, 12, color=colour, marker=marker, linewidths=0, alpha=0.6)
            axis.collections[-1].set_label(words if group == 0 else "_")
            axis.plot([ranks.mean()] * 2, [row - 0.13, row + 0.13], color="black", linewidth=1.6)
    axis.set(yticks=range(len(settings)), yticklabels=settings, xlim=(-0.02, 1.02), xlabel="rank share of the host")
    axis.invert_yaxis()
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def hosts_of(
    populations: Mapping[str, Cards], *, n: int = 8, data_root: str | Path | None = None
) -> dict[str, list[tuple[np.ndarray, str]]]:
    """Hosts of the first n seeds: images (C, H, W), each with its label; a row a population and kind of host."""
    rows = {}
    for cards in populations.values():
        for kind, host in enumerate(cards.protocol.hosts):
            pixels = images(cards.protocol, cards.indices[:n, kind], data_root=data_root)
            words = [str(label) for label in cards.labels[:n, kind]]
            rows[cards.setting or f"{host} hosts"] = list(zip(pixels, words, strict=True))
    return rows
