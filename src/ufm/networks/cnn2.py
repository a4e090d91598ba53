"""CNN-2 of the released code."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ufm.networks.base import BATCH_NORM, Model, architecture, of_variant, widths

if TYPE_CHECKING:
    from torch import nn


@architecture
@dataclass(frozen=True)
class CNN2(Model):
    """CNN-2 of the released code: (conv32 × 2–pool 2)–(conv64 × 2–pool 2)–1024–classes (3 × 3, same), ReLU.

    Dropout is 0.2 after each convolution and 0.5 before the output; augmentation also mirrors images.
    """

    channels: tuple[int, ...] = (32, 64)  # of the two convolutions of each block
    hidden: tuple[int, ...] = (1024,)  # units of each hidden layer

    name = "cnn2"
    flip = True

    def __post_init__(self):
        widths(self, "channels", "hidden")

    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> "nn.Sequential":
        from torch import nn

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

    def finder(self, *, colour: bool) -> Model | None:
        return of_variant(self, "plain") if colour else None
