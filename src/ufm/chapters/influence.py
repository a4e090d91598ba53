"""C4: how influential a host is with the letter and without, by how influential it is without.

A *rank share* is the share of the other training images with less self-influence, as an influence card has it
of the host that each model was trained on: plain in the control, with the letter in the canary.
"""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ufm.evidence import Cards
from ufm.evidence.influential import groups, ranks
from ufm.first_plan.influence import MOST
from ufm.plan.influence import BY_INFLUENCE
from ufm.plan.thresholds import THRESHOLDS
from ufm.report.by_population import Quantities, interval_of, ranges
from ufm.report.figures import KINDS, WIDTH, closed
from ufm.report.host_pictures import images
from ufm.report.texts import REHEARSED, key, number, p_text, with_interval

FACTORS = (0.5, 1.0, 2.0, 4.0)  # ticks


def all_slight(table: pd.DataFrame, profile: str = "paper") -> str:
    """Whether every rise that has room lies below what matters, the plan's rule for *does not hold*; in words."""
    if profile == "embedded":
        return REHEARSED
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
        found |= {key(f"{name} {group}"): with_interval(row, digits=4, end=end) for name, end in changes.items()}
        found |= {key(f"{name} {group}"): number(row[name], 4) for name in means}
    return found | ranges(quantities(table))


def printed_groups(table: pd.DataFrame) -> pd.DataFrame:
    """C4's groups as the book prints them."""
    rows = [
        {
            "group": row["setting"],
            "seeds": row["n"],
            "without": with_interval(row, digits=4, end="without"),
            "with the letter": with_interval(row, digits=4, end="with_letter"),
            "with the placebo": with_interval(row, digits=4, end="with_placebo"),
            "rise by the letter": with_interval(row, digits=4),
            "letter less placebo": with_interval(row, digits=4, end="beyond_placebo"),
            "p": p_text(row["p_holm"]),
            "verdict": row["in_words"],
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """`ufm.evidence.influential.ranks_and_ratios` as the book prints it."""
    rows = [
        {
            "group": row["setting"],
            "seeds": row["n"],
            "rise by the letter": with_interval(row, digits=4, end="rise"),
            "rise by the placebo": with_interval(row, digits=4, end="placebo_rise"),
            "times, letter": with_interval(row, end="ratio"),
            "times, placebo": with_interval(row, end="placebo_ratio"),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def ratio_texts(table: pd.DataFrame) -> dict[str, str]:
    """For the text: by which factor letter and placebo raise a group's self-influence: `ratio_random_hosts`."""
    found = {key(f"{name} {group}"): "not recorded" for group in BY_INFLUENCE for name in ("ratio", "placebo_ratio")}
    for row in table.to_dict("records"):
        found |= {key(f"{name} {row['setting']}"): number(row[name], 2) for name in ("ratio", "placebo_ratio")}
    return found


def drawn_changes(table: pd.DataFrame, seeds: pd.DataFrame, *, smallest: float) -> Figure:
    """What letter and placebo change, a row a group: rank share on the left, self-influence as a factor on the right.

    table: of `ufm.evidence.influential.ranks_and_ratios`; seeds: of `by_seed`. On the left a pale point is a host with
    its stamp less the same host without; means have their intervals. The dotted line is the smallest rise of the rank
    that the first plan counts.
    """
    figure, axes = plt.subplots(
        1, 2, figsize=(WIDTH, 1.4 + 0.7 * max(len(table), 1)), sharey=True, layout="constrained", width_ratios=(3, 2)
    )
    named = {
        "letter": ("canary", "", KINDS["canary", "hard"]),
        "placebo feature": ("placebo", "placebo_", KINDS["placebo", "hard"]),
    }
    for line, (words, (role, prefix, (_, colour, marker))) in enumerate(named.items()):
        for place, row in enumerate(table.to_dict("records")):
            height, name = place + 0.36 * (line - 0.5), words if place == 0 else "_"
            single = rises(seeds, row["setting"], role)
            spread = np.random.default_rng(0).uniform(-0.13, 0.13, len(single))
            axes[0].scatter(single, height + spread, 9, color=colour, marker=marker, linewidths=0, alpha=0.35)
            for axis, end in zip(axes, ("rise", "ratio"), strict=True):
                ends = [row[f"{prefix}{end}_low"], row[f"{prefix}{end}_high"]]
                axis.plot(ends, [height] * 2, color="black", linewidth=1.4)
                axis.scatter(
                    *(row[f"{prefix}{end}"], height, 30),
                    color=colour,
                    edgecolors="black",
                    marker=marker,
                    label=name,
                    zorder=3,
                )
    axes[0].axvline(0, color="0.4", linewidth=0.8)
    axes[0].axvline(smallest, color="0.4", linewidth=0.8, linestyle=":")
    axes[0].set(xlabel="change of rank share", yticks=range(len(table)), yticklabels=list(table.get("setting", [])))
    axes[1].axvline(1, color="0.4", linewidth=0.8)
    axes[1].set_xscale("log")
    axes[1].set(xlabel="self-influence, factor", xticks=FACTORS, xticklabels=[f"{one:g}" for one in FACTORS])
    axes[1].xaxis.set_minor_locator(NullLocator())
    axes[0].set_ylim(max(len(table), 1) - 0.5, -0.5)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def rises(seeds: pd.DataFrame, setting: str, role: str) -> np.ndarray:
    """Rank share (n_seeds,) of a group's hosts in the models of a role, less that in the controls of their seeds."""
    wide = seeds[seeds["setting"] == setting].pivot(index="seed", columns="role", values="rank")
    return (wide[role] - wide["control"]).to_numpy()


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
