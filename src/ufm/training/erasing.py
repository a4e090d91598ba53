"""Random erasing (Zhong et al. 2020, doi 10.1609/aaai.v34i07.7000): a rectangle of an image becomes noise."""

import torch

from ufm.protocol import Erasing

ATTEMPTS = 10  # rectangles that are drawn for an image, of which the first that fits is taken; mostly the first of all
N_DRAWS = 1 + 4 * ATTEMPTS  # numbers an image: whether; area, ratio, row and column of each rectangle


def erase(images: torch.Tensor, draws: torch.Tensor, noise: torch.Tensor, settings: Erasing) -> torch.Tensor:
    """Images of which some have a rectangle of noise.

    Args:
        images: (..., C, H, W).
        draws: (..., N_DRAWS), uniform on [0, 1).
        noise: (..., C, H, W), of which the rectangle's pixels are taken.
        settings: how large rectangles are, and how many images have one.
    """
    height, width = images.shape[-2:]
    whether, drawn = draws[..., 0].double(), draws[..., 1:].double().unflatten(-1, (ATTEMPTS, 4))
    (least, most), ratio = settings.area, settings.ratio
    area = (least + (most - least) * drawn[..., 0]) * (height * width)
    ratios = ratio + (1 / ratio - ratio) * drawn[..., 1]
    rows, columns = (area * ratios).sqrt().round(), (area / ratios).sqrt().round()
    fits = (rows < height) & (columns < width)
    first = fits.int().argmax(-1, keepdim=True)
    edges = []
    for extent, size, place in ((rows, height, drawn[..., 2]), (columns, width, drawn[..., 3])):
        start = (place * (size - extent + 1)).floor()
        edges.append(tuple(one.gather(-1, first)[..., None] for one in (start, start + extent)))
    (top, bottom), (left, right) = edges
    row, column = (torch.arange(size, device=images.device) for size in (height, width))
    inside = ((row >= top) & (row < bottom)).mT & (column >= left) & (column < right)
    erased = (whether < settings.probability) & fits.any(-1)
    return torch.where((inside & erased[..., None, None])[..., None, :, :], noise, images)
