"""Many marks, one run: how often an owner of images can show from outputs alone that a model was trained on them."""

from collections.abc import Mapping
from math import nan

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence import lots
from ufm.plan.many_marks import DECAY, HOSTS, NOTHING, Cell, cell_of
from ufm.plan.thresholds import SECOND, THRESHOLDS
from ufm.report.figures import LINES, closed, forest, panels, rows_of, waiting
from ufm.report.texts import span, with_interval
from ufm.statistics import bootstrap_interval, columns
from ufm.study.runs import NotYetRun, Population

KNOWS = {"unknown": "label unknown", "known": "label known"}
MARKERS = ("s", "o", "^", "D")  # of kinds of host
MOSTLY, SOMETIMES = "mostly found", "sometimes found"
NOT_TOLD, WAITS = "not found more often than by chance", "waits for seeds"


def audited(populations: Mapping[str, Population]) -> dict[str, pd.DataFrame]:
    """The audits of each population whose models carry marks. Raises NotYetRun where none has seeds enough."""
    ours = {name: one for name, one in populations.items() if cell_of(one.protocol) is not None and enough(one)}
    if not ours:
        raise NotYetRun(f"Fewer than {THRESHOLDS.fewest_seeds} seeds are recorded yet; `ufm reproduce` trains them.")
    return {name: lots.audits(one) for name, one in ours.items()}


def enough(population: Population) -> bool:
    """Whether a population has so many seeds that anything is shown of it."""
    return len(population.entries) >= THRESHOLDS.fewest_seeds


