"""The chapter Method, from tables small enough to work by hand."""

import math
import re
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import planted
import pytest
from matplotlib.figure import Figure

from ufm import evidence, features
from ufm.book import notebooks
from ufm.chapters import method
from ufm.plan import second
from ufm.report import host_pictures
from ufm.statistics import SUMMARY_COLUMNS
from ufm.study.runs import Run


@pytest.fixture
def summary():
    """Three quantities, one whose interval holds zero."""
    rows = [
        ("M, canaries", 0.3, 0.1, 0.5, 3),
        ("M, canary less control", 0.2, -0.04841, 0.44841, 3),
        ("share M > 0, canaries", 1.0, 0.292, 1.0, 3),
    ]
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def test_names_for_the_text(summary):
    values = method.texts(summary)
    assert values["m_canaries"] == 0.3
    assert values["m_canary_less_control"] == 0.2
    assert values["m_canary_less_control_low"] == -0.048
    assert values["m_canary_less_control_high"] == 0.448
    assert values["m_canary_less_control_reading"] == "not told apart from zero"
    assert values["share_m_0_canaries_reading"] == "above zero"
    assert len(values) == 4 * len(summary)  # no two quantities share a name
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in values)


def test_without_an_interval_the_text_says_so():
    one = pd.DataFrame([("M, canary model", 0.12345, math.nan, math.nan, 1)], columns=list(SUMMARY_COLUMNS))
    values = method.texts(one)
    assert values["m_canary_model"] == 0.123
    assert values["m_canary_model_reading"] == "without an interval"
    assert math.isnan(values["m_canary_model_low"])


def test_no_number_is_a_negative_zero():
    one = pd.DataFrame([("M", -0.00001, -0.2, 0.00001, 9)], columns=list(SUMMARY_COLUMNS))
    assert str(method.texts(one)["m"]) == "0.0"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 0.2, "above zero"),
        (-0.2, -0.1, "below zero"),
        (-0.1, 0.1, "not told apart from zero"),
        (0.0, 0.1, "not told apart from zero"),
        (-0.1, 0.0, "not told apart from zero"),
        (math.nan, math.nan, "without an interval"),
    ],
)
def test_reading(low, high, expected):
    assert method.reading(low, high) == expected


def test_the_summary_has_no_intervals():
    columns = ["role", "memorisation_score", "memorisation_score_raw"]
    scores = pd.DataFrame([("canary", 0.1, -0.1), ("control", 0.0, -0.0)], columns=columns)
    found = method.summary_of_scores(scores)
    assert found["quantity"].tolist() == [
        "M, canary model",
        "M, canary model, raw inputs",
        "M, control model",
        "M, control model, raw inputs",
    ]
    assert found["estimate"].tolist() == [0.1, -0.1, 0.0, -0.0]
    assert found[["low", "high"]].isna().all(axis=None)


def test_example_divergences_by_hand():
    probabilities = {"clean": [0.5, 0.5], "unique": [0.25, 0.75], "random": [0.5, 0.5]}
    rows = [
        {"role": role, "image": 0, "version": version, "class": label, "probability": p}
        for role in ("canary", "control")
        for version, row in probabilities.items()
        for label, p in enumerate(row if role == "canary" else row[::-1])
    ]
    (found,) = method.example_divergences(pd.DataFrame(rows), role="canary").to_dict("records")
    assert found["image"] == 1
    assert (found["class, clean"], found["class, unique"], found["class, random"]) == (0, 1, 0)
    # Half of log(0.5 / 0.25) and half of log(0.5 / 0.75).
    assert found["KL(clean ‖ unique)"] == pytest.approx(math.log(4 / 3) / 2)
    assert found["KL(clean ‖ random)"] == 0


@pytest.fixture(scope="module")
def by_hand():
    """The cell that works out D, as a function of a seed's population."""
    [cell] = [cell for cell in notebooks.read("method").cells if "by-hand" in cell.metadata.get("tags", [])]

    def worked_out(siblings):
        names = {"siblings": siblings}
        exec(compile(cell.source, "the cell", "exec"), names)
        return names["D"]

    return worked_out


@pytest.fixture(scope="module")
def recorded():
    """The seeds of the records from which the page shows the first."""
    names = [next(iter(second.full("paper", dataset))) for dataset in ("mnist", "fashion_mnist")]
    populations = Run("hosts", {"profile": "paper", "train": False}).recorded()
    return [populations[name] for name in names]


def test_ten_lines_of_numpy_say_what_the_library_says(by_hand, recorded):
    for population in recorded:
        expected = evidence.contrasts(evidence.stack(population), "hard", epoch="control")
        assert len(set(expected.round(3))) > 20
        for place, value in enumerate(expected):
            assert by_hand(replace(population, arrays=population.arrays[place:])) == pytest.approx(value, abs=1e-12)


def test_the_page_shows_the_first_seed_of_both_sweeps(recorded):
    run = Run("method", {"profile": "paper", "train": False})
    first, other = run.recorded().values()
    assert (first.sweep.seeds, other.sweep.seeds) == (range(1), range(4100, 4101))
    assert other.entries == recorded[0].entries[:1]


