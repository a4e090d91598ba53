"""What the book prints and draws, from tables small enough to work by hand."""

import math
import re
from html import unescape

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ufm import figures, tables
from ufm.statistics import SUMMARY_COLUMNS

T_2 = 4.302652729911275  # 97.5 % quantile of Student's t with two degrees of freedom, from a printed table
CANARY = [0.1, 0.2, 0.6]
CONTROL = [0.0, -0.1, 0.4]
SCORE_COLUMNS = ["label_known_score", "label_known_score_test", "specific_effect", "specific_effect_test"]


@pytest.fixture
def models():
    return pd.DataFrame(
        {
            "seed": [0, 0, 1, 1, 2, 2],
            "role": ["control", "canary"] * 3,
            "accuracy": [0.9, 0.8, 0.9, 0.9, 0.9, 1.0],
            "best_epoch": [5, 3, 2, 2, 4, 8],
        }
    )


@pytest.fixture
def scores():
    """Three seeds in no order; every score is the label-unknown one times a number of its own."""
    rows = [
        {"seed": seed, "role": role, "memorisation_score": score, "memorisation_score_raw": -score}
        | {column: factor * score for factor, column in enumerate(SCORE_COLUMNS, start=2)}
        for role, values in (("canary", CANARY), ("control", CONTROL))
        for seed, score in zip((2, 0, 1), values, strict=True)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def summary(models, scores):
    return tables.population_summary(models, scores)


def row(summary, quantity):
    (found,) = summary[summary["quantity"] == quantity].to_dict("records")
    return found


def test_population_summary_by_hand(summary):
    assert list(summary) == list(SUMMARY_COLUMNS)
    assert not summary["quantity"].duplicated().any()
    assert (summary["n"] == 3).all()
    # Canaries: mean 0.3, squared deviations 0.04 + 0.01 + 0.09 = 0.14, s² = 0.07.
    found = row(summary, "M, canaries")
    half = T_2 * math.sqrt(0.07 / 3)
    assert [found[end] for end in ("estimate", "low", "high")] == pytest.approx([0.3, 0.3 - half, 0.3 + half])
    # Controls: mean 0.1, squared deviations 0.01 + 0.04 + 0.09 = 0.14.
    assert row(summary, "M, controls")["estimate"] == pytest.approx(0.1)
    # Differences 0.1, 0.3, 0.2: mean 0.2, squared deviations 0.02, s² = 0.01.
    found = row(summary, "M, canary less control")
    half = T_2 * math.sqrt(0.01 / 3)
    assert [found[end] for end in ("estimate", "low", "high")] == pytest.approx([0.2, 0.2 - half, 0.2 + half])
    # All three above zero: the exact interval reaches down to the cube root of 0.025.
    found = row(summary, "share M > 0, canaries")
    assert [found[end] for end in ("estimate", "low", "high")] == pytest.approx([1, 0.025 ** (1 / 3), 1])
    assert row(summary, "share M > 0, controls")["estimate"] == pytest.approx(1 / 3)  # zero is not above zero
    assert row(summary, "share canary above control")["estimate"] == 1
    for factor, name in enumerate(("label-known score", "specific effect"), start=1):
        found = row(summary, f"{name}, OOD images, canary less control")
        assert found["estimate"] == pytest.approx(0.2 * 2 * factor)
        found = row(summary, f"{name}, test images, canary less control")
        assert found["estimate"] == pytest.approx(0.2 * (2 * factor + 1))
    assert row(summary, "accuracy, canaries")["estimate"] == pytest.approx(0.9)
    controls = row(summary, "accuracy, controls")
    assert [controls[end] for end in ("estimate", "low", "high")] == pytest.approx([0.9, 0.9, 0.9])
    assert row(summary, "accuracy, distance of canary and control")["estimate"] == pytest.approx(0.2 / 3)
    assert row(summary, "best epoch, distance of canary and control")["estimate"] == pytest.approx((2 + 0 + 4) / 3)


def test_raw_inputs_stand_beside_normalised_ones(summary):
    raw = {one for one in summary["quantity"] if one.endswith(", raw inputs")}
    assert {one.removesuffix(", raw inputs") for one in raw} <= set(summary["quantity"])
    assert row(summary, "M, canaries, raw inputs")["estimate"] == pytest.approx(-0.3)
    assert row(summary, "share M > 0, canaries, raw inputs")["estimate"] == 0
    assert row(summary, "share M > 0, controls, raw inputs")["estimate"] == pytest.approx(1 / 3)


def test_the_order_of_rows_does_not_matter(models, scores, summary):
    again = tables.population_summary(models[::-1], scores.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(again, summary)


def test_means_of_one_seed_have_no_interval(models, scores):
    found = tables.population_summary(models[models["seed"] == 2], scores[scores["seed"] == 2])
    assert (found["n"] == 1).all()
    assert found["estimate"].notna().all()
    without = found[found["low"].isna()]["quantity"]
    assert without.tolist() == [one for one in found["quantity"] if not one.startswith("share")]
    assert row(found, "M, canary less control")["estimate"] == pytest.approx(0.1)
    assert "0.100</td>" in tables.printed_by_inputs(found, caption="", name="one").data


def test_names_for_the_text(summary):
    values = tables.named(summary)
    assert values["m_canaries"] == 0.3
    assert values["m_canary_less_control"] == 0.2
    assert values["m_canary_less_control_low"] == -0.048
    assert values["m_canary_less_control_high"] == 0.448
    assert values["m_canary_less_control_reading"] == "not told apart from zero"
    assert values["share_m_0_canaries_reading"] == "above zero"
    assert values["m_controls_raw_inputs"] == -0.1
    assert len(values) == 4 * len(summary)  # no two quantities share a name
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in values)


def test_without_an_interval_the_text_says_so():
    one = pd.DataFrame([("M, canary model", 0.12345, math.nan, math.nan, 1)], columns=list(SUMMARY_COLUMNS))
    values = tables.named(one)
    assert values["m_canary_model"] == 0.123
    assert values["m_canary_model_reading"] == "without an interval"
    assert math.isnan(values["m_canary_model_low"])


def test_no_number_is_a_negative_zero():
    one = pd.DataFrame([("M", -0.00001, -0.2, 0.00001, 9)], columns=list(SUMMARY_COLUMNS))
    assert str(tables.named(one)["m"]) == "0.0"
    assert tables.estimates(one) == {"M": "0.000 (−0.200 to 0.000)"}


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
    assert tables.reading(low, high) == expected


def test_walkthrough_summary_has_no_intervals(scores):
    found = tables.walkthrough_summary(scores[scores["seed"] == 2])
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
    (found,) = tables.example_divergences(pd.DataFrame(rows), role="canary").to_dict("records")
    assert found["image"] == 1
    assert (found["class, clean"], found["class, unique"], found["class, random"]) == (0, 1, 0)
    # Half of log(0.5 / 0.25) and half of log(0.5 / 0.75).
    assert found["KL(clean ‖ unique)"] == pytest.approx(math.log(4 / 3) / 2)
    assert found["KL(clean ‖ random)"] == 0


@pytest.mark.parametrize("printed", [tables.printed, tables.printed_by_inputs, tables.printed_rest])
def test_a_table_is_printed_the_same_every_time(summary, printed):
    before = summary.copy()
    first, second = (printed(summary, caption="Scores, in nats", name="scores").data for _ in range(2))
    assert first == second
    assert "Scores, in nats" in first
    assert 'id="T_scores"' in first
    pd.testing.assert_frame_equal(summary, before)


def test_printed_tables_share_the_quantities_between_them(summary):
    inputs = tables.printed_by_inputs(summary, caption="", name="inputs").data
    rest = tables.printed_rest(summary, caption="", name="rest").data
    assert "0.300 (−0.357 to 0.957)" in inputs  # normalised
    assert "−0.300 (−0.957 to 0.357)" in inputs  # raw
    for quantity in summary["quantity"]:
        shown = [f">{quantity.removesuffix(', raw inputs')}<" in unescape(html) for html in (inputs, rest)]
        assert sum(shown) == 1, quantity


def drawn():
    """Each figure function with the arguments it is drawn from."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 1, 28, 28), dtype=np.uint8)
    colour = rng.random((6, 3, 32, 32))
    seeds = pd.DataFrame([{"seed": seed, "role": role} for seed in range(4) for role in ("control", "canary")])
    columns = [f"{one}{end}" for one in ("memorisation_score", "specific_effect") for end in ("", "_raw", "_test")]
    seeds = seeds.assign(**{column: rng.normal(size=8) for column in columns})
    roles = np.repeat(["control", "canary"], 20)
    kl = pd.DataFrame({"role": roles, "kl_unique": rng.random(40), "kl_random": np.zeros(40)})
    steps = [(role, n, r) for role in ("control", "canary") for n in (10, 30, 100) for r in (1, 3, 10)]
    settling = pd.DataFrame(steps, columns=["role", "n_images", "n_random"])
    return {
        figures.image_row: {"letter": images[0] / 255, "host": images[1], "colour": colour[0]},
        figures.image_grid: {"clean": images, "unique": colour},
        figures.sorted_scores: seeds,
        figures.paired_effects: seeds,
        figures.divergences: kl,
        figures.settling: settling.assign(memorisation_score=rng.normal(size=len(settling))),
    }


def test_every_figure_is_drawn_here():
    functions = [one for one in vars(figures).values() if getattr(one, "__annotations__", {}).get("return") is Figure]
    assert {one for one in functions if one.__module__ == "ufm.figures"} - {figures.closed} == drawn().keys()


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


def test_scores_are_sorted_by_the_canary():
    given = drawn()[figures.sorted_scores]
    figure = figures.sorted_scores(given)
    for axis, column in zip(figure.axes, ("memorisation_score", "memorisation_score_raw"), strict=True):
        wide = given.pivot(index="seed", columns="role", values=column).sort_values("canary")
        for role in ("canary", "control"):
            (points,) = [one for one in axis.collections if one.get_label() == role]
            np.testing.assert_array_equal(points.get_offsets()[:, 1], wide[role])


def test_a_table_without_rows_says_so():
    found = tables.printed(pd.DataFrame({"seeds": []}), caption="Mean contrast", name="x").data
    assert found == "<p>Mean contrast: nothing is recorded yet.</p>"
