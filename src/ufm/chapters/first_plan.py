"""The verdict of the first plan on each claim, as its page (book/plan.md) decides it."""

from collections.abc import Mapping
from math import isnan

import pandas as pd

from ufm.evidence import Cards
from ufm.first_plan import verdicts
from ufm.report.texts import REHEARSED, number, p_text, with_interval, worded
from ufm.statistics import SUMMARY_COLUMNS


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """The claims' effects as a summary table, each with the seeds of the cell that it is of."""
    named = table.drop(columns="n").rename(columns={"claim": "quantity", "effect": "estimate", "n_weakest": "n"})
    return named[list(SUMMARY_COLUMNS)]


def rehearsed(table: pd.DataFrame, profile: str) -> pd.DataFrame:
    """The verdicts as a profile's pages say them: the embedded one says no word of the paper's claims."""
    said = worded(table, profile)
    return said if profile != "embedded" else said.assign(holds_in="", where="")


def printed(table: pd.DataFrame) -> pd.DataFrame:
    """The verdicts as the book and the README print them."""
    rows = [
        {
            "": row["claim"],
            "claim": row["statement"],
            "verdict": row["verdict"],
            "holds in": row["holds_in"] or "–",
            "effect where it is weakest": effect(row),
            "that is": "–" if isnan(row["effect"]) else f"{row['weakest']}: {row['n_weakest']} seeds",
            "p": p_text(row["p"]),
            "seeds of all cells": row["n"] or "–",
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def as_in_the_paper(populations: Mapping[str, Cards], profile: str) -> str:
    """For the text: what came out of C1's cells in the paper's setting; on the embedded profile, nothing."""
    return REHEARSED if profile == "embedded" else verdicts.as_in_the_paper(populations)


def printed_in_words(table: pd.DataFrame) -> pd.DataFrame:
    """What the effect of each claim is and which cells came out how."""
    rows = [
        {"": row["claim"], "the effect is": row["about"], "what came out": row["where"] or row["verdict"]}
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def effect(row: Mapping[str, float]) -> str:
    """A claim's effect as text, with its unit."""
    if isnan(row["effect"]):
        return "–"
    text = with_interval({**row, "estimate": row["effect"]}, digits=3)
    return f"area {text}" if row["unit"] == "area" else f"{text} {row['unit']}"


def printed_sets(sets: pd.DataFrame) -> pd.DataFrame:
    """C2's sets as the book prints them."""
    rows = [
        {
            "population": row["population"],
            "seeds": row["n_seeds"],
            "learnt canaries": row["n"],
            "area": with_interval(row),
            "p": p_text(row["p"]),
        }
        for row in sets.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_areas(on_hard: Mapping[str, pd.DataFrame], on_random: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """C2's areas of the detectors that the plan names, a row a population and detector.

    For canaries on hard hosts that learnt the letter, against controls and placebos, against each alone, for all
    canaries, and for all on random hosts.
    """
    rows = []
    for population, table in on_hard.items():
        random = on_random[population].set_index("detector")
        for row in table.to_dict("records"):
            rows.append(
                {
                    "population": population,
                    "detector": row["detector"],
                    "hard, learnt": with_interval(row),
                    "controls alone": cell(row["controls"]),
                    "placebos alone": cell(row["placebos"]),
                    "hard, all": with_interval(row, end="all"),
                    "random, all": with_interval(random.loc[row["detector"]], end="all"),
                }
            )
    return pd.DataFrame(rows)


def printed_thresholds(table: pd.DataFrame) -> pd.DataFrame:
    """`ufm.evidence.performance.thresholds` as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "innocent, flagged": with_interval(row),
            "learnt canaries, found": cell(row["found"]),
            "of": row["n_learnt"],
            "innocent, set on the first": with_interval(row, end="carried"),
            "found, set on the first": cell(row["carried_found"]),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def cell(value: float) -> str:
    """A number of a table; a dash where there is none."""
    return "–" if isnan(value) else number(value, 2)
