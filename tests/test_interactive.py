"""Interactive figures: what lies in a page is what the tables say, and a browser can be led through it.

The browser opens a page that the test makes, over file://; it is skipped where there is no Chromium.
"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import planted
import pytest

from ufm import evidence, features, paths
from ufm.chapters import detection
from ufm.chapters import hosts as hosts_chapter
from ufm.evidence import detectors
from ufm.evidence.questions import flagged, met
from ufm.measures.layout import AGES
from ufm.report import host_pictures, interactive
from ufm.statistics.roc import auc

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>A page</title></head>
<body style="max-width: 800px; margin: 10px"><main><h1>A page</h1>
<figure id="{figure}"><img src="data:," alt="the still picture"><figcaption>What it shows</figcaption></figure>
<div class="output">{html}</div></main></body></html>"""
N = 12


def data(html):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html.data, re.DOTALL)[1])


def decoded(text):
    """As the page's script does it."""
    letters = [letter for letter, n in re.findall(r"([a-p.])(\d*)", text) for _ in range(int(n or 1))]
    return [np.nan if letter == "." else (ord(letter) - ord("a")) / 15 for letter in letters]


@pytest.fixture(scope="module")
def cards():
    named = {"title": "MNIST, full", "setting": "second plan, both hosts", "needed": N}
    return {"mnist": planted.equal_age(N, effect=1.0, random_effect=0.2, **named)}


@pytest.fixture(scope="module")
def planned(cards):
    return {name: one.sweep for name, one in cards.items()}


@pytest.fixture(scope="module")
def pictured(cards, planned):
    """All hosts, of which every third has no image."""

    def found(protocol, indices, *, data_root):
        rng = np.random.default_rng(0)
        return [None if n % 3 == 0 else rng.integers(0, 256, (1, 28, 28), np.uint8) for n, _ in enumerate(indices)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_pictures, "found", found)
        return hosts_chapter.pictured(cards, planned)


@pytest.fixture(scope="module")
def doses():
    """Three doses of weight decay that are the second plan's, and one data set of which there is one alone."""
    of_small = {}
    for rng, (regime, size) in enumerate({"plain": 0.1, "weight decay 3": 1.0, "weight decay 10": 2.0}.items()):
        named = {"title": "MNIST, 10 000 images", "setting": f"second plan, {regime}", "needed": N}
        of_small[regime] = with_decay(planted.equal_age(N, effect=size, rng=rng, **named), 3.0 * rng)
    return of_small


def with_decay(cards, dose):
    training = cards.protocol.training
    protocol = type(cards.protocol)(
        **vars(cards.protocol) | {"training": type(training)(**vars(training) | {"weight_decay": dose})}
    )
    return evidence.planned_as(cards, protocol=protocol)


def test_every_host_is_there_with_what_it_was_answered(cards, planned, pictured):
    html = interactive.hosts(pictured, figure="fig-x")
    [panel], one = data(html)["panels"], cards["mnist"]
    table = panel["table"]
    assert (data(html)["kinds"], panel["title"]) == (["random", "hard"], "MNIST, full")
    assert table["seed"] == [*one.seeds, *one.seeds]
    for kind, host in enumerate(("random", "hard")):
        rows = slice(kind * N, kind * N + N)
        fits = one.fits[:, :, AGES.index("control"), kind]
        assert table["kind"][rows] == [kind] * N
        assert table["index"][rows] == one.indices[:, kind].tolist()
        assert table["label"][rows] == one.labels[:, kind].tolist()
        contrast = evidence.contrasts(one, host, epoch="control")
        np.testing.assert_allclose(table["contrast"][rows], contrast, atol=0.0005001)
        np.testing.assert_allclose(table["loss"][rows], -fits[:, 0, evidence.PLAIN], rtol=0.005)
        models = [one.model(role, host) for role in ("canary", "placebo")]
        expected = np.exp(fits[:, models][:, :, [evidence.PLAIN, evidence.LETTER]]).reshape(N, 4)
        np.testing.assert_allclose(table["p"][rows], expected, atol=0.0005001)
    assert len(np.unique(table["contrast"])) > N


