"""One style sheet for all pages: every rule of its parts, of the theme's icons those that a page shows."""

import base64
import io
import re
from pathlib import Path
from types import SimpleNamespace

import pydata_sphinx_theme
import pytest
from fontTools import ttLib
from sphinx.builders.html._assets import _CascadingStyleSheet
from sphinx.errors import ExtensionError

from ufm import paths

THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
SHOWN = {"fa-solid", "fa-bars", "fa-sun"}


@pytest.fixture
def styles(monkeypatch):
    """The extension."""
    monkeypatch.syspath_prepend(str(paths.BOOK / "_ext"))
    import ufm_styles

    return ufm_styles


@pytest.fixture
def site(styles, tmp_path):
    """A site of one page, with all parts: the theme's own, and of the others a rule each."""
    static = tmp_path / "_static"
    for part in styles.PARTS:
        path = static / part.replace("*", "0123")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'@charset "UTF-8";.of-{path.stem.split(".")[0]}{{top:0}}/*# sourceMappingURL=x.map*/', encoding="utf-8"
        )
    for name in ("styles/pydata-sphinx-theme.css", *styles.SCRIPTS[:1]):
        (static / name).parent.mkdir(exist_ok=True)
        (static / name).write_bytes((THEME / name).read_bytes())
    (static / styles.SCRIPTS[1]).touch()
    (static / "vendor").symlink_to(THEME / "vendor")
    (tmp_path / "index.html").write_text(
        '<i class="fa-solid fa-bars"></i> <i class="fa-solid fa-sun fa-lg"></i>', encoding="utf-8"
    )
    return SimpleNamespace(outdir=tmp_path, builder=SimpleNamespace(format="html"))


def sheet(styles, site):
    """The sheet when all pages are there."""
    styles.write(site, None)
    return (site.outdir / "_static" / styles.SHEET).read_text(encoding="utf-8")


def test_parts_are_in_their_order_and_whole(styles, site):
    css = sheet(styles, site)
    places = [css.index(f".of-{name}") for name in ("basic", "pygments", "sphinx-book-theme", "mystnb", "ufm")]
    assert places == sorted(places)
    assert css.count("@charset") == 1
    assert "sourceMappingURL" not in css
    theme = (THEME / "styles" / "pydata-sphinx-theme.css").read_text(encoding="utf-8")
    others = styles.FACE.sub("", styles.ICON.sub("", theme))
    ours = re.sub(r"@font-face\{[^}]*\}", "", styles.ICON.sub("", css))
    assert styles.NOT_WITHIN.sub("", others) in ours


def test_icons_that_no_page_shows_are_left_out(styles, site):
    css = sheet(styles, site)
    kept = {name for rule in styles.ICON.findall(css) for name in styles.names_in([rule])}
    # Of a rule that has several names all are kept; the theme's script adds a cross.
    assert {"fa-bars", "fa-sun", "fa-xmark"} <= kept
    assert len(styles.ICON.findall(css)) == 3
    assert ".fa-lg{" in css


def test_the_font_has_every_letter_that_is_left_and_is_in_the_sheet(styles, site):
    css = sheet(styles, site)
    assert "url(../" not in css  # nothing else is asked for
    [font] = re.findall(r"url\(data:font/woff;base64,([^)]*)\)", css)
    letters = ttLib.TTFont(io.BytesIO(base64.b64decode(font))).getBestCmap()
    assert {0xF0C9, 0xF185, 0xF00D} <= letters.keys()  # of icons
    assert {0xF0F3, 0xF35D} <= letters.keys()  # of admonitions and links, which the theme writes as such
    assert 0xF015 not in letters  # a house
    assert len(base64.b64decode(font)) < 10_000


def test_a_style_of_icons_that_a_page_shows_keeps_its_font(styles, site):
    (site.outdir / "more.html").write_text('<i class="fa-brands fa-github"></i>', encoding="utf-8")
    assert len(re.findall(r"@font-face\{[^}]*base64", sheet(styles, site))) == 2


def test_pages_name_the_sheet_in_the_place_of_its_parts(styles, site):
    names = ("pygments", "styles/sphinx-book-theme", "togglebutton", "mystnb.4567", "ufm", "print")
    context = {"css_files": [_CascadingStyleSheet(f"_static/{name}.css") for name in names]}
    styles.name_it(site, "index", "page.html", context, None)
    found = [one.filename for one in context["css_files"]]
    assert found == [f"_static/{styles.SHEET}", "_static/togglebutton.css", "_static/print.css"]
    assert (site.outdir / found[0]).exists()  # so that the page is told its checksum


def test_a_part_that_is_not_there_is_an_error(styles, site):
    (site.outdir / "_static" / "ufm.css").unlink()
    with pytest.raises(ExtensionError, match=r"not there: ufm\.css$"):
        styles.write(site, None)
