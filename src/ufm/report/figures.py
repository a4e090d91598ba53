"""From a table to a picture: each function takes a tidy table or images and returns a Matplotlib figure.

Figures are at most 6 in wide, on a white ground so that they read the same in dark mode, in Okabe and Ito's colours,
which stay apart for colour-blind readers; roles differ by marker too.
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 6.0  # inches, readable on a phone
COLOURS = {"canary": "#D55E00", "control": "#0072B2"}
MARKERS = {"canary": "o", "control": "X"}
INPUTS = {"": "normalised inputs", "_raw": "raw inputs"}  # a score column's suffix → what the model was given

sns.set_theme(
    style="ticks",
    context="notebook",
    font_scale=0.85,
    rc={"figure.dpi": 110, "savefig.facecolor": "white", "legend.frameon": False},
)


def image_row(images: Mapping[str, np.ndarray]) -> Figure:
    """Images (C, H, W) beside each other, values in [0, 1] or uint8, each under its title."""
    figure, axes = plt.subplots(1, len(images), figsize=(WIDTH * 0.75, 1.9), squeeze=False, layout="constrained")
    for axis, (title, image) in zip(axes[0], images.items(), strict=True):
        show(axis, image)
        axis.set_title(title, fontsize="medium")
    return closed(figure)


def image_grid(rows: Mapping[str, np.ndarray]) -> Figure:
    """Rows of images: each label with an array (n, C, H, W) of values in [0, 1] or uint8."""
    n_columns = max(len(images) for images in rows.values())
    size = (WIDTH, WIDTH / (n_columns + 0.7) * len(rows))
    figure, axes = plt.subplots(len(rows), n_columns, figsize=size, squeeze=False, layout="constrained")
    for row, (label, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(row, images, strict=True):
            show(axis, image)
        row[0].text(-0.12, 0.5, label, transform=row[0].transAxes, ha="right", va="center")
    return closed(figure)


def closed(figure: Figure) -> Figure:
    """The figure, no longer pyplot's own: else a notebook shows it once as a result and once more as an open figure."""
    plt.close(figure)
    return figure


def show(axis: Axes, image: np.ndarray) -> None:
    """One image (C, H, W), grey or colour; of a grey one, transparent pixels are sky blue."""
    values = image / 255 if image.dtype == np.uint8 else image
    cmap = plt.get_cmap("gray").with_extremes(bad="#56B4E9")
    axis.imshow(values[0] if len(values) == 1 else values.transpose(1, 2, 0), cmap=cmap, vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color="0.6", linewidth=0.5)  # else white pixels at the edge end nowhere


def divergences(table: pd.DataFrame) -> Figure:
    """Distribution over images of KL(clean ‖ with the letter) and KL(clean ‖ with a random feature), a panel a role."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3), layout="constrained", sharey=True, sharex=True)
    kinds = {"kl_unique": ("letter", "#D55E00", "-"), "kl_random": ("random feature", "#0072B2", "--")}
    for axis, role in zip(axes, ("control", "canary"), strict=True):
        for column, (label, colour, line) in kinds.items():
            values = np.sort(table.loc[table["role"] == role, column].clip(lower=1e-6))
            axis.plot(values, np.arange(1, len(values) + 1) / len(values), line, color=colour, label=label)
        axis.set(title=role, xscale="log", xlabel="KL divergence (nats)")
    axes[0].set_ylabel("share of images below")
    axes[0].legend(loc="upper left")
    sns.despine(figure)
    return closed(figure)


def settling(table: pd.DataFrame) -> Figure:
    """The score against the number of OOD images, a line for each number of random features, a panel a role."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3), layout="constrained", sharey=True)
    counts = sorted(table["n_random"].unique())
    styles = dict(zip(counts, zip(("#56B4E9", "#0072B2", "#000000"), ("o", "s", "D"), strict=True), strict=False))
    for axis, role in zip(axes, ("control", "canary"), strict=True):
        axis.axhline(0, color="0.4", linewidth=0.8)
        for count in counts:
            rows = table[(table["role"] == role) & (table["n_random"] == count)]
            colour, marker = styles[count]
            label = f"{count} random feature{'s' if count > 1 else ''} an image"
            axis.plot(
                rows["n_images"], rows["memorisation_score"], color=colour, marker=marker, markersize=4, label=label
            )
        axis.set(title=role, xscale="log", xlabel="OOD images")
    axes[0].set_ylabel("memorisation score (nats)")
    axes[1].legend(loc="best", fontsize="small")
    sns.despine(figure)
    return closed(figure)
