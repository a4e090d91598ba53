"""Networks in torch, with a seed's initial weights."""

from copy import deepcopy

import numpy as np
import torch
from torch import nn

from ufm.networks.base import Model
from ufm.networks.encoder import Encoder
from ufm.randomness.streams import stream

KEY = "encoder"  # the stream that the key of an encoder is drawn from


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
    model = settings.layers(image_shape, n_classes).to(dtype)
    draws = stream("initialisation", seed=seed, scope=scope)
    ups = stream("rounding", seed=seed, scope=f"{scope}/rounding {rounding}")
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, Encoder):
                layer.draw(stream(KEY, seed=seed, scope=scope))
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


def with_key(model: nn.Sequential, name: str, *, seed: int, scope: str = "") -> nn.Sequential:
    """The same network behind an encoder of another key, drawn from the stream of that name."""
    encoder, *reader = model
    assert isinstance(encoder, Encoder)  # nothing else has a key
    other = deepcopy(encoder)
    other.draw(stream(name, seed=seed, scope=scope))
    return nn.Sequential(other, *reader)
