"""The chapter Medical images, from rows small enough to work by hand."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest

from ufm.chapters import medical
from ufm.evidence import contrasts, detectors, learnt, on_seeds
from ufm.measures.layout import AGES
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


def test_d_stands_apart_by_what_hosts_show():
    cards = planted.equal_age(
        24, effect=1.0, random_effect=1.0, title="X-rays", setting="second plan, MLP, letter", needed=24
    )
    labels = cards.labels.copy()
    labels[:, 1] = np.arange(24) % 3 == 0
    labels[:, 0] = 1
    named = replace(cards.sweep, protocol=replace(cards.protocol, dataset="pneumoniamnist", n_train=None))
    cards = replace(cards, labels=labels, sweep=named)
    table = medical.by_label({"a": cards}, {"a": cards.sweep}).set_index(["host", "label"])
    assert list(table.index) == [
        ("random", "all"),
        ("random", "pneumonia"),
        ("hard", "all"),
        ("hard", "normal"),
        ("hard", "pneumonia"),
    ]
    assert table["n"].tolist() == [24, 24, 24, 16, 8]
    for name, images in {"contrast": "ood", "test": "test"}.items():
        d = contrasts(cards, "hard", images, epoch="control")
        for label, ours in {
            "all": labels[:, 1] >= 0,
            "normal": labels[:, 1] == 0,
            "pneumonia": labels[:, 1] == 1,
        }.items():
            assert table.loc[("hard", label), name] == pytest.approx(d[ours].mean())
    assert table.loc[("hard", "all"), "median"] == pytest.approx(np.median(contrasts(cards, "hard", epoch="control")))
    at_control = cards.arrays["ood_age_shift"][:, cards.model("control"), AGES.index("control"), 0]
    alone = np.take_along_axis(at_control, labels[:, 1:2], 1)[:, 0]
    assert table.loc[("hard", "normal"), "mark"] == pytest.approx(alone[labels[:, 1] == 0].mean())
    said = medical.text_by_label(table.reset_index())
    assert re.search(r"MLP, letter, hard hosts: normal \S+ \(.*\) of 16 seeds, pneumonia \S+ \(.*\) of 8 seeds$", said)
    printed = medical.printed_by_label(table.reset_index())
    assert printed["they show"].tolist() == table.reset_index()["label"].tolist()
    few = on_seeds(cards, cards.seeds[:12])
    assert medical.by_label({"a": few}, {"a": cards.sweep}).empty
    assert medical.text_by_label(medical.by_label({}, {})) == "not recorded"
    assert medical.printed_by_label(medical.by_label({}, {})).empty


def test_of_one_or_two_hosts_there_is_no_mean():
    assert np.isnan(medical.mean_of(np.array([0.1, 0.3])).estimate)
    assert medical.mean_of(np.array([0.1, 0.3, 0.2])).estimate == pytest.approx(0.2)


def test_how_far_controls_are_trained():
    cards = planted.equal_age(12, title="X-rays", setting="second plan, MLP, letter", needed=12)
    numbers = {"loss": 0.6, "stopping_loss": 0.1, "accuracy": 0.85, "best_epoch": 4}
    own = cards.models["role"] == "control"
    models = cards.models.assign(**{name: np.where(own, value, np.nan) for name, value in numbers.items()})
    models.loc[own, "loss"] += np.arange(12) / 12
    cards = replace(cards, models=models)
    table = medical.of_controls({"a": cards}, {"a": cards.sweep})
    assert table[["setting", "n"]].to_numpy().tolist() == [["MLP, letter", 12]]
    assert table["loss"].iloc[0] == pytest.approx(0.6 + np.mean(np.arange(12) / 12))
    assert medical.printed_controls(table)["loss on test images"].iloc[0].startswith("1.058 (")
    assert medical.of_controls({}, {}).empty
    assert medical.printed_controls(medical.of_controls({}, {})).empty


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
