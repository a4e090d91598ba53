"""C3: what prevents overfitting, beside models of the same seeds and hosts without it.

A *way* is a method against overfitting. Early stopping is one too: its models are the plain ones, and what they are
compared with is the same models trained to the end.
"""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from ufm.evidence import Cards, ways
from ufm.plan import second
from ufm.plan.sweep import Sweep
from ufm.report.figures import HOST_MARKS, forest, rows_of
from ufm.report.texts import p_text, with_interval


def asked(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """The three questions of C3's rows, see `ufm.evidence.ways.questions`."""
    return ways.questions(populations, second.families(planned).get("C3", []))


def became(populations: Mapping[str, Cards], questions: pd.DataFrame) -> pd.DataFrame:
    """What became of each usual way, see `ufm.evidence.ways.ways`."""
    return ways.ways(populations, questions, second.COMPARED)


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


def drawn_first_plan(cells: pd.DataFrame, *, smallest: float) -> Figure:
    """The first plan's mean D by way, at the best epoch and, hollow, at epoch 10, a panel a population."""
    colour, marker, _ = HOST_MARKS["hard"]
    marks = {"best epoch": (colour, marker, True), "epoch 10": (colour, marker, False)}
    rows = [
        rows_of(cells, name, panel=cells["population"], label=cells["setting"], kind=age)
        for name, age in (("", "best epoch"), ("early", "epoch 10"))
    ]
    return forest(pd.concat(rows), x="mean D (nats)", marks=marks, lines=(smallest,))
