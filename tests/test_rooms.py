"""The drawing of the library's rooms, made from its code."""

import importlib
import re
import xml.etree.ElementTree as ET

import pytest

from ufm import paths

PAGE = (paths.BOOK / "how-it-is-built.md").read_text(encoding="utf-8")
WAY = re.search(r"```{rooms}\n(.*?)```", PAGE, flags=re.DOTALL)[1].split()
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def extension(monkeypatch):
    """The book's Sphinx extension that draws."""
    monkeypatch.syspath_prepend(str(paths.BOOK / "_ext"))
    return importlib.import_module("ufm_rooms")


@pytest.fixture
def svg(extension):
    """The drawing of the library as it is."""
    rooms = extension.floors()
    purposes = [extension.purpose(room) for room in rooms]
    return ET.fromstring(extension.drawing(rooms, purposes, extension.arrows(rooms, extension.imports()), WAY))


def texts(svg):
    """Every line of text of a drawing and its height."""
    return [(element.text, float(element.get("y"))) for element in svg.iter(f"{SVG}text")]


def test_it_has_each_room_and_its_purpose(svg):
    words = " ".join(text for text, _ in texts(svg))
    for folder in paths.ROOT.joinpath("src", "ufm").iterdir():
        if (folder / "__init__.py").exists():
            assert f" {folder.name} " in f" {words} "
            assert importlib.import_module(f"ufm.{folder.name}").__doc__.splitlines()[0] in words
            assert folder.name in svg.get("aria-label")
        elif folder.suffix == ".py" and folder.stem != "__init__":
            assert folder.stem in words


def test_arrows_go_downwards_only(svg):
    height = dict(texts(svg))
    ups = set()
    for path in svg.iter(f"{SVG}path"):
        upper, lower = path.find(f"{SVG}title").text.split(" → ")
        start, end = re.match(r"M\S+ (\S+)C\S+ \S+ \S+ \S+ \S+ (\S+?)m", path.get("d")).groups()
        assert (float(start) < float(end)) == (height[upper] < height[lower])
        if float(start) >= float(end):
            ups.add((upper, lower))
    assert not ups


def test_it_can_be_read_at_400_pixels(svg):
    _, _, width, height = map(float, svg.get("viewBox").split())
    assert (width, height < 640) == (400, True)
    for element in svg.iter(f"{SVG}text"):
        assert float(element.get("font-size")) >= 11
        assert element.get("fill") == "currentColor"
    purposes = [element for element in svg.iter(f"{SVG}text") if element.get("x") == "114"]
    heights = sorted(float(element.get("y")) for element in purposes)
    assert all(upper + 12 <= lower for upper, lower in zip(heights, heights[1:], strict=False))
    assert not list(svg.iter(f"{SVG}rect"))


def test_an_arrow_that_others_stand_for_is_left_out(extension):
    rooms = [("roof",), ("middle",), ("cellar", "coal")]
    pairs = {("roof", "middle"), ("middle", "coal"), ("roof", "cellar"), ("cellar", "coal")}
    assert extension.arrows(rooms, pairs) == [(0, 1), (1, 2)]
    assert extension.arrows(rooms, pairs - {("middle", "coal")}) == [(0, 1), (0, 2)]
    assert extension.arrows(rooms, pairs | {("coal", "roof")}) == [(0, 1), (1, 2), (2, 0)]


def test_imports_are_found_wherever_they_stand(extension, tmp_path):
    (tmp_path / "attic").mkdir()
    for name in ("cellar", "coal", "paths"):
        (tmp_path / f"{name}.py").write_text("import os\nfrom ufm import __version__\n", encoding="utf-8")
    code = "import ufm.cellar\nfrom ufm import paths\n\n\ndef late():\n    from ufm.coal import heap\n"
    (tmp_path / "attic" / "box.py").write_text(code + "    from ufm.attic import box\n", encoding="utf-8")
    assert extension.imports(tmp_path) == {("attic", name) for name in ("cellar", "coal", "paths")}


def test_the_page_tells_the_way_in_the_order_of_the_drawing(svg):
    assert re.findall(r"^\d+\. `(\w+)` ", PAGE, flags=re.MULTILINE) == WAY
    height = dict(texts(svg))
    assert [height[str(number)] for number in range(1, len(WAY) + 1)] == [height[room] for room in WAY]
