"""How often the intervals and tests of the evidence are right, on seeds of five dependent models whose truth is known.

A model's score is what its seed has in common, plus noise of its own, plus a shift for canaries: a control, and a
canary and a placebo on each of two hosts. 1 000 draws for each number of seeds, 500 resamples or 499 flips each.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/calibration.py > book/benchmarks/calibration.md
"""

import numpy as np
from scipy import stats

from ufm.statistics import bootstrap_interval, mean_interval, sign_flip_test
from ufm.statistics.roc import (
    auc_difference,
    auc_interval,
    delong_interval,
    exchange_test,
    share_interval_over_seeds,
    true_positive_rate_interval,
)

N_DRAWS, N_RESAMPLES, N_FLIPS = 1000, 500, 499
N_SEEDS = (20, 40, 100)
SHIFT = 0.8  # of a canary's score, in standard deviations of a model's own noise
NOISE = 1.0  # of the second score, on top of the first, in the same unit
POSITIVE = np.array([False, True, False, True, False])
CUT = stats.norm.isf(
    0.05, scale=np.sqrt(2)
)  # what 5 % of the other models exceed; common part and noise have variance 1


def main() -> None:
    truths = true_values()
    covered, rejected = [coverage(n, truths) for n in N_SEEDS], [level(n) for n in N_SEEDS]
    print(f"{N_DRAWS} draws, {N_RESAMPLES} resamples, {N_FLIPS} flips or exchanges, five models a seed\n")
    print(f"| 95 % interval of | truth | {' | '.join(f'covered, {n} seeds' for n in N_SEEDS)} |")
    print("|---|---|" + "---|" * len(N_SEEDS))
    for name, truth in truths.items():
        print(f"| {name} | {truth:.3f} | {' | '.join(share(column[name]) for column in covered)} |")
    print(f"\n| test at 5 %, nothing to find | {' | '.join(f'rejected, {n} seeds' for n in N_SEEDS)} |")
    print("|---|" + "---|" * len(N_SEEDS))
    for name in rejected[0]:
        print(f"| {name} | {' | '.join(share(column[name]) for column in rejected)} |")
    # The numbers of draws that gave an interval differ little.
    allowance = 1.96 * np.sqrt(0.05 * 0.95 / N_DRAWS)
    short = {
        name: [
            str(n) for n, column in zip(N_SEEDS, covered, strict=True) if np.nanmean(column[name]) < 0.95 - allowance
        ]
        for name in truths
    }
    listed = "; ".join(f"{name} ({', '.join(numbers)} seeds)" for name, numbers in short.items() if numbers)
    print(f"\nOf so many draws, 95 % come out within ± {100 * allowance:.1f} and 5 % likewise. ", end="")
    print(f"Intervals that cover less often, and so say more than they know: {listed or 'none'}.")


def draw(n_seeds: int, shift: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two scores, positives and seeds of 5 n_seeds models."""
    positive, seeds = np.tile(POSITIVE, n_seeds), np.repeat(np.arange(n_seeds), len(POSITIVE))
    first = rng.normal(size=n_seeds)[seeds] + rng.normal(size=len(seeds)) + shift * positive
    return first, first + NOISE * rng.normal(size=len(seeds)), positive, seeds


def true_values() -> dict[str, float]:
    """What each interval should cover."""
    area = stats.norm.cdf(SHIFT / 2)  # difference of two models: variance 2 + 2
    noisy = stats.norm.cdf(SHIFT / np.sqrt(2 * (2 + NOISE**2)))
    return {
        "mean of a skewed value (log-normal), bootstrap": np.exp(0.5),
        "mean of a skewed value (log-normal), Student's t": np.exp(0.5),
        "mean of a normal value, bootstrap": 0.0,
        "area, seeds drawn": area,
        "area, models drawn as if independent": area,
        "area, DeLong, as if independent": area,
        "difference of two areas": area - noisy,
        "true-positive rate at 5 %": stats.norm.sf(CUT - SHIFT, scale=np.sqrt(2)),
        "share of other models above a fixed threshold": 0.05,
    }


def coverage(n_seeds: int, truths: dict[str, float]) -> dict[str, np.ndarray]:
    """For each interval and draw 1 where it covers the truth, 0 where not, NaN where there is no interval."""
    rng, covered = np.random.default_rng(n_seeds), {name: [] for name in truths}
    for seed in range(N_DRAWS):
        first, second, positive, seeds = draw(n_seeds, SHIFT, rng)
        of_bootstrap = {"n_resamples": N_RESAMPLES, "seed": seed}
        skewed, normal = rng.lognormal(size=n_seeds), rng.normal(size=n_seeds)
        intervals = (
            bootstrap_interval(skewed, **of_bootstrap),
            mean_interval(skewed),
            bootstrap_interval(normal, **of_bootstrap),
            auc_interval(first, positive, seeds, **of_bootstrap),
            auc_interval(first, positive, np.arange(len(first)), **of_bootstrap),
            delong_interval(first, positive),
            auc_difference(first, second, positive, seeds, **of_bootstrap),
            true_positive_rate_interval(first, positive, seeds, **of_bootstrap),
            share_interval_over_seeds(first[~positive] > CUT, seeds[~positive], **of_bootstrap),
        )
        for (name, truth), interval in zip(truths.items(), intervals, strict=True):
            missing = np.isnan(interval.low)
            covered[name].append(np.nan if missing else interval.low <= truth <= interval.high)
    return {name: np.array(values, dtype=float) for name, values in covered.items()}


def level(n_seeds: int) -> dict[str, np.ndarray]:
    """For each test and draw whether it rejects at 5 % where there is nothing to find."""
    rng, rejected = np.random.default_rng(1000 + n_seeds), {}
    for seed in range(N_DRAWS):
        scores, _, positive, seeds = draw(n_seeds, 0.0, rng)
        heavy, skewed = rng.standard_t(2, size=n_seeds), rng.lognormal(size=n_seeds) - np.exp(0.5)
        p_values = {
            "sign flips, symmetric values (Student's t, 2 degrees)": sign_flip_test(heavy, n_flips=N_FLIPS, seed=seed),
            "sign flips, skewed values of mean 0 (log-normal), against what the test supposes": sign_flip_test(
                skewed, n_flips=N_FLIPS, seed=seed
            ),
            "exchange within seeds": exchange_test(scores, positive, seeds, n_exchanges=N_FLIPS, seed=seed),
        }
        for name, p in p_values.items():
            rejected.setdefault(name, []).append(float(p <= 0.05))
    return {name: np.array(values) for name, values in rejected.items()}


def share(values: np.ndarray) -> str:
    """In per cent, of the draws that gave an interval."""
    none = int(np.isnan(values).sum())
    return f"{100 * np.nanmean(values):.1f} %" + (f" ({none} draws gave none)" if none else "")


if __name__ == "__main__":
    main()
