"""Detection against hand-worked values, scikit-learn and naive loops over the same resamples."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from ufm.statistics import Interval
from ufm.statistics.roc import (
    auc,
    auc_difference,
    auc_interval,
    delong_interval,
    exchange_test,
    roc,
    share_interval_over_seeds,
    threshold,
    true_positive_rate_interval,
)


def population(n_seeds: int = 12, shift: float = 0.8, *, seed: int = 0):
    """Scores, positives and seeds of 2 to 4 models a seed, with ties, in mixed order; some seeds lack either kind."""
    rng = np.random.default_rng(seed)
    seeds = np.repeat(np.arange(n_seeds) * 7 + 3, rng.integers(2, 5, n_seeds))
    positive = rng.random(len(seeds)) < 0.4
    own, common = rng.normal(size=len(seeds)), rng.normal(size=n_seeds)[(seeds - 3) // 7]
    scores = (own + common + shift * positive).round(1)
    mixed = rng.permutation(len(seeds))
    return scores[mixed], positive[mixed], seeds[mixed]


def true_positive_rate(scores, positive, *, false_positive_rate):
    """Share of canaries strictly above the threshold of the negatives."""
    at = threshold(scores[~positive], false_positive_rate=false_positive_rate)
    return (scores[positive] > at).mean()


def naive_bootstrap(statistic, seeds, *, n_resamples, seed):
    """SciPy's BCa over seeds; the models of every drawn seed are collected one by one."""
    numbers = np.unique(seeds)

    def of_drawn(drawn):
        models = [model for which in drawn for model in np.flatnonzero(seeds == numbers[int(which)])]
        return round(statistic(np.array(models)), 12)  # scikit-learn's areas part ties by rounding

    found = stats.bootstrap(
        (np.arange(len(numbers)),),
        of_drawn,
        vectorized=False,
        n_resamples=n_resamples,
        random_state=np.random.default_rng(seed),
    )
    return (statistic(np.arange(len(seeds))), *found.confidence_interval, len(numbers))


def assert_like(interval: Interval, expected):
    assert (interval.estimate, interval.low, interval.high) == pytest.approx(expected[:3], abs=1e-12)
    assert interval.n == expected[3]


def no_interval(interval: Interval) -> bool:
    return bool(np.isnan([interval.low, interval.high]).all())


mixed_scores = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=25).filter(
    lambda models: len({score for score, _ in models}) > 1 and len({canary for _, canary in models}) == 2
)


def test_roc_by_hand():
    rates = roc([3, 2, 2, 1], [True, True, False, False])
    for found, expected in zip(rates, ([0, 0, 0.5, 1], [0, 0.5, 1, 1], [3, 2, 1, -np.inf]), strict=True):
        np.testing.assert_array_equal(found, expected)


@given(mixed_scores)
def test_roc_and_area_are_scikit_learns(models):
    scores, positive = map(np.array, zip(*models, strict=True))
    false_rates, true_rates, thresholds = roc(scores, positive)
    # scikit-learn flags from the threshold on, this package above it, so its thresholds come one later.
    expected = metrics.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(false_rates, expected[0])
    np.testing.assert_allclose(true_rates, expected[1])
    np.testing.assert_array_equal(thresholds[:-1], expected[2][1:])
    assert auc(scores, positive) == pytest.approx(metrics.roc_auc_score(positive, scores))
    for at, false_rate, true_rate in zip(thresholds, false_rates, true_rates, strict=True):
        assert false_rate == (scores[~positive] > at).mean()
        assert true_rate == (scores[positive] > at).mean()


def test_auc_by_hand():
    # Pairs 3 > 2, 3 > 0, 1 < 2, 1 > 0; then a tie.
    assert auc([3, 1, 2, 0], [1, 1, 0, 0]) == 0.75
    assert auc([3, 1, 1, 0], [1, 1, 0, 0]) == 0.875
    assert auc([0, 1], [True, False]) == 0


def test_threshold_by_hand():
    negatives = np.arange(20)
    assert threshold(negatives) == 18  # only 19 exceeds it
    assert threshold(negatives[::-1], false_positive_rate=0.1) == 17
    assert threshold(np.arange(39)) == 37  # 5 % of 39 is less than 2
    assert threshold(np.arange(100), false_positive_rate=0.29) == 70  # 0.29 · 100 rounds to less than 29
    # Of three equal ones at the top none or three exceed a threshold.
    assert threshold([*range(17), 30, 30, 30]) == 30


