"""Whether a letter is legible in what is computed from a gradient, cell by cell (book/fourth-plan.md)."""

from enum import StrEnum

import pandas as pd

from ufm.plan.gradients import Gradients
from ufm.plan.thresholds import SECOND
from ufm.statistics import bootstrap_interval, columns, share_interval

CELL = ["size", "batch", "units"]


class Legible(StrEnum):
    """Is the letter legible?"""

    LEGIBLE = "legible"
    AT_TIMES = "legible at times"
    NOT = "not shown to be legible"


def cells(table: pd.DataFrame, plan: Gradients) -> pd.DataFrame:
    """A row a size, batch and width, of the rows of `ufm.study.gradients.finish`, with the plan's word.

    Columns: size, batch, units, n (seeds); letter and mark, shares of seeds in which what was stamped ranks first;
    letter_alone and mark_alone, the same of controls, on which nothing was stamped; read and read_alone, shares in
    which the letter is the nearest of the 26, in canaries and in controls; cosine, a mean of canaries; each with its
    95 % interval; verdict.
    """
    rows = []
    for cell, ours in table.groupby(CELL, sort=False) if len(table) else []:
        of = {role: some.sort_values("seed") for role, some in ours.groupby("role")}
        first = {
            "letter": of["canary"]["letter_rank"] == 1,
            "mark": of["placebo"]["mark_rank"] == 1,
            "letter_alone": of["control"]["letter_rank"] == 1,
            "mark_alone": of["control"]["mark_rank"] == 1,
            "read": of["canary"]["letter_read"] == plan.feature,
            "read_alone": of["control"]["letter_read"] == plan.feature,
        }
        found = {name: share_interval(values.to_numpy()) for name, values in first.items()}
        found["cosine"] = bootstrap_interval(of["canary"]["cosine"].to_numpy())
        words = [word(first[name], plan) for name in ("letter", "mark")]
        verdict = max(words, key=list(Legible).index)
        rows.append(
            dict(zip(CELL, cell, strict=True)) | {"n": found["letter"].n} | columns(found) | {"verdict": verdict}
        )
    return pd.DataFrame(rows)


def word(first: pd.Series, plan: Gradients) -> Legible:
    """The word on the seeds (n_seeds,) in which what was stamped ranks first, or does not."""
    low = share_interval(first.to_numpy(), confidence=plan.confidence).low
    if low > SECOND.mostly:
        return Legible.LEGIBLE
    return Legible.AT_TIMES if low > plan.chance else Legible.NOT
