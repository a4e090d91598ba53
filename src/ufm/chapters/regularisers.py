"""C3: what prevents overfitting, beside models of the same seeds and hosts without it.

A *way* is a method against overfitting. Early stopping is one too: its models are the plain ones, and what they are
compared with is the same models trained to the end.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence import Cards
from ufm.evidence.performance import accuracies
from ufm.evidence.questions import asked, of_row
from ufm.evidence.regimes import Change, Prevents, changes, prevention
from ufm.plan import second
from ufm.plan.sweep import Sweep
from ufm.plan.ways import TO_THE_END
from ufm.report.by_population import Quantities, interval_of
from ufm.report.figures import HOST_COLOURS, HOST_MARKS, Mark, closed, forest, panels, rows_of, waiting
from ufm.report.texts import by_word, p_text, span, with_interval
from ufm.statistics import bootstrap_interval, columns

CHANGES = (Change.REDUCES, Change.RAISES, Change.OPPOSITE, Change.ONE_SCALE, Change.NOTHING)


def questions(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """The three questions of C3's rows, see `ufm.evidence.questions.asked`, with the accuracy of the controls."""
    rows = second.families(planned).get("C3", [])
    table = asked(populations, rows)
    costs = []
    for row in rows:
        parts = [accuracies(cards) for cards in of_row(populations, row)]
        whole = np.concatenate(parts) if parts else np.zeros(0)
        costs.append(columns({"accuracy": bootstrap_interval(whole)}) if len(whole) >= row.needed else {})
    return table.join(pd.DataFrame(costs, index=table.index))


def pairs(populations: Mapping[str, Cards]) -> dict[tuple[str, str, str], tuple[Cards, Cards]]:
    """Models with a way and without it, by (population, way, kind of host), where both are there."""
    there = {(cards.trained_on, second.regime(cards.sweep)): cards for cards in populations.values()}
    found: dict[tuple[str, str, str], tuple[Cards, Cards]] = {}
    for way, regime in second.WAYS.items():
        versus = TO_THE_END if way == second.EARLY_STOPPING else second.PLAIN
        for population in dict.fromkeys(population for population, _ in there):
            if (population, regime) in there and (population, versus) in there:
                with_it, without = there[population, regime], there[population, versus]
                found |= {(population, way, host): (with_it, without) for host in with_it.protocol.hosts}
    return found


def ways(populations: Mapping[str, Cards], questions: pd.DataFrame) -> pd.DataFrame:
    """What became of each way, a row a population, way and kind of host.

    Columns: those of `ufm.evidence.regimes.prevention`, and of `changes` those that say what it changes.
    """
    both, keys = pairs(populations), ["population", "way", "host"]
    table, changed = prevention(questions), changes(both) if both else pd.DataFrame(columns=[*keys, "change"])
    own = [name for name in changed if name.startswith(("nats", "spreads")) or name == "change"]
    return table.merge(changed[[*keys, *own]], how="left", on=keys).fillna({"change": Change.OPEN})


def those_that(table: pd.DataFrame, column: str, word: str) -> str:
    """The ways of which a column says a word: "batch norm (MNIST, random)"; without brackets where it is of all."""
    names = []
    for way, rows in table.groupby("way", sort=False):
        some = rows[rows[column] == word]
        where = (f"{row['population'].partition(',')[0]}, {row['host']}" for row in some.to_dict("records"))
        if len(some):
            names.append(way if len(some) == len(rows) else f"{way} ({'; '.join(where)})")
    return "; ".join(names) or "none of them"


def quantities(table: pd.DataFrame) -> Quantities:
    """What the chapter found, by way, kind of host and population."""
    found: dict[str, dict] = {}
    for row in table.dropna(subset=["contrast"]).to_dict("records") if "contrast" in table else []:
        for name, words in {"contrast": "contrast", "accuracy": "accuracy", "unknown": "area"}.items():
            quantity = f"{words}, {row['way']}, {row['host']} hosts"
            found.setdefault(quantity, {})[row["population"]] = interval_of(row, name)
        if "nats" in row:
            change = interval_of(row, "nats")
            found.setdefault(f"change, {row['way']}, {row['host']} hosts", {})[row["population"]] = change
    return found


def texts(table: pd.DataFrame, questions: pd.DataFrame) -> dict[str, str]:
    """For the text: which ways prevent it or do not, what they change, and on what that stands."""
    found = {"prevented": of_ways(table, "prevents", Prevents)}
    found["changed"] = of_ways(table, "change", (*CHANGES, Change.OPEN))
    without = questions[questions["setting"].isin([second.PLAIN, TO_THE_END])]
    names = without["population"] + ", " + without["setting"] + ", " + without["host"] + " hosts"
    found["without"] = by_word(without["there"], names)
    if "contrast" in table:
        for host, rows in table.groupby("host"):
            found[f"contrast_{host}"] = f"{span(rows['contrast'], digits=3)} nats"
            found[f"accuracy_{host}"] = span(rows["accuracy"], digits=3)
    return {f"{name}_{host}": "not recorded" for name in ("contrast", "accuracy") for host in HOST_COLOURS} | found


