"""The chapter Detection, from rows small enough to work by hand."""

from math import nan

import numpy as np
import pandas as pd
import planted
import pytest

from ufm import evidence
from ufm.chapters import detection
from ufm.evidence import detectors, performance
from ufm.report import by_population
from ufm.statistics import SUMMARY_COLUMNS

UNDECIDED, NONE = "cannot be decided", "–"
ONE = {"estimate": 0.4666, "low": 0.346, "high": 0.5849, "n": 30}
LACKING = {"estimate": nan, "low": nan, "high": nan, "n": 1}
AREAS = pd.DataFrame(
    [
        {"detector": detectors.LABEL_KNOWN.name, "knows": "label", **ONE, "outscores": 0.75}
        | {"all": 0.5, "all_low": 0.4, "all_high": 0.6, "found": 0.2, "found_low": 0.1, "found_high": 0.3},
        {"detector": detectors.PAPER.name, "knows": "", **ONE, "outscores": 0.5}
        | {"all": 0.5, "all_low": nan, "all_high": nan, "found": nan, "found_low": nan, "found_high": nan},
        {"detector": "another", "knows": "", **LACKING, "outscores": nan}
        | {f"{name}{end}": nan for name in ("all", "found") for end in ("", "_low", "_high")},
    ]
)
THRESHOLDS = pd.DataFrame(
    [
        {"population": "a", **ONE, "found": 0.125, "n_learnt": 24}
        | {"carried": nan, "carried_low": nan, "carried_high": nan, "carried_found": nan},
        {"population": "b", **ONE, "found": nan, "n_learnt": 0}
        | {"carried": 0.06, "carried_low": 0.02, "carried_high": 0.1, "carried_found": 0.5},
    ]
)


@pytest.mark.parametrize(
    ("sets", "p", "expected"),
    [
        ([(0.6, 0.8), (0.51, 0.7)], 0.01, "holds"),
        ([(0.6, 0.8), (0.51, 0.7)], 0.06, "holds in part"),
        ([(0.6, 0.8), (0.5, 0.7)], 0.01, "holds in part"),
        ([(0.6, 0.8), (nan, nan)], nan, "holds in part"),
        ([(0.4, 0.59), (0.3, 0.5)], 0.5, "does not hold"),
        ([(0.4, 0.6), (0.3, 0.5)], 0.5, "undecided"),
        ([(0.4, 0.59), (nan, nan)], nan, "undecided"),
    ],
)
def test_c2_from_its_sets(sets, p, expected):
    assert detection.detectable(pd.DataFrame(sets, columns=["low", "high"]), p) == expected


def test_a_set_with_too_few_learnt_canaries_decides_nothing():
    few = planted.cards(19, effect=1.0)
    table = detection.sets({"few": few, "enough": planted.cards(20, effect=1.0)})
    assert table["n"].tolist() == [19, 20]
    assert table["p"].isna().tolist() == [True, False]


def test_the_population_that_the_detector_was_chosen_on_is_no_evidence():
    assert list(detection.deciding({"mnist-small": planted.cards(2), "mnist-full": planted.cards(2)})) == ["mnist-full"]


def test_a_set_that_lacks_seeds_has_no_p():
    lacking = planted.cards(24, effect=1.0, needed=25)
    assert detection.sets({"lacking": lacking})["p"].isna().all()


@pytest.mark.parametrize(("value", "expected"), [(nan, NONE), (0.125, "0.12"), (-0.5, "−0.50"), (1.0, "1.00")])
def test_cell(value, expected):
    assert detection.cell(value) == expected


def test_tried_has_every_detector_in_the_order_given():
    table = detection.printed_tried(AREAS)
    assert table.iloc[:, 0].tolist() == AREAS["detector"].tolist()
    assert table.iloc[:, 1].tolist() == ["label", NONE, NONE]
    assert table.iloc[0, 2:].tolist() == ["0.47 (0.35 to 0.58)", "0.50 (0.40 to 0.60)", "0.20 (0.10 to 0.30)"]
    assert table.iloc[1, 2:].tolist() == ["0.47 (0.35 to 0.58)", "0.50", UNDECIDED]
    assert table.iloc[2, 2:].tolist() == [UNDECIDED] * 3


