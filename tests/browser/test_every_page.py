"""Every page of the built site: whole, readable and usable at both widths, in both modes, from a server and a file."""

import io
import re
from contextlib import contextmanager
from urllib.parse import urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from looking import FILE, NIGHT, PHONE, PHONE_AT_NIGHT, SCREEN, UNFOLD, lines, need_chromium
from PIL import Image
from scipy.ndimage import maximum_filter

need_chromium()

# Findings of axe that are others' own: rule, selector, reason.
THEIRS = (
    ("aria-required-children", r"^\.citation-list$", "docutils makes a bibliography a list, and its entries none"),
)
# Many alike make axe slow: it reads the first few definitions, rows and entries, and the first fold of each kind.
ALIKE = ("dl.py ~ dl.py ~ dl.py", "section:nth-of-type(n+4) dl.py", "tbody tr:nth-child(n+7)", ".genindextable li ~ li")
FOLDS = """() => {
  const kinds = new Set();
  for (const fold of document.querySelectorAll('main details')) {
    fold.open = !kinds.has(fold.className);
    kinds.add(fold.className);
  }
}"""
# How much of a figure's ink may be lost at night: what is faint at its edges.
LOST = 0.02


def test_nothing_is_said_on_the_console(visits):
    assert lines(visits, lambda visit: visit.errors) == []


def test_no_request_fails(visits):
    assert lines(visits, lambda visit: visit.failed) == []


def test_no_other_host_is_asked(visits):
    own = {"127.0.0.1", "", None}
    assert lines(visits, lambda visit: [url for url in visit.asked if urlsplit(url).hostname not in own]) == []
    assert all(visit.asked for visit in visits.values())


def test_from_a_file_nothing_but_files_is_asked(visits):
    assert {urlsplit(url).scheme for url in visits[FILE].asked} <= {"file", "data"}


@pytest.mark.parametrize("when", ["wide", "opened"])
def test_nothing_stands_out_of_the_screen(visits, when):
    def out(visit):
        return [f"{visit.found[when]} px"] * (visit.found[when] > 0)

    assert lines(visits, out) == []


def test_images_are_there(visits):
    assert lines(visits, lambda visit: visit.found["broken"]) == []


def test_images_are_described(visits):
    def bare(visit):
        return [
            name for name, words in visit.found["pictures"] if len(words.split()) < 4 or re.search(r"\.\w+$", words)
        ]

    assert lines(visits, bare) == []


def test_formulas_are_set(visits):
    assert lines(visits, lambda visit: visit.found["raw"] + visit.found["wrong"]) == []


def test_headings_are_in_order(visits):
    def wrong(visit):
        levels = [level for level, _ in visit.found["headings"]]
        words = [text for _, text in visit.found["headings"]]
        if levels.count(1) != 1 or levels[0] != 1:
            yield f"first level: {[text for level, text in visit.found['headings'] if level == 1]}"
        for i in range(1, len(levels)):
            if levels[i] > levels[i - 1] + 1:
                yield f"{words[i]} (level {levels[i]}) under {words[i - 1]} (level {levels[i - 1]})"

    assert lines(visits, wrong) == []


def test_it_is_accessible(visits):
    def serious(visit):
        visit.tab.evaluate(FOLDS)
        context = {"include": [["html"]], "exclude": [[one] for one in ALIKE]}
        for one in Axe().run(visit.tab, context).response["violations"]:
            for node in one["nodes"]:
                target = " ".join(map(str, node["target"]))
                theirs = any(rule == one["id"] and re.search(place, target) for rule, place, _ in THEIRS)
                if one["impact"] in ("serious", "critical") and not theirs:
                    yield f"{one['id']}: {target}"

    assert lines({view: visits[view] for view in (SCREEN, PHONE_AT_NIGHT)}, serious) == []


def reached(tab, element):
    """Whether the Tab key reaches an element."""
    element.focus()
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Tab")
    return element.evaluate("e => e === document.activeElement")


# Of an explained word: whether the corners of the box with its meaning can be seen, and what of the page stands out.
BOX = """word => {
  word.scrollIntoView({block: 'center'});
  word.focus();
  const style = getComputedStyle(word, '::after');
  if (style.content === 'none') return {seen: false, out: 0};
  const [x, y, width, height] = [style.left, style.top, style.width, style.height].map(parseFloat);
  const corner = (across, down) => document.elementFromPoint(x + across, y + down) === word;
  const root = document.documentElement;
  return {
    seen: [4, width - 4].every(across => [4, height - 4].every(down => corner(across, down))),
    out: root.scrollWidth - root.clientWidth,
  };
}"""


