"""Intervals against textbook values, SciPy and equations they must solve."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ufm.statistics import Interval, mean_interval, paired_difference, share_interval, summary

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


def test_paired_difference_by_hand():
    # Differences 1, 2, 3, 4; unpaired, the common 100, 0, −100, 50 would drown them.
    second, rise = np.array([100, 0, -100, 50]), np.array([1, 2, 3, 4])
    assert paired_difference(second + rise, second) == mean_interval([1, 2, 3, 4])


def test_paired_difference_ignores_a_pandas_index():
    first, second = pd.Series([2.0, 4.0], index=[0, 1]), pd.Series([1.0, 1.0], index=[5, 6])
    assert paired_difference(first, second) == mean_interval([1.0, 3.0])


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


def test_paired_difference_refuses_unequal_lengths():
    with pytest.raises(ValueError, match="^pairs need equal lengths, not 3 and 2$"):
        paired_difference([1, 2, 3], [1, 2])
    # A single value would broadcast.
    with pytest.raises(ValueError, match="^pairs need equal lengths, not 3 and 1$"):
        paired_difference([1, 2, 3], [1])


@pytest.mark.parametrize("confidence", [0, 1, 95, np.nan])
def test_confidence_is_a_share(confidence):
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        mean_interval([1, 2], confidence=confidence)
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        share_interval([True, False], confidence=confidence)
