"""How well a score tells canaries from models that never saw the letter.

Arrays, one entry a model: `scores`, higher = more like a canary; `positive`, True for canaries; `seeds`, whole numbers.
Models of a seed share initial weights and batches, hence are dependent: intervals draw whole seeds, the test exchanges
models within a seed. A model is flagged where its score lies strictly above a threshold.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ufm.statistics.checks import BATCH, finite_sample, require_confidence, require_draws
from ufm.statistics.intervals import Interval, bootstrap_over_seeds
from ufm.statistics.tests import permutation_p_value


def roc(scores: ArrayLike, positive: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ROC curve: false-positive rates, true-positive rates and their thresholds, from (0, 0) to (1, 1).

    scores, positive: (n_models,). Each result: (number of different scores + 1,); the thresholds are the scores,
    falling, and −∞.

    Raises ValueError: lengths differ, NaN, equal scores, no positives or no negatives.
    """
    scores, positive = _models(scores, positive)
    thresholds = np.append(np.unique(scores)[::-1], -np.inf)
    flagged = [
        len(some) - np.searchsorted(np.sort(some), thresholds, side="right")
        for some in (scores[~positive], scores[positive])
    ]
    return flagged[0] / (~positive).sum(), flagged[1] / positive.sum(), thresholds


def auc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a canary outscores another model, ties half, in [0, 1].

    scores, positive: (n_models,). Mann–Whitney's U over the number of pairs (Hanley and McNeil, Radiology 143, 1982).

    Raises ValueError: lengths differ, NaN, equal scores, no positives or no negatives.
    """
    scores, positive = _models(scores, positive)
    return float(_outscoring(scores, positive).mean())


def threshold(negatives: ArrayLike, *, false_positive_rate: float = 0.05) -> float:
    """Smallest threshold that at most this share of the negatives exceed.

    negatives: (n_negatives,), scores of models that never saw the letter, so many that one of them may exceed it (20
    for 5 %), or three at rates below 5 % (300 for 1 %).

    Raises ValueError: fewer negatives, not 1-D, NaN, or a rate outside (0, 1).
    """
    negatives = finite_sample(negatives, "negatives", per="model")
    _require_negatives(len(negatives), false_positive_rate)
    return float(np.sort(negatives)[::-1][_allowed(len(negatives), false_positive_rate)])


def auc_interval(
    scores: ArrayLike,
    positive: ArrayLike,
    seeds: ArrayLike,
    *,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """`auc` with a BCa bootstrap interval over whole seeds; n counts seeds.

    scores, positive, seeds: (n_models,); a seed may lack positives or negatives. A resample that draws the seeds w
    times has the area wᵀSw / wᵀCw, with S the pairs won and C all pairs between two seeds. Both ends are NaN where
    resamples cannot give an interval: all have the same area (as at exactly 1), or some have no pair.

    Raises ValueError: what `auc` refuses, or fewer than two seeds.
    """
    scores, positive, seeds = _models_of_seeds(scores, positive, seeds)
    area = _area_of_drawn(scores, positive, seeds)
    return bootstrap_over_seeds(area, 1 + seeds.max(), n_resamples=n_resamples, confidence=confidence, seed=seed)


def auc_difference(
    first: ArrayLike,
    second: ArrayLike,
    positive: ArrayLike,
    seeds: ArrayLike,
    *,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Area of the first score less that of the second, on the same models, with a BCa interval over whole seeds.

    first, second, positive, seeds: (n_models,). A resample draws the same seeds for both. NaN for both ends as in
    `auc_interval`, also where both scores order the models alike.

    Raises ValueError: what `auc_interval` refuses, of either score.
    """
    both = {"first": first, "second": second}
    return auc_sum(both, (1, -1), positive, seeds, n_resamples=n_resamples, confidence=confidence, seed=seed)


