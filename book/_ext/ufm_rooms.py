"""Sphinx extension of this book: the rooms of the library as a drawing, made from its code."""

import ast
import textwrap
import tomllib
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "src" / "ufm"
WIDTH, ROW = 400, 30  # pixels, of all and of the height of a floor
NAMES, TEXTS, ARROWS = 24, 114, 334  # where they begin
LETTERS = 37  # of a purpose in a line


def floors(root=ROOT):
    """The rooms, uppermost first, each a tuple of packages, or of the modules that lie in none and share one floor."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in settings["contracts"] if contract["id"] == "layers")
    return [tuple(layer.split(" | ")) for layer in layers]


def purpose(room, library=LIBRARY):
    """The first line of a package's docstring; of several modules their names."""
    if len(room) > 1:
        return ", ".join(room)
    package = library / room[0] / "__init__.py"
    return ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))).partition("\n")[0]


def imports(library=LIBRARY):
    """Pairs of packages or lone modules of which the first imports the second, wherever in its code."""
    pairs = set()
    for path in library.rglob("*.py"):
        importer = path.relative_to(library).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{name.name}" for name in node.names]
            else:
                names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            pairs |= {(importer, name.split(".")[1]) for name in names if name.startswith("ufm.")}
    there = {path.stem for path in library.iterdir()}
    return {(one, other) for one, other in pairs if one != other and other in there}


def arrows(rooms, pairs):
    """Pairs of floors (from, to), without those that go down to where other arrows lead too."""
    floor = {name: number for number, room in enumerate(rooms) for name in room}
    every = {(floor[one], floor[other]) for one, other in pairs if floor[one] != floor[other]}
    below = {}  # of each floor: all that it reaches by going down
    for number in reversed(range(len(rooms))):
        direct = {lower for upper, lower in every if upper == number < lower}
        below[number] = direct.union(*(below[lower] for lower in direct))
    return sorted(
        (upper, lower)
        for upper, lower in every
        if not any((upper, other) in every and lower in below[other] for other in range(upper + 1, lower))
    )


def label(room):
    """What stands for a floor: its room's name, or that it has lone modules."""
    return room[0] if len(room) == 1 else "leaves"


def drawing(rooms, purposes, drawn, way):
    """The rooms as an SVG element, uppermost first, each with its purpose and, on the way of a seed, its number there.

    It has no ground, takes the colour of the text around it, and can be read at a width of 400 pixels.
    """
    numbers = {name: number for number, name in enumerate(way, start=1)}
    parts = []
    for floor, room in enumerate(rooms):
        middle = (floor + 0.5) * ROW
        if label(room) in numbers:
            parts.append(f'<circle cx="10" cy="{middle}" r="9" fill="none" stroke="currentColor"/>')
            parts.append(text(10, middle, str(numbers[label(room)]), 'font-size="11" text-anchor="middle"'))
        parts.append(text(NAMES, middle, label(room), 'font-size="12.5" font-weight="600"'))
        lines = textwrap.wrap(purposes[floor], LETTERS)
        parts += [
            text(TEXTS, middle + 13 * (line - (len(lines) - 1) / 2), words, 'font-size="11"')
            for line, words in enumerate(lines)
        ]
    for upper, lower in drawn:
        start, end = (upper + 0.65) * ROW, (lower + 0.35) * ROW
        out = ARROWS + min(12 + 6 * abs(lower - upper), 86)  # three quarters of which a curve comes out
        parts.append(
            f'<path d="M{ARROWS} {start:.1f}C{out} {start:.1f} {out} {end:.1f} {ARROWS} {end:.1f}m6-3.5-6 3.5 6 3.5" '
            f'fill="none" stroke="currentColor"><title>{label(rooms[upper])} → {label(rooms[lower])}</title></path>'
        )
    names = ", ".join(label(room) for room in rooms)
    alternative = f"The rooms of the library, uppermost first: {names}. Arrows lead from each to those that it imports."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {len(rooms) * ROW}" role="img" '
        f'aria-label="{escape(alternative)}" style="width: 100%; max-width: 32rem">{"".join(parts)}</svg>'
    )


def text(x, middle, words, look):
    """A text element, its line centred at a height."""
    return f'<text x="{x}" y="{middle + 4:g}" fill="currentColor" {look}>{escape(words)}</text>'


class Rooms(SphinxDirective):
    """The drawing; in its content the rooms on the way of a seed, in their order."""

    has_content = True

    def run(self):
        rooms, way = floors(), " ".join(self.content).split()
        unknown = set(way) - {label(room) for room in rooms}
        if unknown:
            raise self.error(f"no such rooms: {', '.join(sorted(unknown))}")
        svg = drawing(rooms, [purpose(room) for room in rooms], arrows(rooms, imports()), way)
        return [nodes.raw("", svg, format="html")]


def setup(app):
    """Called by Sphinx."""
    app.add_directive("rooms", Rooms)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
