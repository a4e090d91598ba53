"""Architectures: a frozen dataclass describes one, `build` makes it with its seed's initial weights."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from ufm.fingerprints import added
from ufm.streams import stream

VARIANTS = {"batch norm": "batch_norm", "dropout": "dropout", "augmentation": "augmentation"}  # in words → field
TRUNK_IMAGES = 64  # evaluated at once
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


class Trunk(nn.Sequential):
    """Layers that work on each member of a stack as they are: convolutions with skip connections and the like."""

    def in_parts(self, images: torch.Tensor) -> torch.Tensor:
        """Outputs of evaluated images, a few at a time: whole images go through many wide layers."""
        return torch.cat([self(few) for few in images.split(TRUNK_IMAGES)])


def at_once(model: nn.Sequential, n: int) -> int:
    """How many images to evaluate at once: n, or few where they go through a trunk."""
    return TRUNK_IMAGES if any(isinstance(layer, Trunk) for layer in model) else n


@dataclass(frozen=True)
class Published(Regularised):
    """A network as published, in torchvision's implementation, without pretrained weights. It has no variants."""

    def __post_init__(self):
        if self.variant != "plain":
            raise ValueError(f"variant: {self.name} has no variant {self.variant}, only plain")


@dataclass(frozen=True)
class DenseNetBC(Published):
    """DenseNet-BC for images of 32 × 32 (Huang et al., CVPR 2017): depth 100, growth 12, compression one half."""

    depth: int = 100
    growth: int = 12

    name = "densenet_bc"

    def __post_init__(self):
        super().__post_init__()
        if self.depth < 10 or (self.depth - 4) % 6 or self.growth < 1:
            raise ValueError(f"depth: must be 6 n + 4 with growth at least 1, got {self.depth} and {self.growth}")

    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
        """Layers from images (N, C, H, W) to logits (N, n_classes)."""
        from torchvision.models import DenseNet  # takes seconds to import, and small networks do without

        blocks = ((self.depth - 4) // 6,) * 3
        found = DenseNet(self.growth, blocks, 2 * self.growth, num_classes=n_classes).features
        # Of images so small nothing is left out at the start.
        stem = nn.Conv2d(image_shape[0], 2 * self.growth, 3, padding=1, bias=False)
        rest = [layer for name, layer in found.named_children() if name not in ("conv0", "norm0", "relu0", "pool0")]
        trunk = Trunk(stem, *rest, nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        return nn.Sequential(trunk, nn.Flatten(), nn.Linear(found.norm5.num_features, n_classes))


@dataclass(frozen=True)
class ResNet18(Published):
    """ResNet-18 (He et al., CVPR 2016), for images of about 224 × 224."""

    name = "resnet18"

    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
        """Layers from images (N, C, H, W) to logits (N, n_classes)."""
        from torchvision.models import resnet18

        _, *rest, average, last = resnet18(num_classes=n_classes).children()
        stem = nn.Conv2d(image_shape[0], 64, 7, stride=2, padding=3, bias=False)
        return nn.Sequential(Trunk(stem, *rest, average), nn.Flatten(), last)


@dataclass(frozen=True)
class DenseNet121(Published):
    """DenseNet-121 (Huang et al., CVPR 2017) with the released code's head: 2048–512, batch norm, dropout 0.2."""

    name = "densenet121"

    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
        """Layers from images (N, C, H, W) to logits (N, n_classes)."""
        from torchvision.models import densenet121

        if min(image_shape[1:]) < 32:
            height, width = image_shape[1:]
            raise ValueError(f"model: {self.name} needs images of 32 × 32 pixels or more, not {height} × {width}")
        found = densenet121().features
        found.conv0 = nn.Conv2d(image_shape[0], 64, 7, stride=2, padding=3, bias=False)
        layers: list[nn.Module] = [Trunk(*found.children(), nn.ReLU(), nn.AdaptiveAvgPool2d(1)), nn.Flatten()]
        for fan_in, fan_out in pairwise((found.norm5.num_features, 2048, 512)):
            layers += [nn.Linear(fan_in, fan_out), nn.BatchNorm1d(fan_out, **BATCH_NORM), nn.ReLU(), nn.Dropout(0.2)]
        return nn.Sequential(*layers, nn.Linear(512, n_classes))


Model = MLP | CNN1 | CNN2 | DenseNetBC | ResNet18 | DenseNet121
MODELS = {one.name: one for one in (MLP, CNN1, CNN2, DenseNetBC, ResNet18, DenseNet121)}


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
        for layer in model.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                n_out, n_in, *kernel = layer.weight.shape
                limit = np.sqrt(6 / ((n_in + n_out) * np.prod(kernel, dtype=int)))
                layer.weight.copy_(torch.from_numpy(draws.uniform(-limit, limit, tuple(layer.weight.shape))))
                if layer.bias is not None:
                    layer.bias.zero_()
    return model.to(device)
