"""The null: what published scores and p-values say of models that never saw the letter, and of others beside them."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence import Cards, each
from ufm.evidence.controls import scores_by_role, shared_initialisation
from ufm.measures.layout import INPUTS
from ufm.report.by_population import Quantities, interval_of, joined, wide
from ufm.report.figures import COLOURS, HOST_MARKS, KINDS, LINES, closed, forest, label, panels, rows_of
from ufm.report.texts import with_interval
from ufm.statistics import Interval, bootstrap_interval, columns, share_interval
from ufm.statistics.roc import share_interval_over_seeds

HOSTS = ("random", "hard")
MEANS = ("canaries", "controls", "difference")  # of M, and of canary less control of the same seed


def quantities(
    rates: Mapping[str, pd.DataFrame],
    siblings: Mapping[str, Mapping[str, pd.DataFrame]],
    checks: Mapping[str, Interval],
) -> Quantities:
    """What the chapter found, by quantity and population; siblings: by kind of host, then by population."""
    found: dict[str, dict] = {}
    for population, table in rates.items():
        for row in on_all_images(table).to_dict("records"):
            found.setdefault(row["quantity"], {})[population] = row
    for host, tables in siblings.items():
        for population, table in tables.items():
            for row in table.to_dict("records"):
                name = f"correlation of {row['pair']}, {host} hosts"
                found.setdefault(name, {})[population] = interval_of(row, "correlation")
    found["labels of hosts"] = {population: asdict(check) for population, check in checks.items()}
    return found


def siblings(populations: Mapping[str, Cards]) -> dict[str, dict[str, pd.DataFrame]]:
    """How alike the scores of models of one seed are, by kind of host and population, see `shared_initialisation`."""
    return {host: each(shared_initialisation, populations, host) for host in HOSTS}


def quantities_of_pairs(
    beside: Mapping[str, pd.DataFrame], distances: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> Quantities:
    """What was found of canaries beside their controls, by quantity and population: scores with normalised inputs."""
    found: dict[str, dict] = {}
    of_canaries = {"M, canaries": "canaries", "canary less control": "difference", "above its control": "above"}
    for population, table in beside.items():
        for row in table[table["inputs"] == INPUTS[0]].to_dict("records"):
            found.setdefault("M, controls", {})[population] = interval_of(row, "controls")
            for name, column in of_canaries.items():
                found.setdefault(f"{name} on {row['host']} hosts", {})[population] = interval_of(row, column)
    for population, distance in distances.items():
        for name, row in distance.items():
            found.setdefault(f"{name}, distance", {})[population] = row
    return found


def pairs(cards: Cards, host: str, inputs: str) -> pd.DataFrame:
    """Score M in nats of each seed's canary on a kind of host, and of its control: columns seed, canary, control.

    inputs: "normalised" or "raw".
    """
    table = scores_by_role(cards)
    score = "memorisation" if inputs == INPUTS[0] else f"memorisation_{inputs}"
    by_role = {
        role: table[(table["role"] == role) & (table["host"] == where)].set_index("seed")[score]
        for role, where in (("canary", host), ("control", ""))
    }
    return pd.DataFrame(by_role).reset_index()


def beside_controls(cards: Cards) -> pd.DataFrame:
    """A row a kind of host and scoring input: columns host, inputs, n, the means above and above.

    above: the share of canaries that score above their own control. All but n have a low and a high end: of bootstrap
    intervals over seeds for means, of a Clopper–Pearson one for the share.
    """
    rows = []
    for host in cards.protocol.hosts:
        for inputs in INPUTS:
            table = pairs(cards, host, inputs)
            canary, control = table["canary"].to_numpy(), table["control"].to_numpy()
            intervals = dict(zip(MEANS, map(bootstrap_interval, (canary, control, canary - control)), strict=True))
            intervals["above"] = share_interval(canary > control)
            rows.append({"host": host, "inputs": inputs, "n": len(table)} | columns(intervals))
    return pd.DataFrame(rows)


def models(cards: Cards) -> pd.DataFrame:
    """How good the models are, a row a role and kind of host.

    Columns: role, host, n; accuracy (on test images that early stopping did not see) and epoch (the best one), each
    with its low and high end.
    """
    rows = []
    for (role, host), table in cards.models.fillna({"host": ""}).groupby(["role", "host"], sort=False):
        intervals = {
            "accuracy": bootstrap_interval(table["accuracy"].to_numpy(float)),
            "epoch": bootstrap_interval(table["best_epoch"].to_numpy(float)),
        }
        rows.append({"role": role, "host": host, "n": len(table)} | columns(intervals))
    return pd.DataFrame(rows)


def distances(cards: Cards) -> dict[str, dict[str, float]]:
    """How far one changed image moves a training: mean distance of control and canary on its random host."""
    table = cards.models.fillna({"host": ""})
    means = {}
    for name, column in {"accuracy": "accuracy", "best epoch": "best_epoch"}.items():
        canary, control = (
            table[(table["role"] == role) & (table["host"] == host)].set_index("seed")[column].astype(float)
            for role, host in (("canary", "random"), ("control", ""))
        )
        means[name] = asdict(bootstrap_interval(np.abs(canary - control).to_numpy()))
    return means


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


def printed_beside_controls(beside: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """`beside_controls` as the book prints it."""
    titles = {"M, canaries": "canaries", "M, controls": "controls", "canary less control": "difference"}
    titles |= {"canary above control": "above"}
    rows = [
        {"population": population, "hosts": row["host"], "inputs": row["inputs"], "seeds": row["n"]}
        | {title: with_interval(row, digits=3 if end in MEANS else 2, end=end) for title, end in titles.items()}
        for population, table in beside.items()
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_models(models: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """`models` as the book prints them."""
    rows = [
        {
            "population": population,
            "models": f"{row['role']}, {row['host']} host" if row["host"] else row["role"],
            "seeds": row["n"],
            "accuracy": with_interval(row, digits=4, end="accuracy"),
            "best epoch": with_interval(row, digits=1, end="epoch"),
        }
        for population, table in models.items()
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


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


def drawn_differences(beside: Mapping[str, pd.DataFrame]) -> Figure:
    """Mean score of the canary less that of its control, normalised inputs, a row a population."""
    table = joined(beside)
    table = table[table["inputs"] == INPUTS[0]]
    rows = rows_of(table, "difference", label=table["population"], kind=table["host"] + " hosts")
    marks = {f"{host} hosts": mark for host, mark in HOST_MARKS.items()}
    return forest(rows, x="M of the canary less that of its control (nats)", marks=marks)


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
