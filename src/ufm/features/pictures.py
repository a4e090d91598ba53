"""PNG files as features."""

import os

import numpy as np

from ufm.features.named import KINDS, Kind
from ufm.image_files import ImageFileError, depth, grey, in_eight_bits, opened


def picture(path: str) -> np.ndarray:
    """Return a PNG file in grey, upright, (h, w) float32 in [0, 1], NaN where its alpha is below one half.

    Raises ValueError as `feature` does.
    """
    if not os.path.lexists(path):
        raise ValueError(f"feature: there is no file {path}")
    try:
        found = opened(path, formats=["PNG"])
    except ImageFileError as error:
        raise ValueError(f"feature: {path} {error}") from error
    if found.n_pages > 1:
        raise ValueError(f"feature: {path} holds {found.n_pages} pictures: save the one that is meant")
    pixels = found.pixels
    if pixels.dtype == np.uint16:
        bits = depth(int(pixels.max()))
        if bits < 16:
            raise ValueError(f"feature: {path} uses {bits} of its 16 bits, so its white is unknown: save it in 8 bits")
        pixels = in_eight_bits(pixels, bits)
    values = (grey(pixels) if pixels.ndim == 3 else pixels).astype(np.float32) / np.float32(255)
    if found.alpha is None:
        return values
    if not (found.alpha >= 127.5).any():
        raise ValueError(f"feature: {path} is transparent everywhere")
    return np.where(found.alpha >= 127.5, values, np.float32(np.nan))


KINDS["picture"] = Kind(lambda name: name.lower().endswith(".png"), picture)
