"""Intervals, tests and power against textbook values, SciPy, naive loops and equations they must solve."""

import dataclasses
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ufm.statistics import (
    Interval,
    benjamini_hochberg,
    bootstrap_interval,
    bootstrap_over_seeds,
    bootstrap_t_interval,
    correlation_interval,
    holm,
    mean_interval,
    permutation_p_value,
    seeds_needed,
    share_interval,
    sign_flip_test,
    single_models,
    smallest_detectable,
    smallest_rise,
    summary,
)

finite = st.floats(-1e3, 1e3)


def test_mean_interval_by_hand():
    # Mean 2.5, s² = (2.25 + 0.25 + 0.25 + 2.25) / 3 = 5/3, s/√4 = 0.645497; t of 3 degrees at 97.5 % is 3.182446.
    interval = mean_interval([1, 2, 3, 4])
    assert (interval.estimate, interval.n) == (2.5, 4)
    assert interval.low == pytest.approx(2.5 - 3.182446 * 0.645497, abs=1e-5)
    assert interval.high == pytest.approx(2.5 + 3.182446 * 0.645497, abs=1e-5)


@given(st.lists(finite, min_size=2, max_size=20), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_mean_interval_ends_where_the_t_test_turns(values, confidence):
    interval = mean_interval(values, confidence=confidence)
    assert interval.low <= interval.estimate <= interval.high
    if np.std(values) > 1e-6:
        p_values = [stats.ttest_1samp(values, end).pvalue for end in (interval.low, interval.high)]
        np.testing.assert_allclose(p_values, 1 - confidence, rtol=1e-5)


def test_mean_interval_of_equal_values_has_no_width():
    assert mean_interval([0.5, 0.5, 0.5]) == Interval(0.5, 0.5, 0.5, 3)


def test_mean_interval_covers_at_its_confidence():
    # 4 000 samples of 5 seeds: 95 % ± 3 · 0.35 %.
    samples = np.random.default_rng(0).normal(1.0, 2.0, size=(4000, 5))
    covered = [interval.low <= 1.0 <= interval.high for interval in map(mean_interval, samples)]
    assert 0.9397 < np.mean(covered) < 0.9603


def test_share_interval_by_hand():
    # No success in 10: the upper end solves (1 − p)^10 = 0.025.
    none = share_interval([False] * 10)
    assert (none.estimate, none.low, none.n) == (0.0, 0.0, 10)
    assert none.high == pytest.approx(1 - 0.025**0.1)
    # All of 10 is its mirror image.
    every = share_interval(np.ones(10, dtype=bool))
    assert (every.estimate, every.low, every.high) == pytest.approx((1.0, 0.025**0.1, 1.0))


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.sampled_from([0.9, 0.95]))
def test_share_interval_equals_beta_quantiles(successes, confidence):
    k, n, tail = sum(successes), len(successes), (1 - confidence) / 2
    interval = share_interval(successes, confidence=confidence)
    assert interval.estimate == k / n
    assert interval.low == pytest.approx(stats.beta.ppf(tail, k, n - k + 1) if k else 0, abs=1e-9)
    assert interval.high == pytest.approx(stats.beta.ppf(1 - tail, k + 1, n - k) if k < n else 1, abs=1e-9)


def test_share_interval_takes_ones_and_zeros():
    assert share_interval([1, 0, 1, 0]) == share_interval([True, False, True, False])


def test_interval_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        mean_interval([1, 2]).low = 0


