"""From a table to a picture: each function takes a tidy table or images and returns a Matplotlib figure.

Figures are so narrow that their words can be read on a phone. They have no ground and are black, grey or white beside
Okabe and Ito's colours, which stay apart for colour-blind readers: what is not in colour follows the page's mode, so
that white is whatever the page is. Roles differ by marker too.
"""

from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

WIDTH = 4.5  # inches; of the book's pages on a phone about as many pixels as this has points
COLOURS = {"canary": "#D55E00", "placebo": "#009E73", "control": "#0072B2"}
MARKERS = {"canary": "o", "control": "X"}
KINDS = {  # of model → label, colour, marker
    ("control", ""): ("control", COLOURS["control"], MARKERS["control"]),
    ("placebo", "random"): ("placebo, random host", "#56B4E9", "v"),
    ("placebo", "hard"): ("placebo, hard host", COLOURS["placebo"], "^"),
    ("canary", "random"): ("canary, random host", "#E69F00", "s"),
    ("canary", "hard"): ("canary, hard host", COLOURS["canary"], MARKERS["canary"]),
}
HOST_COLOURS = {"random": "#56B4E9", "hard": COLOURS["canary"]}
HOST_MARKERS = {"random": "s", "hard": "o"}
TITLE, LABEL = 17, 24  # letters that a panel's title and a row's label have in one line where two panels stand in a row
LEAST = 1.6  # inches that a row of panels takes with titles of two lines and a legend
ALONE = 36  # letters that a row's label has in one line beside a panel that stands alone
Mark = tuple[str, str, bool]  # colour, marker, and whether it is filled
HOST_MARKS: dict[str, Mark] = {host: (HOST_COLOURS[host], HOST_MARKERS[host], True) for host in HOST_COLOURS}
HOST_MARKS |= {"middling": ("#009E73", "D", True)}
LINES = (("#D55E00", "-"), ("#0072B2", "--"), ("#009E73", "-."), ("#000000", ":"))

sns.set_theme(
    style="ticks",
    context="notebook",
    font_scale=0.85,
    rc={
        "figure.dpi": 110,
        "axes.facecolor": "none",
        "legend.frameon": False,
        "font.sans-serif": ["DejaVu Sans"],  # which comes with Matplotlib, whatever else a machine has
        "svg.fonttype": "none",  # words stay words, in the page's font
        "svg.hashsalt": "ufm",  # the same figure is the same bytes
    },
)


def closed(figure: Figure) -> Figure:
    """The figure, no longer pyplot's own: else a notebook shows it once as a result and once more as an open figure.

    Its words are drawn as they are: no `$` in them begins a formula, but in the powers of ten of a logarithmic axis.
    What all panels say of an axis is said once, for two long labels side by side run into each other. An axis on which
    nothing was drawn has no logarithm.
    """
    for axis in figure.axes:
        if axis.get_xscale() == "log" and not np.isfinite(axis.dataLim.minposx):
            axis.set_xscale("linear")
        if axis.get_yscale() == "log" and not np.isfinite(axis.dataLim.minposy):
            axis.set_yscale("linear")
    for which, once in (("x", figure.supxlabel), ("y", figure.supylabel)):
        labels = [
            axis for axis in figure.axes if axis.axison and not axis.images and getattr(axis, f"get_{which}label")()
        ]
        words = {getattr(axis, f"get_{which}label")() for axis in labels}
        if len(labels) > 1 and len(words) == 1:
            once(*words, fontsize=plt.rcParams["axes.labelsize"])
            for axis in labels:
                axis.set(**{f"{which}label": ""})
            for legend in figure.legends if which == "x" else []:
                legend.set_loc("outside upper center")  # where that label is not
    for part in [*figure.legends, *figure.texts, *(part for panel in figure.axes for part in panel.get_children())]:
        if not (isinstance(part, Axis) and part.get_scale() == "log"):
            for text in part.findobj(Text):
                text.set_parse_math(False)
    plt.close(figure)
    return figure


def show(axis: Axes, image: np.ndarray) -> None:
    """One image (C, H, W), grey or colour; of a grey one, transparent pixels are sky blue."""
    values = image / 255 if image.dtype == np.uint8 else image
    cmap = plt.get_cmap("gray").with_extremes(bad="#56B4E9")
    pixels = values[0] if len(values) == 1 else values.transpose(1, 2, 0)
    axis.imshow(pixels, cmap=cmap, vmin=0, vmax=1, interpolation="none")  # pixels as they are
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color="0.6", linewidth=0.5)  # else white pixels at the edge end nowhere


