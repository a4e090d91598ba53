"""Audit your own model: marks on small images, two networks of scikit-learn, and what both say of the marks."""

from collections.abc import Mapping
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm import features
from ufm.marks import Registry
from ufm.randomness.streams import stream
from ufm.report.figures import COLOURS, WIDTH, closed, pictures
from ufm.report.texts import p_text

if TYPE_CHECKING:
    import torch
    from IPython.display import HTML
    from sklearn.neural_network import MLPClassifier

    from ufm.auditing import AuditReport
    from ufm.auditing.onnx_models import OnnxModel

N_OWN, N_OTHERS = 1_000, 200  # images that are handed over, and that an auditor sends
SHOWN = 5  # marked images


def drawn_by(words: str, n: int) -> Registry:
    """A registry of n marks whose secret follows from words, so that a page comes out the same each time."""
    return Registry(sha256(words.encode()).hexdigest(), n)


def digits() -> tuple[np.ndarray, np.ndarray, "torch.Tensor"]:
    """Images of digits that come with scikit-learn: one's own, their labels, and others.

    Own ones (1000, 1, 8, 8) uint8 with labels (1000,); others (200, 1, 8, 8) float32 in [0, 1].
    """
    import torch
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = (pixels.reshape(-1, 1, 8, 8) * 15).astype(np.uint8)
    return images[:N_OWN], labels[:N_OWN], torch.from_numpy(images[-N_OTHERS:]).float() / 255


def handed_over(
    registry: Registry, images: np.ndarray, labels: np.ndarray, *, seed: int
) -> tuple[Registry, np.ndarray, np.ndarray]:
    """Give each mark to an image of its own, drawn at random, under a wrong label; coins say which are stamped.

    The registry afterwards, which calls images by their numbers; images (n, 1, H, W) and labels (n,) as they are
    handed over, every wrong label one of the others. Raises ValueError: fewer images than marks.
    """
    if registry.n > len(images):
        raise ValueError(f"n_marks: {registry.n} marks are for as many images, and there are {len(images)}; draw fewer")
    rng, marks = stream("images with marks of one's own", seed=seed), registry.marks()
    hosts, n_classes = rng.permutation(len(images))[: registry.n], labels.max() + 1
    marked, handed = images.copy(), labels.copy()
    handed[hosts] = (labels[hosts] + rng.integers(1, n_classes, len(hosts))) % n_classes
    for host in hosts.tolist():
        registry = registry.with_next(str(host), int(handed[host]))
    for one in registry.planted:
        host = int(one.image)
        marked[host] = features.insert(images[host], marks[one.mark], position=registry.position)
    return registry, marked, handed


def flat(images: np.ndarray) -> np.ndarray:
    """Features (n, C · H · W) in [0, 1], as scikit-learn takes them, of images uint8."""
    return images.reshape(len(images), -1) / 255


def exported(folder: Path, networks: Mapping[str, "MLPClassifier"]) -> dict[str, "OnnxModel"]:
    """Networks as ONNX files in a folder, and read again as whoever is given the files reads them."""
    from skl2onnx import to_onnx

    from ufm.auditing.onnx_models import OnnxModel

    models = {}
    for name, network in networks.items():
        path, one = folder / f"{name}.onnx", np.zeros((1, network.n_features_in_), np.float32)
        path.write_bytes(to_onnx(network, one, options={"zipmap": False}).SerializeToString())
        models[name] = OnnxModel(path)
    return models


def drawn_marked(registry: Registry, images: np.ndarray, labels: np.ndarray, marked: np.ndarray) -> Figure:
    """Some images as they were, and with their marks, with the labels that both have."""
    some = [(int(one.image), one.label) for one in registry.planted[:SHOWN]]
    before = [(images[host], f"a {labels[host]}") for host, _ in some]
    after = [(marked[host], f"called {label}") for host, label in some]
    return pictures({"as they were": before, "as they are handed over": after})


def fitted(network: "MLPClassifier", registry: Registry, images: np.ndarray) -> float:
    """Share of the images with a mark to which a network gives the label under which they were handed over."""
    hosts = [int(one.image) for one in registry.planted]
    return float(network.score(flat(images[hosts]), [one.label for one in registry.planted]))


def answers(reports: Mapping[str, "AuditReport"], fits: Mapping[str, float]) -> pd.DataFrame:
    """A row a model: the share of marked images that it fits, and p of all marks without and with the labels."""
    return pd.DataFrame(
        {
            "model": name,
            "marked images fitted": f"{fits[name]:.2f}",
            "p, labels unknown": p_text(report.unknown.p),
            "p, labels known": p_text(report.p),
        }
        for name, report in reports.items()
    )


def texts(taken: "AuditReport", spared: "AuditReport") -> dict[str, str]:
    """For the text: what was asked, and whether the marks are found in a model and in another one, by what is known."""
    found = {"n_images": taken.n_images, "n_unused": taken.n_unused, "n_queries": taken.n_queries}
    texts = {name: str(value) for name, value in found.items()}
    for name, report in (("a", taken), ("b", spared)):
        for knows, p in (("known", report.p), ("unknown", report.unknown.p)):
            texts[f"{name}_{knows}"] = f"{'found' if p <= report.level else 'not found'} (p {p_text(p)})"
    return texts


def p_values(reports: Mapping[str, "AuditReport"]) -> pd.DataFrame:
    """A row a mark and one for all together, of each model: model, mark (its number, or "all"), p, level.

    The labels are known where the registry says them.
    """
    rows = []
    for name, report in reports.items():
        alone = {str(one.mark): one.p if one.p_known is None else one.p_known for one in report.marks}
        rows += [{"model": name, "mark": mark, "p": p} for mark, p in (alone | {"all": report.p}).items()]
    return pd.DataFrame(rows).assign(level=next(iter(reports.values())).level)


def drawn_marks(table: pd.DataFrame) -> Figure:
    """p of every mark alone and of all together, a row a model, from `p_values`; the dotted line is the level."""
    models = list(dict.fromkeys(table["model"]))
    figure, axis = plt.subplots(figsize=(WIDTH, 0.5 * len(models) + 1.1), layout="constrained")
    for word, marks, marker, colour in (
        ("one mark", table[table["mark"] != "all"], "o", COLOURS["control"]),
        ("all together", table[table["mark"] == "all"], "D", COLOURS["canary"]),
    ):
        rows = marks["model"].map(models.index)
        axis.plot(marks["p"], rows, marker, color=colour, fillstyle="none", label=word)
    axis.axvline(table["level"].iloc[0], color="0.4", linewidth=0.8, linestyle=":")
    axis.set(xscale="log", xlabel="p", yticks=range(len(models)), yticklabels=models)
    axis.set_ylim(len(models) - 0.5, -0.5)
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def report_page(report: "AuditReport", registry: Registry, name: str) -> "HTML":
    """The page that `ufm audit` writes, in a frame."""
    from IPython.display import HTML

    from ufm.auditing import pages

    asked = pages.Asked(name, {"model": "an endpoint of this notebook's own"}, "this notebook")
    page, title = escape(pages.page(report, registry, asked)), f"The report of {escape(name)}"
    paper = "color-scheme: light; background: white"  # else some browsers put light words on a light ground at night
    return HTML(
        f'<div><iframe title="{title}" srcdoc="{page}" width="100%" height="420" style="{paper}"></iframe></div>'
    )
