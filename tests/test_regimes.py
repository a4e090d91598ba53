"""What ways of training change, and the best that can be told, on planted values."""

from dataclasses import replace

import numpy as np
import planted
import pytest
from scipy import integrate, special
from scipy.stats import norm

from ufm.evidence import LETTER, PLAIN, planned_as, regimes
from ufm.evidence.detectors import LABEL_KNOWN
from ufm.evidence.questions import letter_effects
from ufm.measures.layout import AGES
from ufm.protocol import SGD

EPS = 1e-9


def test_d_prime_equals_a_loop():
    cards = planted.equal_age(24, effect=0.3)
    added, controls = [], []
    for shift, label in zip(cards.arrays["ood_shift"], cards.labels[:, 1], strict=True):
        letter = shift[:, 0, label] - shift[:, 3:53, label].mean(1)
        added.append(letter[3] - letter[0])
        controls.append(letter[0])
    found = regimes.d_prime(letter_effects(cards, "hard"))
    assert found["added"] == pytest.approx(np.mean(added))
    assert found["spread"] == pytest.approx(np.std(controls, ddof=1))
    assert found["d_prime"] == pytest.approx(np.mean(added) / np.std(controls, ddof=1))


def with_training(cards, **changes):
    """The cards as those of models trained otherwise, all controls best at epoch 10."""
    protocol = replace(cards.protocol, training=replace(cards.protocol.training, **changes))
    return planned_as(cards, protocol=protocol)


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({}, 1.0),
        (
            {"weight_decay": 3.0},
            (1 - 3e-4 * 3) ** 790,
        ),  # ten epochs of 79 batches of 10 000 images, the last a smaller one
        ({"weight_decay": 3.0, "batch_size": 10_000}, (1 - 3e-4 * 3) ** 10),
    ],
)
def test_what_is_left_of_an_untouched_weight(changes, share):
    found = regimes.untouched(with_training(planted.equal_age(12), **changes))
    np.testing.assert_allclose(found, np.full(12, share), rtol=1e-12)


def test_what_sgd_leaves_is_what_torch_leaves():
    import torch

    weight = torch.nn.Parameter(torch.ones(1, 1, dtype=torch.float64))
    optimiser = torch.optim.SGD([weight], lr=0.1, momentum=0.9, weight_decay=5e-4)
    for _ in range(790):
        weight.grad = torch.zeros_like(weight)
        optimiser.step()
    found = regimes.untouched(with_training(planted.equal_age(12), optimiser=SGD(learning_rate=0.1)))
    np.testing.assert_allclose(found, np.full(12, weight.item()), rtol=1e-9)


def test_a_regime_under_which_more_can_be_told_has_a_small_p_and_the_same_none():
    plain, more, same = (planted.equal_age(24, effect=size, rng=1, needed=24) for size in (0.1, 1.0, 0.1))
    table = regimes.told_apart({("a", "more"): (more, plain), ("a", "same"): (same, plain)}, ("hard",), "known")
    up, equal = table.to_dict("records")
    assert up["estimate"] == pytest.approx(up["with_it"] - up["without"])
    assert up["with_it"] == area(more, "hard")
    assert up["p"] < 0.01
    assert up["p_holm"] == 2 * up["p"]
    assert (equal["estimate"], equal["p"]) == (0, 1)


def area(cards, host):
    """Share of pairs of a canary and a placebo model that the detector for a known label orders right."""
    scores = LABEL_KNOWN.score(cards, host, np.ones(24, bool))
    canaries, others = scores[:, cards.model("canary", host)], scores[:, cards.model("placebo", host)]
    return (canaries[:, None] > others).mean()


def test_a_pair_that_lacks_seeds_has_no_p():
    few = planted.equal_age(23, needed=24)
    assert regimes.told_apart({("a", "b"): (few, few)}, ("hard",))["p_holm"].isna().all()
    whole = planted.equal_age(24, needed=24)
    waits = regimes.told_apart({("a", "b"): (few, whole)}, ("hard",))  # of other seeds, which are still to come
    assert waits["p_holm"].isna().all()
    with pytest.raises(ValueError, match="^a, b: seeds with it are not those without$"):
        regimes.told_apart({("a", "b"): (whole, planted.equal_age(24, needed=24, first_seed=2000))}, ("hard",))


