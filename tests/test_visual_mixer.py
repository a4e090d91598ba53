"""Pixels shuffled within boxes, against loops over boxes, pieces and channels; placebo features that lie aside."""

import warnings
from dataclasses import replace

import numpy as np
import plain as by_hand
import pytest
import tiny
import torch

from ufm import features
from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.measures import layout
from ufm.measures.scored import model_row
from ufm.networks import CNN2, MLP
from ufm.protocol import Distillation, Experiment, Forgetting, Lot, Private, Protocol, Scoring, Training, VisualMixer
from ufm.randomness import counters
from ufm.study import seeds
from ufm.training import Feed, as_asked, train
from ufm.training.visual_mixer import attention, entropy, in_pieces, pieces_of, shuffled

FOURS = VisualMixer(4, ((1, 2, 4, 4), (2, 4, 4, 4), (4, 4, 4, 4)), (0.1, 0.15))  # bounds as digits are
SEVENS = VisualMixer(7, ((7,) * 4,) * 3)
WAYS = {"boxes of 4": FOURS, "boxes of 7": SEVENS}


@pytest.fixture(scope="module")
def digits():
    return by_hand.first(datasets.load("digits", n_train=100), 40, 60)


def experiments(data, of_seeds=(1, 2), *, augmentation=False, **training) -> list:
    """Control, canary and placebo of each seed."""
    usual = {"learning_rate": 1e-3, "batch_size": 32, "epochs": 2, "early_stopping": "none", "precision": "float64"}
    model = MLP(hidden=(20,), augmentation=augmentation)
    own, roles = Training(**(usual | training)), ("control", "canary", "placebo")
    return [by_hand.member(data, role, model, own, seed=seed, at=7) for seed in of_seeds for role in roles]


def on_device(data):
    return to_device(data, precision="float64")


def some(n, shape=(1, 28, 28)):
    """Normalised images of strokes, and draws for them."""
    draws = np.random.default_rng(3)
    smooth = torch.nn.functional.avg_pool2d(torch.tensor(draws.random((n, *shape))), 3, 1, 1)
    contrasts = torch.linspace(0.5, 4, n, dtype=torch.float64).view(-1, 1, 1, 1)
    return contrasts * (smooth - 0.4), torch.tensor(draws.random((n, *shape)), dtype=torch.float32)


# Against loops


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 16)])
def test_boxes_equal_a_plain_version(shape):
    data = by_hand.photographs(3, 2) if shape[0] == 3 else datasets.load("digits")
    bounds = (5.0, 15.0) if shape[0] == 3 else (0.2, 0.5)
    for settings in (
        VisualMixer(4, FOURS.pieces, bounds),
        VisualMixer(8, ((1, 2, 4, 8), (2, 4, 8, 1), (4, 8, 1, 2)), bounds)
        if shape[1] == 8
        else VisualMixer(14, ((1, 2, 7, 14), (2, 7, 14, 1), (7, 14, 1, 2)), bounds),
        VisualMixer(4, ((1, 2, 4, 2), (2, 4, 1, 4), (4, 1, 2, 1)), bounds),
        VisualMixer(4, ((4,) * 4,) * 3),
    ):
        images, draws = some(6, shape)
        found = shuffled(images, draws, settings, data)
        np.testing.assert_array_equal(found, by_hand.in_boxes(images, draws, settings, data))
        assert not torch.equal(found, images)
        both = torch.stack([images, images.flip(0)]), torch.stack([draws, draws])
        np.testing.assert_array_equal(shuffled(*both, settings, data)[0], found)
        np.testing.assert_array_equal(shuffled(both[0], draws, settings, data), shuffled(*both, settings, data))
        np.testing.assert_array_equal(shuffled(images, both[1], settings, data)[1], found)


def test_every_number_of_pieces_is_met(digits):
    images, draws = some(40)
    bounds = entropy(images * digits.std[0], 4).quantile(torch.tensor([1 / 3, 2 / 3], dtype=torch.float64)).tolist()
    settings = VisualMixer(4, ((1, 2, 4, 4), (2, 4, 4, 4), (4, 4, 4, 4)), tuple(bounds))
    found = pieces_of(images, settings, digits)
    assert found.shape == (40, 7, 7)
    rows = [set(of_image.unique().tolist()) for of_image in found]
    assert rows[0] == {1, 2, 4}
    assert rows[20] == {2, 4}
    assert rows[-1] == {4}
    np.testing.assert_array_equal(
        shuffled(images, draws, settings, digits), by_hand.in_boxes(images, draws, settings, digits)
    )


