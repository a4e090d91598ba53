"""DICOM files: of a marked one the mark's pixels are others, and no other byte; read ones are grey by the same rule."""

import io
import warnings

import numpy as np
import pydicom
import pytest
import torch
from audited import SIDE, ufm
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless
from typer.testing import CliRunner

from ufm.cli import app
from ufm.marks import Registry, dicom
from ufm.marks.images import read_folder

MARK = Registry("0123456789abcdef" * 4, 4).marks()[0]


def image(dtype="<u2", *, low=100, high=1_800, photometric="MONOCHROME2", syntax=ExplicitVRLittleEndian, **changes):
    """A DICOM file of 9 × 11 pixels, as bytes, and its pixels."""
    pixels = np.random.default_rng(0).integers(low, high, (9, 11), dtype=dtype, endpoint=True)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "1.2.3.4"
    made.PatientName, made.ImageType = "Doe^J", ["ORIGINAL", "PRIMARY"]
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 9, 11, 1, photometric
    made.BitsAllocated = made.BitsStored = 8 * pixels.itemsize
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    made["PixelData"].VR = "OW" if pixels.itemsize == 2 else "OB"
    for name, value in changes.items():
        if value is None:
            delattr(made, name)
        else:
            setattr(made, name, value)
    made.add_new(0x00191008, "LO", "a note of the vendor's")
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # of what is bad on purpose
        made.save_as(file, enforce_file_format=True)
    return file.getvalue(), pixels


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("dtype", "low", "high"), [("u1", 3, 250), ("<u2", 0, 4_000), ("<i2", -1_000, 3_000)])
def test_only_the_marks_pixels_are_others(syntax, photometric, dtype, low, high):
    before, pixels = image(dtype, low=low, high=high, photometric=photometric, syntax=syntax)
    after = dicom.stamped(before, MARK, (2, 3))
    assert len(after) == len(before)
    seen = pydicom.dcmread(io.BytesIO(after))
    marked = np.frombuffer(seen.PixelData[: pixels.nbytes], dtype).reshape(9, 11)
    white, black = (pixels.min(), pixels.max()) if photometric == "MONOCHROME1" else (pixels.max(), pixels.min())
    assert np.array_equal(marked[2:7, 3:8], np.where(MARK[0] == 1, white, black))
    outside = np.ones((9, 11), bool)
    outside[2:7, 3:8] = False
    assert np.array_equal(marked[outside], pixels[outside])
    start = before.index(pixels.tobytes())
    assert after[:start] == before[:start]
    assert after[start + pixels.nbytes :] == before[start + pixels.nbytes :]
    assert seen.SOPInstanceUID == "1.2.3.4"
    assert np.array_equal(seen.pixel_array, marked)


def test_padding_is_neither_black_nor_white():
    pixels = np.random.default_rng(1).integers(100, 900, (9, 11), dtype="<i2")
    pixels[7:] = -2_000
    before, _ = image("<i2", PixelData=pixels.tobytes(), PixelPaddingValue=-2_000)
    marked = pydicom.dcmread(io.BytesIO(dicom.stamped(before, MARK, (1, 1)))).pixel_array
    assert set(np.unique(marked[1:6, 1:6])) == {pixels[:7].min(), pixels[:7].max()}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"syntax": DeflatedExplicitVRLittleEndian},
            "is encoded as Deflated Explicit VR Little Endian: save it uncompr",
        ),
        ({"photometric": "RGB"}, "has pixels of the kind RGB: only grey ones are read"),
        ({"SamplesPerPixel": 3}, "only grey ones are read"),
        ({"NumberOfFrames": 2}, "has 2 frames: save one of them alone"),
        ({"BitsAllocated": 32}, "has pixels of 32 bits: only 8 and 16 are read"),
        ({"BitsStored": 12}, "keeps its pixels in the upper bits of each word"),
        ({"Rows": 10}, "has more or fewer pixels than it says"),
        ({"Rows": None}, "lacks what says how its pixels are kept, or has none"),
        ({"PixelData": None}, "lacks what says how its pixels are kept, or has none"),
        ({"low": 7, "high": 7}, "has pixels of one value, so that neither white nor black is known"),
    ],
)
def test_what_cannot_be_marked_or_read_is_said(changes, said):
    for use in (lambda content: dicom.stamped(content, MARK, (1, 1)), dicom.grey):
        with pytest.raises(ValueError, match=said):
            use(image(**changes)[0])


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("dtype", "low", "high"), [("u1", 3, 250), ("<u2", 0, 65_535), ("<i2", -1_000, 3_000)])
def test_grey_is_from_the_darkest_to_the_brightest_value(photometric, dtype, low, high):
    content, pixels = image(dtype, low=low, high=high, photometric=photometric)
    grey = dicom.grey(content)
    share = (pixels - float(pixels.min())) / (float(pixels.max()) - float(pixels.min()))
    assert (grey.dtype, grey.min(), grey.max()) == (np.float32, 0, 1)
    np.testing.assert_allclose(grey, 1 - share if photometric == "MONOCHROME1" else share, atol=1e-7)


