"""Detectors on made-up cards, and choosing among them."""

from dataclasses import replace

import numpy as np
import planted
import pytest

from ufm.evidence import detectors, learnt
from ufm.statistics.roc import auc

EVERY = detectors.NAMED


def test_standardised_shift_by_hand():
    null = np.array([[1.0, 0], [2, 2], [3, 4]])  # means 2 and 2, deviations 1 and 2
    assert detectors.standardised_shift(np.array([4.0, 1]), null).tolist() == [2, -0.5]


def test_standardising_needs_permutations_that_differ():
    with pytest.raises(ValueError, match="^standardising needs at least two permutations, not 1$"):
        detectors.standardised_shift(np.zeros(2), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="^permutations all move a class alike"):
        detectors.standardised_shift(np.zeros(2), np.ones((5, 2)))


def test_a_matched_filter_is_the_standardised_shift_where_classes_are_independent():
    cards = planted.cards(3, effect=1.0)
    whitened = detectors.matched(cards, "ood", shrinkage=1.0)
    effects = cards.arrays["ood_shift"]
    null = effects[:, :, 3:103]
    e = effects[2, 3, 0] - null[2, 3].mean(0)
    variances = null[2, 3].var(0, ddof=1)
    towards = np.eye(10)[4] - 0.1
    expected = (towards * e / variances).sum() / np.sqrt((towards**2 / variances).sum())
    assert whitened[2, 3, 4] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("detector", detectors.DETECTORS, ids=lambda one: one.name)
def test_every_detector_scores_every_model(detector):
    cards = planted.cards(20, effect=0.5)
    values = detector.score(cards, "hard", np.ones(20, bool))
    assert values.shape == (20, 5)
    assert np.isfinite(values).all()


@pytest.mark.parametrize(
    "name",
    ["paper's score M", "KL divergence, OOD images", "most-moved class, black image", "label's shift, OOD images"],
)
def test_a_planted_letter_is_told_and_nothing_else(name):
    cards = planted.cards(60, effect=2.0)
    values = detectors.cross_fitted(EVERY[name], cards, "hard", np.ones(60, bool))
    assert auc(*detectors.compared(values, cards, "hard", learnt(cards, "hard"))[:2]) > 0.9
    nothing = planted.cards(60)
    values = detectors.cross_fitted(EVERY[name], nothing, "hard", np.ones(60, bool))
    assert 0.35 < auc(*detectors.compared(values, nothing, "hard", np.ones(60, bool))[:2]) < 0.65


def test_only_the_letter_counts_not_the_placebos_own_feature():
    cards = planted.cards(60, effect=2.0)
    values = EVERY["most-moved class, black image"].score(cards, "hard", np.ones(60, bool))
    positive = np.repeat([True, False], 60)
    assert 0.35 < auc(np.concatenate([values[:, 4], values[:, 0]]), positive) < 0.65


def test_the_label_is_that_of_the_host():
    cards = planted.cards(20, effect=3.0, random_effect=3.0)
    shift = detectors.z(cards, "ood")
    values = EVERY["label's shift, OOD images"].score(cards, "random", np.ones(20, bool))
    assert values[7, 1] == shift[7, 1, cards.labels[7, 0]]
    assert (values[:, 1] > values[:, 0]).all()


def test_cross_fitting_learns_from_other_seeds_alone():
    seen = []

    def score(cards, host, train):
        seen.append(set(cards.seeds[train] % 10))
        return np.tile(cards.seeds[:, None], (1, 5)).astype(float) + len(seen) * 1000

    cards = planted.cards(20)
    values = detectors.cross_fitted(detectors.Detector("", score, learns=True), cards, "hard", np.arange(20) < 19)
    assert [one & {fold} for fold, one in enumerate(seen)] == [set()] * 10
    assert all(len(one) >= 8 for one in seen)
    assert values[13, 0] == 1013 + 4000  # fold 3, the fourth


def test_compared_has_the_canary_and_the_two_that_never_saw_the_letter():
    cards = planted.cards(12)
    values = np.arange(60).reshape(12, 5)
    which = np.arange(12) == 2
    found, positive, seeds = detectors.compared(values, cards, "hard", which)
    assert (found.tolist(), positive.tolist(), seeds.tolist()) == ([13, 10, 14], [True, False, False], [1002] * 3)


def test_choice_is_the_largest_area_among_the_seeds_that_are_given():
    def planted_score(good):
        # Tells canaries on the seeds `good`, on others the other way round.
        return lambda cards, host, train: np.where(good(cards.seeds), 1, -1)[:, None] * np.array([0, 0, 0, 1.0, 0])

    first = detectors.Detector("first", planted_score(lambda seeds: seeds < 1010))
    second = detectors.Detector("second", planted_score(lambda seeds: seeds >= 1010))
    cards, late = planted.cards(20), np.arange(20) >= 10
    assert detectors.choose([first, second], cards, "hard", late) is second
    assert detectors.choose([first, second], cards, "hard", ~late) is first


def test_the_nested_choice_does_not_see_its_fold():
    """A detector that is right in one fold alone is never chosen for it."""
    noise = np.random.default_rng(0).normal(0, 0.01, (30, 5))

    def usually(cards, host, train):
        return noise + np.array([0, 0, 0, 0.1, 0])

    def only(cards, host, train):
        return noise + np.where(cards.seeds % 10 == 3, 9, -1)[:, None] * np.array([0, 0, 0, 1, 0])

    some = [detectors.Detector("only fold 3", only), detectors.Detector("usually", usually)]
    scores, chosen = detectors.nested(some, planted.cards(30), "hard")
    assert chosen == ["usually"] * 10
    assert np.isfinite(scores).all()
    assert (scores[:, 3] > scores[:, [0, 4]].max(1)).all()


def test_the_default_is_label_free_and_one_of_those_tried():
    assert detectors.DEFAULT in detectors.LABEL_FREE
    assert detectors.LABEL_KNOWN.knows == "label"
    names = [one.name for one in detectors.DETECTORS]
    assert len(set(names)) == len(names)


def test_fewer_permutations_standardise_by_those_alone():
    cards = planted.cards(3)
    few = replace(cards, n_permutations=7)
    effects = cards.arrays["black_shift"]
    expected = detectors.standardised_shift(effects[:, :, 0], effects[:, :, 3:10])
    np.testing.assert_array_equal(detectors.z(few, "black"), expected)
    assert few.random_features == cards.random_features


@pytest.mark.parametrize("detector", detectors.DETECTORS, ids=lambda one: one.name)
def test_only_a_detector_that_says_so_learns(detector):
    cards = planted.cards(20, effect=0.5)
    half, every = (detector.score(cards, "hard", np.arange(20) < n) for n in (10, 20))
    assert (half.tolist() != every.tolist()) == detector.learns


def test_weights_that_nothing_could_be_learnt_from_are_equal():
    cards = planted.cards(6, share_learnt=0.0)
    expected = sum(detectors.z(cards, images) for images in ("ood", "dim", "black"))
    np.testing.assert_allclose(detectors.weighed(cards, "hard", np.ones(6, bool)), expected)
