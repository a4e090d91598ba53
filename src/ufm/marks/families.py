"""Families of marks, each drawn at random and no two alike, from the bits that a secret gives.

Bits are those of SHAKE-256 (FIPS 202) of the secret and a purpose, so that a registry gives the same marks under every
version of every library. Drawn without replacement, marks are exchangeable: whichever of them were planted, the others
are draws that might have been.
"""

from collections.abc import Callable
from hashlib import shake_256

import numpy as np

from ufm import features

Size = tuple[int, int]
BATCH = 1_024  # draws at a time


def bits(secret: str, purpose: str, n: int) -> np.ndarray:
    """n whole numbers of 64 bits, (n,) uint64, of a secret for a purpose; the first m are those of any n >= m."""
    return np.frombuffer(shake_256(f"{purpose}\n{secret}".encode()).digest(8 * n), "<u8")


def noise(secret: str, n: int, size: Size, _: str) -> np.ndarray:
    """White pixels on black, half of them (rounded down), at places drawn at random."""
    n_pixels = size[0] * size[1]
    base = np.zeros(n_pixels, np.float32)
    base[: n_pixels // 2] = 1
    return rearranged(secret, n, base.reshape(size))


def permutations(secret: str, n: int, _: Size, of: str) -> np.ndarray:
    """Rearrangements of the pixels of a feature, by its name or file (`ufm.feature`), whose size they have."""
    return rearranged(secret, n, features.feature(of))


def letters(secret: str, n: int, size: Size, _: str) -> np.ndarray:
    """The capital letters of 5 × 5 pixels in an order drawn at random."""
    if size != (5, 5):
        raise ValueError(f"size: letters are of 5 x 5 pixels, not {size[0]} x {size[1]}")
    if n > len(features.LETTERS):
        raise ValueError(f"n: there are {len(features.LETTERS)} letters, not {n}, those counted that are not planted")
    order = bits(secret, "marks", len(features.LETTERS)).argsort(kind="stable")
    return np.stack([features.letter(features.LETTERS[place]) for place in order[:n]])


FAMILIES: dict[str, Callable[[str, int, Size, str], np.ndarray]] = {
    "noise": noise,
    "letters": letters,
    "permutations": permutations,
}


def rearranged(secret: str, n: int, base: np.ndarray) -> np.ndarray:
    """n different rearrangements (n, h, w) of pixels (h, w), at each draw all that are left equally likely."""
    there = features.arrangements(base)
    if n > there:
        raise ValueError(f"n: its pixels can be arranged in {there} ways, fewer than {n}")
    found: dict[bytes, np.ndarray] = {}
    batch = 0
    while len(found) < n:
        keys = bits(secret, f"marks {batch}", BATCH * base.size).reshape(BATCH, base.size)
        for mark in base.ravel()[keys.argsort(1, kind="stable")].reshape(BATCH, *base.shape):
            found.setdefault(mark.tobytes(), mark)
        batch += 1
    return np.stack(list(found.values())[:n])


def drawn(secret: str, n: int, *, family: str, size: Size = (5, 5), of: str = "") -> np.ndarray:
    """The first n marks of a secret, (n, 1, h, w) float32 in [0, 1], no two alike; the first m are those of any n >= m.

    Raises ValueError: an unknown family, a size that it does not have, or more marks than there are different ones.
    """
    if family not in FAMILIES:
        raise ValueError(f"family: {family!r} is not one of {', '.join(FAMILIES)}")
    if n < 1 or min(size) < 1:
        raise ValueError(f"n and size: must be at least 1, not {n} and {size[0]} x {size[1]}")
    return FAMILIES[family](secret, n, size, of)[:, None].astype(np.float32)
