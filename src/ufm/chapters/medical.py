"""C6: the same of medical images, with a letter or a name."""

from collections.abc import Mapping
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ufm import features
from ufm.data import sources
from ufm.evidence import Cards, detectors, learnt
from ufm.evidence.performance import scores
from ufm.evidence.questions import asked
from ufm.plan import second
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import SECOND
from ufm.protocol import Protocol
from ufm.report.by_population import by_way, joined
from ufm.report.figures import LINES, forest, rows_of
from ufm.report.host_pictures import images
from ufm.report.texts import by_word, number, with_interval
from ufm.statistics import Interval, columns
from ufm.statistics.roc import auc_interval

XRAYS = "chest X-rays of children, with pneumonia or without (PneumoniaMNIST)"
STOPPED = {  # by what early stopping looks at
    "validation": "Training stops early by the official validation split, and the test split judges.",
    "none": "Training takes a fixed number of epochs.",
}
MARKS = tuple((colour, marker) for (colour, _), marker in zip(LINES, "osD^", strict=True))  # networks, features


def questions(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """The three questions of C6's rows."""
    return asked(populations, second.families(planned).get("C6", []))


def in_words(questions: pd.DataFrame) -> str:
    """For the text: which rows came out how."""
    if questions.empty:
        return "Nothing is asked here"
    return by_word(questions["there"], questions["setting"] + ", " + questions["host"] + " hosts")


def design(planned: Mapping[str, Sweep]) -> str:
    """For the text: how many seeds of which network and feature are asked about, and how their training ends."""
    own = {second.regime(sweep): sweep for sweep in planned.values() if second.regime(sweep)}
    stopped = STOPPED[next(iter(own.values())).protocol.training.early_stopping] if own else ""
    listed = "; ".join(f"{setting}: {len(sweep.seeds)}" for setting, sweep in own.items())
    return f"Seeds, each on a random host and on a hard one: {listed}. {stopped}" if own else "Nothing is asked here."


def shown_as(protocol: Protocol) -> str:
    """For the text: what the images of this page are."""
    source = sources.source(protocol.dataset)
    pixels = " × ".join(map(str, protocol.image_shape[1:]))
    what = XRAYS if protocol.dataset == "pneumoniamnist" else f"images that stand in for X-rays ({source.title})"
    return f"{what}, at {pixels} pixels"


def covered(protocol: Protocol, feature: str) -> str:
    """For the text: how much of an image a feature covers, "270 of 784 pixels (34 %)"."""
    size, image = features.feature(feature).size, np.prod(protocol.image_shape[1:])
    return f"{size} of {image} pixels ({number(100 * size / image, 0)} %)"


def areas(cards: Cards, host: str) -> pd.DataFrame:
    """Area of each detector of a short card for canaries that learnt the feature, against models of two kinds.

    Columns: detector; same, same_low, same_high (controls and placebo models of the same seeds), all, all_low, all_high
    (those of every seed), n (canaries). NaN where fewer than two learnt it.
    """
    which, rows = learnt(cards, host), []
    n = int(which.sum())
    canary, others = cards.model("canary", host), [cards.model("control"), cards.model("placebo", host)]
    for detector in detectors.OF_SHORT_CARDS:
        values, row = scores(detector, cards, host), {"detector": detector.name, "n": n}
        for name, among in {"same": which, "all": np.ones_like(which)}.items():
            interval = Interval(nan, nan, nan, n)
            if n > 1:
                parts = values[which, canary], values[among][:, others].ravel()
                positive = np.repeat([True, False], [len(part) for part in parts])
                seeds = np.concatenate([cards.seeds[which], np.repeat(cards.seeds[among], len(others))])
                interval = auc_interval(np.concatenate(parts), positive, seeds)
            row |= columns({name: interval})
        rows.append(row)
    return pd.DataFrame(rows)


def by_setting(populations: Mapping[str, Cards], host: str) -> dict[str, pd.DataFrame]:
    """`areas` by network and feature."""
    return {cards.setting: areas(cards, host) for cards in populations.values()}


def below_chance(tables: Mapping[str, pd.DataFrame]) -> str:
    """For the text: the areas whose interval lies below one half."""
    rows = joined(tables)
    found = [
        f"{row['detector']}, {row['population']}: {with_interval(row, end='same')}"
        for row in rows[rows["same_high"] < SECOND.chance].to_dict("records")
    ]
    return "; ".join(found) or "none"


def printed_areas(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """`areas` as the book prints them."""
    rows = [
        {
            "network, feature": row["population"],
            "detector": row["detector"],
            "canaries": row["n"],
            "against models of the same seeds": with_interval(row, end="same"),
            "of all seeds": with_interval(row, end="all"),
        }
        for row in joined(tables).to_dict("records")
    ]
    return pd.DataFrame(rows)


def drawn_areas(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """`areas`, a row a detector, a colour a network and feature, a panel the models against which it stands."""
    table = joined(tables)
    marks = {name: (*mark, True) for name, mark in zip(tables, MARKS, strict=False)}
    titles = {"same": "models of the same seeds", "all": "models of all seeds"}
    rows = [
        rows_of(table, name, panel=title, label=table["detector"], kind=table["population"])
        for name, title in titles.items()
    ]
    return forest(pd.concat(rows), x="area", marks=marks, nothing=SECOND.chance)


def printed_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """C6's cells as the book prints them: by network and feature, and by kind of host."""
    return by_way(cells, "network, feature").assign(hosts=cells["host"])


def on_hosts(cells: pd.DataFrame, host: str) -> str:
    """For the text: the mean contrasts of the cells of a kind of host, with intervals."""
    rows = cells[cells["host"] == host]
    return "; ".join(with_interval(row, digits=3) for row in rows.to_dict("records")) or "not recorded"


def listed(quality: pd.DataFrame, name: str) -> str:
    """For the text: a column of `ufm.evidence.performance.quality` with its intervals, a population after the other."""
    return "; ".join(with_interval(row, end=name) for row in quality.to_dict("records"))


def counts_learnt(quality: pd.DataFrame) -> str:
    """For the text: how many canaries learnt the feature, a population after the other."""
    return ", ".join(str(round(row["learnt"] * row["n"])) for row in quality.to_dict("records"))


def as_trained(
    populations: Mapping[str, Cards], *, n: int = 8, data_root: str | Path | None = None
) -> dict[str, list[tuple[np.ndarray, str]]]:
    """Hosts of the first n seeds as their canaries have them: images (C, H, W), each with its label; a row a setting.

    Of populations on several kinds of host the last kind.
    """
    rows = {}
    for cards in populations.values():
        plain = images(cards.protocol, cards.indices[:n, -1], data_root=data_root)
        stamped = features.insert(plain, cards.protocol.unique, position=cards.protocol.position)
        rows[cards.setting] = list(zip(stamped, map(str, cards.labels[:n, -1]), strict=True))
    return rows