def test_images_letters_and_placebo_features_are_those_of_the_hosts(pictured):
    [one] = pictured.values()
    [panel] = data(interactive.hosts(pictured, figure="fig-x"))["panels"]
    table = panel["table"]
    assert [image is None for image in table["image"]] == [n % 3 == 0 for n in range(N)] * 2
    for image, text in zip(one.images, table["image"], strict=True):
        if image is not None:
            np.testing.assert_allclose(decoded(text), image.ravel() / 255, atol=0.5 / 15 + 1e-9)
    np.testing.assert_array_equal(decoded(panel["letter"]["pixels"]), features.letter("A").ravel())
    assert (panel["letter"]["width"], panel["letter"]["position"]) == (5, [1, 1])
    seeds = [*one.table["seed"]]
    for place in (0, N):
        protocol, host = planted.PROTOCOL, one.table["host"][place]
        expected = host_pictures.stamp(protocol, seeds[place], "placebo", host)
        np.testing.assert_array_equal(decoded(table["placebo"][place]), expected.ravel())


@pytest.mark.parametrize("pixels", [[[0, 1, 1], [1, 0.5, 0]], [[np.nan, 0, np.nan], [1, 1, 1]]])
def test_pixels_are_letters_each_with_how_often_it_follows(pixels):
    text = interactive.encoded(np.array(pixels))
    np.testing.assert_allclose(decoded(text), np.ravel(pixels), atol=0.5 / 15)
    assert text in ("ap3ia", ".a.p3")


def test_an_image_that_is_too_large_is_left_out_and_colour_is_grey():
    assert interactive.small(np.zeros((1, 65, 20))) is None
    np.testing.assert_array_equal(interactive.small(np.array([[[0.0]], [[3.0]], [[6.0]]])), [[3.0]])


def test_doses_are_those_of_the_second_plan_on_shared_seeds(doses):
    few = evidence.on_seeds(doses["weight decay 10"], doses["plain"].seeds[:9])
    few = evidence.planned_as(few, needed=9)
    found = detection.doses(doses | {"weight decay 10": few})
    assert {title: list(by_dose) for title, by_dose in found.items()} == {"MNIST, 10 000 images": [0, 3, 6]}
    assert {len(one.seeds) for one in found["MNIST, 10 000 images"].values()} == {9}
    lacking = evidence.planned_as(doses["weight decay 10"], needed=N + 1)
    assert list(detection.doses(doses | {"weight decay 10": lacking})["MNIST, 10 000 images"]) == [0, 3]


def test_where_the_second_plan_has_one_dose_those_of_the_first_are_shown(doses):
    first = {
        name: with_decay(planted.cards(N, title="MNIST, 10 000 images", setting=name), dose)
        for name, dose in {"": 0.0, "weight decay": 1.0}.items()
    }
    alone = {"plain": doses["plain"]}
    assert list(detection.doses(alone | first)) == ["MNIST, 10 000 images, first plan"]
    assert list(detection.doses(doses | first)) == ["MNIST, 10 000 images"]
    assert {title: list(one) for title, one in detection.doses(alone | {"": first[""]}).items()} == {
        "MNIST, 10 000 images": [0]
    }
    other = with_decay(planted.cards(N, title="Fashion-MNIST, 10 000 images"), 0.0)
    assert list(detection.doses(doses | {"other": other})) == ["MNIST, 10 000 images"]
    assert detection.doses({}) == {}


