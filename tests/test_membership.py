"""Exposure, LiRA and RMIA on numbers worked by hand, and beside naive loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from ufm.scores.membership import (
    dominating,
    expected_exposure,
    exposure,
    logit,
    out_mean,
    over_mean,
    standardised_by,
)

nan = np.nan


@pytest.mark.parametrize(
    ("secret", "others", "expected"),
    [
        (4.0, [1, 2, 3], 2.0),  # first of four
        (2.5, [1, 2, 3], 1.0),  # second
        (0.0, [1, 2, 3], 0.0),  # last
        (3.0, [3, 3, 1], 2.0),  # ties count for it
        (1.0, [], 0.0),
    ],
)
def test_exposure_by_hand(secret, others, expected):
    assert exposure(np.array(secret), np.array(others)) == pytest.approx(expected)


@given(arrays(float, st.tuples(st.integers(1, 4), st.integers(2, 9)), elements=st.integers(-3, 3).map(float)))
def test_exposure_is_that_of_the_smallest_rank_that_ties_allow(values):
    n = values.shape[1]
    expected = [np.log2(n) - np.log2(stats.rankdata(-row, "min")[0]) for row in values]
    found = exposure(values[:, 0], values[:, 1:])
    np.testing.assert_allclose(found, expected)
    assert (found >= 0).all()
    assert (found <= np.log2(n)).all()


@given(st.permutations(range(8)))
def test_without_ties_the_rank_is_that_of_tensorflow_privacy(order):
    """Which counts, of perplexities (low = likely), the references in front of the secret; its |R| has no secret."""
    perplexities = np.array(order, float)
    in_front = 0
    for one in np.argsort(perplexities):
        if one == 0:
            break
        in_front += 1
    theirs = np.log2(7) - np.log2(1 + in_front)
    ours = exposure(-perplexities[0], -perplexities[1:])
    assert ours == pytest.approx(theirs + np.log2(8) - np.log2(7))


@pytest.mark.parametrize("n", [1, 2, 26, 31])
def test_the_expected_exposure_is_the_mean_over_ranks(n):
    assert expected_exposure(n) == pytest.approx(np.mean([np.log2(n) - np.log2(rank) for rank in range(1, n + 1)]))


def test_logits_by_hand():
    np.testing.assert_allclose(logit(np.log([0.5, 0.8, 0.2])), [0, np.log(4), -np.log(4)], atol=1e-12)
    ends = logit(np.array([0.0, -1000.0]))
    assert np.isfinite(ends).all()
    np.testing.assert_allclose(ends, [16.6, -16.6], atol=0.1)


def test_lira_by_hand():
    out = np.array([1.0, nan, 2.0, 3.0])  # mean 2, standard deviation 1
    assert standardised_by(np.array(5.0), out) == pytest.approx(3)
    for nothing in ([nan, nan], [1.0, nan], [2.0, 2.0]):
        assert np.isnan(standardised_by(np.array(5.0), np.array(nothing)))


@given(
    arrays(float, (3, 5), elements=st.floats(-5, 5, width=16)),
    arrays(float, (3,), elements=st.floats(-5, 5, width=16)),
    arrays(bool, (3, 5)),
)
def test_lira_is_that_of_a_loop(out, values, there):
    found = standardised_by(values, np.where(there, out, nan))
    for value, row, kept, one in zip(values, out, there, found, strict=True):
        sample = row[kept]
        if len(sample) < 2 or np.ptp(sample) == 0:
            assert np.isnan(one) or np.std(sample) < 1e-12
        else:
            assert one == pytest.approx((value - np.mean(sample)) / np.std(sample, ddof=1), rel=1e-6)


def test_rmia_by_hand():
    assert over_mean(np.array(0.6), np.array([0.1, 0.5, nan])) == pytest.approx(2)
    assert dominating(np.array(2.0), np.array([1.0, 2.0, 3.0, nan])) == pytest.approx(2 / 3)
    assert np.isnan(dominating(np.array(2.0), np.array([nan])))
    assert np.isnan(dominating(np.array(nan), np.array([1.0])))


def test_means_of_no_models_are_none():
    n, mean = out_mean(np.array([[1.0, nan, 3.0], [nan, nan, nan]]))
    assert n.tolist() == [2, 0]
    assert mean[0] == 2
    assert np.isnan(mean[1])
