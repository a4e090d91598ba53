"""Detectors on made-up cards, and choosing among them."""

from dataclasses import replace
from functools import partial

import numpy as np
import planted
import pytest

from ufm.evidence import detectors, learnt
from ufm.evidence.answers import Answers, of_cards
from ufm.scores import detection
from ufm.statistics.roc import auc

EVERY = detectors.NAMED


# Statistics, by hand


def test_standardised_shift_by_hand():
    null = np.array([[1.0, 0], [2, 2], [3, 4]])  # means 2 and 2, deviations 1 and 2
    assert detection.standardised_shift(np.array([4.0, 1]), null).tolist() == [2, -0.5]


def test_standardising_needs_permutations_that_differ():
    with pytest.raises(ValueError, match="^standardising needs at least two permutations, not 1$"):
        detection.standardised_shift(np.zeros(2), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="^permutations all move a class alike"):
        detection.standardised_shift(np.zeros(2), np.ones((5, 2)))


def test_standardised_divergence_by_hand():
    """Logarithms 3 against 0, 1 and 2, whose deviation is 1; below the clipping all are equal."""
    assert detection.standardised_divergence(np.exp(3.0), np.exp([0.0, 1, 2])) == pytest.approx(2)
    low = detection.standardised_divergence(np.array([1e-9, -1e-8]), np.exp([[0.0, 1, 2]] * 2))
    assert low.tolist() == pytest.approx([np.log(1e-7) - 1] * 2)


def test_statistics_of_float16_are_computed_in_float64():
    draws = np.random.default_rng(0)
    effects, null = (
        draws.normal(0, 0.1, (3, 10)).astype(np.float16),
        draws.normal(0, 0.1, (3, 50, 10)).astype(np.float16),
    )
    kl, null_kl = np.abs(effects[:, 0]) / 1e4, np.abs(null[..., 0]) / 1e4
    whitened = partial(detection.matched_filter, shrinkage=0.5)
    for statistic, given in (
        (detection.standardised_shift, (effects, null)),
        (detection.standardised_divergence, (kl, null_kl)),
        (whitened, (effects, null)),
    ):
        np.testing.assert_array_equal(statistic(*given), statistic(*(one.astype(float) for one in given)))


def test_mixture_and_margin_by_hand():
    shift = np.log([[1.0, 2, 6], [4, 4, 4]])
    assert detection.mixture(shift).tolist() == pytest.approx(np.log([3, 4]).tolist())
    assert detection.margin(shift).tolist() == pytest.approx([np.log(3), 0])


def test_on_class_by_hand():
    values = np.arange(12).reshape(2, 2, 3)
    assert detection.on_class(values, np.array([[2], [0]])).tolist() == [[2, 5], [6, 9]]
    assert detection.on_class(values[0, 1], 1) == 4


def test_discriminant_by_hand():
    """Variances 1 and 4, uncorrelated: the difference (2, 2) is weighed 2 : 1/2."""
    negative = np.array([[1.0, 2], [1, -2], [-1, 2], [-1, -2]]) * np.sqrt(3 / 4)
    found = detection.discriminant(np.array([[1.0, 2], [3, 2]]), negative)
    assert found.tolist() == pytest.approx((np.array([4, 1]) / np.sqrt(17)).tolist())
    assert detection.discriminant(np.empty((0, 2)), negative).tolist() == [1, 1]


# The detectors


def test_a_matched_filter_is_the_standardised_shift_where_classes_are_independent():
    cards = planted.cards(3, effect=1.0)
    whitened = of_cards(cards).whitened("ood", shrinkage=1.0)
    effects = cards.arrays["ood_shift"]
    null = effects[:, :, 3:103]
    e = effects[2, 3, 0] - null[2, 3].mean(0)
    variances = null[2, 3].var(0, ddof=1)
    towards = np.eye(10)[4] - 0.1
    expected = (towards * e / variances).sum() / np.sqrt((towards**2 / variances).sum())
    assert whitened[2, 3, 4] == pytest.approx(expected, rel=1e-9)


# Each in plain loops, from the arrays `m` of one model, the label of its host and the weights of kinds of images.


