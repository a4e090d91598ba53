"""Variance over seeds and hosts: by hand, and on simulated layouts of known components."""

from math import nan

import numpy as np
import pytest

from ufm.statistics import variance
from ufm.statistics.variance import components, moments, relative_spread, spread_of_seeds


def layout(rng, *, n_seeds=30, n_hosts=10, mean=0.3, seed=0.1, host=0.15, rest=0.08):
    """Contrasts (n_seeds, n_hosts) whose components have these standard deviations."""
    return (
        mean
        + rng.normal(0, seed, (n_seeds, 1))
        + rng.normal(0, host, (1, n_hosts))
        + rng.normal(0, rest, (n_seeds, n_hosts))
    )


def twice(rng, *, seed, noise, placebo=0.0, n_seeds=30, n_hosts=10, mean=0.3):
    """Contrasts (2, n_seeds, n_hosts) under two roundings; `placebo`: what draws of their own for each seed add."""
    once = layout(rng, n_seeds=n_seeds, n_hosts=n_hosts, mean=mean, seed=0, host=0, rest=np.hypot(seed, placebo))
    return once + rng.normal(0, noise, (2, n_seeds, n_hosts))


def analysis_of_variance(values):
    """Components from the mean squares of a two-way table without replication."""
    n, m = values.shape
    by_seed, by_host, grand = values.mean(1), values.mean(0), values.mean()
    rest = ((values - by_seed[:, None] - by_host + grand) ** 2).sum() / (n - 1) / (m - 1)
    return (by_seed.var(ddof=1) - rest / m, by_host.var(ddof=1) - rest / n, rest)


def test_equal_weights_give_the_analysis_of_variance():
    values = layout(np.random.default_rng(1), n_seeds=7, n_hosts=4)
    found = moments(values, np.ones((1, 7)), np.ones((1, 4)))[0]
    np.testing.assert_allclose(found, analysis_of_variance(values), rtol=1e-10)


def test_a_seed_that_is_drawn_twice_is_not_taken_for_two():
    """Over many layouts, weighted components are on average those that the layouts have, whatever the weights."""
    rng = np.random.default_rng(2)
    seeds, hosts = np.array([[3.0, 0, 1, 2, 0, 1]]), np.array([[2.0, 1, 0, 1]])
    found = np.mean(
        [moments(layout(rng, n_seeds=6, n_hosts=4), seeds, hosts)[0] for _ in range(20_000)],
        axis=0,
    )
    np.testing.assert_allclose(found, [0.1**2, 0.15**2, 0.08**2], rtol=0.05)


def test_a_draw_of_one_seed_alone_has_no_components():
    values = layout(np.random.default_rng(3), n_seeds=3, n_hosts=3)
    assert np.isnan(moments(values, np.array([[3.0, 0, 0]]), np.ones((1, 3)))).any()


def test_components_are_standard_deviations_with_intervals():
    values = layout(np.random.default_rng(4), n_seeds=40, n_hosts=20)
    table = components(values, n_resamples=500).set_index("component")
    assert list(table.index) == ["seed", "host", "rest"]
    np.testing.assert_allclose(table["estimate"] ** 2, analysis_of_variance(values), rtol=1e-10)
    assert (table["low"] <= table["estimate"]).all()
    assert (table["estimate"] <= table["high"]).all()
    np.testing.assert_allclose(table.loc["rest", "estimate"], 0.08, rtol=0.1)


def test_a_negative_component_is_none():
    values = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert components(values, n_resamples=50)["estimate"].tolist()[:2] == [0, 0]


def test_relative_spread_by_hand():
    rng = np.random.default_rng(5)
    values, null = layout(rng), rng.normal(0, 0.05, 50)
    found = relative_spread(values, null, n_resamples=200)
    expected = np.sqrt(values.var(0, ddof=1).mean() - null.var(ddof=1)) / values.mean()
    assert found["estimate"] == pytest.approx(expected)
    assert found["low"] < found["estimate"] < found["high"]
    assert (found["p"], found["n"]) == (pytest.approx(1 / 201), 30)


def test_noise_alone_is_no_spread():
    rng = np.random.default_rng(6)
    values = layout(rng, seed=0, host=0.1, rest=0.05)
    found = relative_spread(values, rng.normal(0, 0.1, 100), n_resamples=200)
    assert (found["estimate"], found["low"]) == (0, 0)
    assert found["p"] > 0.9


@pytest.mark.parametrize(
    ("mean", "n_null"),
    [(0.3, 7), (-0.3, 50)],  # too few to tell the noise; nothing to be a share of
)
def test_where_it_cannot_be_said_it_is_not(mean, n_null):
    rng = np.random.default_rng(7)
    found = relative_spread(layout(rng, mean=mean), rng.normal(0, 0.05, n_null))
    assert all(np.isnan(found[name]) for name in ("estimate", "low", "high", "p"))


def test_with_no_noise_taken_off_the_share_is_that_of_a_null_without_spread():
    values = layout(np.random.default_rng(9), mean=0.3)
    whole = variance.whole_spread(values)
    assert whole == pytest.approx(relative_spread(values, np.zeros(50), n_resamples=10)["estimate"])
    assert whole == pytest.approx(np.sqrt(values.var(0, ddof=1).mean()) / values.mean())
    assert np.isnan(variance.whole_spread(values - 1))


