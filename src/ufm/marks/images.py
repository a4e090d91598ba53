"""Image files that get a mark: copies, of the kind that they were, in which only the mark's pixels are others."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ufm import features, image_files
from ufm.marks import dicom
from ufm.marks.registry import Registry, RegistryError

if TYPE_CHECKING:
    import torch

FORMATS = ["PNG", "JPEG"]


def plant(
    registry: Registry, files: Sequence[Path], out: Path, *, label: int | None = None
) -> tuple[Registry, dict[Path, bytes]]:
    """Give the next marks of a registry to image files, one to each, and stamp those that the coin plants.

    The registry afterwards, and the copies that are to lie in the folder `out`, under the same names, of an image whose
    mark is kept back to the byte; nothing is written, and the files themselves stay as they are. An image that the
    registry has already keeps its own mark, so that what was broken off can be repeated. A marked PNG is kept to the
    pixel, a JPEG in its own quality, so that some of what surrounds the mark changes a little; of a DICOM file every
    other byte stays, see `ufm.marks.dicom`.

    Raises ValueError: more files than marks that are left, two of one name, one that is there already and is another,
    no PNG or JPEG of eight bits and no DICOM file that `ufm.marks.dicom` can mark, an image on which the mark does not
    fit, or one given a mark before under another label.
    """
    marks, contents, before = registry.marks(), {}, {one.image for one in registry.given()}
    fresh = [file for file in files if file.name not in before]
    if len(fresh) > (left := len(registry.left())):
        raise RegistryError(f"registry: {left} of its marks are left, too few for {len(fresh)} images")
    for file in fresh:
        registry = registry.with_next(file.name, label)
    for one in registry.given():
        for file in (file for file in files if file.name == one.image):
            if one.label != label:
                raise RegistryError(f"label: {file.name} was given its mark under {one.label}, not {label}")
            path, content = out / file.name, stamped(file, marks[one.mark], registry.position)
            if one in registry.kept_back:  # of which it was seen all the same that the mark fits, lest the coin tells
                content = file.read_bytes()
            if path.exists() and path.read_bytes() != content:
                raise ValueError(f"{path}: is there already and another; name another folder, nothing is overwritten")
            contents[path] = content
    return registry, contents


def stamped(file: Path, mark: np.ndarray, position: tuple[int, int]) -> bytes:
    """The content of an image file with a mark (1, h, w) on it. Raises ValueError as `plant` does, naming the file."""
    from PIL import Image, JpegImagePlugin

    try:
        if dicom.is_one(file):
            return dicom.stamped(file.read_bytes(), mark, position)
        image_files.opened(file, formats=FORMATS)  # which refuses what is damaged, too large or no image
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=FORMATS) as image:  # of its notes
            if image.mode not in ("L", "RGB"):
                raise ValueError(f"has pixels of the kind {image.mode}: save it in 8 bits, grey or RGB")
            pixels = np.array(image)
            channels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
            marked = features.insert(channels, mark, position=position)
            new = Image.fromarray(marked[0] if pixels.ndim == 2 else np.moveaxis(marked, 0, -1))
            settings = {"exif": image.info["exif"]} if "exif" in image.info else {}
            if isinstance(image, JpegImagePlugin.JpegImageFile):
                sampling = JpegImagePlugin.get_sampling(image)
                settings |= {"qtables": image.quantization} | ({} if sampling < 0 else {"subsampling": sampling})
            content = io.BytesIO()
            new.save(content, format=image.format, **settings)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return content.getvalue()


def read_folder(folder: Path, n: int) -> "torch.Tensor":
    """The first n images of a folder, by name: (n, 1 or 3, H, W) float32 in [0, 1].

    A DICOM file is grey, as `ufm.marks.dicom` says, and may lie among others of its size.

    Raises ValueError: no folder, no images in it, a file that is none, or images of several sizes or kinds.
    """
    import torch

    if not folder.is_dir():
        raise ValueError(f"images: {folder} is no folder")
    if n < 1:
        raise ValueError(f"n_images: must be at least 1, not {n}")
    found: dict[Path, np.ndarray] = {}
    for file in sorted(one for one in folder.iterdir() if one.is_file() and not one.name.startswith("."))[:n]:
        try:
            pixels = dicom.grey(file.read_bytes()) if dicom.is_one(file) else in_unit(image_files.opened(file).pixels)
        except ValueError as error:
            raise ValueError(f"images: {file} {error}") from error
        found[file] = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    if not found:
        raise ValueError(f"images: {folder} holds no files")
    first = next(iter(found))
    for file, pixels in found.items():
        if pixels.shape != found[first].shape:
            raise ValueError(f"images: {file} is of {said(pixels)}, {first.name} of {said(found[first])}")
    return torch.from_numpy(np.stack(list(found.values())))


def in_unit(pixels: np.ndarray) -> np.ndarray:
    """Pixels of eight bits as float32 in [0, 1]. Raises ValueError for others."""
    if pixels.dtype != np.uint8:
        raise ValueError("has greys of 16 bits; save it in 8")
    return pixels.astype(np.float32) / 255


def said(pixels: np.ndarray) -> str:
    """The shape of pixels (C, H, W) in words."""
    return f"{pixels.shape[1]} x {pixels.shape[2]} pixels in {'grey' if len(pixels) == 1 else 'colour'}"
