"""A feature stamped into images."""

import sys
from typing import Any

import numpy as np


def insert(images, feature, *, position: tuple[int, int] = (1, 1)):
    """Return a copy of the images with the feature stamped in: its h x w pixels, but for transparent ones.

    Args:
        images: NumPy array or torch tensor, (C, H, W) or (N, C, H, W) with C = 1 or 3, uint8 or floating in [0, 1],
            before normalisation.
        feature: values in [0, 1], NaN where transparent, of shape (h, w), (1 or C, h, w) or (1 or N, 1 or C, h, w); one
            of N features goes to each image. On uint8 images it is scaled by 255 and rounded.
        position: (row, column) of the feature's top-left pixel; (1, 1) in the released code.

    Returns:
        The stamped images: type, dtype, shape and device are those of `images`.

    Raises:
        ValueError: shapes, types or values do not fit, all is transparent, or the feature reaches outside the image.
    """
    library = _library(images)
    is_tensor, is_bytes = library is not np, images.dtype == library.uint8
    if not is_bytes and not (images.is_floating_point() if is_tensor else np.issubdtype(images.dtype, np.floating)):
        raise ValueError(f"images must be uint8 or floating in [0, 1], not {images.dtype}: convert them first")
    if is_tensor:
        feature = feature if isinstance(feature, library.Tensor) else library.from_numpy(np.array(feature))
        feature = feature.to(images.device, library.float32 if is_bytes else images.dtype)
    else:
        feature = np.asarray(feature, dtype=np.float32 if is_bytes else images.dtype)
    _check_shapes(tuple(images.shape), tuple(feature.shape))
    own = library.isnan(feature)
    if own.all():
        raise ValueError("feature is transparent everywhere: nothing would be stamped")
    if not ((feature >= 0) & (feature <= 1) | own).all():
        raise ValueError("feature values must lie in [0, 1]: stamp before normalisation, white is 1")

    (height, width), (rows, columns), (top, left) = images.shape[-2:], feature.shape[-2:], position
    if top < 0 or left < 0 or top + rows > height or left + columns > width:
        raise ValueError(
            f"feature would cover rows {top} to {top + rows - 1} and columns {left} to {left + columns - 1} "
            f"of an image of {height} x {width} pixels, itself {rows} x {columns}: change its position or size"
        )
    stamped = images.clone() if is_tensor else images.copy()
    inside = stamped[..., top : top + rows, left : left + columns]
    values = (feature * 255).round() if is_bytes else feature
    inside[...] = library.where(own, inside, values)
    return stamped


def _library(images) -> Any:
    """NumPy or torch, whichever the images are of; a ValueError where they are of neither."""
    torch = sys.modules.get("torch")  # without it there are no tensors, and nothing here need import it
    if torch is not None and isinstance(images, torch.Tensor):
        return torch
    if isinstance(images, np.ndarray):
        return np
    raise ValueError(f"images must be a NumPy array or a torch tensor, not {type(images).__name__}")


def _check_shapes(images: tuple[int, ...], feature: tuple[int, ...]) -> None:
    """Raise a ValueError unless a feature of that shape can be stamped into images of that shape."""
    if len(images) not in (3, 4) or images[-3] not in (1, 3):
        raise ValueError(f"images must be (C, H, W) or (N, C, H, W) with 1 or 3 channels C: reshape them from {images}")
    if len(feature) < 2 or 0 in feature:
        raise ValueError(f"feature must be of shape (h, w) or more and not empty, not {feature}")
    if len(feature) > 2 and feature[-3] not in (1, images[-3]):
        raise ValueError(f"feature has {feature[-3]} channels and the images {images[-3]}: give it 1 or {images[-3]}")
    if len(feature) > len(images) or len(feature) == 4 and feature[0] not in (1, images[0]):
        raise ValueError(f"a batch of features of shape {feature} does not fit images of shape {images}: give one each")
