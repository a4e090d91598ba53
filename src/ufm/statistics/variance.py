"""Variance components of contrasts of hosts and seeds that are crossed, and the spread over seeds."""

from math import nan

import numpy as np
import pandas as pd

COMPONENTS = ("seed", "host", "rest")  # rest: the seed together with the host, and noise
FEWEST_OF_NULL = 8  # values, below which the variance of noise alone is told too badly to be taken off


def moments(values: np.ndarray, seeds: np.ndarray, hosts: np.ndarray) -> np.ndarray:
    """Variance components (n_draws, 3) of a crossed layout without replication: of seed, host and rest.

    values: (n_seeds, n_hosts); seeds (n_draws, n_seeds) and hosts (n_draws, n_hosts): how much each counts, in each
    draw. Unbiased whatever the weights, so that a host that is drawn twice is not taken for two; with equal weights
    they are those of the analysis of variance (Searle, Casella and McCulloch, Variance Components, 1992, chapter 4).
    May be negative; NaN in a draw of a single seed or host.
    """
    p, q = seeds / seeds.sum(1, keepdims=True), hosts / hosts.sum(1, keepdims=True)
    by_seed, by_host = q @ values.T, p @ values
    grand = (p * by_seed).sum(1) ** 2
    seed = (p * by_seed**2).sum(1) - grand
    host = (q * by_host**2).sum(1) - grand
    rest = ((p @ values**2) * q).sum(1) - seed - host - grand
    same_seed, same_host = (p**2).sum(1), (q**2).sum(1)  # chances that two draws are the same
    different = np.where((same_seed < 1) & (same_host < 1), (1 - same_seed) * (1 - same_host), nan)
    rest = rest / different
    seed, host = seed * (1 - same_host) / different, host * (1 - same_seed) / different
    return np.stack([seed - rest * same_host, host - rest * same_seed, rest], axis=1)


