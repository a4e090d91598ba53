"""The chapter Controls, from rows small enough to work by hand."""

from dataclasses import replace
from math import nan

import numpy as np
import pandas as pd
import planted
import pytest

from ufm.chapters import controls
from ufm.evidence import controls as null
from ufm.report import by_population
from ufm.statistics import Interval

UNDECIDED = "cannot be decided"
ONE = {"estimate": 0.4666, "low": 0.346, "high": 0.5849, "n": 30}
CANARY = {"random": [0.1, 0.2, 0.6], "hard": [0.3, 0.3, -0.3]}
CONTROL = [0.0, -0.1, 0.4]


@pytest.fixture
def cards():
    """Three seeds whose scores M are known; with raw inputs they have the other sign."""
    found = planted.cards(3, title="MNIST, 10 000 images", effect=0.3)
    score = found.arrays["score_memorisation"].copy()
    for model, values in ((0, CONTROL), (1, CANARY["random"]), (3, CANARY["hard"])):
        score[:, model, 0, -1], score[:, model, 1, -1] = values, -np.array(values)
    models = found.models.copy()
    models["accuracy"] = [0.9, 0.8, 0.5, 0.9, 0.5, 0.9, 0.9, 0.5, 0.9, 0.5, 0.9, 1.0, 0.5, 0.9, 0.5]
    models["best_epoch"] = [5, 3, 1, 5, 1, 2, 2, 1, 2, 1, 4, 8, 1, 4, 1]
    return replace(found, arrays=dict(found.arrays) | {"score_memorisation": score}, models=models)


def test_published_rules_are_shown_on_all_images():
    rows = [
        {"rule": rule, "inputs": inputs, "n_images": n, **ONE, "estimate": estimate}
        for rule, inputs, n, estimate in (
            ("M > 0", "raw", 10, 0.1),
            ("M > 0", "raw", 500, 0.2),
            ("t-test", "normalised", 10, 0.3),
            ("t-test", "normalised", 500, 0.4),
        )
    ]
    table = controls.printed_rules({"a": pd.DataFrame(rows)})
    assert [text.split()[0] for text in table["a"]] == ["0.20", "0.40"]
    assert [("raw" in one, "t-test" in one) for one in table["quantity"]] == [(True, False), (False, True)]


def test_quantities_are_rules_siblings_and_labels():
    rates = pd.DataFrame([{"rule": "M > 0", "inputs": "normalised", "n_images": 500} | ONE])
    correlation = {"correlation": [0.75], "correlation_low": [0.5], "correlation_high": [0.875]}
    siblings = pd.DataFrame({"pair": ["control and placebo"], "n": [30], "area": [0.5]} | correlation)
    found = controls.quantities({"a": rates}, {"hard": {"a": siblings}}, {"a": Interval(0.5, 0.4, 0.6, 30)})
    assert "correlation of control and placebo, hard hosts" in found
    table = by_population.summary(found)
    assert table["estimate"].tolist() == [0.4666, 0.75, 0.5]
    assert table["n"].tolist() == [30] * 3
    assert table["low"].tolist() == [0.346, 0.5, 0.4]


def test_small_p_values_count_those_of_at_most_the_level():
    p_values = pd.DataFrame(
        {"seed": [1, 1, 2, 2, 3, 3] * 2, "statistic": ["KL"] * 6 + ["moved"] * 6}
        | {"p": [0.05, 0.5, 0.04, 0.051, 0.9, 0.9] + [0.5] * 6}
    )
    table = controls.printed_small_p_values({"a": p_values})
    assert table["statistic"].tolist() == ["KL", "moved"]
    assert table["a"][0].startswith("0.33 (")
    assert table["a"][1] == "0.00"  # of none there is no bootstrap interval
    assert controls.printed_small_p_values({"a": p_values}, level=0.01)["a"].tolist() == ["0.00", "0.00"]


def test_lit_pixels_by_hand():
    share = np.array([[0, 0.001], [0.0011, 0.5]])
    [row] = controls.printed_lit({"a": share}).to_dict("records")
    assert list(row.values()) == ["a", 4, 1, 2, "0.500"]


def test_constant_pixels_are_counted_once_a_data_set():
    share = np.array([[0, 0.001], [0, 0.5]])
    said = controls.constant({"MNIST, 10 000 images": share, "MNIST, full": share, "Digits, 600 images": share + 0.1})
    assert said == "2 of 4 (MNIST); 0 of 4 (Digits)"


def test_shares_above_zero_by_kind_of_model():
    rows = [
        {"seed": seed, "role": role, "host": host, "memorisation": value}
        for (role, host), values in {
            ("control", ""): [0.1, 0.0],
            ("placebo", "random"): [0.1, 0.2],
            ("placebo", "hard"): [-0.1, -0.2],
            ("canary", "random"): [-0.1, 0.2],
            ("canary", "hard"): [0.1, 0.2],
        }.items()
        for seed, value in enumerate(values)
    ]
    table = controls.above_zero({"a": pd.DataFrame(rows), "b": pd.DataFrame(rows)})
    assert table["estimate"].tolist() == [0.5, 1, 0, 0.5, 1] * 2  # zero is not above zero
    shown = controls.printed_above_zero(table)
    assert list(shown) == ["kind", "a", "b"]
    assert shown["a"][2] == "0.00 (0.00 to 0.84)"  # exact: 1 − the square root of 0.025