def auc_sum(
    scores: Mapping[str, ArrayLike],
    weights: ArrayLike,
    positive: ArrayLike,
    seeds: ArrayLike,
    *,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Weighted sum of the areas of several scores of the same models, with a BCa interval over whole seeds.

    scores: by a name that errors say, (n_models,) each; weights: (n_scores,); positive, seeds: (n_models,). A resample
    draws the same seeds for all. NaN for both ends as in `auc_interval`.

    Raises ValueError: what `auc_interval` refuses, of any score, or not a weight a score.
    """
    total, n_seeds = _sum_of_drawn(scores, weights, positive, seeds)
    return bootstrap_over_seeds(total, n_seeds, n_resamples=n_resamples, confidence=confidence, seed=seed)


def auc_difference_test(
    first: ArrayLike,
    second: ArrayLike,
    positive: ArrayLike,
    seeds: ArrayLike,
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> float:
    """Two-sided p-value of equal areas of two scores on the same models, by a bootstrap over whole seeds, in (0, 1].

    As `auc_sum_test` of their difference. Arrays as in `auc_difference`.

    Raises ValueError: what `auc_interval` refuses, of either score, or fewer than 19 resamples.
    """
    both = {"first": first, "second": second}
    return auc_sum_test(both, (1, -1), positive, seeds, n_resamples=n_resamples, seed=seed)


def auc_sum_test(
    scores: Mapping[str, ArrayLike],
    weights: ArrayLike,
    positive: ArrayLike,
    seeds: ArrayLike,
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> float:
    """Two-sided p-value of a weighted sum of areas that is zero, by a bootstrap over whole seeds, in (0, 1].

    Twice the share of resamples whose sum does not have the sign of the other side, the observed one counted
    (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 4.4). Arrays as in `auc_sum`.

    Raises ValueError: what `auc_sum` refuses, or fewer than 19 resamples.
    """
    total, n = _sum_of_drawn(scores, weights, positive, seeds)
    require_draws(n_resamples, "resamples")
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(float)
    with np.errstate(invalid="ignore"):  # a resample without a pair has no area, and counts for neither side
        sums = total(drawn)
    least = min((sums <= 1e-12).sum(), (sums >= -1e-12).sum())
    return float(min(1.0, 2 * (1 + least) / (1 + n_resamples)))


def true_positive_rate_interval(
    scores: ArrayLike,
    positive: ArrayLike,
    seeds: ArrayLike,
    *,
    false_positive_rate: float = 0.05,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Share of canaries strictly above the `threshold` of the negatives, with a BCa interval over whole seeds.

    scores, positive, seeds: (n_models,). Share and ends lie in [0, 1]; each resample has its own threshold. Both ends
    are NaN where (nearly) all resamples have the same rate, or some have no positives or no negatives.

    Raises ValueError: what `roc` and `threshold` refuse, or fewer than two seeds.
    """
    scores, positive, seeds = _models_of_seeds(scores, positive, seeds)
    _require_negatives(int((~positive).sum()), false_positive_rate)
    falling = np.flatnonzero(~positive)[np.argsort(-scores[~positive])]

    def rate(drawn: np.ndarray) -> np.ndarray:
        exceeding = drawn[..., seeds[falling]].cumsum(-1)
        allowed = _allowed(exceeding[..., -1:], false_positive_rate)
        last = np.minimum((exceeding <= allowed).sum(-1), len(falling) - 1)
        canaries = drawn[..., seeds[positive]]
        found = canaries * (scores[positive] > scores[falling][last][..., None])
        defined = np.where(exceeding[..., -1] > 0, canaries.sum(-1), 0)
        return found.sum(-1) / defined

    return bootstrap_over_seeds(rate, 1 + seeds.max(), n_resamples=n_resamples, confidence=confidence, seed=seed)


def share_interval_over_seeds(
    flags: ArrayLike, seeds: ArrayLike, *, n_resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Share of flagged models with a BCa bootstrap interval over whole seeds, all in [0, 1]; n counts seeds.

    flags: (n_models,) of True/False or 1/0; seeds: (n_models,), any number of models a seed. None or all flagged give
    NaN for both ends. With one model a seed, `ufm.statistics.share_interval` is exact.

    Raises ValueError: lengths differ, a flag other than true or false, or fewer than two seeds.
    """
    flags = _flags(flags, "flags")
    seeds = _seed_index(seeds, len(flags))
    flagged, models = np.bincount(seeds, weights=flags), np.bincount(seeds)

    def share(drawn: np.ndarray) -> np.ndarray:
        return drawn @ flagged / (drawn @ models)

    return bootstrap_over_seeds(share, len(models), n_resamples=n_resamples, confidence=confidence, seed=seed)


def exchange_test(
    scores: ArrayLike, positive: ArrayLike, seeds: ArrayLike, *, n_exchanges: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p-value of an area of ½: within each seed it is exchanged at random which of its models are canaries.

    In (0, 1], the observed labels counted. scores, positive, seeds: (n_models,). The distances compared are those from
    the mean area over all exchanges, ½ where every seed has the same number of canaries and of other models.

    Raises ValueError: what `auc_interval` refuses, no seed with both kinds of model, or fewer than 19 exchanges.
    """
    scores, positive, seeds = _models_of_seeds(scores, positive, seeds)
    require_draws(n_exchanges, "exchanges")
    order = np.argsort(seeds, kind="stable")
    ranks, positive, seeds = stats.rankdata(scores)[order], positive[order], seeds[order]
    share = np.bincount(seeds, weights=positive) / np.bincount(seeds)
    if not ((share > 0) & (share < 1)).any():
        raise ValueError("nothing to exchange: no seed has both a positive and a negative")
    expected, rng, sums = ranks @ share[seeds], np.random.default_rng(seed), []
    for start in range(0, n_exchanges, BATCH):
        keys = rng.random((min(BATCH, n_exchanges - start), len(ranks)))
        shuffled = np.argsort(seeds + keys, axis=1)  # a seed's models stay in their seed's places
        sums.append(ranks[shuffled[:, positive]].sum(1))
    # Rank sums stand for areas: the area is the sum, shifted and scaled. Their rounding is far below 1e-6.
    distances = np.abs(np.concatenate(sums) - expected)
    return float(permutation_p_value(abs(ranks[positive].sum() - expected) - 1e-6, distances))


def delong_interval(scores: ArrayLike, positive: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """`auc` with DeLong's normal interval, cut to [0, 1]; for independent models only, one a seed. n counts models.

    scores, positive: (n_models,). The variance is var(V₁₀) / n_positive + var(V₀₁) / n_negative, with V₁₀ and V₀₁ the
    shares of pairs that each canary and each other model has in the area (DeLong et al., Biometrics 44, 1988). No
    variance, as at an area of 1, gives NaN for both ends.

    Raises ValueError: what `auc` refuses, fewer than two positives or negatives, or confidence outside (0, 1).
    """
    scores, positive = _models(scores, positive)
    require_confidence(confidence)
    outscoring = _outscoring(scores, positive)
    if min(outscoring.shape) < 2:
        raise ValueError("DeLong's interval needs at least two positives and two negatives")
    variance = sum(outscoring.mean(axis).var(ddof=1) / outscoring.shape[1 - axis] for axis in (0, 1))
    area, half_width = float(outscoring.mean()), stats.norm.ppf((1 + confidence) / 2) * np.sqrt(variance)
    if half_width == 0:
        return Interval(area, np.nan, np.nan, len(scores))
    return Interval(area, max(0.0, float(area - half_width)), min(1.0, float(area + half_width)), len(scores))


def _models(scores: ArrayLike, positive: ArrayLike, *, name: str = "scores") -> tuple[np.ndarray, np.ndarray]:
    """Finite scores (n_models,) that differ, and booleans of both kinds."""
    scores, positive = finite_sample(scores, name, per="model"), _flags(positive, "positive")
    if len(scores) != len(positive):
        raise ValueError(f"{name} and positive need equal lengths, not {len(scores)} and {len(positive)}")
    if not positive.any() or positive.all():
        raise ValueError("positive must hold both canaries and other models")
    if np.ptp(scores) == 0:
        raise ValueError(f"{name} are all equal and tell nothing apart")
    return scores, positive


def _models_of_seeds(
    scores: ArrayLike, positive: ArrayLike, seeds: ArrayLike, *, name: str = "scores"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `_models`, with each model's seed as a number from 0."""
    scores, positive = _models(scores, positive, name=name)
    return scores, positive, _seed_index(seeds, len(scores))


def _seed_index(seeds: ArrayLike, n_models: int) -> np.ndarray:
    seeds = finite_sample(seeds, "seeds", per="model")
    if len(seeds) != n_models:
        raise ValueError(f"seeds need one entry a model, not {len(seeds)} for {n_models}")
    values, index = np.unique(seeds, return_inverse=True)
    if len(values) < 2:
        raise ValueError(f"models of at least two seeds are needed, not of {len(values)}")
    return index


def _flags(values: ArrayLike, name: str) -> np.ndarray:
    flags = finite_sample(values, name, per="model")
    if not np.isin(flags, (0, 1)).all():
        raise ValueError(f"{name} must be true or false, or 1 or 0")
    return flags.astype(bool)


def _outscoring(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """1 where a canary outscores another model, ½ where they tie, else 0: (n_positive, n_negative)."""
    canaries, others = scores[positive][:, None], scores[~positive]
    return (canaries > others) + 0.5 * (canaries == others)


def _area_of_drawn(scores: np.ndarray, positive: np.ndarray, seeds: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function from how often each seed was drawn, (..., n_seeds), to the area of such a resample, (...)."""
    of_seed = seeds[:, None] == np.arange(1 + seeds.max())
    canaries, others = of_seed[positive].astype(float), of_seed[~positive].astype(float)
    sums = canaries.T @ _outscoring(scores, positive) @ others
    n_canaries, n_others = canaries.sum(0), others.sum(0)

    def area(drawn: np.ndarray) -> np.ndarray:
        return ((drawn @ sums) * drawn).sum(-1) / ((drawn @ n_canaries) * (drawn @ n_others))

    return area


def _sum_of_drawn(
    scores: Mapping[str, ArrayLike], weights: ArrayLike, positive: ArrayLike, seeds: ArrayLike
) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """As `_area_of_drawn`, of the weighted sum of the scores' areas; and how many seeds there are."""
    weights = finite_sample(weights, "weights", per="score")
    if len(weights) != len(scores):
        raise ValueError(f"weights need one entry a score, not {len(weights)} for {len(scores)}")
    areas, n_seeds = [], 0
    for name, values in scores.items():
        own, is_positive, index = _models_of_seeds(values, positive, seeds, name=name)
        areas.append(_area_of_drawn(own, is_positive, index))
        n_seeds = 1 + int(index.max())

    def total(drawn: np.ndarray) -> np.ndarray:
        return np.sum([weight * area(drawn) for weight, area in zip(weights, areas, strict=True)], axis=0)

    return total, n_seeds


def _allowed(n_negatives: ArrayLike, false_positive_rate: float) -> np.ndarray:
    """How many of the negatives may exceed a threshold."""
    return np.floor(np.asarray(n_negatives) * false_positive_rate + 1e-9).astype(int)  # 0.29 · 100 = 28.999…


def _require_negatives(n_negatives: int, false_positive_rate: float) -> None:
    if not 0 < false_positive_rate < 1:
        raise ValueError(f"false_positive_rate must lie between 0 and 1, not be {false_positive_rate}")
    needed = int(np.ceil((1 if false_positive_rate >= 0.05 else 3) / false_positive_rate - 1e-9))
    if n_negatives < needed:
        raise ValueError(
            f"a false-positive rate of {false_positive_rate:g} needs at least {needed} negatives, not {n_negatives}"
        )
