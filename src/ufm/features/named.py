"""What is stamped into an image: letters, texts, pictures, random features, permutations and placebos.

A feature is an array of values in [0, 1]; where it is NaN it is transparent, and the image's own pixel stays.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ufm.features.draws import FIXED, arrangements
from ufm.features.texts import written


@dataclass(frozen=True)
class Kind:
    """A kind of feature: which names are of it, and what it draws of them."""

    answers: Callable[[str], bool]  # whether a name is one of its own
    draw: Callable[[str], np.ndarray]  # of a name: (h, w) float32 in [0, 1], NaN where transparent; or a ValueError


KINDS: dict[str, Kind] = {}  # by name, of this package or of another; a name that is of none is a text


def feature(name: str, *, magnified: int = 1, brightness: float = 1.0) -> np.ndarray:
    """Return the feature of a name, (h, w) float32 in [0, 1], NaN where it is transparent.

    A capital letter is that letter, the path of a PNG file that picture (see `picture`), a name of another kind in
    `KINDS` what that draws, and any other text of two characters or more that text (see `written`).

    Args:
        name: of the feature.
        magnified: each of its pixels becomes a square of so many rows and columns.
        brightness: what its values are multiplied by, in [0, 1]; at 0 a letter is a black square.

    Raises:
        ValueError: there is no such letter or file, the file is no PNG image, transparent everywhere or of which
            something would be lost, or the text cannot be written; the message begins with "feature: ". Or one of the
            other two is out of range.
    """
    check_scale(magnified, brightness)
    return named(name).repeat(magnified, 0).repeat(magnified, 1) * np.float32(brightness)


def check_scale(magnified: int, brightness: float) -> None:
    """Raise a ValueError unless a feature can be of this size and brightness."""
    if magnified < 1:
        raise ValueError(f"magnified: must be at least 1, got {magnified}")
    if not 0 <= brightness <= 1:
        raise ValueError(f"brightness: must lie in [0, 1], got {brightness}")


def named(name: str) -> np.ndarray:
    """Return the feature of a name as it was drawn, see `feature`."""
    if isinstance(name, str):
        for kind in KINDS.values():
            if kind.answers(name):
                return kind.draw(name)
        if len(name) > 1:
            return written(name)
    raise ValueError(f"feature: {name!r} is no letter A to Z, and no PNG file or text of several characters")


def require_placebo(name: str) -> None:
    """Raise a ValueError where a feature has so few arrangements of its pixels that an experiment means nothing."""
    n = arrangements(named(name))
    if n < FIXED + 2:
        raise ValueError(
            f"feature: the pixels of {name!r} have {n} arrangements, so that most permutations are the feature itself "
            "and there is no placebo; give it more pixels of different brightness"
        )
