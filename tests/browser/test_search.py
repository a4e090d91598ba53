"""The search of the built site finds what a reader would ask for."""

import pytest
from looking import FILE, SCREEN, need_chromium

need_chromium()

# What is asked, the page that should come first, and those that should be found too.
ASKED = {"twin": ("controls",), "weight decay": ("detection", "regularisers")}


@pytest.mark.parametrize("view", [SCREEN, FILE], ids=str)
@pytest.mark.parametrize("words", ASKED)
def test_search_leads_to_the_page(windows, view, words):
    visit = windows[view].open("index.html")
    visit.tab.keyboard.press("Control+k")
    visit.tab.keyboard.type(words)
    visit.tab.keyboard.press("Enter")
    visit.tab.wait_for_selector("#search-results ul.search li a")
    visit.tab.wait_for_function("document.querySelector('#search-results .search-summary').textContent.match(/[0-9]/)")
    links = visit.tab.query_selector_all("#search-results ul.search li > a")
    found = [link.get_attribute("href").partition(".html")[0] for link in links]
    assert found[0] == ASKED[words][0]
    assert set(ASKED[words]) <= set(found)
    assert visit.errors + visit.failed == []
