"""From a table to a picture: each function takes a tidy table or images and returns a Matplotlib figure.

Figures are at most 6 in wide, on a white ground so that they read the same in dark mode, in Okabe and Ito's colours,
which stay apart for colour-blind readers; roles differ by marker too.
"""

from collections.abc import Mapping
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

WIDTH = 6.0  # inches, readable on a phone
COLOURS = {"canary": "#D55E00", "control": "#0072B2"}
MARKERS = {"canary": "o", "control": "X"}
KINDS = {  # of model → label, colour, marker
    ("control", ""): ("control", COLOURS["control"], MARKERS["control"]),
    ("placebo", "random"): ("placebo, random host", "#56B4E9", "v"),
    ("placebo", "hard"): ("placebo, hard host", "#009E73", "^"),
    ("canary", "random"): ("canary, random host", "#E69F00", "s"),
    ("canary", "hard"): ("canary, hard host", COLOURS["canary"], MARKERS["canary"]),
}
HOST_COLOURS = {"random": "#56B4E9", "hard": COLOURS["canary"]}
HOST_MARKERS = {"random": "s", "hard": "o"}
LINES = (("#D55E00", "-"), ("#0072B2", "--"), ("#009E73", "-."), ("#000000", ":"))

sns.set_theme(
    style="ticks",
    context="notebook",
    font_scale=0.85,
    rc={"figure.dpi": 110, "savefig.facecolor": "white", "legend.frameon": False},
)


def closed(figure: Figure) -> Figure:
    """The figure, no longer pyplot's own: else a notebook shows it once as a result and once more as an open figure.

    Its words are drawn as they are: no `$` in them begins a formula, but in the powers of ten of a logarithmic axis.
    """
    for part in [*figure.legends, *(part for panel in figure.axes for part in panel.get_children())]:
        if not (isinstance(part, Axis) and part.get_scale() == "log"):
            for text in part.findobj(Text):
                text.set_parse_math(False)
    plt.close(figure)
    return figure


def show(axis: Axes, image: np.ndarray) -> None:
    """One image (C, H, W), grey or colour; of a grey one, transparent pixels are sky blue."""
    values = image / 255 if image.dtype == np.uint8 else image
    cmap = plt.get_cmap("gray").with_extremes(bad="#56B4E9")
    axis.imshow(values[0] if len(values) == 1 else values.transpose(1, 2, 0), cmap=cmap, vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color="0.6", linewidth=0.5)  # else white pixels at the edge end nowhere


def panels(titles: list[str], *, height: float, share: bool | Literal["row"] = False) -> tuple[Figure, list[Axes]]:
    """A figure with a panel a title, two in a row."""
    n_rows, n_columns = (len(titles) + 1) // 2, min(2, len(titles))
    size = (WIDTH, height * n_rows)
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=size, squeeze=False, layout="constrained", sharex=share, sharey=share
    )
    for axis, title in zip(axes.flat, titles, strict=False):
        axis.set_title(title)
    for axis in axes.flat[len(titles) :]:
        axis.axis("off")
    return figure, list(axes.flat[: len(titles)])


def label(axes: list[Axes], x: str, y: str) -> None:
    """Name the axes of panels that share them, at the lower and the left edge."""
    for axis in axes[-2:]:
        axis.set_xlabel(x)
    for axis in axes[::2]:
        axis.set_ylabel(y)


def pictures(rows: Mapping[str, list[tuple[np.ndarray, str]]]) -> Figure:
    """Rows of images (C, H, W), each with a word below it."""
    n_columns = max(len(images) for images in rows.values())
    size = (WIDTH, WIDTH / n_columns * 1.45 * len(rows))
    figure, axes = plt.subplots(len(rows), n_columns, figsize=size, squeeze=False, layout="constrained")
    for line, (label, images) in zip(axes, rows.items(), strict=True):
        for axis in line:
            axis.axis("off")
        for axis, (image, word) in zip(line, images, strict=False):
            show(axis, image)
            axis.text(0.5, -0.06, word, transform=axis.transAxes, ha="center", va="top", fontsize="small")
        line[0].set_title(label, loc="left", fontsize="small")
    return closed(figure)


