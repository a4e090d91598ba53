"""How much more planted marks move a model than unused draws do, and how much more would have been found."""

from dataclasses import dataclass

import numpy as np

from ufm.evidence.exact import Place
from ufm.statistics import smallest_rise

POWER = 0.8


@dataclass(frozen=True)
class Power:
    """What a test of planted marks found and could have found, of a mark on average.

    In standard deviations of the scores of unused draws, and in nats of the shift that the score weighs.
    """

    power: float  # probability with which the smallest rise is found
    measured: float  # mean of the planted marks' scores above that of the unused ones
    smallest: float  # of such rises that are found with that probability
    measured_nats: float | None  # the same in nats, where the labels of the images are known and outputs have them
    smallest_nats: float | None


def power(place: Place, level: float, slope: np.ndarray | None = None) -> Power | None:
    """What the planted marks of a place could have shown at a level; None where all unused draws score alike.

    Takes the mean score of the planted marks to be normal, their spread to be that of unused draws, and all of them to
    rise alike; where some are learnt and others are not, a rise of the same mean is found less often.

    slope: (n_planted,) by how much the score of each planted mark rises with a nat.
    """
    n, unused = len(place.planted), place.scores[:, place.unused]
    sd = float(np.sqrt(unused.var(1, ddof=1).mean()))
    if not sd > 0:
        return None
    own = place.scores[np.arange(n), place.planted]
    measured = float((own - unused.mean(1)).mean()) / sd
    smallest = smallest_rise(1.0, n, unused.shape[1], power=POWER, level=level)
    in_nats = sd / slope.mean() if slope is not None and slope.any() else None
    nats = (None, None) if in_nats is None else (float(measured * in_nats), float(smallest * in_nats))
    return Power(POWER, measured, smallest, *nats)