def test_areas_are_of_the_shown_detectors_in_their_order():
    table = detection.printed_areas({"a": AREAS})
    assert table["detector"].tolist() == [detectors.PAPER.name, detectors.LABEL_KNOWN.name]
    assert detection.printed_areas({"a": AREAS}, end="all")["a"].tolist() == ["0.50", "0.50 (0.40 to 0.60)"]


def every_shown(**columns):
    return pd.DataFrame([{"detector": one.name, **ONE} | columns for one in detectors.SHOWN])


def test_outscoring_has_a_dash_where_no_canary_learnt():
    table = detection.printed_outscoring({"a": every_shown(outscores=0.75), "b": every_shown(outscores=nan)})
    assert table["a"].tolist() == ["0.75"] * len(detectors.SHOWN)
    assert table["b"].tolist() == [NONE] * len(detectors.SHOWN)


def test_guesses_have_a_row_a_kind_of_images_and_of_models():
    rows = [{"images": images, "models": "all canaries"} | ONE for images in ("ood", "black")]
    table = detection.printed_guesses({"a": pd.DataFrame(rows), "b": pd.DataFrame(rows[:1])})
    assert len(table) == 2
    assert table["guess"].is_unique
    assert table["b"].tolist() == ["0.47 (0.35 to 0.58)", ""]


def test_gains_are_a_row_a_population():
    table = detection.printed_gains({"a": ONE, "b": LACKING})
    assert table.to_numpy().tolist() == [["a", "0.47 (0.35 to 0.58)", 30], ["b", UNDECIDED, 1]]


def test_thresholds_have_dashes_where_there_is_nothing_to_find():
    first, second = detection.printed_thresholds(THRESHOLDS).to_numpy().tolist()
    assert first[:4] == ["a", "0.47 (0.35 to 0.58)", "0.12", 24]
    assert first[-1] == NONE  # the threshold was set on this one
    assert second[2:] == [NONE, 0, "0.06 (0.02 to 0.10)", "0.50"]


def test_shares_stand_beside_each_other():
    table = detection.printed_shares({"a": ONE}, {"a": ONE | {"estimate": 0.5}})
    assert table.to_numpy().tolist() == [["a", 30, "0.47 (0.35 to 0.58)", "0.50 (0.35 to 0.58)"]]


def test_a_set_with_too_few_learnt_canaries_is_shown_as_undecided():
    rows = [{"population": "a", "n_seeds": 100, **ONE, "p": 0.0001}, {"population": "b", "n_seeds": 20} | LACKING]
    first, second = detection.printed_sets(pd.DataFrame(rows)).to_numpy().tolist()
    assert first == ["a", 100, 30, "0.47 (0.35 to 0.58)", "< 0.001"]
    assert second == ["b", 20, 1, UNDECIDED, NONE]


def test_each_quantity_is_taken_from_its_table():
    areas = every_shown()
    areas.loc[areas["detector"] == detectors.DEFAULT.name, "estimate"] = 0.55
    areas.loc[areas["detector"] == detectors.PAPER.name, "estimate"] = 0.51
    areas.loc[areas["detector"] == detectors.LABEL_KNOWN.name, "estimate"] = 0.65
    learnt = {"a": ONE | {"estimate": 0.86}, "b": ONE | {"estimate": 0.3}}
    table = by_population.summary(detection.quantities({"a": areas, "b": areas}, learnt, THRESHOLDS))
    assert list(table) == list(SUMMARY_COLUMNS)
    assert len(table) == 12
    estimates = table["estimate"].to_numpy().reshape(6, 2)
    expected = [[0.55] * 2, [0.51] * 2, [0.65] * 2, [0.86, 0.3], [0.4666] * 2, [0.125, nan]]
    np.testing.assert_array_equal(estimates, expected)
    assert table["n"].tolist()[-2:] == [24, 0]