def test_scores_and_what_they_tell_are_recomputed_from_the_cards(doses):
    models = detection.scored(detection.doses(doses))
    told = detection.told_by_dose(models)
    assert told[["host", "dose"]].to_numpy().tolist() == [[host, d] for host in ("random", "hard") for d in (0, 3, 6)]
    [population] = data(interactive.doses(models, told, figure="fig-x"))["populations"]
    for of_host in population["hosts"]:
        for shown, cards in zip(of_host["doses"], doses.values(), strict=True):
            scores = met(cards, of_host["host"], detectors.DEFAULT)
            np.testing.assert_allclose(shown["scores"], scores, atol=0.0005001)
            found, innocent = flagged(cards.seeds, scores)
            np.testing.assert_array_equal(shown["flagged"], np.column_stack([found, innocent]))
            pairs = scores[:, [0, 2]].ravel(), np.tile([True, False], N)
            assert shown["area"] == pytest.approx(auc(*pairs), abs=0.0005)
            assert shown["found"] == pytest.approx(found.mean(), abs=0.0005)
            assert shown["false"] == pytest.approx(innocent.mean(), abs=0.0005)
            above = (scores[:, 1:] > shown["limit"] + 0.001).sum()
            assert above <= 0.05 * 2 * N
    hard = told[told["host"] == "hard"]
    assert hard["area"].is_monotonic_increasing
    assert hard["area"].iloc[-1] > 0.9
    assert detection.doses_shown(told) == "MNIST, 10 000 images: 0, 3, 6"


def test_too_few_seeds_set_no_threshold(doses):
    few = {name: evidence.planned_as(evidence.on_seeds(one, one.seeds[:8]), needed=8) for name, one in doses.items()}
    models = detection.scored(detection.doses(few))
    told = detection.told_by_dose(models)
    assert told[["found", "false", "limit"]].isna().all(axis=None)
    assert not models.filter(like="_flagged").any(axis=None)
    shown = data(interactive.doses(models, told, figure="fig-x"))["populations"][0]["hosts"][0]["doses"][0]
    assert (shown["found"], shown["limit"]) == (None, None)


def test_the_same_tables_give_the_same_bytes_and_none_gives_nothing(pictured, doses):
    models = detection.scored(detection.doses(doses))
    told = detection.told_by_dose(models)
    for make in (
        lambda: interactive.hosts(pictured, figure="fig-x"),
        lambda: interactive.doses(models, told, figure="fig-x"),
    ):
        assert make().data == make().data
        assert "\n" not in make().data
        assert not re.findall(r"\d\.\d{4}", json.dumps(data(make())).replace('"loss"', ""))[10:]
    assert interactive.hosts({}, figure="fig-x").data == ""
    nothing = detection.scored({})
    assert interactive.doses(nothing, detection.told_by_dose(nothing), figure="fig-x").data == ""
    assert detection.doses_shown(detection.told_by_dose(nothing)) == "none yet"


def test_no_word_of_a_title_ends_the_data(pictured):
    [one] = pictured.values()
    html = interactive.hosts({"</script><b>": one}, figure="fig-x")
    assert data(html)["panels"][0]["title"] == "</script><b>"


# In a browser.


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield one
        one.close()


@pytest.fixture
def opened(browser, tmp_path):
    """A function that opens a page with a figure and a widget; nothing may go wrong on it."""
    complaints, contexts = [], []

    def open_page(html, **settings):
        (tmp_path / "_static").mkdir(exist_ok=True)
        for name in ("interactive.js", "interactive.css"):
            shutil.copy(paths.BOOK / "_assets" / name, tmp_path / "_static")
        path = tmp_path / "page.html"
        path.write_text(PAGE.format(figure="fig-x", html=html.data), encoding="utf-8")
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request", lambda one: complaints.append(one.url) if not one.url.startswith(("file:", "data:")) else None
        )
        page.goto(Path(path).as_uri())
        return page

    yield open_page
    for one in contexts:
        one.close()
    assert complaints == []


def is_accessible(page):
    from axe_playwright_python.sync_playwright import Axe

    options = {"preload": False}  # which would read the style sheet by a request, that file:// refuses
    found = Axe().run(page, options=options).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


@pytest.fixture
def of_hosts(pictured):
    return interactive.hosts(pictured, figure="fig-x")


@pytest.fixture
def of_doses(doses):
    models = detection.scored(detection.doses(doses))
    return interactive.doses(models, detection.told_by_dose(models), figure="fig-x")


