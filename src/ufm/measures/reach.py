"""How far a changed rectangle reaches through a layer, and the layer's outputs there.

What changes of images is a box, (start, stop) of rows and of columns. A kind of layer has a function that says what
changes of its outputs, registered for torch's layer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import nn
from torch.nn import functional as f

from ufm.networks.encoder import Encoder, Unencoded
from ufm.networks.trunk import Trunk

Box = list[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Step:
    """A layer from the changed part of its inputs to the changed part of its outputs."""

    changed: Box  # of the outputs
    layer: Callable[[torch.Tensor], torch.Tensor]  # from whole images (n, C, H, W) to outputs
    inner: Callable[[torch.Tensor], torch.Tensor]  # from what the changed outputs are made of to these
    # What they are made of beside the changed inputs, on unchanged images, and where in it those lie; None: nothing.
    context: torch.Tensor | None = None
    inside: tuple[slice, ...] = ()
    whole: bool = False  # whether all outputs change

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Changed outputs (n_patches, n_images, ...) of changed inputs (n_patches, n_images, C, h, w)."""
        if self.context is not None:
            surrounded, (rows, columns) = self.context.repeat(len(x), 1, 1, 1, 1), self.inside
            surrounded[..., rows, columns] = x[..., : rows.stop - rows.start, : columns.stop - columns.start]
            x = surrounded
        shape = [stop - start for start, stop in self.changed]
        if 0 in shape:  # nothing but what a pool leaves away has changed
            return x.new_empty(*x.shape[:-2], *shape)
        return self.inner(x.flatten(0, 1)).unflatten(0, x.shape[:2])


@singledispatch
def reach(layer: nn.Module, clean: torch.Tensor, box: Box) -> Step:
    """The step through a layer.

    clean: the layer's inputs (n_images, C, H, W) on unchanged images; box: what changes of them. Raises a TypeError
    that names a layer whose reach is not known.
    """
    raise TypeError(f"how far a patch reaches through a {type(layer).__name__} is not known")


@reach.register(nn.ReLU)
@reach.register(nn.Dropout)
@reach.register(nn.BatchNorm2d)
def of_pointwise(layer: nn.Module, clean: torch.Tensor, box: Box) -> Step:
    """Every number by itself."""
    return Step(box, layer, layer)


@reach.register
def of_convolution(layer: nn.Conv2d, clean: torch.Tensor, box: Box) -> Step:
    """As far as the kernel."""
    if (layer.stride, layer.dilation) != ((1, 1), (1, 1)):
        raise TypeError("how far a patch reaches through a Conv2d with strides or dilation is not known")
    if isinstance(layer.padding, str):
        raise TypeError("how far a patch reaches through a Conv2d whose padding is a word is not known")
    (vertical, horizontal), reaches = layer.padding, [size - 1 for size in layer.kernel_size]
    padded = f.pad(clean, (horizontal, horizontal, vertical, vertical))
    box = [(start + padding, stop + padding) for (start, stop), padding in zip(box, layer.padding, strict=True)]
    changed = [
        (max(0, start - reach), min(size - reach, stop))
        for (start, stop), size, reach in zip(box, padded.shape[-2:], reaches, strict=True)
    ]
    # In the padded image: output row r is made of rows r to r + reach.
    needed = [(start, stop + reach) for (start, stop), reach in zip(changed, reaches, strict=True)]

    def inner(x: torch.Tensor) -> torch.Tensor:
        return f.conv2d(x, layer.weight, layer.bias, groups=layer.groups)

    return Step(changed, layer, inner, *surroundings(padded, needed, box))


@reach.register
def of_pool(layer: nn.MaxPool2d, clean: torch.Tensor, box: Box) -> Step:
    """Windows that the box meets; a last odd row is left away."""
    size = layer.kernel_size
    if not isinstance(size, int):
        raise TypeError("how far a patch reaches through a MaxPool2d of two sizes is not known")
    changed = [
        (start // size, min(-(-stop // size), whole // size))
        for (start, stop), whole in zip(box, clean.shape[-2:], strict=True)
    ]
    needed = [(start * size, stop * size) for start, stop in changed]
    return Step(changed, layer, layer, *surroundings(clean, needed, box))


@reach.register
def of_trunk(layer: Trunk, clean: torch.Tensor, box: Box) -> Step:
    """Everywhere, perhaps."""
    changed, everything = ([(0, size) for size in images.shape[-2:]] for images in (layer(clean[:1]), clean))
    return Step(changed, layer.in_parts, layer.in_parts, *surroundings(clean, everything, box), whole=True)


@reach.register(Encoder)
@reach.register(Unencoded)
@reach.register(nn.AdaptiveAvgPool2d)
def of_whole(layer: nn.Module, clean: torch.Tensor, box: Box) -> Step:
    """Everywhere: a mean knows all places, and so do the statistics of an encoder."""
    changed, everything = ([(0, size) for size in images.shape[-2:]] for images in (layer(clean[:1]), clean))
    return Step(changed, layer, layer, *surroundings(clean, everything, box), whole=True)


def surroundings(clean: torch.Tensor, needed: Box, box: Box) -> tuple[torch.Tensor, tuple[slice, ...]]:
    """What a layer needs of unchanged inputs, and where in it the changed ones lie, as far as they matter."""
    (top, bottom), (left, right) = needed
    inside = (slice(start - low, min(stop, high) - low) for (start, stop), (low, high) in zip(box, needed, strict=True))
    return clean[:, :, top:bottom, left:right].contiguous(), tuple(inside)
