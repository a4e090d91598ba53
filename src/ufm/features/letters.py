"""Letters of 5 × 5 pixels."""

import numpy as np

from ufm.features.named import KINDS, Kind

# Drawn for this project, but for A, which is the paper's; the five rows of each letter from top to bottom.
_ALPHABET = {
    "A": "00100 01010 11111 10001 10001",
    "B": "11110 10001 11110 10001 11110",
    "C": "01111 10000 10000 10000 01111",
    "D": "11110 10001 10001 10001 11110",
    "E": "11111 10000 11110 10000 11111",
    "F": "11111 10000 11110 10000 10000",
    "G": "01111 10000 10011 10001 01111",
    "H": "10001 10001 11111 10001 10001",
    "I": "01110 00100 00100 00100 01110",
    "J": "00111 00010 00010 10010 01100",
    "K": "10001 10010 11100 10010 10001",
    "L": "10000 10000 10000 10000 11111",
    "M": "10001 11011 10101 10001 10001",
    "N": "10001 11001 10101 10011 10001",
    "O": "01110 10001 10001 10001 01110",
    "P": "11110 10001 11110 10000 10000",
    "Q": "01110 10001 10101 10010 01101",
    "R": "11110 10001 11110 10010 10001",
    "S": "01111 10000 01110 00001 11110",
    "T": "11111 00100 00100 00100 00100",
    "U": "10001 10001 10001 10001 01110",
    "V": "10001 10001 01010 01010 00100",
    "W": "10001 10001 10101 11011 10001",
    "X": "10001 01010 00100 01010 10001",
    "Y": "10001 01010 00100 00100 00100",
    "Z": "11111 00010 00100 01000 11111",
}
LETTERS = tuple(_ALPHABET)


def letter(name: str) -> np.ndarray:
    """Return a capital letter, (5, 5) float32 of 0 (black) and 1 (white).

    Raises:
        ValueError: `name` is none of "A" to "Z".
    """
    if name not in _ALPHABET:
        raise ValueError(f"no letter {name!r}: choose one capital from A to Z")
    return np.array([[int(pixel) for pixel in row] for row in _ALPHABET[name].split()], dtype=np.float32)


KINDS["letter"] = Kind(lambda name: name in LETTERS, letter)
