"""Figures of the evidence chapters: each takes tidy tables by population and returns a Matplotlib figure."""

import textwrap
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ufm.report.figures import COLOURS, MARKERS, WIDTH, closed, show

KINDS = {  # of model → label, colour, marker
    ("control", ""): ("control", COLOURS["control"], MARKERS["control"]),
    ("placebo", "random"): ("placebo, random host", "#56B4E9", "v"),
    ("placebo", "hard"): ("placebo, hard host", "#009E73", "^"),
    ("canary", "random"): ("canary, random host", "#E69F00", "s"),
    ("canary", "hard"): ("canary, hard host", COLOURS["canary"], MARKERS["canary"]),
}
HOST_COLOURS = {"random": "#56B4E9", "hard": COLOURS["canary"]}
HOST_MARKERS = {"random": "s", "hard": "o"}
ENDS, ALL_ENDS = ("estimate", "low", "high"), ("all", "all_low", "all_high")  # columns of areas
LINES = (("#D55E00", "-"), ("#0072B2", "--"), ("#009E73", "-."), ("#000000", ":"))


def panels(titles: list[str], *, height: float, share: bool | str = False) -> tuple[Figure, list[Axes]]:
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


def scores_by_role(tables: Mapping[str, pd.DataFrame], *, score: str = "memorisation") -> Figure:
    """Every model's score as a point, a row a kind of model, a panel a population."""
    figure, axes = panels(list(tables), height=2.3)
    for axis, table in zip(axes, tables.values(), strict=True):
        for row, ((role, host), (_, colour, marker)) in enumerate(KINDS.items()):
            values = table.loc[(table["role"] == role) & (table["host"] == host), score]
            spread = np.random.default_rng(0).uniform(-0.28, 0.28, len(values))
            axis.scatter(values, row + spread, 9, color=colour, marker=marker, linewidths=0, alpha=0.8)
            axis.plot([values.median()] * 2, [row - 0.38, row + 0.38], color="black", linewidth=1.2)
        axis.axvline(0, color="0.4", linewidth=0.8)
        unit = "label-known score (nats)" if score == "label_known" else "score M (nats)"
        axis.set(ylim=(len(KINDS) - 0.4, -0.6), yticks=range(len(KINDS)), xlabel=unit)
        axis.set_yticklabels([label for label, *_ in KINDS.values()], fontsize="small")
    for axis in axes[1::2]:
        axis.set_yticklabels([])
    sns.despine(figure)
    return closed(figure)


