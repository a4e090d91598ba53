"""Every seed on the same hosts: how much the contrast of one host varies with the training seed."""

from collections.abc import Mapping
from enum import StrEnum
from math import nan
from typing import Any

import numpy as np

from ufm.evidence import Cards, contrasts
from ufm.plan import second
from ufm.plan.thresholds import THRESHOLDS
from ufm.statistics import variance


class Varies(StrEnum):
    """The second plan's, on the spread over seeds of one host as a share of the mean."""

    MORE = "by more than a quarter"
    LESS = "by less than a quarter"
    UNDECIDED = "undecided"
    OPEN = "waits for seeds"


def by_host_and_seed(cards: Cards, epoch: str = "best") -> np.ndarray:
    """Contrast (n_seeds, n_hosts) in nats."""
    return np.stack([contrasts(cards, host, epoch=epoch) for host in cards.protocol.hosts], axis=1)


def twice(populations: Mapping[str, Cards]) -> tuple[Cards, ...]:
    """The second plan's populations on the same hosts, one a rounding; fewer than two where one is not there."""
    return tuple(cards for cards in populations.values() if second.regime(cards.sweep) in second.ROUNDINGS)


def spread(populations: Mapping[str, Cards], *, hosts_vary: bool = False) -> dict[str, Any]:
    """C5 of the second plan: estimate, low, high, p and n of `variance.spread_of_seeds`, and its word as `varies`.

    As `population` the name of both, "" where neither is there. D at the control's best epoch, each seed trained
    twice. It is open, all numbers but n NaN, until both have all their seeds.

    Raises ValueError: the two are not of the same seeds.
    """
    both = twice(populations)
    population = both[0].trained_on if both else ""
    if len(both) < 2 or not all(cards.complete for cards in both):
        n = min((len(cards.seeds) for cards in both), default=0) if len(both) == 2 else 0
        nothing = {"estimate": nan, "low": nan, "high": nan, "p": nan, "n": n}
        return {"population": population} | nothing | {"varies": Varies.OPEN}
    if not np.array_equal(both[0].seeds, both[1].seeds):
        raise ValueError("seeds under one rounding are not those under the other")
    values = np.stack([by_host_and_seed(cards, "control") for cards in both])
    row = variance.spread_of_seeds(values, smallest=THRESHOLDS.smallest_share, hosts_vary=hosts_vary)
    return {"population": population} | row | {"varies": how_much(row)}


def how_much(row: Mapping[str, float]) -> Varies:
    """The word for a spread: where its interval lies about a quarter."""
    if row["low"] > THRESHOLDS.smallest_share:
        return Varies.MORE
    return Varies.LESS if row["high"] < THRESHOLDS.smallest_share else Varies.UNDECIDED
