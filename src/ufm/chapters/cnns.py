"""C1 of convolutional networks."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm import features
from ufm.evidence import ELSEWHERE, Cards
from ufm.evidence.questions import There, asked_of
from ufm.measures.layout import elsewhere
from ufm.plan import second
from ufm.plan.sweep import Sweep
from ufm.report.by_population import wide
from ufm.report.figures import COLOURS, LINES, WIDTH, closed, label, panels, show

FAMILIES = ("C1, CNNs", "C1, CNNs, hard hosts")  # of the second plan's rows


def questions(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """The three questions of C1's rows of convolutional networks, random and hard hosts, each corrected apart."""
    return asked_of(populations, second.families(planned), *FAMILIES)


def waiting(questions: pd.DataFrame) -> str:
    """For the text: how many of the second plan's rows are answered, and what the others wait for."""
    lacking = questions[questions["there"] == There.OPEN]
    if lacking.empty:
        return (
            f"All {len(questions)} rows have their seeds." if len(questions) else "The second plan is not asked here."
        )
    seeds = ", ".join(
        f"{network}: {rows['n'].min()} of {rows['needed'].max()}" for network, rows in by_network(lacking)
    )
    return f"{len(lacking)} of its {len(questions)} rows wait for seeds ({seeds}), whose training takes a GPU."


def by_network(questions: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each network, in their order."""
    return [(str(network), rows) for network, rows in questions.groupby("setting", sort=False)]


def places(cards: Cards) -> dict[str, np.ndarray]:
    """A black image (C, H, W) with the letter where it was in training, and elsewhere, by place in words."""
    protocol = cards.protocol
    black, letter = np.zeros((1, *protocol.image_shape), np.uint8), protocol.unique
    moved = zip(ELSEWHERE, elsewhere(black.shape[2:], letter.shape), strict=True)
    return {
        place: features.insert(black, letter, position=position)[0]
        for place, position in (("as in training", protocol.position), *moved)
    }


def drawn_moved(table: pd.DataFrame, pictures: Mapping[str, np.ndarray]) -> Figure:
    """Mean contrast with its interval by place, networks side by side, and beside each place an image of it.

    table: columns setting, place, estimate, low, high (nats), see `ufm.evidence.cells.moved`.
    """
    figure = plt.figure(figsize=(WIDTH, 0.9 + 0.75 * len(pictures)), layout="constrained")
    grid = figure.add_gridspec(len(pictures), 2, width_ratios=(1, 5))
    for row, image in enumerate(pictures.values()):
        show(figure.add_subplot(grid[row, 0]), image)
    axis = figure.add_subplot(grid[:, 1])
    settings = list(dict.fromkeys(table["setting"]))
    for number, (setting, (colour, _), marker) in enumerate(zip(settings, LINES, "osD^", strict=False)):
        rows = table[table["setting"] == setting].set_index("place").reindex(list(pictures))
        heights = np.arange(len(rows)) + 0.16 * (number - (len(settings) - 1) / 2)
        axis.hlines(heights, rows["low"], rows["high"], color=colour)
        axis.scatter(rows["estimate"], heights, 34, color=colour, marker=marker, label=setting, zorder=2)
    axis.axvline(0, color="0.4", linewidth=0.8)
    axis.set(yticks=range(len(pictures)), yticklabels=list(pictures), xlabel="mean contrast D (nats)")
    axis.set_ylim(len(pictures) - 0.5, -0.5)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(ax=axis)
    return closed(figure)


def printed_moved(table: pd.DataFrame) -> pd.DataFrame:
    """`ufm.evidence.cells.moved` as the book prints it, a column a setting."""
    return wide(dict(iter(table.groupby("setting", sort=False))), "place")


def drawn_learning(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Training and stopping loss of every model against the epoch, controls and canaries, a panel a population."""
    figure, axes = panels(list(tables), height=2.6)
    for axis, table in zip(axes, tables.values(), strict=True):
        for role in ("control", "canary"):
            for number, (_, rows) in enumerate(table[table["role"] == role].groupby(["seed", "host"])):
                first = f"{role}, " if number == 0 else "_"
                axis.plot(rows["epoch"], rows["train_loss"], "--", color=COLOURS[role], linewidth=0.7, alpha=0.6)
                axis.lines[-1].set_label(first + "training")
                axis.plot(rows["epoch"], rows["stopping_loss"], color=COLOURS[role], linewidth=0.9, alpha=0.6)
                axis.lines[-1].set_label(first + "held out")
        axis.set(xlabel="epoch", yscale="log")
    label(axes, "epoch", "loss (nats)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(figure)
    return closed(figure)