def of_ways(table: pd.DataFrame, column: str, words: Iterable[str]) -> str:
    """Which ways each word of a column is said of; words that are said of none are left out."""
    said = table[column].unique()
    ordered = [word for word in words if word in said] or list(said)
    return ". ".join(f"{word[0].upper()}{word[1:]}: {those_that(table, column, word)}" for word in ordered)


def printed_ways(table: pd.DataFrame) -> pd.DataFrame:
    """Whether a feature is there under each way, as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "way": row["way"],
            "hosts": row["host"],
            "seeds": row["n"] if row["n"] >= row["needed"] else f"{row['n']} of {row['needed']}",
            "mean D, nats": there(row, "contrast", 3),
            "p": p_text(row["p_holm"]) if "p_holm" in row else "–",
            "is it there?": row["there"],
            "without it": row["versus_there"],
            "so it": row["prevents"],
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_changes(table: pd.DataFrame) -> pd.DataFrame:
    """What each way changes, as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "way": row["way"],
            "hosts": row["host"],
            "against": row["versus"],
            "change of D, nats": with_interval(row, digits=3, end="nats"),
            "p": p_text(row["nats_p_holm"]),
            "in own spreads": with_interval(row, end="spreads"),
            "p ": p_text(row["spreads_p_holm"]),
            "reading": row["change"],
        }
        for row in (table.dropna(subset=["nats"]) if "nats" in table else table.head(0)).to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_differences(differences: pd.DataFrame) -> pd.DataFrame:
    """What each way changed in the first plan, as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "way": row["setting"],
            "against": row["versus"],
            "change of D, nats": with_interval(row, digits=3),
            "p": p_text(row["p_holm"]),
            "in own spreads": with_interval(row, end="spreads"),
            "p ": p_text(row["spreads_p_holm"]),
            "reading": row["reading"],
            "change of accuracy": with_interval(row, digits=3, end="accuracy"),
        }
        for row in differences.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_costs(table: pd.DataFrame) -> pd.DataFrame:
    """What an auditor finds beside accuracy, as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "way": row["way"],
            "hosts": row["host"],
            "accuracy": there(row, "accuracy", 3),
            "area, label unknown": there(row, "unknown", 2),
            "found": there(row, "unknown_found", 2),
            "label known": there(row, "known", 2),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def there(row: Mapping, end: str, digits: int) -> str:
    """A number of a row with its interval; a dash where it lacks seeds."""
    return with_interval(row, digits=digits, end=end) if not pd.isna(row.get(end)) else "–"


def drawn_ways(questions: pd.DataFrame, *, smallest: float, large: float) -> Figure:
    """Mean D with its interval, a row a regime, random and hard hosts, a panel a population."""
    names = {"panel": questions["population"], "label": questions["setting"], "kind": questions["host"]}
    return forest(rows_of(questions, "contrast", **names), x="mean D (nats)", lines=(smallest, large))


def drawn_changes(table: pd.DataFrame) -> Figure:
    """What each way changes on both scales, a row a way, with intervals; a marker a population."""
    kinds = table["population"] + ", " + table["host"] + " hosts"
    marks: dict[str, Mark] = {}
    for shape, population in zip("osD^", dict.fromkeys(table["population"]), strict=False):
        marks |= {f"{population}, {host} hosts": (colour, shape, True) for host, colour in HOST_COLOURS.items()}
    scales = {"nats": "change of D, nats", "spreads": "change of D, own spreads"}
    rows = [rows_of(table, name, panel=title, label=table["way"], kind=kinds) for name, title in scales.items()]
    return forest(pd.concat(rows), x="", marks=marks, share=False)


def drawn_first_plan(cells: pd.DataFrame, *, smallest: float) -> Figure:
    """The first plan's mean D by way, at the best epoch and, hollow, at epoch 10, a panel a population."""
    colour, marker, _ = HOST_MARKS["hard"]
    marks = {"best epoch": (colour, marker, True), "epoch 10": (colour, marker, False)}
    rows = [
        rows_of(cells, name, panel=cells["population"], label=cells["setting"], kind=age)
        for name, age in (("", "best epoch"), ("early", "epoch 10"))
    ]
    return forest(pd.concat(rows), x="mean D (nats)", marks=marks, lines=(smallest,))


def drawn_costs(table: pd.DataFrame) -> Figure:
    """Area with the label unknown against accuracy, a point a way and kind of host, a panel a population."""
    shown = table.dropna(subset=["accuracy"]) if "accuracy" in table else table.head(0)
    if shown.empty:
        return waiting()
    titles, names = (list(dict.fromkeys(table[name])) for name in ("population", "way"))
    figure, axes = panels(titles, height=3.2)
    for axis, title in zip(axes, titles, strict=True):
        for row in shown[shown["population"] == title].to_dict("records"):
            colour, marker = HOST_COLOURS[row["host"]], "osD^vP*X"[names.index(row["way"]) % 8]
            axis.plot([row["accuracy"]] * 2, [row["unknown_low"], row["unknown_high"]], color=colour, linewidth=0.7)
            label = row["way"] if row["host"] == "hard" else "_"
            axis.scatter(row["accuracy"], row["unknown"], 34, color=colour, marker=marker, zorder=2, label=label)
        axis.axhline(0.5, color="0.4", linewidth=0.8, linestyle=":")
        axis.set(xlabel="accuracy", ylabel="area, label unknown")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    sns.despine(figure)
    return closed(figure)
