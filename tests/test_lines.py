"""Lines over seeds: against NumPy's fit, their intervals and tests where it is known what is there, and bad input."""

import numpy as np
import pytest
from scipy import stats

from ufm.statistics import bootstrap_t_interval, sign_flip_test
from ufm.statistics.lines import growth, heights, misses, prediction, slope_weights, slopes
from ufm.statistics.roc import auc, auc_difference, auc_difference_test, auc_sum, auc_sum_test

PLACES = [0.0, 1.0, 2.5, 4.0, 7.0]


def planted(rng, n=20, slope=0.0, level=0.3, places=PLACES):
    """Values of seeds that lie higher or lower as a whole, skewed, with more spread where the place is larger."""
    places = np.asarray(places)
    noise = (rng.exponential(size=(n, len(places))) - 1) * (0.05 + 0.02 * places)
    return level + slope * places + rng.normal(0, 0.2, (n, 1)) + noise


def test_a_line_is_that_of_numpy():
    values = planted(np.random.default_rng(0), slope=0.1)
    for seed, one in enumerate(values):
        slope, level = np.polyfit(PLACES, one, 1)
        assert slopes(values, PLACES)[seed] == pytest.approx(slope)
        for at in (-1.0, 0.0, 9.0):
            assert heights(values, PLACES, at)[seed] == pytest.approx(level + slope * at)
        before = np.polyval(np.polyfit(PLACES[:-1], one[:-1], 1), PLACES[-1])
        assert misses(values, PLACES)[seed] == pytest.approx(one[-1] - before)
    assert slope_weights([0, 1]).tolist() == [-1, 1]


def test_a_planted_slope_lies_in_its_interval():
    held = 0
    for rng in range(200):
        interval = bootstrap_t_interval(slopes(planted(np.random.default_rng(rng), slope=0.03), PLACES))
        held += interval.low <= 0.03 <= interval.high
    assert 0.9 <= held / 200 <= 0.99


def test_without_a_slope_the_level_is_kept():
    """Of 400 sets of skewed seeds whose spread grows along the axis."""
    p = [
        sign_flip_test(slopes(planted(np.random.default_rng(rng)), PLACES), n_flips=2_000, seed=rng)
        for rng in range(400)
    ]
    assert stats.binomtest(int((np.array(p) < 0.05).sum()), 400, 0.05).pvalue > 0.01


def test_a_line_that_bends_is_missed_at_its_end():
    rng = np.random.default_rng(1)
    straight, bent = planted(rng, slope=0.03), planted(rng) + 0.02 * np.square(PLACES)
    for values, holds in ((straight, True), (bent, False)):
        interval = bootstrap_t_interval(misses(values, PLACES))
        assert (interval.low <= 0 <= interval.high) == holds


def test_a_prediction_interval_holds_the_mean_of_new_seeds():
    held = 0
    for rng in range(400):
        draws = np.random.default_rng(rng)
        found = prediction(planted(draws, slope=0.03), PLACES, 8.0)
        new = planted(draws, slope=0.03, places=[*PLACES, 8.0])[:, -1].mean()
        held += found.low <= new <= found.high
    assert 0.91 <= held / 400 <= 0.99


def test_a_prediction_by_hand():
    values = np.array([[0.0, 1.0], [0.0, 3.0]])
    found = prediction(values, [0, 1], 2)
    # Lines 2 and 6 at place 2, with variance 8; at place 1 the variance is 2; t of one degree of freedom is 12.706.
    assert (found.estimate, found.n) == (4.0, 2)
    assert found.high - 4 == pytest.approx(12.7062 * np.sqrt((8 + 2) / 2), rel=1e-5)
    assert 4 - found.low == pytest.approx(found.high - 4)


def test_growth_is_the_factor_of_means():
    means = np.array([1.0, 2.0, 4.0])
    values = means * np.array([[0.9], [1.0], [1.1], [1.0]])
    found = growth(values, [0, 1, 2])
    assert found.estimate == pytest.approx(2.0)
    spread = growth(means * np.random.default_rng(0).normal(1, 0.1, (20, 3)), [0, 1, 2])
    assert spread.low < 2.0 < spread.high
    assert spread.high - spread.low < 0.3
    nothing = growth(values - 1.5, [0, 1, 2])
    assert np.isnan([nothing.estimate, nothing.low, nothing.high]).all()


# Slopes of areas


def models(rng, separations, n_seeds=20):
    """Scores of canaries and placebo models at each point, all of a seed moved together."""
    own = rng.normal(0, 0.5, (n_seeds, 1))
    scores = {}
    for number, separation in enumerate(separations):
        scores[f"{number}"] = (own + rng.normal(0, 1, (n_seeds, 2)) + [separation, 0]).ravel()
    return scores, np.tile([True, False], n_seeds), np.repeat(np.arange(n_seeds), 2)


def test_a_weighted_sum_of_areas_by_hand():
    scores, positive, seeds = models(np.random.default_rng(0), (0, 1, 2))
    weights = slope_weights([0, 1, 2])
    expected = sum(weight * auc(one, positive) for weight, one in zip(weights, scores.values(), strict=True))
    found = auc_sum(scores, weights, positive, seeds)
    assert found.estimate == pytest.approx(expected)
    assert found.low < expected < found.high
    first, second = scores["0"], scores["2"]
    two = {"0": first, "2": second}
    assert auc_sum(two, (-1, 1), positive, seeds) == auc_difference(second, first, positive, seeds)
    assert auc_sum_test(two, (-1, 1), positive, seeds) == auc_difference_test(second, first, positive, seeds)


def test_a_slope_of_areas_is_told_and_none_seldom():
    weights = slope_weights([0, 1, 2, 3])
    p = {
        separations: [
            auc_sum_test(*with_weights(models(np.random.default_rng(rng), separations), weights), n_resamples=500)
            for rng in range(n)
        ]
        for separations, n in (((0.5, 0.5, 0.5, 0.5), 300), ((0, 1, 2, 3), 10))
    }
    none, there = p.values()
    assert 0.02 <= (np.array(none) < 0.05).mean() <= 0.1
    assert max(there) < 0.05


def with_weights(of, weights):
    scores, positive, seeds = of
    return scores, weights, positive, seeds


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: slope_weights([1, 1]), "^a line needs points at two places at least, not at 1$"),
        (lambda: slope_weights([1, np.nan]), "^places holds NaN"),
        (lambda: slopes(np.zeros((3, 2)), [0, 1, 2]), "^values need a row a seed and a column for each of 3 places"),
        (lambda: slopes(np.zeros(3), [0, 1, 2]), "^values need a row a seed"),
        (lambda: slopes([[0, np.inf]], [0, 1]), "^values hold NaN or infinite values$"),
        (lambda: prediction([[0, 1]], [0, 1], 2), "^a prediction interval needs at least two seeds, not 1$"),
        (lambda: prediction(np.zeros((3, 2)), [0, 1], 2, confidence=1), "^confidence must lie"),
        (lambda: auc_sum({"a": [0, 1]}, (1, 2), [0, 1], [0, 1]), "^weights need one entry a score, not 2 for 1$"),
        (lambda: auc_sum({"a": [1, 1]}, (1,), [0, 1], [0, 1]), "^a are all equal"),
    ],
)
def test_bad_input_is_named(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()