def in_lines(words: str, longest: int) -> str:
    """Words that are longer in two lines, the last part of a list by itself: "Fashion-MNIST," and "10 000 images"."""
    return words if len(words) <= longest else ",\n".join(words.rsplit(", ", 1))


def panels(titles: list[str], *, height: float, share: bool | Literal["row"] = False) -> tuple[Figure, list[Axes]]:
    """A figure with a panel a title, two in a row."""
    n_rows, n_columns = (len(titles) + 1) // 2, min(2, len(titles))
    size = (WIDTH, height * n_rows)
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=size, squeeze=False, layout="constrained", sharex=share, sharey=share
    )
    for axis, title in zip(axes.flat, titles, strict=False):
        axis.set_title(title if n_columns == 1 else in_lines(title, TITLE))
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
    """Rows of images (C, H, W), each with a word below it, which begins a second line after a colon.

    Without any it says that seeds are missing.
    """
    if not rows:
        return waiting()
    n_columns = max(len(images) for images in rows.values())
    size = (WIDTH, (WIDTH / n_columns + 0.6) * len(rows))
    figure, axes = plt.subplots(len(rows), n_columns, figsize=size, squeeze=False, layout="constrained")
    for line, (label, images) in zip(axes, rows.items(), strict=True):
        for axis in line[len(images) :]:
            axis.axis("off")
        for axis, (image, word) in zip(line, images, strict=False):
            show(axis, image)
            axis.set_xlabel(word.replace(": ", "\n"), fontsize="small", labelpad=2)
        line[0].set_title(" ", fontsize="small")  # room for the row's title, which is wider than its image
        title = line[0].text(0, 1.06, label, transform=line[0].transAxes, va="bottom", fontsize="small")
        title.set_in_layout(False)
    return closed(figure)


def waiting() -> Figure:
    """In the place of a figure of which no row has all its seeds yet."""
    figure, axis = plt.subplots(figsize=(WIDTH, 1), layout="constrained")
    axis.axis("off")
    axis.text(0.5, 0.5, "Not all seeds are trained yet.", ha="center")
    return closed(figure)


