"""What prevents it: the third plan's ways beside plain models of the same seeds and hosts, and what they cost."""

from collections.abc import Mapping
from math import isnan, nan

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ufm.evidence import Cards, ensembles, lots, ways
from ufm.evidence.questions import ends
from ufm.evidence.ways import Prevents
from ufm.plan import second, third
from ufm.plan.sweep import Sweep
from ufm.report import by_way
from ufm.report.figures import COLOURS, HOST_COLOURS, closed, panels, waiting
from ufm.report.texts import REHEARSED, number, with_interval
from ufm.statistics import columns
from ufm.study.runs import Population

PRIVATE = "private, noise "
USEFUL = 100  # an epsilon above it promises nothing that anyone could use
DRAWN = {"contrast": "mean D (nats)", "unknown_found": "found, label unknown"}
NAMED = 8  # ways of a legend, beside plain and private training, that have a marker of their own in one colour


def asked(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """The three questions of plain models and of each way, with `epsilon`, see `ufm.evidence.ways.questions`."""
    table = ways.questions(populations, third.rows(planned))
    promised = {
        (sweep.trained_on, second.regime(sweep)): third.epsilon(sweep.protocol.training, sweep.protocol.n_train)
        for sweep in planned.values()
    }
    of = [promised[row["population"], row["setting"]] for row in table.to_dict("records")]
    return table.assign(epsilon=pd.Series(of, table.index, dtype=float))


def became(populations: Mapping[str, Cards], questions: pd.DataFrame) -> pd.DataFrame:
    """What became of each way, see `ufm.evidence.ways.ways`."""
    return ways.ways(populations, questions, third.compared())


def carded(populations: Mapping[str, Population]) -> dict[str, Population]:
    """The populations of canary and placebo models, without those that carry many marks."""
    return {name: one for name, one in populations.items() if one.protocol.lot is None}


def together(populations: Mapping[str, Cards], profile: str) -> pd.DataFrame:
    """What an auditor tells of ensembles of seeds on the same hosts, see `ufm.evidence.ensembles.told`.

    Empty where not all of these seeds are there.
    """
    ours = next((one for one in populations.values() if second.regime(one.sweep) == second.ROUNDINGS[0]), None)
    if ours is None or not ours.complete:
        return pd.DataFrame(columns=["size"])
    sizes = [size for size in third.ENSEMBLES[profile] if size <= len(ours.seeds)]
    return ensembles.told(ours, sizes).assign(population=ours.trained_on)


def together_texts(table: pd.DataFrame) -> dict[str, str]:
    """For the text: what an auditor tells of one network and of the largest ensemble."""
    if table.empty:
        return dict.fromkeys(("one", "largest", "seeds_together"), "not recorded yet")
    one, largest = (
        f"{with_interval(row, end='unknown')}, with it known {with_interval(row, end='known')}"
        for row in (table.iloc[0], table.iloc[-1])
    )
    return {"one": one, "largest": largest, "seeds_together": str(int(table["size"].iloc[-1]))}


def printed_together(table: pd.DataFrame) -> pd.DataFrame:
    """`together` as the book prints it."""
    rows = [
        {
            "seeds": row["size"],
            "ensembles a host": row["n"],
            "mean D, nats": with_interval(row, digits=3, end="contrast"),
            "spread in controls, nats": number(row["spread"], 3),
            "d′": number(row["d_prime"], 2),
            "area, label unknown": with_interval(row, end="unknown"),
            "label known": with_interval(row, end="known"),
            "of innocent models, unknown": with_interval(row, end="innocent_unknown"),
            "known ": with_interval(row, end="innocent_known"),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def measured(populations: Mapping[str, Population], planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """What coins say of epsilon, a row a way whose models carry many marks, see `ufm.evidence.lots.coins`.

    Columns: population, way, planned, n (models), promised (epsilon of the training), and where no seed is lacking
    right (share of guesses), bound (mean over models of the largest epsilon that each excludes) with their intervals
    over seeds, largest (of that epsilon were all guesses right), above (share of models that exclude twice `promised`).
    """
    rows = []
    for name, sweep in planned.items():
        if sweep.protocol.lot is None:
            continue
        there, whole = populations.get(name), len(sweep.seeds) * sweep.protocol.n_models
        way = second.regime(sweep).removesuffix(f", {third.MARKS}") or second.PLAIN
        promised = third.epsilon(sweep.protocol.training, sweep.protocol.n_train)
        n = len(there.entries) * sweep.protocol.n_models if there is not None else 0
        row: dict[str, object] = {"population": sweep.trained_on, "way": way, "planned": whole, "n": n}
        row["promised"] = promised
        if there is not None and n >= whole:
            table = lots.coins(there)
            right = lots.over_seeds(table["correct"] / table["guesses"], table["seed"])
            row |= columns({"right": right, "bound": lots.over_seeds(table["epsilon"], table["seed"])})
            row["largest"] = float(table["largest"].max())
            row["above"] = float((table["epsilon"] > 2 * promised).mean()) if promised < USEFUL else nan
        rows.append(row)
    return pd.DataFrame(rows)


def printed_bounds(table: pd.DataFrame) -> pd.DataFrame:
    """`measured` as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "way": row["way"],
            "epsilon": promise(row["promised"]),
            "models": row["n"] if row["n"] >= row["planned"] else f"{row['n']} of {row['planned']}",
            "guesses right": by_way.there(row, "right", 2),
            "epsilon excluded": by_way.there(row, "bound", 2),
            "at most": number(row.get("largest", nan), 2),
            "above twice epsilon": number(row.get("above", nan), 2),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def texts(table: pd.DataFrame, profile: str) -> dict[str, str]:
    """For the text: the least noise that prevents it, and what the private models of a usual epsilon cost.

    Pages of the embedded profile say no word, and so no noise either.
    """
    if profile == "embedded":
        return dict.fromkeys(("least", "priced"), REHEARSED.capitalize())
    whole = table[table["prevents"] != Prevents.OPEN]
    least, priced = [], []
    for (population, host), rows in whole.groupby(["population", "host"], sort=False):
        noisy = rows[rows["way"].str.startswith(PRIVATE)].to_dict("records")
        enough = [row for row in noisy if row["prevents"] == Prevents.PREVENTS]
        where = f"{population.partition(',')[0]}, {host} hosts"
        if noisy:
            said = said_of(min(enough, key=lambda row: noise(row["way"]))) if enough else "none of those tried"
            least.append(f"{where}: {said}")
    for population, rows in whole[whole["epsilon"] < USEFUL].groupby("population", sort=False):
        costs = rows.drop_duplicates("way").to_dict("records")
        every = "; ".join(
            f"epsilon {promise(row['epsilon'])}: {with_interval(row, digits=3, end='cost')}" for row in costs
        )
        priced.append(f"{population.partition(',')[0]}: {every}")
    return {"least": ". ".join(least) or "Not recorded yet", "priced": ". ".join(priced) or "Not recorded yet"}


def said_of(row: Mapping) -> str:
    """A private way with what it promises and what it costs."""
    promised = f", epsilon {promise(row['epsilon'])}" if not isnan(row["epsilon"]) else ""
    return f"noise {noise(row['way']):g}{promised}, accuracy {with_interval(row, digits=3, end='cost')}"


def noise(way: str) -> float:
    """The multiplier of the noise of a private way, from its name."""
    return float(way.removeprefix(PRIVATE))


def promise(epsilon: float) -> str:
    """An epsilon as the book prints it."""
    return f"above {USEFUL}" if epsilon >= USEFUL else number(epsilon, 0)


def printed_costs(table: pd.DataFrame) -> pd.DataFrame:
    """What an auditor finds beside accuracy and epsilon, as the book prints it."""
    printed = by_way.printed_costs(table)
    printed.insert(3, "epsilon", [promise(one) for one in table["epsilon"]])
    return printed


def drawn_trade_offs(questions: pd.DataFrame, end: str, *, line: float) -> Figure:
    """One of `DRAWN` of each way with its interval against accuracy, a panel a data set and kind of host.

    Private ways lie on a curve by their noise, with the epsilon of those that promise something.
    """
    shown = questions.dropna(subset=["accuracy", end]) if {"accuracy", end} <= set(questions) else questions.head(0)
    if shown.empty:
        return waiting()
    others = [one for one in shown["setting"].unique() if one != second.PLAIN and not one.startswith(PRIVATE)]
    groups = list(shown.groupby(["population", "host"], sort=False))
    figure, axes = panels([f"{population.partition(',')[0]}, {host}" for (population, host), _ in groups], height=2.6)
    for axis, ((_, host), rows) in zip(axes, groups, strict=True):
        for row in rows.to_dict("records"):
            _, low, high = ends(row, end)
            axis.plot([row["accuracy"]] * 2, [low, high], color="0.6", linewidth=0.7, zorder=1)
            mark(axis, row, end, others)
        private = rows[rows["setting"].str.startswith(PRIVATE)]
        private = private.sort_values("setting", key=lambda names: names.map(noise))
        axis.plot(
            private["accuracy"],
            private[end],
            "o-",
            color=HOST_COLOURS[host],
            linewidth=1,
            markersize=4,
            label="private",
        )
        for row in private[private["epsilon"] < USEFUL].to_dict("records"):
            place = (row["accuracy"], row[end])
            axis.annotate(promise(row["epsilon"]), place, (0, 4), textcoords="offset points", ha="center", fontsize=7)
        axis.axhline(line, color="0.4", linewidth=0.8, linestyle=":")
        axis.set(xlabel="accuracy", ylabel=DRAWN[end])
    handles = {text: handle for axis in axes for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def mark(axis: Axes, row: Mapping, end: str, others: list[str]) -> None:
    """The marker of plain models or of a way that is not private training."""
    way, place = row["setting"], (row["accuracy"], row[end])
    if way == second.PLAIN:
        axis.scatter(*place, 46, color="black", marker="*", zorder=4, label=way)
    elif way in others:
        number = others.index(way)
        colour = (COLOURS["control"], COLOURS["placebo"], "#CC79A7")[number // NAMED % 3]
        axis.scatter(*place, 26, color=colour, marker="sD^vP*Xp"[number % NAMED], zorder=3, label=way)
