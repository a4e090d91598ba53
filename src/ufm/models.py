"""Architectures: a frozen dataclass describes one, `build` makes it with its seed's initial weights."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from ufm.fingerprints import added
from ufm.streams import stream

VARIANTS = {"batch norm": "batch_norm", "dropout": "dropout", "augmentation": "augmentation"}  # in words → field
BATCH_NORM = {"eps": 1e-3, "momentum": 0.01}  # Keras' defaults; its momentum of 0.99 is torch's 0.01


@dataclass(frozen=True, kw_only=True)
class Regularised:
    """The regularised variants that architectures have in common."""

    batch_norm: bool = added(False)  # between every hidden layer and its ReLU
    dropout: bool = added(False)  # at the rates of the architecture
    augmentation: bool = added(False)  # random contrast and crop, see `ufm.augmentation`

    flip = False  # whether augmentation also mirrors images

    @property
    def variant(self) -> str:
        """Such as "plain", "dropout" or "dropout + augmentation"."""
        return " + ".join(name for name, flag in VARIANTS.items() if getattr(self, flag)) or "plain"


@dataclass(frozen=True)
class MLP(Regularised):
    """The fully connected network of the released code: 512–256–classes, ReLU; dropout 0.5 after both hidden layers."""

    hidden: tuple[int, ...] = (512, 256)  # units of each hidden layer

    name = "mlp"

    def __post_init__(self):
        widths(self, "hidden")

    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
        """Layers from images (N, C, H, W) to logits (N, n_classes)."""
        layers: list[nn.Module] = [nn.Flatten()]
        for fan_in, fan_out in pairwise((int(np.prod(image_shape)), *self.hidden)):
            layers += [nn.Linear(fan_in, fan_out)]
            layers += [nn.BatchNorm1d(fan_out, **BATCH_NORM)] * self.batch_norm
            layers += [nn.ReLU(), *([nn.Dropout(0.5)] * self.dropout)]
        return nn.Sequential(*layers, nn.Linear(self.hidden[-1], n_classes))


@dataclass(frozen=True)
class CNN1(Regularised):
    """CNN-1 of the released code: conv32–conv64 (3 × 3, valid)–pool 2–128–128–classes, ReLU. It has no variants."""

    channels: tuple[int, ...] = (32, 64)  # of each convolution
    hidden: tuple[int, ...] = (128, 128)  # units of each hidden layer

    name = "cnn1"

    def __post_init__(self):
        widths(self, "channels", "hidden")
        if self.variant != "plain":
            raise ValueError(f"variant: {self.name} has no variant {self.variant}, only plain")

    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
        """Layers from images (N, C, H, W) to logits (N, n_classes)."""
        layers: list[nn.Module] = []
        n_channels, height, width = image_shape
        for n_in, n_out in pairwise((n_channels, *self.channels)):
            layers += [nn.Conv2d(n_in, n_out, 3), nn.ReLU()]
            height, width = height - 2, width - 2
        layers += [nn.MaxPool2d(2), nn.Flatten()]
        flat = self.channels[-1] * (height // 2) * (width // 2)
        for fan_in, fan_out in pairwise((flat, *self.hidden)):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(self.hidden[-1], n_classes))


@dataclass(frozen=True)
class CNN2(Regularised):
    """CNN-2 of the released code: (conv32 × 2–pool 2)–(conv64 × 2–pool 2)–1024–classes (3 × 3, same), ReLU.

    Dropout is 0.2 after each convolution and 0.5 before the output; augmentation also mirrors images.
    """

    channels: tuple[int, ...] = (32, 64)  # of the two convolutions of each block
    hidden: tuple[int, ...] = (1024,)  # units of each hidden layer

    name = "cnn2"
    flip = True

    def __post_init__(self):
        widths(self, "channels", "hidden")

    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
        """Layers from images (N, C, H, W) to logits (N, n_classes)."""
        layers: list[nn.Module] = []
        n_in, height, width = image_shape
        for n_out in self.channels:
            for _ in range(2):
                layers += [nn.Conv2d(n_in, n_out, 3, padding=1)]
                layers += [nn.BatchNorm2d(n_out, **BATCH_NORM)] * self.batch_norm
                layers += [nn.ReLU(), *([nn.Dropout(0.2)] * self.dropout)]
                n_in = n_out
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        layers.append(nn.Flatten())
        for fan_in, fan_out in pairwise((n_in * height * width, *self.hidden)):
            layers += [nn.Linear(fan_in, fan_out)]
            layers += [nn.BatchNorm1d(fan_out, **BATCH_NORM)] * self.batch_norm
            layers += [nn.ReLU()]
        layers += [nn.Dropout(0.5)] * self.dropout
        return nn.Sequential(*layers, nn.Linear(self.hidden[-1], n_classes))


Model = MLP | CNN1 | CNN2
MODELS = {one.name: one for one in (MLP, CNN1, CNN2)}


def of_variant(model: Model, variant: str) -> Model:
    """The architecture with a regularised variant, such as "plain", "dropout" or "dropout + augmentation".

    Raises a ValueError where there is no such variant, or the architecture does not have it.
    """
    parts = [] if variant == "plain" else variant.split(" + ")
    if not set(parts) <= set(VARIANTS):
        raise ValueError(f"variant: {variant!r} is not plain, nor {', '.join(VARIANTS)}, several joined by ' + '")
    return replace(model, **{flag: name in parts for name, flag in VARIANTS.items()})


def names(model: Model) -> dict[str, str]:
    """Name and variant of an architecture, as the tables give them."""
    return {"model": model.name, "variant": model.variant}


def widths(model: Model, *names: str) -> None:
    """Raise a ValueError that names a field with a layer of no units."""
    for name in names:
        values = getattr(model, name)
        if not values or min(values) < 1:
            raise ValueError(f"{name}: every layer needs at least one unit, got {values}")


def build(
    settings: Model,
    image_shape: tuple[int, int, int],
    n_classes: int,
    *,
    seed: int,
    scope: str = "",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> nn.Sequential:
    """The network with Glorot-uniform weights and zero biases (Keras' defaults, as in the released code).

    The weights are drawn in NumPy on the CPU from the stream "initialisation", so that they are the same on every
    device and torch version.
    """
    model = settings.layers(image_shape, n_classes).to(dtype)
    draws = stream("initialisation", seed=seed, scope=scope)
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear | nn.Conv2d):
                n_out, n_in, *kernel = layer.weight.shape
                limit = np.sqrt(6 / ((n_in + n_out) * np.prod(kernel, dtype=int)))
                layer.weight.copy_(torch.from_numpy(draws.uniform(-limit, limit, tuple(layer.weight.shape))))
                layer.bias.zero_()
    return model.to(device)