def test_labels_are_a_row_a_population():
    table = controls.printed_labels(
        controls.labels({"a": Interval(0.5, 0.45, 0.55, 9), "b": Interval(nan, nan, nan, 9)})
    )
    assert table.to_numpy().tolist() == [["a", "0.50 (0.45 to 0.55)"], ["b", UNDECIDED]]


def test_canaries_stand_beside_the_controls_of_their_seeds(cards):
    pairs = controls.pairs(cards, "random", "normalised")
    assert pairs["seed"].tolist() == [1000, 1001, 1002]
    np.testing.assert_allclose(pairs[["canary", "control"]].T, [CANARY["random"], CONTROL])
    raw = controls.pairs(cards, "hard", "raw")
    np.testing.assert_allclose(raw["canary"], -np.array(CANARY["hard"]))


def test_scores_beside_controls_by_hand(cards):
    table = controls.beside_controls(cards).set_index(["host", "inputs"])
    assert list(table.index) == [(host, inputs) for host in ("random", "hard") for inputs in ("normalised", "raw")]
    row = table.loc["random", "normalised"]
    # Canaries: mean 0.3; controls: mean 0.1; differences 0.1, 0.3 and 0.2.
    assert [row[name] for name in controls.MEANS] == pytest.approx([0.3, 0.1, 0.2])
    assert 0.099 < row["difference_low"] < 0.2 < row["difference_high"] < 0.301  # the ends of what was seen
    # All three above their controls: the exact interval reaches down to the cube root of 0.025.
    assert [row["above"], row["above_low"], row["above_high"]] == pytest.approx([1, 0.025 ** (1 / 3), 1])
    raw = table.loc["random", "raw"]
    assert [raw[name] for name in controls.MEANS] == pytest.approx([-0.3, -0.1, -0.2])
    assert raw["above"] == 0
    assert table.loc["hard", "normalised"]["above"] == pytest.approx(2 / 3)
    assert (table["n"] == 3).all()


def test_models_and_distances_by_hand(cards):
    models = controls.models(cards).set_index(["role", "host"])
    assert models.loc[("control", ""), "accuracy"] == pytest.approx(0.9)
    assert models.loc[("canary", "random"), "epoch"] == pytest.approx(13 / 3)
    distances = controls.distances(cards)
    assert distances["accuracy"]["estimate"] == pytest.approx(0.2 / 3)
    assert distances["best epoch"]["estimate"] == pytest.approx((2 + 0 + 4) / 3)


def test_tables_and_summary_of_pairs_say_the_same(cards):
    beside, title = {"MNIST, 10 000 images": controls.beside_controls(cards)}, "MNIST, 10 000 images"
    shown = controls.printed_beside_controls(beside)
    assert list(zip(shown["hosts"], shown["inputs"], strict=True)) == [
        (host, inputs) for host in ("random", "hard") for inputs in ("normalised", "raw")
    ]
    assert shown["M, canaries"][0].startswith("0.300 (")
    assert shown["canary above control"][0].startswith("1.00 (")
    assert shown["M, canaries"][1].startswith("−0.300 (")
    models = controls.printed_models({title: controls.models(cards)})
    assert models["models"].tolist()[:2] == ["control", "canary, random host"]
    found = controls.quantities_of_pairs(beside, {title: controls.distances(cards)})
    values = by_population.ranges(found, digits=3)
    assert values["m_controls"] == "0.100"
    assert values["canary_less_control_on_random_hosts"] == "0.200"
    assert values["best_epoch_distance"] == "2.000"
    assert not by_population.summary(found)["quantity"].duplicated().any()


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {
    "drawn_scores": lambda some: [planted.each(some, null.scores_by_role)],
    "drawn_siblings": lambda some: [planted.each(some, null.scores_by_role)],
    "drawn_false_positive_rates": lambda some: [planted.each(some, null.false_positive_rates)],
    "drawn_p_values": lambda some: [planted.each(some, null.permutation_p_values)],
    "drawn_above_zero": lambda some: [controls.above_zero(planted.each(some, null.scores_by_role))],
    "drawn_rules": lambda some: [planted.each(some, null.false_positive_rates)],
    "drawn_differences": lambda some: [planted.each(some, controls.beside_controls)],
    "drawn_small_p_values": lambda some: [planted.each(some, null.permutation_p_values)],
    "drawn_labels": lambda some: [controls.labels(planted.each(some, null.label_check, "hard"))],
}
PANELS = {"drawn_small_p_values": 2, "drawn_labels": 1, "drawn_differences": 1}