def test_effects_are_those_of_both_siblings_and_their_control():
    cards = planted.equal_age(8, effect=1.0, by_age={"control": 2.0})
    table = method.effects(cards)
    label = cards.labels[0, 1]
    at_control = cards.arrays["ood_age_shift"][0, :, 2]
    assert table.loc["canary"].tolist() == [at_control[3, 0, label], at_control[3, 2, label]]
    assert table.loc["placebo"].tolist() == [at_control[4, 0, label], at_control[4, 2, label]]
    assert table.loc["control"].tolist() == [at_control[0, 0, label], at_control[0, 2, label]]
    differences = table["letter"] - table["placebo feature"]
    contrast = evidence.contrasts(cards, "hard", epoch="control")[0]
    assert (differences["canary"] - differences["placebo"]) / 2 == pytest.approx(contrast)
    said = method.worked(cards)
    assert float(said["contrast"]) == pytest.approx(contrast, abs=0.0005)
    assert float(said["interaction"]) == pytest.approx(2 * contrast, abs=0.0005)
    assert float(said["canary_letter"].replace("−", "-")) == pytest.approx(at_control[3, 0, label], abs=0.0005)
    assert said["hard_label"] == label
    page = notebooks.source("method").read_text(encoding="utf-8")
    asked = set(re.findall(r"{glue:text}`(\w+)`", page)) - {"host_index", "host_label", "n_shown"}
    assert asked <= said.keys()


def test_each_model_had_its_own_stamp_on_its_own_host(monkeypatch):
    cards = planted.equal_age(8)
    plain = [np.full((1, 28, 28), 7, np.uint8), None]
    monkeypatch.setattr(host_pictures, "found", lambda *_, **settings: plain)
    images = method.training_images(cards)
    assert list(images) == evidence.roles(cards.protocol)
    assert all(hard is None for _, hard in images.values())
    random = {of: image for of, (image, _) in images.items()}
    untouched = {of for of, image in random.items() if (image == 7).all()}
    assert untouched == {("control", ""), ("canary", "hard"), ("placebo", "hard")}
    corner = random["canary", "random"][0, 1:6, 1:6]
    np.testing.assert_array_equal(corner, features.letter("A") * 255)
    other = random["placebo", "random"][0, 1:6, 1:6]
    assert sorted(other.ravel()) == sorted(corner.ravel())
    assert (other != corner).any()


def test_the_placebo_feature_is_the_one_that_was_trained_with():
    population = Run("controls", {"profile": "paper", "train": False}).recorded()["mnist-small"]
    seed, card = population.entries[0]["seed"], population.arrays[0]
    for kind, host in enumerate(population.protocol.hosts):
        np.testing.assert_array_equal(
            host_pictures.stamp(population.protocol, seed, "placebo", host), card["placebo"][kind]
        )


def drawn():
    """Each figure function with the arguments it is drawn from."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 1, 28, 28), dtype=np.uint8)
    colour = rng.random((6, 3, 32, 32))
    roles = np.repeat(["control", "canary"], 20)
    kl = pd.DataFrame({"role": roles, "kl_unique": rng.random(40), "kl_random": np.zeros(40)})
    steps = [(role, n, r) for role in ("control", "canary") for n in (10, 30, 100) for r in (1, 3, 10)]
    settling = pd.DataFrame(steps, columns=["role", "n_images", "n_random"])
    return {
        method.drawn_images: {"letter": images[0] / 255, "host": images[1], "colour": colour[0]},
        method.drawn_rows: {"clean": images, "unique": colour},
        method.drawn_divergences: kl,
        method.drawn_settling: settling.assign(memorisation_score=rng.normal(size=len(settling))),
        method.drawn_models: dict.fromkeys(evidence.roles(planted.PROTOCOL), images[:2]),
    }


def test_the_two_by_two_says_its_numbers():
    numbers = [[0.5, -0.25], [0.125, 0.75], [0.1, 0.2]]
    table = pd.DataFrame(numbers, index=["canary", "placebo", "control"], columns=["letter", "placebo feature"])
    image = np.zeros((1, 28, 28), np.uint8)
    asked = dict.fromkeys(("letter", "placebo feature"), image)
    figure = method.drawn_contrast(table, asked, {"canary": image, "placebo": None})
    figure.canvas.draw()
    said = [axis.get_xlabel() for axis in figure.axes if axis.axison and axis.get_xlabel()[:1] in "+−"]
    assert said == ["+0.500", "−0.250", "+0.125", "+0.750"]
    words = " ".join(text.get_text() for axis in figure.axes for text in axis.texts)
    assert "+0.750 less −0.625, halved:  D = +0.688 nats" in words  # ½ [(0.5 + 0.25) − (0.125 − 0.75)]
    assert "not kept" in words


def test_every_figure_is_drawn_here():
    functions = [one for one in vars(method).values() if getattr(one, "__annotations__", {}).get("return") is Figure]
    ours = {one for one in functions if one.__module__ == "ufm.chapters.method"}
    assert ours == {*drawn(), method.drawn_contrast}


@pytest.mark.parametrize("draw", drawn(), ids=lambda draw: draw.__name__)
def test_a_figure_is_narrow_closed_and_leaves_its_table(draw):
    given, untouched = drawn()[draw], drawn()[draw]
    plt.close("all")
    figure = draw(given)
    assert isinstance(figure, Figure)
    assert figure.get_figwidth() <= 6
    assert plt.get_fignums() == []  # else a notebook shows it twice
    figure.canvas.draw()
    for axis in figure.axes:
        assert axis.images or axis.lines or axis.collections or not axis.axison
    if isinstance(given, pd.DataFrame):
        pd.testing.assert_frame_equal(given, untouched)
    else:
        for title in given:
            np.testing.assert_array_equal(given[title], untouched[title])
