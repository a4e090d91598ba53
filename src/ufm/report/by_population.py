"""What was found of several populations, and its tables with a row or a column a population.

What is said of a row stands before its numbers, so that a phone shows both its name and the word.
"""

from collections.abc import Mapping

import pandas as pd

from ufm.report.texts import key, number, p_text, span, with_interval
from ufm.statistics import SUMMARY_COLUMNS

# By quantity and population: estimate, low, high, n, and what else a row has.
Quantities = Mapping[str, Mapping[str, Mapping[str, float]]]


def joined(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The populations' tables one below the other, with a first column `population`."""
    if not tables:
        return pd.DataFrame(columns=["population"])
    return pd.concat([table.assign(population=name) for name, table in tables.items()], ignore_index=True).pipe(
        lambda table: table[["population", *(column for column in table if column != "population")]]
    )


def summary(quantities: Quantities) -> pd.DataFrame:
    """A summary table: columns quantity (named "quantity; population"), estimate, low, high, n.

    Its index is the population of each row.
    """
    rows = [
        {"quantity": f"{quantity}; {population}"} | {name: row[name] for name in SUMMARY_COLUMNS[1:]}
        for quantity, populations in quantities.items()
        for population, row in populations.items()
    ]
    of = [population for populations in quantities.values() for population in populations]
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS), index=pd.Index(of, name="population"))


def ranges(quantities: Quantities, *, digits: int = 2) -> dict[str, str]:
    """For the text: each quantity's estimates over populations, see `span`."""
    return {
        key(quantity): span((row["estimate"] for row in populations.values()), digits=digits)
        for quantity, populations in quantities.items()
    }


def interval_of(row: Mapping[str, float], name: str) -> dict[str, float]:
    """The columns name, name_low and name_high as those of an interval, with n."""
    return {"estimate": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"], "n": row["n"]}


def wide(rows: Mapping[str, pd.DataFrame], by: str, *, digits: int = 2, end: str = "") -> pd.DataFrame:
    """A row a value of the column `by`, a column a population, estimates with intervals."""
    texts = {
        population: {row[by]: with_interval(row, digits=digits, end=end) for row in table.to_dict("records")}
        for population, table in rows.items()
    }
    names = dict.fromkeys(name for of in texts.values() for name in of)
    table = {by: list(names)} | {population: [of.get(name, "") for name in names] for population, of in texts.items()}
    return pd.DataFrame(table)


def contrasts(table: pd.DataFrame) -> pd.DataFrame:
    """C1's cells as the book prints them."""
    rows = [
        {
            "population": row["population"],
            "hosts": row["host"],
            "verdict": row["in_words"],
            "seeds": row["n"],
            "mean D, nats": with_interval(row, digits=3),
            "p": p_text(row["p_holm"]),
            "epoch 10": with_interval(row, digits=3, end="early"),
            "detectable": number(row["detectable"], 3),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def questions(table: pd.DataFrame, name: str = "") -> pd.DataFrame:
    """Rows of `ufm.evidence.questions.asked` as the book prints them: is it there, how large, can it be told.

    `name` heads the column of settings, where there is one. A row that lacks seeds says how many it has.
    """
    rows = []
    for row in table.to_dict("records"):
        whole = row["n"] >= row["needed"]
        numbers = {
            "mean D, nats": lambda row: with_interval(row, digits=3, end="contrast"),
            "p": lambda row: p_text(row["p_holm"]),
            "after one epoch": lambda row: number(row["first"], 3),
            "before training": lambda row: number(row["initial"], 2),
            "found": lambda row: with_interval(row, end="unknown_found"),
        }
        what = {"population": row["population"]} | ({name: row["setting"]} if name else {}) | {"hosts": row["host"]}
        what |= {"is it there?": row["there"], "can it be told?": row["unknown_told"]}
        what["seeds"] = row["n"] if whole else f"{row['n']} of {row['needed']}"
        rows.append(what | {column: say(row) if whole else "–" for column, say in numbers.items()})
    return pd.DataFrame(rows)


def by_way(cells: pd.DataFrame, name: str = "way", *, digits: int = 3) -> pd.DataFrame:
    """Cells of several settings as the book prints them; `name` heads the column of settings.

    Cells that decide nothing have no verdict, and then no p either.
    """
    rows = [
        {
            "population": row["population"],
            name: row["setting"],
            **({"verdict": row["in_words"]} if "verdict" in row else {}),
            "seeds": row["n"],
            "mean D, nats": with_interval(row, digits=digits),
            **({"p": p_text(row["p_holm"])} if "verdict" in row else {}),
            "epoch 10": with_interval(row, digits=digits, end="early"),
        }
        for row in cells.to_dict("records")
    ]
    return pd.DataFrame(rows)


def quality(table: pd.DataFrame, name: str = "way") -> pd.DataFrame:
    """`ufm.evidence.performance.quality` as the book prints it; `name` heads the column of settings."""
    rows = [
        {
            "population": row["population"],
            name: row["setting"],
            "accuracy": with_interval(row, digits=3, end="accuracy"),
            "best epoch": number(row["epoch"], 1),
            "learnt": with_interval(row, end="learnt"),
            "detector's area": with_interval(row, end="area"),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def settings(
    cells: pd.DataFrame, learnt: Mapping[str, Mapping[str, float]], moved: pd.DataFrame | None = None
) -> Quantities:
    """What a chapter of several settings found, by setting."""
    quantities: dict[str, dict] = {}
    for row in cells.to_dict("records"):
        title = f"{row['population']}, {row['setting']}"
        quantities.setdefault("contrast", {})[row["setting"]] = row
        quantities.setdefault("contrast at epoch 10", {})[row["setting"]] = interval_of(row, "early")
        quantities.setdefault("learnt", {})[row["setting"]] = learnt[title]
    for row in [] if moved is None else moved.to_dict("records"):
        quantities.setdefault(f"contrast, {row['place']}", {})[row["setting"]] = row
    return quantities
