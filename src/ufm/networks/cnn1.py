"""CNN-1 of the released code."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ufm.networks.base import Model, architecture, widths
from ufm.networks.cnn2 import CNN2

if TYPE_CHECKING:
    from torch import nn


@architecture
@dataclass(frozen=True)
class CNN1(Model):
    """CNN-1 of the released code: conv32–conv64 (3 × 3, valid)–pool 2–128–128–classes, ReLU. It has no variants."""

    channels: tuple[int, ...] = (32, 64)  # of each convolution
    hidden: tuple[int, ...] = (128, 128)  # units of each hidden layer

    name = "cnn1"

    def __post_init__(self):
        widths(self, "channels", "hidden")
        self.plain_only()

    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> "nn.Sequential":
        from torch import nn

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

    def finder(self, *, colour: bool) -> Model | None:
        return CNN2(channels=self.channels) if colour else None
