"""Augmentation of the released code: random contrast, then a random crop that is resized to the image's size."""

from functools import cache

import torch
from torch.nn.functional import interpolate

CONTRAST = 0.2  # an image's contrast is multiplied by 1 ± this, at most
CUT = 1  # rows and columns that the crop leaves away: 27 of 28, 31 of 32
N_DRAWS = 4  # numbers an image: contrast, row, column, flip


def augment(images: torch.Tensor, draws: torch.Tensor, *, flip: bool) -> torch.Tensor:
    """Augmented images.

    Args:
        images: (..., C, H, W), normalised or not: contrast about each channel's own mean and bilinear resizing commute
            with normalisation.
        draws: (..., 4), uniform on [0, 1).
        flip: whether half of the images are mirrored.
    """
    draws = draws.to(images.dtype)
    factor = (1 - CONTRAST + 2 * CONTRAST * draws[..., 0])[..., None, None, None]
    mean = images.mean((-1, -2), keepdim=True)
    images = (images - mean) * factor + mean
    row, column = ((draws[..., 1 + axis] * (CUT + 1)).long()[..., None] for axis in range(2))
    rows = crops(images.shape[-2], images.dtype, images.device)[row]  # (..., 1, H, H)
    columns = crops(images.shape[-1], images.dtype, images.device)[column]
    images = rows @ images @ columns.mT
    if flip:
        images = torch.where((draws[..., 3] < 0.5)[..., None, None, None], images.flip(-1), images)
    return images


@cache
def crops(size: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """For every offset of the crop the (size, size) matrix that cuts it out of one axis and resizes it bilinearly."""
    cuts = [torch.eye(size, dtype=dtype)[offset : offset + size - CUT] for offset in range(CUT + 1)]
    resized = [interpolate(cut.T[None], size=size, mode="linear", align_corners=False)[0].T for cut in cuts]
    return torch.stack(resized).to(device)
