"""What is stamped into an image: letters, texts, pictures, random features, permutations and placebos.

A feature is an array of values in [0, 1]; where it is NaN it is transparent, and the image's own pixel stays.
"""

import sys
from functools import cache

import numpy as np

from ufm.streams import stream

TEXT_SIZE = 8  # of the font of texts, in pixels: its capitals are 6 high
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


def feature(name: str, *, magnified: int = 1, brightness: float = 1.0) -> np.ndarray:
    """Return the feature of a name, (h, w) float32 in [0, 1], NaN where it is transparent.

    A capital letter is that letter, the path of a PNG file that picture (see `picture`), and any other text of two
    characters or more that text (see `written`).

    Args:
        name: of the feature.
        magnified: each of its pixels becomes a square of so many rows and columns.
        brightness: what its values are multiplied by, in [0, 1]; at 0 a letter is a black square.

    Raises:
        ValueError: there is no such letter or file, the file is no PNG image or transparent everywhere, or the text
            cannot be written; the message begins with "feature: ". Or one of the other two is out of range.
    """
    check_scale(magnified, brightness)
    return named(name).repeat(magnified, 0).repeat(magnified, 1) * np.float32(brightness)


def check_scale(magnified: int, brightness: float) -> None:
    """Raise a ValueError unless a feature can be of this size and brightness."""
    if magnified < 1:
        raise ValueError(f"magnified: must be at least 1, got {magnified}")
    if not 0 <= brightness <= 1:
        raise ValueError(f"brightness: must lie in [0, 1], got {brightness}")


def named(name: str) -> np.ndarray:
    """Return the feature of a name as it was drawn, see `feature`."""
    if name in LETTERS:
        return letter(name)
    if not isinstance(name, str) or len(name) < 2:
        raise ValueError(f"feature: {name!r} is no letter A to Z, and no PNG file or text of several characters")
    return picture(name) if name.lower().endswith(".png") else written(name)


