"""C5: how much the contrast of one host varies with the training seed, beside its noise and the spread between hosts.

The design is crossed: every seed trains on every host. With deterministic training there is one contrast a host and
seed, so what varies over seeds for one host is the seed's own part, its part together with the host, and noise.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from ufm.evidence import Cards, clean_losses, contrasts, plain
from ufm.plan.thresholds import THRESHOLDS
from ufm.statistics import bootstrap_interval

VARIES, NOT_MORE = "varies by more than a quarter", "not shown to vary by more than a quarter"


def crossed(populations: Mapping[str, Cards]) -> Cards | None:
    """The population in which every seed trains on the same hosts; None where there is none."""
    every = (cards for cards in populations.values() if all(host.isdecimal() for host in cards.protocol.hosts))
    return next(every, None)


def by_host_and_seed(cards: Cards) -> np.ndarray:
    """Contrast (n_seeds, n_hosts) in nats."""
    return np.stack([contrasts(cards, host) for host in cards.protocol.hosts], axis=1)


def noise(populations: Mapping[str, Cards]) -> np.ndarray:
    """Contrasts (n,) on hosts that need no letter, one a seed: random hosts that clean models fit without it.

    Of the population beside the crossed one, on as many permutations.
    """
    ours = crossed(populations)
    for cards in plain(populations).values() if ours is not None else ():
        if cards.trained_on == ours.trained_on:
            losses = clean_losses(cards)[:, cards.protocol.hosts.index("random")]
            as_many = replace(cards, n_permutations=ours.n_permutations)
            return contrasts(as_many, "random")[losses < THRESHOLDS.needs_no_letter]
    return np.zeros(0)


def points(cards: Cards) -> dict[str, pd.DataFrame]:
    """Each seed's contrast by host, by the population's title: columns seed, setting (image and label), contrast."""
    values, names = by_host_and_seed(cards), names_of_hosts(cards)
    rows = {"seed": np.repeat(cards.seeds, len(names)), "setting": names * len(cards.seeds), "contrast": values.ravel()}
    return {
        cards.trained_on: pd.DataFrame(rows).sort_values("setting", key=lambda one: one.map(names.index), kind="stable")
    }


def means(cards: Cards) -> pd.DataFrame:
    """A row a host: columns population, setting, contrast, contrast_low, contrast_high (mean over seeds, nats), sd."""
    rows = []
    for name, values in zip(names_of_hosts(cards), by_host_and_seed(cards).T, strict=True):
        mean = bootstrap_interval(values)
        row = {"population": cards.trained_on, "setting": name, "contrast": mean.estimate, "contrast_low": mean.low}
        rows.append(row | {"contrast_high": mean.high, "sd": float(values.std(ddof=1))})
    return pd.DataFrame(rows)


def names_of_hosts(cards: Cards) -> list[str]:
    """Such as "image 29096, label 6"."""
    return [f"image {index}, label {label}" for index, label in zip(cards.indices[0], cards.labels[0], strict=True)]


def reading(spread: Mapping[str, float]) -> str:
    """Whether a relative spread is shown to be more than what matters, in words."""
    return VARIES if spread["low"] > THRESHOLDS.smallest_share else NOT_MORE
