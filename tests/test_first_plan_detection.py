"""C2 of the first plan, from rows small enough to work by hand."""

from math import nan

import pandas as pd
import planted
import pytest

from ufm import evidence
from ufm.chapters import first_plan
from ufm.evidence import detectors, performance
from ufm.first_plan import detection

UNDECIDED, NONE = "cannot be decided", "–"
ONE = {"estimate": 0.4666, "low": 0.346, "high": 0.5849, "n": 30}
LACKING = {"estimate": nan, "low": nan, "high": nan, "n": 1}
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
    assert first_plan.cell(value) == expected


def test_a_set_with_too_few_learnt_canaries_is_shown_as_undecided():
    rows = [{"population": "a", "n_seeds": 100, **ONE, "p": 0.0001}, {"population": "b", "n_seeds": 20} | LACKING]
    first, second = first_plan.printed_sets(pd.DataFrame(rows)).to_numpy().tolist()
    assert first == ["a", 100, 30, "0.47 (0.35 to 0.58)", "< 0.001"]
    assert second == ["b", 20, 1, UNDECIDED, NONE]


def test_thresholds_have_dashes_where_there_is_nothing_to_find():
    first, second = first_plan.printed_thresholds(THRESHOLDS).to_numpy().tolist()
    assert first[:4] == ["a", "0.47 (0.35 to 0.58)", "0.12", 24]
    assert first[-1] == NONE  # the threshold was set on this one
    assert second[2:] == [NONE, 0, "0.06 (0.02 to 0.10)", "0.50"]


def test_the_plans_tables_of_made_up_cards():
    some = {
        "a": planted.cards(24, effect=1.0, title="first"),
        "b": planted.cards(8, share_learnt=0.1, rng=1, title="second"),
    }
    named = (detectors.DEFAULT, detectors.LABEL_KNOWN)
    on = [evidence.each(performance.areas, some, host, named) for host in ("hard", "random")]
    shown = first_plan.printed_areas(*on)
    assert shown["population"].tolist() == ["first"] * 2 + ["second"] * 2
    assert shown["controls alone"].iloc[0] == f"{on[0]['first']['controls'].iloc[0]:.2f}"
    assert shown["hard, learnt"].iloc[2] == UNDECIDED
    for table in (shown, first_plan.printed_thresholds(performance.thresholds(some, "hard"))):
        assert not table.astype(str).apply(lambda column: column.str.contains("nan", case=False)).any(axis=None)
