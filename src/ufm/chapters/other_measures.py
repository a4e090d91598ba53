"""Do other measures of memorisation agree with the contrast D, and do they spare models that never saw the letter?"""

from collections.abc import Mapping
from enum import StrEnum
from math import isnan

import pandas as pd
from matplotlib.figure import Figure

from ufm.evidence.questions import ends
from ufm.plan.thresholds import OTHERS
from ufm.report.figures import Mark, forest, rows_of
from ufm.report.texts import REHEARSED, counted, key, number, span, with_interval

MARKS: tuple[Mark, ...] = (  # of populations
    ("#D55E00", "o", True),
    ("#0072B2", "s", False),
    ("#009E73", "^", True),
    ("#000000", "D", False),
)


class Word(StrEnum):
    """Does a measure agree with D?"""

    NONE = "no word"
    AGREES = "agrees"
    SHARED = "agrees, perhaps by shared noise"
    NOT = "does not agree"
    UNDECIDED = "undecided"


def word(row: Mapping[str, float]) -> Word:
    """The plan's word on a row of `ufm.evidence.others.cells`."""
    (_, halves_low, _), (_, half_low, _) = ends(row, "halves"), ends(row, "placebo_half")
    correlation, low, high = ends(row, "correlation")
    if isnan(correlation) or not halves_low > 0:
        return Word.NONE
    if low > OTHERS.agrees:
        return Word.AGREES if half_low > 0 else Word.SHARED
    return Word.NOT if high < OTHERS.agrees else Word.UNDECIDED


def with_words(table: pd.DataFrame) -> pd.DataFrame:
    """`ufm.evidence.others.cells` with a column `verdict`."""
    return table.assign(verdict=[word(row) for row in table.to_dict("records")])


def quantities(table: pd.DataFrame) -> dict[str, list[float]]:
    """For the text, by quantity: values over populations, of each kind of host."""
    found: dict[str, list[float]] = {}
    for row in table.to_dict("records"):
        for what in ("correlation", "placebo_half", "innocent", "area", "found", "false_controls", "false_placebos"):
            found.setdefault(key(f"{what} {row['measure']} {row['host']}"), []).append(row[what])
        found.setdefault(key(f"halves {row['host']}"), []).append(row["halves"])
    return found


def texts(table: pd.DataFrame) -> dict[str, str]:
    """For the text: `quantities` over populations, how often each word is said, and of which measures *agrees* is."""
    said = {name: span(values) for name, values in quantities(table).items()}
    for host, rows in table.groupby("host", sort=False):
        said[f"words_{host}"] = counted(rows["verdict"])
    agrees = (table["verdict"] == Word.AGREES).groupby(table["measure"], sort=False)
    rehearsed = (table["verdict"] == REHEARSED).any()
    for name, whether in (("everywhere", agrees.all()), ("nowhere", ~agrees.any())):
        said[name] = REHEARSED if rehearsed else "; ".join(whether.index[whether]) or "none"
    return said


def innocent_texts(table: pd.DataFrame) -> dict[str, int]:
    """For the text, of `ufm.evidence.others.innocent_cells`: rows, how many agree, and how many would by D alone."""
    words = with_words(table)["verdict"]
    alone = (table["correlation_low"] > OTHERS.agrees).sum()
    return {"innocent_rows": len(table), "innocent_agree": int((words == Word.AGREES).sum()), "alone": int(alone)}


def drawn_correlations(table: pd.DataFrame) -> Figure:
    """Rank correlation of each measure's paired excess with D, a panel a kind of host, a mark a population."""
    panel = table["host"] + " hosts"
    rows = rows_of(table, "correlation", label=table["measure"], kind=table["population"], panel=panel)
    marks = dict(zip(dict.fromkeys(table["population"]), MARKS, strict=False))
    figure = forest(rows, x="rank correlation with D", marks=marks, lines=(OTHERS.agrees,))
    for axis in figure.axes:
        axis.set_xticks([0, 0.5])  # more would run into each other
    return figure


def printed_words(table: pd.DataFrame) -> pd.DataFrame:
    """The words, a row a measure, a column a population and kind of host."""
    cells = table["population"] + ", " + table["host"]
    wide = table.assign(cell=cells).pivot(index="measure", columns="cell", values="verdict")
    ordered = wide.reindex(index=table["measure"].unique(), columns=cells.unique())
    return ordered.rename_axis(columns=None).reset_index()


def printed_agreement(table: pd.DataFrame) -> pd.DataFrame:
    """How far measures and D go together, as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "hosts": row["host"],
            "measure": row["measure"],
            "agrees?": row["verdict"],
            "seeds": row["n"],
            "with D": with_interval(row, end="correlation"),
            "with the placebo half": with_interval(row, end="placebo_half"),
            "innocent models": number(row["innocent"], 2),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_detection(table: pd.DataFrame) -> pd.DataFrame:
    """What measures tell of single models, as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "hosts": row["host"],
            "measure": row["measure"],
            "knows also": row["knows"] or "–",
            "area": with_interval(row, end="area"),
            "controls": number(row["against_controls"], 2),
            "placebo models": number(row["against_placebos"], 2),
            "canaries called": number(row["found"], 2),
            "controls called": with_interval(row, end="false_controls"),
            "placebo models called": with_interval(row, end="false_placebos"),
            "promised": number(row["nominal"], 2),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)
