"""Trunks: layers that a stack need not know."""

import torch
from torch import nn

TRUNK_IMAGES = 64  # evaluated at once


class Trunk(nn.Sequential):
    """Layers that work on each member of a stack as they are: convolutions with skip connections and the like."""

    def in_parts(self, images: torch.Tensor) -> torch.Tensor:
        """Outputs of evaluated images, a few at a time: whole images go through many wide layers."""
        return torch.cat([self(few) for few in images.split(TRUNK_IMAGES)])


def at_once(model: nn.Sequential, n: int) -> int:
    """How many images to evaluate at once: n, or few where they go through a trunk."""
    return TRUNK_IMAGES if any(isinstance(layer, Trunk) for layer in model) else n
