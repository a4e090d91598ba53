"""What is stamped into an image: letters, random features, permutations and placebos."""

import sys

import numpy as np

from ufm.streams import stream

FIXED = 100  # permutations of a feature that effects may be measured against; a placebo is none of them

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


def random_features(n: int, *, shape: tuple[int, int] = (5, 5), seed: int, scope: str = "") -> np.ndarray:
    """Return `n` features of independent Bernoulli(1/2) pixels, (n, 1, h, w) float32 of 0 and 1.

    The first m of n features are those of any other n >= m.
    """
    draws = stream("random features", seed=seed, scope=scope).random((n, 1, *shape))
    return (draws < 0.5).astype(np.float32)


def permutations(feature: np.ndarray, n: int, *, seed: int = 0, scope: str = "") -> np.ndarray:
    """Return `n` random permutations of a feature's own pixels, (n, 1, h, w); each keeps the feature's ink.

    The first m of n permutations are those of any other n >= m.

    Raises:
        ValueError: `feature` is not of shape (h, w).
    """
    feature = np.asarray(feature)
    if feature.ndim != 2:
        raise ValueError(f"only a feature of shape (h, w) can be permuted, not {feature.shape}")
    rows = np.tile(feature.ravel(), (n, 1))
    return stream("permutations", seed=seed, scope=scope).permuted(rows, axis=1).reshape(n, 1, *feature.shape)


def placebo(feature: np.ndarray, *, seed: int, host: str, scope: str = "") -> np.ndarray:
    """Return the placebo feature of a seed and kind of host, (h, w): a permutation of the feature's own pixels.

    It is neither the feature nor one of its first FIXED permutations, which effects are measured against.

    Raises:
        ValueError: `feature` is not of shape (h, w), or has too few arrangements to draw one from.
    """
    feature = np.asarray(feature)
    taken = [feature, *permutations(feature, FIXED)[:, 0]]
    draws = stream(f"placebo, {host} host", seed=seed, scope=scope)
    for _ in range(1_000):
        drawn = draws.permuted(feature.ravel()).reshape(feature.shape)
        if not any(np.array_equal(drawn, one) for one in taken):
            return drawn
    raise ValueError("feature: too few arrangements of its pixels for a placebo")


def insert(images, feature, *, position: tuple[int, int] = (1, 1)):
    """Return a copy of the images with the feature stamped in, white on black: all its h x w pixels are overwritten.

    Args:
        images: NumPy array or torch tensor, (C, H, W) or (N, C, H, W) with C = 1 or 3, uint8 or floating in [0, 1],
            before normalisation.
        feature: values in [0, 1], of shape (h, w), (1 or C, h, w) or (1 or N, 1 or C, h, w); one of N features goes to
            each image. On uint8 images it is scaled by 255 and rounded.
        position: (row, column) of the feature's top-left pixel; (1, 1) in the released code.

    Returns:
        The stamped images: type, dtype, shape and device are those of `images`.

    Raises:
        ValueError: shapes, types or values do not fit, or the feature reaches outside the image.
    """
    torch = sys.modules.get("torch")  # without it there are no tensors, and nothing here need import it
    is_tensor = torch is not None and isinstance(images, torch.Tensor)
    if not is_tensor and not isinstance(images, np.ndarray):
        raise ValueError(f"images must be a NumPy array or a torch tensor, not {type(images).__name__}")
    is_bytes = images.dtype == (torch.uint8 if is_tensor else np.uint8)
    if not is_bytes and not (images.is_floating_point() if is_tensor else np.issubdtype(images.dtype, np.floating)):
        raise ValueError(f"images must be uint8 or floating in [0, 1], not {images.dtype}: convert them first")
    if is_tensor:
        feature = feature if isinstance(feature, torch.Tensor) else torch.from_numpy(np.array(feature))
        feature = feature.to(images.device, torch.float32 if is_bytes else images.dtype)
    else:
        feature = np.asarray(feature, dtype=np.float32 if is_bytes else images.dtype)
    _check_shapes(tuple(images.shape), tuple(feature.shape))
    if not (feature.min() >= 0 and feature.max() <= 1):  # in this form it also refuses NaN
        raise ValueError("feature values must lie in [0, 1]: stamp before normalisation, white is 1")

    (height, width), (rows, columns), (top, left) = images.shape[-2:], feature.shape[-2:], position
    if top < 0 or left < 0 or top + rows > height or left + columns > width:
        raise ValueError(
            f"feature would cover rows {top} to {top + rows - 1} and columns {left} to {left + columns - 1} "
            f"of an image of {height} x {width} pixels: change its position or size"
        )
    stamped = images.clone() if is_tensor else images.copy()
    stamped[..., top : top + rows, left : left + columns] = (feature * 255).round() if is_bytes else feature
    return stamped


def _check_shapes(images: tuple[int, ...], feature: tuple[int, ...]) -> None:
    """Raise a ValueError unless a feature of that shape can be stamped into images of that shape."""
    if len(images) not in (3, 4) or images[-3] not in (1, 3):
        raise ValueError(f"images must be (C, H, W) or (N, C, H, W) with 1 or 3 channels C: reshape them from {images}")
    if len(feature) < 2 or 0 in feature:
        raise ValueError(f"feature must be of shape (h, w) or more and not empty, not {feature}")
    if len(feature) > 2 and feature[-3] not in (1, images[-3]):
        raise ValueError(f"feature has {feature[-3]} channels and the images {images[-3]}: give it 1 or {images[-3]}")
    if len(feature) > len(images) or len(feature) == 4 and feature[0] not in (1, images[0]):
        raise ValueError(f"a batch of features of shape {feature} does not fit images of shape {images}: give one each")
