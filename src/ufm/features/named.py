"""What is stamped into an image: letters, texts, pictures, random features, permutations and placebos.

A feature is an array of values in [0, 1]; where it is NaN it is transparent, and the image's own pixel stays.
"""

import numpy as np

from ufm.features.letters import LETTERS, letter
from ufm.features.pictures import picture
from ufm.features.texts import written


def feature(name: str, *, magnified: int = 1, brightness: float = 1.0) -> np.ndarray:
    """Return the feature of a name, (h, w) float32 in [0, 1], NaN where it is transparent.

    A capital letter is that letter, the path of a PNG file that picture (see `picture`), and any other text of two
    characters or more that text (see `written`).

    Args:
        name: of the feature.
        magnified: each of its pixels becomes a square of so many rows and columns.
        brightness: what its values are multiplied by, in [0, 1]; at 0 a letter is a black square.

    Raises:
        ValueError: there is no such letter or file, the file is no PNG image or transparent everywhere, or the text
            cannot be written; the message begins with "feature: ". Or one of the other two is out of range.
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
    if name in LETTERS:
        return letter(name)
    if not isinstance(name, str) or len(name) < 2:
        raise ValueError(f"feature: {name!r} is no letter A to Z, and no PNG file or text of several characters")
    return picture(name) if name.lower().endswith(".png") else written(name)