def forest(
    table: pd.DataFrame,
    *,
    x: str,
    marks: Mapping[str, Mark] = HOST_MARKS,
    lines: tuple[float, ...] = (),
    nothing: float | None = 0.0,
    share: bool = True,
) -> Figure:
    """Estimates with their intervals, a row a label; where several kinds stand in a row, one below the other.

    Columns: label, kind (one of `marks`, named in a legend where rows have several), estimate, low, high, and where
    there are any panel (its title, which names the axis of its own where panels do not share one) and tick (drawn as
    one). A solid line is at `nothing`, dotted ones at `lines`. Without a number it says that seeds are missing.
    """
    table = table.dropna(subset=["estimate"])
    if table.empty:
        return waiting()
    titles = list(dict.fromkeys(table["panel"])) if "panel" in table else [""]
    labels = list(dict.fromkeys(table["label"]))
    kinds = [kind for kind in marks if kind in set(table["kind"])]
    of_label = {label: [kind for kind in kinds if kind in set(rows["kind"])] for label, rows in table.groupby("label")}
    several = max(map(len, of_label.values()))
    named = [in_lines(label, ALONE if len(titles) == 1 else LABEL) for label in labels]
    height = 0.8 + max(0.4 if named != labels else 0.3, 0.15 * several + 0.1) * len(labels)
    if len(titles) > 1 and several > 1:
        height = max(height, LEAST)
    figure, axes = panels(titles, height=height, share=share)
    for axis, title in zip(axes, titles, strict=True):
        rows = table[table["panel"] == title] if "panel" in table else table
        for row in rows.to_dict("records"):
            colour, marker, filled = marks[row["kind"]]
            own = of_label[row["label"]]
            place = labels.index(row["label"]) + 0.7 / several * (own.index(row["kind"]) - (len(own) - 1) / 2)
            if not isnan(row.get("tick", nan)):
                axis.plot([row["tick"]] * 2, [place - 0.25, place + 0.25], color="black", linewidth=1)
            axis.plot([row["low"], row["high"]], [place] * 2, color=colour, linewidth=1.3)
            face = colour if filled else "white"
            axis.scatter(row["estimate"], place, 26, facecolors=face, edgecolors=colour, marker=marker, zorder=2)
        if nothing is not None:
            axis.axvline(nothing, color="0.4", linewidth=0.8)
        for value in lines:
            axis.axvline(value, color="0.4", linewidth=0.8, linestyle=":")
        axis.set(yticks=range(len(labels)), yticklabels=named, ylim=(len(labels) - 0.5, -0.5))
        axis.locator_params(axis="x", nbins=5 if named == labels else 3)  # beside long labels there is little room
    for axis in axes[-2:]:
        axis.set_xlabel(x)
    for axis in axes[1::2]:
        axis.tick_params(labelleft=False)
    if several > 1:
        shown = [plt.Line2D([], [], color=marks[kind][0], marker=marks[kind][1], markersize=5) for kind in kinds]
        for line, kind in zip(shown, kinds, strict=True):
            line.set_markerfacecolor(marks[kind][0] if marks[kind][2] else "white")
        figure.legend(shown, kinds, loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def rows_of(table: pd.DataFrame, name: str = "", **columns: pd.Series | str) -> pd.DataFrame:
    """A table as `forest` takes it: an estimate with its ends, beside it the columns label, kind and so on.

    The estimate is the column `name`, and its ends are name_low and name_high; without a name estimate, low and high.
    """
    ends = [name, f"{name}_low", f"{name}_high"] if name else ["estimate", "low", "high"]
    return table.reindex(columns=ends).set_axis(["estimate", "low", "high"], axis=1).assign(**columns)


def called(table: pd.DataFrame) -> pd.Series:
    """Population, setting and kind of host of each row, as the label of one."""
    parts = table.reindex(columns=["population", "setting"]).fillna("").to_numpy()
    names = [", ".join(filter(None, (*row, f"{host} hosts"))) for row, host in zip(parts, table["host"], strict=True)]
    return pd.Series(names, table.index, dtype=object)


def probabilities(axis: Axes, rows: Sequence[Mapping[str, float]]) -> None:
    """Short lines of canary, placebo model and control, a group a row, from without the letter (hollow) to with it.

    rows: canary_without, canary_with and so on, probabilities. Where both ends fall together one lies in the other.
    """
    for place, row in enumerate(rows):
        for line, (model, colour) in enumerate(COLOURS.items()):
            height, ends = place + 0.2 * (line - 1), [row[f"{model}_without"], row[f"{model}_with"]]
            axis.plot(ends, [height] * 2, color=colour, linewidth=1.6)
            axis.scatter(ends[0], height, 56, facecolors="white", edgecolors=colour, zorder=2)
            axis.scatter(ends[1], height, 18, color=colour, zorder=3, label=model if place == 0 else "_")


def contrast_cells(table: pd.DataFrame, *, smallest: float) -> Figure:
    """Mean contrast with its interval for each population and kind of host, best epoch and epoch 10 (hollow)."""
    marks: dict[str, Mark] = {}
    for host, (colour, marker, _) in HOST_MARKS.items():
        marks |= {
            f"{host} hosts, best epoch": (colour, marker, True),
            f"{host} hosts, epoch 10": (colour, marker, False),
        }
    rows = [
        rows_of(table, name, label=called(table), kind=table["host"] + f" hosts, {age}")
        for name, age in (("", "best epoch"), ("early", "epoch 10"))
    ]
    return forest(pd.concat(rows), x="mean contrast D (nats)", marks=marks, lines=(smallest,))


def contrast_rows(table: pd.DataFrame, *, lines: tuple[float, ...]) -> Figure:
    """Mean contrast with its interval, a row a population, setting and kind of host; dotted lines at these values.

    Columns: population, setting, host, contrast, contrast_low, contrast_high (nats), first (drawn as a tick).
    """
    shown = table.reindex(columns=[*dict.fromkeys([*table, "contrast", "first"])])
    rows = rows_of(shown, "contrast", label=called(shown), kind=shown["host"], tick=shown["first"])
    return forest(rows, x="mean contrast D (nats)", lines=lines)


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
