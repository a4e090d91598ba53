"""Folders of one's own images: read as they are, and what is wrong with them is said in one line."""

import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from ufm.data import datasets, folders, sources
from ufm.data.arrays import DataError
from ufm.data.sources import checksum, source
from ufm.networks import MLP
from ufm.protocol import Protocol, Scoring, Training
from ufm.study import seeds
from ufm.study.runs import Run

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (2, 2, 6, 12, 14), dtype=np.uint8)  # split, class, image, row, column


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """Nothing is remembered of a folder of another test, and records are the test's own."""
    for cached in (sources.folder_source, sources.checksum, sources.read, datasets._load, datasets._ood_images):
        cached.cache_clear()
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "records"))
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "runs"))


@pytest.fixture
def folder(tmp_path):
    """Grey images, twelve a split."""
    for split, of_split in zip(("train", "test"), PIXELS, strict=True):
        for name, images in zip(("healthy", "ill"), of_split, strict=True):
            where = tmp_path / "scans" / split / name
            where.mkdir(parents=True)
            for number, pixels in enumerate(images):
                Image.fromarray(pixels).save(where / f"{number}.png")
    (tmp_path / "scans" / "train" / "ill" / "notes.txt").write_text("no image", encoding="utf-8")
    return tmp_path / "scans"


def colour(path):
    Image.fromarray(RNG.integers(0, 256, (12, 14, 3), dtype=np.uint8)).save(path)


def test_images_and_labels_are_those_of_the_files(folder):
    data = datasets.load(str(folder))
    np.testing.assert_array_equal(data.train_images, PIXELS[0].reshape(12, 1, 12, 14))
    np.testing.assert_array_equal(data.test_images, PIXELS[1].reshape(12, 1, 12, 14))
    assert data.train_labels.tolist() == data.test_labels.tolist() == [0] * 6 + [1] * 6
    assert data.n_classes == 2
    assert (source(str(folder)).title, source(str(folder)).shape) == ("scans", (1, 12, 14))
    assert data.mean[0] == pytest.approx(PIXELS[0].mean() / 255, abs=1e-4)


def test_colour_is_kept_and_one_image_of_16_bits_is_scaled(folder):
    for split in ("train", "test"):
        for name in ("healthy", "ill"):
            for number in range(6):
                colour(folder / split / name / f"{number}.png")
    deep = RNG.integers(0, 2**16, (12, 14), dtype=np.uint16)
    assert datasets.load(str(folder)).train_images.shape == (12, 3, 12, 14)
    shutil.rmtree(folder / "train" / "healthy")
    (folder / "train" / "healthy").mkdir()
    Image.fromarray(deep).save(folder / "train" / "healthy" / "0.png")
    for cached in (sources.folder_source, sources.read, datasets._load):
        cached.cache_clear()
    data = datasets.load(str(folder))
    assert data.train_images.shape == (7, 1, 12, 14)
    np.testing.assert_array_equal(data.train_images[0, 0], np.rint(deep / 257))


def test_the_checksum_is_of_the_pixels(folder):
    before = checksum(str(folder))
    Image.fromarray(255 - PIXELS[0, 0, 0]).save(folder / "train" / "healthy" / "0.png")
    for cached in (sources.folder_source, sources.checksum, sources.read):
        cached.cache_clear()
    assert checksum(str(folder)) != before


def test_a_seed_is_trained_and_measured_on_a_folder(folder):
    protocol = Protocol(
        str(folder),
        model=MLP(hidden=(8,)),
        training=Training(batch_size=4, epochs=2, early_stopping="none", precision="float64"),
        scoring=Scoring("photo_patches", n_ood=60, n_effect=20),
        measure="short card",
        roles=("canary", "placebo"),
        planned=(0, 0),
    )
    [(entry, measured)] = seeds.finish(protocol, [3])
    assert measured.arrays["ood_shift"].shape == (3, 52, 2)
    assert measured.tables["models"]["dataset"].unique().tolist() == ["./scans"]
    assert str(folder) not in str(entry)
    assert entry["identity"]["data"][0] == checksum(str(folder))


