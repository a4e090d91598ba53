"""Sphinx extension of this book: figures stand in the page as drawings that follow its mode, in its font."""

import re
from html import escape
from itertools import groupby
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

FIGURES = Path("downloads") / "figures"  # where `ufm.book.site` puts them, under the pages
PIXELS = 1.5  # of the page a point of a figure, where the page is wide enough: its words are then as large as the text
DARK, LIGHT = 0x30, 0xF0  # greys up to and from these are the page's text and its ground


def shade(match):
    """A grey as a mixture of the page's text and ground; what has a colour keeps it."""
    red, green, blue = (int(match[0][place : place + 2], 16) for place in (1, 3, 5))
    if not red == green == blue:
        return match[0]
    if red <= DARK:
        return "currentColor"
    if red >= LIGHT:
        return "var(--pst-color-background)"
    return f"color-mix(in srgb, currentColor {100 - 100 * red // 255}%, var(--pst-color-background))"


def shorter(match):
    """Coordinates to a hundredth of a point."""
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", match[0])


def grouped(match):
    """Points one after the other that look alike, such as a scatter's, as one group of that look."""
    points = re.findall(r'<use ([^>]*?) style="([^"]*)"/>', match[0])
    if len(points) != match[0].count("<use"):
        return match[0]
    looks = groupby(points, key=lambda point: point[1])
    return "".join(f'<g style="{look}">{"".join(f"<use {place}/>" for place, _ in some)}</g>' for look, some in looks)


def drawing(svg, name, alternative):
    """Matplotlib's SVG as an element of a page.

    Black, grey and white are the page's own colours and words are in its font; its ids begin with the figure's name,
    for several drawings share a page; what only tells how it was made is left out.
    """
    body = svg[svg.index("<svg") :]
    points = float(re.search(r'viewBox="0 0 (\S+)', body)[1])
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = "".join(line.lstrip() for line in body.splitlines())
    body = re.sub(r' transform="rotate\(-0 [^"]*"', "", body)
    body = re.sub(r' (?:d|x|y)="[^"]*"', shorter, body)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = re.sub(r'(?<=style=")[^"]*', lambda style: re.sub("#[0-9a-f]{6}", shade, style[0]), body)
    used = dict.fromkeys(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    short = {one: f"{name}-{place}" for place, one in enumerate(used)}
    body = re.sub(r' id="([^"]*)"', lambda match: f' id="{short[match[1]]}"' if match[1] in short else "", body)
    body = re.sub(r'(href="#|url\(#)([^")]+)', lambda match: match[1] + short[match[2]], body)
    body = body.replace("xlink:href", "href").replace("<defs></defs>", "")
    body = re.sub(r"(?:<use [^>]*/>){3,}", grouped, body)
    width = f"{points * PIXELS / 16:.2f}rem"
    size = re.search(r'viewBox="[^"]*"', body)[0]
    said = f'role="img" aria-label="{escape(alternative)}"'
    look = f'class="drawing" {said} {size} fill="currentColor" style="width: {width}"'
    return re.sub(r"<svg[^>]*>", f"<svg {look}>".replace("\\", r"\\"), body, count=1)


class Drawings(SphinxPostTransform):
    """In HTML a figure of a cell is no image of its own, on its page and on others that show it."""

    default_priority = 6  # after myst-nb has chosen what a page shows of an output
    formats = ("html",)

    def run(self, **_):
        for figure in self.document.findall(nodes.figure):
            [image, *_] = [*figure.findall(nodes.image), None]
            name = figure["ids"][0] if figure["ids"] else ""
            if image is None or not image["uri"].endswith(".svg"):
                continue
            shown = Path(image["uri"])
            path = Path(self.app.srcdir) / (shown if shown.parent == FIGURES else FIGURES / f"{name}.svg")
            if path.is_file():
                svg = drawing(path.read_text(encoding="utf-8"), name, image.get("alt", ""))
                image.replace_self(nodes.raw("", svg, format="html"))


def setup(app):
    """Called by Sphinx."""
    app.add_post_transform(Drawings)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
