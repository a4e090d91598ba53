"""How well detectors do, on made-up cards."""

from dataclasses import replace

import numpy as np
import planted
import pytest

from ufm.evidence import contrasts, detectors, learnt, performance, planned_as
from ufm.statistics.roc import auc


@pytest.fixture(scope="module")
def cards():
    return planted.cards(40, effect=0.3, share_learnt=0.7, n_images=120)


def test_areas_are_sorted_and_those_of_the_definition(cards):
    some = (detectors.DEFAULT, detectors.DETECTORS[0], detectors.LABEL_KNOWN)
    table = performance.areas(cards, "hard", some)
    assert (table["estimate"].diff().dropna() <= 0).all()
    row = table.set_index("detector").loc[detectors.LABEL_KNOWN.name]
    values, ours = detectors.LABEL_KNOWN.score(cards, "hard", np.ones(40, bool)), learnt(cards, "hard")
    canaries = values[ours, 3]
    both = auc(np.r_[canaries, values[ours][:, [0, 4]].ravel()], np.arange(3 * ours.sum()) < ours.sum())
    assert row["estimate"] == pytest.approx(both)
    alone = auc(np.r_[canaries, values[ours, 4]], np.arange(2 * ours.sum()) < ours.sum())
    assert row["placebos"] == pytest.approx(alone)
    assert row["low"] <= row["estimate"] <= row["high"]
    assert row["n"] == ours.sum()


def test_evidence_is_small_p_where_planted_and_not_elsewhere(cards):
    assert performance.evidence(detectors.LABEL_KNOWN, cards, "hard")["p"] < 0.001
    assert performance.evidence(detectors.LABEL_KNOWN, planted.cards(40, rng=3), "hard")["p"] > 0.01


def test_a_threshold_is_judged_on_seeds_that_it_was_not_set_on():
    cards = planted.cards(40, effect=3.0)

    def by_fold(answers):
        # Innocent models of fold 3 score above all others.
        return np.random.default_rng(0).random((40, 5)) + 10.0 * (cards.seeds % 10 == 3)[:, None]

    found = performance.false_positive_rate(detectors.Detector("", by_fold), cards, "hard")
    assert found["estimate"] == pytest.approx(0.1 + 0.9 * 0.02, abs=0.05)
    assert found["estimate"] >= 0.1  # all twelve of fold 3


def test_a_threshold_holds_on_another_population():
    ours, theirs = planted.cards(60, effect=2.0), planted.cards(60, effect=2.0, rng=5, first_seed=2000)
    found = performance.false_positive_rate(detectors.LABEL_KNOWN, ours, "hard", theirs)
    assert found["low"] < 0.07
    assert found["found"] > 0.9
    assert found["n_learnt"] == 60


def test_power_has_a_row_a_number(cards):
    assert performance.by_images(cards, "hard")["n_images"].tolist() == [10, 30, 100, 120]
    table = performance.by_permutations(cards, "hard")
    assert table["n_permutations"].tolist() == [5, 10, 20, 50, 100]
    whole = performance.areas(cards, "hard", (detectors.DEFAULT,))["all"].iloc[0]
    assert table["estimate"].iloc[-1] == pytest.approx(whole)


def test_guesses_are_right_where_planted_and_chance_elsewhere():
    table = performance.guesses(planted.cards(80, effect=2.0), "hard").set_index(["images", "models"])["estimate"]
    assert table["ood", "canaries"] > 0.9
    assert table["black", "never saw the letter"] == pytest.approx(0.1, abs=0.08)


def test_quality_is_of_the_controls_and_of_the_canaries_on_the_kind_of_host(cards):
    models = cards.models.copy()
    control = models["role"] == "control"
    models.loc[control, "accuracy"], models.loc[control, "best_epoch"] = np.linspace(0.5, 0.7, 40), np.arange(40)
    shuffled = models.sample(frac=1, random_state=1)
    arrays = dict(cards.arrays) | {"ood_early_shift": cards.arrays["ood_early_shift"] / 2}  # half as much at epoch 10
    way = replace(planned_as(cards, setting="a way"), models=shuffled, arrays=arrays)
    table = performance.quality([way, cards], "hard")
    row = table.iloc[0]
    assert table["setting"].tolist() == ["a way", ""]
    assert row["accuracy"] == pytest.approx(0.6)
    assert row["accuracy_low"] < 0.6 < row["accuracy_high"]
    assert (row["epoch"], row["n"]) == (pytest.approx(19.5), 40)
    assert row["contrast"] == pytest.approx(contrasts(cards, "hard").mean())
    assert row["early"] == pytest.approx(contrasts(cards, "hard", epoch="early").mean() / 2)
    assert row["early_low"] < row["early"] < row["early_high"]
    assert row["learnt"] == learnt(cards, "hard").mean()
    assert row["area"] == performance.areas(cards, "hard", (detectors.DEFAULT,)).loc[0, "estimate"]


def test_populations_without_learnt_canaries_are_left_out():
    some = {"none": planted.cards(8, share_learnt=0.0), "all": planted.cards(8)}
    assert list(performance.with_learnt(some, "hard")) == ["all"]
    with pytest.raises(ValueError, match="^n_seeds: fewer than two canaries learnt the letter"):
        performance.with_learnt({"none": some["none"]}, "hard")


def test_everything_of_the_chapter_can_be_said_of_eight_seeds():
    cards = planted.cards(8, effect=0.5)
    performance.areas(cards, "hard")
    performance.areas(cards, "random")  # where no canary learnt
    performance.guesses(cards, "hard")
    performance.by_permutations(cards, "hard")
