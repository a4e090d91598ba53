"""The published label-unknown score M of canaries beside that of their controls, on populations."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence import Cards
from ufm.evidence.controls import scores_by_role
from ufm.measures.layout import INPUTS
from ufm.report.by_population import Quantities, interval_of, joined
from ufm.report.figures import HOST_MARKS, KINDS, closed, forest, label, panels, rows_of
from ufm.report.texts import with_interval
from ufm.statistics import bootstrap_interval, columns, correlation_interval, share_interval

MEANS = ("canaries", "controls", "difference")  # of M, and of canary less control of the same seed


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


def scores(cards: Cards) -> pd.DataFrame:
    """A row a kind of host and scoring input: columns host, inputs, n, the means above, above and correlation.

    above: the share of canaries that score above their own control; correlation: that of the two over seeds. All but n
    have a low and a high end: of bootstrap intervals over seeds for means and the correlation, of a Clopper–Pearson one
    for the share.
    """
    rows = []
    for host in cards.protocol.hosts:
        for inputs in INPUTS:
            table = pairs(cards, host, inputs)
            canary, control = table["canary"].to_numpy(), table["control"].to_numpy()
            intervals = dict(zip(MEANS, map(bootstrap_interval, (canary, control, canary - control)), strict=True))
            intervals["above"] = share_interval(canary > control)
            intervals["correlation"] = correlation_interval(canary, control)
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


def distances(cards: Cards, host: str) -> dict[str, dict[str, float]]:
    """How far one changed image moves a training: mean distance of canary and control, by what is compared."""
    table = cards.models.fillna({"host": ""})
    means = {}
    for name, column in {"accuracy": "accuracy", "best epoch": "best_epoch"}.items():
        values = [
            table[(table["role"] == role) & (table["host"] == where)].set_index("seed")[column].astype(float)
            for role, where in (("canary", host), ("control", ""))
        ]
        means[name] = asdict(bootstrap_interval(np.abs(values[0] - values[1]).to_numpy()))
    return means


def of_hosts(cards: Cards) -> pd.DataFrame:
    """`pairs` with normalised inputs on every kind of host, with a first column `host`."""
    tables = [pairs(cards, host, INPUTS[0]).assign(host=host) for host in cards.protocol.hosts]
    return pd.concat(tables, ignore_index=True)[["host", "seed", "canary", "control"]]


def quantities(
    scores: Mapping[str, pd.DataFrame], distances: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> Quantities:
    """What the chapter found by population: scores with normalised inputs."""
    found: dict[str, dict] = {}
    of_controls = {"M, controls": "controls"}
    of_canaries = {
        "M, canaries": "canaries",
        "canary less control": "difference",
        "above its control": "above",
    }
    for population, table in scores.items():
        for row in table[table["inputs"] == "normalised"].to_dict("records"):
            names = of_controls | {f"{name} on {row['host']} hosts": column for name, column in of_canaries.items()}
            for name, column in names.items():
                found.setdefault(name, {})[population] = interval_of(row, column)
            correlation = f"correlation on {row['host']} hosts"
            found.setdefault(correlation, {})[population] = interval_of(row, "correlation")
    for population, distance in distances.items():
        for name, row in distance.items():
            found.setdefault(f"{name}, distance", {})[population] = row
    return found


def printed_scores(scores: Mapping[str, pd.DataFrame], inputs: str) -> pd.DataFrame:
    """`ufm.chapters.mlp.scores` of one kind of scoring inputs as the book prints them."""
    columns = {
        "M, canaries": "canaries",
        "M, controls": "controls",
        "canary less control": "difference",
        "canary above control": "above",
    }
    rows = [
        {"population": population, "hosts": row["host"], "seeds": row["n"]}
        | {title: with_interval(row, digits=3 if end in MEANS else 2, end=end) for title, end in columns.items()}
        for population, table in scores.items()
        for row in table[table["inputs"] == inputs].to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_models(models: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """`ufm.chapters.mlp.models` as the book prints them."""
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


def drawn_differences(scores: Mapping[str, pd.DataFrame]) -> Figure:
    """Mean score of the canary less that of its control, normalised inputs, a row a population."""
    table = joined(scores)
    table = table[table["inputs"] == INPUTS[0]]
    rows = rows_of(table, "difference", label=table["population"], kind=table["host"] + " hosts")
    marks = {f"{host} hosts": mark for host, mark in HOST_MARKS.items()}
    return forest(rows, x="M of the canary less that of its control (nats)", marks=marks)


def drawn_scores(tables: Mapping[str, pd.DataFrame]) -> Figure:
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
