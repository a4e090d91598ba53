"""DICOM files that get a mark: the bytes of its pixels are replaced, every other byte of the file stays.

White is the brightest value that the image itself has, black its darkest, so that a reader who scales an image by its
own values sees the others as before; padding counts for neither. In MONOCHROME1 the lowest value is the brightest.

The SOP Instance UID stays too: the standard asks for a new one where a change is expected to affect the professional
interpretation of an image (PS3.3, C.7.6.1.1.2), which a mark away from the anatomy is not. Whoever lets copies back
into an archive has to give them new ones.
"""

import io
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


def stamped(content: bytes, mark: np.ndarray, position: tuple[int, int]) -> bytes:
    """The bytes of a DICOM file with a mark (1, h, w) on its image; as many as before.

    Raises ValueError: it is damaged, compressed, of several frames or in colour, not of 8 or 16 bits, all of one value,
    or the mark does not fit; ModuleNotFoundError: pydicom is not installed.
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
        pixels = np.frombuffer(content[start : start + size], dtype).reshape(shape).copy()
    except (AttributeError, TypeError, KeyError) as error:
        raise ValueError("lacks what says how its pixels are kept, or has none") from error
    own = pixels[pixels != padding] if padding is not None else pixels
    if not own.size or own.min() == own.max():
        raise ValueError("has pixels of one value, so that no mark can be seen on it")
    white, black = (own.min(), own.max()) if inverted else (own.max(), own.min())
    top, left = position
    features.insert(np.zeros((1, *shape), np.float32), mark, position=position)  # which refuses what does not fit
    values = black + np.rint(mark[0] * (float(white) - float(black)))
    pixels[top : top + mark.shape[1], left : left + mark.shape[2]] = values.astype(dtype)
    return content[:start] + pixels.tobytes() + content[start + size :]


def kind(header: Any, length: int) -> tuple[np.dtype, tuple[int, int], bool, int | None]:
    """How a file keeps its pixels in so many bytes: type, (height, width), is the lowest brightest, what is padding.

    Raises ValueError: they are of another kind than is marked here; AttributeError: the file does not say.
    """
    photometric = str(header.PhotometricInterpretation)
    if header.SamplesPerPixel != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ValueError(f"has pixels of the kind {photometric}: only grey ones are marked")
    if int(header.get("NumberOfFrames", 1) or 1) != 1:
        raise ValueError(f"has {header.NumberOfFrames} frames: save the one that is to be marked alone")
    if header.BitsAllocated not in (8, 16):
        raise ValueError(f"has pixels of {header.BitsAllocated} bits: only 8 and 16 are marked")
    if header.HighBit != header.BitsStored - 1:
        raise ValueError("keeps its pixels in the upper bits of each word, which is not marked")
    dtype = np.dtype(f"<{'i' if header.PixelRepresentation else 'u'}{header.BitsAllocated // 8}")
    shape = int(header.Rows), int(header.Columns)
    if length not in (n := int(np.prod(shape)) * dtype.itemsize, n + n % 2):
        raise ValueError("has more or fewer pixels than it says")
    padding = header.get("PixelPaddingValue")
    return dtype, shape, photometric == "MONOCHROME1", None if padding is None else int(padding)
