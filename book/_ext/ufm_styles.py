"""Sphinx extension of this book: one style sheet for every page, without the icons that none of them shows.

A page is not shown before its style sheets are there. Most of the theme's are two thousand icons and three fonts of
them, of which the pages show a dozen.
"""

import base64
import io
import re
from pathlib import Path

from fontTools import subset, ttLib
from sphinx.errors import ExtensionError

SHEET = "book.css"
# What it is made of, in the order in which a page would load them, by place under _static.
PARTS = (
    "basic.css",
    "styles/pydata-sphinx-theme.css",
    "pygments.css",
    "styles/sphinx-book-theme.css",
    "copybutton.css",
    "mystnb.*.css",
    "sphinx-design.min.css",
    "ufm.css",
)
SCRIPTS = ("scripts/pydata-sphinx-theme.js", "scripts/sphinx-book-theme.js")  # which put icons into pages
ICON = re.compile(r'(?:\.fa-[\w-]+:before,?)+\{content:"[^"]*"\}')
FACE = re.compile(r"@font-face\{[^}]*?/(fa-(\w+)-\d+\.ttf)[^}]*\}")
NOT_WITHIN = re.compile(r'@charset "[^"]*";|/\*# sourceMappingURL=.*?\*/')  # a sheet that is part of another


def is_part(filename):
    """Whether a style sheet of a page is in the one of all pages."""
    return any(Path(filename).match(f"_static/{part}") for part in PARTS)


def joined(static):
    """The parts under that folder one behind the other."""
    found = [path for part in PARTS for path in sorted(static.glob(part))]
    texts = (NOT_WITHIN.sub("", path.read_text(encoding="utf-8")) for path in found)
    return "\n".join(['@charset "UTF-8";', *texts])


def names_in(texts):
    """Names of icons, and of the styles in which they are shown, such as fa-bars and fa-solid."""
    return {name for text in texts for name in re.findall(r"\bfa-[a-z0-9-]+", text)}


def shown_only(css, names, fonts):
    """The sheet with the icons of these names alone, and with the letters of a font that it still has in itself.

    fonts: the folder of the theme's fonts.
    """
    css = ICON.sub(lambda rule: rule[0] if names_in([rule[0]]) & names else "", css)
    letters = {int(code, 16) for code in re.findall(r'"\\([ef][0-9a-f]{3})"', css)}
    letters |= {ord(letter) for letter in re.findall("[\ue000-\uf8ff]", css)}  # which the theme writes as such

    def face(rule):
        if f"fa-{rule[2]}" not in names:
            return ""
        address = f"data:font/woff;base64,{base64.b64encode(part_of(fonts / rule[1], letters)).decode()}"
        return re.sub(r"src:[^;}]*", lambda _: f'src:url({address}) format("woff")', rule[0])

    return FACE.sub(face, css)


def part_of(font, letters):
    """These letters of a font as WOFF; it has no name, for the licence of Font Awesome keeps that for the whole."""
    options = subset.Options(flavor="woff", name_IDs=[], layout_features=[], notdef_outline=False)
    whole, part = ttLib.TTFont(font), io.BytesIO()
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=letters)
    subsetter.subset(whole)
    subset.save_font(whole, part, options)
    return part.getvalue()


def name_it(app, pagename, templatename, context, doctree):
    """Put the sheet in the place of its parts.

    It is there before the first page, which is told its checksum; MyST-NB's part comes last and has one in its name.
    """
    sheet = Path(app.outdir) / "_static" / SHEET
    if not sheet.exists():
        sheet.write_text(joined(sheet.parent), encoding="utf-8")
    parts = [one for one in context["css_files"] if is_part(one.filename)]
    others = [one for one in context["css_files"] if one not in parts]
    context["css_files"] = [type(parts[0])(f"_static/{SHEET}"), *others]


def write(app, exception):
    """Once all pages are there, write the sheet without the icons that none shows."""
    static = Path(app.outdir) / "_static"
    if exception or app.builder.format != "html":
        return
    lacking = [part for part in PARTS if not any(static.glob(part))]
    if lacking:
        raise ExtensionError(f"the book's style sheet is made of files that are not there: {', '.join(lacking)}")
    files = [*Path(app.outdir).rglob("*.html"), *(static / script for script in SCRIPTS)]
    names = names_in(path.read_text(encoding="utf-8") for path in files)
    css = shown_only(joined(static), names, static / "vendor" / "fontawesome" / "webfonts")
    (static / SHEET).write_text(css, encoding="utf-8")


def setup(app):
    """Called by Sphinx."""
    app.connect("html-page-context", name_it, priority=998)  # after all that add some
    app.connect("build-finished", write, priority=999)  # likewise
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
