"""Numbers of the text stay in one line."""

import importlib.util

from docutils import nodes
from docutils.utils import new_document

from ufm import paths


def test_a_number_is_not_broken_and_code_is_left_alone():
    specification = importlib.util.spec_from_file_location("ufm_thousands", paths.BOOK / "_ext" / "ufm_thousands.py")
    extension = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(extension)
    text = "MNIST, 10 000 images, seeds 1000 and 100 200, 1 0001, 1 000 000"
    document = new_document("page")
    document += nodes.paragraph("", "", nodes.Text(text), nodes.literal("", "10 000"))
    extension.Thousands(document).run()
    said = "MNIST, 10\u00a0000 images, seeds 1000 and 100 200, 1 0001, 1\u00a0000\u00a0000"
    assert document.astext() == said + "10 000"
