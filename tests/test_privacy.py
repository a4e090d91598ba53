"""Bounds on privacy parameters: by hand, of a published implementation, by linear programming, where truth is known."""

from functools import cache

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq, linprog
from scipy.special import expit, logit

from ufm.evidence.coins import guessed, privacy
from ufm.statistics import epsilon_bound, epsilon_of_gaussian, gaussian_bound, guessing_p_value
from ufm.statistics.privacy import excess

# jax-privacy 2.0.0 with dp-accounting 0.6.0, NumPy 2.4.6 and SciPy 1.17.1: CanaryScoreAuditor of n canaries, of which
# `guesses` score above the threshold and `correct` of these are held in; epsilon_one_run and epsilon_one_run_fdp with
# the threshold strategy Explicit. The columns: n, guesses, correct, significance, δ, and the two values.
PUBLISHED = [
    (20, 10, 10, 0.05, 1e-5, 1.051146929446895, 2.253841311992884),
    (20, 10, 9, 0.05, 1e-5, 0.4293268701640526, 0.8445874295733138),
    (40, 20, 18, 0.05, 1e-5, 0.9308715954810398, 1.9108165870824974),
    (100, 50, 45, 0.05, 1e-5, 1.3927909762894453, 2.7930206042037895),
    (100, 50, 45, 0.01, 1e-5, 1.1418541616315376, 2.0105898093662296),
    (100, 100, 70, 0.05, 1e-5, 0.47141908846630637, 1.0607029230699714),
    (100, 50, 50, 0.05, 1e-5, 2.781889334332235, 5.839971200876487),
    (100, 50, 45, 0.05, 1e-3, 1.3037900557439108, 1.9413899653964655),
    (40, 20, 20, 0.05, 1e-2, 0, 2.0380714517072867),
    (1_000, 500, 420, 0.05, 1e-5, 1.452768302284293, 2.5186127526786453),
    (100, 50, 25, 0.05, 1e-5, 0, 0),
    (12, 6, 6, 0.05, 1e-5, 0.4340311897380379, 0.8888750701860508),
]
# dp-accounting 0.6.0, get_epsilon_gaussian(1 / μ, δ).
ACCOUNTED = [
    (0.01, 0.1, 0),
    (0.5, 1e-5, 1.9930914044151198),
    (1, 1e-5, 4.377178095681137),
    (2, 1e-3, 7.581279924570115),
    (5, 1e-8, 39.89114670500759),
    (20, 1e-5, 284.39184949774256),
]


@pytest.mark.parametrize(("n", "guesses", "correct", "level", "delta", "epsilon", "of_mu"), PUBLISHED)
def test_bounds_are_those_of_a_published_implementation(n, guesses, correct, level, delta, epsilon, of_mu):
    assert epsilon_bound(correct, guesses, n, delta=delta, level=level) == pytest.approx(epsilon, abs=1e-6)
    mu = gaussian_bound(correct, guesses, n, level=level)
    assert epsilon_of_gaussian(mu, delta) == pytest.approx(of_mu, abs=2e-6)


@pytest.mark.parametrize(("mu", "delta", "epsilon"), ACCOUNTED)
def test_epsilon_of_gaussian_noise_is_that_of_an_accountant(mu, delta, epsilon):
    assert epsilon_of_gaussian(mu, delta) == pytest.approx(epsilon, rel=1e-6)


def test_by_hand():
    # All of ten right: with a share of q that has a chance of q¹⁰, 0.05 at q = 0.7411, of which the logit is 1.0519.
    assert epsilon_bound(10, 10, 10) == pytest.approx(1.0519, abs=1e-4)
    assert epsilon_bound(10, 10, 99) == epsilon_bound(10, 10, 10)  # without δ only guesses count
    # Fewer than five are right by chance too often.
    assert epsilon_bound(4, 4, 4) == 0
    assert epsilon_bound(5, 5, 5) > 0
    # One guess: one half by chance, and one more step of 2δ · P[1 > W ≥ 0] = 2 · 0.1 · 1/2.
    assert guessing_p_value(1, 1, 1, 0.0, 0.1) == pytest.approx(0.6)
    assert guessing_p_value(0, 1, 1, 3.0, 0.5) == 1
    # The best guess at one coin through Gaussian noise is right with a chance of Φ(μ / 2).
    assert gaussian_bound(1, 1, 1, level=0.8) == pytest.approx(2 * stats.norm.ppf(0.8))
    # At δ = 2Φ(μ / 2) − 1 no ε is needed.
    assert epsilon_of_gaussian(1.0, 2 * stats.norm.cdf(0.5) - 1 - 1e-9) == pytest.approx(0, abs=1e-6)
    assert epsilon_of_gaussian(1.0, 0.5) == epsilon_of_gaussian(0.0, 1e-5) == 0


@pytest.mark.parametrize(("correct", "guesses"), [(60, 100), (45, 50), (7, 8), (100, 100)])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_without_delta_it_is_clopper_and_pearsons(correct, guesses, level):
    low = stats.binomtest(correct, guesses).proportion_ci(1 - 2 * level, method="exact").low
    assert epsilon_bound(correct, guesses, 500, level=level) == pytest.approx(max(0, logit(low)), abs=1e-7)


