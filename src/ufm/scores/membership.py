"""Scores by which others ask what a model holds of its training data: exposure, LiRA and RMIA.

Pure functions of arrays. Higher = more like a model that was trained on what is asked about.
"""

from math import lgamma, log

import numpy as np

# Probabilities nearer to 0 or 1 than the smallest number of float16, in which cards keep log-probabilities, are moved
# to there, where the logit is ±16.6.
NEAREST = float(np.finfo(np.float16).smallest_subnormal)


def exposure(secret: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Exposure in bits, (…), of a secret among n candidates: log₂ n − log₂ rank, from 0 to log₂ n.

    secret: (…), how strongly the model answers to it; others: (…, n_others), to the candidates that were not used, so
    that n = n_others + 1. The rank is 1 and how many others lie strictly above: ties count for the secret (Carlini et
    al., The Secret Sharer, USENIX Security 2019, definition of exposure). tensorflow-privacy has the same rank where
    none are tied and leaves ties to its sort; its n leaves out the secret.
    """
    secret, others = np.asarray(secret, np.float64), np.asarray(others, np.float64)
    rank = 1 + (others > secret[..., None]).sum(-1)
    return np.log2(others.shape[-1] + 1) - np.log2(rank)


def expected_exposure(n_candidates: int) -> float:
    """Mean exposure in bits where each rank among so many candidates is as likely: log₂ n − log₂(n!) / n."""
    return (log(n_candidates) - lgamma(n_candidates + 1) / n_candidates) / log(2)


def logit(log_p: np.ndarray) -> np.ndarray:
    """log(p / (1 − p)), the logit-scaled confidence φ, of log-probabilities of any shape; p within `NEAREST` of 0 or 1.

    Carlini et al., Membership Inference Attacks From First Principles, IEEE Symposium on Security and Privacy 2022.
    """
    log_p = np.clip(np.asarray(log_p, np.float64), np.log(NEAREST), -NEAREST)
    return log_p - np.log(-np.expm1(log_p))


def standardised_by(values: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Values (…) less the mean of out-models, over their standard deviation: LiRA offline, from confidences φ.

    out: (…, n_models), NaN for those that are not out-models. LiRA's statistic, the share of N(μ_out, σ_out²) that lies
    below, rises with this number. NaN where fewer than two are there.
    """
    n, mean = out_mean(out)
    deviations = np.where(np.isnan(out), 0, out - mean[..., None])
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt((deviations**2).sum(-1) / (n - 1))
        return np.where((n > 1) & (spread > 0), (values - mean) / spread, np.nan)


def over_mean(p: np.ndarray, out: np.ndarray) -> np.ndarray:
    """A probability (…) over its mean under out-models (…, n_models), NaN for those that are none: RMIA's ratio.

    p(x | θ) / p(x), with p(x) the mean over reference models that were not trained on x, offline and without the
    correction for those that were (Zarifzadeh, Liu and Shokri, ICML 2024).
    """
    return p / out_mean(out)[1]


def dominating(ratio: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Share (…) of the others' ratios (…, n_others) that a ratio reaches, 0 to 1: RMIA's score at γ = 1.

    NaN among the others is left out; where none is left the share is NaN.
    """
    there = ~np.isnan(others)
    with np.errstate(invalid="ignore"):
        share = (there & (np.asarray(ratio)[..., None] >= others)).sum(-1) / there.sum(-1)
    return np.where(np.isnan(ratio), np.nan, share)


def out_mean(out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many out-models there are, (…), and their mean, NaN where there is none: of (…, n_models), NaN for others."""
    n = (~np.isnan(out)).sum(-1)
    with np.errstate(invalid="ignore"):
        return n, np.where(n > 0, np.nansum(out, -1) / n, np.nan)