def contrast_cells(table: pd.DataFrame, *, smallest: float) -> Figure:
    """Mean contrast with its interval for each population and kind of host, best epoch and epoch 10."""
    figure, axis = plt.subplots(figsize=(WIDTH, 0.8 + 0.5 * len(table)), layout="constrained")
    names = []
    for row, cell in enumerate(table.to_dict("records")):
        colour, marker = HOST_COLOURS[cell["host"]], HOST_MARKERS[cell["host"]]
        axis.plot([cell["low"], cell["high"]], [row, row], color=colour)
        axis.scatter(cell["estimate"], row, 34, color=colour, marker=marker, zorder=2)
        axis.plot([cell["early_low"], cell["early_high"]], [row + 0.25] * 2, color=colour, linewidth=0.8)
        axis.scatter(cell["early"], row + 0.25, 20, facecolors="white", edgecolors=colour, marker=marker, zorder=2)
        names.append(f"{cell['population']}, {cell['host']} hosts")
    axis.axvline(0, color="0.4", linewidth=0.8)
    axis.axvline(smallest, color="0.4", linewidth=0.8, linestyle=":")
    axis.set(yticks=range(len(names)), yticklabels=names, xlabel="mean contrast D (nats)")
    axis.invert_yaxis()
    sns.despine(figure)
    return closed(figure)


def contrast_rows(table: pd.DataFrame, *, lines: tuple[float, ...]) -> Figure:
    """Mean contrast with its interval, a row a population, setting and kind of host; dotted lines at these values.

    Columns: population, setting, host, contrast, contrast_low, contrast_high (nats), first (drawn as a tick).
    """
    rows = table.to_dict("records")
    figure, axis = plt.subplots(figsize=(WIDTH, 1.0 + 0.36 * max(len(rows), 1)), layout="constrained")
    for place, row in enumerate(rows):
        colour, marker = HOST_COLOURS[row["host"]], HOST_MARKERS[row["host"]]
        axis.plot([row["first"]] * 2, [place - 0.25, place + 0.25], color="black", linewidth=1)
        axis.plot([row["contrast_low"], row["contrast_high"]], [place, place], color=colour)
        axis.scatter(row["contrast"], place, 34, color=colour, marker=marker, zorder=2)
    axis.axvline(0, color="0.4", linewidth=0.8)
    for value in lines:
        axis.axvline(value, color="0.4", linewidth=0.8, linestyle=":")
    named = (", ".join(part for part in (row["population"], row["setting"]) if part) for row in rows)
    labels = [f"{name}, {row['host']} hosts" for name, row in zip(named, rows, strict=True)]
    axis.set(yticks=range(len(rows)), yticklabels=labels, xlabel="mean contrast D (nats)")
    axis.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    sns.despine(figure)
    return closed(figure)


def by_setting(seeds: Mapping[str, pd.DataFrame], means: pd.DataFrame, *, beside: float | None = None) -> Figure:
    """Each seed's contrast as a point, a row a setting, its mean with interval in black, a panel a population.

    seeds: columns setting, contrast; means: columns population, setting, contrast, contrast_low, contrast_high. The
    dashed line is at `beside`, else at the mean of the first setting.
    """
    n_rows = max(table["setting"].nunique() for table in seeds.values())
    figure, axes = panels(list(seeds), height=0.9 + 0.32 * n_rows)
    for number, (axis, (title, table)) in enumerate(zip(axes, seeds.items(), strict=True)):
        averages = means[means["population"] == title].set_index("setting")
        for row, (setting, points) in enumerate(table.groupby("setting", sort=False)):
            spread = np.random.default_rng(0).uniform(-0.25, 0.25, len(points))
            axis.scatter(points["contrast"], row + spread, 9, color=COLOURS["canary"], linewidths=0, alpha=0.55)
            axis.plot(
                averages.loc[setting, ["contrast_low", "contrast_high"]], [row, row], color="black", linewidth=1.6
            )
            axis.scatter(averages.loc[setting, "contrast"], row, 26, color="black", marker="D", zorder=3)
        axis.axvline(0, color="0.4", linewidth=0.8)
        dashed = averages["contrast"].iloc[0] if beside is None else beside
        axis.axvline(dashed, color="0.4", linewidth=0.8, linestyle="--")
        names = list(table["setting"].unique()) if number % 2 == 0 else []
        axis.set(ylim=(n_rows - 0.4, -0.6), yticks=range(len(names)), yticklabels=names, xlabel="contrast D (nats)")
    sns.despine(figure)
    return closed(figure)
