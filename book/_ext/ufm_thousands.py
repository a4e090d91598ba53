"""Sphinx extension of this book: no line breaks within 10 000."""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

WITHIN = re.compile(r"(?<=\d) (?=000\b)")
LEFT = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)


class Thousands(SphinxPostTransform):
    """The space within a number of the text is one at which no line breaks."""

    default_priority = 900  # after glue is in its place

    def run(self, **_):
        for element in self.document.findall(lambda one: isinstance(one, nodes.Element) and not isinstance(one, LEFT)):
            for place, text in enumerate(element.children):
                if isinstance(text, nodes.Text) and WITHIN.search(text):
                    element[place] = nodes.Text(WITHIN.sub("\u00a0", text))


def setup(app):
    """Called by Sphinx."""
    app.add_post_transform(Thousands)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