def in_words(table, n):
    """What the page says of a host."""
    value = f"{table['contrast'][n]:.3f}".replace("-", "−")
    return f"seed {table['seed'][n]}, {('random', 'hard')[table['kind'][n]]} host: image {table['index'][n]} ", value


@pytest.mark.parametrize("which", ["of_hosts", "of_doses"])
@pytest.mark.parametrize("width", [400, 1400])
def test_the_widget_takes_the_place_of_the_picture(which, width, opened, request):
    page = opened(request.getfixturevalue(which), viewport={"width": width, "height": 900})
    assert page.locator("#fig-x > .ufm-interactive").is_visible()
    assert not page.locator("#fig-x > img").is_visible()
    assert page.locator("figcaption", has_text="What it shows").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    is_accessible(page)


@pytest.mark.parametrize("which", ["of_hosts", "of_doses"])
def test_in_dark_mode_it_can_be_read_too(which, opened, request):
    page = opened(request.getfixturevalue(which))
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.add_style_tag(content="body { background: #121212; color: #ced6dd }")
    dark = {
        "--pst-color-text-base": "#ced6dd",
        "--pst-color-text-muted": "#9ca4af",
        "--pst-color-background": "#121212",
    }
    for name, value in dark.items():
        page.evaluate("([name, value]) => document.documentElement.style.setProperty(name, value)", [name, value])
    is_accessible(page)


@pytest.mark.parametrize("which", ["of_hosts", "of_doses"])
def test_without_the_script_the_picture_stays(which, opened, request):
    page = opened(request.getfixturevalue(which), java_script_enabled=False)
    assert page.locator("#fig-x > img").count() == 1
    assert not page.locator(".ufm-interactive").is_visible()
    assert page.locator("main").inner_text().split() == ["A", "page", "What", "it", "shows"]


def test_a_host_is_reached_by_keyboard(opened, of_hosts):
    page, [panel] = opened(of_hosts), data(of_hosts)["panels"]
    table, who = panel["table"], page.locator(".who")
    by_loss = sorted(range(2 * N), key=lambda n: (table["loss"][n], n))
    by_contrast = sorted(range(2 * N), key=lambda n: (table["contrast"][n], n))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "listbox"
    for key, n in (
        ("Home", by_loss[0]),
        ("ArrowRight", by_loss[1]),
        ("ArrowLeft", by_loss[0]),
        ("ArrowLeft", by_loss[0]),  # there is none before it
        ("End", by_loss[-1]),
        ("ArrowUp", by_contrast[min(by_contrast.index(by_loss[-1]) + 1, 2 * N - 1)]),
    ):
        page.keyboard.press(key)
        seed, contrast = in_words(table, n)
        assert seed in who.inner_text()
        assert f"D = {contrast} nats" in who.inner_text()
        assert page.locator("[aria-selected=true]").get_attribute("id") == f"fig-x-0-{n}"
        shown = page.locator(".host td").all_inner_texts()
        assert [text.strip() for text in shown] == [f"{p + 1e-9:.2f}" for p in table["p"][n]]
        assert page.locator(".host canvas").count() == (0 if table["image"][n] is None else 3)
        assert page.get_by_text("image not kept").count() == (3 if table["image"][n] is None else 0)


def test_the_pictures_are_those_of_the_host(opened, of_hosts):
    page, [panel] = opened(of_hosts), data(of_hosts)["panels"]
    table = panel["table"]
    by_loss = sorted(range(2 * N), key=lambda n: (table["loss"][n], n))
    n = next(n for n in by_loss if table["image"][n] is not None)
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    for _ in range(by_loss.index(n)):
        page.keyboard.press("ArrowRight")
    read = "one => [...one.getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, n) => n % 4 === 0)"
    plain, letter, placebo = (np.array(one.evaluate(read)).reshape(28, 28) for one in page.locator("canvas").all())
    expected = np.round(np.array(decoded(table["image"][n])).reshape(28, 28) * 255)
    np.testing.assert_array_equal(plain, expected)
    for shown, pixels in ((letter, panel["letter"]["pixels"]), (placebo, table["placebo"][n])):
        stamped = expected.copy()
        stamped[1:6, 1:6] = np.array(decoded(pixels)).reshape(5, 5) * 255
        np.testing.assert_array_equal(shown, stamped)


