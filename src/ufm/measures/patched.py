"""A network's outputs on images of which only a patch changes, without repeating what the patch does not reach.

A patch of 5 × 5 pixels touches 25 inputs of a first linear layer, and a convolution changes only where its receptive
field meets the patch; the rest is computed once for all patches.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as f

from ufm.networks.trunk import Trunk

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
            step = Step(layer, x, box)
            self.steps.append(step)
            x, box = layer.in_parts(x) if isinstance(layer, Trunk) else layer(x), step.changed
        linear = layers[flatten + 1]
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
        whole = any(isinstance(step.layer, Trunk) for step in self.steps)
        size = 1 if whole else max(1, ROWS[self.rest.device.type] // self.n_images)
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


class Step:
    """One layer before the flattening: from the changed part of its inputs to the changed part of its outputs."""

    def __init__(self, layer: nn.Module, clean: torch.Tensor, box: list[tuple[int, int]]):
        """clean: the layer's inputs (n_images, C, H, W) on unchanged images; box: rows and columns that change."""
        self.layer, self.context = layer, None
        if isinstance(layer, nn.Conv2d):
            reach, padding = layer.kernel_size[0] - 1, layer.padding[0]
            sizes = [size + 2 * padding - reach for size in clean.shape[-2:]]
            self.changed = [
                (max(0, start + padding - reach), min(size, stop + padding))
                for (start, stop), size in zip(box, sizes, strict=True)
            ]
            # In the padded image: output row r is made of rows r to r + reach.
            needed = [(start, stop + reach) for start, stop in self.changed]
            padded = f.pad(clean, [padding] * 4)
            self.inside = [
                slice(start + padding - low, stop + padding - low)
                for (start, stop), (low, _) in zip(box, needed, strict=True)
            ]
        elif isinstance(layer, nn.MaxPool2d):
            size = layer.kernel_size
            self.changed = [
                (start // size, min(-(-stop // size), whole // size))
                for (start, stop), whole in zip(box, clean.shape[-2:], strict=True)
            ]
            needed, padded = [(start * size, stop * size) for start, stop in self.changed], clean
            self.inside = [slice(start - low, stop - low) for (start, stop), (low, _) in zip(box, needed, strict=True)]
        elif isinstance(layer, Trunk):  # the patch may reach everything
            self.changed = [(0, size) for size in layer(clean[:1]).shape[-2:]]
            needed, padded = [(0, size) for size in clean.shape[-2:]], clean
            self.inside = [slice(start, stop) for start, stop in box]
        else:  # element by element
            self.changed = box
            return
        (top, bottom), (left, right) = needed
        self.context = padded[:, :, top:bottom, left:right].contiguous()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Changed outputs (n_patches, n_images, ...) of changed inputs (n_patches, n_images, C, h, w)."""
        if self.context is not None:
            whole = self.context.repeat(len(x), 1, 1, 1, 1)
            # A pool leaves away a last odd row, also where the patch reaches it.
            rows, columns = (
                slice(part.start, min(part.stop, size))
                for part, size in zip(self.inside, whole.shape[-2:], strict=True)
            )
            whole[..., rows, columns] = x[..., : rows.stop - rows.start, : columns.stop - columns.start]
            x = whole
        shape = [stop - start for start, stop in self.changed]
        if 0 in shape:  # nothing but what a pool leaves away has changed
            return x.new_empty(*x.shape[:-2], *shape)
        joined = x.flatten(0, 1)
        if isinstance(self.layer, nn.Conv2d):
            joined = f.conv2d(joined, self.layer.weight, self.layer.bias)
        else:
            joined = self.layer.in_parts(joined) if isinstance(self.layer, Trunk) else self.layer(joined)
        return joined.unflatten(0, x.shape[:2])
