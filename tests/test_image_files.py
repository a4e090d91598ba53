"""Image files: every kind as it is meant to be seen, and one line for what is none."""

import os
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from ufm.image_files import ImageFileError, depth, grey, in_eight_bits, opened

RNG = np.random.default_rng(0)
COLOUR, GREY = RNG.integers(0, 256, (5, 4, 3), dtype=np.uint8), RNG.integers(0, 256, (5, 4), dtype=np.uint8)
DEEP = RNG.integers(0, 2**16, (5, 4), dtype=np.uint16)
ALPHA = np.array([[0, 1, 128, 255]] * 5, np.uint8)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, bits, kind, rows, *more):
    """A PNG file by hand: its bits a channel, its kind of pixels and its rows of bytes."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + pixels + chunk(b"IEND", b"")


def saved(pixels, kind, **how):
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind, **how)
    return file.getvalue()


def turned(pixels, kind):
    """A file that says that it is to be turned by 90 degrees clockwise."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(pixels, kind, exif=exif)


def pages(kind, **how):
    """A file of three pages, GREY the first."""
    return saved(GREY, kind, save_all=True, append_images=[Image.fromarray(GREY // 2), Image.fromarray(GREY // 3)])


@pytest.mark.parametrize(
    ("content", "pixels", "alpha", "n_pages"),
    [
        (saved(GREY, "PNG"), GREY, None, 1),
        (saved(COLOUR, "PNG"), COLOUR, None, 1),
        (saved(COLOUR, "TIFF"), COLOUR, None, 1),
        (saved(COLOUR, "WEBP", lossless=True), COLOUR, None, 1),
        (saved(GREY, "PPM"), GREY, None, 1),
        (saved(GREY > 99, "PNG"), (GREY > 99).astype(np.uint8) * 255, None, 1),
        (saved(DEEP, "PNG"), DEEP, None, 1),
        (saved(DEEP, "TIFF"), DEEP, None, 1),
        (saved(DEEP, "TIFF", compression="tiff_lzw"), DEEP, None, 1),
        (saved(DEEP.astype(">u2"), "TIFF"), DEEP, None, 1),
        (saved(np.dstack([COLOUR, ALPHA]), "PNG"), COLOUR, ALPHA, 1),
        (saved(np.dstack([COLOUR, ALPHA]), "TIFF"), COLOUR, ALPHA, 1),
        (saved(np.dstack([COLOUR, ALPHA * 0 + 255]), "PNG"), COLOUR, None, 1),
        (saved(np.dstack([GREY, ALPHA]), "PNG"), GREY, ALPHA, 1),
        (saved(GREY, "PNG", transparency=int(GREY[0, 0])), GREY, np.where(GREY[0, 0] == GREY, 0, 255), 1),
        (
            png(2, 1, 16, 0, [struct.pack(">2H", 7, 40000)], chunk(b"tRNS", b"\0\7")),
            np.array([[7, 40000]]),
            np.array([[0, 255]]),
            1,
        ),
        (png(4, 1, 2, 0, [b"\x1b"]), np.array([[0, 85, 170, 255]]), None, 1),
        (turned(GREY, "PNG"), np.rot90(GREY, -1), None, 1),
        (turned(COLOUR, "TIFF"), np.rot90(COLOUR, -1), None, 1),
        (turned(DEEP, "PNG"), np.rot90(DEEP, -1), None, 1),
        (turned(np.dstack([COLOUR, ALPHA]), "PNG"), np.rot90(COLOUR, -1), np.rot90(ALPHA, -1), 1),
        (pages("TIFF"), GREY, None, 3),
        (pages("PNG"), GREY, None, 3),
    ],
)
def test_what_files_show(tmp_path, content, pixels, alpha, n_pages):
    (tmp_path / "one").write_bytes(content)
    found = opened(tmp_path / "one")
    np.testing.assert_array_equal(found.pixels, pixels)
    assert found.pixels.dtype == (np.uint16 if pixels.max() > 255 else np.uint8)
    assert (found.alpha is None) == (alpha is None)
    if alpha is not None:
        np.testing.assert_array_equal(found.alpha, alpha)
    assert found.n_pages == n_pages


SIXTEEN = "has pixels of the kind {} in 16 bits: save it in 8 bits, or in 16 as a grey PNG"
KIND = "has pixels of the kind {}: save it in 8 bits, or in 16 as a grey PNG"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no image that can be read"),
        (saved(GREY, "PNG")[:50], "is no image that can be read"),
        (png(20_000, 20_000, 8, 0, [b""]), "has more than 89 million pixels"),
        (png(10_000, 10_000, 8, 0, [b""]), "has more than 89 million pixels"),
        (png(1, 1, 16, 2, [struct.pack(">3H", 9, 1000, 4095)]), SIXTEEN.format("RGB")),
        (png(1, 1, 16, 6, [struct.pack(">4H", 9, 1000, 4095, 9)]), SIXTEEN.format("RGBA")),
        (png(1, 1, 16, 4, [struct.pack(">2H", 1000, 65535)]), SIXTEEN.format("RGBA")),
        (saved(GREY.astype(np.float32), "TIFF"), KIND.format("F")),
        (saved(GREY.astype(np.int32), "TIFF"), KIND.format("I")),
    ],
)
def test_what_is_no_image_says_why(tmp_path, content, message):
    (tmp_path / "one").write_bytes(content)
    with pytest.raises(ImageFileError, match=f"^{message}$"):
        opened(tmp_path / "one")


@pytest.mark.parametrize(
    "error", [TypeError, struct.error, KeyError, IndexError, OverflowError, zlib.error, EOFError, RuntimeError]
)
def test_a_damaged_file_is_one_line_whatever_pillow_raises(tmp_path, monkeypatch, error):
    def exif(image):
        raise error("inside")

    (tmp_path / "one").write_bytes(saved(GREY, "PNG"))
    monkeypatch.setattr("PIL.ImageOps.exif_transpose", exif)
    with pytest.raises(ImageFileError, match="^is no image that can be read$"):
        opened(tmp_path / "one")


def with_exif(kind):
    """A colour file with tags of several types, in a folder of tags of their own too."""
    exif = Image.Exif()
    exif[0x0112], exif[0x011A], exif[0x010F] = 6, 72.0, "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    return saved(COLOUR, kind, exif=exif)


@pytest.mark.parametrize(
    ("content", "places"),
    [(turned(COLOUR, "TIFF"), (8, 72)), (with_exif("JPEG"), (41, 43, 67)), (pages("TIFF"), range(0, 120, 9))],
)
def test_a_damaged_tag_is_one_line(tmp_path, content, places):
    """In Pillow 13 a TypeError, struct.error or AttributeError."""
    refused = 0
    for place in places:
        for value in (0, 1, 5, 12):
            (tmp_path / "one").write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
            try:
                opened(tmp_path / "one")
            except ImageFileError as error:
                assert "\n" not in str(error)  # noqa: PT017
                refused += 1
    assert refused


def fifo(path):
    os.mkfifo(path)


@pytest.mark.parametrize("make", [fifo, os.mkdir, lambda path: os.symlink("/dev/zero", path), lambda path: None])
def test_only_regular_files_are_opened(tmp_path, make):
    make(tmp_path / "one.png")
    with pytest.raises(ImageFileError, match="^is no regular file$"):
        opened(tmp_path / "one.png")


def test_formats_are_those_that_were_asked_for(tmp_path):
    (tmp_path / "one.png").write_bytes(saved(GREY, "JPEG"))
    with pytest.raises(ImageFileError, match="^is no PNG image that can be read$"):
        opened(tmp_path / "one.png", formats=["PNG"])


def test_greys_in_eight_bits_by_hand():
    assert [depth(largest) for largest in (0, 255, 256, 1023, 1024, 4095, 4096, 16383, 16384, 65535)] == [
        8, 8, 10, 10, 12, 12, 14, 14, 16, 16,
    ]  # fmt: skip
    values = np.array([0, 8, 9, 2048, 4095], np.uint16)
    assert in_eight_bits(values, 12).tolist() == [0, 0, 1, 128, 255]
    assert in_eight_bits(values // 16, 8).tolist() == [0, 0, 0, 128, 255]
    every = np.arange(2**16, dtype=np.uint16)
    np.testing.assert_array_equal(in_eight_bits(every, 16), np.rint(every / 257))
    assert grey(np.array([[[255, 0, 0], [0, 255, 0], [9, 9, 9]]], np.uint8)).tolist() == [[76, 150, 9]]
