"""A network's outputs on images of which only a patch changes, without repeating what the patch does not reach.

A patch of 5 × 5 pixels touches 25 inputs of a first linear layer, and a convolution changes only where its receptive
field meets the patch; the rest is computed once for all patches.
"""

from collections.abc import Callable

import torch
from torch import nn

from ufm.measures.reach import reach

ROWS = {"cpu": 8_192, "cuda": 131_072}  # images at a time, each patch's counted


class Patched:
    """A network (nn.Sequential, in evaluation mode) on images of which one rectangle is overwritten.

    Where a patch is NaN it is transparent, and each image's own pixel stays.
    """

    @torch.no_grad()
    def __init__(
        self,
        network: nn.Sequential,
        images: torch.Tensor,
        *,
        normalise: Callable[[torch.Tensor], torch.Tensor],
        position: tuple[int, int] = (1, 1),
        shape: tuple[int, int] = (5, 5),
    ):
        """images: (n_images, C, H, W) in [0, 1]; position and shape: the rectangle's top-left pixel, height and width.

        `normalise` makes of images in [0, 1] what the network is given. `clean` are the logits (n_images, n_classes) of
        the images as they are.
        """
        self.normalise, self.n_images, self.n_channels = normalise, len(images), images.shape[1]
        (top, left), (height, width) = position, shape
        self.own = images[:, :, top : top + height, left : left + width]
        network.eval()
        layers = list(network)
        flatten = next(number for number, layer in enumerate(layers) if isinstance(layer, nn.Flatten))
        x, box = normalise(images), [(at, at + size) for at, size in zip(position, shape, strict=True)]
        self.steps = []
        for layer in layers[:flatten]:
            step = reach(layer, x, box)
            self.steps.append(step)
            x, box = step.layer(x), step.changed
        linear = layers[flatten + 1]
        assert isinstance(linear, nn.Linear)  # as of every architecture
        (top, bottom), (left, right) = box
        places = torch.arange(x[0].numel(), device=x.device).view(x.shape[1:])[:, top:bottom, left:right].flatten()
        self.columns = linear.weight[:, places].T.contiguous()
        flat = x.flatten(1)
        before = linear(flat)
        self.rest = before - flat[:, places] @ self.columns  # what the unchanged inputs give
        self.tail = nn.Sequential(*layers[flatten + 2 :])
        self.clean = self.tail(before)

    @torch.no_grad()
    def logits(self, patches: torch.Tensor) -> torch.Tensor:
        """Logits (n_patches, n_images, n_classes) with the rectangle overwritten by each patch.

        patches: (n_patches, 1 or C, h, w) in [0, 1] or NaN for all images, or (n_patches, n_images, 1 or C, h, w), one
        for each image.
        """
        size = 1 if any(step.whole for step in self.steps) else max(1, ROWS[self.rest.device.type] // self.n_images)
        coloured = patches.to(self.rest).expand(*patches.shape[:-3], self.n_channels, *patches.shape[-2:])
        if not patches.isnan().any():
            return torch.cat([self.of_few(few) for few in self.normalise(coloured).split(size)])
        each = coloured if coloured.dim() == 5 else coloured[:, None]
        return torch.cat(
            [self.of_few(self.normalise(torch.where(few.isnan(), self.own.to(few), few))) for few in each.split(size)]
        )

    def of_few(self, patches: torch.Tensor) -> torch.Tensor:
        """`logits` for normalised patches that memory holds at once."""
        if not self.steps:  # the patch is itself what the linear layer sees
            before = patches.flatten(-3) @ self.columns
            before = before[:, None] + self.rest if before.dim() == 2 else before + self.rest
        else:
            x = patches if patches.dim() == 5 else patches[:, None].expand(-1, self.n_images, *patches.shape[1:])
            for step in self.steps:
                x = step(x)
            before = x.flatten(2) @ self.columns + self.rest
        return self.tail(before.flatten(0, 1)).unflatten(0, before.shape[:2])