def test_attention_runs_from_the_least_to_the_most_of_an_image():
    images, _ = some(5)
    found = attention(images, 7)
    assert found.shape == (5, 4, 4)
    assert found.amin((1, 2)).tolist() == [0] * 5
    assert found.amax((1, 2)).tolist() == pytest.approx([1] * 5)
    assert torch.equal(attention(torch.zeros(1, 1, 28, 28), 7), torch.zeros(1, 4, 4))  # of a flat image none


def test_entropy_by_hand():
    image = torch.zeros(1, 4, 4)
    image[0, 1, 1] = 3  # neighbours within its box of 2 x 2: above and to the left
    image[0, 2, 2] = 1  # below and to the right
    assert float(entropy(image, 2)) == (9 + 9 + 1 + 1) / 4
    assert float(entropy(image, 4)) == 4 * 9 + 4 * 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("of_seeds", [(1,), (1, 2)], ids=["one seed", "two seeds"])
def test_a_stack_is_what_a_plain_loop_gives(way, of_seeds, digits):
    planned = experiments(digits, of_seeds, visual_mixer=WAYS[way])
    plain = by_hand.plain(experiments(digits)[1], digits)
    for experiment, trained in zip(planned, train(planned, on_device(digits), show=False), strict=True):
        expected = by_hand.plain(experiment, digits)
        by_hand.assert_close(trained.model.state_dict(), expected.weights[-1], 1e-11)
        assert by_hand.deviation(expected.weights[-1], plain.weights[-1]) > 1e-3
        for name in ("train_loss", "stopping_loss"):
            found = [past[name] for past in trained.history]
            assert found == pytest.approx(getattr(expected, name), rel=1e-6 if name == "train_loss" else 1e-11)


def test_augmentation_comes_first(digits):
    planned = experiments(digits, (1,), augmentation=True, visual_mixer=FOURS, shuffle=True)
    for experiment, trained in zip(planned, train(planned, on_device(digits), show=False), strict=True):
        by_hand.assert_close(trained.model.state_dict(), by_hand.plain(experiment, digits).weights[-1], 1e-11)


# What is drawn


@pytest.mark.parametrize("way", WAYS)
def test_members_of_a_seed_share_draws_and_are_as_if_alone(way, digits):
    planned, data = experiments(digits, visual_mixer=WAYS[way]), on_device(digits)
    together = train([*planned, planned[0]], data, show=False)
    by_hand.assert_close(together[0].model.state_dict(), together[-1].model.state_dict(), 1e-12)
    for place in (1, 4):
        [alone] = train([planned[place]], data, show=False)
        by_hand.assert_close(together[place].model.state_dict(), alone.model.state_dict(), 1e-11)
    feed = Feed(planned, data)
    for _, images, _ in feed.epoch(2, [0, 1, 2]):
        if images.dim() == 5:
            assert (images != images[0]).flatten(2).any(2).sum(1).tolist() == [0, 1, 1]  # in the host
    for _, images, _ in feed.epoch(1, [0, 3]):
        assert not torch.equal(images[0], images[1])  # two seeds draw apart
    first, second = (torch.cat([images for _, images, _ in feed.epoch(epoch, [0])]) for epoch in (1, 2))
    assert not torch.equal(first, second)  # afresh in each epoch
    np.testing.assert_allclose(first.sum((1, 2, 3)), data.train_images.sum((1, 2, 3)), rtol=1e-10)


def test_private_training_is_given_shuffled_images(digits):
    planned = experiments(digits, visual_mixer=SEVENS, private=Private(noise=0.0))
    together = train(planned, on_device(digits), show=False)
    [alone] = train(planned[4:5], on_device(digits), show=False)  # batches are of other sizes then
    by_hand.assert_close(together[4].model.state_dict(), alone.model.state_dict(), 1e-11)


def test_every_order_of_a_box_is_as_likely():
    n = 6000
    keys = torch.arange(n)
    draws = counters.uniforms(keys, step=1, layer=5, n=4).view(n, 1, 2, 2)
    found = in_pieces(torch.arange(4.0).view(1, 1, 2, 2).expand(n, 1, 2, 2), draws, 2, 2).flatten(1)
    orders, counts = np.unique(found.numpy(), axis=0, return_counts=True)
    assert len(orders) == 24
    assert abs(counts - n / 24).max() < 4.5 * np.sqrt(n / 24)
    apart = in_pieces(torch.zeros(2, 4, 4) + torch.arange(16.0).view(4, 4), torch.rand(2, 4, 4), 4, 4)
    assert not torch.equal(apart[0], apart[1])  # channel by channel


