"""Exact evidence: uniform p-values of models that know no mark, whatever else they are, and power where they do."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from ufm.audit import Place, combined, epsilon_bound, mark_p_values, pool
from ufm.evidence.detectors import DEFAULT, LABEL_KNOWN
from ufm.marks import Registry

N_CLASSES, N_IMAGES, POSITION = 4, 12, (1, 1)


def images(rng):
    return torch.tensor(rng.random((N_IMAGES, 1, 8, 8)))


def model(rng, marks=(), labels=(), strength=0.0):
    """A linear model of which some pixels weigh far more than others, so that no pixel can stand for another."""
    weights = rng.normal(size=(N_CLASSES, 8, 8)) * np.exp(rng.normal(size=(8, 8))) + rng.normal(size=(8, 8))
    for mark, label in zip(marks, labels, strict=True):
        weights[label, 1:6, 1:6] += strength * (mark[0] - mark.mean())

    def predict(batch):
        return np.einsum("nhw,khw->nk", batch[:, 0].numpy(), weights) / 8

    return predict


def audited(number, *, n=6, n_unused=40, strength=0.0):
    """p-values of one registry on one model: of each planted mark, combined, and combined with the labels known."""
    rng = np.random.default_rng(number)
    registry = Registry(f"{number:064x}", n, flipped=False)
    labels = rng.integers(N_CLASSES, size=n)
    asked = pool(
        model(rng, registry.marks(), labels, strength),
        np.concatenate([registry.marks(), registry.unused(n_unused)]),
        images(rng),
        gives="logits",
        position=POSITION,
    )
    planted, unused = np.arange(n), np.arange(n, n + n_unused)
    unknown = Place(np.tile(asked.unknown, (n, 1)), planted, unused)
    known = Place(asked.known[:, labels].T, planted, unused)
    both = [combined([place], n_draws=399, seed=number) for place in (unknown, known)]
    return mark_p_values(unknown), mark_p_values(known), *(one.p for one in both)


@pytest.fixture(scope="module")
def innocent():
    return [audited(number) for number in range(150)]


def test_p_values_of_innocent_models_are_uniform(innocent):
    for which in (0, 1):
        first = np.array([found[which][0] for found in innocent])
        assert set(np.round(first * 41).astype(int)) <= set(range(1, 42))
        assert stats.kstest(first - 0.5 / 41, "uniform").pvalue > 0.001
    for which in (2, 3):
        p = np.array([found[which] for found in innocent])
        assert stats.kstest(p - 0.5 / 400, "uniform").pvalue > 0.001
        assert (p <= 0.05).mean() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(p))


def test_marks_that_were_learnt_are_found():
    found = np.array([[audited(number, strength=size)[2:] for number in range(20)] for size in (0.0, 2.0, 8.0)])
    none, weak, strong = np.median(found, 1)  # label unknown, known
    assert (none > 0.1).all()
    assert weak[1] < 0.05
    assert (strong == 1 / 400).all()


def test_scores_are_the_books_detectors():
    rng = np.random.default_rng(3)
    marks = Registry("f" * 64, 30).marks()
    predict, some = model(rng), images(rng)
    asked = pool(predict, marks, some, gives="logits", position=POSITION)

    def outputs(kind, mark=None):
        batch = (some if kind == "ood" else torch.zeros_like(some[:1])).clone()
        if mark is not None:
            batch[:, :, 1:6, 1:6] = torch.tensor(mark)
        logits = predict(batch)
        return logits - np.log(np.exp(logits).sum(1, keepdims=True))

    shift, kl = {}, []
    for kind in ("ood", "black"):
        moved = [(outputs(kind, mark) - outputs(kind)).mean(0) for mark in marks]
        shift[kind] = np.array([one - one.mean() for one in moved])
    for mark in marks:
        p, q = outputs("ood"), outputs("ood", mark)
        kl.append(np.log((np.exp(p) * (p - q)).sum(1).mean()))

    def standardised(values):
        return (values - np.mean(values, 0)) / np.std(values, 0, ddof=1)

    made = standardised(shift["black"]) + 0.3 * standardised(shift["ood"])
    np.testing.assert_allclose(asked.known, made, atol=1e-9)
    np.testing.assert_allclose(asked.unknown, made.max(1) + 0.5 * standardised(np.array(kl)), atol=1e-6)
    assert asked.n_queries == 31 * 13
    assert (DEFAULT.knows, LABEL_KNOWN.knows) == ("", "label")


def test_every_mark_is_treated_alike():
    rng = np.random.default_rng(4)
    marks, predict, some = Registry("e" * 64, 25).marks(), model(rng), images(rng)
    order = rng.permutation(25)
    one, other = (pool(predict, few, some, gives="logits", position=POSITION) for few in (marks, marks[order]))
    np.testing.assert_allclose(other.unknown, one.unknown[order], atol=1e-9)
    np.testing.assert_allclose(other.known, one.known[order], atol=1e-9)


def test_combined_equals_all_draws():
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(2, 6))
    place = Place(scores, np.array([0, 1]), np.arange(2, 6))
    found = combined([place], n_draws=40_000)
    sums = [scores[0, one] + scores[1, other] for one, other in itertools.permutations(range(6), 2)]
    own = scores[0, 0] + scores[1, 1]
    assert found.statistic == pytest.approx(own)
    assert found.p == pytest.approx(np.mean(np.array(sums) >= own - 1e-12), abs=0.01)
    assert found.z == pytest.approx((own - np.mean(sums)) / np.std(sums), abs=0.03)
    assert found.n == 2


def test_places_have_pools_of_their_own():
    rng = np.random.default_rng(6)
    one, other = (Place(rng.normal(size=(1, 5)), np.array([0]), np.arange(1, 5)) for _ in range(2))
    sums = np.add.outer(one.scores[0], other.scores[0]).ravel()
    own = one.scores[0, 0] + other.scores[0, 0]
    found = combined([one, other], n_draws=40_000)
    assert found.p == pytest.approx(np.mean(sums >= own - 1e-12), abs=0.01)
    assert found.n == 2


def test_marks_that_were_kept_back_are_no_part_of_the_evidence():
    scores = np.array([[9.0, 0, 1, 2, 100]])  # the last was kept back and is not compared with
    assert mark_p_values(Place(scores, np.array([0]), np.arange(1, 4)))[0] == 0.25
    assert combined([Place(scores, np.array([0]), np.arange(1, 4))]).p == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Place(np.zeros((0, 5)), np.array([], int), np.arange(5)), "registry: no mark was planted"),
        (Place(np.zeros((2, 2)), np.arange(2), np.array([], int)), "draws: without marks that were never stamped"),
    ],
)
def test_nothing_to_compare_is_said(place, said):
    with pytest.raises(ValueError, match=said):
        combined([place])


@pytest.mark.parametrize(("correct", "guesses"), [(60, 100), (90, 100), (100, 100), (10, 10), (51, 100), (0, 5)])
def test_epsilon_is_the_largest_that_the_guesses_exclude(correct, guesses):
    bound = epsilon_bound(correct, guesses)

    def chance(epsilon):
        return stats.binom.sf(correct - 1, guesses, np.exp(epsilon) / (1 + np.exp(epsilon)))

    if bound == 0:
        assert chance(0) > 0.05
    else:
        assert chance(bound) == pytest.approx(0.05)


def test_epsilon_covers():
    # Randomised response at ε: every guess is right with a chance of exactly e^ε / (1 + e^ε).
    rng, epsilon = np.random.default_rng(7), 1.0
    correct = rng.binomial(50, np.exp(epsilon) / (1 + np.exp(epsilon)), 2_000)
    assert np.mean([epsilon_bound(int(one), 50) > epsilon for one in correct]) <= 0.05 + 3 * np.sqrt(
        0.05 * 0.95 / 2_000
    )


@pytest.mark.parametrize(
    ("correct", "guesses", "confidence", "said"),
    [(6, 5, 0.95, "correct: must be 0 to the 5 guesses"), (1, 5, 1.0, "confidence: must lie"), (0, 0, 0.95, "correct")],
)
def test_counts_that_are_none_are_refused(correct, guesses, confidence, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        epsilon_bound(correct, guesses, confidence=confidence)
