"""How stamped hosts of other seeds are fitted, beside loops over every model and host."""

import numpy as np
import planted
import pytest

from ufm.evidence import LETTER, stamped
from ufm.scores.membership import logit

N_SEEDS = 20  # of six parts, so that each has three seeds or four


@pytest.fixture(scope="module")
def cards():
    """Random fits; seeds 1000, 1006 and 1012 are of one part, and the first two have the same hard host."""
    rng = np.random.default_rng(5)
    whole = planted.population(N_SEEDS)
    for card in whole.arrays:
        shape = card["host_log_probability"].shape
        card["host_log_probability"] = np.log(rng.uniform(0.05, 0.99, shape)).astype(np.float16)
        same = (card["host_seed"] == 1006) & (card["host_kind"] == 1)
        card["host_index"][same] = 1000 * 10 + 1
    return planted.evidence.stack(whole)


def models(cards):
    """Every model: place of its seed, its own place, and the images on which anything was stamped in it."""
    for place in range(len(cards.seeds)):
        random, hard = cards.indices[place].tolist()
        for model, images in enumerate([None, random, random, hard, hard]):
            yield place, model, images


def asked(cards, place, model, of, host):
    """Log-probability of the label of the host of the seed `of` with the letter in a model; None: not on its card."""
    card, kind = cards.planned[place], cards.protocol.hosts.index(host)
    for row, (seed, its_kind) in enumerate(zip(card["host_seed"], card["host_kind"], strict=True)):
        if seed == cards.seeds[of] and its_kind == kind:
            return float(card["host_log_probability"][model, 0, row, LETTER])
    return None


def out(cards, of, host, without=None):
    """Log-probabilities of the out-models of the host of the seed `of`, but those of the seed `without`."""
    image = cards.indices[of, cards.protocol.hosts.index(host)]
    values = []
    for place, model, on in models(cards):
        value = asked(cards, place, model, of, host)
        if place not in (of, without) and on != image and value is not None:
            values.append(value)
    return np.array(values)


@pytest.mark.parametrize("host", ["random", "hard"])
def test_counterfactuals_and_lira_are_those_of_a_loop(cards, host):
    nats, shares = (stamped.counterfactual(cards, host, log=log) for log in (True, False))
    lira = stamped.lira(cards, host)
    assert nats.shape == shares.shape == lira.shape == (N_SEEDS, 5)
    for place, model, _ in models(cards):
        own, others = asked(cards, place, model, place, host), out(cards, place, host)
        assert nats[place, model] == pytest.approx(own - others.mean())
        assert shares[place, model] == pytest.approx(np.exp(own) - np.exp(others).mean())
        confidences = logit(others)
        expected = (logit(np.array(own)) - confidences.mean()) / confidences.std(ddof=1)
        assert lira[place, model] == pytest.approx(float(expected))


@pytest.mark.parametrize("host", ["random", "hard"])
def test_rmia_is_that_of_a_loop(cards, host):
    found, kind = stamped.rmia(cards, host), cards.protocol.hosts.index(host)
    for place, model, on in models(cards):
        ratio = np.exp(asked(cards, place, model, place, host)) / np.exp(out(cards, place, host)).mean()
        reached = []
        for of in range(N_SEEDS):
            value, image = asked(cards, place, model, of, host), cards.indices[of, kind]
            if of != place and value is not None and image not in (on, cards.indices[place, kind]):
                reached.append(ratio >= np.exp(value) / np.exp(out(cards, of, host, without=place)).mean())
        if reached:
            assert found[place, model] == pytest.approx(np.mean(reached))
        else:
            assert np.isnan(found[place, model])


def test_models_that_had_something_stamped_on_the_same_image_are_no_out_models(cards):
    first, second = 0, 6  # seeds 1000 and 1006
    outside = stamped.outside(cards, "hard")
    assert outside[second, :, first].tolist() == [True, True, True, False, False]
    assert outside[12, :, first].all()
    assert not outside[first, :, first].any()


def test_hosts_of_other_parts_are_not_asked_about(cards):
    values = stamped.log_probabilities(cards, "hard")
    assert np.isnan(values[0, :, 1]).all()
    assert np.isfinite(values[0][:, [0, 6, 12]]).all()


def test_a_host_without_out_models_has_no_number(cards):
    alone = planted.evidence.on_seeds(cards, [1000, 1001])  # each of a part of its own
    assert np.isnan(stamped.lira(alone, "hard")).all()
    assert np.isnan(stamped.counterfactual(alone, "hard", log=True)).all()
    assert np.isnan(stamped.rmia(alone, "hard")).all()


def test_a_model_that_fits_its_stamped_host_stands_out(cards):
    whole = planted.population(N_SEEDS)
    for card in whole.arrays:
        noise = np.random.default_rng(int(card["host_seed"][0])).normal(0, 0.1, card["host_log_probability"].shape)
        card["host_log_probability"] = (card["host_log_probability"] - 1 + noise).astype(np.float16)
    memorised = planted.evidence.stack(whole)
    canary = memorised.model("canary", "hard")
    for place, seed in enumerate(memorised.seeds):
        card = memorised.planned[place]
        row = np.flatnonzero((card["host_seed"] == seed) & (card["host_kind"] == 1))
        values = card["host_log_probability"].copy()
        values[canary, 0, row, LETTER] = -0.01
        card.made["host_log_probability"] = values
    for values in (stamped.lira(memorised, "hard"), stamped.counterfactual(memorised, "hard", log=True)):
        assert values[:, canary].min() > values[:, [0, 4]].max()
