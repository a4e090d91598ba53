"""Marks on files: copies in which only the mark is another, a registry that says so, and nothing overwritten."""

import json
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ufm.cli import app
from ufm.files import locked
from ufm.marks import Planted, Registry, new, read
from ufm.marks.images import plant


@pytest.fixture
def folder(tmp_path):
    """Two grey PNG, one colour PNG and one JPEG of 12 × 10 pixels, by their names."""
    rng, made = np.random.default_rng(0), {}
    for name, shape in (("a.png", (12, 10)), ("b.png", (12, 10)), ("c.png", (12, 10, 3)), ("d.jpg", (12, 10, 3))):
        made[name] = tmp_path / "images" / name
        made[name].parent.mkdir(exist_ok=True)
        notes = Image.Exif()
        notes[0x010E] = "left hand"
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(made[name], quality=90, exif=notes)
    return made


def ufm(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def unflipped(n=4, **settings):
    return Registry("0123456789abcdef" * 4, n, flipped=False, **settings)


def test_only_the_pixels_of_the_mark_are_others(folder, tmp_path):
    registry, copies = plant(unflipped(position=(2, 3)), [folder["a.png"], folder["c.png"]], tmp_path / "out", label=1)
    assert registry.planted == (Planted(0, "a.png", 1), Planted(1, "c.png", 1))
    for (path, content), mark in zip(copies.items(), registry.marks(), strict=False):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        before, after = (np.array(Image.open(one)) for one in (folder[path.name], path))
        white = np.repeat(mark[0][..., None], 3, -1) if before.ndim == 3 else mark[0]
        assert np.array_equal(after[2:7, 3:8], (255 * white).astype(np.uint8))
        after[2:7, 3:8] = before[2:7, 3:8]
        assert np.array_equal(after, before)


def test_a_jpeg_keeps_its_quality_and_its_notes(folder, tmp_path):
    _, copies = plant(unflipped(), [folder["d.jpg"]], tmp_path)
    [(path, content)] = copies.items()
    path.write_bytes(content)
    before, after = Image.open(folder["d.jpg"]), Image.open(path)
    assert after.quantization == before.quantization
    assert after.info["exif"] == before.info["exif"]
    change = np.abs(np.array(after).astype(int) - np.array(before))
    assert change[1:6, 1:6].max() > 60
    assert change[:, 9:].max() < 60


def test_by_command_from_new_to_stamped(folder, tmp_path):
    made = ufm("mark", "new", "--n", 40, "--out", tmp_path / "marks")
    assert made.exit_code == 0
    path = tmp_path / "marks" / "registry.json"
    registry = read(path)
    assert registry.seal in made.stdout
    assert path.stat().st_mode & 0o777 == 0o600  # for it holds the secret
    assert "40 marks, each for an image of its own, on which a coin says whether it is planted" in made.stdout
    out = tmp_path / "out"
    stamped = ufm("mark", "stamp", folder["a.png"], folder["d.jpg"], "--registry", path, "--out", out, "--label", 3)
    assert stamped.exit_code == 0
    assert {file.name for file in out.iterdir()} == {"a.png", "d.jpg"}
    after = read(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert after.seal == registry.seal
    assert after.given() == [Planted(0, "a.png", 3), Planted(1, "d.jpg", 3)]
    assert [one.mark for one in after.planted] == np.flatnonzero(registry.to_plant()[:2]).tolist()
    assert "38 marks are left" in stamped.stdout
    back = 2 - registry.to_plant()[:2].sum()
    assert (f"{back} as they were, by their coins: hand over all of them" in stamped.stdout) == (back > 0)


def test_what_was_broken_off_is_repeated_and_nothing_is_planted_twice(folder, tmp_path):
    registry, copies = plant(unflipped(), [folder["a.png"], folder["b.png"]], tmp_path)
    [*copies][0].write_bytes([*copies.values()][0])  # the registry was written and one of the two copies
    again, same = plant(registry, [folder["a.png"], folder["b.png"], folder["c.png"]], tmp_path)
    assert again.planted[:2] == registry.planted
    assert {path: same[path] for path in copies} == copies
    assert again.planted[2].image == "c.png"


def other(path):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"mine")


@pytest.mark.parametrize(
    ("spoil", "arguments", "said"),
    [
        (None, ["gone.png"], "gone.png: is no regular file"),
        (lambda f, out: (f / "a.png").write_bytes(b"GIF89a"), ["a.png"], "is no PNG or JPEG image that can be read"),
        (lambda f, out: (f / "a.png").write_bytes((f / "a.png").read_bytes()[:60]), ["a.png"], "that can be read"),
        (lambda f, out: Image.new("RGBA", (12, 12)).save(f / "a.png"), ["a.png"], "has pixels of the kind RGBA"),
        (lambda f, out: Image.new("I;16", (12, 12)).save(f / "a.png"), ["a.png"], "has pixels of the kind I;16"),
        (lambda f, out: Image.new("L", (4, 4)).save(f / "a.png"), ["a.png"], "feature would cover rows 1 to 5"),
        (lambda f, out: other(out / "a.png"), ["a.png"], "is there already and another"),
        (None, ["a.png", "a.png"], "image: a.png has a mark already"),
        (None, ["a.png", "b.png", "c.png", "d.jpg"], "1 of its marks are left, too few for 4 images"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(folder, tmp_path, spoil, arguments, said):
    path, out, images = tmp_path / "registry.json", tmp_path / "out", tmp_path / "images"
    registry = unflipped(2)
    path.write_text(registry.with_planted(Planted(1, "before.png")).to_json(), encoding="utf-8")
    if "a.png" in arguments and arguments.count("a.png") == 2:
        path.write_text(registry.to_json(), encoding="utf-8")
    if spoil:
        spoil(images, out)
    before = path.read_text(encoding="utf-8"), sorted(out.iterdir()) if out.exists() else []
    files = [images / one if "." in one else one for one in arguments]
    found = ufm("mark", "stamp", *files, "--registry", path, "--out", out)
    assert found.exit_code != 0
    assert said in (found.stderr if found.exit_code == 2 else str(found.exception))
    assert (path.read_text(encoding="utf-8"), sorted(out.iterdir()) if out.exists() else []) == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "is no registry of marks, for it is no text"),
        (b"{}", "is no registry of marks: its schema is not"),
        (json.dumps({"schema": "ufm marks 1"}).encode(), "is no whole registry of marks"),
        (new(4).to_json().replace('"n": 4', '"n": 5').encode(), "was changed since it was written"),
    ],
)
def test_a_registry_that_is_none_is_named(tmp_path, content, said):
    path = tmp_path / "registry.json"
    path.write_bytes(content)
    found = ufm("mark", "stamp", tmp_path / "a.png", "--registry", path, "--out", tmp_path)
    assert str(path) in str(found.exception)
    assert said in str(found.exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--n", 27, "--family", "letters"], "n: there are 26 letters, not 27"),
        (["--n", 5, "--size", "5"], "size: '5' is not of the form 5x5"),
        (["--n", 5, "--position", "1;1"], "position: '1;1' is not of the form 5,5"),
        (["--n", 5, "--family", "emoji"], "family: 'emoji' is not one of"),
        (["--n", 0], "n and size: must be at least 1"),
    ],
)
def test_marks_that_cannot_be_drawn(tmp_path, arguments, said):
    found = ufm("mark", "new", *arguments, "--out", tmp_path / "marks")
    assert said in str(found.exception)
    assert not (tmp_path / "marks").exists()


def test_no_registry_is_overwritten(tmp_path):
    ufm("mark", "new", "--n", 4, "--out", tmp_path)
    before = (tmp_path / "registry.json").read_bytes()
    assert "no registry is overwritten" in str(ufm("mark", "new", "--n", 4, "--out", tmp_path).exception)
    assert (tmp_path / "registry.json").read_bytes() == before


def test_two_at_once_plant_no_mark_twice(folder, tmp_path):
    path = tmp_path / "registry.json"
    path.write_text(unflipped(2).to_json(), encoding="utf-8")
    with ThreadPoolExecutor(1) as pool, locked(tmp_path):
        second = pool.submit(ufm, "mark", "stamp", folder["b.png"], "--registry", path, "--out", tmp_path / "out")
        first, _ = plant(read(path), [folder["a.png"]], tmp_path / "out")
        wait({second}, timeout=0.2)
        assert not second.done()
        path.write_text(first.to_json(), encoding="utf-8")
    assert second.result().exit_code == 0
    assert [(one.mark, one.image) for one in read(path).planted] == [(0, "a.png"), (1, "b.png")]
