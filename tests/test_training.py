"""Training against a plain loop, early stopping, batches and hosts, and how many models share a stack."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain import LETTER, assert_close, deviation, plain, varied
from torch import nn

from ufm import training
from ufm.data.datasets import array_checksum, load
from ufm.data.on_device import to_device
from ufm.networks import CNN1, CNN2, MLP
from ufm.networks.build import build
from ufm.protocol import Protocol, Training
from ufm.study import seeds
from ufm.training import (
    Feed,
    capacity,
    evaluate,
    log_probabilities,
    loop,
    optimiser,
    stack_size,
    stamped_images,
    train,
    train_epoch,
)
from ufm.training.optimiser import Adam
from ufm.training.stack import Stack

# So high a learning rate that the stopping loss rises before the last epoch.
SETTINGS = Training(learning_rate=0.02, batch_size=64, epochs=20, patience=2, precision="float64")
PROTOCOL = Protocol("digits", n_train=400, model=MLP(hidden=(16, 8)), training=SETTINGS)
SEED = 1


@pytest.fixture(scope="module")
def data():
    return load("digits", n_train=400, part=SEED)


@pytest.fixture(scope="module")
def double(data):
    return to_device(data, precision="float64")


def pair(data, seed=SEED, **changes):
    """Control and canary of a seed, with other training settings."""
    return seeds.experiments(replace(PROTOCOL, training=replace(SETTINGS, **changes)), seed, data)


def alone(experiment, data, **options):
    [trained] = train([experiment], data, **options)
    return trained


def many(data, **changes):
    """Six members of four seeds that stop at different epochs."""
    members = [one for seed in (1, 4) for one in pair(data, seed, **changes)]
    return members + [pair(data, seed, **changes)[0] for seed in (7, 10)]


def at(experiment, place, data):
    """A canary whose host is at another place among the training images."""
    index, label = data.train_indices[place], data.train_labels[place]
    return replace(experiment, canary_index=int(index), canary_label=int(label))


def equal(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("early_stopping", ["half", "released", "none"])
def test_equals_a_plain_loop(early_stopping, data):
    experiments = pair(data, early_stopping=early_stopping)
    for one in train(experiments, to_device(data, precision="float64", early_stopping=early_stopping)):
        expected = plain(one.experiment, data)
        n_epochs = len(expected.weights)
        assert (n_epochs == 20) == (early_stopping == "none")
        assert one.best_epoch == expected.best_epoch
        assert [past["epoch"] for past in one.history] == list(range(1, n_epochs + 1))
        for name in ("train_loss", "stopping_loss"):
            np.testing.assert_allclose([past[name] for past in one.history], getattr(expected, name), rtol=1e-11)
        assert_close(one.model.state_dict(), expected.weights[one.best_epoch - 1], 1e-12)


# Early stopping


def test_a_validation_split_is_watched_and_the_whole_test_split_reported(data):
    split = {"validation_images": data.test_images[:30], "validation_labels": data.test_labels[:30]}
    there = to_device(replace(data, **split), precision="float64", early_stopping="validation")
    assert torch.equal(there.stopping_labels, torch.tensor(data.test_labels[:30]))
    np.testing.assert_allclose(there.stopping_images[3, 0], (data.test_images[3, 0] / 255 - data.mean[0]) / data.std[0])
    assert there.reported.tolist() == list(range(len(data.test_labels)))
    assert len(there.reported_images) == len(data.test_labels)
    # Digits have no such split, so that a protocol refuses; another's name does not matter here.
    control = varied(pair(data)[0], dataset="pneumoniamnist", training=replace(SETTINGS, early_stopping="validation"))
    trained = alone(control, there)
    loss, _ = evaluate(trained.model, there.stopping_images, there.stopping_labels)
    assert loss == pytest.approx(trained.history[trained.best_epoch - 1]["stopping_loss"], rel=1e-12)
    with pytest.raises(ValueError, match="^early_stopping: half is asked for, but the data on the device are for val"):
        train(pair(data), there)


def test_only_data_with_a_validation_split_can_be_stopped_by_it():
    with pytest.raises(ValueError, match="^early_stopping: Digits has no validation split"):
        replace(PROTOCOL, training=Training(early_stopping="validation"))
    Protocol("pneumoniamnist", training=Training(early_stopping="validation"))


def test_the_best_epochs_weights_are_restored(data, double):
    trained = alone(pair(data)[0], double)
    losses = [past["stopping_loss"] for past in trained.history]
    assert trained.best_epoch < len(losses) == trained.best_epoch + SETTINGS.patience < SETTINGS.epochs
    assert losses[trained.best_epoch - 1] == min(losses) < losses[-1]
    loss, accuracy = evaluate(trained.model, double.stopping_images, double.stopping_labels)
    assert loss == pytest.approx(min(losses), rel=1e-12)
    assert accuracy == trained.history[trained.best_epoch - 1]["stopping_accuracy"]
    # As if training had been told to end there.
    shorter = alone(pair(data, epochs=trained.best_epoch, early_stopping="none")[0], double)
    assert equal(shorter.model, trained.model)
    assert shorter.history == trained.history[: trained.best_epoch]
    assert not trained.model.training


def test_none_trains_to_the_end_and_keeps_the_last_epoch(data, double):
    trained = alone(pair(data, early_stopping="none", epochs=12)[0], double)
    losses = [past["stopping_loss"] for past in trained.history]
    assert trained.best_epoch == len(losses) == 12
    assert losses[-1] > min(losses)
    loss, _ = evaluate(trained.model, double.stopping_images, double.stopping_labels)
    assert loss == pytest.approx(losses[-1], rel=1e-12)


def test_members_that_stop_leave_the_stack_and_are_as_if_alone(data, double, monkeypatch):
    sizes = []

    def spied(stack, *rest):
        sizes.append(len(stack))
        return train_epoch(stack, *rest)

    monkeypatch.setattr(loop, "train_epoch", spied)
    together = train(many(data), double)
    ends = [len(one.history) for one in together]
    assert sizes == [sum(end > epoch for end in ends) for epoch in range(max(ends))]
    assert len(set(sizes)) > 2  # they leave at different times
    for one in together:
        single = alone(one.experiment, double)
        assert (one.best_epoch, len(one.history)) == (single.best_epoch, len(single.history))
        for past, expected in zip(one.history, single.history, strict=True):
            assert past == pytest.approx(expected, rel=1e-9)
        assert_close(one.model.state_dict(), single.model.state_dict(), 1e-9)


def test_snapshots_are_the_weights_of_a_run_that_ends_there(data, double):
    epochs = [1, 4, 7, 12, 20]
    together = train(many(data), double, snapshots=epochs)
    for one in together:
        # A member has none beyond its end.
        assert list(one.snapshots) == [epoch for epoch in epochs if epoch <= len(one.history)]
    assert len({len(one.snapshots) for one in together}) > 1
    for epoch in epochs[:3]:
        for one, shorter in zip(together, train(many(data, epochs=epoch, early_stopping="none"), double), strict=True):
            if epoch in one.snapshots:
                assert_close(one.snapshots[epoch].state_dict(), shorter.model.state_dict(), 1e-9)
                assert not one.snapshots[epoch].training
    best = together[0].best_epoch
    one = alone(together[0].experiment, double, snapshots=[best])
    assert equal(one.snapshots[best], one.model)
    assert one.snapshots[best] is not one.model
    assert alone(together[0].experiment, double).snapshots == {}


def test_half_the_test_split_is_watched_and_the_other_reported(data, double):
    watched, reported = data.halves()
    assert double.reported.tolist() == reported.tolist()
    assert double.stopping_labels.tolist() == data.test_labels[watched].tolist()
    assert double.reported_labels.tolist() == data.test_labels[reported].tolist()
    everything = double.normalise(double.floats(data.test_images))
    assert torch.equal(double.stopping_images, everything[watched.tolist()])
    assert torch.equal(double.reported_images, everything[reported.tolist()])


def test_released_watches_and_reports_the_whole_test_split(data):
    released = to_device(data, early_stopping="released")
    assert released.reported.tolist() == list(range(597))
    assert released.stopping_labels.tolist() == released.reported_labels.tolist() == data.test_labels.tolist()
    everything = released.normalise(released.floats(data.test_images))
    assert torch.equal(released.stopping_images, everything)
    assert torch.equal(released.reported_images, everything)


# Batches and the host


@pytest.mark.parametrize("place", [None, 0, 63, 64, 399])
def test_batches_come_in_file_order_with_the_host_stamped(place, data, double):
    control, canary = pair(data)
    expected, experiment = double.train_images.clone(), control
    if place is not None:
        experiment = at(canary, place, data)
        [(where, expected[place])] = stamped_images(experiment, double).items()
        assert where == place
        assert not torch.equal(expected, double.train_images)
    feed = Feed([control, experiment], double)
    for epoch in (1, 2):
        steps, images, labels = zip(*feed.epoch(epoch, [1]), strict=True)
        assert list(steps) == [7 * (epoch - 1) + number for number in range(7)]
        assert [len(one) for one in labels] == [64] * 6 + [16]
        assert torch.equal(torch.cat(labels), double.train_labels)
        assert torch.equal(torch.cat([one.flatten(0, -4) for one in images]), expected)


def test_each_member_has_its_own_host(data, double):
    control, canary = pair(data)
    experiments = [control, at(canary, 70, data), at(canary, 3, data), replace(at(canary, 70, data), role="placebo")]
    members, expected = [3, 1, 0, 2], double.train_images.repeat(4, 1, 1, 1, 1)
    for place, one in enumerate(members):
        if one:
            [(host, image)] = stamped_images(experiments[one], double).items()
            expected[place, host] = image
    assert not torch.equal(expected[0], expected[1])
    for number, (_, images, _) in enumerate(Feed(experiments, double).epoch(1, members)):
        assert (images.dim() == 4) == (number > 1)  # where no host is, all see the same
        now = slice(64 * number, 64 * (number + 1))
        assert torch.equal(images.expand(4, *images.shape[-4:]), expected[:, now])


def test_the_train_loss_is_the_mean_over_images(data, double):
    networks = [training.network(one, double) for one in pair(data)]
    stack = Stack(networks, torch.zeros(2, dtype=torch.int64))
    optimiser = Adam(stack, learning_rate=1e-300, epsilon=1e-7)  # it stays where it is
    losses = train_epoch(stack, optimiser, Feed([pair(data)[0]] * 2, double).epoch(1, [0, 1]))
    expected, _ = evaluate(networks[0], double.train_images, double.train_labels)
    assert losses == pytest.approx([expected] * 2, rel=1e-12)


def test_the_feature_is_stamped_before_normalisation(data, double):
    canary = pair(data)[1]
    [(place, image)] = stamped_images(canary, double).items()
    raw = data.train_images[place] / 255
    raw[0, 1:6, 1:6] = LETTER
    np.testing.assert_allclose(image, (raw - data.mean[0]) / data.std[0], rtol=0, atol=1e-15)
    lit, dark = image[0, 1, 3], image[0, 1, 1]
    assert lit == pytest.approx((1 - data.mean[0]) / data.std[0])
    assert dark == pytest.approx(-data.mean[0] / data.std[0])
    assert stamped_images(pair(data)[0], double) == {}


@pytest.mark.parametrize("changes", [{}, {"dropout": True, "augmentation": True}], ids=["plain", "regularised"])
@pytest.mark.parametrize("place", [10, 64, 127, 200, 390])
def test_control_canary_and_placebo_are_one_until_the_hosts_batch(place, changes, data, double, monkeypatch):
    weights = []

    class Watched(Adam):
        def step(self):
            super().step()
            weights.append([self.stack.state(member) for member in range(3)])

    monkeypatch.setattr(optimiser, "Adam", Watched)
    control, canary = pair(data, epochs=2)
    canary = at(canary, place, data)
    twins = [varied(one, model=MLP(hidden=(64, 32), **changes)) for one in (canary, control)]
    train([*twins, replace(twins[0], role="placebo")], double)
    assert len(weights) == 2 * 7
    for one, other in ((0, 1), (1, 2), (0, 2)):
        apart = [deviation(members[one], members[other]) for members in weights]
        assert max(apart[: place // 64], default=0) < 1e-12
        assert min(apart[place // 64 :]) > 1e-8


def test_the_images_never_change(data, double):
    arrays = (data.train_images, data.train_labels, data.train_indices, data.test_images, data.test_labels)
    tensors = ("train_images", "train_labels", "stopping_images", "reported_images")
    before = [getattr(double, name).clone() for name in tensors]
    for changes in ({}, {"augmentation": True}):
        train([varied(one, model=replace(one.protocol.model, **changes)) for one in pair(data, epochs=2)], double)
    assert array_checksum(*arrays) == data.checksum
    assert all(torch.equal(getattr(double, name), one) for name, one in zip(tensors, before, strict=True))


def test_images_in_another_order_give_another_model(data, double):
    turned = replace(double, train_images=double.train_images.flip(0), train_labels=double.train_labels.flip(0))
    control = pair(data, epochs=1)[0]
    assert not equal(alone(control, turned).model, alone(control, double).model)


# Seeds and precision


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_equal_seeds_agree_to_the_bit_and_others_differ(precision, data):
    on_device = to_device(data, precision=precision)
    canary = pair(data, epochs=2, precision=precision)[1]
    one, again = alone(canary, on_device), alone(canary, to_device(data, precision=precision))
    assert equal(one.model, again.model)
    assert one.history == again.history
    assert {values.dtype for values in one.model.state_dict().values()} == {getattr(torch, precision)}
    other = alone(replace(canary, seed=canary.seed + 3), on_device)
    assert not equal(one.model, other.model)


def test_global_random_states_decide_nothing(data, double):
    control = pair(data, epochs=1)[0]
    control = varied(control, model=replace(control.protocol.model, dropout=True, augmentation=True))
    one = alone(control, double)
    torch.manual_seed(5)
    assert equal(one.model, alone(control, double).model)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 400, 8192])
def test_log_probabilities_do_not_depend_on_the_batch_size(batch_size, double):
    model = build(PROTOCOL.model, (1, 28, 28), 10, seed=SEED, dtype=torch.float64)
    images = double.train_images
    with torch.no_grad():
        logits = model(images)
    log_p = log_probabilities(model, images, batch_size=batch_size)
    np.testing.assert_allclose(log_p, logits - logits.exp().sum(1, keepdim=True).log(), rtol=0, atol=1e-12)


def test_log_probabilities_are_not_clipped():
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    model[1].weight.data, model[1].bias.data = torch.tensor([[0.0], [1.0]]), torch.zeros(2)
    log_p = log_probabilities(model, torch.full((1, 1, 1, 1), 50.0))
    np.testing.assert_allclose(log_p, [[-50, 0]], atol=1e-6)


# Stacks


def test_experiments_of_all_kinds_come_back_in_order_as_if_trained_apart(data, double):
    control, canary = pair(data, epochs=2)
    models = [
        control.protocol.model,
        MLP(hidden=(16, 9)),
        replace(control.protocol.model, batch_norm=True),
        CNN1(channels=(2, 2), hidden=(4, 4)),
    ]
    models.append(CNN2(channels=(2, 2), hidden=(4,)))
    kinds = [varied(one, model=model) for model in models for one in (control, canary)]
    for change in ({"learning_rate": 0.02}, {"weight_decay": 0.1}, {"shuffle": True}, {"epochs": 1}):
        kinds.append(varied(canary, training=replace(canary.protocol.training, **change)))
    mixed = [kinds[place] for place in np.random.default_rng(0).permutation(len(kinds))] + kinds[:2]
    trained = train(mixed, double)
    assert [one.experiment for one in trained] == mixed
    for one in trained:
        single = alone(one.experiment, double)
        assert one.best_epoch == single.best_epoch
        assert_close(one.model.state_dict(), single.model.state_dict(), 1e-9)


def test_nothing_to_train_is_nothing(double):
    assert train([], double) == []


@pytest.fixture
def sizes(monkeypatch):
    """The sizes of the stacks that were begun since; of more than two members memory holds none."""
    begun, train_stack = [], loop.train_stack

    def small(experiments, *rest):
        begun.append(len(experiments))
        if len(experiments) > 2:
            raise torch.OutOfMemoryError("full")
        return train_stack(experiments, *rest)

    monkeypatch.setattr(loop, "train_stack", small)
    return begun


def test_stacks_that_memory_does_not_hold_are_halved(data, double, sizes):
    members = [pair(data, seed, epochs=1)[0] for seed in range(1, 20, 3)]
    trained = train(members, double)
    assert sizes == [7, 4, 2, 2, 2, 1]
    assert [one.experiment for one in trained] == members
    for one in (trained[0], trained[6]):
        assert_close(one.model.state_dict(), alone(one.experiment, double).model.state_dict(), 1e-9)


def test_one_model_that_memory_does_not_hold_is_an_error(data, double, monkeypatch):
    def full(experiments, *_):
        raise torch.OutOfMemoryError(f"full, {len(experiments)}")

    monkeypatch.setattr(loop, "train_stack", full)
    for members in (pair(data)[:1], many(data)):
        with pytest.raises(torch.OutOfMemoryError, match="^full, 1$"):
            train(members, double)


def test_a_stack_takes_half_of_the_memory_that_is_free(data, double, sizes, monkeypatch):
    control = pair(data, epochs=1)[0]
    # Weights, gradients and two moments, and the activations of a batch, are the least that a member takes.
    least = 8 * (4 * (784 * 16 + 16 + 16 * 8 + 8 + 8 * 10 + 10) + 64 * (784 + 2 * 16 + 2 * 8 + 10))

    def size(free, experiment=control, data=double):
        monkeypatch.setattr(capacity, "free_memory", lambda device: free)
        return stack_size(experiment, data)

    assert size(0) == size(least) == 1
    assert 10 < size(100 * least) <= 50
    assert size(200 * least) == pytest.approx(2 * size(100 * least), abs=1)
    assert size(100 * least, data=to_device(data)) == pytest.approx(2 * size(100 * least), abs=1)
    large_batches = varied(control, training=replace(control.protocol.training, batch_size=400))
    assert size(100 * least, large_batches) < size(100 * least)
    assert size(100 * least, varied(control, model=MLP(hidden=(96, 8)))) < size(100 * least) / 2
    assert size(100 * least, varied(control, model=CNN2())) == 1
    monkeypatch.setattr(capacity, "free_memory", lambda device: 100 * least)
    assert stack_size(control, double, 50) < stack_size(control, double, 1) < stack_size(control, double)
    assert size(20 * least) > 2
    train(many(data, epochs=1)[:2], double)
    size(least)
    train(many(data, epochs=1)[:2], double)
    assert sizes == [2, 1, 1]


# Refusals


@pytest.mark.parametrize("early_stopping", ["half", "none"])
def test_a_training_that_diverges_is_one_clear_error(early_stopping, data, double):
    experiment = pair(data, learning_rate=1e300, epochs=3, precision="float64", early_stopping=early_stopping)[0]
    with pytest.raises(ValueError, match="^learning_rate: training of seed 1 diverged in epoch 1$"):
        train([experiment], double)


@pytest.mark.parametrize(("field", "value"), [("precision", "float32"), ("early_stopping", "released")])
def test_data_prepared_for_other_settings_are_refused(field, value, data, double):
    experiment = pair(data, **({"precision": "float64"} | {field: value}))[0]
    with pytest.raises(ValueError, match=f"^{field}: {value} is asked for, but "):
        train([experiment], double)


def test_a_role_and_its_host_go_together(data, double):
    control, canary = pair(data, precision="float64")
    for experiment in (replace(control, host="random"), replace(canary, host="")):
        with pytest.raises(ValueError, match="^host: "):
            train([experiment], double)


def test_an_experiment_that_does_not_fit_is_refused_before_any_is_trained(data, double, monkeypatch):
    monkeypatch.setattr(loop, "train_stack", lambda *_: pytest.fail("a model was trained"))
    control, canary = pair(data)
    with pytest.raises(ValueError, match="^canary_index: "):
        train([control, replace(canary, canary_index=1200)], double)


def test_a_device_that_is_not_there_is_named(data, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="^device: 'cuda' is not there; use cpu$"):
        to_device(data, device="cuda")