@pytest.mark.parametrize("values", [np.ones((1, 5)), np.ones((5, 1)), np.ones(5), np.array([[1, nan], [2, 3]])])
def test_what_is_no_crossed_layout_is_refused(values):
    with pytest.raises(ValueError, match="two seeds and two hosts|NaN or infinite"):
        components(values)
    with pytest.raises(ValueError, match="two seeds and two hosts|NaN or infinite"):
        relative_spread(values, np.zeros(20))


def test_intervals_cover_what_the_layout_has():
    """Of 300 simulated layouts of thirty seeds and ten hosts; hosts are few, so theirs is the least sure."""
    rng, n, covered = np.random.default_rng(8), 300, np.zeros(4)
    truth = [0.1, 0.15, 0.08, np.sqrt(0.1**2 + 0.08**2 - 0.05**2) / 0.3]
    for _ in range(n):
        values, null = layout(rng, mean=0.3), rng.normal(0, 0.05, 60)
        table, spread = components(values, n_resamples=300), relative_spread(values, null, n_resamples=300)
        ends = [*zip(table["low"], table["high"], strict=True), (spread["low"], spread["high"])]
        covered += [low <= one <= high for one, (low, high) in zip(truth, ends, strict=True)]
    assert (covered / n > [0.9, 0.75, 0.95, 0.92]).all(), covered / n
    assert (covered / n < [0.98, 0.9, 1.0, 0.99]).all(), covered / n


# Seeds that are trained twice


def test_what_two_roundings_share_is_their_covariance():
    values = np.array([[[1.0, 4.0], [2.0, 2.0], [3.0, 3.0]], [[2.0, 3.0], [2.0, 3.0], [5.0, 3.0]]])
    # Of the hosts: ((-1)(-1) + 0 (-1) + 1 · 2) / 2 = 1.5, and (1 · 0 − 1 · 0 + 0) / 2 = 0; the mean is 2.75.
    found = spread_of_seeds(values, n_resamples=50)
    assert found["estimate"] == pytest.approx(np.sqrt(0.75) / 2.75)
    assert found["n"] == 3


@pytest.mark.parametrize(("seed", "noise"), [(0.0, 0.05), (0.06, 0.0), (0.06, 0.05), (0.12, 0.05), (0.06, 0.15)])
def test_planted_shares_lie_in_their_intervals(seed, noise):
    """Whatever the noise, 95 % intervals over seeds hold the planted share about as often as they say."""
    rng, inside, estimates = np.random.default_rng(5), [], []
    for _ in range(200):
        found = spread_of_seeds(twice(rng, seed=seed, noise=noise), n_resamples=300)
        inside.append(found["low"] <= seed / 0.3 <= found["high"])
        estimates.append(found["estimate"])
    assert np.mean(inside) >= 0.88
    assert np.median(estimates) == pytest.approx(seed / 0.3, abs=0.03)


def test_draws_of_a_placebo_for_each_seed_would_be_taken_for_the_seed():
    """Why a host has one placebo for all seeds: the same noise once with and once without draws of their own."""
    rng = np.random.default_rng(6)
    clean, confounded = (
        np.mean(
            [
                spread_of_seeds(twice(rng, seed=0.06, noise=0.05, placebo=placebo), n_resamples=20)["estimate"]
                for _ in range(100)
            ]
        )
        for placebo in (0.0, 0.06)
    )
    assert clean == pytest.approx(0.2, abs=0.01)
    assert confounded == pytest.approx(0.2 * np.sqrt(2), abs=0.01)


def test_rounding_alone_is_no_spread_of_seeds():
    rng, found = np.random.default_rng(7), []
    for _ in range(200):
        found.append(spread_of_seeds(twice(rng, seed=0.0, noise=0.1), n_resamples=199)["p"])
    assert np.mean(np.array(found) <= 0.05) <= 0.1


def test_a_spread_of_just_a_quarter_is_seldom_told_to_be_more():
    rng, found = np.random.default_rng(11), []
    for _ in range(200):
        found.append(spread_of_seeds(twice(rng, seed=0.075, noise=0.05), smallest=0.25, n_resamples=199)["p"])
    assert np.mean(np.array(found) <= 0.05) <= 0.1
    more = spread_of_seeds(twice(rng, seed=0.15, noise=0.05), smallest=0.25, n_resamples=199)
    assert more["p"] == pytest.approx(1 / 200)


def test_hosts_that_vary_widen_the_interval():
    values = np.stack([layout(np.random.default_rng(8), host=0.3)] * 2)
    fixed, varying = (spread_of_seeds(values, hosts_vary=one, n_resamples=500) for one in (False, True))
    assert fixed["estimate"] == varying["estimate"]
    assert varying["high"] - varying["low"] > fixed["high"] - fixed["low"]


def test_no_mean_no_share_and_no_single_rounding():
    assert np.isnan(spread_of_seeds(np.stack([layout(np.random.default_rng(9), mean=-1.0)] * 2))["estimate"])
    with pytest.raises(ValueError, match="under two roundings"):
        spread_of_seeds(layout(np.random.default_rng(9)))
    with pytest.raises(ValueError, match="at least two seeds"):
        spread_of_seeds(np.ones((2, 1, 3)))
