"""What the book's populations score by the detectors of an audit: models that were trained with the letter, and others.

The table lies beside this file, so that an audit needs no records; `benchmarks/audited.py` renews it from them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from ufm.evidence import Cards
from ufm.evidence.detectors import DEFAULT, LABEL_KNOWN
from ufm.evidence.questions import CANARY, CONTROL, PLACEBO, met
from ufm.plan import second

NAME = "populations.json"
SCHEMA = "ufm populations 1"
DETECTORS = {"unknown": DEFAULT, "known": LABEL_KNOWN}  # by whether the label of the image is known
DIGITS = 2  # decimals that are kept of a score


@dataclass(frozen=True, eq=False)
class Scored:
    """A population of plain MLPs on one kind of host, each score of a model at its own best epoch, in order."""

    population: str  # data set and size
    host: str
    n_classes: int
    innocent: Mapping[str, np.ndarray]  # (2 n_seeds,) by the names of `DETECTORS`: controls and placebo models
    trained: Mapping[str, np.ndarray]  # (n_seeds,) canaries


def computed(populations: Mapping[str, Cards]) -> list[Scored]:
    """The table of those populations that are plain, in both plans, by data set, size and kind of host."""
    groups: dict[tuple[str, str], list[Cards]] = {}
    for cards in populations.values():
        if not cards.setting or second.regime(cards.sweep) in second.OWN:
            for host in cards.protocol.hosts:
                groups.setdefault((cards.trained_on, host), []).append(cards)
    table = []
    for (population, host), parts in groups.items():
        scores = {name: np.concatenate([met(cards, host, one) for cards in parts]) for name, one in DETECTORS.items()}
        innocent = {name: kept(values[:, [CONTROL, PLACEBO]]) for name, values in scores.items()}
        trained = {name: kept(values[:, CANARY]) for name, values in scores.items()}
        table.append(Scored(population, host, parts[0].n_classes, innocent, trained))
    return table


def kept(scores: np.ndarray) -> np.ndarray:
    """Scores as the table has them."""
    return np.sort(scores.ravel()).round(DIGITS)


def written(table: Sequence[Scored]) -> str:
    """The table as JSON, a line a list of scores."""
    rows = [
        {"population": one.population, "host": one.host, "n_classes": one.n_classes}
        | {"innocent": scores_of(one.innocent), "trained": scores_of(one.trained)}
        for one in table
    ]
    lines = ",\n".join(json.dumps(row).replace('], "', '],\n  "').replace('{"unknown', '\n  {"unknown') for row in rows)
    detectors = json.dumps({name: one.name for name, one in DETECTORS.items()})
    return f'{{"schema": "{SCHEMA}",\n"detectors": {detectors},\n"populations": [\n{lines}\n]}}\n'


def scores_of(by_name: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    """Arrays as lists."""
    return {name: values.tolist() for name, values in by_name.items()}


def read() -> list[Scored]:
    """The table that lies beside this file."""
    content = json.loads(text())
    return [
        Scored(
            row["population"],
            row["host"],
            row["n_classes"],
            *({name: np.array(values) for name, values in row[kind].items()} for kind in ("innocent", "trained")),
        )
        for row in content["populations"]
    ]


def text() -> str:
    """The file as it is."""
    return files("ufm.auditing").joinpath(NAME).read_text(encoding="utf-8")
