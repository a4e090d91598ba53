"""The chapter Method, from tables small enough to work by hand."""

import math
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ufm.chapters import method
from ufm.statistics import SUMMARY_COLUMNS


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
    }


def test_every_figure_is_drawn_here():
    functions = [one for one in vars(method).values() if getattr(one, "__annotations__", {}).get("return") is Figure]
    assert {one for one in functions if one.__module__ == "ufm.chapters.method"} == drawn().keys()


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
