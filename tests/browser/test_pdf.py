"""The book as one PDF file: every page of the site in its order, formulas set, nothing of a screen."""

import re
import shutil
import subprocess
from html import unescape

import pytest
from looking import SITE, need_chromium

from ufm.book import printed

need_chromium()
if shutil.which("pdftotext") is None:
    pytest.skip("no pdftotext: apt-get install poppler-utils", allow_module_level=True)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """What the file says, a text a page."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(printed, "PDF", tmp_path_factory.mktemp("pdf") / "book.pdf")
        path = printed.pdf()
    done = subprocess.run(["pdftotext", "-layout", path, "-"], check=True, capture_output=True, encoding="utf-8")
    return done.stdout.split("\f")[:-1]


def words(text):
    """A text without what lines and fonts do to it."""
    return re.sub(r"\W+", " ", text)


def test_every_chapter_begins_a_page_in_the_order_of_the_sidebar(text):
    index = (SITE / "index.html").read_text(encoding="utf-8")
    titles = [words(unescape(title)) for _, listed in printed.contents(index) for title in listed.values()]
    starts = [words(" ".join(page.split()[:30])) for page in text[2:]]
    assert words(printed.cited()["title"]).strip() in words(text[0])
    for title in titles:
        assert any(start.strip().startswith(title) for start in starts), title
        starts = starts[next(n for n, start in enumerate(starts) if start.strip().startswith(title)) :]


def test_no_page_is_empty_and_each_has_its_number(text):
    assert [page.split()[-1] for page in text] == [str(number) for number in range(1, len(text) + 1)]
    assert [number for number, page in enumerate(text, start=1) if len(page.split()) < 5] == []


def test_nothing_of_a_screen_is_printed(text):
    for control in ("Search this book", "On this page", "Run this chapter again", "Back to top", "Show code", "\\("):
        assert [number for number, page in enumerate(text, start=1) if control in page] == []
