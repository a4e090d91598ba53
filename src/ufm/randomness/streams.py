"""Named random streams: every use of chance draws from a generator of its own.

A stream is named for what it decides ("initialisation", "dropout", "hosts", "parts", ...), so drawing more from one
never moves another: a model trained without dropout keeps the initialisation of its twin with dropout.
"""

import hashlib
import json
from numbers import Integral

import numpy as np


def stream(name: str, *, seed: int = 0, scope: str = "") -> np.random.Generator:
    """Return the generator that belongs to `name`, `seed` and `scope`.

    Args:
        name: what the stream decides, such as "initialisation" or "random features".
        seed: a non-negative integer.
        scope: a data set and its size, such as "mnist/full" or "mnist/10000"; seed 7 of one is never seed 7 of another.

    Raises:
        ValueError: `seed` is negative or no integer.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed must be a non-negative integer, not {seed!r}")
    # JSON quotes its strings, so ("a", "bc") and ("ab", "c") differ; SHA-256 is the same in every Python process,
    # where hash() is not. PCG64 by name: the default generator of NumPy may change.
    digest = hashlib.sha256(json.dumps([int(seed), name, scope]).encode()).digest()
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(int.from_bytes(digest, "little"))))


def stratified_order(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Order images by class, at random within a class, so that evenly spaced positions are a stratified sample.

    Args:
        labels: (N,) integers.
        generator: decides the order within each class.

    Returns:
        (N,) a permutation of 0 to N - 1.
    """
    order = generator.permutation(len(labels))
    return order[np.argsort(labels[order], kind="stable")]
