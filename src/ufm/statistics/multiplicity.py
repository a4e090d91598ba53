"""Corrections for several tests."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ufm.statistics.checks import _p_values


def holm(p_values: ArrayLike) -> np.ndarray:
    """Adjusted p-values that bound the chance of any false rejection, in the order given.

    The i-th smallest of m becomes the largest (m − j + 1) p_(j) of the j ≤ i, at most 1 (Holm, Scandinavian Journal of
    Statistics 6, 1979). p_values: (n_tests,); the tests may depend on each other.

    Raises ValueError: no p-values, not 1-D, or one outside [0, 1].
    """
    p_values = _p_values(p_values)
    order = np.argsort(p_values)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1)).clip(max=1)
    return adjusted


def benjamini_hochberg(p_values: ArrayLike) -> np.ndarray:
    """Adjusted p-values that bound the expected share of false ones among all rejections, in the order given.

    p_values: (n_tests,), of independent or positively dependent tests (Benjamini and Hochberg, JRSS B 57, 1995).

    Raises ValueError: no p-values, not 1-D, or one outside [0, 1].
    """
    return stats.false_discovery_control(_p_values(p_values), method="bh")


def single_models(p_values: ArrayLike, *, n_null: int, alpha: float = 0.05) -> np.ndarray:
    """Verdict on each of several models: "evidence", "no evidence" or "cannot be decided", shape (n_models,).

    p_values: (n_models,), each against a null of `n_null` values. Evidence: rejected after Benjamini and Hochberg. It
    cannot be decided on a model if even the smallest p-value of such a null, 1 / (1 + n_null), would not be rejected
    beside those of the other models. That p-value is always rejected up to alpha / n_models and never above alpha; in
    between others must be small too. So where there is evidence on one model, all are decided.

    Raises ValueError: what `benjamini_hochberg` refuses, or a p-value that such a null cannot give.
    """
    p_values, smallest = _p_values(p_values), 1 / (1 + n_null)
    if p_values.min() < smallest * (1 - 1e-9):
        raise ValueError(f"a null of {n_null} values gives no p-value of {p_values.min():.3g}")
    at_best = np.tile(p_values, (len(p_values), 1))
    np.fill_diagonal(at_best, smallest)
    decidable = stats.false_discovery_control(at_best, axis=1).diagonal() <= alpha
    rejected = benjamini_hochberg(p_values) <= alpha
    return np.where(rejected, "evidence", np.where(decidable, "no evidence", "cannot be decided"))
