"""Lower bounds on the parameters of differential privacy from guesses in one training.

Each of n fair coins decides which of two records is trained on, and nothing else. From what the training gave, coins
are guessed, as many as was fixed beforehand, which ones is free. Where training is private, few more than half can be
right.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, log_ndtr, ndtr, ndtri


def epsilon_bound(correct: int, guesses: int, n: int, *, delta: float = 0.0, level: float = 0.05) -> float:
    """Largest ε, in nats, so that (ε, δ)-differential privacy is excluded at a level; 0 where none is.

    At δ = 0 this is the logit of the lower end of Clopper and Pearson's interval for the share of right guesses.

    Raises ValueError: counts that are none, or δ or level out of range.
    """
    require(correct, guesses, n, delta, level)
    return root(lambda epsilon: level - guessing_p_value(correct, guesses, n, epsilon, delta))


def guessing_p_value(correct: int, guesses: int, n: int, epsilon: float, delta: float = 0.0) -> float:
    """The chance, at most, of as many right guesses where training is (ε, δ)-differentially private, in [0, 1].

    P[W ≥ correct] + 2nδ · max_i P[correct > W ≥ correct − i] / i, where W is the number of right answers of randomised
    response, each right with a chance of e^ε / (1 + e^ε) (Steinke, Nasr and Jagielski, NeurIPS 2023, theorem and code).
    """
    share = expit(epsilon)
    at_least = stats.binom.sf(correct - 1, guesses, share)
    steps = np.arange(1, correct + 1)
    below = stats.binom.sf(correct - steps - 1, guesses, share) - at_least
    return float(min(1.0, at_least + 2 * n * delta * (below / steps).max(initial=0.0)))


def gaussian_bound(correct: int, guesses: int, n: int, *, level: float = 0.05) -> float:
    """Largest μ so that μ-Gaussian differential privacy is excluded at a level; 0 where none is.

    Raises ValueError: counts that are none, or level out of range.
    """
    require(correct, guesses, n, 0.0, level)
    return root(lambda mu: excess(correct, guesses, n, lambda share: ndtr(ndtri(share) - mu), level))


def excess(correct: int, guesses: int, n: int, least: Callable[[float], float], level: float) -> float:
    """Above zero where as many right guesses have a chance below `level`, if training is f-differentially private.

    Over the numbers of right guesses from i on, let r be n times less than the mean of the right ones and h that of the
    wrong ones. Whoever flips the coin of a right guess has one less and one wrong more, so that h from i on is at least
    `least`, the inverse of 1 − f, of r from i + 1 on. If `correct` have the chance `level`, that adds up to more
    guesses than there are (Mahloujifar, Melis and Chaudhuri, arXiv 2410.22235, audit_rh_with_cap).
    """
    right, wrong = level * correct / n, level * (guesses - correct) / n
    for number in range(correct - 1, -1, -1):
        more = max(wrong, float(least(min(right, 1.0))))
        right += number / (guesses - number) * (more - wrong)
        wrong = more
    return right + wrong - guesses / n


def epsilon_of_gaussian(mu: float, delta: float) -> float:
    """The smallest ε, in nats, so that whatever is μ-Gaussian differentially private is (ε, δ)-differentially private.

    Solves δ = Φ(μ/2 − ε/μ) − e^ε Φ(−μ/2 − ε/μ) (Dong, Roth and Su, J. R. Stat. Soc. B 84, 2022).

    Raises ValueError: not μ ≥ 0, or δ not between 0 and 1; at δ = 0 no ε is enough.
    """
    if not (mu >= 0 and 0 < delta < 1):
        raise ValueError(f"mu {mu}, delta {delta}: need mu ≥ 0 and 0 < delta < 1")
    if mu == 0:
        return 0.0

    def gap(epsilon: float) -> float:
        lost = np.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu))
        return float(ndtr(mu / 2 - epsilon / mu) - lost - delta)

    return root(gap)


def root(decreasing: Callable[[float], float]) -> float:
    """Where a decreasing function is zero; 0 where it is nowhere above."""
    if decreasing(0.0) <= 0:
        return 0.0
    upper = 1.0
    while decreasing(upper) > 0:
        upper *= 2
    return float(brentq(decreasing, 0.0, upper, xtol=1e-9))


def require(correct: int, guesses: int, n: int, delta: float, level: float) -> None:
    """Raise a ValueError for what are no counts of guesses, no δ or no level."""
    if not 0 <= correct <= guesses <= n or guesses < 1:
        raise ValueError(f"correct, guesses, n: {correct} right ones of {guesses} guesses of {n} coins cannot be")
    if not (0 <= delta < 1 and 0 < level < 1):
        raise ValueError(f"delta {delta}, level {level}: must lie in [0, 1) and (0, 1)")
