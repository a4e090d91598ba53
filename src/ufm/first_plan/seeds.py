"""C5: how much the contrast of one host varies with the training seed, beside its noise."""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from functools import partial

import numpy as np
import pandas as pd

from ufm.evidence import Cards, clean_losses, contrasts, plain
from ufm.evidence.crossed import by_host_and_seed
from ufm.first_plan.claims import Claim, Outcome, Result
from ufm.plan import second
from ufm.plan.same_hosts import SAME_HOSTS
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import THRESHOLDS
from ufm.protocol import is_fixed
from ufm.statistics import variance

CLAIM = Claim(
    "C5",
    "Memorisation varies much with the training seed.",
    "seeds",
    "how far the effect of C1 on one image varies from seed to seed, as a share of its mean",
)


class Reading(StrEnum):
    """Of a spread over seeds as a share of the mean."""

    VARIES = "varies by more than a quarter"
    NOT_MORE = "not shown to vary by more than a quarter"


def result(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """C5, one set of seeds on the same hosts."""
    cards = crossed(populations)
    if cards is None:
        return None
    row = variance.relative_spread(by_host_and_seed(cards), noise(populations))
    table = pd.DataFrame([{"population": cards.trained_on, "verdict": reading(row)} | row])
    agree = int((table["verdict"] == Reading.VARIES).sum())
    asked = sum(sweep.setting == SAME_HOSTS for sweep in planned.values())
    return Result(table, partial(varies, table), agree, 1, asked, "of the mean", len(cards.seeds))


def varies(table: pd.DataFrame, p_corrected: float) -> Outcome:
    """C5's outcome from the spread over seeds as a share of the mean, and the claim's corrected p."""
    if (table["low"] > THRESHOLDS.smallest_share).all() and p_corrected < THRESHOLDS.level:
        return Outcome.HOLDS
    return Outcome.DOES_NOT_HOLD if (table["high"] < THRESHOLDS.smallest_share).all() else Outcome.UNDECIDED


def crossed(populations: Mapping[str, Cards]) -> Cards | None:
    """The population in which every seed trains on the same hosts; None where there is none."""
    every = (cards for cards in second.first_plan(populations).values() if all(map(is_fixed, cards.protocol.hosts)))
    return next(every, None)


def noise(populations: Mapping[str, Cards]) -> np.ndarray:
    """Contrasts (n,) on hosts that need no letter, one a seed: random hosts that clean models fit without it.

    Of the population beside the crossed one, on as many permutations.
    """
    same_hosts = crossed(populations)
    if same_hosts is None:
        return np.zeros(0)
    for cards in plain(populations).values():
        if cards.trained_on == same_hosts.trained_on:
            losses = clean_losses(cards)[:, cards.protocol.hosts.index("random")]
            as_many = replace(cards, n_permutations=same_hosts.n_permutations)
            return contrasts(as_many, "random")[losses < THRESHOLDS.needs_no_letter]
    return np.zeros(0)


def reading(spread: Mapping[str, float]) -> Reading:
    """Whether a relative spread is shown to be more than what matters."""
    return Reading.VARIES if spread["low"] > THRESHOLDS.smallest_share else Reading.NOT_MORE
