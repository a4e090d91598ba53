"""Folders of one's own image files as data sets: train/CLASS/… and test/CLASS/…, as torchvision's ImageFolder has it.

All images are of one size, which is theirs: nothing is resized, for the feature is stamped on pixels. They are grey if
the first one is, else colour; what is transparent is black. Greys of 16 bits become 8, where white is the largest value
of as many bits as the folder's images use. Classes are numbered in the order of their names.
"""

import os
from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from ufm.data.arrays import Arrays, DataError
from ufm.image_files import ImageFile, ImageFileError, depth, grey, in_eight_bits, opened
from ufm.progress import remark

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
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
    pixels = image(files[0][0]).pixels
    return Described(called(path).removeprefix("./"), len(files), (1 if pixels.ndim == 2 else 3, *pixels.shape[:2]))


def listed(path: str) -> dict[str, list[tuple[Path, int]]]:
    """The image files of each split with their labels, in the order of classes and names.

    Raises a DataError that says what was looked for.
    """
    folder, classes = Path(path).expanduser(), {}
    for split in ("train", "test"):
        classes[split] = {
            one.name: [file for file in entries(one) if file.suffix.lower() in ENDINGS and file.is_file()]
            for one in entries(folder / split)
            if one.is_dir()
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


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, in the order of names; nothing where it is none."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def left_out(path: str) -> list[str]:
    """What lies in a folder beside the images that `listed` gives, each from the folder on."""
    folder = Path(path).expanduser()
    images = {file for files in listed(path).values() for file, _ in files}
    way = {parent for file in images for parent in file.parents}
    beside = [one for place in way if place.is_relative_to(folder) for one in entries(place)]
    return sorted(str(one.relative_to(folder)) for one in set(beside) - images - way)


def image(path: Path) -> ImageFile:
    """One image. Raises a DataError that names a file which is none."""
    try:
        return opened(path)
    except ImageFileError as error:
        raise DataError(f"dataset: {path} {error}") from error


def read(path: str) -> Arrays:
    """Read both splits of a folder; one line on standard error says what of it is not seen in them, and of how many.

    Raises:
        DataError: another layout, a file that is no image, images of different sizes or more than the machine's memory
            holds; one line says what.
    """
    shape, splits = described(path).shape, listed(path)
    size, memory = prod(shape) * sum(map(len, splits.values())), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > memory:
        raise DataError(f"dataset: {path} takes {size / 2**30:.1f} GiB, more than this machine has: take fewer")
    arrays: list[np.ndarray] = []
    deep: list[tuple[np.ndarray, int, np.ndarray]] = []  # greys of 16 bits, and where they go
    seen: Counter[str] = Counter()
    for files in splits.values():
        images = np.empty((len(files), *shape), np.uint8)
        for place, (file, _) in enumerate(files):
            one = image(file)
            pixels = one.pixels
            if pixels.shape[:2] != shape[1:]:
                height, width = pixels.shape[:2]
                raise DataError(
                    f"dataset: {file} has {height} × {width} pixels and the first image {shape[1]} × {shape[2]}: "
                    "make all of one size"
                )
            if one.n_pages > 1:
                seen["with further pages, which are left out"] += 1
            if one.alpha is not None:
                seen["with transparent pixels, which are black"] += 1
                alpha = one.alpha if pixels.ndim == 2 else one.alpha[..., None]
                pixels = np.rint(pixels * (alpha / 255)).astype(pixels.dtype)
            if pixels.ndim == 3 and shape[0] == 1:
                seen["in colour, which become grey as the first one is"] += 1
                pixels = grey(pixels)
            if pixels.dtype == np.uint16:
                deep.append((images, place, pixels))
            else:
                images[place] = pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        arrays += [images, np.array([label for _, label in files], np.int64)]
    if deep:
        bits = depth(max(int(pixels.max()) for _, _, pixels in deep))
        for images, place, pixels in deep:
            images[place] = in_eight_bits(pixels, bits)
        if bits < 16:
            seen[f"that use {bits} of their 16 bits, so that {2**bits - 1} is white"] = len(deep)
    said = [f"images {what}: {count}" for what, count in seen.items()]
    if beside := left_out(path):
        some = ", ".join(beside[:3]) + ", …" * (len(beside) > 3)
        said.append(f"entries that are no images of a class, which are left out: {len(beside)} ({some})")
    if said:
        remark(f"dataset: {path}: {'; '.join(said)}")
    return Arrays(*arrays)