def test_a_folder_is_the_same_wherever_it_lies_and_however_it_is_written(folder, tmp_path, monkeypatch):
    def protocol(path):
        return Protocol(path, model=MLP(hidden=(8,)), scoring=Scoring("photo_patches"))

    first = protocol(str(folder)).fingerprint(0)
    monkeypatch.chdir(folder.parent)
    assert protocol("./scans").fingerprint(0) == first
    assert datasets.load("./scans").scope == datasets.load(str(folder)).scope == "./scans/full"
    shutil.copytree(folder, tmp_path / "elsewhere" / "scans")
    assert protocol(f"{tmp_path}/elsewhere/scans/").fingerprint(0) == first
    with pytest.raises(ValueError, match="^ood_set: ./scans is what the models are trained on"):
        Protocol(str(folder), scoring=Scoring("./scans"))


def test_folders_of_more_classes_than_ood_images_have_need_no_label_of_theirs(tmp_path):
    for split in ("train", "test"):
        for number in range(12):
            where = tmp_path / "many" / split / f"{number:02}"
            where.mkdir(parents=True)
            for image in range(2):
                Image.fromarray(RNG.integers(0, 256, (12, 14), dtype=np.uint8)).save(where / f"{image}.png")
    training = Training(batch_size=4, epochs=1, early_stopping="none", precision="float64")
    scoring = Scoring("photo_patches", n_ood=60, n_effect=20)
    short = Protocol(
        f"{tmp_path}/many", None, MLP(hidden=(8,)), training, scoring, measure="short card", planned=(0, 0)
    )
    labels = {seeds.finish(short, [seed])[0][1].arrays["host_label"][0] for seed in range(12)}
    assert max(labels) > 9


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [(np.full((12, 14), 0.5, np.float32), "F"), (np.full((12, 14), 100_000, np.int32), "I")],
)
def test_pixels_that_eight_bits_do_not_hold_are_refused(folder, pixels, mode):
    Image.fromarray(pixels).save(folder / "train" / "ill" / "6.tif")
    with pytest.raises(DataError, match=f"train/ill/6.tif has pixels of the kind {mode}: save it in 8 bits"):
        datasets.load(str(folder))


def test_a_palette_of_greys_is_grey_and_a_photograph_is_turned_as_it_says(folder):
    for split in ("train", "test"):
        for name in ("healthy", "ill"):
            for number in range(6):
                file = folder / split / name / f"{number}.png"
                Image.open(file).convert("P").save(file)
    turned = Image.new("L", (12, 14))
    turned.putpixel((0, 0), 255)
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned.save(folder / "train" / "healthy" / "7.png", exif=exif)
    data = datasets.load(str(folder))
    assert data.train_images.shape == (13, 1, 12, 14)
    np.testing.assert_array_equal(data.train_images[0, 0], PIXELS[0, 0, 0])
    assert np.argwhere(data.train_images[6, 0] == 255).tolist() == [[0, 13]]


def test_a_chapter_can_be_asked_for_a_folder(folder):
    sweep = Run("method", {"profile": "embedded", "dataset": str(folder)}).sweeps["method"]
    assert sweep.protocol.dataset == str(folder)
    sweep = Run("method", {"profile": "embedded", "ood_set": str(folder)}).sweeps["method"]
    assert sweep.protocol.scoring.ood_set == str(folder)


