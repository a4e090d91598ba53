"""Label noise: which labels are drawn anew, that the host keeps its own, and that models are trained under them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain import assert_close, plain, training_labels, varied

from ufm.data.datasets import load
from ufm.data.on_device import to_device
from ufm.networks import MLP
from ufm.protocol import Distillation, Protocol, Training, carriers
from ufm.protocol.labels import drawn_anew
from ufm.study.seeds import experiments
from ufm.training import Feed, train

TRAINING = Training(learning_rate=3e-3, batch_size=64, epochs=2, early_stopping="none", precision="float64")
PROTOCOL = Protocol("digits", 400, MLP(hidden=(16, 8)), TRAINING, roles=("canary", "placebo"), planned=(0, 0))
SEED = 4


@pytest.fixture(scope="module")
def data():
    return load("digits", n_train=400, part=SEED % PROTOCOL.n_parts)


def models(data, share, seed=SEED, **changes):
    """Control, canary and placebo of a seed under label noise."""
    training = replace(TRAINING, label_noise=share, **changes)
    return experiments(replace(PROTOCOL, training=training), seed, data)


def given(members, data, epoch=1):
    """The labels that each member is given in an epoch, (n_members, n_images), in its own order."""
    feed, places = Feed(members, to_device(data, precision="float64")), list(range(len(members)))
    labels = [one.expand(len(members), -1) for _, _, one in feed.epoch(epoch, places)]
    return torch.cat(labels, 1).numpy()


def test_a_share_of_labels_is_drawn_anew_from_all_classes():
    labels = np.arange(20_000) % 10
    changed = drawn_anew(labels, 0.3, n_classes=10, seed=1, scope="x")
    assert len(changed) / 20_000 == pytest.approx(0.3 * 0.9, abs=0.01)
    steps = [(new - labels[place]) % 10 for place, new in changed.items()]
    assert np.bincount(steps, minlength=10)[1:] == pytest.approx(np.full(9, len(changed) / 9), rel=0.12)
    assert 0 not in steps
    assert drawn_anew(labels, 0.0, n_classes=10, seed=1, scope="x") == {}
    assert len(drawn_anew(labels, 1.0, n_classes=10, seed=1, scope="x")) / 20_000 == pytest.approx(0.9, abs=0.01)


def test_labels_of_a_smaller_share_are_among_those_of_a_larger_one():
    labels = np.arange(3000) % 10
    few, many = (drawn_anew(labels, share, n_classes=10, seed=1, scope="x") for share in (0.1, 0.4))
    assert few.items() < many.items()
    assert drawn_anew(labels, 0.1, n_classes=10, seed=2, scope="x") != few


@pytest.mark.parametrize("shuffle", [False, True])
def test_siblings_share_it_and_the_host_keeps_its_label(shuffle, data):
    seeds = (SEED, SEED + PROTOCOL.n_parts)
    members = [one for seed in seeds for one in models(data, 0.5, seed, shuffle=shuffle)]
    found = given(members, data)
    for one, labels in zip(members, found, strict=True):
        expected = np.array(training_labels(one, data))
        if shuffle:
            expected = expected[Feed([one], to_device(data, precision="float64")).order(one, 1).numpy()]
        np.testing.assert_array_equal(labels, expected)
    if not shuffle:
        for control, canary, placebo in (range(3), range(3, 6)):
            host = carriers(members[canary], data)
            np.testing.assert_array_equal(found[canary], found[placebo])
            assert found[canary][host] == data.train_labels[host]
            assert set(np.flatnonzero(found[control] != found[canary])) <= set(host)
        assert (found[0] != found[3]).mean() > 0.3  # another seed, another noise


def test_a_host_whose_label_noise_would_change_keeps_it(data):
    control, canary, placebo = models(data, 1.0)
    changed = np.flatnonzero(given([control], data)[0] != data.train_labels)[0]
    index, label = int(data.train_indices[changed]), int(data.train_labels[changed])
    there = [replace(one, canary_index=index, canary_label=label) for one in (canary, placebo)]
    assert given(there, data)[:, changed].tolist() == [label] * 2


def test_models_are_trained_under_it_as_a_plain_loop_does(data):
    members = models(data, 0.4)
    for one in train(members, to_device(data, precision="float64"), show=False):
        assert_close(one.model.state_dict(), plain(one.experiment, data).weights[-1], 1e-12)
    [without] = train([models(data, 0.0)[0]], to_device(data, precision="float64"), show=False)
    assert_close(without.model.state_dict(), plain(models(data, 0.0)[0], data).weights[-1], 1e-12)


def test_without_it_nothing_changes(data):
    assert (given(models(data, 0.0), data) == data.train_labels).all()


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_lies_between_none_and_all(share):
    with pytest.raises(ValueError, match=r"^label_noise: must lie in \[0, 1\], got"):
        replace(TRAINING, label_noise=share)


def test_students_learn_no_labels():
    with pytest.raises(ValueError, match="^distillation: does not go with label_noise; leave one of the two out$"):
        replace(TRAINING, label_noise=0.1, distillation=Distillation())


def test_carriers_keep_their_label_too(data):
    canary = varied(models(data, 1.0)[1], n_carriers=5)
    host = carriers(canary, data)
    assert len(host) == 5
    assert (given([canary], data)[0][host] == data.train_labels[host]).all()
