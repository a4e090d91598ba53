"""Image files as they are meant to be seen: upright, deep greys as they are, what is transparent apart."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")  # Pillow's, of eight bits a channel at most
DEPTHS = (8, 10, 12, 14, 16)  # in bits, of greys that files keep in 16


class ImageFileError(ValueError):
    """A file gives no image; the message is what its name goes before in a sentence."""


@dataclass(frozen=True, eq=False)
class ImageFile:
    """What a file shows, on its first page."""

    pixels: np.ndarray  # (H, W) in grey or (H, W, 3) in colour, uint8; grey of 16 bits is uint16
    alpha: np.ndarray | None  # (H, W) uint8, 0 where nothing is seen; None: all is
    n_pages: int  # in the file


def opened(path: str | Path, *, formats: list[str] | None = None) -> ImageFile:
    """Read an image file, of one of Pillow's `formats` or of any.

    Only regular files are opened, and none of more pixels than Pillow's limit.

    Raises an ImageFileError for what is no such file, is damaged, too large, or of pixels that eight bits do not hold.
    """
    from PIL import Image

    if not os.path.isfile(path):
        raise ImageFileError("is no regular file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata, which is not used
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=formats) as image:
                return _seen(image)
    except ImageFileError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageFileError(f"has more than {(Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels") from error
    except Exception as error:  # a damaged file ends in errors of any class
        kind = f"{' or '.join(formats)} " if formats else ""
        raise ImageFileError(f"is no {kind}image that can be read") from error


def grey(pixels: np.ndarray) -> np.ndarray:
    """Grey of pixels in colour, uint8 (H, W, 3) to (H, W), by ITU-R BT.601."""
    from PIL import Image

    return np.array(Image.fromarray(pixels).convert("L"))


def depth(largest: int) -> int:
    """How many bits greys have of which this is the largest: 8, 10, 12, 14 or 16."""
    return next(bits for bits in DEPTHS if largest < 2**bits)


def in_eight_bits(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Greys of so many bits as uint8, rounded; the largest possible one is 255."""
    return np.rint(pixels / ((2**bits - 1) / 255)).astype(np.uint8)


def _seen(image) -> ImageFile:
    """What a Pillow image shows."""
    from PIL import ImageOps

    n_pages, mode, clear = getattr(image, "n_frames", 1), image.mode, image.info.get("transparency")
    if mode.startswith("I;16") or (mode, image.format) == ("I", "PNG"):
        pixels = np.array(ImageOps.exif_transpose(image)).astype(np.uint16)
        return ImageFile(pixels, None if clear is None else np.where(pixels == clear, 0, 255).astype(np.uint8), n_pages)
    wide = ";16" in str(image.tile)  # of whose 16 bits Pillow would keep eight
    if wide or mode not in MODES:
        kind = f"{mode} in 16 bits" if wide else mode
        raise ImageFileError(f"has pixels of the kind {kind}: save it in 8 bits, or in 16 as a grey PNG")
    target = ("L" if mode in ("1", "L", "LA") else "RGB") + "A" * image.has_transparency_data
    pixels = np.array(ImageOps.exif_transpose(image).convert(target))
    alpha = None
    if image.has_transparency_data:
        pixels, alpha = pixels[..., :-1], pixels[..., -1]
        pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    if mode == "P" and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]  # a palette of greys
    return ImageFile(pixels, None if alpha is None or alpha.min() == 255 else alpha, n_pages)
