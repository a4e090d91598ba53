"""How influential a host is with the letter and without, by how influential it is without.

A *rank share* is the share of the other training images with less self-influence, as an influence card has it
of the host that each model was trained on: plain in the control, with the letter in the canary.
"""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import pandas as pd

from ufm.evidence import Cards
from ufm.plan.influence import BY_INFLUENCE
from ufm.plan.sweep import Sweep
from ufm.statistics import bootstrap_interval, columns
from ufm.study.runs import Population

Kept = TypeVar("Kept", Cards, Population, Sweep)


def groups(populations: Mapping[str, Kept]) -> dict[str, Kept]:
    """The populations, or their sweeps, whose hosts were chosen by their influence, in the plan's order."""
    return {name: cards for name, cards in populations.items() if cards.setting in BY_INFLUENCE}


def ranks(cards: Cards) -> dict[str, np.ndarray]:
    """Rank share (n_seeds,) of each seed's host in its control, canary and placebo, by role."""
    [host] = cards.protocol.hosts
    places = {role: cards.model(role, host) for role in ("control", "canary", "placebo")}
    return {role: cards.arrays["influence_rank"][:, place, 0].astype(float) for role, place in places.items()}


def ranks_and_ratios(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """What the second plan asks of C4: by how much letter and placebo raise a host's rank, and its self-influence.

    A row a group with all its seeds. Columns: population, setting, n; rise and placebo_rise (mean rank share less the
    control's), ratio and placebo_ratio (geometric mean of self-influence over the control's), each with its low and
    high end.
    """
    rows = []
    for cards in groups(populations).values():
        if not cards.complete:
            continue
        shares, [host] = ranks(cards), cards.protocol.hosts
        own = np.log(cards.arrays["influence_host"][:, :, 0].astype(float))
        row = {"population": cards.trained_on, "setting": cards.setting, "n": len(cards.seeds)}
        for name, role in (("", "canary"), ("placebo_", "placebo")):
            row |= columns({f"{name}rise": bootstrap_interval(shares[role] - shares["control"])})
            more = own[:, cards.model(role, host)] - own[:, cards.model("control")]
            ratio = columns({f"{name}ratio": bootstrap_interval(more)})
            row |= {end: float(np.exp(value)) for end, value in ratio.items()}
        rows.append(row)
    return pd.DataFrame(rows)
