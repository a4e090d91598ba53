"""Architectures: a frozen dataclass describes one, `build` makes it with its seed's initial weights."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from ufm.streams import stream


@dataclass(frozen=True)
class MLP:
    """The fully connected network of the released code: 512–256–classes, ReLU."""

    hidden: tuple[int, ...] = (512, 256)  # units of each hidden layer

    name = "mlp"
    variant = "plain"

    def __post_init__(self):
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden: every layer needs at least one unit, got {self.hidden}")

    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
        """Layers from images (N, C, H, W) to logits (N, n_classes)."""
        widths = (int(np.prod(image_shape)), *self.hidden, n_classes)
        layers: list[nn.Module] = [nn.Flatten()]
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        return nn.Sequential(*layers[:-1])


def build(
    settings: MLP,
    image_shape: tuple[int, int, int],
    n_classes: int,
    *,
    seed: int,
    scope: str = "",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> nn.Module:
    """The network with Glorot-uniform weights and zero biases (Keras' defaults, as in the released code).

    The weights are drawn in NumPy on the CPU from the stream "initialisation", so that they are the same on every
    device and torch version.
    """
    model = settings.layers(image_shape, n_classes).to(dtype)
    draws = stream("initialisation", seed=seed, scope=scope)
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear):
                limit = np.sqrt(6 / (layer.in_features + layer.out_features))
                layer.weight.copy_(torch.from_numpy(draws.uniform(-limit, limit, tuple(layer.weight.shape))))
                layer.bias.zero_()
    return model.to(device)
