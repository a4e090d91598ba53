"""Label noise: training labels that are drawn anew."""

import numpy as np

from ufm.randomness.streams import stream


def drawn_anew(labels: np.ndarray, share: float, *, n_classes: int, seed: int, scope: str) -> dict[int, int]:
    """The labels that noise changes: by place among `labels` (n,), the new ones.

    Each label is drawn anew with the probability `share`, from all classes alike, so that some stay as they were
    (Zhang et al., ICLR 2017). The labels of a smaller share are among those of a larger one.
    """
    if not share:
        return {}
    draws = stream("label noise", seed=seed, scope=scope)
    taken, others = draws.random(len(labels)) < share, draws.integers(n_classes, size=len(labels))
    return {int(place): int(others[place]) for place in np.flatnonzero(taken & (others != labels))}