def test_what_single_models_are_called_is_counted_over_populations():
    found = {
        "a": pd.DataFrame({"models": ["canaries"] * 3 + ["controls"], "verdict": ["none"] * 2 + ["evidence", "none"]}),
        "b": pd.DataFrame({"models": ["controls", "canaries"], "verdict": ["none", "none"]}),
    }
    assert detection.called(found, "canaries") == "none 3, evidence 1"
    assert detection.called(found, "controls") == "none 2"


def test_guesses_are_those_of_one_kind_of_images_and_of_models():
    rows = [
        {"images": images, "models": models, "estimate": estimate, "low": 0, "high": 1, "n": 9}
        for images, models, estimate in (("ood", "x", 0.1), ("black", "x", 0.25), ("black", "y", 0.9))
    ]
    other = [rows[0], rows[1] | {"estimate": 0.5}, rows[2]]
    assert detection.guessed({"a": pd.DataFrame(rows), "b": pd.DataFrame(other)}, "x") == "0.25 to 0.50"


def test_every_area_has_a_row_a_detector_and_kind_of_canaries():
    rows = [
        {"detector": one.name, "estimate": 0.9, "low": 0.8, "high": 1.0, "all": 0.7, "all_low": 0.6, "all_high": 0.8}
        for one in detectors.SHOWN
    ]
    hard, random = pd.DataFrame(rows), pd.DataFrame(rows).assign(all=0.5, all_low=0.4, all_high=0.6)
    table = detection.printed_every_area({"a": hard}, {"a": random})
    assert table["canaries"].value_counts().tolist() == [len(detectors.SHOWN)] * 3
    texts = table.groupby("canaries", sort=False)["a"].unique()
    assert [one.tolist() for one in texts] == [
        ["0.90 (0.80 to 1.00)"],
        ["0.70 (0.60 to 0.80)"],
        ["0.50 (0.40 to 0.60)"],
    ]


def test_tables_take_what_the_library_computes():
    """The whole chapter on made-up cards, one population in which nothing can be said of learnt canaries."""
    cards = {
        "a": planted.cards(24, effect=1.0, share_learnt=0.8, title="first"),
        "b": planted.cards(8, share_learnt=0.1, rng=1, title="second"),
    }
    assert [evidence.learnt(one, "hard").sum() for one in cards.values()] == [15, 1]
    areas = evidence.each(performance.areas, cards, "hard", detectors.SHOWN)
    rows = performance.thresholds(cards, "hard")
    learnt = evidence.each(performance.share_learnt, cards, "hard")
    assert len(by_population.summary(detection.quantities(areas, learnt, rows))) == 12
    for table in (
        detection.printed_areas(areas),
        detection.printed_outscoring(areas),
        detection.printed_thresholds(rows),
        detection.printed_sets(detection.sets(cards)),
        detection.printed_guesses(evidence.each(performance.guesses, cards, "hard")),
        detection.printed_gains(evidence.each(performance.gain, cards, "hard")),
    ):
        assert not table.astype(str).apply(lambda column: column.str.contains("nan", case=False)).any(axis=None)
    assert detection.printed_areas(areas)["second"].tolist() == [UNDECIDED] * len(detectors.SHOWN)


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {
    "drawn_curves": lambda some: [
        planted.each(some, performance.curves, "hard", (detectors.LABEL_KNOWN, detectors.PAPER))
    ],
    "drawn_power": lambda some: [
        planted.each(some, performance.by_images, "hard"),
        planted.each(some, performance.by_permutations, "hard"),
    ],
    "drawn_areas": lambda some: [
        planted.each(some, performance.areas, host, (detectors.LABEL_KNOWN, detectors.PAPER))
        for host in ("hard", "random")
    ],
}
PANELS = {"drawn_power": 2}
