"""How many images a network is given at once when nothing is learnt, and how large what it makes of one is."""

from dataclasses import dataclass

import torch
from torch import nn

from ufm.data.on_device import free_memory

SHARE = 4  # a batch is given so large a part of the free memory, one in so many
COPIES = 3  # of the largest output: what a layer takes, what it gives, and what it needs between


@dataclass(frozen=True)
class Size:
    """Numbers that a network holds or makes."""

    weights: int
    outputs: int  # of all layers, for one image
    largest: int  # output of one layer, or the image itself


def size_of(module: nn.Module, image: torch.Tensor) -> Size:
    """The size of a network for an image (1, C, H, W)."""
    sizes = [image.numel()]

    def count(layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        sizes.append(output.numel())

    hooks = [one.register_forward_hook(count) for one in module.modules() if not list(one.children())]
    with torch.no_grad():
        module.eval()(image)
    for hook in hooks:
        hook.remove()
    return Size(sum(one.numel() for one in module.parameters()), sum(sizes[1:]), max(sizes))


def at_most(model: nn.Module, images: torch.Tensor, n: int, *, times: int = 1) -> int:
    """n, or as many of the images (n_images, C, H, W) as free memory allows if a network is given them at once.

    times: networks that are given them together, or how many times what a layer makes is held.
    """
    bytes_an_image = COPIES * times * size_of(model, images[:1]).largest * images.element_size()
    return max(1, min(n, free_memory(images.device) // SHARE // bytes_an_image))
