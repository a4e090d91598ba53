"""The chapter Medical images, from rows small enough to work by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest

from ufm.chapters import medical
from ufm.evidence import detectors, learnt
from ufm.plan.populations import NAME
from ufm.plan.registry import sweeps
from ufm.report import by_population
from ufm.statistics.roc import auc


def test_rows_of_c6_are_asked_and_said_in_words():
    cards = planted.equal_age(
        24, effect=1.0, random_effect=1.0, title="X-rays", setting="second plan, MLP, letter", needed=24
    )
    asked = medical.questions({"a": cards}, {"a": cards.sweep})
    assert asked["setting"].tolist() == ["MLP, letter"] * 2
    assert medical.in_words(asked) == "There and large: MLP, letter, random hosts; MLP, letter, hard hosts"
    lacking = medical.questions({}, {"a": cards.sweep})
    assert medical.in_words(lacking).startswith("Waits for seeds: MLP, letter, random hosts")
    assert medical.in_words(medical.questions({}, {})) == "Nothing is asked here"
    shown = by_population.questions(lacking, "network, feature")
    assert shown["network, feature"].tolist() == ["MLP, letter"] * 2
    assert shown["seeds"].tolist() == ["0 of 24"] * 2


ONE = {"estimate": 0.4666, "low": 0.346, "high": 0.5849, "n": 30}
CELL = {"population": "a", "host": "hard", **ONE, "p": 1e-5, "p_holm": 4e-5, "early": 0.25, "early_low": 0.125}
CELL |= {"early_high": 0.5, "detectable": 0.0213, "verdict": "memorised"}
CELL |= {"in_words": "memorised, by less than matters"}


def test_texts_of_cells_and_of_quality_go_through_the_populations():
    cells = pd.DataFrame([CELL | {"host": "random"}, CELL, CELL | {"host": "random", "estimate": 0.5}])
    assert medical.on_hosts(cells, "random") == "0.467 (0.346 to 0.585); 0.500 (0.346 to 0.585)"
    assert medical.on_hosts(cells, "middling") == "not recorded"
    quality = pd.DataFrame(
        [{"area": 0.5, "area_low": 0.25, "area_high": 0.75, "learnt": share, "n": 40} for share in (0.2, 0.625)]
    )
    assert medical.listed(quality, "area") == "0.50 (0.25 to 0.75); 0.50 (0.25 to 0.75)"
    assert medical.counts_learnt(quality) == "8, 25"


def test_areas_are_against_models_of_the_same_seeds_and_of_all():
    cards = planted.cards(24, effect=0.2, share_learnt=0.4, title="X-rays")
    which, canary, others = learnt(cards, "hard"), 3, [0, 4]
    table = medical.areas(cards, "hard").set_index("detector")
    assert set(table["n"]) == {which.sum()}
    values = detectors.LABEL_KNOWN.score(cards, "hard", np.ones(24, bool))
    row = table.loc[detectors.LABEL_KNOWN.name]
    for name, among in {"same": which, "all": np.ones(24, bool)}.items():
        innocent = values[among][:, others].ravel()
        positive = np.repeat([True, False], [which.sum(), len(innocent)])
        assert row[name] == pytest.approx(auc(np.concatenate([values[which, canary], innocent]), positive))
    assert row["same"] != row["all"]


def test_areas_are_told_apart_by_network_and_feature():
    some = {name: planted.three(name, 8) for name in ("MLP, letter", "MLP, name")}
    assert list(medical.by_setting(some, "hard")) == ["MLP, letter", "MLP, name"]


def test_of_fewer_than_two_that_learnt_there_is_no_area():
    tables = {"a": medical.areas(planted.cards(12, share_learnt=0), "hard")}
    assert tables["a"]["same"].isna().all()
    assert medical.below_chance(tables) == "none"
    assert set(medical.printed_areas(tables)["of all seeds"]) == {"cannot be decided"}


def test_areas_below_chance_are_named():
    row = {"detector": "KL, OOD", "same": 0.34, "same_low": 0.21, "same_high": 0.48, "n": 25}
    tables = {"MLP, name": pd.DataFrame([row, row | {"detector": "label, mix", "same_high": 0.52}])}
    assert medical.below_chance(tables) == "KL, OOD, MLP, name: 0.34 (0.21 to 0.48)"


def test_what_the_page_shows_is_said_by_profile():
    paper, digits = sweeps()["pneumoniamnist-second-plan-mlp-letter"].protocol, planted.PROTOCOL
    assert medical.shown_as(paper).startswith("chest X-rays of children")
    assert "stand in for X-rays (MNIST)" in medical.shown_as(digits)
    assert medical.covered(paper, "A") == "25 of 784 pixels (3 %)"
    assert medical.covered(paper, NAME) == "270 of 784 pixels (34 %)"


def test_the_design_says_seeds_and_stopping():
    cards = planted.equal_age(12, title="X-rays", setting="second plan, MLP, letter", needed=12)
    fixed = replace(cards.protocol, training=replace(cards.protocol.training, early_stopping="none"))
    said = medical.design({"a": replace(cards.sweep, protocol=fixed)})
    assert said == f"Seeds, each on a random host and on a hard one: MLP, letter: 12. {medical.STOPPED['none']}"
    assert medical.design({}) == "Nothing is asked here."


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {"drawn_areas": lambda some: [planted.each(some, medical.areas, "hard")]}
PANELS = {"drawn_areas": 2}