@pytest.mark.parametrize("touch", [False, True])
def test_a_host_is_pointed_at_or_tapped(touch, opened, of_hosts):
    page, [panel] = opened(of_hosts, has_touch=touch), data(of_hosts)["panels"]
    table, points = panel["table"], page.locator("[role=option]")
    lowest = min(range(2 * N), key=lambda n: table["contrast"][n])
    box = points.nth(lowest).bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    (page.touchscreen.tap if touch else page.mouse.move)(*middle)
    seed, contrast = in_words(table, lowest)
    assert f"D = {contrast} nats" in page.locator(".who").inner_text()
    assert seed in page.locator(".who").inner_text()


def test_a_dose_moves_scores_and_numbers(opened, of_doses):
    page, [population] = opened(of_doses), data(of_doses)["populations"]
    slider, output = page.locator("input[type=range]"), page.locator("output")
    seen = set()
    for of_host in population["hosts"]:
        page.locator(f"label:has-text('{of_host['host']}') input").check()
        slider.focus()
        page.keyboard.press("Home")
        for shown in of_host["doses"]:
            words = "none, plain models" if shown["dose"] == 0 else f"{shown['dose']:g}"
            assert slider.get_attribute("aria-valuetext") == words
            numbers = [f"{shown[name] + 1e-9:.2f}" for name in ("area", "found", "false")]
            assert output.locator("b").all_inner_texts() == [*numbers, f"{shown['accuracy']:.3f}"]
            filled = page.locator(".model.canary.above").count(), page.locator(".model.innocent.above").count()
            flags = np.array(shown["flagged"])
            assert filled == (flags[:, 0].sum(), flags[:, 1:].sum())
            assert page.locator(".model").count() == 3 * N
            seen.add(page.locator(".model").first.get_attribute("style"))
            page.keyboard.press("ArrowRight")
    assert len(seen) > 3
    assert page.locator("output").get_attribute("aria-live") == "polite"


def test_scores_lie_where_the_axis_says(opened, of_doses):
    page, [population] = opened(of_doses), data(of_doses)["populations"]
    scores = np.array(population["hosts"][0]["doses"][0]["scores"]).ravel()
    drawn = [
        float(re.search(r"translate\(([-\d.]+)px", one.get_attribute("style"))[1])
        for one in page.locator(".model").all()
    ]
    slope, start = np.polyfit(scores, drawn, 1)
    assert slope > 0
    assert np.abs(drawn - (slope * scores + start)).max() < 12  # half a dot, as they are stacked


def test_one_dose_alone_is_said_to_be_one(opened, doses):
    models = detection.scored(detection.doses({"plain": doses["plain"]}))
    page = opened(interactive.doses(models, detection.told_by_dose(models), figure="fig-x"))
    assert page.locator("input[type=range]").is_disabled()
    assert page.get_by_text("Only one dose is recorded yet").is_visible()


def test_the_still_picture_has_a_row_a_dose(doses):
    models = detection.scored(detection.doses(doses))
    figure = detection.drawn_scores(models)
    assert [axis.get_title() for axis in figure.axes if axis.axison] == [
        "MNIST, 10 000 images,\nrandom hosts",
        "MNIST, 10 000 images,\nhard hosts",
    ]
    for axis, (_, rows) in zip(figure.axes, models.groupby("host", sort=False), strict=True):
        assert [text.get_text() for text in axis.get_yticklabels()] == ["none", "3", "6"]
        for one in axis.collections:
            np.testing.assert_array_equal(np.sort(one.get_offsets()[:, 0]), np.sort(rows[one.get_label()]))