@given(st.lists(st.integers(0, 8), min_size=20, max_size=60), st.sampled_from([0.05, 0.1, 0.25, 0.5]))
def test_threshold_is_the_smallest_that_few_enough_exceed(negatives, rate):
    at, negatives = threshold(negatives, false_positive_rate=rate), np.array(negatives)
    assert (negatives > at).mean() <= rate
    assert (negatives > at - 0.5).mean() > rate


def test_true_positive_rate_by_hand():
    scores = np.array([17.5, 18.0, 18.5, 40.0, *range(20)])
    positive = np.arange(24) < 4
    for rate, expected in ((0.05, 0.5), (0.1, 1.0)):
        interval = true_positive_rate_interval(
            scores, positive, np.arange(24), false_positive_rate=rate, n_resamples=99
        )
        assert interval.estimate == true_positive_rate(scores, positive, false_positive_rate=rate) == expected


def test_true_positive_rate_lies_on_the_roc():
    scores, positive, seeds = population(40)
    for rate in (0.05, 0.2, 0.5):
        false_rates, true_rates, _ = roc(scores, positive)
        best = true_rates[false_rates <= rate].max()
        interval = true_positive_rate_interval(scores, positive, seeds, false_positive_rate=rate, n_resamples=99)
        assert interval.estimate == best


def test_rates_need_enough_negatives():
    scores, positive = np.arange(400.0), np.arange(400) >= 300
    assert true_positive_rate(scores, positive, false_positive_rate=0.01) == 1
    with pytest.raises(ValueError, match="^a false-positive rate of 0.01 needs at least 300 negatives, not 299$"):
        threshold(scores[:299], false_positive_rate=0.01)
    with pytest.raises(ValueError, match="^a false-positive rate of 0.05 needs at least 20 negatives, not 19$"):
        threshold(range(19))
    with pytest.raises(ValueError, match="of 0.01 needs at least 300 negatives, not 299"):
        true_positive_rate_interval(scores[1:], positive[1:], np.arange(399), false_positive_rate=0.01)
    with pytest.raises(ValueError, match="^false_positive_rate must lie between 0 and 1, not be 5$"):
        threshold(range(99), false_positive_rate=5)


def test_auc_interval_is_a_naive_bootstrap_over_seeds():
    scores, positive, seeds = population()
    expected = naive_bootstrap(
        lambda models: metrics.roc_auc_score(positive[models], scores[models]), seeds, n_resamples=300, seed=5
    )
    assert_like(auc_interval(scores, positive, seeds, n_resamples=300, seed=5), expected)


def test_true_positive_rate_interval_is_a_naive_bootstrap_over_seeds():
    scores, positive, seeds = population(25)

    def rate(models):
        return true_positive_rate(scores[models], positive[models], false_positive_rate=0.2)

    expected = naive_bootstrap(rate, seeds, n_resamples=300, seed=5)
    interval = true_positive_rate_interval(scores, positive, seeds, false_positive_rate=0.2, n_resamples=300, seed=5)
    assert_like(interval, expected)


def test_auc_difference_is_a_naive_bootstrap_over_seeds():
    scores, positive, seeds = population()
    other = (scores + np.random.default_rng(8).normal(0, 2, len(scores))).round(1)

    def difference(models):
        return metrics.roc_auc_score(positive[models], scores[models]) - metrics.roc_auc_score(
            positive[models], other[models]
        )

    expected = naive_bootstrap(difference, seeds, n_resamples=300, seed=5)
    assert_like(auc_difference(scores, other, positive, seeds, n_resamples=300, seed=5), expected)
    back = auc_difference(other, scores, positive, seeds)
    assert back.estimate == -auc_difference(scores, other, positive, seeds).estimate


def test_share_interval_over_seeds_is_a_naive_bootstrap_over_seeds():
    _, flags, seeds = population()
    expected = naive_bootstrap(lambda models: flags[models].mean(), seeds, n_resamples=300, seed=5)
    assert_like(share_interval_over_seeds(flags, seeds, n_resamples=300, seed=5), expected)