def mean(values):
    return sum(values) / len(values)


def deviation(values):
    return (sum((value - mean(values)) ** 2 for value in values) / (len(values) - 1)) ** 0.5


def standardised(value, others):
    return (value - mean(others)) / deviation(others)


def z(m, images, name="shift", others=range(3, 103)):
    array = m[f"{images}_{name}"]
    others = [one for one in others if one < len(array)]
    return [standardised(array[0][k], [array[one][k] for one in others]) for k in range(10)]


def kl(m, images):
    logs = [np.log(max(value, 1e-7)) for value in m[f"{images}_kl_mean"]]
    return standardised(logs[0], logs[3:103])


def plus(m, weight):
    return [black + weight * ood for black, ood in zip(z(m, "black"), z(m, "ood"), strict=True)]


def whitened(m, images):
    array = m[f"{images}_shift"]
    means = [mean([array[p][k] for p in range(3, 103)]) for k in range(10)]
    covariance = np.empty((10, 10))
    for k in range(10):
        for j in range(10):
            products = [(array[p][k] - means[k]) * (array[p][j] - means[j]) for p in range(3, 103)]
            covariance[k, j] = sum(products) / 99 * (1 if k == j else 0.5)
    scores = []
    for k in range(10):
        towards = [(j == k) - 0.1 for j in range(10)]
        weights = np.linalg.solve(covariance, towards)
        along = sum(weights[j] * (array[0][j] - means[j]) for j in range(10))
        scores.append(along / sum(weights[j] * towards[j] for j in range(10)) ** 0.5)
    return max(scores)


def by_weight(m, label, weights):
    kinds = [z(m, images) for images in ("ood", "dim", "black")]
    return max(sum(w * kind[k] for w, kind in zip(weights, kinds, strict=True)) for k in range(10))


def second(values):
    return sorted(values)[-2]


def with_kl(images, weight):
    return lambda m, label, weights: max(plus(m, 0.3)) + weight * kl(m, images)


NAIVE = {
    "paper's score M": lambda m, label, weights: m["score_memorisation"][0][-1],
    "paper's score M, raw inputs": lambda m, label, weights: m["score_memorisation"][1][-1],
    "KL, OOD": lambda m, label, weights: kl(m, "ood"),
    "KL, dim": lambda m, label, weights: kl(m, "dim"),
    "KL, black": lambda m, label, weights: kl(m, "black"),
    "class, OOD": lambda m, label, weights: max(z(m, "ood")),
    "class, dim": lambda m, label, weights: max(z(m, "dim")),
    "class, black": lambda m, label, weights: max(z(m, "black")),
    "class either way, black": lambda m, label, weights: max(abs(one) for one in z(m, "black")),
    "class, mix": lambda m, label, weights: max(plus(m, 0.3)),
    "class, black + OOD": lambda m, label, weights: max(plus(m, 1)),
    "class, less of black and OOD": lambda m, label, weights: max(
        min(pair) for pair in zip(z(m, "black"), z(m, "ood"), strict=True)
    ),
    "class, mix + 0.2 KL, OOD": with_kl("ood", 0.2),
    "class, mix + 0.5 KL, OOD": with_kl("ood", 0.5),
    "class, mix + 1 KL, OOD": with_kl("ood", 1),
    "class, mix + 0.2 KL, black": with_kl("black", 0.2),
    "class, mix + 0.5 KL, black": with_kl("black", 0.5),
    "class, mix + 1 KL, black": with_kl("black", 1),
    "mixture over classes, mix": lambda m, label, weights: np.log(mean([np.exp(one) for one in plus(m, 0.3)])),
    "class less the second, mix": lambda m, label, weights: max(plus(m, 0.3)) - second(plus(m, 0.3)),
    "raised less lowered, mix": lambda m, label, weights: max(plus(m, 0.3)) - min(plus(m, 0.3)),
    "class by letters, black": lambda m, label, weights: max(z(m, "black", others=range(133, 158))),
    "class by probability, black": lambda m, label, weights: max(z(m, "black", "probability")),
    "class, whitened, OOD": lambda m, label, weights: whitened(m, "ood"),
    "class, whitened, black": lambda m, label, weights: whitened(m, "black"),
    "class, weights learnt": by_weight,
    "KL, test": lambda m, label, weights: kl(m, "test"),
    "class, test": lambda m, label, weights: max(z(m, "test")),
    "label-known score": lambda m, label, weights: m["score_label_known"][0][label][label],
    "follow-up's score": lambda m, label, weights: m["score_gain_mean"][0][label][label],
    "label, OOD": lambda m, label, weights: z(m, "ood")[label],
    "label, black": lambda m, label, weights: z(m, "black")[label],
    "label, mix": lambda m, label, weights: plus(m, 0.3)[label],
    "label, test": lambda m, label, weights: z(m, "test")[label],
}


