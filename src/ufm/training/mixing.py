"""Images of a batch mixed in pairs, and their labels alike: mixup (Zhang et al. 2018, arXiv 1710.09412) and CutMix
(Yun et al. 2019, doi 10.1109/ICCV.2019.00612), as their released code has them: one share, one box and one order of
partners a step.
"""

import numpy as np
import torch
from torch.nn.functional import one_hot

from ufm.protocol import Training


def mix(
    images: torch.Tensor, labels: torch.Tensor, kept: torch.Tensor, partners: torch.Tensor, n_classes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixed images, and the weights of the classes for each.

    Args:
        images: (n, C, H, W), the same for all members, or (n_members, n, C, H, W).
        labels: (n,) or (n_members, n).
        kept: the share of an image that stays at each pixel, (H, W), or (n_members, H, W).
        partners: the place of the image that each one is mixed with, (n,), or (n_members, n).
        n_classes: of the labels.
    """
    if partners.dim() == 1:
        others, of_others = images[..., partners, :, :, :], labels[..., partners]
    else:
        members = torch.arange(len(partners), device=images.device)[:, None]
        others = images.expand(len(partners), *images.shape[-4:])[members, partners]
        of_others = labels.expand(partners.shape)[members, partners]
    share, kept = kept.mean((-1, -2))[..., None, None], kept.to(images.dtype)[..., None, None, :, :]
    weights = share * one_hot(labels, n_classes) + (1 - share) * one_hot(of_others, n_classes)
    return torch.lerp(others, images, kept), weights.to(images.dtype)


def drawn(
    draws: np.random.Generator, training: Training, n: int, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """What a step draws for n images: the share of an image that stays at each pixel (height, width), partners (n,)."""
    partners = draws.permutation(n)
    if training.mixup:
        return np.full((height, width), draws.beta(training.mixup, training.mixup)), partners
    kept, share = np.ones((height, width)), draws.beta(training.cutmix, training.cutmix)
    centre = int(draws.integers(height)), int(draws.integers(width))
    kept[box(share, centre, height, width)] = 0
    return kept, partners


def box(share: float, centre: tuple[int, int], height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the box about a centre that leaves a share of the image, cut off at the image's edges."""
    ends = []
    for at, size in zip(centre, (height, width), strict=True):
        half = int(size * np.sqrt(1 - share)) // 2
        ends.append(slice(max(at - half, 0), min(at + half, size)))
    return ends[0], ends[1]
