"""The site as one document, whose links lead from page to page, and what is said where it cannot be printed."""

import re
import shutil

import pytest

from ufm.book import printed

SIDEBAR = """<nav class="bd-links bd-docs-nav" aria-label="Main">
<a class="reference internal" href="#">
    The book
</a>
<p><span class="caption-text">Chapters</span></p>
<a class="reference internal" href="one.html">One</a>
<a class="reference internal" href="two.html">Two &amp; more</a>
<a class="reference internal" href="api/room.html">A room</a>
</nav>"""
HEAD = '<link rel="stylesheet" href="_static/a.css"><link rel="index" href="genindex.html">'
PAGES = {
    "index.html": '<div class="rehearsal docutils"><p>A rehearsal</p></div><details class="provenance">\n'
    '<summary>Profile: embedded · Date: 2026-01-02</summary></details><a href="one.html">first</a>',
    "one.html": '<h1 id="top">One<a class="headerlink" href="#top">#</a></h1><script>alert("no")</script>'
    '<a href="two.html#top">over</a><a href="tables/one.csv">data</a><a href="api/room.html">room</a>'
    '<a href="https://doi.org/1">paper</a>'
    '<svg><image xlink:href="data:image/png;base64,aa"/><image href="data:image/png;base64,bb"/>'
    '<path id="p"/><g clip-path="url(#c)"/><use href="#p"/></svg>',
    "two.html": '<h1 id="top">Two</h1><a href="one.html#top">back</a><a href="#top">up</a><a href="">self</a>',
}


@pytest.fixture
def site(tmp_path):
    """A site of three pages with a sidebar, which names a fourth in a folder."""
    for page, article in PAGES.items():
        bar = SIDEBAR if page == "index.html" else '<nav class="bd-links">never shown</nav>'
        (tmp_path / page).write_text(
            f'{HEAD}{bar}<article class="bd-article">{article}</article> Previous', encoding="utf-8"
        )
    return tmp_path


def test_the_contents_are_the_sidebar(site):
    index = (site / "index.html").read_text(encoding="utf-8")
    chapters = {"one.html": "One", "two.html": "Two &amp; more"}
    assert printed.contents(index) == [("", {"index.html": "The book"}), ("Chapters", chapters)]


def test_pages_follow_one_another_and_nothing_of_a_screen_does(site):
    whole = printed.document(site)
    assert re.findall(r'<article class="bd-article" id="(.*?)">', whole) == ["index", "one", "two"]
    for left_out in ("alert", "headerlink", "never shown", "Previous", "genindex"):
        assert left_out not in whole
    assert whole.count(f'href="{site.as_uri()}/_static/a.css"') == 1


def test_a_link_leads_to_its_page_in_the_document_or_nowhere(site):
    whole = printed.document(site)
    one, two = whole.index('id="one"'), whole.index('id="two"')
    for link in ('<a href="#two--top">over', "<a>data", "<a>room", '<a href="https://doi.org/1">paper'):
        assert link in whole[one:two]
    for link in ('<a href="#one--top">back', '<a href="#two--top">up', '<a href="#two">self'):
        assert link in whole[two:]
    assert '<a href="#one">first' in whole[:one]
    ids = re.findall(r'\sid="(.*?)"', whole)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#(.*?)"', whole)) <= set(ids)
    assert 'clip-path="url(#one--c)"' in whole
    assert ' xlink:href="data:image/png;base64,aa"' in whole
    assert ' href="data:image/png;base64,bb"' in whole


def test_the_first_page_says_by_whom_and_of_what_it_is(site):
    first = printed.title_page((site / "index.html").read_text(encoding="utf-8"))
    known = printed.cited()
    title, subtitle = known["title"].split(": ")
    for words in (title, subtitle, known["authors"][0]["name"], "Profile: embedded · Date: 2026-01-02", "A rehearsal"):
        assert f">{words}<" in first


def test_what_is_missing_is_said(site, monkeypatch):
    monkeypatch.setattr(printed, "SITE", site / "none")
    with pytest.raises(ValueError, match=r"^no book in .*none: run `make book` first$"):
        printed.pdf()
    monkeypatch.setattr(printed, "SITE", site)
    monkeypatch.setattr(shutil, "which", {"chromium": None}.get)
    with pytest.raises(ValueError, match=r"^no Chromium, which prints the book: apt-get install chromium$"):
        printed.pdf()
