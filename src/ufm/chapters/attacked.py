"""Attacked private models beside plain ones, as the chapter on the paper's neighbours prints and draws them."""

from collections.abc import Mapping
from math import isnan, nan

import pandas as pd
import seaborn as sns
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ufm.evidence import Cards, attacked
from ufm.measures.layout import NORMS, RADII
from ufm.plan import third
from ufm.plan.attacked import PLAIN, WAYS
from ufm.plan.thresholds import ATTACKED
from ufm.report import by_way
from ufm.report.figures import HOST_COLOURS, closed, panels, waiting
from ufm.report.texts import REHEARSED, by_word, with_interval

NOISES = [way for way in WAYS if way.startswith("private")]  # the largest noise first
PARTS = {third.SAMPLED: ("#0072B2", "--"), third.CLIPPED: ("#009E73", "-."), third.NOISY: ("#D55E00", ":")}


def asked(populations: Mapping[str, Cards]) -> dict[str, Cards]:
    """Those of the populations that have robust cards."""
    return {name: cards for name, cards in populations.items() if cards.protocol.measure == "robust card"}


def became(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """What is known of plain models and of each private way, see `ufm.evidence.attacked.table`."""
    return attacked.table(asked(populations), WAYS, PLAIN)


def curves(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """Robust accuracy by radius, see `ufm.evidence.attacked.curves`."""
    return attacked.curves(asked(populations), (PLAIN, *WAYS))


def printed(table: pd.DataFrame) -> pd.DataFrame:
    """How robust ways are and what is said of them, as the book prints it."""
    rows = [
        {
            "way": row["way"],
            "seeds": seeds(row),
            "mean D, hard hosts": by_way.there(row, "hard", 3),
            "accuracy": by_way.there(row, "accuracy", 3),
            f"withstand L∞ {ATTACKED.linf:g}": by_way.there(row, "linf", 3),
            f"L2 {ATTACKED.l2:g}": by_way.there(row, "l2", 3),
            "where both are right, L∞, less plain": by_way.there(row, "linf_more", 3),
            "L2, less plain": by_way.there(row, "l2_more", 3),
            "so it is": "–" if row["way"] == PLAIN else row["change"],
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_geometry(table: pd.DataFrame) -> pd.DataFrame:
    """How far boundaries are, how curved, and whether attacks fail, as the book prints it."""
    rows = [
        {
            "way": row["way"],
            "distance, pixels": by_way.there(row, "distance", 3),
            "where both are right, less plain": by_way.there(row, "distance_more", 3),
            "linear over found": by_way.there(row, "flat", 2),
            "log10 curvature": by_way.there(row, "curvature", 2),
            "left at grey": by_way.there(row, "left", 3),
            "PGD missed": by_way.there(row, "hidden", 3),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def seeds(row: Mapping) -> str:
    """How many seeds a row has, of how many where some are lacking."""
    if isnan(row["needed"]):
        return "–"
    return f"{row['n']}" if row["n"] >= row["needed"] else f"{row['n']} of {row['needed']:.0f}"


def texts(table: pd.DataFrame, profile: str) -> dict[str, str]:
    """For the text: which ways are more robust and which less, and how robust plain models are."""
    if profile == "embedded":
        return dict.fromkeys(("robust", "withstood"), REHEARSED.capitalize())
    ways = table[table["way"] != PLAIN]
    [plain] = table[table["way"] == PLAIN].to_dict("records")
    ends = {f"L∞ {ATTACKED.linf:g}": "linf", f"L2 {ATTACKED.l2:g}": "l2"}
    each = [
        f"{radius} {with_interval(plain, end=end)}" for radius, end in ends.items() if not isnan(plain.get(end, nan))
    ]
    return {"robust": by_word(ways["change"], ways["way"]), "withstood": "; ".join(each) or "not recorded yet"}


def drawn_robustness(curves: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Robust accuracy against radius, a line a way and a panel a norm; below mean D against it, a point a way.

    The largest radius is left away. Private training is the darker the more noise it has. D is at the control's best
    epoch.
    """
    if curves.empty:
        return waiting()
    figure, axes = panels([*NORMS, *(f"{host} hosts" for host in HOST_COLOURS)], height=2.4)
    for axis, norm in zip(axes, NORMS, strict=False):
        of_norm = curves[curves["norm"] == norm]
        for way, rows in of_norm.groupby("way", sort=False):
            colour, line = style(str(way))
            axis.plot(rows["radius"], rows["estimate"], line, color=colour, linewidth=1.2, label=way)
            axis.fill_between(rows["radius"], rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
        axis.set(xlabel="radius", ylabel="robust accuracy", xlim=(0, RADII[norm][-2]), ylim=(-0.03, 1.03))
        axis.axvline(ATTACKED.linf if norm == "L∞" else ATTACKED.l2, color="0.4", linewidth=0.8, linestyle=":")
    for axis, host in zip(axes[len(NORMS) :], HOST_COLOURS, strict=True):
        beside(axis, table, host)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def beside(axis: Axes, table: pd.DataFrame, host: str) -> None:
    """Mean D on a kind of host against robust accuracy in L∞, each way with both intervals."""
    shown = table.dropna(subset=[host]) if host in table else table.head(0)
    for row in shown.to_dict("records"):
        colour, _ = style(row["way"])
        axis.plot([row["linf"]] * 2, [row[f"{host}_low"], row[f"{host}_high"]], color=colour, linewidth=0.8)
        axis.plot([row["linf_low"], row["linf_high"]], [row[host]] * 2, color=colour, linewidth=0.8)
        marker = "*" if row["way"] == PLAIN else "o" if row["way"] in NOISES else "s"
        axis.scatter(row["linf"], row[host], 26, color=colour, marker=marker, zorder=2)
    axis.axhline(0, color="0.4", linewidth=0.8)
    axis.set(xlabel=f"robust at L∞ {ATTACKED.linf:g}", ylabel="mean D (nats)")


def style(way: str) -> tuple[tuple[float, ...] | str, str]:
    """Colour and line of plain models, of a part of private training, and of private training by its noise."""
    if way in NOISES:
        return colormaps["viridis"](NOISES.index(way) / max(1, len(NOISES) - 1)), "-"
    return PARTS.get(way, ("black", "-"))