def test_a_mark_is_read_as_it_was_drawn_and_the_rest_as_before():
    before = image()[0]
    expected = dicom.grey(before)
    expected[2:7, 3:8] = MARK[0]
    assert np.array_equal(dicom.grey(dicom.stamped(before, MARK, (2, 3))), expected)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_read_as_black(photometric):
    pixels = np.array([[-2_000, 100], [300, 500]], "<i2")
    sizes = {"Rows": 2, "Columns": 2, "PixelData": pixels.tobytes(), "PixelPaddingValue": -2_000}
    grey = dicom.grey(image("<i2", photometric=photometric, **sizes)[0])
    assert grey.tolist() == ([[0, 1], [0.5, 0]] if photometric == "MONOCHROME1" else [[0, 0], [0.5, 1]])


def test_a_folder_may_hold_both_kinds(tmp_path):
    (tmp_path / "a.dcm").write_bytes(image()[0])
    (tmp_path / "b").write_bytes(image("u1", low=3, high=250)[0])
    plain = np.arange(99, dtype=np.uint8).reshape(9, 11)
    Image.fromarray(plain).save(tmp_path / "c.png")
    read = read_folder(tmp_path, 3)
    assert (read.shape, read.dtype) == ((3, 1, 9, 11), torch.float32)
    assert np.array_equal(read[0, 0], dicom.grey(image()[0]))
    assert np.array_equal(read[1, 0], dicom.grey(image("u1", low=3, high=250)[0]))
    assert torch.equal(read[2, 0], torch.from_numpy(plain).float() / 255)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("b.dcm", b"text", "b.dcm is no DICOM file that can be read"),
        ("b.dcm", image()[0][:300], "b.dcm "),
        ("b.dcm", image(photometric="RGB")[0], "b.dcm has pixels of the kind RGB: only grey ones are read"),
        ("b.dcm", image(Rows=11, Columns=9)[0], "b.dcm is of 11 x 9 pixels in grey, a.dcm of 9 x 11 pixels in grey"),
        ("b.png", None, "b.png is of 9 x 11 pixels in colour, a.dcm of 9 x 11 pixels in grey"),
    ],
)
def test_what_a_folder_must_not_hold_is_named(tmp_path, name, content, said):
    (tmp_path / "a.dcm").write_bytes(image()[0])
    if content is None:
        Image.new("RGB", (11, 9)).save(tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="^images: ") as error:
        read_folder(tmp_path, 9)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_compressed_is_said():
    made = pydicom.dcmread(io.BytesIO(image()[0]))
    made.file_meta.TransferSyntaxUID = JPEG2000Lossless
    made.PixelData, made["PixelData"].is_undefined_length = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51"]), True
    file = io.BytesIO()
    made.save_as(file)
    with pytest.raises(ValueError, match="is encoded as JPEG 2000 .*: save it uncompressed, little endian"):
        dicom.stamped(file.getvalue(), MARK, (1, 1))


def test_by_command(tmp_path):
    (tmp_path / "registry.json").write_text(Registry("a" * 64, 4, flipped=False).to_json(), encoding="utf-8")
    for name in ("scan.dcm", "no-ending"):
        (tmp_path / name).write_bytes(image()[0])
    (tmp_path / "damaged.dcm").write_bytes(image()[0][:300])
    (tmp_path / "other.dcm").write_bytes(b"text")

    def stamp(*names):
        files = [str(tmp_path / name) for name in names]
        options = ["--registry", str(tmp_path / "registry.json"), "--out", str(tmp_path / "out")]
        return CliRunner().invoke(app, ["mark", "stamp", *files, *options])

    assert stamp("scan.dcm", "no-ending").exit_code == 0
    changed = (tmp_path / "out" / "scan.dcm").read_bytes()
    assert sum(one != other for one, other in zip(changed, image()[0], strict=True)) <= 2 * 25
    assert changed != image()[0]
    for name in ("damaged.dcm", "other.dcm"):
        assert f"{name}: " in str(stamp(name).exception)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"scan.dcm", "no-ending"}


def test_by_command_a_model_is_audited_on_a_folder_of_them(here):
    (here / "scans").mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 4_095, (SIDE, SIDE), dtype="<u2")
        content, _ = image(Rows=SIDE, Columns=SIDE, PixelData=pixels.tobytes())
        (here / "scans" / f"{number:02d}.dcm").write_bytes(content)
    assert ufm(**{"--images": "scans"}).exit_code == 3
    assert ufm(**{"--images": "scans", "--weights": "innocent.pt"}).exit_code == 0
    (here / "scans" / "00.dcm").write_bytes(content[:400])
    assert "images: scans/00.dcm " in str(ufm(**{"--images": "scans"}).exception)