def drawn(values: np.ndarray, n_resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each seed (n_resamples, n_seeds) and host (n_resamples, n_hosts) is drawn, with replacement."""
    rng = np.random.default_rng(0)
    seeds, hosts = (rng.multinomial(n, np.full(n, 1 / n), n_resamples).astype(float) for n in values.shape)
    return seeds, hosts


def components(values: np.ndarray, *, n_resamples: int = 10_000) -> pd.DataFrame:
    """Variance components as standard deviations in nats: rows seed, host, rest.

    values: (n_seeds, n_hosts). Columns component, estimate, low, high (percentiles of a bootstrap over seeds and hosts
    together), n (seeds). A negative component is 0. Raises ValueError: fewer than two seeds or hosts.
    """
    require_crossed(values)
    estimates = moments(values, *(np.ones((1, n)) for n in values.shape))[0]
    low, high = np.nanquantile(moments(values, *drawn(values, n_resamples)), [0.025, 0.975], axis=0)
    rows = {"component": COMPONENTS, "estimate": estimates, "low": low, "high": high}
    table = pd.DataFrame(rows | {"n": len(values)})
    for name in ("estimate", "low", "high"):
        table[name] = np.sqrt(table[name].clip(lower=0))
    return table


def relative_spread(values: np.ndarray, null: np.ndarray, *, n_resamples: int = 10_000) -> dict[str, float]:
    """Standard deviation over seeds for one host, noise taken off, as a share of the mean: √(V̄ − V₀) / mean.

    values: (n_seeds, n_hosts); null: (n,), contrasts of the noise alone. V̄ is the mean over hosts of the variance over
    seeds, V₀ the variance of the null; √ of a negative difference is 0. Keys estimate, low, high (percentiles of a
    bootstrap over seeds and hosts together, and over the null), p (share of resamples in which V̄ is not above V₀, the
    observed one counted), n (seeds). All but n are NaN where the null has fewer than eight values, or the mean is not
    above zero.

    Raises ValueError: fewer than two seeds or hosts.
    """
    require_crossed(values)
    if len(null) < FEWEST_OF_NULL or not values.mean() > 0:
        return {"estimate": nan, "low": nan, "high": nan, "p": nan, "n": len(values)}
    every = [np.ones((1, n)) for n in values.shape]
    estimate, _ = shares(values, null, every[0], every[1], np.ones((1, len(null))))
    counts = np.random.default_rng(1).multinomial(len(null), np.full(len(null), 1 / len(null)), n_resamples)
    resampled, above = shares(values, null, *drawn(values, n_resamples), counts.astype(float))
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    p = (1 + (~above).sum()) / (n_resamples + 1)
    return {"estimate": float(estimate[0]), "low": float(low), "high": float(high), "p": float(p), "n": len(values)}


def spread_of_seeds(
    values: np.ndarray, *, smallest: float = 0.0, hosts_vary: bool = False, n_resamples: int = 10_000
) -> dict[str, float]:
    """Standard deviation over seeds for one host as a share of the mean, from seeds that are trained twice: √C̄ / mean.

    values: (2, n_seeds, n_hosts), the same under two roundings. C̄ is the mean over hosts of the covariance over seeds
    between the two, in which what rounding makes of a training has no part; √ of a negative one is 0. Keys estimate,
    low, high (percentiles of a bootstrap over seeds, with `hosts_vary` over seeds and hosts together), p (share of
    resamples at or below `smallest`, or of no mean above zero, the observed one counted), n (seeds). All but these two
    are NaN where the mean is not above zero.

    Raises ValueError: not two roundings, fewer than two seeds or hosts, or values that are not finite.
    """
    if values.ndim != 3 or len(values) != 2:
        raise ValueError(f"contrasts under two roundings are needed, not an array of shape {values.shape}")
    for one in values:
        require_crossed(one)
    n_seeds, n_hosts = values.shape[1:]
    seeds, hosts = drawn(values[0], n_resamples)
    hosts = hosts if hosts_vary else np.ones((n_resamples, n_hosts))
    (estimate,) = shared_shares(values, np.ones((1, n_seeds)), np.ones((1, n_hosts)))
    resampled = shared_shares(values, seeds, hosts)
    low, high = np.nanquantile(resampled, [0.025, 0.975]) if np.isfinite(resampled).any() else (nan, nan)
    p = (1 + (~(resampled > smallest)).sum()) / (n_resamples + 1)
    return {"estimate": float(estimate), "low": float(low), "high": float(high), "p": float(p), "n": n_seeds}


def shared_shares(values: np.ndarray, seeds: np.ndarray, hosts: np.ndarray) -> np.ndarray:
    """√C̄ / mean in each draw (n_draws,), NaN where the mean is not above zero.

    values: (2, n_seeds, n_hosts); seeds (n_draws, n_seeds) and hosts (n_draws, n_hosts): how much each counts. Seeds
    that are drawn twice are not taken for two, so that a covariance is unbiased.
    """
    p, q = (counts / counts.sum(1, keepdims=True) for counts in (seeds, hosts))
    first, second = values
    shared = p @ (first * second) - (p @ first) * (p @ second)  # draw, host
    same_seed = (p**2).sum(1)  # the chance that two draws are the same
    covariance = (shared * q).sum(1) / np.where(same_seed < 1, 1 - same_seed, nan)
    mean = (p @ (first + second) / 2 * q).sum(1)
    return np.sqrt(covariance.clip(min=0)) / np.where(mean > 0, mean, nan)


def whole_spread(values: np.ndarray) -> float:
    """The same share with no noise taken off, √V̄ / mean; NaN where the mean is not above zero."""
    require_crossed(values)
    return float(np.sqrt(values.var(0, ddof=1).mean()) / values.mean()) if values.mean() > 0 else nan


def shares(
    values: np.ndarray, null: np.ndarray, seeds: np.ndarray, hosts: np.ndarray, nulls: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """√(V̄ − V₀) / mean in each draw (n_draws,), NaN where the mean is not above zero, and whether V̄ is above V₀."""
    p, q, weights = (counts / counts.sum(1, keepdims=True) for counts in (seeds, hosts, nulls))
    within = (((p @ values**2) - (p @ values) ** 2) * q).sum(1) / (1 - (p**2).sum(1))
    background = (weights @ null**2 - (weights @ null) ** 2) / (1 - (weights**2).sum(1))
    mean, excess = ((p @ values) * q).sum(1), within - background
    return np.sqrt(excess.clip(min=0)) / np.where(mean > 0, mean, nan), excess > 0


def require_crossed(values: np.ndarray) -> None:
    """Raises ValueError unless there are two seeds and two hosts, all finite."""
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(f"at least two seeds and two hosts are needed, not an array of shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("contrasts hold NaN or infinite values")
