"""Networks in torch: the layers of each architecture, built with a seed's initial weights."""

from functools import singledispatch
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from ufm.networks.models import CNN1, CNN2, MLP, DenseNet121, DenseNetBC, Model, ResNet18
from ufm.randomness.streams import stream

TRUNK_IMAGES = 64  # evaluated at once
BATCH_NORM = {"eps": 1e-3, "momentum": 0.01}  # Keras' defaults; its momentum of 0.99 is torch's 0.01


class Trunk(nn.Sequential):
    """Layers that work on each member of a stack as they are: convolutions with skip connections and the like."""

    def in_parts(self, images: torch.Tensor) -> torch.Tensor:
        """Outputs of evaluated images, a few at a time: whole images go through many wide layers."""
        return torch.cat([self(few) for few in images.split(TRUNK_IMAGES)])


def at_once(model: nn.Sequential, n: int) -> int:
    """How many images to evaluate at once: n, or few where they go through a trunk."""
    return TRUNK_IMAGES if any(isinstance(layer, Trunk) for layer in model) else n


@singledispatch
def layers_of(model: Model, image_shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
    """Layers of an architecture from images (N, C, H, W) to logits (N, n_classes)."""
    raise TypeError(f"{model!r} is no architecture")


@layers_of.register
def of_mlp(model: MLP, image_shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
    """The layers of `MLP`."""
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise((int(np.prod(image_shape)), *model.hidden)):
        layers += [nn.Linear(fan_in, fan_out)]
        layers += [nn.BatchNorm1d(fan_out, **BATCH_NORM)] * model.batch_norm
        layers += [nn.ReLU(), *([nn.Dropout(0.5)] * model.dropout)]
    return nn.Sequential(*layers, nn.Linear(model.hidden[-1], n_classes))


@layers_of.register
def of_cnn1(model: CNN1, image_shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
    """The layers of `CNN1`."""
    layers: list[nn.Module] = []
    n_channels, height, width = image_shape
    for n_in, n_out in pairwise((n_channels, *model.channels)):
        layers += [nn.Conv2d(n_in, n_out, 3), nn.ReLU()]
        height, width = height - 2, width - 2
    layers += [nn.MaxPool2d(2), nn.Flatten()]
    flat = model.channels[-1] * (height // 2) * (width // 2)
    for fan_in, fan_out in pairwise((flat, *model.hidden)):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(model.hidden[-1], n_classes))


@layers_of.register
def of_cnn2(model: CNN2, image_shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
    """The layers of `CNN2`."""
    layers: list[nn.Module] = []
    n_in, height, width = image_shape
    for n_out in model.channels:
        for _ in range(2):
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1)]
            layers += [nn.BatchNorm2d(n_out, **BATCH_NORM)] * model.batch_norm
            layers += [nn.ReLU(), *([nn.Dropout(0.2)] * model.dropout)]
            n_in = n_out
        layers.append(nn.MaxPool2d(2))
        height, width = height // 2, width // 2
    layers.append(nn.Flatten())
    for fan_in, fan_out in pairwise((n_in * height * width, *model.hidden)):
        layers += [nn.Linear(fan_in, fan_out)]
        layers += [nn.BatchNorm1d(fan_out, **BATCH_NORM)] * model.batch_norm
        layers += [nn.ReLU()]
    layers += [nn.Dropout(0.5)] * model.dropout
    return nn.Sequential(*layers, nn.Linear(model.hidden[-1], n_classes))


@layers_of.register
def of_densenet_bc(model: DenseNetBC, image_shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
    """The layers of `DenseNetBC`."""
    from torchvision.models import DenseNet  # takes seconds to import, and small networks do without

    blocks = ((model.depth - 4) // 6,) * 3
    found = DenseNet(model.growth, blocks, 2 * model.growth, num_classes=n_classes).features
    # Of images so small nothing is left out at the start.
    stem = nn.Conv2d(image_shape[0], 2 * model.growth, 3, padding=1, bias=False)
    rest = [layer for name, layer in found.named_children() if name not in ("conv0", "norm0", "relu0", "pool0")]
    trunk = Trunk(stem, *rest, nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(trunk, nn.Flatten(), nn.Linear(found.norm5.num_features, n_classes))


@layers_of.register
def of_resnet18(model: ResNet18, image_shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
    """The layers of `ResNet18`."""
    from torchvision.models import resnet18

    _, *rest, average, last = resnet18(num_classes=n_classes).children()
    stem = nn.Conv2d(image_shape[0], 64, 7, stride=2, padding=3, bias=False)
    return nn.Sequential(Trunk(stem, *rest, average), nn.Flatten(), last)


@layers_of.register
def of_densenet121(model: DenseNet121, image_shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
    """The layers of `DenseNet121`."""
    from torchvision.models import densenet121

    if min(image_shape[1:]) < 32:
        height, width = image_shape[1:]
        raise ValueError(f"model: {model.name} needs images of 32 × 32 pixels or more, not {height} × {width}")
    found = densenet121().features
    found.conv0 = nn.Conv2d(image_shape[0], 64, 7, stride=2, padding=3, bias=False)
    layers: list[nn.Module] = [Trunk(*found.children(), nn.ReLU(), nn.AdaptiveAvgPool2d(1)), nn.Flatten()]
    for fan_in, fan_out in pairwise((found.norm5.num_features, 2048, 512)):
        layers += [nn.Linear(fan_in, fan_out), nn.BatchNorm1d(fan_out, **BATCH_NORM), nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*layers, nn.Linear(512, n_classes))


def build(
    settings: Model,
    image_shape: tuple[int, int, int],
    n_classes: int,
    *,
    seed: int,
    scope: str = "",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    rounding: int = 0,
) -> nn.Sequential:
    """The network with Glorot-uniform weights and zero biases (Keras' defaults, as in the released code).

    The weights are drawn in NumPy on the CPU from the stream "initialisation", so that they are the same on every
    device and torch version. With a `rounding` above zero each is moved to one of the two numbers next to it in the
    precision trained in, at random: what training makes of that is the noise of rounding.
    """
    model = layers_of(settings, image_shape, n_classes).to(dtype)
    draws = stream("initialisation", seed=seed, scope=scope)
    ups = stream("rounding", seed=seed, scope=f"{scope}/rounding {rounding}")
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                n_out, n_in, *kernel = layer.weight.shape
                limit = np.sqrt(6 / ((n_in + n_out) * np.prod(kernel, dtype=int)))
                layer.weight.copy_(torch.from_numpy(draws.uniform(-limit, limit, tuple(layer.weight.shape))))
                if rounding:
                    towards = torch.from_numpy(ups.choice([-np.inf, np.inf], tuple(layer.weight.shape))).to(dtype)
                    layer.weight.copy_(torch.nextafter(layer.weight, towards))
                if layer.bias is not None:
                    layer.bias.zero_()
    return model.to(device)
