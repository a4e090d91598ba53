"""Ensembles of models that were trained alike but for their seed, from cards of seeds on the same hosts.

An ensemble answers with the mean of its members' log-probabilities. So what a feature moves its outputs by is the mean
of what it moves each member's by, and its D is the mean of theirs, whatever the members are.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ufm.evidence.cards import Cards, Lazy, on_seeds
from ufm.evidence.detectors import LABEL_KNOWN, NAMED
from ufm.evidence.effects import contrasts
from ufm.evidence.questions import CANARY, CONTROL, PLACEBO, letter_effects, met
from ufm.evidence.regimes import d_prime
from ufm.statistics import bootstrap_interval, columns
from ufm.statistics.roc import auc_interval

# Of the detectors such as an ensemble's shifts say all that they ask.
DETECTORS = {"unknown": NAMED["class, mix"], "known": LABEL_KNOWN}


def averaged(cards: Cards, size: int) -> Cards:
    """The cards of ensembles of so many seeds, one after the other; seeds that are left over belong to none.

    They hold shifts alone. An ensemble is called as the first of its seeds. Raises ValueError: more than there are.
    """
    n = len(cards.seeds) // size
    if not n:
        raise ValueError(f"size: {len(cards.seeds)} seeds make no ensemble of {size}")
    shifts = [name for name in cards.arrays if name.endswith("_shift")]
    first = on_seeds(cards, cards.seeds[: n * size : size])
    return replace(first, arrays=Lazy(shifts, lambda name: members(cards.arrays[name], size).mean(1)))


def members(values: np.ndarray, size: int) -> np.ndarray:
    """values (n_seeds, …) by ensemble, (n, size, …)."""
    n = len(values) // size
    return values[: n * size].reshape(n, size, *values.shape[1:])


def told(cards: Cards, sizes: Sequence[int]) -> pd.DataFrame:
    """What an auditor tells of ensembles, a row a size, of seeds on the same hosts.

    Columns: size, n (ensembles a host), contrast (mean D at the control's best epoch, nats), those of
    `ufm.evidence.regimes.d_prime` over hosts and ensembles, and for each of `DETECTORS` the area of canaries against
    placebo models, unknown, unknown_low, unknown_high and so on, and that of placebo models against controls, which
    never saw the letter either, innocent_unknown and so on. Intervals are over hosts.
    """
    rows = []
    for size in sizes:
        one, hosts = averaged(cards, size), cards.protocol.hosts
        means = np.array([contrasts(one, host, epoch="control").mean() for host in hosts])
        row: dict[str, float] = {"size": size, "n": len(one.seeds)} | columns({"contrast": bootstrap_interval(means)})
        row |= d_prime(np.concatenate([letter_effects(one, host) for host in hosts]))
        for knows, detector in DETECTORS.items():
            scores = np.stack([met(one, host, detector) for host in hosts])
            for name, two in ((knows, (CANARY, PLACEBO)), (f"innocent_{knows}", (PLACEBO, CONTROL))):
                pairs = scores[..., two]
                positive = np.broadcast_to([True, False], pairs.shape)
                of_host = np.broadcast_to(np.arange(len(hosts))[:, None, None], pairs.shape)
                row |= columns({name: auc_interval(pairs.ravel(), positive.ravel(), of_host.ravel())})
        rows.append(row)
    return pd.DataFrame(rows)