def test_words_of_the_glossary_are_explained_by_keyboard(visits):
    def hidden(visit):
        visit.tab.evaluate(UNFOLD)
        words = visit.tab.query_selector_all("main .explained")
        if words and not reached(visit.tab, words[0]):
            yield "the first is not reached by the Tab key"
        for word in words:
            box = word.evaluate(BOX)
            if not box["seen"]:
                yield f"{word.inner_text()}: its meaning is not seen, or not all of it"
            if box["out"] > 0:
                yield f"{word.inner_text()}: its meaning makes the page {box['out']} px too wide"

    assert lines({view: visits[view] for view in (SCREEN, PHONE)}, hidden) == []


def test_folds_open_by_keyboard(visits):
    tab = visits[SCREEN].tab
    tab.evaluate(UNFOLD)  # those within others can be seen
    kinds = {fold.get_attribute("class"): fold for fold in tab.query_selector_all("main details")}
    for kind, fold in kinds.items():
        summary = fold.query_selector("summary")
        assert reached(tab, summary), kind
        for _ in range(2):
            before = fold.evaluate("e => e.open")
            tab.keyboard.press("Enter")
            assert fold.evaluate("e => e.open") is not before, kind


def test_interactive_figures_move_by_keyboard(visits):
    tab = visits[SCREEN].tab
    for figure in tab.query_selector_all("main .ufm-interactive"):
        parts = figure.query_selector_all("input[type=range], [role=listbox]")
        assert parts, figure.inner_text()
        for part in parts:
            assert reached(tab, part), part.get_attribute("aria-label")
            states = [figure.inner_html()]
            for key in ("ArrowRight", "ArrowLeft"):  # it may stand at an end
                tab.keyboard.press(key)
                states.append(figure.inner_html())
            assert len(set(states)) > 1, part.get_attribute("aria-label")


def luminance(picture):
    """Relative luminance of each pixel, by WCAG 2."""
    levels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(picture, photographs):
    """Contrast of each pixel with the picture's ground, and whether it is of a photograph."""
    light = luminance(picture)
    within = np.zeros(light.shape, bool)
    for left, top, right, bottom in photographs:
        within[max(0, int(top) - 2) : int(bottom) + 3, max(0, int(left) - 2) : int(right) + 3] = True
    ground = np.median(light[~within])  # more of a figure is ground than ink
    return (np.maximum(light, ground) + 0.05) / (np.minimum(light, ground) + 0.05), within


# Where a drawing shows photographs, which are the same by day and by night.
PHOTOGRAPHS = """figure => {
  figure.style.setProperty('padding', '0', 'important');  // the theme's frame, which is there at night only
  const at = figure.getBoundingClientRect();
  return [...figure.querySelectorAll('image')].map(image => image.getBoundingClientRect()).map(
    one => [one.left - at.left, one.top - at.top, one.right - at.left, one.bottom - at.top]);
}"""


# The theme's bars, which stay in view and may lie over a figure.
ALONE = "#pst-skip-link, #pst-back-to-top, .bd-header-article { visibility: hidden !important; }"


@contextmanager
def tall(tab):
    """A tab that is taller than the tallest figure of its page, of which a picture is then taken where it stands.

    Of what is taller than the window Chromium makes the picture in one that grows meanwhile, and the page may move.
    """
    before = tab.viewport_size
    height = max((one.bounding_box()["height"] for _, one in figures(tab)), default=0)
    tab.set_viewport_size(before | {"height": max(before["height"], int(height) + 300)})
    try:
        yield
    finally:
        tab.set_viewport_size(before)


def seen(figure):
    """A figure as it is seen, and where its photographs are."""
    photographs = figure.evaluate(PHOTOGRAPHS)
    return figure.screenshot(style=ALONE), photographs


def figures(tab):
    """The figures of a page that can be seen, each with its words."""
    every = tab.query_selector_all("main figure img, main figure svg[role=img]")
    return [
        (one.get_attribute("alt") or one.get_attribute("aria-label"), one)
        for one in every
        if one.bounding_box() is not None
    ]


def test_figures_can_be_read_at_night(visits):
    day, night = visits[SCREEN].tab, visits[NIGHT].tab
    for tab in (day, night):
        tab.evaluate(UNFOLD)
    with tall(day), tall(night):
        for (name, by_day), (_, by_night) in zip(figures(day), figures(night), strict=True):
            one, within = contrast(*seen(by_day))
            other, _ = contrast(*seen(by_night))
            # Pixels may lie one beside another where a page is a fraction of one longer at night.
            assert np.abs(np.subtract(one.shape, other.shape)).max() <= 1, name
            height, width = np.minimum(one.shape, other.shape)
            ink = ((one >= 4.5) & ~within)[:height, :width]
            assert ink.any(), name
            assert (maximum_filter(other, 3)[:height, :width][ink] < 3).mean() < LOST, name
