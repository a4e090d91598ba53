"""Networks: a file an architecture.

Its settings and its layers stand together; settings need no torch. `ufm.networks.build.build` makes layers with initial
weights.
"""

from ufm.discovery import discover
from ufm.networks.base import MODELS, VARIANTS, Model, Published, architecture, names, of_variant, widths
from ufm.networks.cnn1 import CNN1
from ufm.networks.cnn2 import CNN2
from ufm.networks.densenet121 import DenseNet121
from ufm.networks.densenet_bc import DenseNetBC
from ufm.networks.mlp import MLP
from ufm.networks.neuracrypt import NeuraCrypt
from ufm.networks.resnet18 import ResNet18

discover(__name__, but=("build", "encoder", "trunk"))  # which import torch

__all__ = [
    "CNN1",
    "CNN2",
    "MLP",
    "MODELS",
    "VARIANTS",
    "DenseNet121",
    "DenseNetBC",
    "Model",
    "NeuraCrypt",
    "Published",
    "ResNet18",
    "architecture",
    "names",
    "of_variant",
    "widths",
]
