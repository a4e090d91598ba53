"""DenseNet-BC, for small images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ufm.networks.base import Published, architecture

if TYPE_CHECKING:
    from torch import nn


@architecture
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

    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> "nn.Sequential":
        from torch import nn
        from torchvision.models import DenseNet

        from ufm.networks.trunk import Trunk

        blocks = ((self.depth - 4) // 6,) * 3
        features = DenseNet(self.growth, blocks, 2 * self.growth, num_classes=n_classes).features
        # Of images so small nothing is left out at the start.
        stem = nn.Conv2d(image_shape[0], 2 * self.growth, 3, padding=1, bias=False)
        rest = [layer for name, layer in features.named_children() if name not in ("conv0", "norm0", "relu0", "pool0")]
        trunk = Trunk(stem, *rest, nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        return nn.Sequential(trunk, nn.Flatten(), nn.Linear(features.norm5.num_features, n_classes))
