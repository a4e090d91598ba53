"""What is told of pages where they are found or shared; nothing that needs an address is said while there is none."""

import importlib.util
import io
import json
import re
from html import unescape
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from docutils import nodes
from docutils.utils import new_document
from PIL import Image

from ufm import paths
from ufm.book import social

ADDRESS = "https://owner.github.io/name"


@pytest.fixture(scope="module")
def extension():
    """The Sphinx extension, which is no package."""
    specification = importlib.util.spec_from_file_location("ufm_metadata", paths.BOOK / "_ext" / "ufm_metadata.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def page(*paragraphs):
    """A page with a title, the box of its provenance and these paragraphs."""
    document = new_document("page")
    box = nodes.container("", nodes.paragraph("", "Profile: paper"))
    document += nodes.section(
        "", nodes.title("", "T"), box, *(nodes.paragraph("", one) for one in paragraphs), ids=["t"]
    )
    return document


@pytest.fixture
def site(tmp_path):
    """A site of two pages, as Sphinx knows it."""

    class Site:
        outdir = tmp_path

        class config:
            html_baseurl = ""
            html_title = "The book"
            root_doc = "index"
            html_theme_options = {"repository_url": ""}

        class builder:
            format = "html"

        class env:
            found_docs = {"controls", "index"}

    return Site


def head(extension, site, name, *paragraphs):
    context = {"title": "A <b>title</b> & more"}
    extension.add_metadata(site, name, "page.html", context, page(*paragraphs))
    return context["metatags"]


def told(html):
    """The meta elements by name."""
    return {name: unescape(value) for name, value in re.findall(r'<meta \w+="([^"]+)" content="([^"]*)" />', html)}


def test_a_page_is_described_by_its_first_paragraph(extension, site):
    found = told(head(extension, site, "controls", 'First  "words"\nof <it>.', "Second."))
    assert found == {
        "description": 'First "words" of <it>.',
        "og:type": "article",
        "og:site_name": "The book",
        "og:title": "A title & more",
        "og:description": 'First "words" of <it>.',
    }
    long = extension.description(page("word " * 60))
    assert len(long) <= extension.LONGEST + 2
    assert long.endswith("word …")
    assert extension.description(page()) == ""


def test_nothing_needs_an_address_that_is_not_there(extension, site):
    html = head(extension, site, "index", "Words.")
    assert set(re.findall(r"https?://[\w.]+", html)) <= {
        "https://schema.org",
        "https://creativecommons.org",
        "https://arxiv.org",
        "https://doi.org",
    }
    extension.write_sitemap(site, None)
    assert list(site.outdir.iterdir()) == []


def test_with_an_address_pages_say_theirs_and_show_the_card(extension, site):
    site.config.html_baseurl = f"{ADDRESS}/"
    found = told(head(extension, site, "controls", "Words."))
    assert found["og:url"] == f"{ADDRESS}/controls.html"
    assert found["og:image"] == f"{ADDRESS}/{social.CARD}"
    assert (int(found["og:image:width"]), int(found["og:image:height"])) == social.SIZE
    assert found["twitter:card"] == "summary_large_image"
    extension.write_sitemap(site, None)
    sitemap = ElementTree.parse(site.outdir / "sitemap.xml")
    assert [one.text for one in sitemap.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")] == [
        f"{ADDRESS}/controls.html",
        f"{ADDRESS}/index.html",
    ]
    assert f"Sitemap: {ADDRESS}/sitemap.xml" in (site.outdir / "robots.txt").read_text(encoding="utf-8")


def test_the_front_page_is_an_article_as_the_citation_file_has_it(extension, site):
    citation = yaml.safe_load((paths.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    [content] = re.findall(r'<script type="application/ld\+json">(.*)</script>', head(extension, site, "index"))
    known = json.loads(content)
    assert (known["@context"], known["@type"]) == ("https://schema.org", "ScholarlyArticle")
    assert (known["headline"], known["version"]) == (citation["title"], citation["version"])
    assert [one["name"] for one in known["author"]] == [one["name"] for one in citation["authors"]]
    assert len(known["citation"]) == len(citation["references"])
    assert not {"url", "image", "isBasedOn", "identifier"} & known.keys()
    more = citation | {"doi": "10.1/2", "authors": [{"given-names": "Ada", "family-names": "</script>"}]}
    html = extension.article(more, ADDRESS, "https://github.com/owner/name")
    assert html.count("</script>") == 1
    known = json.loads(html[html.index("{") : html.rindex("}") + 1])
    assert known["author"] == [{"@type": "Person", "givenName": "Ada", "familyName": "</script>"}]
    assert (known["url"], known["identifier"]) == (f"{ADDRESS}/index.html", "https://doi.org/10.1/2")
    assert "ScholarlyArticle" not in head(extension, site, "controls")


def test_the_card_is_a_small_picture_with_one_marked_image():
    content = social.card("A title: and more")
    picture = Image.open(io.BytesIO(content))
    assert (picture.format, picture.size) == ("PNG", social.SIZE)
    assert len(content) < 200_000
    orange = (np.asarray(picture.convert("RGB")) == [0xE6, 0x9F, 0x00]).all(axis=-1)
    rows, columns = np.nonzero(orange)
    assert 80 < np.ptp(rows) < 100
    assert 80 < np.ptp(columns) < 100


def test_the_extension_and_the_library_name_the_card_alike(extension):
    assert extension.CARD == social.CARD
