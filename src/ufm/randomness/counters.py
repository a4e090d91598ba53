"""Random numbers by counter: each is a function of key, step, layer and place, so no draw depends on another.

A member of a stack draws the same dropout and augmentation whoever shares the stack, on every device, also when it is
trained alone. The generator is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, doi 10.1145/2660193.2660195), evaluated
at chosen places of its sequence.
"""

import numpy as np
import torch

from ufm.randomness.streams import stream

GAMMA = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed integer of 64 bits, SplitMix64's increment
MULTIPLIERS = (-4658895280553007687, -7723592293110705685)  # 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
LAYERS, PLACES = 2**6, 2**28  # of each step, and numbers of each layer


def key(name: str, *, seed: int, scope: str = "") -> int:
    """The key of a named stream, a signed integer of 64 bits."""
    return int(stream(name, seed=seed, scope=scope).integers(-(2**63), 2**63, dtype="int64"))


def uniforms(keys: torch.Tensor, *, step: int, layer: int, n: int) -> torch.Tensor:
    """Independent numbers, uniform on [0, 1) in multiples of 2⁻²⁴, float32 of shape (len(keys), n).

    Args:
        keys: (n_keys,) int64, see `key`.
        step: of training, from 0.
        layer: what within a step, 0 to 63.
        n: how many for each key, at most 2²⁸; the first m of n are those of any other n >= m.
    """
    if not 0 <= layer < LAYERS or n > PLACES:
        raise ValueError(f"layer {layer} or n {n} is beyond what a step has room for")
    places = torch.arange(n, device=keys.device) + ((step * LAYERS + layer) * PLACES + 1)
    mixed = places * GAMMA + keys[:, None]  # integers wrap around
    for shift, multiplier in zip((30, 27), MULTIPLIERS, strict=True):
        mixed = (mixed ^ logical_shift(mixed, shift)) * multiplier
    return logical_shift(mixed ^ logical_shift(mixed, 31), 40).to(torch.float32) * 2**-24


def generator(key: int, *, step: int) -> np.random.Generator:
    """NumPy's generator of a key and a step, from 0, for what is drawn once a step: the same on every device."""
    return np.random.Generator(np.random.Philox(key=np.array([key % 2**64, step], np.uint64)))


def logical_shift(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Shift right, zeros coming in from the left."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)
