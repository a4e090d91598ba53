"""Folders of one's own image files as data sets: train/CLASS/… and test/CLASS/…, as torchvision's ImageFolder has it.

All images are of one size, which is theirs: nothing is resized, for the feature is stamped on pixels. They are grey if
the first one is, else colour. Classes are numbered in the order of their names.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ufm.data.arrays import Arrays, DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
LAYOUT = "train/CLASS/ and test/CLASS/ with the same classes, at least two, and image files in each"


@dataclass(frozen=True)
class Described:
    """What a folder holds."""

    title: str  # the folder's name
    n_train: int
    shape: tuple[int, int, int]  # (C, H, W) of every image


def is_folder(name: str) -> bool:
    """Whether the name of a data set is the path of a folder: it has a separator, such as "./scans"."""
    return "/" in name


def called(name: str) -> str:
    """What a data set is called in records and random streams: a folder by its own name, wherever it lies."""
    return f"./{Path(name).expanduser().resolve().name}" if is_folder(name) else name


def described(path: str) -> Described:
    """What a folder holds, from its layout and its first image. Raises DataError as `read` does."""
    files = listed(path)["train"]
    pixels = opened(files[0][0])
    return Described(called(path).removeprefix("./"), len(files), (1 if pixels.ndim == 2 else 3, *pixels.shape[:2]))


def listed(path: str) -> dict[str, list[tuple[Path, int]]]:
    """The image files of each split with their labels, in the order of classes and names.

    Raises a DataError that says what was looked for.
    """
    folder, classes = Path(path).expanduser(), {}
    for split in ("train", "test"):
        there = sorted(one for one in (folder / split).glob("*") if one.is_dir())
        classes[split] = {
            one.name: sorted(file for file in one.iterdir() if file.suffix.lower() in ENDINGS) for one in there
        }
    names = list(classes["train"])
    if len(names) < 2 or names != list(classes["test"]):
        found = " and ".join(f"{split}/ with {', '.join(of) or 'none'}" for split, of in classes.items())
        raise DataError(f"dataset: {folder} needs {LAYOUT}; there is {found}")
    for split, of in classes.items():
        for name, files in of.items():
            if not files:
                raise DataError(f"dataset: {folder / split / name} holds no image ({', '.join(ENDINGS)})")
    return {
        split: [(file, label) for label, files in enumerate(of.values()) for file in files]
        for split, of in classes.items()
    }


def opened(path: Path, *, colour: bool | None = None) -> np.ndarray:
    """One image, uint8 (H, W) in grey or (H, W, 3) in colour; None: as the file has it.

    Raises a DataError that names a file which is no image.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            mode, upright = image.mode, ImageOps.exif_transpose(image)
            if mode == "I;16":
                grey = np.rint(np.array(upright) / 257).astype(np.uint8)  # Pillow would cut 16 bits off at 255
                return np.repeat(grey[..., None], 3, axis=2) if colour else grey
            pixels = np.array(upright.convert("L" if mode in ("1", "L", "LA") else "RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"dataset: {path} is no image that can be read") from error
    if mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"):
        raise DataError(f"dataset: {path} has pixels of the kind {mode}: save it in 8 bits, or in 16 as a grey PNG")
    if pixels.ndim == 3 and mode == "P" and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]  # a palette of greys
    if colour is None or colour == (pixels.ndim == 3):
        return pixels
    return np.repeat(pixels[..., None], 3, axis=2) if colour else np.array(Image.fromarray(pixels).convert("L"))


def read(path: str) -> Arrays:
    """Read both splits of a folder.

    Raises:
        DataError: another layout, a file that is no image, or images of different sizes; one line says what.
    """
    shape = described(path).shape
    arrays: list[np.ndarray] = []
    for files in listed(path).values():
        images = np.empty((len(files), *shape), np.uint8)
        for place, (file, _) in enumerate(files):
            pixels = opened(file, colour=shape[0] == 3)
            if pixels.shape[:2] != shape[1:]:
                height, width = pixels.shape[:2]
                raise DataError(
                    f"dataset: {file} has {height} × {width} pixels and the first image {shape[1]} × {shape[2]}: "
                    "make all of one size"
                )
            images[place] = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        arrays += [images, np.array([label for _, label in files], np.int64)]
    return Arrays(*arrays)
