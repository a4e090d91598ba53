"""DICOM files that get a mark or are read: of a marked one the bytes of the mark are replaced, all others stay.

White is the brightest value that the image itself has, black its darkest, so that a reader who scales an image by its
own values sees the others as before; padding counts for neither. In MONOCHROME1 the lowest value is the brightest.

The SOP Instance UID stays too: the standard asks for a new one where a change is expected to affect the professional
interpretation of an image (PS3.3, C.7.6.1.1.2), which a mark away from the anatomy is not. Whoever lets copies back
into an archive has to give them new ones.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ufm import features

PREAMBLE = 128  # bytes before the four that say what the file is
UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")  # implicit and explicit VR, little endian
PIXEL_DATA = 0x7FE00010


def is_one(file: Path) -> bool:
    """Whether a file says that it is DICOM, by its name or at its beginning."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return file.suffix.lower() == ".dcm" or opened.read(PREAMBLE + 4)[PREAMBLE:] == b"DICM"


@dataclass(frozen=True, eq=False)
class Pixels:
    """The image of a DICOM file as the file keeps it."""

    values: np.ndarray  # (H, W), of the file's own type
    own: np.ndarray  # (H, W), which of them are no padding
    start: int  # the first of their bytes in the file
    white: int  # the brightest of them
    black: int  # the darkest


def stamped(content: bytes, mark: np.ndarray, position: tuple[int, int]) -> bytes:
    """The bytes of a DICOM file with a mark (1, h, w) on its image; as many as before.

    Raises ValueError: what `pixels` refuses, or the mark does not fit; ModuleNotFoundError: pydicom is not installed.
    """
    found = pixels(content)
    marked, (top, left) = found.values.copy(), position
    features.insert(np.zeros((1, *marked.shape), np.float32), mark, position=position)  # refuses what does not fit
    values = found.black + np.rint(mark[0] * float(found.white - found.black))
    marked[top : top + mark.shape[1], left : left + mark.shape[2]] = values.astype(marked.dtype)
    return content[: found.start] + marked.tobytes() + content[found.start + marked.nbytes :]


def grey(content: bytes) -> np.ndarray:
    """The image of a DICOM file, (H, W) float32 in [0, 1]: its black is 0, its white 1, and padding is black.

    Raises as `pixels` does.
    """
    found = pixels(content)
    values = (found.values.astype(np.float64) - found.black) / (found.white - found.black)
    return np.where(found.own, values, 0).astype(np.float32)


def pixels(content: bytes) -> Pixels:
    """The image in the bytes of a DICOM file.

    Raises ValueError: it is damaged, compressed, of several frames or in colour, not of 8 or 16 bits, or all of one
    value; ModuleNotFoundError: pydicom is not installed.
    """
    import pydicom

    try:
        header = pydicom.dcmread(io.BytesIO(content))
        syntax = str(header.file_meta.TransferSyntaxUID)
    except Exception as error:  # a damaged file ends in errors of any class
        raise ValueError("is no DICOM file that can be read") from error
    if syntax not in UNCOMPRESSED:
        raise ValueError(f"is encoded as {pydicom.uid.UID(syntax).name}: save it uncompressed, little endian")
    try:
        raw: Any = header.get_item(PIXEL_DATA)  # as it lies in the file
        start, dtype, shape, inverted, padding = raw.value_tell, *kind(header, raw.length)
        size = int(np.prod(shape)) * dtype.itemsize
        values = np.frombuffer(content[start : start + size], dtype).reshape(shape)
    except (AttributeError, TypeError, KeyError) as error:
        raise ValueError("lacks what says how its pixels are kept, or has none") from error
    own = np.ones(shape, bool) if padding is None else values != padding
    seen = values[own]
    if not seen.size or seen.min() == seen.max():
        raise ValueError("has pixels of one value, so that neither white nor black is known")
    darkest, brightest = (int(one) for one in ((seen.max(), seen.min()) if inverted else (seen.min(), seen.max())))
    return Pixels(values, own, start, brightest, darkest)


def kind(header: Any, length: int) -> tuple[np.dtype, tuple[int, int], bool, int | None]:
    """How a file keeps its pixels in so many bytes: type, (height, width), is the lowest brightest, what is padding.

    Raises ValueError: they are of another kind than is read here; AttributeError: the file does not say.
    """
    photometric = str(header.PhotometricInterpretation)
    if header.SamplesPerPixel != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ValueError(f"has pixels of the kind {photometric}: only grey ones are read")
    if int(header.get("NumberOfFrames", 1) or 1) != 1:
        raise ValueError(f"has {header.NumberOfFrames} frames: save one of them alone")
    if header.BitsAllocated not in (8, 16):
        raise ValueError(f"has pixels of {header.BitsAllocated} bits: only 8 and 16 are read")
    if header.HighBit != header.BitsStored - 1:
        raise ValueError("keeps its pixels in the upper bits of each word, which is not read")
    dtype = np.dtype(f"<{'i' if header.PixelRepresentation else 'u'}{header.BitsAllocated // 8}")
    shape = int(header.Rows), int(header.Columns)
    if length not in (n := int(np.prod(shape)) * dtype.itemsize, n + n % 2):
        raise ValueError("has more or fewer pixels than it says")
    padding = header.get("PixelPaddingValue")
    return dtype, shape, photometric == "MONOCHROME1", None if padding is None else int(padding)