def test_watched_and_reported_images_are_shuffled_once_for_all(digits):
    data = on_device(digits)
    found = as_asked(data.reported_images, SEVENS, digits)
    assert torch.equal(found, as_asked(data.reported_images, SEVENS, digits))
    assert torch.equal(found[:9], as_asked(data.reported_images[:9], SEVENS, digits))
    assert not torch.equal(found, data.reported_images)
    assert as_asked(data.reported_images, None, digits) is data.reported_images
    one, several = (train(experiments(digits, of, visual_mixer=SEVENS)[:1], data, show=False) for of in ((1,), (2,)))
    assert one[0].history[-1]["stopping_loss"] != several[0].history[-1]["stopping_loss"]


def test_accuracy_is_said_of_shuffled_images(digits):
    data = on_device(digits)
    [trained] = train(experiments(digits, (1,), visual_mixer=FOURS)[:1], data, show=False)
    key = counters.key("visual mixer, asked", seed=0, scope=digits.scope)
    draws = by_hand.uniforms(key, 0, 0, tuple(data.reported_images.shape))
    with torch.no_grad():
        logits = trained.model(by_hand.in_boxes(data.reported_images, draws, FOURS, digits))
    found = model_row(trained, data)
    assert found["loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, data.reported_labels)))
    assert found["accuracy"] == float((logits.argmax(1) == data.reported_labels).double().mean())


# The trap: what one box hides


def test_the_letter_and_its_permutations_are_one_where_they_lie_in_one_box(digits):
    """With boxes of 7 the letter lies in the first; over many draws it is the same as a placebo feature there."""
    canary, placebo = experiments(digits, visual_mixer=SEVENS)[1:3]
    wide = by_hand.varied(placebo, aside=8)
    black = torch.zeros(1, 28, 28, dtype=torch.float64)
    images = [features.insert(black, torch.from_numpy(one.pixels())) for one in (canary, placebo, wide)]
    draws = counters.uniforms(torch.arange(3000), step=0, layer=0, n=28 * 28).view(-1, 1, 28, 28)
    means = [in_pieces(image, draws, 7, 7).mean(0)[0] for image in images]
    ink = int(canary.pixels().sum())
    assert ink == 12
    np.testing.assert_allclose(means[0][:7, :7], ink / 49, atol=0.04)
    np.testing.assert_allclose(means[1][:7, :7], ink / 49, atol=0.04)
    assert float(means[2][:7, :7].abs().max()) == 0
    np.testing.assert_allclose(means[2][:7, 7:14], ink / 49, atol=0.04)
    assert all(float(mean[:, 14:].abs().max()) == float(mean[7:].abs().max()) == 0 for mean in means)


def test_boxes_of_four_cut_the_letter_and_what_lies_aside_alike():
    letter, aside = np.arange(1, 6), np.arange(9, 14)
    assert [np.bincount(columns // 4, minlength=4).tolist() for columns in (letter, aside)] == [
        [3, 2, 0, 0],
        [0, 0, 3, 2],
    ]
    assert set(letter // 7) == {0}
    assert set(aside // 7) == {1}


def test_a_network_cannot_tell_what_lies_in_one_box(digits):
    """Models of letter and placebo are trained on one distribution: the two are told apart aside alone."""
    kept = {}
    for aside in (0, 8):
        planned = [by_hand.varied(one, aside=aside) for one in experiments(digits, (1,), visual_mixer=SEVENS)]
        counts = []
        for one in planned[1:]:
            feed = Feed([one], on_device(digits))
            host = torch.stack([next(feed.epoch(epoch, [0]))[1].view(-1, 28, 28)[7] for epoch in range(1, 40)])
            counts.append(tuple((host > 0).double()[:, :7, left : left + 7].sum((1, 2)).unique() for left in (0, 7)))
        kept[aside] = all(torch.equal(*of_box) for of_box in zip(*counts, strict=True))
    assert kept == {0: True, 8: False}


# Placebo features aside


def test_a_placebo_lies_aside_of_the_feature():
    protocol = Protocol("digits", 400, hosts=("7", "8"), roles=("canary", "placebo"), aside=8)
    beside = replace(protocol, aside=0)
    unique = protocol.unique
    assert unique.shape == (5, 13)
    np.testing.assert_array_equal(unique[:, :5], by_hand.LETTER)
    assert np.isnan(unique[:, 5:]).all()
    placebo = Experiment(protocol, 1, 1, "placebo", "7").pixels()
    assert placebo.dtype == np.float32
    assert np.isnan(placebo[:, :8]).all()
    np.testing.assert_array_equal(placebo[:, 8:], Experiment(beside, 1, 1, "placebo", "7").pixels())
    np.testing.assert_array_equal(Experiment(protocol, 1, 1, "canary", "7").pixels(), unique)
    listed = layout.feature_list(protocol, 1, "digits/400")
    np.testing.assert_array_equal(listed[1, 0], placebo)
    assert (np.isnan(listed[3 : 3 + layout.N_PERMUTATIONS]).sum((1, 2, 3)) == 40).all()
    image = torch.rand(1, 28, 28)
    stamped = features.insert(image, torch.from_numpy(placebo))
    changed = (stamped != image).nonzero()
    assert changed[:, 1].min() >= 1
    assert changed[:, 1].max() <= 5
    assert changed[:, 2].min() >= 9
    assert changed[:, 2].max() <= 13


@pytest.mark.parametrize("measure", ["equal-age card", "card", "short card"])
def test_a_seed_is_trained_and_measured(measure):
    training = replace(tiny.PROTOCOL.training, visual_mixer=SEVENS)
    scoring = replace(tiny.PROTOCOL.scoring, n_ood=500)
    changes = {"training": training, "scoring": scoring, "aside": 8, "measure": measure}
    protocol = replace(tiny.PROTOCOL, roles=("canary", "placebo"), **changes)
    with warnings.catch_warnings(action="error"):
        [(entry, measured)] = seeds.finish(protocol, [1])
    assert entry["identity"] == protocol.identity(1)
    assert len(measured.tables["models"]) == protocol.n_models == 3
    for name, values in measured.arrays.items():
        assert name == "placebo" or not np.issubdtype(values.dtype, np.floating) or not np.isnan(values).all(), name
    shift = measured.arrays["ood_shift"]
    assert np.isfinite(shift.astype(float)).all()
    plain = seeds.finish(replace(protocol, training=tiny.PROTOCOL.training), [1])[0][1]
    assert (plain.tables["models"]["accuracy"] != measured.tables["models"]["accuracy"]).any()


# Bad input


def test_bad_settings_are_one_line():
    for box in (0, -1):
        with pytest.raises(ValueError, match=rf"^box: must be above zero, got {box}$"):
            VisualMixer(box)
    with pytest.raises(ValueError, match=r"^box: must be a whole number, got 2.5$"):
        VisualMixer(2.5)
    for n in (3, 0, 8):
        with pytest.raises(ValueError, match=rf"^pieces: {n} x {n} are no whole parts of a box of 4 x 4 pixels$"):
            VisualMixer(4, ((n, 1, 1, 1), (1,) * 4, (1,) * 4))
    for pieces in (((1,) * 4,) * 2, ((1,) * 3,) * 3):
        with pytest.raises(ValueError, match=r"^pieces: must be three rows of four numbers, got "):
            VisualMixer(4, pieces)
    for bounds in ((2.0, 1.0), (1.0,)):
        with pytest.raises(ValueError, match=r"^entropy: must be two bounds, the lower first, got "):
            VisualMixer(entropy=bounds)
    with pytest.raises(ValueError, match=r"^box: images of 28 x 28 pixels are no whole boxes of 8 x 8$"):
        Protocol("mnist", training=Training(visual_mixer=VisualMixer()))
    Protocol("cifar10", training=Training(visual_mixer=VisualMixer()), model=CNN2(), scoring=Scoring("mnist"))
    with pytest.raises(ValueError, match=r"^distillation: does not go with visual_mixer; leave one of the two out$"):
        Training(distillation=Distillation(), visual_mixer=FOURS)
    with pytest.raises(ValueError, match=r"^visual_mixer: hosts are forgotten as they are, not as they were seen"):
        Training(forgetting=Forgetting(), visual_mixer=FOURS)
    with pytest.raises(ValueError, match=r"^aside: cannot be negative, got -1$"):
        Protocol("mnist", aside=-1)
    with pytest.raises(ValueError, match=r"^aside: must be a whole number, got 1.5$"):
        Protocol("mnist", aside=1.5)
    with pytest.raises(ValueError, match=r"^aside: does not go with a magnified feature$"):
        Protocol("mnist", aside=8, magnified=2)
    with pytest.raises(ValueError, match=r"^aside: a lot has none of its own$"):
        Protocol("mnist", aside=8, lot=Lot(3))


def test_what_lies_aside_must_be_within_the_image(digits):
    planned = [by_hand.varied(one, aside=23) for one in experiments(digits)]
    with pytest.raises(ValueError, match="change its position or size"):
        train(planned, on_device(digits), show=False)
    train([by_hand.varied(one, aside=22) for one in experiments(digits, epochs=1)], on_device(digits), show=False)