def most_probable(correct, guesses, n, mu):
    """The largest chance of as many right guesses that Gaussian privacy allows, by linear programming.

    Of the probabilities p of each number of right guesses it is only asked what flipping one coin asks: that the mean
    number of right ones from i + 1 on is at most 1 − f of that of wrong ones from i on, in n-ths. 1 − f lies below its
    tangents.
    """
    share = np.concatenate([np.geomspace(1e-6, 0.5, 300), 1 - np.geomspace(0.5, 1e-6, 300)])
    raised = stats.norm.cdf(stats.norm.ppf(share) + mu)
    slope = stats.norm.pdf(stats.norm.ppf(share) + mu) / stats.norm.pdf(stats.norm.ppf(share))
    number = np.arange(guesses + 1)
    rows = []
    for first in range(guesses):
        right, wrong = np.where(number > first, number, 0) / n, np.where(number >= first, guesses - number, 0) / n
        rows.append(right - slope[:, None] * wrong)
    limits = np.tile(raised - slope * share, guesses)
    every = np.ones((1, guesses + 1))
    return -linprog(-(number >= correct).astype(float), np.concatenate(rows), limits, every, [1.0]).fun


@pytest.mark.parametrize("mu", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(
    ("correct", "guesses", "n"), [(9, 10, 10), (10, 10, 10), (9, 10, 20), (17, 20, 20), (5, 6, 12)]
)
def test_the_recursion_finds_the_most_probable_of_all_that_privacy_allows(mu, correct, guesses, n):
    def over(level):
        return excess(correct, guesses, n, lambda share: stats.norm.cdf(stats.norm.ppf(share) - mu), level)

    largest = 1.0 if over(1.0) <= 0 else brentq(over, 1e-9, 1.0)
    assert largest == pytest.approx(most_probable(correct, guesses, n, mu), rel=1e-3)


RUNS, LEVEL = 2_000, 0.05
MOST = LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / RUNS)  # of runs, at three standard errors


def right(answers, n):
    """How many of how many guesses are right, in so many runs, each with coins (n,) and answers (n,) by these."""
    rng, found = np.random.default_rng(n), []
    for _ in range(RUNS):
        coins = rng.random(n) < 0.5
        found.append(guessed(answers(rng, coins), coins))
    return found


@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize("epsilon", [0.0, 1.0, 3.0])
def test_randomised_response_is_not_said_to_be_less_private_than_it_is(n, epsilon):
    def answers(rng, coins):
        return np.where(rng.random(n) < expit(epsilon), coins, ~coins).astype(float)

    bound = cache(epsilon_bound)
    found = [bound(correct, guesses, n, level=LEVEL) for correct, guesses in right(answers, n)]
    assert np.mean(np.array(found) > epsilon) <= MOST
    if epsilon == 3:
        assert np.median(found) > (0.4 if n == 20 else 1.5)


@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize("mu", [0.0, 1.0, 3.0])
def test_gaussian_noise_is_not_said_to_be_less_private_than_it_is(n, mu):
    delta = 1e-3
    of_epsilon, of_mu = cache(epsilon_bound), cache(gaussian_bound)
    counts = right(lambda rng, coins: mu * coins + rng.normal(size=n), n)
    epsilons = [of_epsilon(*count, n, delta=delta, level=LEVEL) for count in counts]
    mus = [of_mu(*count, n, level=LEVEL) for count in counts]
    assert np.mean(np.array(epsilons) > epsilon_of_gaussian(mu, delta)) <= MOST
    assert np.mean(np.array(mus) > mu) <= MOST
    if mu == 3:
        assert np.median(mus) > (0.3 if n == 20 else 1)


def test_a_training_that_fails_with_probability_delta_is_allowed_for():
    # With a chance of δ it tells every coin, else none: (0, δ)-differentially private.
    counts = right(lambda rng, coins: coins * (rng.random() < 0.1) + rng.random(20), 20)
    bound = cache(epsilon_bound)
    assert np.mean([bound(*count, 20) > 0 for count in counts]) > MOST
    assert np.mean([bound(*count, 20, delta=0.1) > 0 for count in counts]) <= MOST


def test_a_quarter_at_either_end_is_guessed_and_a_coin_changes_no_guess():
    scores = np.array([5.0, 1, 9, 3, 7, 2, 8, 4])
    planted = np.array([False, False, True, False, False, True, True, False])
    found = privacy(scores, planted, level=0.05)
    # Guessed to be planted: those of 9 and 8, which are; to be kept back: those of 1 and 2, of which the second is not.
    assert (found.n, found.guesses, found.correct) == (8, 4, 3)
    for coin, step in enumerate([0, -1, -1, 0, 0, 1, -1, 0]):
        flipped = planted.copy()
        flipped[coin] ^= True
        assert privacy(scores, flipped, level=0.05).correct == 3 + step
    assert [privacy(np.arange(n), np.ones(n, bool), level=0.05).guesses for n in (2, 3, 5, 8, 9, 100)] == [
        2,
        2,
        4,
        4,
        6,
        50,
    ]
    assert privacy(np.ones(1), np.ones(1, bool), level=0.05) is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: epsilon_bound(6, 5, 9), "correct, guesses, n: 6 right ones of 5 guesses of 9 coins cannot be"),
        (lambda: epsilon_bound(1, 5, 4), "correct, guesses, n: 1 right ones of 5 guesses of 4 coins cannot be"),
        (lambda: gaussian_bound(0, 0, 4), "correct, guesses, n: 0 right ones of 0 guesses of 4 coins cannot be"),
        (lambda: epsilon_bound(1, 2, 4, delta=1.0), "delta 1.0, level 0.05: must lie in"),
        (lambda: gaussian_bound(1, 2, 4, level=1.0), "delta 0.0, level 1.0: must lie in"),
        (lambda: epsilon_of_gaussian(1.0, 0.0), "mu 1.0, delta 0.0: need mu"),
        (lambda: epsilon_of_gaussian(-1.0, 0.1), "mu -1.0, delta 0.1: need mu"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        call()