def test_intervals_do_not_see_the_order_of_models_or_the_numbers_of_seeds():
    scores, positive, seeds = population()
    mixed = np.random.default_rng(1).permutation(len(scores))
    again = scores[mixed], positive[mixed], seeds[mixed] + 1000
    assert auc_interval(scores, positive, seeds) == auc_interval(*again)
    assert auc_interval(scores, positive, seeds, seed=1) != auc_interval(scores, positive, seeds, seed=2)
    # More confidence, wider.
    narrow = auc_interval(scores, positive, seeds, confidence=0.5)
    wide = auc_interval(scores, positive, seeds)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_dependent_models_widen_the_interval():
    # Ten equal models a seed say no more than one.
    scores, positive = np.random.default_rng(0).normal(size=40), np.arange(40) % 2 == 0
    ten_times = [np.repeat(values, 10) for values in (scores, positive, np.arange(40))]
    assert auc_interval(*ten_times) == auc_interval(scores, positive, np.arange(40))
    pretended = auc_interval(ten_times[0], ten_times[1], np.arange(400))
    honest = auc_interval(*ten_times)
    assert honest.high - honest.low > 2.5 * (pretended.high - pretended.low)


def test_no_interval_that_looks_like_certainty():
    seeds, positive = np.repeat(np.arange(30), 2), np.tile([True, False], 30)
    perfect = positive + 0.0
    for interval, estimate in (
        (auc_interval(perfect, positive, seeds), 1),
        (true_positive_rate_interval(perfect, positive, seeds), 1),
        (true_positive_rate_interval(-perfect, positive, seeds), 0),
        (share_interval_over_seeds(np.zeros(60), seeds), 0),
        (share_interval_over_seeds(np.ones(60), seeds), 1),
        (auc_difference(perfect, perfect * 3 + 1, positive, seeds), 0),
        (auc_difference(perfect, -perfect, positive, seeds), 1),
    ):
        assert interval.estimate == estimate
        assert interval.n == 30
        assert no_interval(interval)
    assert no_interval(delong_interval(perfect, positive))


def test_resamples_without_a_canary_give_no_interval():
    scores, seeds = np.random.default_rng(0).normal(size=60), np.arange(60)
    few = seeds < 2
    assert no_interval(auc_interval(scores, few, seeds))
    assert no_interval(auc_interval(scores, ~few, seeds))
    assert no_interval(true_positive_rate_interval(scores, few, seeds))
    assert no_interval(true_positive_rate_interval(scores, seeds < 20, np.where(seeds < 20, seeds, 99)))


def exact_exchange(scores, positive, seeds):
    """Every way to choose as many canaries of each seed's models, one by one."""
    ways = []
    for which in np.unique(seeds):
        models = np.flatnonzero(seeds == which)
        every = {tuple(chosen) for chosen in product((False, True), repeat=len(models))}
        ways.append([(models, chosen) for chosen in sorted(every) if sum(chosen) == positive[models].sum()])
    areas = []
    for way in product(*ways):
        labels = np.zeros(len(scores), dtype=bool)
        for models, chosen in way:
            labels[models] = chosen
        areas.append(metrics.roc_auc_score(labels, scores))
    areas = np.array(areas)
    distance = abs(metrics.roc_auc_score(positive, scores) - areas.mean())
    return np.mean(np.abs(areas - areas.mean()) >= distance - 1e-9)


def test_exchange_test_by_hand():
    # Five seeds of two models, the canary ahead by far each time: 2 of 32 exchanges are as extreme.
    seeds, positive = np.repeat(np.arange(5), 2), np.tile([True, False], 5)
    p = exchange_test(positive + 0.1 * seeds, positive, seeds)
    assert p == pytest.approx(2 / 32, abs=4 * np.sqrt(2 / 32 * 30 / 32 / 10_000))
    # And no seed is compared with another: a score of the seed alone tells nothing.
    assert exchange_test(seeds + 0.0, positive, seeds) == 1


@pytest.mark.parametrize("seed", range(3))
def test_exchange_test_is_that_of_every_exchange(seed):
    scores, positive, seeds = population(5, 1.5, seed=seed)
    exact = exact_exchange(scores, positive, seeds)
    found = exchange_test(scores, positive, seeds)
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 10_000) + 1e-4)


def test_exchange_test_is_two_sided_and_never_zero():
    seeds, positive = np.repeat(np.arange(40), 3), np.tile([False, True, False], 40)
    scores = np.random.default_rng(0).normal(size=120) + 2 * positive
    assert exchange_test(scores, positive, seeds) == 1 / 10_001
    assert exchange_test(-scores, positive, seeds) == 1 / 10_001
    assert exchange_test(scores, positive, seeds, n_exchanges=2500) == 1 / 2501  # in batches
    small = scores - 1.9 * positive
    p_values = [exchange_test(small, positive, seeds, n_exchanges=99, seed=seed) for seed in (1, 1, 2)]
    assert p_values[0] == p_values[1] != p_values[2]