def siblings(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """The score of each seed's models on its hard host against that of its control, a panel a population."""
    figure, axes = panels(list(tables), height=2.8)
    for axis, table in zip(axes, tables.values(), strict=True):
        control = table[table["role"] == "control"].set_index("seed")["memorisation"]
        for role in ("placebo", "canary"):
            label, colour, marker = KINDS[role, "hard"]
            ones = table[(table["role"] == role) & (table["host"] == "hard")].set_index("seed")["memorisation"]
            axis.scatter(
                control.loc[ones.index], ones, 14, color=colour, marker=marker, label=label, linewidths=0, alpha=0.8
            )
        ends = [control.min(), control.max()]
        axis.plot(ends, ends, color="0.4", linewidth=0.8)
        axis.set(xlabel="control's score M (nats)", ylabel="sibling's score M (nats)")
    axes[0].legend(loc="upper left", fontsize="small")
    sns.despine(figure)
    return closed(figure)


def false_positive_rates(tables: Mapping[str, pd.DataFrame], *, inputs: str = "normalised") -> Figure:
    """Share of innocent models that each published rule calls memorised, against the number of images."""
    figure, axes = panels(list(tables), height=2.5, share=True)
    for axis, table in zip(axes, tables.values(), strict=True):
        for (rule, rows), (colour, line) in zip(
            table[table["inputs"] == inputs].groupby("rule", sort=False), LINES, strict=False
        ):
            axis.plot(rows["n_images"], rows["estimate"], line, color=colour, label=rule)
            axis.fill_between(rows["n_images"], rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
        axis.axhline(0.05, color="0.4", linewidth=0.8)
        axis.set(xscale="log", ylim=(0, 1))
    label(axes, "OOD images", "called memorised")
    axes[0].legend(loc="upper left", fontsize="small")
    sns.despine(figure)
    return closed(figure)


def permutation_p_values(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Permutation p-values of innocent models: share at most p against p, on the diagonal where they are uniform."""
    figure, axes = panels(list(tables), height=2.8, share=True)
    for axis, table in zip(axes, tables.values(), strict=True):
        axis.plot([0, 1], [0, 1], color="0.4", linewidth=0.8)
        for (name, rows), (colour, line) in zip(table.groupby("statistic", sort=False), LINES, strict=False):
            p = np.sort(rows["p"])
            axis.step(np.r_[0, p, 1], np.r_[0, np.arange(1, len(p) + 1) / len(p), 1], line, where="post", color=colour)
            axis.lines[-1].set_label(name)
        axis.set_aspect("equal")
    label(axes, "permutation p", "share of models below")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", fontsize="small")
    sns.despine(figure)
    return closed(figure)


def roc_curves(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """ROC curves, a line a detector, a panel a population."""
    figure, axes = panels(list(tables), height=3, share=True)
    for axis, table in zip(axes, tables.values(), strict=True):
        axis.plot([0, 1], [0, 1], color="0.4", linewidth=0.8)
        for (name, rows), (colour, line) in zip(table.groupby("detector", sort=False), LINES, strict=False):
            axis.plot(rows["false_positive_rate"], rows["true_positive_rate"], line, color=colour, label=name)
        axis.set_aspect("equal")
    label(axes, "false-positive rate", "canaries found")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", fontsize="small", ncols=1)
    sns.despine(figure)
    return closed(figure)


def areas(on_hard: Mapping[str, pd.DataFrame], on_random: Mapping[str, pd.DataFrame]) -> Figure:
    """Areas with intervals, a row a detector: learnt canaries and all on hard hosts, all on random ones."""
    figure, axes = panels(list(on_hard), height=3.2)
    hard = HOST_COLOURS["hard"]
    shown = (
        ("hard hosts, learnt", on_hard, ENDS, {"marker": "o", "color": hard}),
        (
            "hard hosts, all",
            on_hard,
            ALL_ENDS,
            {"marker": "o", "edgecolors": hard, "facecolors": "white"},
        ),
        ("random hosts, all", on_random, ALL_ENDS, {"marker": "x", "color": "#0072B2"}),
    )
    for number, (axis, title) in enumerate(zip(axes, on_hard, strict=True)):
        names = sorted(on_hard[title]["detector"])
        for place, (kind, tables, ends, style) in enumerate(shown):
            estimate, low, high = (tables[title].set_index("detector").loc[names, end] for end in ends)
            rows = np.arange(len(names)) + 0.25 * (place - 1)
            axis.hlines(rows, low, high, color=style.get("color", hard), linewidth=1)
            axis.scatter(estimate, rows, 22, label=kind, zorder=2, **style)
        axis.axvline(0.5, color="0.4", linewidth=0.8)
        axis.set(ylim=(len(names) - 0.4, -0.6), yticks=range(len(names)), xlabel="area")
        axis.set_yticklabels([wrap(name) for name in names] if number % 2 == 0 else [], fontsize="small")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def wrap(name: str) -> str:
    """A long name on two lines or more."""
    return "\n".join(textwrap.wrap(name, 26))


def power(images: Mapping[str, pd.DataFrame], permutations: Mapping[str, pd.DataFrame]) -> Figure:
    """Areas against the number of OOD images (paper's score) and of permutations (default detector)."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3), sharey=True, layout="constrained")
    contents = ((images, "n_images", "OOD images"), (permutations, "n_permutations", "permutations"))
    for axis, (tables, column, label) in zip(axes, contents, strict=True):
        for (name, table), (colour, line) in zip(tables.items(), LINES, strict=False):
            axis.plot(table[column], table["estimate"], line, color=colour, marker="o", markersize=3, label=name)
            axis.fill_between(table[column], table["low"], table["high"], color=colour, alpha=0.12, linewidth=0)
        axis.axhline(0.5, color="0.4", linewidth=0.8)
        axis.set(xscale="log", xlabel=label)
    axes[0].set(ylabel="area, learnt canaries", title="paper's score M")
    axes[1].set_title("default detector")
    axes[1].legend(loc="lower right", fontsize="small")
    sns.despine(figure)
    return closed(figure)


def hosts(
    tables: Mapping[str, pd.DataFrame], *, x: str, labels: tuple[str, str], threshold: float | None = None
) -> Figure:
    """Contrasts, a point a seed and kind of host, a panel a population; x is a column of `ufm.evidence.by_host`."""
    figure, axes = panels(list(tables), height=2.8)
    for axis, table in zip(axes, tables.values(), strict=True):
        axis.axhline(0, color="0.4", linewidth=0.8)
        for host, rows in table.groupby("host", sort=False):
            axis.scatter(
                rows[x],
                rows["contrast"],
                12,
                color=HOST_COLOURS[host],
                marker=HOST_MARKERS[host],
                label=f"{host} hosts",
                linewidths=0,
                alpha=0.8,
            )
        if x == "clean_loss":
            axis.set_xscale("log")
        if threshold is not None:
            axis.axvline(threshold, color="0.4", linewidth=0.8, linestyle=":")
        axis.set(xlabel=labels[0], ylabel=labels[1])
    axes[0].legend(loc="best", fontsize="small")
    sns.despine(figure)
    return closed(figure)


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
    for row, one in enumerate(table.to_dict("records")):
        colour, marker = HOST_COLOURS[one["host"]], HOST_MARKERS[one["host"]]
        axis.plot([one["low"], one["high"]], [row, row], color=colour)
        axis.scatter(one["estimate"], row, 34, color=colour, marker=marker, zorder=2)
        axis.plot([one["early_low"], one["early_high"]], [row + 0.25] * 2, color=colour, linewidth=0.8)
        axis.scatter(one["early"], row + 0.25, 20, facecolors="white", edgecolors=colour, marker=marker, zorder=2)
        names.append(f"{one['population']}, {one['host']} hosts")
    axis.axvline(0, color="0.4", linewidth=0.8)
    axis.axvline(smallest, color="0.4", linewidth=0.8, linestyle=":")
    axis.set(yticks=range(len(names)), yticklabels=names, xlabel="mean contrast D (nats)")
    axis.invert_yaxis()
    sns.despine(figure)
    return closed(figure)


def released(table: pd.DataFrame) -> Figure:
    """Label-known scores of canaries, of the control under the same labels, and of the released notebook."""
    figure, axis = plt.subplots(figsize=(WIDTH, 0.9 + 0.28 * len(table)), layout="constrained")
    rows = np.arange(len(table))
    axis.hlines(rows, table[["canary", "control"]].min(axis=1), table[["canary", "control"]].max(axis=1), color="0.8")
    for role in ("canary", "control"):
        axis.scatter(table[role], rows, 34, color=COLOURS[role], marker=MARKERS[role], label=role, zorder=2)
    if table["released"].notna().any():
        axis.scatter(table["released"], rows, 30, color="black", marker="|", label="released notebook", zorder=2)
    axis.axvline(0, color="0.4", linewidth=0.8)
    names = [f"{index} ({label})" for index, label in zip(table["canary_index"], table["canary_label"], strict=True)]
    axis.set(yticks=rows, yticklabels=names, xlabel="label-known score (nats)", ylabel="image (label)")
    figure.legend(loc="outside upper center", ncols=3, fontsize="small")
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
        ours = means[means["population"] == title].set_index("setting")
        for row, (setting, ones) in enumerate(table.groupby("setting", sort=False)):
            spread = np.random.default_rng(0).uniform(-0.25, 0.25, len(ones))
            axis.scatter(ones["contrast"], row + spread, 9, color=COLOURS["canary"], linewidths=0, alpha=0.55)
            axis.plot(ours.loc[setting, ["contrast_low", "contrast_high"]], [row, row], color="black", linewidth=1.6)
            axis.scatter(ours.loc[setting, "contrast"], row, 26, color="black", marker="D", zorder=3)
        axis.axvline(0, color="0.4", linewidth=0.8)
        dashed = ours["contrast"].iloc[0] if beside is None else beside
        axis.axvline(dashed, color="0.4", linewidth=0.8, linestyle="--")
        names = list(table["setting"].unique()) if number % 2 == 0 else []
        axis.set(ylim=(n_rows - 0.4, -0.6), yticks=range(len(names)), yticklabels=names, xlabel="contrast D (nats)")
    sns.despine(figure)
    return closed(figure)


def beside_controls(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Score of every canary against that of its control, a panel a population: columns host, canary, control."""
    figure, axes = panels(list(tables), height=2.9)
    for axis, table in zip(axes, tables.values(), strict=True):
        for host, rows in table.groupby("host", sort=False):
            _, colour, marker = KINDS["canary", host]
            axis.scatter(rows["control"], rows["canary"], 11, color=colour, marker=marker, linewidths=0, alpha=0.7)
            axis.collections[-1].set_label(f"{host} host")
        axis.axline((0, 0), slope=1, color="0.4", linewidth=0.8)
        axis.axhline(0, color="0.4", linewidth=0.8, linestyle=":")
        axis.axvline(0, color="0.4", linewidth=0.8, linestyle=":")
    label(axes, "M of the control (nats)", "M of the canary (nats)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def trade_off(costs: pd.DataFrame) -> Figure:
    """Mean contrast against accuracy, a point a setting with both intervals, a panel a population.

    Columns: population, setting, and accuracy and contrast, each with its low and high end.
    """
    titles = list(costs["population"].unique())
    figure, axes = panels(titles, height=3)
    order = list(costs["setting"].unique())
    palette = dict(zip(order, sns.color_palette("colorblind", len(order)), strict=True))
    for axis, title in zip(axes, titles, strict=True):
        for row in costs[costs["population"] == title].to_dict("records"):
            colour, marker = palette[row["setting"]], "oXsD^vP*"[order.index(row["setting"]) % 8]
            axis.plot([row["accuracy_low"], row["accuracy_high"]], [row["contrast"]] * 2, color=colour)
            axis.plot([row["accuracy"]] * 2, [row["contrast_low"], row["contrast_high"]], color=colour)
            axis.scatter(
                row["accuracy"], row["contrast"], 40, color=[colour], marker=marker, label=row["setting"], zorder=3
            )
        axis.axhline(0, color="0.4", linewidth=0.8)
    label(axes, "accuracy", "mean contrast D (nats)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def learning_curves(tables: Mapping[str, pd.DataFrame]) -> Figure:
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


def rank_shares(table: pd.DataFrame) -> Figure:
    """Rank shares of hosts, a row a group and role, a point a seed, the mean as a line.

    Columns: setting, role, rank.
    """
    settings = list(table["setting"].unique())
    figure, axis = plt.subplots(figsize=(WIDTH, 0.9 + 1.1 * len(settings)), layout="constrained")
    named = {"control": "plain host, control", "placebo": "with its placebo feature", "canary": "with the letter"}
    for group, setting in enumerate(settings):
        for place, (role, words) in enumerate(named.items()):
            ours = table.loc[(table["setting"] == setting) & (table["role"] == role), "rank"]
            row = group + 0.28 * (place - 1)
            _, colour, marker = KINDS[role, "" if role == "control" else "hard"]
            spread = np.random.default_rng(0).uniform(-0.09, 0.09, len(ours))
            axis.scatter(ours, row + spread, 12, color=colour, marker=marker, linewidths=0, alpha=0.6)
            axis.collections[-1].set_label(words if group == 0 else "_")
            axis.plot([ours.mean()] * 2, [row - 0.13, row + 0.13], color="black", linewidth=1.6)
    axis.set(yticks=range(len(settings)), yticklabels=settings, xlim=(-0.02, 1.02), xlabel="rank share of the host")
    axis.invert_yaxis()
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def epoch_by_epoch(seeds: pd.DataFrame, averages: pd.DataFrame, kept: float) -> Figure:
    """Contrast, fit of the host and losses against the epoch, one above the other, with 95 % intervals over seeds.

    seeds: columns seed, epoch, contrast, thin lines; averages: columns epoch and what the chapter *When* measures, each
    with its low and high end; kept: the epoch of the dashed line.
    """
    figure, axes = plt.subplots(3, sharex=True, figsize=(WIDTH, 6.6), layout="constrained")
    groups = (
        ("contrast D (nats)", {"contrast": "OOD images", "contrast_test": "test images"}),
        (
            "log-probability (nats)",
            {"letter": "host with the letter", "plain": "host without it", "control": "host in the control"},
        ),
        ("loss (nats)", {"train_loss": "training", "held_out_loss": "held out"}),
    )
    for _, rows in seeds.groupby("seed"):
        axes[0].plot(rows["epoch"], rows["contrast"], color="0.6", linewidth=0.5, alpha=0.5)
    for axis, (title, lines) in zip(axes, groups, strict=True):
        for number, (name, words) in enumerate(lines.items()):
            colour = sns.color_palette("colorblind")[(0, 3, 7)[number]]
            ends = averages[f"{name}_low"], averages[f"{name}_high"]
            axis.fill_between(averages["epoch"], *ends, color=colour, alpha=0.2, linewidth=0)
            axis.plot(averages["epoch"], averages[name], ("-", "--", ":")[number], color=colour, label=words)
        axis.axvline(kept, color="0.4", linewidth=0.8, linestyle="--")
        axis.set_ylabel(title)
        axis.legend(fontsize="small", frameon=False)
    axes[0].axhline(0, color="0.4", linewidth=0.8)
    axes[2].set(xlabel="epoch", yscale="log")
    sns.despine(figure)
    return closed(figure)
