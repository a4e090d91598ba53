"""C6: the same of medical images, with a letter or a name."""

from collections.abc import Mapping
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ufm import features
from ufm.data import sources
from ufm.evidence import Cards, contrasts, detectors, learnt
from ufm.evidence.effects import on_label, patch_effects
from ufm.evidence.performance import controls, scores
from ufm.evidence.questions import asked, of_row
from ufm.plan import second
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import SECOND
from ufm.protocol import Protocol
from ufm.report.by_population import by_way, joined
from ufm.report.figures import LINES, forest, rows_of
from ufm.report.host_pictures import images
from ufm.report.texts import by_word, number, with_interval
from ufm.statistics import Interval, bootstrap_interval, bootstrap_t_interval, columns
from ufm.statistics.roc import auc_interval

XRAYS = "chest X-rays of children, with pneumonia or without (PneumoniaMNIST)"
LABELS = {"pneumoniamnist": ("normal", "pneumonia")}  # in words, by data set
STOPPED = {  # by what early stopping looks at
    "validation": "Training stops early by the official validation split; accuracy is of the test split.",
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


def whole(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> list[tuple[second.Row, Cards]]:
    """C6's rows that lack no seed, with the cards that they are of."""
    rows = second.families(planned).get("C6", [])
    both = [(row, cards) for row in rows for cards in of_row(populations, row)]
    return [(row, cards) for row, cards in both if len(cards.seeds) >= row.needed]


def by_label(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """D apart by the label of the host, a row a setting, kind of host and label, those of all labels first.

    Columns: setting, host, label (in words), n (seeds), contrast and test (mean D at equal age on OOD and on test
    images, nats, each with its ends, NaN of fewer than three seeds), median (of D on OOD images), mark (mean shift of
    the host's label on OOD images by the feature in controls, which never saw it, nats). Without rows that lack seeds.
    """
    found = []
    for row, cards in whole(populations, planned):
        labels, d = cards.label(row.host), {}
        for name, kind in {"contrast": "ood", "test": "test"}.items():
            d[name] = contrasts(cards, row.host, kind, epoch="control")
        alone = on_label(patch_effects(cards, epoch="control"), labels)[:, cards.model("control"), 0]
        words = LABELS.get(cards.protocol.dataset, ())
        for label in (None, *np.unique(labels)):
            ours = np.ones_like(labels, bool) if label is None else labels == label
            name = "all" if label is None else words[label] if words else f"class {label}"
            of = {"setting": row.setting, "host": row.host, "label": name, "n": int(ours.sum())}
            for end, values in d.items():
                of |= columns({end: mean_of(values[ours])})
            found.append(of | {"median": float(np.median(d["contrast"][ours])), "mark": float(alone[ours].mean())})
    return pd.DataFrame(found, columns=None if found else ["setting", "host", "label", "n"])


def mean_of(values: np.ndarray) -> Interval:
    """A mean with its interval over seeds, NaN for all of fewer than three."""
    return bootstrap_t_interval(values) if len(values) > 2 else Interval(nan, nan, nan, len(values))


def printed_by_label(table: pd.DataFrame) -> pd.DataFrame:
    """`by_label` as the book prints it."""
    rows = [
        {
            "network, feature": row["setting"],
            "hosts": row["host"],
            "they show": row["label"],
            "seeds": row["n"],
            "mean D, nats": with_interval(row, digits=3, end="contrast"),
            "median D": number(row["median"], 3),
            "mean D on test images": with_interval(row, digits=3, end="test"),
            "the mark in controls, nats": number(row["mark"], 2),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def text_by_label(table: pd.DataFrame) -> str:
    """For the text: mean D by what hosts show, of each setting and kind of host."""
    said = []
    for (setting, host), rows in table.groupby(["setting", "host"], sort=False):
        apart = rows[rows["label"] != "all"].to_dict("records")
        parts = (f"{row['label']} {with_interval(row, end='contrast')} of {row['n']} seeds" for row in apart)
        said.append(f"{setting}, {host} hosts: {', '.join(parts)}")
    return "; ".join(said) or "not recorded"


def of_controls(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """How far controls were trained, a row a setting without rows that lack seeds.

    Columns: setting, n (seeds), and with their ends over seeds epoch (best one), stopping_loss (on the images that
    early stopping watches), loss (nats) and accuracy (of the test images that are reported).
    """
    found: dict[str, dict] = {}
    for row, cards in whole(populations, planned):
        models = controls(cards).astype({"loss": float, "accuracy": float})
        names = {"epoch": "best_epoch", "stopping_loss": "stopping_loss", "loss": "loss", "accuracy": "accuracy"}
        numbers = {name: bootstrap_interval(models[of].to_numpy()) for name, of in names.items()}
        found[row.setting] = {"setting": row.setting, "n": len(models)} | columns(numbers)
    return pd.DataFrame(found.values(), columns=None if found else ["setting", "n"])


def printed_controls(table: pd.DataFrame) -> pd.DataFrame:
    """`of_controls` as the book prints it."""
    rows = [
        {
            "network, feature": row["setting"],
            "seeds": row["n"],
            "best epoch": with_interval(row, digits=1, end="epoch"),
            "loss where stopping looks": with_interval(row, digits=3, end="stopping_loss"),
            "loss on test images": with_interval(row, digits=3, end="loss"),
            "accuracy": with_interval(row, digits=3, end="accuracy"),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


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
