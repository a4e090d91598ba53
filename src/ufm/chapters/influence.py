"""C4: how influential a host is with the letter and without, by how influential it is without.

A *rank share* is the share of the other training images with less self-influence, as an influence card has it
of the host that each model was trained on: plain in the control, with the letter in the canary.
"""

from collections.abc import Mapping
from dataclasses import asdict
from math import isnan, nan
from typing import TypeVar

import numpy as np
import pandas as pd

from ufm.evidence import Cards, contrasts
from ufm.evidence.cells import OPEN, UNDECIDED, corrected, remarked
from ufm.plan.influence import BY_INFLUENCE
from ufm.plan.thresholds import THRESHOLDS
from ufm.statistics import bootstrap_interval, sign_flip_test

T = TypeVar("T")
MOST = "most influential hosts"  # they have no room to rise
AGREES, RAISED, NOT_RAISED = "agrees", "raised", "not raised"


def groups(populations: Mapping[str, T]) -> dict[str, T]:
    """The populations, or their sweeps, whose hosts were chosen by their influence, in the plan's order."""
    return {name: cards for name, cards in populations.items() if cards.setting in BY_INFLUENCE}


def ranks(cards: Cards) -> dict[str, np.ndarray]:
    """Rank share (n_seeds,) of each seed's host in its control, canary and placebo, by role."""
    [host] = cards.protocol.hosts
    places = {role: cards.model(role, host) for role in ("control", "canary", "placebo")}
    return {role: cards.arrays["influence_rank"][:, place, 0].astype(float) for role, place in places.items()}


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
    table["verdict"] = [OPEN if isnan(row["p"]) else group_verdict(row) for row in table.to_dict("records")]
    slight = (table["verdict"] == RAISED) & (table["high"] < THRESHOLDS.smallest_rise)
    table["in_words"] = remarked(table["verdict"], slight)
    return table


def group_verdict(row: Mapping[str, float]) -> str:
    """Agrees, raised (but not highly influential), not raised, or undecided, as the plan has it."""
    raised = row["p_holm"] < THRESHOLDS.level and row["estimate"] > 0
    if row["with_letter"] >= THRESHOLDS.highly_influential and (raised or row["setting"] == MOST):
        return AGREES
    if raised:
        return RAISED
    return NOT_RAISED if row["high"] < THRESHOLDS.smallest_rise else UNDECIDED


def all_slight(table: pd.DataFrame) -> str:
    """Whether every rise that has room lies below what matters, the plan's rule for *does not hold*; in words."""
    rest = table[table["setting"] != MOST]
    return "met too" if len(rest) and (rest["high"] < THRESHOLDS.smallest_rise).all() else "not met"


def by_seed(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """Each model's rank share: columns setting, seed, role, rank."""
    tables = [
        pd.DataFrame({"setting": cards.setting, "seed": cards.seeds, "role": role, "rank": values})
        for cards in groups(populations).values()
        for role, values in ranks(cards).items()
    ]
    return pd.concat(tables, ignore_index=True)
