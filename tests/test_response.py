"""A model that only answers queries, against the network that it hides."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from test_patched import GREY, MODELS, assert_equal, images, network, patches, with_holes

from ufm import evidence, features, scores
from ufm.data.datasets import load, ood_images
from ufm.data.on_device import to_device
from ufm.evidence.answers import Answers
from ufm.evidence.detectors import DEFAULT, LABEL_KNOWN
from ufm.measures import cards, layout, shifts
from ufm.measures.patched import Patched
from ufm.measures.response import BlackBox
from ufm.plan.sweep import Sweep
from ufm.study import seeds
from ufm.study.runs import Population
from ufm.training import train

N_OWN = 3
PLACE = {"position": (2, 3), "shape": (5, 5)}
STAMPED = torch.tensor(
    np.concatenate([features.letter("A")[None, None], features.permutations(features.letter("A"), 60)])
)


def hidden(made, outputs):
    """A network as others see it: NumPy arrays of logits, or of the probabilities."""
    return lambda batch: outputs(made(GREY(batch))).numpy()


GIVES = {
    "logits": lambda logits: logits,
    "log-probabilities": lambda logits: logits.log_softmax(1),
    "probabilities": lambda logits: logits.softmax(1),
}


@pytest.fixture(params=["mlp", "cnn1", "cnn2, batch norm"])
def made(request):
    return network(MODELS[request.param], (1, 28, 28))


def both(made, given, gives, **how):
    black_box = BlackBox(
        hidden(made, GIVES[gives]), given, gives="probabilities" if gives == "probabilities" else "logits", **how
    )
    return Patched(made, given, normalise=GREY, position=how["position"], shape=how["shape"]), black_box


def centred(outputs):
    return outputs - outputs.mean(-1, keepdim=True)


@pytest.mark.parametrize("gives", GIVES)
def test_a_black_box_answers_as_the_network_but_for_a_constant_an_image(made, gives):
    known, black_box = both(made, images(4, (1, 28, 28)), gives, **PLACE)
    assert_equal(centred(black_box.clean), centred(known.clean))
    for drawn in (patches(6, 1, 5, 5), patches(2, 4, 1, 5, 5), with_holes(patches(6, 1, 5, 5))):
        assert_equal(centred(black_box.logits(drawn)), centred(known.logits(drawn)))


@pytest.mark.parametrize("gives", GIVES)
def test_shifts_of_a_black_box_are_those_of_the_network(made, gives):
    labels = torch.tensor([0, 3, 3, 9])
    known, black_box = both(made, images(4, (1, 28, 28)), gives, **PLACE)
    assert_equal(shifts.mean_shift(black_box, STAMPED), shifts.mean_shift(known, STAMPED))
    found, expected = (shifts.shifts(one, STAMPED, N_OWN, labels) for one in (black_box, known))
    assert found.keys() == expected.keys() == set(shifts_of_a_card())
    for name, values in expected.items():
        assert found[name].dtype == np.float16
        np.testing.assert_allclose(found[name].astype(float), values.astype(float), rtol=1e-3, atol=1e-7)
    assert np.abs(expected["shift"]).max() > 0.01


def shifts_of_a_card():
    return ["shift", "kl_mean", "kl_sd", "probability", "shift_by_label", "probability_by_label"]


def test_without_labels_nothing_is_kept_by_label(made):
    known, _ = both(made, images(4, (1, 28, 28)), "logits", **PLACE)
    assert set(shifts.shifts(known, STAMPED, N_OWN)) == set(shifts_of_a_card()[:4])


def test_shifts_of_a_black_box_are_those_of_the_definition():
    made, given = network(MODELS["mlp"], (1, 28, 28)), images(5, (1, 28, 28))
    _, black_box = both(made, given, "probabilities", **PLACE)
    with torch.no_grad():
        clean, stamped = (
            made(GREY(some)).log_softmax(1) for some in (given, features.insert(given, STAMPED[0], position=(2, 3)))
        )
    assert_equal(shifts.mean_shift(black_box, STAMPED[:1])[0], scores.patch_effect(clean, stamped))


@pytest.mark.parametrize(("n_images", "batch_size", "expected"), [(4, 3, [3, 1]), (4, 9, [8, 8, 4]), (1, 9, [5])])
def test_queries_hold_no_more_images_than_allowed(n_images, batch_size, expected):
    given, seen = images(n_images, (3, 28, 28)), []

    def predict(batch):
        seen.append(len(batch))
        return batch.mean((1, 2, 3))[:, None] * torch.arange(3)

    black_box = BlackBox(predict, given, gives="logits", batch_size=batch_size)
    seen.clear()
    drawn = patches(5, 3, 5, 5)
    found = black_box.logits(drawn)
    assert seen == expected * (5 if expected == [3, 1] else 1)
    for patch, outputs in zip(drawn, found, strict=True):
        stamped = given.clone()
        stamped[:, :, 1:6, 1:6] = patch
        assert_equal(outputs, stamped.mean((1, 2, 3))[:, None] * torch.arange(3))


def answering(answer, gives="probabilities"):
    return BlackBox(lambda batch: answer, torch.zeros(2, 1, 8, 8), gives=gives)


@pytest.mark.parametrize(
    ("answer", "gives", "message"),
    [
        ([[0.5, 0.5]], "probabilities", r"^predict: gave outputs of shape \(1, 2\) for 2 images$"),
        ([0.5, 0.5], "probabilities", r"^predict: gave outputs of shape \(2,\) for 2 images$"),
        ([[0.5, 0.5], [np.nan, 1]], "logits", "^predict: gave NaN or infinite values$"),
        ([[3.0, 0.5], [2, 1]], "probabilities", "^predict: gave what are no probabilities; are they logits"),
        ([[-0.5, 1.5], [0.5, 0.5]], "probabilities", "^predict: gave what are no probabilities"),
        ([[0.0, 1], [0.5, 0.5]], "probabilities", "^predict: gave a probability that was rounded to zero; ask for"),
        ([[0.5, 0.5]] * 2, "scores", "^gives: 'scores' is not one of probabilities, logits$"),
    ],
)
def test_answers_that_are_not_what_was_said_are_refused(answer, gives, message):
    with pytest.raises(ValueError, match=message):
        answering(answer, gives)


@pytest.mark.parametrize(
    "given",
    [
        torch.ones(2, 1, 8, 8) * 255,
        torch.zeros(2, 1, 8, 8) - 1,
        torch.ones(2, 1, 8, 8).byte(),
        torch.full((2, 1, 8, 8), torch.nan),
    ],
)
def test_images_are_floating_in_0_to_1(given):
    with pytest.raises(ValueError, match=r"^images: must be floating in \[0, 1\], before any normalisation$"):
        BlackBox(lambda batch: [[0.5, 0.5]] * 2, given, gives="probabilities")


def test_a_model_that_works_in_the_memory_of_its_images_is_refused():
    """Whose later answers would be to other images than those that were asked about."""

    def predict(batch):
        return batch.sub_(0.5).mean((1, 2, 3))[:, None] * torch.arange(3)

    with pytest.raises(ValueError, match="^predict: writes into the images that it is given; let it work on a copy$"):
        BlackBox(predict, images(2, (1, 8, 8)), gives="logits", batch_size=1)


def test_patches_are_as_large_as_the_rectangle():
    with pytest.raises(ValueError, match=r"^patches: are \(5, 4\) pixels, the rectangle is \(5, 5\)$"):
        answering([[0.5, 0.5]] * 2).logits(patches(1, 1, 5, 4))


def test_the_divergence_of_tensors_is_that_of_arrays():
    """Also where a probability is clipped, as weight and as argument, and where axes broadcast."""
    draws = np.random.default_rng(0)
    log_p = torch.tensor(draws.normal(0, 6, (7, 10))).log_softmax(-1)
    log_q = torch.tensor(draws.normal(0, 6, (3, 7, 10))).log_softmax(-1)
    assert min(log_p.min(), log_q.min()) < np.log(scores.CLIP)
    expected = np.stack([scores.kl_divergence(log_p.exp(), one.exp()) for one in log_q])
    np.testing.assert_allclose(shifts.kl_divergence(log_p, log_q), expected, rtol=1e-12, atol=1e-15)


# An audit


@pytest.mark.parametrize("gives", ["probabilities", "logits"])
def test_the_default_detector_says_the_same_of_a_black_box_as_of_its_card(gives):
    protocol = replace(tiny.PROTOCOL, measure="short card", roles=("canary", "placebo"))
    data, ood = to_device(load("digits", n_train=400, part=1), precision="float64"), ood_images("photo_patches", n=50)
    trained = train(seeds.experiments(protocol, 1, data.dataset), data, snapshots=[2], show=False)
    card = cards.short_card(protocol, trained, data, ood)
    sweep = Sweep(protocol, range(1, 2), 1, 0)
    population = evidence.stack(Population(sweep, card.tables, [card.arrays], [{"seed": 1}]))
    images, letter = shifts.kinds(protocol, data, ood), features.letter("A")[None, None]
    stamped = data.floats(np.concatenate([letter, features.permutations(letter[0, 0], layout.N_SHORT)]))
    for place, one in enumerate(trained):
        answers = {}
        for kind in ("ood", "black"):

            def predict(batch, model=one.model):
                return GIVES[gives](model(data.normalise(batch))).numpy()

            black_box = BlackBox(predict, images[kind].images, gives=gives)
            answers |= {f"{kind}_{name}": values for name, values in shifts.shifts(black_box, stamped, 1).items()}
        measured = Answers(answers, slice(1, None), labels=population.labels[0, 0])
        for detector in (DEFAULT, LABEL_KNOWN):
            [scores_of_card] = detector.score(population, "random", np.ones(1, bool))
            assert detector.statistic(measured) == pytest.approx(scores_of_card[place], rel=1e-3)
