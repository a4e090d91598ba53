"""Image arrays, as data sets are read and as they are resized."""

from typing import NamedTuple

import numpy as np


class DataError(ValueError):
    """The files of a data set are missing, damaged, or could not be downloaded."""


class Arrays(NamedTuple):
    """The splits as read, in file order: images uint8 (N, C, H, W), labels int64 (N,)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    validation_images: np.ndarray | None = None  # where the data set has such a split
    validation_labels: np.ndarray | None = None


def read_only(array: np.ndarray) -> np.ndarray:
    """Return the array, contiguous and not writeable: cached arrays are shared by all who load them."""
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


def enlarge(images: np.ndarray, times: int) -> np.ndarray:
    """Images (..., H, W) of which each pixel becomes a square of so many rows and columns; of one they are returned."""
    return images if times == 1 else images.repeat(times, -2).repeat(times, -1)


def resize_bilinear(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize floating images (..., H, W) to (..., height, width), without antialiasing, pixel corners not aligned.

    The convention of torch's `interpolate(mode="bilinear", align_corners=False)`. Written in element-wise NumPy because
    products and sums that are not fused give the same bits, hence the same checksum, on every machine.
    """
    for axis, length in ((-2, size[0]), (-1, size[1])):
        old = images.shape[axis]
        if length == old:
            continue
        centre = np.clip((np.arange(length) + 0.5) * old / length - 0.5, 0, old - 1)
        before = np.floor(centre).astype(int)
        weight = (centre - before).astype(images.dtype).reshape(-1, *[1] * (-1 - axis))
        after = np.minimum(before + 1, old - 1)
        images = np.take(images, before, axis) * (1 - weight) + np.take(images, after, axis) * weight
    return images
