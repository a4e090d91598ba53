"""Figures as drawings of a page: its colours and font, nothing that two of them share, and every point in its place."""

import importlib.util
import re
from io import StringIO
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ufm import paths
from ufm.book import kernel
from ufm.report import figures


def extension(name):
    """A Sphinx extension of the book, which is no package."""
    specification = importlib.util.spec_from_file_location(name, paths.BOOK / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


drawings = extension("ufm_drawings")


class Settings:
    """Takes a kernel's settings as IPython does."""

    class IPKernelApp:
        pass

    class InlineBackend:
        pass


exec(kernel.SETTINGS, {"c": Settings})


def svg(figure):
    """A figure as a kernel of the book writes it."""
    file = StringIO()
    figure.savefig(file, format="svg", **Settings.InlineBackend.print_figure_kwargs)
    return file.getvalue()


@pytest.fixture
def figure():
    figure, [axis] = figures.panels(["Title & more"], height=2)
    axis.scatter([0.1, 0.5, 0.9, 0.9], [1, 2, 3, 4], color="#D55E00")
    axis.scatter([0.2], [2], facecolors="white", edgecolors="#0072B2")
    axis.axvline(0.3, color="0.4")
    axis.plot([0, 1], [0, 4], color="black")
    return figures.closed(figure)


def colours(text):
    return set(re.findall("#[0-9a-f]{6}", text))


def test_a_figure_has_no_ground_and_is_the_same_each_time(figure):
    first, second = svg(figure), svg(figure)
    assert first == second
    assert Settings.InlineBackend.figure_formats == {"svg"}
    assert "<metadata>" not in first
    assert re.search(r'<g id="patch_1">\s*<path [^>]*style="fill: none"', first)
    assert re.search(r'<g id="patch_2">\s*<path [^>]*style="fill: none"', first)


def test_what_has_no_colour_is_the_page_s(figure):
    plain = svg(figure)
    assert colours(plain) == {"#d55e00", "#0072b2", "#ffffff", "#262626", "#666666", "#000000"}
    drawn = drawings.drawing(plain, "fig-x", "words")
    assert colours(drawn) == {"#d55e00", "#0072b2"}
    for one in ("currentColor;", "var(--pst-color-background)", "color-mix(in srgb, currentColor 60%,"):
        assert one in drawn
    assert 'fill="currentColor"' in drawn[: drawn.index(">")]  # of what says nothing, which is black


def test_a_drawing_says_what_it_shows_in_the_page_s_font(figure):
    drawn = drawings.drawing(svg(figure), "fig-x", 'Points "above" a line & more')
    root = ElementTree.fromstring(drawn)
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'Points "above" a line & more'
    assert "Title & more" in [text.text for text in root.iter("text")]
    assert not {"font-family", "<style", "<metadata", "xlink", "\n"} & {
        one for one in ("font-family", "<style", "<metadata", "xlink", "\n") if one in drawn
    }
    width = float(re.search(r"width: ([\d.]+)rem", root.get("style"))[1])
    assert width == pytest.approx(figures.WIDTH * 72 * drawings.PIXELS / 16, rel=0.1)


def test_two_drawings_of_a_page_share_no_id(figure):
    plain = svg(figure)
    one, other = (
        {element.get("id") for element in ElementTree.fromstring(drawings.drawing(plain, name, "")).iter()} - {None}
        for name in ("fig-one", "fig-other")
    )
    assert one
    assert not one & other
    for name, ids in (("fig-one", one), ("fig-other", other)):
        used = re.findall(r'(?:href="#|url\(#)([^")]+)', drawings.drawing(plain, name, ""))
        assert set(used) == ids


def test_every_point_stays_in_its_place(figure):
    plain = svg(figure)
    places = [
        [float(number) for number in point]
        for point in re.findall(r'<use xlink:href="#m\w+" x="(\S+)" y="(\S+)" style="[^"]*#d55e00', plain)
    ]
    drawn = drawings.drawing(plain, "fig-x", "")
    [group] = re.findall(r'<g style="[^"]*#d55e00[^"]*">((?:<use [^>]*/>)+)</g>', drawn)
    found = [[float(x), float(y)] for x, y in re.findall(r'x="(\S+)" y="(\S+)"', group)]
    assert len(found) == 4
    np.testing.assert_allclose(found, places, atol=0.005)


def test_pictures_keep_their_pixels():
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8) * 4
    plain = svg(figures.pictures({"one": [(image, "3: 0.5")]}))
    [before], [after] = (
        re.findall(r'base64,\s*([^"]+)"', text) for text in (plain, drawings.drawing(plain, "fig-x", ""))
    )
    assert "".join(before.split()) == after
    assert {"3", "0.5"} <= {text.text for text in ElementTree.fromstring(drawings.drawing(plain, "a", "")).iter("text")}


def test_many_points_are_short():
    figure, axis = plt.subplots(figsize=(4, 3))
    axis.scatter(*np.random.default_rng(0).random((2, 2000)), 9, color="#D55E00", alpha=0.5)
    drawn = drawings.drawing(svg(figures.closed(figure)), "fig-controls-null-known", "")
    assert len(drawn) < 2000 * 66
