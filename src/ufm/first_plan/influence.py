"""C4: how influential a host is with the letter and without, by how influential it is without."""

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from math import isnan, nan

import pandas as pd

from ufm.evidence import Cards, contrasts
from ufm.evidence.cells import corrected, remarked
from ufm.evidence.influential import groups, ranks
from ufm.first_plan.claims import Claim, Outcome, Result, n_seeds
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import THRESHOLDS
from ufm.statistics import bootstrap_interval, sign_flip_test

MOST = "most influential hosts"  # they have no room to rise
CLAIM = Claim(
    "C4",
    "An image with a unique feature is highly influential.",
    "influence",
    "what share of the other training images it rises above in influence, once it has the letter",
)


class Verdict(StrEnum):
    """The plan's, on a group of hosts."""

    AGREES = "agrees"
    RAISED = "raised"  # but not highly influential
    NOT_RAISED = "not raised"
    UNDECIDED = "undecided"
    OPEN = "seeds pending"


def result(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """C4, a group a kind of host; its effect and p are of the groups that have room to rise."""
    by_group = groups(populations)
    if not by_group:
        return None
    table = cells(by_group)
    judged, agree = table[table["setting"] != MOST], int((table["verdict"] == Verdict.AGREES).sum())
    asked, n = len(groups(planned)), n_seeds(by_group.values())
    return Result(judged, partial(influential, table), agree, len(table), asked, "of the ranks", n, table)


def influential(groups: pd.DataFrame, p_corrected: float) -> Outcome:
    """C4's outcome from its groups of hosts and the claim's corrected p."""
    verdict = groups.set_index("setting")["verdict"]
    if (verdict == Verdict.AGREES).all() and p_corrected < THRESHOLDS.level:
        return Outcome.HOLDS
    rest = verdict.drop(MOST, errors="ignore")
    if rest.isin([Verdict.AGREES, Verdict.RAISED]).any():
        return Outcome.IN_PART
    return Outcome.DOES_NOT_HOLD if len(rest) and (rest == Verdict.NOT_RAISED).all() else Outcome.UNDECIDED


def cells(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """C4, a row a group of hosts.

    Columns: population, setting, n (seeds), estimate, low, high (rank share with the letter less without, canary less
    control), p (sign flips), p_holm (over the rows), without and with_letter (mean rank shares in control and canary)
    and with_placebo, and beyond_placebo, the letter's less the placebo's, each with its low and high end, contrast,
    contrast_low, contrast_high (mean D, nats), verdict, in_words (the verdict with a remark where the rise is smaller
    than what matters). A group that lacks seeds has no p and is open.
    """
    rows = []
    for cards in groups(populations).values():
        shares, [host] = ranks(cards), cards.protocol.hosts
        rise = shares["canary"] - shares["control"]
        row = {"population": cards.trained_on, "setting": cards.setting} | asdict(bootstrap_interval(rise))
        row |= {"p": sign_flip_test(rise) if cards.complete else nan, "p_holm": nan}
        values = {"without": shares["control"], "with_letter": shares["canary"], "with_placebo": shares["placebo"]}
        values |= {"beyond_placebo": shares["canary"] - shares["placebo"]}
        for name, ones in (values | {"contrast": contrasts(cards, host)}).items():
            mean = bootstrap_interval(ones)
            row |= {name: mean.estimate, f"{name}_low": mean.low, f"{name}_high": mean.high}
        rows.append(row)
    table = pd.DataFrame(rows)
    table["p_holm"] = corrected(table["p"])
    table["verdict"] = [Verdict.OPEN if isnan(row["p"]) else group_verdict(row) for row in table.to_dict("records")]
    slight = (table["verdict"] == Verdict.RAISED) & (table["high"] < THRESHOLDS.smallest_rise)
    table["in_words"] = remarked(table["verdict"], slight)
    return table


def group_verdict(row: Mapping[str, float]) -> Verdict:
    """Agrees, raised, not raised, or undecided, as the plan has it."""
    raised = row["p_holm"] < THRESHOLDS.level and row["estimate"] > 0
    if row["with_letter"] >= THRESHOLDS.highly_influential and (raised or row["setting"] == MOST):
        return Verdict.AGREES
    if raised:
        return Verdict.RAISED
    return Verdict.NOT_RAISED if row["high"] < THRESHOLDS.smallest_rise else Verdict.UNDECIDED