def picture(path: str) -> np.ndarray:
    """Return a PNG file in grey, (h, w) float32 in [0, 1], NaN where its alpha is below one half.

    Raises ValueError as `feature` does.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
                image = Image.fromarray(np.rint(np.array(image) / 257).astype(np.uint8))
            pixels = np.array(image.convert("RGBA").convert("LA"))
    except FileNotFoundError:
        raise ValueError(f"feature: there is no file {path}") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"feature: {path} is no PNG image that can be read") from error
    grey, alpha = pixels[..., 0].astype(np.float32) / np.float32(255), pixels[..., 1]
    if not (alpha >= 127.5).any():
        raise ValueError(f"feature: {path} is transparent everywhere")
    return np.where(alpha >= 127.5, grey, np.float32(np.nan))


@cache
def written(text: str) -> np.ndarray:
    """Return a text in one line of DejaVu Sans, (h, w) float32 of 0 (black) and 1 (white), read-only.

    It is cut to its ink and one black pixel around it. The font is the one that Matplotlib brings.

    Raises ValueError as `feature` does.
    """
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font
    from PIL import Image, ImageDraw, ImageFont

    path = f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf"
    known = FT2Font(path).get_charmap()
    for character in text:
        if ord(character) not in known:
            raise ValueError(f"feature: {text!r} cannot be written, the font has no {character!r}")
    font = ImageFont.truetype(path, TEXT_SIZE, layout_engine=ImageFont.Layout.BASIC)
    # Characters may reach beyond their line and their own width, so there is room on all sides.
    sheet = Image.new("1", (round(font.getlength(text)) + 2 * TEXT_SIZE, 3 * TEXT_SIZE))
    ImageDraw.Draw(sheet).text((TEXT_SIZE, TEXT_SIZE), text, fill=1, font=font)
    if sheet.getbbox() is None:
        raise ValueError(f"feature: {text!r} leaves no ink")
    pixels = np.pad(np.array(sheet.crop(sheet.getbbox()), dtype=np.float32), 1)
    pixels.flags.writeable = False
    return pixels


def random_features(n: int, *, shape: tuple[int, int] = (5, 5), seed: int, scope: str = "") -> np.ndarray:
    """Return `n` features of independent Bernoulli(1/2) pixels, (n, 1, h, w) float32 of 0 and 1.

    The first m of n features are those of any other n >= m.
    """
    draws = stream("random features", seed=seed, scope=scope).random((n, 1, *shape))
    return (draws < 0.5).astype(np.float32)


def permutations(feature: np.ndarray, n: int, *, seed: int = 0, scope: str = "", magnified: int = 1) -> np.ndarray:
    """Return `n` random permutations of a feature's own pixels, (n, 1, h, w); each keeps the feature's ink.

    Of a magnified feature its squares are permuted. The first m of n permutations are those of any other n >= m.

    Raises:
        ValueError: `feature` is not of shape (h, w).
    """
    feature = np.asarray(feature)
    if feature.ndim != 2:
        raise ValueError(f"only a feature of shape (h, w) can be permuted, not {feature.shape}")
    drawn = feature[::magnified, ::magnified]
    rows = stream("permutations", seed=seed, scope=scope).permuted(np.tile(drawn.ravel(), (n, 1)), axis=1)
    return rows.reshape(n, 1, *drawn.shape).repeat(magnified, 2).repeat(magnified, 3)


def placebo(feature: np.ndarray, *, seed: int, host: str, scope: str = "", magnified: int = 1) -> np.ndarray:
    """Return the placebo feature of a seed and kind of host, (h, w): a permutation of the feature's own pixels.

    Of a magnified feature its squares are permuted. It is neither the feature nor one of its first FIXED permutations,
    which effects are measured against.

    Raises:
        ValueError: `feature` is not of shape (h, w), or has too few arrangements to draw one from.
    """
    feature = np.asarray(feature)
    feature = feature[::magnified, ::magnified]
    taken = [feature, *permutations(feature, FIXED)[:, 0]]
    draws = stream(f"placebo, {host} host", seed=seed, scope=scope)
    for _ in range(1_000):
        drawn = draws.permuted(feature.ravel()).reshape(feature.shape)
        if not any(np.array_equal(drawn, one, equal_nan=True) for one in taken):
            return drawn.repeat(magnified, 0).repeat(magnified, 1)
    raise ValueError("feature: too few arrangements of its pixels for a placebo")


def insert(images, feature, *, position: tuple[int, int] = (1, 1)):
    """Return a copy of the images with the feature stamped in: its h x w pixels, but for transparent ones.

    Args:
        images: NumPy array or torch tensor, (C, H, W) or (N, C, H, W) with C = 1 or 3, uint8 or floating in [0, 1],
            before normalisation.
        feature: values in [0, 1], NaN where transparent, of shape (h, w), (1 or C, h, w) or (1 or N, 1 or C, h, w); one
            of N features goes to each image. On uint8 images it is scaled by 255 and rounded.
        position: (row, column) of the feature's top-left pixel; (1, 1) in the released code.

    Returns:
        The stamped images: type, dtype, shape and device are those of `images`.

    Raises:
        ValueError: shapes, types or values do not fit, all is transparent, or the feature reaches outside the image.
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
    own = (torch if is_tensor else np).isnan(feature)
    if own.all():
        raise ValueError("feature is transparent everywhere: nothing would be stamped")
    if not ((feature >= 0) & (feature <= 1) | own).all():
        raise ValueError("feature values must lie in [0, 1]: stamp before normalisation, white is 1")

    (height, width), (rows, columns), (top, left) = images.shape[-2:], feature.shape[-2:], position
    if top < 0 or left < 0 or top + rows > height or left + columns > width:
        raise ValueError(
            f"feature would cover rows {top} to {top + rows - 1} and columns {left} to {left + columns - 1} "
            f"of an image of {height} x {width} pixels, itself {rows} x {columns}: change its position or size"
        )
    stamped = images.clone() if is_tensor else images.copy()
    inside = stamped[..., top : top + rows, left : left + columns]
    values = (feature * 255).round() if is_bytes else feature
    inside[...] = (torch if is_tensor else np).where(own, inside, values)
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
