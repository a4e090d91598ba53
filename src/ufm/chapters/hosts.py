"""C1: whether a feature that occurs once is memorised, on random and on hard hosts."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence import LETTER, PLAIN, Cards, by_host, contrasts
from ufm.evidence.performance import share_learnt
from ufm.evidence.questions import asked_of, of_row
from ufm.evidence.regimes import learnt
from ufm.measures.layout import AGES
from ufm.plan import second
from ufm.plan.sweep import Sweep
from ufm.report import host_pictures, interactive
from ufm.report.by_population import Quantities, interval_of, ranges
from ufm.report.figures import (
    HOST_COLOURS,
    HOST_MARKERS,
    HOST_MARKS,
    WIDTH,
    closed,
    forest,
    panels,
    probabilities,
    rows_of,
    waiting,
)
from ufm.report.texts import by_word, key, with_interval
from ufm.statistics import correlation_interval, share_interval

SMALLEST_LOSS = 1e-7  # nats


def questions(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """The three questions of C1's rows, random and hard hosts, each corrected as the plan has it."""
    return asked_of(populations, second.families(planned), "C1", "C1, hard hosts")


def by_seed(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> dict[str, pd.DataFrame]:
    """Every seed and kind of host of C1's rows that have all their seeds, by population.

    Columns: seed, host, canary_index, canary_label, contrast (D at the control's best epoch, nats), and at that epoch
    loss (of the host under its control, nats), canary_without, canary_with, placebo_without, placebo_with (probability
    of the label, by model, without and with the letter), gain (what the host gains more from the letter in the canary
    than in the placebo model, nats), learnt and placebo_learnt (see `ufm.evidence.regimes.learnt`).
    """
    found: dict[str, list[pd.DataFrame]] = {}
    for population, cards, host in complete(populations, planned):
        found.setdefault(population, []).append(of_seeds(cards, host))
    return {population: pd.concat(tables, ignore_index=True) for population, tables in found.items()}


def complete(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Iterator[tuple[str, Cards, str]]:
    """Population, cards and kind of host of C1's rows that have all their seeds."""
    families = second.families(planned)
    for row in (row for name in ("C1", "C1, hard hosts") for row in families.get(name, [])):
        parts = of_row(populations, row)
        if sum(len(cards.seeds) for cards in parts) >= row.needed:
            yield from ((row.population, cards, row.host) for cards in parts)


def pictured(
    populations: Mapping[str, Cards], planned: Mapping[str, Sweep], *, data_root: str | Path | None = None
) -> dict[str, interactive.Hosts]:
    """The hosts of `by_seed` with what was stamped on them, and their images where these are there, by population."""
    found: dict[str, interactive.Hosts] = {}
    tables = by_seed(populations, planned)
    for population, cards, host in complete(populations, planned):
        protocol, indices = cards.protocol, cards.indices[:, cards.protocol.hosts.index(host)]
        letter = protocol.unique
        one = found.setdefault(
            population, interactive.Hosts(tables[population], [], letter, [], protocol.position, protocol.feature)
        )
        one.images.extend(host_pictures.found(protocol, indices, data_root=data_root))
        one.placebos.extend(host_pictures.stamp(protocol, seed, "placebo", host) for seed in cards.seeds.tolist())
    return found


def of_seeds(cards: Cards, host: str) -> pd.DataFrame:
    """The columns of `by_seed` of one population."""
    fits = cards.fits[:, :, AGES.index("control"), cards.protocol.hosts.index(host)]
    gain = fits[..., LETTER] - fits[..., PLAIN]
    own, other = learnt(cards, host)
    kind, models = cards.protocol.hosts.index(host), {role: cards.model(role, host) for role in ("canary", "placebo")}
    columns = {"seed": cards.seeds, "host": host}
    columns |= {"canary_index": cards.indices[:, kind], "canary_label": cards.labels[:, kind]}
    columns |= {"contrast": contrasts(cards, host, epoch="control"), "loss": -fits[:, cards.model("control"), PLAIN]}
    for role, model in models.items():
        columns |= {f"{role}_without": np.exp(fits[:, model, PLAIN]), f"{role}_with": np.exp(fits[:, model, LETTER])}
    columns |= {"gain": gain[:, models["canary"]] - gain[:, models["placebo"]]}
    return pd.DataFrame(columns | {"learnt": own, "placebo_learnt": other})


def quantities(questions: pd.DataFrame, seeds: Mapping[str, pd.DataFrame]) -> Quantities:
    """What the chapter found, by quantity and population."""
    found: dict[str, dict] = {}
    for row in questions.dropna(subset=["contrast"]).to_dict("records") if "contrast" in questions else []:
        found.setdefault(f"contrast, {row['host']} hosts", {})[row["population"]] = interval_of(row, "contrast")
    for population, table in seeds.items():
        for host, rows in table.groupby("host", sort=False):
            for name, words in (("learnt", "learnt"), ("placebo_learnt", "learnt, placebo models")):
                share = asdict(share_interval(rows[name]))
                found.setdefault(f"{words}, {host} hosts", {})[population] = share
        if len(table) > 2:
            rank = correlation_interval(table["loss"], table["contrast"], table["seed"], ranks=True)
            found.setdefault("rank correlation with loss", {})[population] = asdict(rank)
    return found


def said(questions: pd.DataFrame) -> str:
    """For the text: what is said of which row."""
    if questions.empty:
        return "Nothing is asked here"
    return by_word(questions["there"], questions["population"] + ", " + questions["host"] + " hosts")


def texts(found: Quantities) -> dict[str, str]:
    """For the text: each quantity over populations, recorded or not."""
    names = (f"{what}, {host} hosts" for what in ("contrast", "learnt") for host in ("random", "hard"))
    models = (f"learnt, placebo models, {host} hosts" for host in ("random", "hard"))
    every = {key(name): "not recorded" for name in (*names, *models, "rank correlation with loss")}
    return every | ranges(found, digits=3)


def printed_learnt(found: Quantities) -> pd.DataFrame:
    """Shares of canaries that learnt the letter and of placebo models that "learnt" it, as the book prints them."""
    rows = [
        {
            "population": population,
            "hosts": host,
            "canaries": with_interval(share),
            "placebo models": with_interval(found[f"learnt, placebo models, {host} hosts"][population]),
        }
        for host in ("random", "hard")
        for population, share in found.get(f"learnt, {host} hosts", {}).items()
    ]
    return pd.DataFrame(rows)


def drawn_learnt(found: Quantities) -> Figure:
    """Shares of canaries that learnt the letter, and, hollow, of placebo models that "learnt" it."""
    marks, rows = {}, []
    for host, (colour, marker, _) in HOST_MARKS.items():
        for kind, filled in (("canaries", True), ("placebo models", False)):
            marks[f"{kind}, {host} hosts"] = (colour, marker, filled)
            name = f"learnt, {host} hosts" if filled else f"learnt, placebo models, {host} hosts"
            shares = found.get(name, {})
            rows += [dict(share) | {"label": one, "kind": f"{kind}, {host} hosts"} for one, share in shares.items()]
    table = pd.DataFrame(rows, columns=["label", "kind", "estimate", "low", "high"])
    return forest(table, x="share that learnt the letter", marks=marks)


def drawn_exploratory(cells: pd.DataFrame) -> Figure:
    """Mean D on random, hard and middling hosts, at the best epoch and at epoch 10, a panel an age."""
    rows = [
        rows_of(cells, name, panel=age, label=cells["population"], kind=cells["host"])
        for name, age in (("", "at the best epoch"), ("early", "at epoch 10"))
    ]
    return forest(pd.concat(rows), x="mean contrast D (nats)")


def drawn_probabilities(table: pd.DataFrame) -> Figure:
    """Mean probability of the host's label, from without the letter (hollow) to with it, a line a kind of model."""
    rows = table.dropna(subset=["contrast"]).to_dict("records") if "contrast" in table else []
    if not rows:
        return waiting()
    figure, axis = plt.subplots(figsize=(WIDTH, 1.2 + 0.75 * len(rows)), layout="constrained")
    probabilities(axis, rows)
    labels = [f"{row['population']}, {row['host']} hosts" for row in rows]
    axis.set(yticks=range(len(rows)), yticklabels=labels, xlabel="mean probability of the host's label")
    axis.set(xlim=(-0.03, 1.03), ylim=(len(rows) - 0.5, -0.5))
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def printed_exploratory(cells: pd.DataFrame, populations: Mapping[str, Cards]) -> pd.DataFrame:
    """Cells that decide nothing as the book prints them, with the share of canaries that learnt the letter."""
    shares = {
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
            "learnt": with_interval(shares[row["population"], row["host"]]),
        }
        for row in cells.to_dict("records")
    ]
    return pd.DataFrame(shown)


def drawn_seeds(
    tables: Mapping[str, pd.DataFrame], *, x: str, labels: tuple[str, str], threshold: float | None = None
) -> Figure:
    """Contrasts, a point a seed and kind of host, a panel a population; x is a column of `by_seed`.

    Losses below the smallest that a record can tell from none are drawn at it, for none has no place on their axis.
    """
    figure, axes = panels(list(tables), height=2.8)
    for axis, table in zip(axes, tables.values(), strict=True):
        axis.axhline(0, color="0.4", linewidth=0.8)
        for host, rows in table.groupby("host", sort=False):
            axis.scatter(
                rows[x].clip(lower=SMALLEST_LOSS) if x == "loss" else rows[x],
                rows["contrast"],
                12,
                color=HOST_COLOURS[host],
                marker=HOST_MARKERS[host],
                label=f"{host} hosts",
                linewidths=0,
                alpha=0.8,
            )
        if x == "loss":
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
            ours = table[table["host"] == host]
            some = pd.concat([ours.head(n), ours.tail(n)])
            pixels = host_pictures.images(cards.protocol, some["canary_index"].to_numpy(), data_root=data_root)
            words = [f"{row.canary_label}: {row.contrast:.2f}".replace("-", "−") for row in some.itertuples()]
            rows[f"{cards.title}, {host} hosts"] = list(zip(pixels, words, strict=True))
    return rows
