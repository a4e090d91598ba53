"""Lots: in the place of one feature, many at once, each on a training image of its own."""

from dataclasses import dataclass

import numpy as np

from ufm.marks import families
from ufm.protocol.settings import whole_numbers
from ufm.randomness.streams import stream

LABELS = ("own", "wrong")
IMAGES = ("own", "black")
PLACES = ("one", "drawn")


@dataclass(frozen=True)
class Lot:
    """What a stamped model carries: so many arrangements of the feature's pixels, its *marks*, each on one host.

    Canary and placebo model have the same hosts, and marks of their own.
    """

    n: int = 1  # marks
    labels: str = "own"  # that hosts are trained under: their own, or a wrong one that is drawn
    images: str = "own"  # what the marks are stamped on: the hosts as they are, or black ones in their place
    places: str = "one"  # where they are stamped: all at the protocol's position, or each at one that is drawn

    def __post_init__(self):
        whole_numbers(self, "n")
        if self.n < 1:
            raise ValueError(f"n: a lot has at least one mark, got {self.n}")
        for name, known in (("labels", LABELS), ("images", IMAGES), ("places", PLACES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not one of {', '.join(known)}")


def arrangements(feature: str, n: int, *, seed: int, scope: str) -> np.ndarray:
    """n different arrangements of a feature's pixels, (n, h, w), those of a seed; the first m are those of any n >= m.

    The lot's marks are among them: the canary model's are 0, 2, 4, …, the placebo model's 1, 3, 5, …
    """
    return families.drawn(f"{scope}/{seed}", n, family="permutations", of=feature)[:, 0]


def wrong(labels: np.ndarray, *, n_classes: int, seed: int, scope: str) -> np.ndarray:
    """For each label (n,) another one, drawn uniformly; the first m are those of any other n >= m."""
    beside = 1 + stream("wrong labels", seed=seed, scope=scope).random(len(labels)) * (n_classes - 1)
    return (labels + beside.astype(int)) % n_classes


def positions(n: int, room: np.ndarray, *, seed: int, scope: str) -> list[tuple[int, int]]:
    """n places (row, column) below `room` (2,), drawn uniformly; the first m are those of any other n >= m."""
    drawn = stream("places of a lot", seed=seed, scope=scope).random((n, 2)) * room
    return [(int(row), int(column)) for row, column in drawn]
