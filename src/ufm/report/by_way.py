"""Ways of training beside models without them, as the book prints and draws them."""

from collections.abc import Iterable, Mapping
from math import isnan, nan

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence.questions import There
from ufm.evidence.ways import Change, Prevents
from ufm.report.by_population import Quantities, interval_of
from ufm.report.figures import HOST_COLOURS, Mark, closed, forest, panels, rows_of, waiting
from ufm.report.texts import by_word, in_short, number, p_text, span, with_interval

GONE = (Prevents.PREVENTS, Prevents.ON_HOST)  # words of ways with which D is shown to be next to nothing
CHANGES = (Change.REDUCES, Change.RAISES, Change.OPPOSITE, Change.ONE_SCALE, Change.NOTHING)


def those_that(table: pd.DataFrame, column: str, word: str) -> str:
    """The ways of which a column says a word: "batch norm (MNIST, random)"; without brackets where it is of all.

    Beside what prevents it, or all but that, stands what becomes of D and accuracy, without which the word says little.
    """
    names = []
    for way, rows in table.groupby("way", sort=False):
        some = rows[rows[column] == word].to_dict("records")
        prices = [changed(row) if word in GONE else "" for row in some]
        places = (f"{row['population'].partition(',')[0]}, {row['host']}" for row in some)
        where = (": ".join(filter(None, both)) for both in zip(places, prices, strict=True))
        if some:
            names.append(way if len(some) == len(rows) and not any(prices) else f"{way} ({'; '.join(where)})")
    return "; ".join(names) or "none of them"


def changed(row: Mapping) -> str:
    """Mean D without a way and with it, what the letter still does on its host, and how accuracy changes."""
    before, after, cost = (float(row.get(name, nan)) for name in ("versus_contrast", "contrast", "cost"))
    said = []
    if not isnan(before + after):
        said.append(f"D from {number(before, 3)} to {with_interval(row, digits=3, end='contrast')} nats")
    if row["prevents"] == Prevents.ON_HOST:
        said.append(f"on its host {with_interval(row, end='gain')} nats")
    if not isnan(cost):
        said.append(f"accuracy {number(abs(cost), 3)} {'lower' if cost < 0 else 'higher'}")
    return ", ".join(said)


def explained(row: Mapping) -> str:
    """In brackets what else stands behind the word of a way: of what it prevents, and of what is not there anyway."""
    if row["prevents"] in GONE and changed(row):
        return f" ({changed(row)})"
    if row["prevents"] == Prevents.UNDECIDED and row.get("there") == There.NOT:
        return f" (not there; without it {row['versus_there']})"
    return ""


def texts(table: pd.DataFrame, questions: pd.DataFrame) -> dict[str, str]:
    """For the text: which ways prevent it or do not, what they change, and on what that stands."""
    found = {"prevented": of_ways(table, "prevents", Prevents)}
    for host, rows in table.groupby("host"):
        where = " on " + rows["population"].str.partition(",")[0] if rows["population"].nunique() > 1 else ""
        names = rows["way"] + where + [explained(row) for row in rows.to_dict("records")]
        found[f"prevented_{host}"] = in_short(rows["prevents"], names)
    found["changed"] = of_ways(table, "change", (*CHANGES, Change.OPEN))
    without = questions[questions["setting"].isin(table["versus"])]
    without = without.drop_duplicates(["population", "setting", "host", "there"])  # beside several systems
    names = without["population"] + ", " + without["setting"] + ", " + without["host"] + " hosts"
    found["without"] = by_word(without["there"], names)
    if "contrast" in table:
        for host, rows in table.groupby("host"):
            found[f"contrast_{host}"] = f"{span(rows['contrast'], digits=3)} nats"
            found[f"accuracy_{host}"] = span(rows["accuracy"], digits=3)
    named = "contrast", "accuracy", "prevented"
    return {f"{name}_{host}": "not recorded" for name in named for host in HOST_COLOURS} | found


def of_ways(table: pd.DataFrame, column: str, words: Iterable[str]) -> str:
    """Which ways each word of a column is said of; words that are said of none are left out."""
    said = table[column].unique()
    ordered = [word for word in words if word in said] or list(said)
    return ". ".join(f"{word[0].upper()}{word[1:]}: {those_that(table, column, word)}" for word in ordered)


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


def printed_ways(table: pd.DataFrame) -> pd.DataFrame:
    """Whether a feature is there under each way, as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "way": row["way"],
            "hosts": row["host"],
            "seeds": row["n"] if row["n"] >= row["needed"] else f"{row['n']} of {row['needed']}",
            "mean D, nats": there(row, "contrast", 3),
            "on its host, nats": there(row, "gain", 2),
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


def printed_costs(table: pd.DataFrame) -> pd.DataFrame:
    """What an auditor finds beside accuracy, as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "way": row["way"],
            "hosts": row["host"],
            "accuracy": there(row, "accuracy", 3),
            "less without it": there(row, "cost", 3),
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