def test_delong_interval_by_hand():
    # Canaries 3 and 1 win 1 and ½ of their pairs, the others 2 and 0 lose ½ and 1: variances ⅛ and ⅛, so ⅛/2 + ⅛/2.
    interval = delong_interval([3, 1, 2, 0], [1, 1, 0, 0], confidence=0.5)
    half_width = 0.674490 * np.sqrt(1 / 8)
    assert (interval.estimate, interval.n) == (0.75, 4)
    assert (interval.low, interval.high) == pytest.approx((0.75 - half_width, 0.75 + half_width), abs=1e-6)
    assert delong_interval([3, 1, 2, 0], [1, 1, 0, 0]).high == 1.0
    assert delong_interval([0, 2, 1, 3], [1, 1, 0, 0]).low == 0.0


def test_delong_interval_is_about_the_bootstraps_for_one_model_a_seed():
    rng = np.random.default_rng(0)
    positive = np.arange(300) % 3 == 0
    scores = rng.normal(size=300) + 0.7 * positive
    delong, bootstrap = delong_interval(scores, positive), auc_interval(scores, positive, np.arange(300))
    assert (delong.low, delong.high) == pytest.approx((bootstrap.low, bootstrap.high), abs=0.015)


good = {"scores": [0.0, 1.0, 2.0, 3.0], "positive": [0, 1, 0, 1], "seeds": [0, 0, 1, 1]}


@pytest.mark.parametrize("function", [auc_interval, true_positive_rate_interval, exchange_test])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"scores": [0, 1]}, "scores and positive need equal lengths, not 2 and 4"),
        ({"scores": [0, 1, 2, np.nan]}, "scores holds NaN or infinite values"),
        ({"scores": [[0, 1, 2, 3]]}, r"scores must be 1-D, one value a model, but has shape \(1, 4\)"),
        ({"scores": [1, 1, 1, 1]}, "scores are all equal and tell nothing apart"),
        ({"positive": [0, 0, 0, 0]}, "positive must hold both canaries and other models"),
        ({"positive": [1, 1, 1, 1]}, "positive must hold both canaries and other models"),
        ({"positive": [0, 1, 2, 1]}, "positive must be true or false, or 1 or 0"),
        ({"seeds": [0, 0, 1]}, "seeds need one entry a model, not 3 for 4"),
        ({"seeds": [5, 5, 5, 5]}, "models of at least two seeds are needed, not of 1"),
        ({"seeds": [0, 0, 1, np.nan]}, "seeds holds NaN or infinite values"),
    ],
)
def test_functions_over_seeds_refuse(function, bad, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        function(**good | bad)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: roc([1, 2], [1, 1]), "positive must hold both canaries and other models"),
        (lambda: auc([1, 1], [0, 1]), "scores are all equal and tell nothing apart"),
        (lambda: auc([1, 2, 3], [0, 1]), "scores and positive need equal lengths, not 3 and 2"),
        (lambda: auc_difference([1, 2], [1, 1], [0, 1], [0, 1]), "second are all equal and tell nothing apart"),
        (lambda: auc_difference([1, 1], [1, 2], [0, 1], [0, 1]), "first are all equal and tell nothing apart"),
        (lambda: exchange_test([1, 2, 3], [0, 0, 1], [0, 0, 1]), "nothing to exchange: no seed has both .*"),
        (lambda: exchange_test(**good, n_exchanges=18), "fewer than 19 exchanges cannot reach p = 0.05, .* 18"),
        (lambda: delong_interval([1, 2, 3], [0, 0, 1]), "DeLong's interval needs at least two positives and two .*"),
        (lambda: delong_interval([1, 2], [0, 1], confidence=1), "confidence must lie between 0 and 1, not be 1"),
        (lambda: auc_interval(**good, confidence=95), "confidence must lie between 0 and 1, not be 95"),
        (lambda: share_interval_over_seeds([0, 2], [0, 1]), "flags must be true or false, or 1 or 0"),
        (lambda: share_interval_over_seeds([0, 1], [0]), "seeds need one entry a model, not 1 for 2"),
        (lambda: share_interval_over_seeds([0, 1], [0, 0]), "models of at least two seeds are needed, not of 1"),
    ],
)
def test_detection_refuses(call, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        call()
