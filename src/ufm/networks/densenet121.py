"""DenseNet-121, for larger images."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ufm.networks.base import BATCH_NORM, Model, Published, architecture

if TYPE_CHECKING:
    from torch import nn


@architecture
@dataclass(frozen=True)
class DenseNet121(Published):
    """DenseNet-121 (Huang et al., CVPR 2017) with the released code's head: 2048–512, batch norm, dropout 0.2."""

    name = "densenet121"

    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> "nn.Sequential":
        """As of every model. Raises ValueError where the images are too small."""
        from torch import nn
        from torchvision.models import densenet121

        from ufm.networks.trunk import Trunk

        if min(image_shape[1:]) < 32:
            height, width = image_shape[1:]
            raise ValueError(f"model: {self.name} needs images of 32 × 32 pixels or more, not {height} × {width}")
        features = densenet121().features
        features.conv0 = nn.Conv2d(image_shape[0], 64, 7, stride=2, padding=3, bias=False)
        layers: list[nn.Module] = [Trunk(*features.children(), nn.ReLU(), nn.AdaptiveAvgPool2d(1)), nn.Flatten()]
        for fan_in, fan_out in pairwise((features.norm5.num_features, 2048, 512)):
            layers += [nn.Linear(fan_in, fan_out), nn.BatchNorm1d(fan_out, **BATCH_NORM), nn.ReLU(), nn.Dropout(0.2)]
        return nn.Sequential(*layers, nn.Linear(512, n_classes))

    def finder(self, *, colour: bool) -> Model:
        return self  # its images are too large for the usual ones
