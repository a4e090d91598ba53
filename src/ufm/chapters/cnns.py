"""C1 of convolutional networks."""

from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.report.by_population import wide
from ufm.report.figures import COLOURS, closed, label, panels


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
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
    sns.despine(figure)
    return closed(figure)
