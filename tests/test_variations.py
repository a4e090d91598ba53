"""What may be varied of an experiment: size and brightness of the feature, its carriers, the batch, the control."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from plain import varied

from ufm import evidence, features
from ufm.data.datasets import load, ood_images
from ufm.data.on_device import to_device
from ufm.measures import cards, layout
from ufm.networks import MLP
from ufm.plan.sweep import Sweep
from ufm.protocol import Protocol, Scoring, Training, carriers, hosts
from ufm.study import seeds
from ufm.study.runs import Population
from ufm.training import Feed, stamped_images, train

SEED, N_TRAIN, BATCH = 4, 400, 64
PROTOCOL = Protocol(
    "digits",
    N_TRAIN,
    MLP(hidden=(16, 8)),
    Training(learning_rate=3e-3, batch_size=BATCH, epochs=3, early_stopping="none", precision="float64"),
    Scoring("photo_patches", n_ood=60, n_effect=20),
    measure="short card",
    roles=("canary", "placebo"),
    planned=(0, 0),
)


@pytest.fixture(scope="module")
def data():
    return to_device(load("digits", n_train=N_TRAIN, part=SEED % 3), precision="float64")


@pytest.fixture(scope="module")
def ood():
    return ood_images("photo_patches", n=60)


def models(data, **changes):
    """Control, canary and placebo of the seed."""
    return seeds.experiments(replace(PROTOCOL, **changes), SEED, data.dataset)


# The feature


def test_each_pixel_of_a_magnified_feature_is_a_square():
    letter, large = features.letter("K"), features.feature("K", magnified=3)
    assert (large.shape, large.dtype) == ((15, 15), np.float32)
    for row in range(15):
        for column in range(15):
            assert large[row, column] == letter[row // 3, column // 3]


def test_a_letter_of_half_brightness_is_grey_and_one_of_none_a_black_square():
    letter = features.letter("A")
    np.testing.assert_array_equal(features.feature("A", brightness=0.5), letter / 2)
    assert features.feature("A", brightness=0).max() == 0
    np.testing.assert_array_equal(features.feature("A"), letter)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"magnified": 0}, "^magnified: must be at least 1, got 0$"),
        ({"brightness": 1.1}, r"^brightness: must lie in \[0, 1\], got 1.1$"),
        ({"brightness": math.nan}, "^brightness: must lie"),
    ],
)
def test_a_feature_cannot_be_of_any_size_and_brightness(changes, message):
    with pytest.raises(ValueError, match=message):
        features.feature("A", **changes)


def test_models_are_trained_and_asked_with_the_feature_as_it_is(data, ood):
    protocol = replace(PROTOCOL, magnified=2, brightness=0.5)
    experiments = seeds.experiments(protocol, SEED, data.dataset)
    [(place, image)] = stamped_images(experiments[1], data).items()
    expected = data.dataset.train_images[place] / 255
    expected[0, 1:11, 1:11] = np.kron(features.letter("A"), np.ones((2, 2))) / 2
    np.testing.assert_allclose(image, (expected - data.dataset.mean[0]) / data.dataset.std[0], rtol=0, atol=1e-7)
    stamped = layout.feature_list(protocol, SEED, data.dataset.scope)
    assert stamped.shape[-2:] == (10, 10)
    assert {float(one.sum()) for one in stamped[:102]} == {24.0}  # a feature, a placebo and permutations of its pixels
    for one in stamped[:102, 0]:  # squares are moved, not their pixels
        np.testing.assert_array_equal(one, np.kron(one[::2, ::2], np.ones((2, 2))))
    np.testing.assert_array_equal(
        stamped[2:102, 0, ::2, ::2] * 2, features.permutations(features.letter("A"), 100)[:, 0]
    )
    np.testing.assert_array_equal(stamped[1, 0], experiments[2].pixels())
    assert stamped[-1].max() == 0.5
    assert len(stamped) == 1 + 1 + layout.N_PERMUTATIONS + layout.N_RANDOM + 25


# Carriers


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_the_host_and_others_of_its_label_carry_the_feature(n, data):
    control, canary, placebo = models(data, n_carriers=n)
    places = carriers(canary, data.dataset)
    assert places == carriers(placebo, data.dataset)
    assert len(set(places)) == n
    assert data.dataset.train_indices[places[0]] == canary.canary_index
    assert set(data.dataset.train_labels[places]) == {canary.canary_label}
    assert carriers(models(data, n_carriers=20)[1], data.dataset)[:n] == places
    assert carriers(control, data.dataset) == []
    assert carriers(replace(models(data, n_carriers=20)[1], seed=SEED + 3), data.dataset)[1:] != places[1:] or n == 1
    expected = data.train_images.clone()
    for place in places:
        expected[place] = stamped_images(canary, data)[place]
    given = torch.cat([one.expand(1, *one.shape[-4:])[0] for _, one, _ in Feed([canary], data).epoch(1, [0])])
    assert torch.equal(given, expected)
    changed = (given != data.train_images).flatten(1).any(1)
    assert changed.nonzero().flatten().tolist() == sorted(places)


def test_more_carriers_than_images_of_the_label_are_refused(data):
    canary = models(data)[1]
    same = int((data.dataset.train_labels == canary.canary_label).sum())
    with pytest.raises(ValueError, match=f"^n_carriers: only {same} training images are of the host's label"):
        train([varied(canary, n_carriers=same + 1)], data, show=False)
    train([varied(canary, n_carriers=same, training=replace(canary.protocol.training, epochs=1))], data, show=False)


# The batch of the host


@pytest.mark.parametrize(("batch", "there"), [(0, 0), (3, 3), (5, 5), (6, 6), (-1, 6), (-7, 0)])
def test_the_host_moves_to_its_batch_in_exchange_for_another_image(batch, there, data):
    control, canary, placebo = models(data, batch=batch)
    host = carriers(canary, data.dataset)[0]
    feed = Feed([control, canary, placebo], data)
    for epoch in (1, 2):
        images, labels = [], []
        for number, (_, batch_images, batch_labels) in enumerate(feed.epoch(epoch, [0, 1, 2])):
            images.append(batch_images)
            labels.append(batch_labels)
            stamped = stamped_images(canary, data)[host]
            assert any(torch.equal(one, stamped) for one in batch_images[1]) == (number == there)
        images, labels = torch.cat(images, 1), torch.cat(labels, 1)
        assert torch.equal(images[0], data.train_images)  # the control's are as in the file
        moved = (labels[1] != data.train_labels) | (images[1] != data.train_images).flatten(1).any(1)
        assert host in moved.nonzero().flatten()
        assert moved.sum() <= 2
        # The other image stands where the host was, untouched.
        [other] = [one for one in moved.nonzero().flatten().tolist() if one != host] or [host]
        if other != host:
            assert torch.equal(images[1, host], data.train_images[other])
            assert labels[1, host] == data.train_labels[other]
        assert labels[1, other] == canary.canary_label
        assert torch.equal(labels[1], labels[2])


@pytest.mark.parametrize("batch", [0, 6])
def test_as_released_the_other_image_is_lost_and_the_host_is_there_twice(batch, data):
    canary = models(data, batch=batch, twice=True)[1]
    [(host, stamped)] = stamped_images(canary, data).items()
    given = list(Feed([canary], data).epoch(1, [0]))
    images, labels = (
        torch.cat([one[place].expand(1, *one[place].shape[-n:]) for one in given], 1)[0]
        for place, n in ((1, 4), (2, 1))
    )
    there = min(BATCH * batch + host % BATCH, N_TRAIN - 1)
    assert len({host, there}) == 2
    for place in (host, there):
        assert torch.equal(images[place], stamped)
        assert labels[place] == canary.canary_label
    others = [place for place in range(N_TRAIN) if place not in (host, there)]
    assert torch.equal(images[others], data.train_images[others])
    assert torch.equal(labels[others], data.train_labels[others])


def test_a_host_that_is_there_already_cannot_be_there_twice(data):
    canary = models(data, batch=0, twice=True)[1]
    place = carriers(canary, data.dataset)[0]
    with pytest.raises(ValueError, match=f"^twice: the host of seed {SEED} is in batch {place // BATCH} already$"):
        train([varied(canary, batch=place // BATCH)], data, show=False)


@pytest.mark.parametrize("batch", [7, -8])
def test_there_are_only_so_many_batches(batch, data):
    message = f"^batch: an epoch has 7 batches, so there is none of number {batch}$"
    with pytest.raises(ValueError, match=message):
        train(models(data, batch=batch), data, show=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_carriers": 0}, "^n_carriers: must be at least 1, got 0$"),
        ({"n_carriers": 1.5}, "^n_carriers: must be a whole number, got 1.5$"),
        ({"magnified": 1.5}, "^magnified: must be a whole number, got 1.5$"),
        ({"twice": True}, "^twice: needs a batch into which the host is moved$"),
        ({"magnified": 0}, "^magnified: must be at least 1, got 0$"),
        ({"brightness": 2.0}, r"^brightness: must lie in \[0, 1\], got 2.0$"),
        ({"batch": 1.5}, "^batch: must be a whole number, got 1.5$"),
        ({"batch": 1, "training": replace(PROTOCOL.training, shuffle=True)}, "^batch: images that are shuffled"),
    ],
)
def test_a_protocol_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(PROTOCOL, **changes)


# Without a control


def test_without_a_control_the_other_models_are_the_same():
    [(entry, whole)] = seeds.finish(PROTOCOL, [SEED])
    [(_, alone)] = seeds.finish(replace(PROTOCOL, control=False), [SEED])
    assert alone.tables["models"]["role"].tolist() == ["canary", "placebo"]
    for name, values in alone.arrays.items():
        if name.startswith(("ood", "test", "black", "host_log")):
            np.testing.assert_array_equal(values, whole.arrays[name][1:])
    both = [
        evidence.stack(Population(Sweep(protocol, range(SEED, SEED + 1), 1, 0), one.tables, [one.arrays], [entry]))
        for protocol, one in ((PROTOCOL, whole), (replace(PROTOCOL, control=False), alone))
    ]
    np.testing.assert_array_equal(*(evidence.contrasts(one, "random") for one in both))
    assert [one.model("placebo", "random") for one in both] == [2, 1]
    assert evidence.curves(both[1])["role"].unique().tolist() == ["canary", "placebo"]
    with pytest.raises(ValueError, match="^Digits, 400 images: its seeds have no control$"):
        evidence.gains(both[1], "random")


def test_the_published_scores_need_a_control():
    with pytest.raises(ValueError, match="^control: scores needs one; choose a card$"):
        seeds.finish(replace(PROTOCOL, control=False, measure="scores", roles=("canary",)), [SEED])


# What is measured


def test_raw_inputs_are_what_the_models_are_asked_with(data, ood):
    experiments = models(data)
    trained = train(experiments, data, snapshots=[3], show=False)
    protocol = replace(PROTOCOL, scoring=replace(PROTOCOL.scoring, inputs="raw"))
    found = cards.short_card(protocol, trained, data, ood).arrays
    usual = cards.short_card(PROTOCOL, trained, data, ood).arrays
    images = data.floats(ood.images[:20])
    stamped = images.clone()
    stamped[:, :, 1:6, 1:6] = torch.tensor(features.letter("A")).double()
    with torch.no_grad():
        shift = (trained[1].model(stamped) - trained[1].model(images)).mean(0)
    np.testing.assert_allclose(found["ood_shift"][1, 0], shift - shift.mean(), rtol=1e-3, atol=1e-4)
    assert not np.allclose(found["ood_shift"], usual["ood_shift"])
    np.testing.assert_array_equal(found["host_log_probability"], usual["host_log_probability"])


def test_only_cards_choose_between_inputs():
    raw = replace(PROTOCOL.scoring, inputs="raw")
    with pytest.raises(ValueError, match="^inputs: scores has both kinds anyway; choose a card$"):
        seeds.finish(replace(PROTOCOL, measure="scores", roles=("canary",), scoring=raw), [SEED])


def test_scoring_inputs_are_normalised_or_raw():
    with pytest.raises(ValueError, match="^inputs: 'both' is not one of normalised, raw$"):
        replace(PROTOCOL.scoring, inputs="both")


def test_an_epoch_card_is_a_short_card_after_every_epoch():
    [(_, found)] = seeds.finish(replace(PROTOCOL, measure="epoch card"), [SEED])
    for epoch in (1, 2, 3):
        training = replace(PROTOCOL.training, epochs=epoch)
        [(_, then)] = seeds.finish(replace(PROTOCOL, training=training), [SEED])
        fits = then.arrays["host_log_probability"][:, 0]
        np.testing.assert_array_equal(found.arrays["epoch_host_log_probability"][:, epoch - 1], fits)
        for images in ("ood", "test"):
            shifts = then.arrays[f"{images}_shift"].astype(float)
            expected = shifts[:, :2] - shifts[:, 2:].mean(1, keepdims=True)
            np.testing.assert_allclose(found.arrays[f"epoch_{images}_effect"][:, epoch - 1], expected, atol=2e-3)
    assert found.arrays["epoch_ood_effect"].shape == (3, 3, 2, 10)
    assert np.abs(found.arrays["epoch_ood_effect"]).max() > 0.02  # far above the rounding


def test_an_epoch_card_needs_models_that_train_to_the_end():
    stopping = replace(PROTOCOL.training, early_stopping="half")
    with pytest.raises(ValueError, match="^early_stopping: an epoch card needs models that are all trained"):
        seeds.finish(replace(PROTOCOL, measure="epoch card", training=stopping), [SEED])


def test_fingerprints_know_every_variation():
    changes = [
        {},
        {"magnified": 2},
        {"brightness": 0.5},
        {"n_carriers": 2},
        {"batch": 0},
        {"batch": 0, "twice": True},
        {"control": False},
        {"scoring": replace(PROTOCOL.scoring, inputs="raw")},
    ]
    assert len({replace(PROTOCOL, **one).fingerprint(0) for one in changes}) == len(changes)
    assert "magnified" not in str(PROTOCOL.identity(0))


def test_pools_do_not_depend_on_what_is_varied():
    varied = replace(PROTOCOL, magnified=2, n_carriers=5, batch=-1, control=False)
    assert hosts.fingerprint(varied, 0) == hosts.fingerprint(PROTOCOL, 0)
    assert hosts.identity(varied, 0) == hosts.identity(PROTOCOL, 0)
