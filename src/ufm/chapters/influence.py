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

from ufm.evidence import Cards
from ufm.evidence.influential import groups, ranks
from ufm.first_plan.influence import MOST
from ufm.plan.influence import BY_INFLUENCE
from ufm.plan.thresholds import THRESHOLDS
from ufm.report.by_population import Quantities, interval_of, ranges
from ufm.report.figures import KINDS, WIDTH, closed
from ufm.report.host_pictures import images
from ufm.report.texts import key, number, p_text, with_interval


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