def emptied(folder):
    for file in (folder / "test" / "ill").iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: shutil.rmtree(folder / "test"),
            "needs train/CLASS/ and test/CLASS/ .*train/ with healthy, ill and test/ with none",
        ),
        (lambda folder: shutil.rmtree(folder), "train/ with none and test/ with none"),
        (
            lambda folder: (folder / "train" / "ill").rename(folder / "train" / "sick"),
            "train/ with healthy, sick and test/ with healthy, ill",
        ),
        (emptied, "test/ill holds no image [(].png, .jpg"),
        (
            lambda folder: (folder / "train" / "ill" / "3.png").write_bytes(b"nothing"),
            "train/ill/3.png is no image that can be read",
        ),
        (
            lambda folder: Image.fromarray(PIXELS[0, 0, 0][:10]).save(folder / "test" / "ill" / "2.png"),
            "test/ill/2.png has 10 × 14 pixels and the first image 12 × 14: make all of one size",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_one_line(folder, damage, message):
    damage(folder)
    with pytest.raises(DataError, match=f"^dataset: .*{message}") as raised:
        datasets.load(str(folder))
    assert "\n" not in str(raised.value)


def test_a_name_without_a_separator_is_no_folder():
    with pytest.raises(
        ValueError, match="^unknown data set 'scans': choose from digits, .*, or give the path of a folder$"
    ):
        datasets.load("scans")


# What of a folder is not seen


def each(folder):
    """Every image file of a folder."""
    return sorted(folder.rglob("*.png"))


def transparent(folder):
    for file in each(folder)[:3]:
        grey = np.array(Image.open(file))
        Image.fromarray(np.dstack([grey, np.where(grey < 128, 0, 255).astype(np.uint8)])).save(file)


def paged(folder):
    images = [Image.fromarray(pixels) for pixels in PIXELS[0, 0, :3]]
    images[0].save(folder / "train" / "healthy" / "0.tif", save_all=True, append_images=images[1:])


def deep(folder, bits=12):
    for number, file in enumerate(each(folder)):
        pixels = np.arange(12 * 14, dtype=np.uint16).reshape(12, 14) * 4 + number
        pixels[0, 0] = 2**bits - 1
        Image.fromarray(pixels).save(file)


def others(folder):
    for name in ("train/ill/0.gif", "train/ill/old/1.png", "train/2.png", "validation/ill/3.png", "test/ill/.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "train" / "ill" / "0.png", folder / name)
    os.mkfifo(folder / "test" / "ill" / "pipe.png")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (transparent, "images with transparent pixels, which are black: 3"),
        (paged, "images with further pages, which are left out: 1"),
        (deep, "images that use 12 of their 16 bits, so that 4095 is white: 24"),
        (lambda folder: colour(folder / "test" / "ill" / "9.png"), "images in colour, which become grey as .* is: 1"),
        (others, r"entries that are no images of a class, .*: 7 [(]test/ill/.png, test/ill/pipe.png, .*, …[)]"),
        (lambda folder: None, r"entries that are no images of a class, .*: 1 [(]train/ill/notes.txt[)]"),
        (lambda folder: deep(folder, bits=16), "entries .*: 1 [(]train/ill/notes.txt[)]"),
    ],
)
def test_what_is_not_seen_of_a_folder_is_said_in_one_line(folder, change, line, capfd):
    change(folder)
    datasets.load(str(folder))
    [said] = capfd.readouterr().err.splitlines()
    assert said.startswith(f"dataset: {folder}: ")
    assert re.search(f"(: |; ){line}($|; )", said)


def test_a_folder_that_is_seen_as_it_is_says_nothing(folder, capfd):
    (folder / "train" / "ill" / "notes.txt").unlink()
    datasets.load(str(folder))
    assert capfd.readouterr().err == ""


def test_twelve_bits_in_sixteen_keep_their_greys(folder):
    deep(folder)
    number = each(folder).index(folder / "train" / "healthy" / "0.png")
    expected = (np.arange(12 * 14).reshape(12, 14) * 4 + number) * 255 / 4095
    expected[0, 0] = 255
    np.testing.assert_array_equal(datasets.load(str(folder)).train_images[0, 0], np.rint(expected))


def test_colour_under_transparent_pixels_is_not_seen(folder):
    transparent(folder)
    data = datasets.load(str(folder))
    hidden = PIXELS[1, 0, :3] < 128
    np.testing.assert_array_equal(data.test_images[:3, 0], np.where(hidden, 0, PIXELS[1, 0, :3]))


def test_colours_half_transparent_are_half_as_bright_in_every_channel(folder):
    pixels = RNG.integers(0, 256, (12, 14, 3), dtype=np.uint8)
    for file in each(folder):
        Image.fromarray(np.dstack([pixels, np.full((12, 14), 102, np.uint8)])).save(file)
    found = datasets.load(str(folder)).train_images[0]
    np.testing.assert_allclose(found, pixels.transpose(2, 0, 1) * 0.4, atol=0.501)


def test_images_that_memory_cannot_hold_are_refused_before_they_are_read(folder, monkeypatch):
    monkeypatch.setattr(folders.os, "sysconf", lambda name: 60)
    with pytest.raises(DataError, match="^dataset: .*scans takes 0.0 GiB, more than this machine has: take fewer$"):
        datasets.load(str(folder))


def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch):
    def iterdir(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(folders.Path, "iterdir", iterdir)
    with pytest.raises(PermissionError, match="scans/train"):
        datasets.load(str(folder))
