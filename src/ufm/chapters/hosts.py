"""C1: whether a feature that occurs once is memorised, on random and on hard hosts."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence import Cards, by_host
from ufm.evidence.performance import share_learnt
from ufm.report.by_population import Quantities
from ufm.report.figures import HOST_COLOURS, HOST_MARKERS, closed, panels
from ufm.report.host_pictures import images
from ufm.report.texts import with_interval
from ufm.statistics import bootstrap_interval, correlation_interval, share_interval
from ufm.study.runs import NotYetRun


def quantities(cells: pd.DataFrame, rows: Mapping[str, pd.DataFrame]) -> Quantities:
    """What the Hosts chapter found. Raises NotYetRun where no population is there that nothing sets apart."""
    if not rows:
        raise NotYetRun("The usual populations, beside which the others stand, have too few seeds yet.")
    found: dict[str, dict] = {}
    for cell_row in cells.to_dict("records"):
        found.setdefault(f"contrast, {cell_row['host']} hosts", {})[cell_row["population"]] = cell_row
    for population, table in rows.items():
        for host, ones in table.groupby("host", sort=False):
            share = asdict(share_interval(ones["learnt"]))
            found.setdefault(f"learnt, {host} hosts", {})[population] = share
        missed = table.loc[(table["host"] == "hard") & ~table["learnt"], "contrast"]
        if len(missed) > 1:
            mean = asdict(bootstrap_interval(missed))
            found.setdefault("contrast, hard hosts, not learnt", {})[population] = mean
        known = table.dropna(subset="clean_loss")
        if len(known) > 2:
            rank = correlation_interval(known["clean_loss"], known["contrast"], known["seed"], ranks=True)
            found.setdefault("rank correlation with loss", {})[population] = asdict(rank)
    return found


def printed_exploratory(cells: pd.DataFrame, populations: Mapping[str, Cards]) -> pd.DataFrame:
    """Cells that decide nothing as the book prints them, with the share of canaries that learnt the letter."""
    learnt = {
        (cards.trained_on, host): share_learnt(cards, host)
        for cards in populations.values()
        for host in cards.protocol.hosts
    }
    shown = [
        {
            "population": row["population"],
            "hosts": row["host"],
            "seeds": row["n"],
            "mean D, nats": with_interval(row, digits=3),
            "epoch 10": with_interval(row, digits=3, end="early"),
            "learnt": with_interval(learnt[row["population"], row["host"]]),
        }
        for row in cells.to_dict("records")
    ]
    return pd.DataFrame(shown)


def drawn_contrasts(
    tables: Mapping[str, pd.DataFrame], *, x: str, labels: tuple[str, str], threshold: float | None = None
) -> Figure:
    """Contrasts, a point a seed and kind of host, a panel a population; x is a column of `ufm.evidence.by_host`."""
    figure, axes = panels(list(tables), height=2.8)
    for axis, table in zip(axes, tables.values(), strict=True):
        axis.axhline(0, color="0.4", linewidth=0.8)
        for host, rows in table.groupby("host", sort=False):
            axis.scatter(
                rows[x],
                rows["contrast"],
                12,
                color=HOST_COLOURS[host],
                marker=HOST_MARKERS[host],
                label=f"{host} hosts",
                linewidths=0,
                alpha=0.8,
            )
        if x == "clean_loss":
            axis.set_xscale("log")
        if threshold is not None:
            axis.axvline(threshold, color="0.4", linewidth=0.8, linestyle=":")
        axis.set(xlabel=labels[0], ylabel=labels[1])
    axes[0].legend(loc="best", fontsize="small")
    sns.despine(figure)
    return closed(figure)


def extremes(
    populations: Mapping[str, Cards], *, n: int = 4, data_root: str | Path | None = None
) -> dict[str, list[tuple[np.ndarray, str]]]:
    """Hosts with the n largest and the n smallest contrasts: images (C, H, W), each with its label and contrast.

    A row a population and kind of host, by its title.
    """
    rows = {}
    for cards in populations.values():
        table = by_host(cards).sort_values("contrast", ascending=False)
        for host in reversed(cards.protocol.hosts):
            contrasts = table[table["host"] == host]
            some = pd.concat([contrasts.head(n), contrasts.tail(n)])
            pixels = images(cards.protocol, some["canary_index"].to_numpy(), data_root=data_root)
            words = [f"{row.canary_label}: {row.contrast:.2f}".replace("-", "−") for row in some.itertuples()]
            rows[f"{cards.title}, {host} hosts"] = list(zip(pixels, words, strict=True))
    return rows
