"""Interactive figures: data and HTML of a widget that takes the place of a figure's still picture.

The page's script (book/_assets/interactive.js) draws it from the data, which lie in it as JSON; without the script the
picture stays. The same tables give the same bytes: numbers have few digits, images are letters and not compressed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ufm.evidence.questions import MODELS

if TYPE_CHECKING:
    from IPython.display import HTML

LARGEST = 64  # pixels of a side, beyond which an image would be too much of a page
PROBABILITIES = ("canary_without", "canary_with", "placebo_without", "placebo_with")
TOLD = ("area", "found", "false", "accuracy", "limit")
# Beside the page, wherever its site lies.
LOADED = '<link rel="stylesheet" href="_static/interactive.css"><script src="_static/interactive.js" defer></script>'


@dataclass(frozen=True, eq=False)
class Hosts:
    """Hosts of a population; images and placebo features in the order of the table's rows."""

    table: pd.DataFrame  # columns of `hosts`
    images: list[np.ndarray | None]  # (C, H, W) uint8; None: not kept
    letter: np.ndarray  # (h, w) in [0, 1], NaN where transparent
    placebos: list[np.ndarray]  # (h, w)
    position: tuple[int, int]  # row and column of their top-left pixel
    feature: str = "A"  # the letter's name


def hosts(populations: Mapping[str, Hosts], *, figure: str) -> "HTML":
    """Contrast against the host's loss, a panel a population, by its title; a point shows its host and the answers.

    Columns of the tables: seed, host (kind), canary_index, canary_label, loss and contrast (nats), and probabilities of
    the label, canary_without and canary_with the letter, placebo_without and placebo_with.
    """
    kinds = list(dict.fromkeys(host for one in populations.values() for host in one.table["host"]))
    panels = []
    for title, one in populations.items():
        table, images = one.table, [small(image) for image in one.images]
        shapes = {image.shape for image in images if image is not None}
        columns: dict[str, Any] = {
            "seed": table["seed"].tolist(),
            "kind": [kinds.index(host) for host in table["host"]],
            "index": table["canary_index"].tolist(),
            "label": table["canary_label"].tolist(),
            "loss": [float(f"{value:.3g}") + 0.0 for value in table["loss"]],  # its axis is logarithmic
            "contrast": rounded(table["contrast"]),
            "p": [rounded(row) for row in table[list(PROBABILITIES)].to_numpy()],
            "shape": list(shapes.pop()) if shapes else None,
            "image": [None if image is None else encoded(image / 255) for image in images],
            "placebo": [encoded(pixels) for pixels in one.placebos],
        }
        letter = {"pixels": encoded(one.letter), "width": one.letter.shape[1], "position": list(one.position)}
        panels.append({"title": title, "letter": letter, "table": columns})
    feature = next((one.feature for one in populations.values()), "")
    return widget("hosts", figure, {"kinds": kinds, "feature": feature, "panels": panels} if panels else None)


def doses(models: pd.DataFrame, told: pd.DataFrame, *, figure: str) -> "HTML":
    """The score of canaries and innocent models, by a slider of doses; populations and kinds of host by buttons.

    models: a row a seed, columns population, host, dose, and of each of `questions.MODELS` its score, canary and so on,
    and whether it is flagged, canary_flagged and so on. told: a row a population, kind of host and dose, columns area,
    found, false, accuracy, limit (a score); NaN where there is none.
    """
    said: dict[tuple[str, str], list[dict[str, object]]] = {}
    of = dict(iter(models.groupby(["population", "host", "dose"], sort=False)))
    for row in told.to_dict("records"):
        seeds = of[row["population"], row["host"], row["dose"]]
        numbers = {name: None if isnan(row[name]) else rounded([row[name]])[0] for name in TOLD}
        scores = [rounded(one) for one in seeds[list(MODELS)].to_numpy()]
        flagged = seeds[[f"{model}_flagged" for model in MODELS]].to_numpy(int).tolist()
        one = {"dose": row["dose"]} | numbers | {"scores": scores, "flagged": flagged}
        said.setdefault((row["population"], row["host"]), []).append(one)
    populations = [
        {"title": title, "hosts": [{"host": host, "doses": said[title, host]} for _, host in hosts]}
        for title, hosts in groupby(said, key=lambda key: key[0])
    ]
    return widget("doses", figure, {"populations": populations} if populations else None)


def widget(kind: str, figure: str, data: object | None) -> "HTML":
    """A widget in the place of a figure's picture; nothing where there are no data."""
    from IPython.display import HTML  # a machine that only trains has none

    if data is None:
        return HTML("")
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("</", "<\\/")
    inside = f'<script type="application/json">{text}</script>'
    return HTML(f'<div class="ufm-interactive" data-kind="{kind}" data-figure="{figure}" hidden>{inside}</div>{LOADED}')


def rounded(values: Sequence[float] | np.ndarray | pd.Series) -> list[float]:
    """Numbers with three decimals; minus zero is zero."""
    return (np.round(np.asarray(values, float), 3) + 0.0).tolist()


def small(image: np.ndarray | None) -> np.ndarray | None:
    """An image (C, H, W) in grey, (H, W); None for none and for one that is too large."""
    if image is None or max(image.shape[1:]) > LARGEST:
        return None
    return image.mean(0)


def encoded(pixels: np.ndarray) -> str:
    """Pixels (h, w) in [0, 1], row by row, as letters a (black) to p (white), "." where NaN.

    A letter stands for all that are alike in a row: "a7" is seven times black.
    """
    flat = np.asarray(pixels, float).ravel()
    letters = ["." if isnan(value) else chr(ord("a") + round(value * 15)) for value in flat.tolist()]
    runs = ((letter, len(list(same))) for letter, same in groupby(letters))
    return "".join(f"{letter}{n if n > 1 else ''}" for letter, n in runs)