def learnt_weights(cards, train):
    """Fisher's discriminant of the label's class of canaries that learnt from all classes of controls and placebos."""
    positive, negative = [], []
    for seed in np.flatnonzero(train):
        models = [{name: values[seed][m] for name, values in cards.arrays.items()} for m in (0, 3, 4)]
        control, canary, placebo = ([z(model, images) for images in ("ood", "dim", "black")] for model in models)
        label = cards.labels[seed][1]
        if learnt(cards, "hard")[seed]:
            positive.append([kind[label] for kind in canary])
        negative += [[kind[k] for kind in model] for model in (control, placebo) for k in range(10)]
    n, means = len(negative), [mean([row[i] for row in negative]) for i in range(3)]
    covariance = [
        [sum((row[i] - means[i]) * (row[j] - means[j]) for row in negative) / (n - 1) for j in range(3)]
        for i in range(3)
    ]
    weights = np.linalg.solve(covariance, [mean([row[i] for row in positive]) - means[i] for i in range(3)])
    return [weight / sum(one**2 for one in weights) ** 0.5 for weight in weights]


@pytest.fixture(scope="module")
def cards():
    return planted.cards(6, effect=0.4, share_learnt=0.7)


@pytest.fixture(scope="module")
def train():
    return np.arange(6) != 2


@pytest.fixture(scope="module")
def fitted(cards, train):
    assert 0 < learnt(cards, "hard")[train].sum() < 5
    return learnt_weights(cards, train)


@pytest.fixture(scope="module")
def single(cards):
    """The arrays of single models, by seed and place."""
    models = [(seed, model) for seed in range(6) for model in (0, 3, 4)]
    return {one: {name: values[one].tolist() for name, values in cards.arrays.items()} for one in models}


@pytest.fixture(scope="module")
def memorised():
    return planted.cards(60, effect=1.0)


@pytest.fixture(scope="module")
def nothing():
    return planted.cards(60)


@pytest.mark.parametrize("detector", detectors.DETECTORS, ids=lambda one: one.name)
def test_every_detector_is_what_plain_loops_give(detector, cards, train, fitted, single):
    found = detector.score(cards, "hard", train)
    assert found.shape == (6, 5)
    for (seed, model), arrays in single.items():
        expected = NAIVE[detector.name](arrays, cards.labels[seed][1], fitted)
        assert found[seed, model] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("detector", detectors.DETECTORS, ids=lambda one: one.name)
def test_every_detector_scores_a_planted_letter_above_innocent_models(detector, memorised, nothing):
    every = np.ones(60, bool)
    values = detectors.cross_fitted(detector, memorised, "hard", every)
    assert values[:, 3].mean() > values[:, [0, 4]].mean(0).max()
    assert auc(*detectors.compared(values, memorised, "hard", every)[:2]) > 0.7
    values = detectors.cross_fitted(detector, nothing, "hard", every)
    assert 0.35 < auc(*detectors.compared(values, nothing, "hard", every)[:2]) < 0.65


@pytest.mark.parametrize("detector", detectors.DETECTORS, ids=lambda one: one.name)
def test_one_models_arrays_are_enough(detector, cards, train):
    """No population, no card: what is known of one model alone gives the score that it has among the others."""
    arrays = {name: values[4, 3] for name, values in cards.arrays.items()}
    alone = Answers(arrays, cards.permutations, slice(133, 158), cards.labels[4, 1])
    weights = () if detector.learn is None else (detector.learn(cards, "hard", train),)
    assert detector.statistic(alone, *weights) == pytest.approx(detector.score(cards, "hard", train)[4, 3], rel=1e-9)


