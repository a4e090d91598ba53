"""The fully connected network of the released code."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from ufm.networks.base import BATCH_NORM, Model, architecture, of_variant, widths
from ufm.networks.cnn2 import CNN2

if TYPE_CHECKING:
    from torch import nn


@architecture
@dataclass(frozen=True)
class MLP(Model):
    """The fully connected network of the released code: 512–256–classes, ReLU; dropout 0.5 after both hidden layers."""

    hidden: tuple[int, ...] = (512, 256)  # units of each hidden layer

    name = "mlp"

    def __post_init__(self):
        widths(self, "hidden")

    @property
    def images_apart(self) -> bool:
        """Unless batch norm joins the images."""
        return not self.batch_norm

    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> "nn.Sequential":
        from torch import nn

        layers: list[nn.Module] = [nn.Flatten()]
        for fan_in, fan_out in pairwise((prod(image_shape), *self.hidden)):
            layers += [nn.Linear(fan_in, fan_out)]
            layers += [nn.BatchNorm1d(fan_out, **BATCH_NORM)] * self.batch_norm
            layers += [nn.ReLU(), *([nn.Dropout(0.5)] * self.dropout)]
        return nn.Sequential(*layers, nn.Linear(self.hidden[-1], n_classes))

    def finder(self, *, colour: bool) -> Model | None:
        """Of colour images CNN-2, as wide beside the released one as this is."""
        if not colour:
            return of_variant(self, "plain")
        share = self.hidden[0] / MLP.hidden[0]
        channels, hidden = (tuple(max(1, round(n * share)) for n in of) for of in (CNN2.channels, CNN2.hidden))
        return CNN2(channels=channels, hidden=hidden)
