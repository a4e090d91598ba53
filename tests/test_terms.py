"""Words of the glossary are marked once a page, where they are words of the text."""

import importlib.util

import pytest
from docutils import nodes
from docutils.utils import new_document

from ufm import paths

TERMS = {"hard host": "one that is hard", "canary": "a model", "host": "an image", "nat": "a unit", "d′": "a ratio"}


@pytest.fixture(scope="module")
def extension():
    specification = importlib.util.spec_from_file_location("ufm_terms", paths.BOOK / "_ext" / "ufm_terms.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def page(*children):
    document = new_document("page")
    document += nodes.section("", nodes.title("", "The host"), *children, ids=["one"])
    return document


def marked(extension, document):
    extension.mark(document, TERMS)
    return [(node.astext(), node["meaning"]) for node in document.findall(extension.explained)]


def test_the_first_time_in_the_text_is_marked_and_nothing_is_lost(extension):
    text = "Canaries on hard hosts; a host, another host and 0.1 nats. A native hostess has d′."
    document = page(nodes.paragraph("", text), nodes.paragraph("", "A canary again."))
    assert marked(extension, document) == [
        ("Canaries", "a model"),
        ("hard hosts", "one that is hard"),
        ("host", "an image"),
        ("nats", "a unit"),
        ("d′", "a ratio"),
    ]
    assert document.astext() == f"The host\n\n{text}\n\nA canary again."


def test_a_caption_is_marked_where_the_text_has_no_such_word(extension):
    caption = nodes.figure("", nodes.image(uri="a.svg"), nodes.caption("", "A canary on its host."))
    document = page(caption, nodes.paragraph("", "Hosts."))
    assert marked(extension, document) == [("canary", "a model"), ("Hosts", "an image")]


def test_titles_code_links_and_other_works_are_left_alone(extension):
    link = nodes.reference("", "", nodes.inline("", "the host"), refuri="x")
    cited = nodes.citation("", nodes.label("", "1"), nodes.paragraph("", "On a canary. 2023."))
    document = page(nodes.paragraph("", "", nodes.literal("", "host"), nodes.Text(" and "), link), cited)
    assert marked(extension, document) == []


def test_the_glossary_of_the_book_can_be_read(extension):
    items = nodes.definition_list()
    for term, meaning in TERMS.items():
        definition = nodes.definition("", nodes.paragraph("", meaning))
        items += nodes.definition_list_item("", nodes.term("", term), definition)
    found = extension.meanings(page(items))
    assert found == TERMS
    assert list(found)[0] == "hard host"  # the longest first, else a hard host is a host
