"""Cells: the contrast of a population on one kind of host, and the plan's verdict on it."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from enum import StrEnum
from functools import lru_cache
from math import isnan, nan

import pandas as pd

from ufm.evidence.cards import Cards
from ufm.evidence.effects import contrasts, moved_contrasts
from ufm.plan.thresholds import THRESHOLDS
from ufm.statistics import bootstrap_interval, holm, sign_flip_test, smallest_detectable

SLIGHT = "by less than matters"  # the plan's remark on an effect that is there
WHAT = ("population", "setting", "host")
NUMBERS = ("estimate", "low", "high", "n", "p", "p_holm", "early", "early_low", "early_high", "detectable")


class Verdict(StrEnum):
    """The plan's, on a cell."""

    MEMORISED = "memorised"
    NOT_MEMORISED = "not memorised"
    UNDECIDED = "undecided"
    CONTRADICTED = "contradicted"  # by epoch 10
    OPEN = "seeds pending"


def contrast_cells(populations: Mapping[str, Cards], hosts: Collection[str] | None = None) -> pd.DataFrame:
    """A row a population and kind of host, or one of these hosts.

    Columns: population (data set and size), setting (what sets it apart), host, n (seeds), estimate, low, high (mean
    contrast D at the best epoch, nats), p (sign flips), p_holm (over the rows), early, early_low, early_high (at epoch
    10), detectable (the smallest mean that so many seeds show with a power of 80 %), verdict, in_words (the verdict
    with the plan's remark). A population that lacks seeds has no p and is open: it is looked at when it is complete.
    """
    rows = [contrast_cell(cards, host) for cards in populations.values() for host in hosts or cards.protocol.hosts]
    table = pd.DataFrame(rows, columns=[*WHAT, *NUMBERS])
    table["p_holm"] = corrected(table["p"])
    table["verdict"] = [cell_verdict(row) if not isnan(row["p"]) else Verdict.OPEN for row in table.to_dict("records")]
    slight = (table["verdict"] == Verdict.MEMORISED) & (table["high"] < THRESHOLDS.smallest_contrast)
    table["in_words"] = remarked(table["verdict"], slight)
    return table


def remarked(verdicts: pd.Series, slight: pd.Series) -> list[str]:
    """The verdicts in words, with a remark where the effect is slight: its interval lies below what matters."""
    return [f"{verdict}, {SLIGHT}" if small else verdict for verdict, small in zip(verdicts, slight, strict=True)]


@lru_cache(maxsize=64)  # a chapter's table, figure and verdict ask for the same cells
def contrast_cell(cards: Cards, host: str) -> Mapping[str, object]:
    """A row of `contrast_cells`, not yet corrected for the others."""
    best, early = contrasts(cards, host), contrasts(cards, host, epoch="early")
    at_ten, spread = bootstrap_interval(early), float(best.std(ddof=1))
    return (
        {"population": cards.trained_on, "setting": cards.setting, "host": host}
        | asdict(bootstrap_interval(best))
        | {"p": sign_flip_test(best) if cards.complete else nan, "p_holm": nan}
        | {"early": at_ten.estimate, "early_low": at_ten.low, "early_high": at_ten.high}
        | {"detectable": smallest_detectable(spread, len(best))}
    )


def deciding(populations: Mapping[str, Cards]) -> dict[str, Cards]:
    """The populations that the plan asks for."""
    return {name: cards for name, cards in populations.items() if cards.needed}


def exploratory(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """`contrast_cells` of the others, without tests: they decide nothing."""
    others = {name: cards for name, cards in populations.items() if not cards.needed}
    return contrast_cells(others).drop(columns=["p", "p_holm", "verdict", "in_words"])


def corrected(p: pd.Series, *, planned: bool = False) -> pd.Series:
    """p-values after Holm over those that are there; NaN, of a cell that lacks seeds, stays.

    With `planned` over all of them: one that is not there counts as 1, so that no word changes when it comes.
    """
    if planned:
        return pd.Series(holm(p.fillna(1.0)) if len(p) else [], p.index, dtype=float).where(p.notna())
    known = p.dropna()
    return pd.Series(holm(known) if len(known) else [], known.index, dtype=float).reindex(p.index)


def cell_verdict(row: Mapping[str, float]) -> Verdict:
    """Memorised, not memorised, undecided, or contradicted by epoch 10, as the plan has it."""
    if row["low"] > 0 > row["early_high"] or row["high"] < 0 < row["early_low"]:
        return Verdict.CONTRADICTED
    if row["p_holm"] < THRESHOLDS.level and row["estimate"] > 0:
        return Verdict.MEMORISED
    return Verdict.NOT_MEMORISED if row["high"] < THRESHOLDS.smallest_contrast else Verdict.UNDECIDED


def points(populations: Mapping[str, Cards], host: str) -> dict[str, pd.DataFrame]:
    """Each seed's contrast by data set and size: columns seed, setting, contrast."""
    found: dict[str, list[pd.DataFrame]] = {}
    for cards in populations.values():
        rows = {"seed": cards.seeds, "setting": cards.setting, "contrast": contrasts(cards, host)}
        found.setdefault(cards.trained_on, []).append(pd.DataFrame(rows))
    return {title: pd.concat(tables, ignore_index=True) for title, tables in found.items()}


def means(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells with the columns contrast, contrast_low and contrast_high, as figures by setting take them."""
    named = {"estimate": "contrast", "low": "contrast_low", "high": "contrast_high"}
    return cells.rename(columns=named)[["population", "setting", *named.values()]]


def moved(populations: Mapping[str, Cards], host: str) -> pd.DataFrame:
    """Mean contrast with the features elsewhere than in training: columns setting, place, estimate, low, high, n."""
    rows = [
        {"setting": cards.setting, "place": place} | asdict(bootstrap_interval(values))
        for cards in populations.values()
        for place, values in moved_contrasts(cards, host).items()
    ]
    return pd.DataFrame(rows)