def test_summary_keeps_order_and_numbers():
    table = summary({"second": Interval(0.5, 0.25, 0.75, 4), "first": Interval(1.0, np.nan, np.nan, 2)})
    expected = pd.DataFrame(
        {
            "quantity": ["second", "first"],
            "estimate": [0.5, 1.0],
            "low": [0.25, np.nan],
            "high": [0.75, np.nan],
            "n": [4, 2],
        }
    )
    pd.testing.assert_frame_equal(table, expected)
    assert list(summary({}).columns) == ["quantity", "estimate", "low", "high", "n"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0], "the interval of a mean needs at least two values, not 1"),
        ([], "the interval of a mean needs at least two values, not 0"),
        ([1.0, np.nan], "values holds NaN or infinite values"),
        ([1.0, np.inf], "values holds NaN or infinite values"),
        ([[1.0, 2.0]], r"values must be 1-D, one value a seed, but has shape \(1, 2\)"),
        ([1.0, pd.NA], "values must be numbers, none missing"),
    ],
)
def test_mean_interval_refuses(values, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        mean_interval(values)


@pytest.mark.parametrize(
    ("successes", "message"),
    [
        ([], "a share needs at least one value"),
        ([0, 2], "successes must be true or false, or 1 or 0"),
        ([True, np.nan], "successes holds NaN or infinite values"),
    ],
)
def test_share_interval_refuses(successes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        share_interval(successes)


@pytest.mark.parametrize("confidence", [0, 1, 95, np.nan])
def test_confidence_is_a_share(confidence):
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        mean_interval([1, 2], confidence=confidence)
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        share_interval([True, False], confidence=confidence)


def test_bootstrap_interval_is_scipys_of_the_mean():
    values = np.random.default_rng(1).exponential(size=23)
    found = stats.bootstrap((values,), np.mean, n_resamples=999, random_state=np.random.default_rng(4))
    interval = bootstrap_interval(values, n_resamples=999, seed=4)
    assert (interval.estimate, interval.n) == (pytest.approx(values.mean()), 23)
    assert (interval.low, interval.high) == pytest.approx(tuple(found.confidence_interval))


def test_bootstrap_interval_leans_to_the_long_tail():
    values = np.random.default_rng(0).exponential(size=30)
    interval = bootstrap_interval(values)
    assert interval.high - interval.estimate > interval.estimate - interval.low
    narrower = bootstrap_interval(values, confidence=0.5)
    assert interval.low < narrower.low < narrower.high < interval.high


def test_bootstrap_interval_repeats_with_its_seed():
    values = np.random.default_rng(0).normal(size=12)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


# 0.1 thrice sums to more than 0.3: rounding alone must not give an interval.
@pytest.mark.parametrize("values", [[0.1] * 7, [0.0, 0.0], [-3.7] * 100])
def test_bootstrap_interval_of_equal_values_is_none(values):
    interval = bootstrap_interval(values, n_resamples=200)
    assert interval.estimate == pytest.approx(values[0])
    assert np.isnan([interval.low, interval.high]).all()


def test_bootstrap_over_seeds_draws_as_many_seeds_as_there_are():
    drawn = []

    def largest(times):
        drawn.append(times.reshape(-1, 5))
        return times.max(-1) + 0.0

    bootstrap_over_seeds(largest, 5, n_resamples=1500)
    sums = np.concatenate(drawn).sum(1)
    # Resamples draw five, and so do those that are all of them, for the estimate; the jackknife draws four.
    assert np.count_nonzero(sums == 4) == 5
    assert np.count_nonzero(sums == 5) >= 1501
    assert set(sums) == {4, 5}


def test_bootstrap_over_seeds_without_a_statistic_is_none():
    # The only seed that counts is missing from a third of the resamples.
    interval = bootstrap_over_seeds(lambda drawn: drawn @ [1, 0, 0] / (drawn @ [1, 0, 0]), 3, n_resamples=100)
    assert interval.estimate == 1
    assert np.isnan([interval.low, interval.high]).all()


@pytest.mark.parametrize(("ranks", "theirs"), [(False, stats.pearsonr), (True, stats.spearmanr)])
def test_correlation_interval_is_scipys(ranks, theirs):
    rng = np.random.default_rng(5)
    first = rng.normal(size=30)
    second = np.exp(first + rng.normal(size=30))  # so that ranks matter
    interval = correlation_interval(first, second, ranks=ranks, n_resamples=2000)
    assert (interval.estimate, interval.n) == (pytest.approx(theirs(first, second)[0]), 30)
    expected = stats.bootstrap(
        (first, second),
        lambda one, other: theirs(one, other)[0],
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="BCa",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    assert (interval.low, interval.high) == pytest.approx(tuple(expected))


def test_correlation_interval_with_ties_and_without_spread():
    first, second = [1, 1, 2, 3, 3], [1, 2, 2, 5, 4]
    assert correlation_interval(first, second, ranks=True).estimate == pytest.approx(stats.spearmanr(first, second)[0])
    nothing = correlation_interval([0.1] * 3, [1, 2, 3])
    assert np.isnan([nothing.estimate, nothing.low, nothing.high]).all()


@pytest.mark.parametrize("ranks", [False, True])
def test_several_values_of_a_seed_are_drawn_together(ranks):
    first, second = np.random.default_rng(6).normal(size=(2, 20))  # of so many no resample is all of them
    alone = correlation_interval(first, second, ranks=ranks)
    twice = [np.repeat(values, 2) for values in (first, second)]
    together = correlation_interval(*twice, np.repeat(np.arange(20), 2), ranks=ranks)
    assert dataclasses.astuple(together) == pytest.approx(dataclasses.astuple(alone))
    apart = correlation_interval(*twice, ranks=ranks)
    assert apart.n == 40
    assert apart.high - apart.low < 0.8 * (alone.high - alone.low)


def test_sign_flip_test_by_hand():
    # Of the 16 signs of 1, 2, 3, 10 only the observed and its mirror image reach a sum of 16.
    assert sign_flip_test([1, 2, 3, 10]) == 2 / 16
    # −1 + 2 + 3 + 10 = 14 is reached by two more.
    assert sign_flip_test([-1, 2, 3, 10]) == 4 / 16
    assert sign_flip_test([0, 0, 0]) == 1
    assert sign_flip_test([-0.1, 0.4, -2.0, 1.7]) == 1  # a sum of zero but for rounding
    assert sign_flip_test([-2, -1]) == 2 / 4


@given(st.lists(st.integers(-20, 20).map(lambda whole: whole / 10), min_size=2, max_size=9))
def test_sign_flip_test_counts_every_sign_where_it_can(values):
    sums = np.array([np.dot(signs, values) for signs in product((-1, 1), repeat=len(values))])
    assert sign_flip_test(values) == pytest.approx(np.mean(np.abs(sums) >= abs(sum(values)) - 1e-9))


def test_sign_flip_test_draws_signs_where_it_must():
    values = np.random.default_rng(3).normal(0.4, 1, size=15)
    exact = sign_flip_test(values)
    drawn = sign_flip_test(values, n_flips=20_000)
    assert drawn != exact
    # Four binomial standard errors.
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))
    # The observed one counts, so p is never zero.
    assert sign_flip_test(np.ones(40), n_flips=999) == 1 / 1000
    assert sign_flip_test(values, n_flips=99, seed=1) == sign_flip_test(values, n_flips=99, seed=1)
    assert sign_flip_test(values, n_flips=99, seed=1) != sign_flip_test(values, n_flips=99, seed=2)


def test_sign_flip_test_is_two_sided():
    values = np.random.default_rng(3).normal(2, 1, size=12)
    assert sign_flip_test(values) == sign_flip_test(-values)
    assert sign_flip_test(values) < 0.05


def test_permutation_p_value_by_hand():
    null = [1, 2, 3, 4]
    assert permutation_p_value(3, null) == 3 / 5
    assert permutation_p_value(3, null, alternative="less") == 4 / 5
    assert permutation_p_value(5, null) == 1 / 5
    assert permutation_p_value(5, null, alternative="two-sided") == 2 / 5
    assert permutation_p_value(0, null, alternative="two-sided") == 2 / 5
    assert permutation_p_value(2.5, null, alternative="two-sided") == 1


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_permutation_p_value_of_many_is_that_of_each(alternative):
    rng = np.random.default_rng(0)
    observed, null = rng.integers(0, 9, (2, 3)), rng.integers(0, 9, (2, 3, 20))
    together = permutation_p_value(observed, null, alternative=alternative)
    shared = permutation_p_value(observed, null[0, 0], alternative=alternative)
    assert together.shape == shared.shape == (2, 3)
    for at in np.ndindex(2, 3):
        assert together[at] == permutation_p_value(observed[at], null[at], alternative=alternative)
        assert shared[at] == permutation_p_value(observed[at], null[0, 0], alternative=alternative)


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1, never falling: 0.04, 0.06, 0.06, 0.5.
    np.testing.assert_allclose(holm([0.03, 0.5, 0.01, 0.02]), [0.06, 0.5, 0.04, 0.06])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    np.testing.assert_allclose(holm([0.02]), [0.02])


def test_benjamini_hochberg_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.5 times 4/1, 4/2, 4/3, 4/4, never falling: 0.04 thrice, 0.5.
    np.testing.assert_allclose(benjamini_hochberg([0.03, 0.5, 0.01, 0.02]), [0.04, 0.5, 0.04, 0.04])


p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(p_lists, st.sampled_from([0.01, 0.05, 0.3]))
def test_corrections_reject_as_their_procedures_do(p_values, alpha):
    p, m = np.array(p_values), len(p_values)
    order = np.argsort(p, kind="stable")
    # Holm goes up from the smallest to the first that fails, Benjamini and Hochberg down from the largest.
    passed = p[order] * np.arange(m, 0, -1) <= alpha
    holms = m if passed.all() else int(np.argmin(passed))
    np.testing.assert_array_equal(np.sort(order[:holms]), np.flatnonzero(holm(p) <= alpha))
    last = max((k for k in range(1, m + 1) if p[order[k - 1]] * m / k <= alpha), default=0)
    assert np.count_nonzero(benjamini_hochberg(p) <= alpha) == last
    assert (p <= benjamini_hochberg(p) + 1e-12).all()
    assert (benjamini_hochberg(p) <= holm(p) + 1e-12).all()


def test_single_models_with_a_null_that_decides():
    # The smallest p-value, 1/1000, is below 0.05/4: every model had its chance.
    verdicts = single_models([0.001, 0.02, 0.5, 1.0], n_null=999)
    assert verdicts.tolist() == ["evidence", "evidence", "no evidence", "no evidence"]


def test_single_models_with_a_null_that_never_decides():
    # 1/11 is above 0.05, so even p-values that are all the smallest are not rejected.
    assert single_models([1 / 11] * 30, n_null=10).tolist() == ["cannot be decided"] * 30


def test_single_models_in_between_by_hand():
    # Two models, 1/25 = 0.04 the smallest p-value, thresholds 0.025 and 0.05: one alone is never rejected, both are.
    assert single_models([0.04, 0.04], n_null=24).tolist() == ["evidence", "evidence"]
    assert single_models([0.2, 0.6], n_null=24).tolist() == ["cannot be decided"] * 2
    # The second could have been the other one's company; the first had its smallest and lacked it.
    assert single_models([0.04, 0.6], n_null=24).tolist() == ["cannot be decided", "no evidence"]


@given(st.lists(st.integers(1, 40).map(lambda k: k / 40), min_size=1, max_size=8), st.sampled_from([0.05, 0.1, 0.3]))
def test_single_models_says_what_its_definition_says(p_values, alpha):
    verdicts = single_models(p_values, n_null=39, alpha=alpha)
    for model, verdict in enumerate(verdicts):
        best = [1 / 40 if other == model else p for other, p in enumerate(p_values)]
        can = benjamini_hochberg(best)[model] <= alpha
        does = benjamini_hochberg(p_values)[model] <= alpha
        assert verdict == ("evidence" if does else "no evidence" if can else "cannot be decided")
    assert not {"evidence", "cannot be decided"} <= set(verdicts)


def test_smallest_detectable_by_hand():
    # With many seeds the normal quantiles 1.959964 + 0.841621 = 2.801585 standard errors.
    assert smallest_detectable(2.0, 10_000) == pytest.approx(2.801585 * 2 / 100, rel=1e-3)
    # Cohen's table: d = 0.5 takes 34 seeds (power 0.808), d = 0.8 takes 15.
    assert seeds_needed(0.5, 1.0) == 34
    assert seeds_needed(-0.8, 1.0) == 15
    assert seeds_needed(1e9, 1.0) == 2


@pytest.mark.parametrize("n", [2, 3, 17, 100])
@pytest.mark.parametrize(("power", "alpha"), [(0.8, 0.05), (0.5, 0.01), (0.99, 0.4)])
def test_power_and_seeds_are_inverse(n, power, alpha):
    effect = smallest_detectable(0.3, n, power=power, alpha=alpha)
    assert seeds_needed(effect, 0.3, power=power, alpha=alpha) == n
    assert seeds_needed(effect * 0.999, 0.3, power=power, alpha=alpha) > n
    # The test's power at this effect, integrated over the standard deviation of the sample instead of SciPy's nct.
    critical = stats.t.isf(alpha / 2, n - 1)
    spread = np.sqrt(stats.chi2.ppf((np.arange(200_000) + 0.5) / 200_000, n - 1) / (n - 1))
    shift = effect / 0.3 * np.sqrt(n)
    both = stats.norm.sf(critical * spread - shift) + stats.norm.cdf(-critical * spread - shift)
    assert both.mean() == pytest.approx(power, abs=1e-4)


@pytest.mark.parametrize("function", [bootstrap_interval, sign_flip_test])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0], "needs at least two( values|), not 1"),
        ([], "needs at least two( values|), not 0"),
        ([1.0, np.nan], "^values holds NaN or infinite values$"),
        ([[1.0, 2.0]], "^values must be 1-D"),
    ],
)
def test_bootstrap_and_sign_flips_refuse(function, values, message):
    with pytest.raises(ValueError, match=message):
        function(values)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sign_flip_test([1, 2], n_flips=18), "fewer than 19 flips cannot reach p = 0.05, and here are 18"),
        (lambda: bootstrap_interval([1, 2], confidence=95), "confidence must lie between 0 and 1, not be 95"),
        (lambda: permutation_p_value(1, []), r"observed values of shape \(\) do not fit a null of shape \(0,\)"),
        (lambda: permutation_p_value([1, 2], np.ones((3, 9))), r"observed .* \(2,\) do not fit .* \(3, 9\)"),
        (lambda: permutation_p_value(1, 1), r"observed values of shape \(\) do not fit a null of shape \(\)"),
        (lambda: permutation_p_value(np.nan, [1]), "observed values or null hold NaN"),
        (lambda: permutation_p_value(1, [1, np.nan]), "observed values or null hold NaN"),
        (lambda: permutation_p_value(1, [1], alternative="more"), "alternative must be one of greater, .* not 'more'"),
        (lambda: correlation_interval([1, 2], [1, 2, 3]), "pairs need equal lengths, not 2, 3 and 2"),
        (lambda: correlation_interval([1, 2], [1, 2], [7, 7]), "a bootstrap over seeds needs at least two, not 1"),
        (lambda: holm([]), r"p_values must be one or more numbers in \[0, 1\]"),
        (lambda: holm([0.5, 1.1]), r"p_values must be one or more numbers in \[0, 1\]"),
        (lambda: benjamini_hochberg([-0.1]), r"p_values must be one or more numbers in \[0, 1\]"),
        (lambda: benjamini_hochberg([np.nan]), "p_values holds NaN or infinite values"),
        (lambda: holm([[0.1]]), r"p_values must be 1-D, one value a test, but has shape \(1, 1\)"),
        (lambda: single_models([0.001, 1], n_null=99), "a null of 99 values gives no p-value of 0.001"),
        (lambda: smallest_detectable(0, 10), "sd 0, n 10, .*need sd > 0, n ≥ 2, 0 < alpha < power < 1"),
        (lambda: smallest_detectable(1, 1), "sd 1, n 1, .*"),
        (lambda: smallest_detectable(np.nan, 9), "sd nan, .*"),
        (lambda: smallest_detectable(1, 9, power=0.04), ".*power 0.04, .*"),
        (lambda: seeds_needed(1, -1), "sd -1, .*"),
        (lambda: smallest_rise(0, 1, 9), "sd 0, n 1 and 9, .*need sd > 0, n ≥ 1, 0 < level < power < 1"),
        (lambda: smallest_rise(1, 0, 9), "sd 1, n 0 and 9, .*"),
        (lambda: smallest_rise(1, 1, 9, level=0.9), ".*level 0.9: .*"),
        (lambda: seeds_needed(0, 1), "effect must be finite and not zero, not 0"),
        (lambda: seeds_needed(np.nan, 1), "effect must be finite and not zero, not nan"),
    ],
)
def test_tests_and_power_refuse(call, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        call()


# Bootstrap-t


def test_bootstrap_t_is_students_interval_with_resampled_quantiles():
    values = np.random.default_rng(0).exponential(size=25)
    found = bootstrap_t_interval(values, n_resamples=4_000, seed=3)
    drawn = np.random.default_rng(3).choice(values, (4_000, 25))
    t = [(one.mean() - values.mean()) / stats.sem(one) for one in drawn]
    error = stats.sem(values)
    expected = [values.mean() - np.quantile(t, share) * error for share in (0.975, 0.025)]
    np.testing.assert_allclose([found.low, found.high], expected, rtol=1e-12)
    assert (found.estimate, found.n) == (values.mean(), 25)


def test_bootstrap_t_covers_skewed_values_better_than_bca():
    rng, covered = np.random.default_rng(1), {bootstrap_t_interval: 0, bootstrap_interval: 0}
    for _ in range(300):
        values = rng.lognormal(0, 1, 24)
        for interval in covered:
            found = interval(values, n_resamples=400)
            covered[interval] += found.low <= np.exp(0.5) <= found.high
    assert covered[bootstrap_t_interval] > covered[bootstrap_interval] + 6
    assert covered[bootstrap_t_interval] >= 0.88 * 300


def test_bootstrap_t_of_equal_values_has_no_ends():
    found = bootstrap_t_interval([0.1] * 9)
    assert found.estimate == pytest.approx(0.1)
    assert np.isnan([found.low, found.high]).all()
    assert np.isnan(bootstrap_t_interval([0.0, 1.0]).low)  # resamples are of equal values, or both
    three = bootstrap_t_interval([0.0, 1.0, 3.0])
    assert three.low < 4 / 3 < three.high
    with pytest.raises(ValueError, match="at least two"):
        bootstrap_t_interval([1.0])
