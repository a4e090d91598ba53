"""The null: what published scores and p-values say of models that never saw the letter."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.report.by_population import Quantities, interval_of, joined, wide
from ufm.report.figures import COLOURS, KINDS, LINES, closed, forest, label, panels, rows_of
from ufm.report.texts import with_interval
from ufm.statistics import Interval, share_interval
from ufm.statistics.roc import share_interval_over_seeds


def quantities(
    rates: Mapping[str, pd.DataFrame], siblings: Mapping[str, pd.DataFrame], checks: Mapping[str, Interval]
) -> Quantities:
    """What the chapter found, by quantity and population."""
    found: dict[str, dict] = {}
    for population, table in rates.items():
        for row in on_all_images(table).to_dict("records"):
            found.setdefault(row["quantity"], {})[population] = row
    for population, table in siblings.items():
        for row in table.to_dict("records"):
            found.setdefault(f"correlation of {row['pair']}", {})[population] = interval_of(row, "correlation")
    found["labels of hosts"] = {population: asdict(check) for population, check in checks.items()}
    return found


def on_all_images(rates: pd.DataFrame) -> pd.DataFrame:
    """False-positive rates on all images, with a column `quantity`: the rule and its inputs."""
    rows = rates[rates["n_images"] == rates["n_images"].max()]
    return rows.assign(quantity=rows["rule"] + ", " + rows["inputs"] + " inputs")


def above_zero(scores: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Share of models with a score M above zero, normalised inputs, a row a population and kind of model.

    Columns: population, kind, estimate, low, high, n.
    """
    rows = []
    for population, table in scores.items():
        for (role, host), (name, _, _) in KINDS.items():
            ones = table[(table["role"] == role) & (table["host"] == host)]
            share = asdict(share_interval(ones["memorisation"] > 0))
            rows.append({"population": population, "kind": name} | share)
    return pd.DataFrame(rows)


def printed_above_zero(table: pd.DataFrame) -> pd.DataFrame:
    """`above_zero` as the book prints it, a column a population."""
    return wide(dict(list(table.groupby("population", sort=False))), "kind")


def constant(lit: Mapping[str, np.ndarray]) -> str:
    """For the text: how many pixels under the letter are the same in every training image, by data set."""
    found = {name.partition(",")[0]: f"{int((share == 0).sum())} of {share.size}" for name, share in lit.items()}
    return "; ".join(f"{count} ({name})" for name, count in found.items())


def small_p_values(p_values: Mapping[str, pd.DataFrame], *, level: float = 0.05) -> dict[str, pd.DataFrame]:
    """Share of innocent models with a permutation p of at most the level, a row a statistic, by population."""
    tables = {}
    for population, table in p_values.items():
        rows = [
            {"statistic": statistic} | asdict(share_interval_over_seeds(ones["p"] <= level, ones["seed"]))
            for statistic, ones in table.groupby("statistic", sort=False)
        ]
        tables[population] = pd.DataFrame(rows)
    return tables


def printed_rules(rates: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Published rules on all images, a column a population."""
    return wide({name: on_all_images(table) for name, table in rates.items()}, "quantity")


def printed_lit(lit: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """How constant the pixels under the letter are, a row a population."""
    rows = [
        {
            "population": population,
            "pixels": share.size,
            "black in every image": int((share == 0).sum()),
            "black in 99.9 % of them": int((share <= 0.001).sum()),
            "share of images in which the most varied pixel is lit": f"{share.max():.3f}",
        }
        for population, share in lit.items()
    ]
    return pd.DataFrame(rows)


def printed_small_p_values(p_values: Mapping[str, pd.DataFrame], *, level: float = 0.05) -> pd.DataFrame:
    """`small_p_values` as the book prints them, a column a population."""
    return wide(small_p_values(p_values, level=level), "statistic")


def labels(checks: Mapping[str, Interval]) -> pd.DataFrame:
    """The check of labels, a row a population: columns population, estimate, low, high, n."""
    return pd.DataFrame([{"population": name} | asdict(check) for name, check in checks.items()])


def printed_labels(table: pd.DataFrame) -> pd.DataFrame:
    """`labels` as the book prints them."""
    rows = [{"population": row["population"], "area": with_interval(row)} for row in table.to_dict("records")]
    return pd.DataFrame(rows)


def drawn_above_zero(table: pd.DataFrame) -> Figure:
    """`above_zero`, a row a kind of model, a panel a population."""
    marks = {name: (colour, marker, True) for name, colour, marker in KINDS.values()}
    rows = rows_of(table, panel=table["population"], label=table["kind"], kind=table["kind"])
    return forest(rows, x="share with M above zero", marks=marks, lines=(0.5,), nothing=None)


def drawn_rules(rates: Mapping[str, pd.DataFrame]) -> Figure:
    """Share of innocent models that each published rule calls memorised on all images, a panel a population."""
    table = joined({name: on_all_images(one) for name, one in rates.items()})
    kinds = table["inputs"] + " inputs"
    marks = {"normalised inputs": (COLOURS["control"], "o", True), "raw inputs": (COLOURS["control"], "o", False)}
    rows = rows_of(table, panel=table["population"], label=table["rule"], kind=kinds)
    return forest(rows, x="called memorised", marks=marks, lines=(0.05,), nothing=None)


def drawn_small_p_values(p_values: Mapping[str, pd.DataFrame]) -> Figure:
    """`small_p_values` at one in twenty, a row a population, a panel a statistic."""
    table = joined(small_p_values(p_values))
    marks = {"innocent": (COLOURS["control"], "o", True)}
    rows = rows_of(table, panel=table["statistic"], label=table["population"], kind="innocent")
    return forest(rows, x="share at or below 0.05", marks=marks, lines=(0.05,), nothing=None)


def drawn_labels(table: pd.DataFrame) -> Figure:
    """`labels`, a row a population."""
    marks = {"control": (COLOURS["control"], "o", True)}
    return forest(rows_of(table, label=table["population"], kind="control"), x="area", marks=marks, nothing=0.5)


def drawn_scores(tables: Mapping[str, pd.DataFrame], *, score: str = "memorisation") -> Figure:
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


def drawn_siblings(tables: Mapping[str, pd.DataFrame]) -> Figure:
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


def drawn_false_positive_rates(tables: Mapping[str, pd.DataFrame], *, inputs: str = "normalised") -> Figure:
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


def drawn_p_values(tables: Mapping[str, pd.DataFrame]) -> Figure:
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
