"""What can be read in a picture that may show a mark: how the mark ranks among others, and which letter is nearest."""

import numpy as np

from ufm import features

ROUNDING = 1e-9  # by which correlations that are equal may differ


def correlations(patch: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Pearson's correlation of a patch (h, w) with each of the marks (n_marks, h, w), in [−1, 1]; 0 of equal pixels."""
    centred = [one.reshape(len(one), -1) - one.mean((1, 2))[:, None] for one in (patch[None].astype(float), marks)]
    [one], others = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300) for rows in centred)
    return others @ one


def rank(patch: np.ndarray, mark: np.ndarray, others: np.ndarray) -> int:
    """The rank of a mark (h, w) among itself and others (n, h, w) by correlation with a patch, 1 for the greatest.

    Ties count against it. Of marks that were drawn together, none of them in the picture, each rank is equally likely.
    """
    first, *rest = correlations(patch, np.stack([mark, *others]))
    return 1 + int((np.array(rest) >= first - ROUNDING).sum())


def nearest_letter(patch: np.ndarray) -> str:
    """The capital letter of 5 × 5 pixels that correlates best with a patch (5, 5)."""
    letters = np.stack([features.letter(name) for name in features.LETTERS])
    return features.LETTERS[int(correlations(patch, letters).argmax())]
