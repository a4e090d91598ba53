"""ResNet-18, for larger images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ufm.networks.base import Model, Published, architecture

if TYPE_CHECKING:
    from torch import nn


@architecture
@dataclass(frozen=True)
class ResNet18(Published):
    """ResNet-18 (He et al., CVPR 2016), for images of about 224 × 224."""

    name = "resnet18"

    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> "nn.Sequential":
        from torch import nn
        from torchvision.models import resnet18

        from ufm.networks.trunk import Trunk

        _, *rest, average, last = resnet18(num_classes=n_classes).children()
        stem = nn.Conv2d(image_shape[0], 64, 7, stride=2, padding=3, bias=False)
        return nn.Sequential(Trunk(stem, *rest, average), nn.Flatten(), last)

    def finder(self, *, colour: bool) -> Model:
        return self  # its images are too large for the usual ones
