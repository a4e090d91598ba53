"""The chapter Robustness, on made-up cards."""

from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest

from ufm.chapters import robustness
from ufm.chapters.robustness import CHOICES, PLANNED
from ufm.evidence import contrasts, detectors
from ufm.evidence.questions import There
from ufm.report.texts import REHEARSED
from ufm.statistics import holm, sign_flip_test
from ufm.statistics.roc import auc

N = 24


def own(effect, title="MNIST, full", **changes):
    named = {"title": title, "setting": "second plan, both hosts", "needed": N}
    return planted.equal_age(N, effect=effect, random_effect=effect, **(named | changes))


def planned(populations):
    return {name: cards.sweep for name, cards in populations.items()}


@pytest.fixture(scope="module")
def populations():
    # At their own best epoch the second models hold nothing.
    return {"a": own(0.5), "b": own(0.5, "Fashion-MNIST, full", rng=1, by_age={"best": 0.0})}


@pytest.fixture(scope="module")
def presence(populations):
    return robustness.presence(populations, planned(populations))


def test_every_row_is_asked_under_every_choice(presence, populations):
    assert len(presence) == 2 * 2 * len(CHOICES)
    assert presence["choice"].unique().tolist() == [choice.name for choice in CHOICES]
    rows = presence[(presence["choice"] == PLANNED) & (presence["host"] == "hard")]
    values = [contrasts(cards, "hard", epoch="control") for cards in populations.values()]
    assert rows["contrast"].tolist() == pytest.approx([one.mean() for one in values])
    np.testing.assert_allclose(rows["p_holm"], holm([sign_flip_test(one) for one in values]))


def test_a_word_that_hangs_on_a_choice_is_named(presence):
    shown = robustness.hanging(presence).set_index("what")
    steady, hanging = shown.loc["MNIST, full, hard hosts"], shown.loc["Fashion-MNIST, full, hard hosts"]
    assert (steady["planned"], steady["other"], steady["stays"]) == (There.LARGE, "", len(CHOICES) - 1)
    assert hanging["planned"] == There.LARGE
    assert hanging["other"].startswith("each at its own best epoch: ")
    assert hanging["stays"] == len(CHOICES) - 2
    assert robustness.counted(presence) == "2 of 4"
    assert robustness.unshaken(presence) == "2 of 4"


@pytest.mark.parametrize(
    ("plan", "said", "same"),
    [
        (There.LARGE, There.LARGE, True),
        (There.LARGE, There.SMALL, False),
        (There.SMALL, "there", True),
        (There.SMALL, "not shown", False),
        (There.UNDECIDED, "not shown", True),
        (There.NOT, "there", False),
    ],
)
def test_on_another_scale_only_whether_it_is_there_can_differ(plan, said, same):
    assert robustness.alike(plan, said) is same


def test_a_family_that_lacks_seeds_is_not_there(populations):
    plan = planned(populations) | {"b": replace(populations["b"].sweep, seeds=range(1000, 1030))}
    assert robustness.presence(populations, plan).empty
    assert robustness.detection(populations, plan).empty
    assert robustness.still_open(populations, plan) == "C1; C1, hard hosts"
    assert robustness.still_open(populations, planned(populations)) == "none"
    nothing = robustness.presence(populations, plan)
    assert robustness.counted(nothing) == robustness.unshaken(nothing) == "0 of 0"
    assert robustness.printed_presence(nothing, "paper").empty
    assert robustness.printed_detection(robustness.detection(populations, plan), "paper").empty


def test_areas_are_against_placebo_models_and_against_controls(populations):
    table = robustness.detection(populations, planned(populations))
    scores = detectors.LABEL_KNOWN.score(populations["a"], "hard", np.ones(N, bool))
    for against, place in (("placebo models", 4), ("controls", 0)):
        rows = table[(table["against"] == against) & (table["auditor"] == "known") & (table["host"] == "hard")]
        both = np.r_[scores[:, 3], scores[:, place]]
        assert rows["area"].iloc[0] == pytest.approx(auc(both, np.arange(2 * N) < N))
        np.testing.assert_allclose(rows["area_p_holm"], holm(rows["area_p"]))
    shown = robustness.printed_detection(table, "paper")
    assert shown.shape == (4, 1 + 3 * 2)
    assert not shown.astype(str).apply(lambda column: column.str.contains("nan")).any(axis=None)


def test_areas_are_drawn_with_those_of_the_plan_filled(populations):
    table = robustness.detection(populations, planned(populations))
    figure = robustness.drawn_detection(table)
    [axis] = figure.axes
    order = [one.get_offsets()[0, 0] for one in axis.collections]
    np.testing.assert_allclose(np.sort(order), np.sort(table["area"]))
    heights = [one.get_offsets()[0, 1] for one in axis.collections]
    assert len(set(heights)) == len(table)
    assert [label.get_text() for label in axis.get_yticklabels()][0] == "MNIST, full, random hosts"
    filled = [tuple(one.get_facecolor()[0]) != (1, 1, 1, 1) for one in axis.collections]
    planned_ones = {round(area, 9) for area in table.loc[table["against"] == "placebo models", "area"]}
    assert {round(area, 9) for area, is_filled in zip(order, filled, strict=True) if is_filled} == planned_ones
    ends = {tuple(line.get_xdata()) for line in axis.lines}
    assert set(zip(table["area_low"], table["area_high"], strict=True)) | {(0.5, 0.5), (0.6, 0.6)} == ends
    assert len(figure.legends[0].get_texts()) == 6


def test_the_rehearsal_says_no_word(presence, populations):
    shown = robustness.printed_presence(presence, "embedded")
    assert shown["is it there?"].unique().tolist() == [REHEARSED]
    assert shown["and else"].unique().tolist() == ["–"]
    areas = robustness.printed_detection(robustness.detection(populations, planned(populations)), "embedded")
    assert not areas.apply(lambda column: column.str.contains("told")).any(axis=None)


def test_numbers_are_a_column_a_choice(presence):
    shown = robustness.printed_numbers(presence)
    assert list(shown) == ["row", *(choice.name for choice in CHOICES[:-1])]
    first = presence[(presence["population"] == "MNIST, full") & (presence["host"] == "random")].set_index("choice")
    assert shown[PLANNED].iloc[0] == f"{first.loc[PLANNED, 'contrast']:.3f}"
    assert shown["row"].iloc[-1] == "Fashion-MNIST, full, hard hosts"  # with its hyphen
    assert robustness.printed_numbers(pd.DataFrame()).empty


def areas(some):
    """What `robustness.detection` makes."""
    rows = [
        {"population": one.title, "setting": "", "host": "hard", "auditor": auditor, "against": against, "word": ""}
        | {"area": 0.6, "area_low": 0.5, "area_high": 0.7}
        for one in some
        for auditor in robustness.KNOWS
        for against in robustness.AGAINST
    ]
    return pd.DataFrame(rows)


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {
    "drawn_choices": lambda some: [
        robustness.presence(
            every := {one.title: own(0.5, one.title) for one in some}, {name: one.sweep for name, one in every.items()}
        )
    ],
    "drawn_detection": lambda some: [areas(some)],
}
PANELS = dict.fromkeys(DRAWN, 1)
