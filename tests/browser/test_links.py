"""Links of the built site lead somewhere, and no page is heavy. Read from its files, without a browser."""

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from looking import PAGES, SITE

from ufm import paths

HEAVIEST = 1.5e6  # bytes of a page and the pictures that it shows


class Reader(HTMLParser):
    """What a page names: its anchors, where it links to, and the pictures that it shows."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.pictures = set(), set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Collect what the element names."""
        of = dict(attrs)
        self.anchors |= {of[name] for name in ("id", "name") if of.get(name)}
        self.links |= {of[name] for name in ("href", "src", "data") if of.get(name)}
        if tag in ("img", "object"):
            self.pictures |= {of[name] for name in ("src", "data") if of.get(name)}


@cache
def read(path: Path) -> Reader:
    """A page that has been read."""
    return Reader(path.read_text(encoding="utf-8"))


def within(page, links):
    """The links that lead to files of the site, each with its path and its anchor."""
    for link in sorted(links):
        parts = urlsplit(link)
        if not (parts.scheme or parts.netloc):
            path = (SITE / page).parent / unquote(parts.path) if parts.path else SITE / page
            yield link, path, unquote(parts.fragment)


def test_every_page_of_the_table_of_contents_was_built():
    contents = (paths.ROOT / "_toc.yml").read_text(encoding="utf-8")
    files = re.findall(r"(?:file|root): (\S+)", contents)
    assert len(files) > len(yaml.safe_load(contents)["parts"])
    assert {f"{name}.html" for name in files} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_links_and_anchors_are_alive(page):
    dead = []
    for link, path, anchor in within(page, read(SITE / page).links):
        if not path.is_file() or (anchor and path.suffix == ".html" and anchor not in read(path).anchors):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_light(page):
    shown = {path for _, path, _ in within(page, read(SITE / page).pictures)}
    assert sum(path.stat().st_size for path in [SITE / page, *shown]) < HEAVIEST
