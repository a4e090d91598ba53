"""What a card holds and in which order: its features, its sizes, and the arrays of each kind of card."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ufm import features
from ufm.protocol import Protocol, placebo

N_PERMUTATIONS = features.FIXED  # of the feature's pixels, the same for every model
N_SHORT = 50  # permutations for which more than the best epoch's shift and KL divergence is kept
N_RANDOM = 30  # random features, the same for every model and image
SUBSETS = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000)  # of the OOD images, beside all of them
INPUTS = ("normalised", "raw")  # scoring inputs of the published score, in this order

# Arrays of a card that say how a model's outputs move, and those of them that a short card has.
MOVED = ("shift", "early_shift", "kl_mean", "kl_sd", "probability", "shift_by_label", "probability_by_label")
LONG = (
    *(f"{kind}_{name}" for kind in ("ood", "test", "dim") for name in MOVED),
    *(f"black_{name}" for name in ("shift", "early_shift", "kl_mean", "probability")),
)
SHORT = ("ood_shift", "ood_early_shift", "ood_kl_mean", "test_shift", "black_shift")

# Ages at which an equal-age card knows a model: its own best epoch, epoch 10, the best epoch of its seed's control, the
# first epoch, and before training. Other cards have the first two.
AGES = ("best", "early", "control", "first", "initial")
EQUAL_AGE = ("ood_shift", "ood_kl_mean", "test_shift", "black_shift")  # of its arrays, those of the own best epoch
COMPACT = ("ood_shift", "ood_kl_mean", "black_shift")  # of those, what a compact card has: all that detectors ask for
KINDS = ("ood", "test", "dim", "black")  # of images


@dataclass(frozen=True)
class Card:
    """What a kind of card says of how a model's outputs move."""

    arrays: tuple[str, ...] = SHORT
    n_permutations: int = N_SHORT  # of the feature's pixels, of which it knows the shift at the best epoch
    aged: tuple[str, ...] = ()  # kinds of images of which it knows the shift at each of `AGES`


CARDS = {  # by the word of the measure; one of another word keeps no card
    "card": Card(LONG, N_PERMUTATIONS),
    "short card": Card(),
    "moved card": Card(),
    "epoch card": Card(),
    "influence card": Card(),
    "equal-age card": Card(EQUAL_AGE, aged=KINDS),
    "compact card": Card(COMPACT, aged=KINDS[:1]),
    "robust card": Card(COMPACT, aged=KINDS[:1]),
    "keyless card": Card(COMPACT, aged=KINDS[:1]),
    "task card": Card(COMPACT, aged=KINDS[:1]),
}


# Of a lot card: on which images models are asked, those that are given and a black one, and what is kept of them.
LOT_IMAGES = ("ood", "black")
LOT_KEPT = ("shift", "kl_mean")

# Of a robust card: how many reported test images are attacked, by how much in each norm of pixels in [0, 1], and how.
# At the largest radius of L∞ a grey image is near every image, so that no more than one class can hold its label.
ATTACKED = 200
RADII = {"L∞": (0.02, 0.05, 0.1, 0.2, 0.5), "L2": (0.25, 0.5, 1.0, 2.0, 4.0)}
NORMS = tuple(RADII)  # in which changes are measured
ATTACKS = ("noise", "other images", "one step", "PGD")

KEYLESS = "keyless_"  # how the arrays of a keyless card begin that are of another key


def feature_list(protocol: Protocol, seed: int, scope: str) -> np.ndarray:
    """The features of a card, (n_features, 1, h, w).

    In order: the feature, the seed's placebo feature of each kind of host, permutations of the feature's pixels, random
    features, the other letters, in the top left corner of a black rectangle of the feature's size; where that is too
    small there are none. All but the placebo features are the same for every model.
    """
    unique = protocol.unique
    placebos = [placebo(protocol, unique, seed, host, scope) for host in protocol.hosts]
    letter = partial(features.feature, magnified=protocol.magnified, brightness=protocol.brightness)
    below, beside = (size - 5 * protocol.magnified for size in unique.shape)
    others = [
        np.pad(letter(name), ((0, below), (0, beside)))[None, None]
        for name in features.LETTERS
        if name != protocol.feature and min(below, beside) >= 0
    ]
    return np.concatenate(
        [
            np.stack([unique, *placebos])[:, None],
            features.permutations(unique, N_PERMUTATIONS, magnified=protocol.magnified),
            features.random_features(N_RANDOM, shape=unique.shape, seed=0, scope="card"),
            *others,
        ]
    )


def elsewhere(image: Sequence[int], feature: Sequence[int]) -> list[tuple[int, int]]:
    """Where a feature is moved to: row and column 2, the top right corner, the centre, the bottom right.

    One that is as large as the image allows stays nearer to where it was.
    """
    bottom, right = (max(size - extent - 1, 0) for size, extent in zip(image, feature, strict=True))
    top = min(1, bottom)
    return [(min(2, bottom + 1), min(2, right + 1)), (top, right), (bottom // 2, right // 2), (bottom, right)]


def subsets(n_images: int) -> list[int]:
    """Numbers of images, nested, the last of them all."""
    return [n for n in SUBSETS if n < n_images] + [n_images]