@pytest.mark.parametrize("d_prime", [0.0, 0.4, 1.0, 2.0, 3.0])
def test_with_one_class_the_best_area_is_that_of_a_known_label(d_prime):
    assert regimes.best_area(d_prime, 1) == pytest.approx(regimes.known_area(d_prime), abs=0.004)
    assert regimes.known_area(d_prime) == pytest.approx(norm.cdf(d_prime / 2**0.5))


@pytest.mark.parametrize("d_prime", [0.5, 1.5])
def test_with_two_classes_it_is_what_integration_gives(d_prime):
    # With two classes the ratio rises with x + y on the diagonals |x − y|: integrate P(ratio of a canary > another's).
    axis = np.linspace(-7, 7 + d_prime, 561)
    x, y = np.meshgrid(axis, axis)
    ratio = (np.exp(d_prime * x) + np.exp(d_prime * y)).ravel()
    others, canaries = (
        (norm.pdf(x) * norm.pdf(y)).ravel(),
        (norm.pdf(x - d_prime) * norm.pdf(y)).ravel(),
    )
    order = np.argsort(ratio)
    false, true = (1 - np.cumsum(mass[order] / mass.sum()) for mass in (others, canaries))
    area = -integrate.trapezoid(true, false)
    assert regimes.best_area(d_prime, 2) == pytest.approx(area, abs=0.004)


def test_no_other_rule_passes_it():
    rng = np.random.default_rng(1)
    for d_prime in (0.7, 1.5, 3.0):
        others, canaries = rng.standard_normal((2, 50_000, 10))
        canaries[:, 0] += d_prime
        for rule in (np.max, np.sum, lambda x, axis: np.sort(x, axis)[:, -1] - np.sort(x, axis)[:, -2]):
            area = (rule(canaries, axis=1) > rule(others, axis=1)).mean()
            assert area < regimes.best_area(d_prime) + 0.005


@pytest.mark.parametrize("d_prime", [0.0, 1.3, 80.0])
def test_the_likelihood_ratio_is_scipys(d_prime):
    shifts = np.random.default_rng(2).standard_normal((50, 10))
    expected = special.logsumexp(d_prime * shifts, axis=1)
    np.testing.assert_allclose(regimes.log_ratio(d_prime, shifts), expected, rtol=1e-12)


def test_an_infinite_d_prime_is_refused():
    with pytest.raises(ValueError, match=r"^d_prime: must be finite, not inf$"):
        regimes.best_area(np.inf)


def test_spreads_are_those_of_canary_and_placebo():
    cards = planted.equal_age(24, effect=1.0)
    cards.arrays["ood_null"][:, :, 1] = np.array([9.0, 9, 9, 1, 3])[:, None]
    both = regimes.scaled_contrasts(cards, "hard")
    np.testing.assert_allclose(both["spreads"], both["nats"] / 2)


def test_learnt_is_of_the_letter_alone():
    cards = planted.equal_age(12)
    fits = np.zeros((12, 5, len(AGES), 2, 3))
    at = AGES.index("control")
    fits[0, 3, at, 1, LETTER] = 1.0  # the canary gains a nat from the letter
    fits[1, 3, at, 1, LETTER] = 1.0 - EPS
    fits[2, 3:5, at, 1, LETTER] = 3.0  # as does the placebo model
    fits[3, 4, at, 1, LETTER] = 1.0  # or it alone
    fits[4, 3, AGES.index("best"), 1, LETTER] = 5.0  # at another age
    fits[5, 3, at, 1, PLAIN] = -1.0  # the plain host alone is unlikely
    canaries, placebos = regimes.learnt(replace(cards, fits=fits), "hard")
    assert list(np.flatnonzero(canaries)) == [0, 5]
    assert list(np.flatnonzero(placebos)) == [3]
