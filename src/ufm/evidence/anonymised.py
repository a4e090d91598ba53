"""What is left of a letter in the picture that stands in its host's place."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ufm.evidence.cards import Cards
from ufm.plan.second import regime
from ufm.statistics import bootstrap_interval, columns


def in_pictures(populations: Mapping[str, Cards], settings: Sequence[str]) -> pd.DataFrame:
    """What is left of letters in pictures, a row a population, setting and kind of host.

    Columns: population, setting, host, n, needed, and where no seeds are lacking left with left_low, left_high and
    moved with its ends, see `left` and `moved`, each the mean over seeds.
    """
    rows = []
    for cards in populations.values():
        for host in cards.protocol.hosts if regime(cards.sweep) in settings else ():
            row: dict[str, object] = {"population": cards.trained_on, "setting": regime(cards.sweep), "host": host}
            row |= {"n": len(cards.seeds), "needed": cards.needed}
            if cards.complete:
                row |= columns({"left": bootstrap_interval(left(cards, host))})
                row |= columns({"moved": bootstrap_interval(moved(cards, host))})
            rows.append(row)
    return pd.DataFrame(rows)


def left(cards: Cards, host: str) -> np.ndarray:
    """Of the difference between letter and placebo feature the share (n_seeds,) that the pictures still have.

    The projection of the pictures' difference on that of the images as they were handed over: 1 where they are the
    same, 0 where nothing of it is left.
    """
    before, after = (differences(cards, host, name) for name in ("image_handed_over", "image_given"))
    return (before * after).sum(1) / (before**2).sum(1)


def moved(cards: Cards, host: str) -> np.ndarray:
    """By how much letter and placebo feature make pictures differ, over how much they differ themselves, (n_seeds,).

    Both in the L2 norm of all pixels, wherever in the picture they are.
    """
    before, after = (differences(cards, host, name) for name in ("image_handed_over", "image_given"))
    return np.linalg.norm(after, axis=1) / np.linalg.norm(before, axis=1)


def differences(cards: Cards, host: str, name: str) -> np.ndarray:
    """The canary model's image less the placebo model's, (n_seeds, n_pixels)."""
    images = cards.arrays[name].astype(float)
    own, other = (images[:, cards.model(role, host)] for role in ("canary", "placebo"))
    return (own - other).reshape(len(cards.seeds), -1)