def cells(populations: Mapping[str, Population], audits: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row a population whose models carry marks.

    Columns: population (data set and size), setting, marks, hosts, training, places, images (that each mark is on),
    planned (models), what `ufm.evidence.lots.summary` says, unknown_told and known_told (the plan's words).
    """
    rows = []
    for name, table in audits.items():
        one, cell = populations[name], cell_of(populations[name].protocol)
        about = {of: getattr(cell, of) for of in ("setting", "marks", "hosts", "training", "places", "images")}
        row = {"population": one.trained_on} | about | {"planned": len(one.sweep.seeds) * one.protocol.n_models}
        row |= lots.summary(one, table)
        complete = row["n"] == row["planned"]
        rows.append(row | {f"{knows}_told": told(row, knows) if complete else WAITS for knows in KNOWS})
    return pd.DataFrame(rows)


def told(row: Mapping[str, object], knows: str) -> str:
    """The plan's word on the share of models in which marks are found, by the low end of its interval."""
    low = row[f"found_{knows}_low"]
    assert isinstance(low, float)
    return MOSTLY if low > SECOND.mostly else SOMETIMES if low > SECOND.level else NOT_TOLD


def usual(table: pd.DataFrame) -> pd.DataFrame:
    """The cells of the first population of which each mark is on one image, all marks at one place."""
    ours = table["population"] == table["population"].iloc[0]
    return table[ours & (table["places"] == "one") & (table["images"] == 1)]


def others(table: pd.DataFrame) -> pd.DataFrame:
    """The other cells."""
    return table.drop(usual(table).index)


def lines(table: pd.DataFrame, names: Mapping[tuple[str, str], str], y: str, level: float) -> Figure | None:
    """Estimates against the number of marks, a line a kind of host, a panel a training and a name of `names`.

    names: what is drawn, by title and then the word of training. None where there is no estimate.
    """
    table = table.dropna(subset=["marks"])
    if table.empty:
        return None
    titles = list(dict.fromkeys(title for title, _ in names))
    figure, axes = panels(titles, height=2.4, share=True)
    for (title, training), name in names.items():
        axis = axes[titles.index(title)]
        for place, hosts in enumerate(HOSTS):
            rows = table[(table["training"] == training) & (table["hosts"] == hosts)].sort_values("marks")
            if rows.empty:
                continue
            colour, style = LINES[place]
            x = rows["marks"] * 1.06 ** (place - 1.5)  # beside one another, lest intervals hide each other
            axis.plot(x, rows[name], style, color=colour, marker=MARKERS[place], markersize=4, linewidth=1.2)
            axis.vlines(x, rows[f"{name}_low"], rows[f"{name}_high"], color=colour, linewidth=1)
        axis.axhline(level, color="0.4", linewidth=0.8, linestyle=":")
        marks = sorted(table["marks"].unique())
        axis.set(xscale="log", xticks=marks, xticklabels=marks)
        axis.minorticks_off()
    for axis in axes[-2:]:
        axis.set_xlabel("marks")
    for axis in axes[::2]:
        axis.set_ylabel(y)
    there = [hosts for hosts in HOSTS if hosts in set(table["hosts"])]
    handles = []
    for hosts in there:
        place = list(HOSTS).index(hosts)
        colour, style = LINES[place]
        handles += axes[0].plot([], [], style, color=colour, marker=MARKERS[place], markersize=4)
    figure.legend(handles, there, loc="outside lower center", ncols=4, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def drawn_power(table: pd.DataFrame) -> Figure:
    """Share of models in which the marks are found, against their number; the dotted line is the level."""
    rows = usual(table)
    names = {
        (f"{words}, {training}" if rows["training"].nunique() > 1 else words, training): f"found_{knows}"
        for training in dict.fromkeys(rows["training"])
        for knows, words in KNOWS.items()
    }
    return lines(rows, names, "share of models found", SECOND.level) or waiting()


def drawn_contrasts(table: pd.DataFrame) -> Figure:
    """Mean contrast D of a mark, against how many there are."""
    rows = usual(table)
    names = {(training, training): "contrast" for training in dict.fromkeys(rows["training"])}
    return lines(rows, names, "D a mark (nats)", 0.0) or waiting()


def drawn_others(table: pd.DataFrame) -> Figure:
    """Share of models in which the marks are found, a row a cell, by what an auditor knows."""
    rows = others(table)
    labels = rows["setting"].where(
        rows["population"] == table["population"].iloc[0], rows["population"] + ", " + rows["setting"]
    )
    marks = {KNOWS["unknown"]: ("#56B4E9", "s", True), KNOWS["known"]: ("#D55E00", "o", True)}
    drawn = [rows_of(rows, f"found_{knows}", label=labels, kind=words) for knows, words in KNOWS.items()]
    return forest(pd.concat(drawn), x="share of models found", marks=marks, nothing=SECOND.level)


def printed(table: pd.DataFrame) -> pd.DataFrame:
    """`cells` as the book prints them."""
    rows = [
        {
            "population": row["population"],
            "marks": row["setting"],
            "models": row["n"],
            **{f"found, {words}": with_interval(row, end=f"found_{knows}") for knows, words in KNOWS.items()},
            **{
                f"at {100 * lots.STRICT:g} %, {words}": with_interval(row, end=f"strictly_{knows}")
                for knows, words in KNOWS.items()
            },
            **{f"in words, {words}": row[f"{knows}_told"] for knows, words in KNOWS.items()},
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_effects(table: pd.DataFrame) -> pd.DataFrame:
    """What a mark leaves and what the marks cost, a row a cell."""
    rows = [
        {
            "population": row["population"],
            "marks": row["setting"],
            "D a mark (nats)": with_interval(row, end="contrast", digits=3),
            "accuracy": with_interval(row, end="accuracy", digits=4),
            **{f"z, {words}": with_interval(row, end=f"z_{knows}", digits=1) for knows, words in KNOWS.items()},
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def false_alarms(populations: Mapping[str, Population], audits: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How often marks are found in models that were not trained with them.

    Columns: models, audits (how many), unknown and known with their ends: shares with intervals over seeds. Models of
    the first population alone.
    """
    asked: dict[str, list[pd.DataFrame]] = {}
    numbers = set()
    for name, table in audits.items():
        cell = cell_of(populations[name].protocol)
        if cell is not None and populations[name].trained_on == first(populations):
            where = "at places drawn" if cell.places == "drawn" else "at one place"
            asked.setdefault(f"trained with others' marks, {where}", []).append(table)
            numbers.add(cell.marks)
    for one in populations.values():
        if cell_of(one.protocol) is None and enough(one):
            asked[f"trained with {one.setting}"] = [lots.innocent(one, sorted(numbers))]
    return pd.DataFrame(
        [
            {"models": models, "audits": sum(map(len, tables))} | columns(lots.of_others(tables))
            for models, tables in asked.items()
        ]
    )


def first(populations: Mapping[str, Population]) -> str:
    """The images that most of the models are trained on, in words."""
    return next(iter(populations.values())).trained_on


def printed_false_alarms(table: pd.DataFrame) -> pd.DataFrame:
    """`false_alarms` as the book prints them."""
    rows = [
        {"models": row["models"], "audits": row["audits"]}
        | {f"found, {words}": with_interval(row, end=knows, digits=3) for knows, words in KNOWS.items()}
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def cost(populations: Mapping[str, Population], setting: str) -> str:
    """For the text: accuracy of models of a setting less that of models of the same seeds without marks, in points."""
    ours = [one for one in populations.values() if one.trained_on == first(populations) and enough(one)]
    named = {one.setting: one for one in ours}
    if setting not in named or NOTHING not in named:
        return "not recorded"
    marked, bare = (
        named[one].tables["models"].astype({"accuracy": float}).groupby("seed")["accuracy"].mean()
        for one in (setting, NOTHING)
    )
    points = 100 * (marked - bare).dropna().to_numpy()
    if len(points) < THRESHOLDS.fewest_seeds:
        return "not recorded"
    return with_interval(columns({"points": bootstrap_interval(points)}), end="points")


def of_setting(table: pd.DataFrame, setting: str, knows: str, *, what: str = "found") -> str:
    """For the text: the share of models of the first population in which the marks of a setting are found."""
    rows = table[(table["setting"] == setting) & (table["population"] == table["population"].iloc[0])]
    return with_interval(rows.iloc[0], end=f"{what}_{knows}") if len(rows) else "not recorded"


def told_of(table: pd.DataFrame, setting: str, knows: str) -> str:
    """For the text: the plan's word on a setting of the first population."""
    rows = table[(table["setting"] == setting) & (table["population"] == table["population"].iloc[0])]
    return str(rows[f"{knows}_told"].iloc[0]) if len(rows) else "not recorded"


def fitted(populations: Mapping[str, Population], setting: str) -> dict[str, str]:
    """For the text: shares of the hosts of a setting that are fitted, by what is stamped on them."""
    found = [one for one in populations.values() if (one.trained_on, one.setting) == (first(populations), setting)]
    shares = lots.fits(found[0]) if found else dict.fromkeys(("own", "none", "other"), nan)
    return {f"fitted_{what}": span([share]) for what, share in shares.items()}


def texts(table: pd.DataFrame, alarms: pd.DataFrame, populations: Mapping[str, Population]) -> dict[str, str]:
    """For the text, by the names that it has there."""
    found = {"images": "; ".join(dict.fromkeys(one.trained_on for one in populations.values()))}
    found["models"] = str(sum(len(one.entries) * one.protocol.n_models for one in populations.values()))
    setting = "10 marks on {} hosts".format
    named = {"one_mark": Cell(1, "mislabelled").setting}
    for hosts in ("mislabelled", "random"):
        named |= {hosts: setting(hosts), f"{hosts}_decay": f"{setting(hosts)}, {DECAY}"}
        found[f"cost_{hosts}"] = cost(populations, setting(hosts))
    for name, one in named.items():
        found |= {f"{name}_{knows}": of_setting(table, one, knows) for knows in KNOWS}
        found |= {f"told_{name}_{knows}": told_of(table, one, knows) for knows in KNOWS}
    strictly = of_setting(table, setting("mislabelled"), "unknown", what="strictly")
    found |= {"strictly": strictly, "strict": f"{100 * lots.STRICT:g}"} | fitted(populations, setting("mislabelled"))
    others = alarms.iloc[0].to_dict()
    return found | {f"false_{knows}": with_interval(others, end=knows, digits=3) for knows in KNOWS}
