"""Levels and power: how often tests reject where there is nothing, and where there is what they should find.

Allowances are four binomial standard errors of the number of draws.
"""

import numpy as np
import pytest
from scipy import stats

from ufm.statistics import (
    benjamini_hochberg,
    bootstrap_interval,
    holm,
    permutation_p_value,
    sign_flip_test,
    single_models,
    smallest_detectable,
)
from ufm.statistics.roc import auc_interval, exchange_test


def binomial(share: float, n_draws: int):
    return pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / n_draws))


def seeds_of_five(n_seeds: int, shift: float, rng: np.random.Generator):
    """Two canaries and three others a seed: what a seed has in common, noise of each model, canaries shifted."""
    positive = np.tile([False, True, False, True, False], n_seeds)
    common = np.repeat(rng.normal(size=n_seeds), 5)
    return common + rng.normal(size=5 * n_seeds) + shift * positive, positive, np.repeat(np.arange(n_seeds), 5)


@pytest.mark.parametrize(("alternative", "level"), [("greater", 0.05), ("less", 0.05), ("two-sided", 0.1)])
def test_permutation_p_values_reach_each_level_exactly(alternative, level):
    draws = np.random.default_rng(0).normal(size=(10_000, 20))
    p_values = permutation_p_value(draws[:, 0], draws[:, 1:], alternative=alternative)
    assert p_values.min() == level  # 1/20, or twice that
    assert (p_values <= level).mean() == binomial(level, 10_000)
    assert (p_values <= 0.5).mean() == binomial(0.5, 10_000)


def test_sign_flip_test_keeps_its_level():
    # A symmetric distribution, far from normal, each seed with a scale of its own.
    draws = np.random.default_rng(1).standard_cauchy(size=(4000, 16)) * np.arange(1, 17)
    p_values = np.array([sign_flip_test(values, n_flips=19, seed=seed) for seed, values in enumerate(draws)])
    assert (p_values <= 0.05).mean() == binomial(0.05, 4000)
    assert (p_values <= 0.5).mean() == binomial(0.5, 4000)


def test_exact_sign_flip_test_keeps_its_level():
    # Of 32 signs, 2 have the largest |mean|: the smallest p-value is 1/16.
    draws = np.random.default_rng(2).normal(size=(4000, 5))
    p_values = np.array([sign_flip_test(values) for values in draws])
    assert p_values.min() == 1 / 16
    assert (p_values <= 1 / 16).mean() == binomial(1 / 16, 4000)


def test_exchange_test_keeps_its_level_among_dependent_models():
    rng = np.random.default_rng(3)
    draws = [seeds_of_five(8, 0.0, rng) for _ in range(5000)]
    p_values = np.array([exchange_test(*draw, n_exchanges=19, seed=seed) for seed, draw in enumerate(draws)])
    # Equal areas count as extreme, and with eight seeds there are a few: slightly below its level.
    assert (p_values <= 0.05).mean() == binomial(0.05, 5000)
    assert (p_values <= 0.5).mean() == binomial(0.5, 5000)


def test_exchange_test_keeps_its_level_where_canaries_are_unevenly_spread():
    # Half of the seeds have no canary and lower scores: the area is far above ½, and yet nothing was learnt.
    rng = np.random.default_rng(4)
    p_values = []
    for seed in range(2000):
        scores, positive, seeds = seeds_of_five(20, 0.0, rng)
        low = seeds % 2 == 0
        p_values.append(exchange_test(scores - 3 * low, positive & ~low, seeds, n_exchanges=19, seed=seed))
    assert np.mean(np.array(p_values) <= 0.05) == binomial(0.05, 2000)


def test_exchange_test_finds_what_is_there():
    rng = np.random.default_rng(5)
    p_values = [exchange_test(*seeds_of_five(40, 0.6, rng), n_exchanges=99) for _ in range(300)]
    assert np.mean(np.array(p_values) <= 0.05) > 0.8


def test_holm_and_benjamini_hochberg_bound_their_errors():
    rng = np.random.default_rng(6)
    p_values = rng.random((5000, 8))
    p_values[:, :3] = stats.norm.sf(rng.normal(3, 1, size=(5000, 3)))  # three of eight are false hypotheses
    for correct, allowed in ((holm, 0.05), (benjamini_hochberg, 0.05 * 5 / 8)):
        rejected = np.array([correct(row) <= 0.05 for row in p_values])
        false = rejected[:, 3:]
        errors = false.any(1) if correct is holm else false.sum(1) / np.maximum(rejected.sum(1), 1)
        assert errors.mean() < allowed + 4 * np.sqrt(allowed / 5000)
        assert rejected[:, :3].mean() > 0.5


def test_single_models_call_nothing_evidence_too_often():
    # A chance of 5 % at most that any of ten models that never saw the letter is called a canary.
    null = np.random.default_rng(7).normal(size=(2000, 10, 400))
    p_values = permutation_p_value(null[..., 0], null[..., 1:])
    verdicts = np.array([single_models(row, n_null=399) for row in p_values])
    assert (verdicts == "evidence").any(1).mean() == binomial(0.05, 2000)
    assert (verdicts != "cannot be decided").all()


@pytest.mark.parametrize("n", [5, 20])
def test_power_is_as_computed(n):
    effect = smallest_detectable(2.0, n)
    draws = np.random.default_rng(8).normal(effect, 2.0, size=(10_000, n))
    assert (stats.ttest_1samp(draws, 0, axis=1).pvalue <= 0.05).mean() == binomial(0.8, 10_000)


def test_sign_flip_test_has_about_the_power_of_the_t_test():
    draws = np.random.default_rng(9).normal(smallest_detectable(2.0, 30), 2.0, size=(1000, 30))
    p_values = np.array([sign_flip_test(values, n_flips=399) for values in draws])
    assert (p_values <= 0.05).mean() == binomial(0.8, 1000)


def test_bootstrap_interval_covers_nearly_as_often_as_it_says():
    draws = np.random.default_rng(10).normal(1.0, 2.0, size=(1000, 40))
    intervals = [bootstrap_interval(values, n_resamples=500, seed=seed) for seed, values in enumerate(draws)]
    covered = np.mean([interval.low <= 1.0 <= interval.high for interval in intervals])
    assert 0.90 < covered < 0.97


def test_auc_interval_covers_nearly_as_often_as_it_says():
    rng = np.random.default_rng(11)
    # Scores of a canary and of another model's differ by 0.8, with a variance of 2 for each: Φ(0.8 / 2).
    area = stats.norm.cdf(0.8 / 2)
    intervals = [auc_interval(*seeds_of_five(40, 0.8, rng), n_resamples=500, seed=seed) for seed in range(500)]
    covered = np.mean([interval.low <= area <= interval.high for interval in intervals])
    assert 0.90 < covered < 0.98
