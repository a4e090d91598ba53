"""What makes of an image codes of its patches, of which nothing is trained: random encoders, and none."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as f

EPSILON = 1e-5  # of torch's batch norm


class Encoder(nn.Module):
    """The encoder of NeuraCrypt, whose random weights are the key, from images (n, C, H, W) to codes of patches.

    A convolution without overlap and ReLU; layers 1 × 1, each with batch norm and ReLU; a random code of the place
    added, ReLU, and a last layer 1 × 1. Images are encoded one at a time, so that batch norm, which keeps no running
    statistics, takes those of the image's own patches. Patches keep their places: who reads codes must not know them.
    """

    kernel: torch.Tensor
    bias: torch.Tensor
    weights: torch.Tensor  # (depth + 1, width, width)
    biases: torch.Tensor  # (depth + 1, width)
    code: torch.Tensor  # (width, rows, columns)

    def __init__(self, image_shape: tuple[int, int, int], patch: int, width: int, depth: int):
        super().__init__()
        n_channels, height, columns = image_shape
        self.patch = patch
        shapes = {
            "kernel": (width, n_channels, patch, patch),
            "bias": (width,),
            "weights": (depth + 1, width, width),
            "biases": (depth + 1, width),
            "code": (width, height // patch, columns // patch),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))

    @torch.no_grad()
    def draw(self, draws: np.random.Generator) -> None:
        """Draw a key: weights as torch draws those of its layers, and codes of places from a normal distribution."""
        fans = {"kernel": self.kernel[0].numel(), "bias": self.kernel[0].numel()}
        for name in ("kernel", "bias", "weights", "biases"):
            values, limit = getattr(self, name), fans.get(name, len(self.code)) ** -0.5
            values.copy_(torch.from_numpy(draws.uniform(-limit, limit, tuple(values.shape))))
        self.code.copy_(torch.from_numpy(draws.standard_normal(tuple(self.code.shape))))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Codes (n, width, rows, columns) of normalised images."""
        n_rows, n_columns = self.code.shape[1:]
        # Products are faster than convolutions.
        x = f.linear(patches_of(images, n_rows, n_columns), self.kernel.flatten(1), self.bias).relu()
        *inner, last = zip(self.weights, self.biases, strict=True)
        for one in inner:
            x = f.linear(x, *one)
            x = x - x.mean(1, keepdim=True)
            x = (x * (x.square().mean(1, keepdim=True) + EPSILON).rsqrt()).relu()
        return f.linear((x + self.code.flatten(1).T).relu(), *last).mT.unflatten(-1, (n_rows, n_columns))


class Unencoded(nn.Module):
    """Nothing random: each patch is its own pixels, and beside them its place, one of as many numbers as there are."""

    places: torch.Tensor  # (rows · columns, rows · columns): for each place a one and zeros

    def __init__(self, image_shape: tuple[int, int, int], patch: int):
        super().__init__()
        self.n_rows, self.n_columns = image_shape[1] // patch, image_shape[2] // patch
        self.register_buffer("places", torch.eye(self.n_rows * self.n_columns))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pixels and places (n, C · patch² + rows · columns, rows, columns) of normalised images."""
        patches = patches_of(images, self.n_rows, self.n_columns)
        both = torch.cat([patches, self.places.expand(len(images), -1, -1)], -1)
        return both.mT.unflatten(-1, (self.n_rows, self.n_columns))


def patches_of(images: torch.Tensor, n_rows: int, n_columns: int) -> torch.Tensor:
    """Images (n, C, H, W) as patches (n, n_rows · n_columns, pixels), channel by channel."""
    apart = images.unflatten(-2, (n_rows, -1)).unflatten(-1, (n_columns, -1))
    return apart.movedim((2, 4), (1, 2)).flatten(3).flatten(1, 2)