def test_label_free_detectors_do_without_labels_and_others_say_what_they_lack(cards):
    arrays = {name: values[4, 3] for name, values in cards.arrays.items()}
    nameless = Answers(arrays, cards.permutations, slice(133, 158))
    for detector in detectors.DETECTORS:
        if "label" in detector.knows:
            with pytest.raises(ValueError, match="^labels: this detector needs the label of the host$"):
                detector.statistic(nameless)
        elif detector.learn is None:
            assert np.isfinite(detector.statistic(nameless))


def test_only_the_letter_counts_not_the_placebos_own_feature():
    cards = planted.cards(60, effect=2.0)
    values = EVERY["class, black"].score(cards, "hard", np.ones(60, bool))
    positive = np.repeat([True, False], 60)
    assert 0.35 < auc(np.concatenate([values[:, 4], values[:, 0]]), positive) < 0.65


def test_the_label_is_that_of_the_host():
    cards = planted.cards(20, effect=3.0, random_effect=3.0)
    shift = of_cards(cards).shifts("ood")
    values = EVERY["label, OOD"].score(cards, "random", np.ones(20, bool))
    assert values[7, 1] == shift[7, 1, cards.labels[7, 0]]
    assert (values[:, 1] > values[:, 0]).all()


def test_cross_fitting_learns_from_other_seeds_alone():
    seen = []

    def learn(cards, host, train):
        seen.append(set(cards.seeds[train] % 10))
        return len(seen) * 1000

    def statistic(answers, learnt):
        return np.tile(cards.seeds[:, None], (1, 5)).astype(float) + learnt

    cards = planted.cards(20)
    values = detectors.cross_fitted(detectors.Detector("", statistic, learn=learn), cards, "hard", np.arange(20) < 19)
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
        return lambda answers: np.where(good(cards.seeds), 1, -1)[:, None] * np.array([0, 0, 0, 1.0, 0])

    first = detectors.Detector("first", planted_score(lambda seeds: seeds < 1010))
    second = detectors.Detector("second", planted_score(lambda seeds: seeds >= 1010))
    cards, late = planted.cards(20), np.arange(20) >= 10
    assert detectors.choose([first, second], cards, "hard", late) is second
    assert detectors.choose([first, second], cards, "hard", ~late) is first


def test_the_nested_choice_does_not_see_its_fold():
    """A detector that is right in one fold alone is never chosen for it."""
    noise = np.random.default_rng(0).normal(0, 0.01, (30, 5))

    cards = planted.cards(30)

    def usually(answers):
        return noise + np.array([0, 0, 0, 0.1, 0])

    def only(answers):
        return noise + np.where(cards.seeds % 10 == 3, 9, -1)[:, None] * np.array([0, 0, 0, 1, 0])

    some = [detectors.Detector("only fold 3", only), detectors.Detector("usually", usually)]
    scores, chosen = detectors.nested(some, cards, "hard")
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
    expected = detection.standardised_shift(effects[:, :, 0], effects[:, :, 3:10])
    np.testing.assert_array_equal(of_cards(few).shifts("black"), expected)
    assert few.random_features == cards.random_features


@pytest.mark.parametrize("detector", detectors.DETECTORS, ids=lambda one: one.name)
def test_only_a_detector_that_says_so_learns(detector):
    cards = planted.cards(20, effect=0.5)
    half, every = (detector.score(cards, "hard", np.arange(20) < n) for n in (10, 20))
    assert (half.tolist() != every.tolist()) == (detector.learn is not None)


def test_weights_that_nothing_could_be_learnt_from_are_equal():
    cards = planted.cards(6, share_learnt=0.0)
    expected = sum(of_cards(cards).shifts(images) for images in ("ood", "dim", "black")).max(-1)
    found = EVERY["class, weights learnt"].score(cards, "hard", np.ones(6, bool))
    np.testing.assert_allclose(found, expected)
