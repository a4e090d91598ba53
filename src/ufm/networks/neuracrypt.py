"""NeuraCrypt: a network that reads what a random one made of the images."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ufm.networks.base import Model, architecture, widths
from ufm.networks.mlp import MLP

if TYPE_CHECKING:
    from torch import nn


@architecture
@dataclass(frozen=True)
class NeuraCrypt(Model):
    """NeuraCrypt (Yala et al. 2021, arXiv 2106.02484) with patches and width of Syfer (2022, arXiv 2201.12406).

    Images are encoded by a random network, see `ufm.networks.encoder.Encoder`, one for the models of a seed. What is
    trained on the codes treats every patch alike and takes the mean over patches, so that the order of an image's
    patches, which the owner of the images shuffles, makes no difference. It has no variants.
    """

    patch: int = 4  # rows and columns of a patch
    width: int = 128  # numbers that a patch is encoded as
    depth: int = 1  # layers of the encoder with batch norm
    units: tuple[int, ...] = (128,)  # of each hidden layer before the mean over patches
    hidden: tuple[int, ...] = (128,)  # of each hidden layer after it
    encoded: bool = True  # without, the same reader is given pixels of patches and their places, see `Unencoded`

    name = "neuracrypt"

    def __post_init__(self):
        widths(self, "units", "hidden")
        for name, least in (("patch", 1), ("width", 1), ("depth", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: must be at least {least}, got {getattr(self, name)}")
        self.plain_only()

    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> "nn.Sequential":
        """As of every model. Raises ValueError where images are no whole patches."""
        from torch import nn

        from ufm.networks.encoder import Encoder, Unencoded

        height, width = image_shape[1:]
        if height % self.patch or width % self.patch or self.patch == height == width:
            several = f"several whole patches of {self.patch} x {self.patch}"
            raise ValueError(f"patch: images of {height} x {width} pixels are not {several}")
        layers: list[nn.Module] = [Unencoded(image_shape, self.patch)]
        n_numbers = image_shape[0] * self.patch**2 + height * width // self.patch**2
        if self.encoded:
            layers, n_numbers = [Encoder(image_shape, self.patch, self.width, self.depth)], self.width
        for fan_in, fan_out in pairwise((n_numbers, *self.units)):
            layers += [nn.Conv2d(fan_in, fan_out, 1), nn.ReLU()]
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        for fan_in, fan_out in pairwise((self.units[-1], *self.hidden)):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(self.hidden[-1], n_classes))

    def finder(self, *, colour: bool) -> Model | None:
        """The fully connected network, as wide beside the released one as this is beside Syfer's."""
        share = self.width / NeuraCrypt.width
        plain = MLP(hidden=tuple(max(1, round(n * share)) for n in MLP.hidden))
        return plain.finder(colour=colour)
