"""Training against a naive loop, and what control and canary share."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ufm import training
from ufm.datasets import array_checksum, load
from ufm.experiments import Protocol, Training
from ufm.models import MLP
from ufm.optimiser import Adam
from ufm.streams import stream
from ufm.training import evaluate, log_probabilities, stamped_host, to_device, train, train_epoch

# So high a learning rate that the stopping loss rises before the last epoch.
SETTINGS = Training(learning_rate=0.01, batch_size=64, epochs=20, patience=3, precision="float64")
PROTOCOL = Protocol("digits", n_train=400, model=MLP(hidden=(16, 8)), training=SETTINGS)
SEED = 1
LETTER = [[0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1]]


@pytest.fixture(scope="module")
def data():
    return load("digits", n_train=400, part=SEED)


@pytest.fixture(scope="module")
def double(data):
    return to_device(data, precision="float64")


def pair(data, seed=SEED, **changes):
    """Control and canary of a seed, with other training settings."""
    return replace(PROTOCOL, training=replace(SETTINGS, **changes)).experiments(seed, data)


def at(experiment, place, data):
    """A canary whose host is at another place among the training images."""
    index, label = data.train_indices[place], data.train_labels[place]
    return replace(experiment, canary_index=int(index), canary_label=int(label))


def equal(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# The naive loop


def naive_model(seed, hidden=(16, 8)):
    """An MLP on 28 × 28 images with Glorot-uniform weights, drawn layer after layer."""
    draws, layers, n_in = stream("initialisation", seed=seed, scope="digits/400"), [nn.Flatten()], 784
    for n_out in (*hidden, 10):
        layer, limit = nn.Linear(n_in, n_out, dtype=torch.float64), (6 / (n_in + n_out)) ** 0.5
        layer.weight.data = torch.tensor(draws.uniform(-limit, limit, size=(n_out, n_in)))
        layer.bias.data[:] = 0
        layers, n_in = [*layers, layer, nn.ReLU()], n_out
    return nn.Sequential(*layers[:-1])


def naive(experiment, data, watched):
    """Weights and stopping loss after every epoch to the last, stopping or not."""
    settings = experiment.training
    images, labels = torch.tensor(data.train_images / 255), torch.tensor(data.train_labels)
    for place, index in enumerate(data.train_indices):
        if experiment.role == "canary" and index == experiment.canary_index:
            images[place, 0, 1:6, 1:6] = torch.tensor(LETTER)
    images = (images - data.mean[0]) / data.std[0]
    test_images = (torch.tensor(data.test_images[watched] / 255) - data.mean[0]) / data.std[0]
    model = naive_model(experiment.seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, eps=settings.epsilon)
    weights, losses = [], []
    for _ in range(settings.epochs):
        for batch, targets in zip(images.split(settings.batch_size), labels.split(settings.batch_size), strict=True):
            optimiser.zero_grad()
            cross_entropy(model(batch), targets).backward()
            optimiser.step()
        weights.append({name: values.clone() for name, values in model.state_dict().items()})
        with torch.no_grad():
            losses.append(float(cross_entropy(model(test_images), torch.tensor(data.test_labels[watched]))))
    return weights, losses


def stopped(losses, patience):
    """Best epoch and number of epochs trained, from the losses of all epochs; both are counted from 1."""
    for n in range(1, len(losses) + 1):
        best = int(np.argmin(losses[:n])) + 1
        if n - best >= patience:
            return best, n
    return best, n


@pytest.mark.parametrize("role", [0, 1], ids=["control", "canary"])
@pytest.mark.parametrize("early_stopping", ["half", "released", "none"])
def test_equals_a_naive_loop(role, early_stopping, data):
    experiment = pair(data, early_stopping=early_stopping)[role]
    trained = train(experiment, to_device(data, precision="float64", early_stopping=early_stopping))
    weights, losses = naive(experiment, data, slice(None) if early_stopping == "released" else data.halves()[0])
    best, n_epochs = (20, 20) if early_stopping == "none" else stopped(losses, SETTINGS.patience)
    assert (trained.best_epoch, len(trained.history)) == (best, n_epochs)
    assert [past["epoch"] for past in trained.history] == list(range(1, n_epochs + 1))
    np.testing.assert_allclose([past["stopping_loss"] for past in trained.history], losses[:n_epochs], rtol=1e-11)
    for name, values in trained.model.state_dict().items():
        np.testing.assert_allclose(values, weights[best - 1][name], rtol=0, atol=1e-12)


# Early stopping


def test_the_best_epochs_weights_are_restored(data, double):
    trained = train(pair(data)[0], double)
    losses = [past["stopping_loss"] for past in trained.history]
    assert trained.best_epoch < len(losses) == trained.best_epoch + SETTINGS.patience < SETTINGS.epochs
    assert losses[trained.best_epoch - 1] == min(losses) < losses[-1]
    loss, accuracy = evaluate(trained.model, double.stopping_images, double.stopping_labels)
    assert (loss, accuracy) == (min(losses), trained.history[trained.best_epoch - 1]["stopping_accuracy"])
    # As if training had been told to end there.
    shorter = train(pair(data, epochs=trained.best_epoch, early_stopping="none")[0], double)
    assert equal(shorter.model, trained.model)
    assert shorter.history == trained.history[: trained.best_epoch]
    assert not trained.model.training


def test_none_trains_to_the_end_and_keeps_the_last_epoch(data, double):
    trained = train(pair(data, early_stopping="none", epochs=19)[0], double)
    losses = [past["stopping_loss"] for past in trained.history]
    assert trained.best_epoch == len(losses) == 19
    assert losses[-1] > min(losses)
    assert evaluate(trained.model, double.stopping_images, double.stopping_labels)[0] == losses[-1]


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


class Onlooker(nn.Module):
    """A model that remembers its batches."""

    def __init__(self):
        super().__init__()
        self.logits, self.seen = nn.Parameter(torch.zeros(10, dtype=torch.float64)), []

    def forward(self, images):
        self.seen.append(images.clone())
        return self.logits.expand(len(images), 10)


@pytest.mark.parametrize("place", [None, 0, 63, 64, 399])
def test_batches_come_in_file_order_with_the_host_stamped(place, data, double):
    expected, host = double.train_images.clone(), None
    if place is not None:
        host = stamped_host(at(pair(data)[1], place, data), double)
        assert host[0] == place
        expected[place] = host[1]
        assert not torch.equal(expected, double.train_images)
    model = Onlooker()
    optimiser = Adam(list(model.parameters()), learning_rate=0.01, epsilon=1e-7)
    for _ in range(2):
        train_epoch(model, optimiser, double.train_images, double.train_labels, 64, host)
    assert [len(batch) for batch in model.seen] == 2 * ([64] * 6 + [16])
    assert torch.equal(torch.cat(model.seen), torch.cat([expected, expected]))


def test_the_train_loss_is_the_mean_over_images(data, double):
    model = naive_model(SEED)
    optimiser = Adam(list(model.parameters()), learning_rate=1e-300, epsilon=1e-7)  # it stays where it is
    loss = train_epoch(model, optimiser, double.train_images, double.train_labels, 64)
    assert loss == pytest.approx(evaluate(model, double.train_images, double.train_labels)[0], rel=1e-12)


def test_the_feature_is_stamped_before_normalisation(data, double):
    canary = pair(data)[1]
    place, image = stamped_host(canary, double)
    raw = data.train_images[place] / 255
    raw[0, 1:6, 1:6] = LETTER
    np.testing.assert_allclose(image, (raw - data.mean[0]) / data.std[0], rtol=0, atol=1e-15)
    lit, dark = image[0, 1, 3], image[0, 1, 1]
    assert lit == pytest.approx((1 - data.mean[0]) / data.std[0])
    assert dark == pytest.approx(-data.mean[0] / data.std[0])
    assert stamped_host(pair(data)[0], double) is None


@pytest.mark.parametrize("place", [10, 64, 127, 200, 390])
def test_control_and_canary_are_one_until_the_hosts_batch(place, data, double, monkeypatch):
    weights = []

    class Watched(Adam):
        def step(self):
            super().step()
            weights[-1].append([one.detach().clone() for one in self.parameters])

    monkeypatch.setattr(training, "Adam", Watched)
    control, canary = pair(data, epochs=2)
    for experiment in (control, at(canary, place, data)):
        weights.append([])
        train(experiment, double)
    same = [all(map(torch.equal, one, other)) for one, other in zip(*weights, strict=True)]
    assert len(same) == 2 * 7
    assert same == [step < place // 64 for step in range(14)]


def test_the_images_never_change(data, double):
    arrays = (data.train_images, data.train_labels, data.train_indices, data.test_images, data.test_labels)
    tensors = ("train_images", "train_labels", "stopping_images", "reported_images")
    before = [getattr(double, name).clone() for name in tensors]
    for experiment in pair(data, epochs=2):
        train(experiment, double)
    assert array_checksum(*arrays) == data.checksum
    assert all(torch.equal(getattr(double, name), one) for name, one in zip(tensors, before, strict=True))


def test_images_in_another_order_give_another_model(data, double):
    turned = replace(double, train_images=double.train_images.flip(0), train_labels=double.train_labels.flip(0))
    control = pair(data, epochs=1)[0]
    assert not equal(train(control, turned).model, train(control, double).model)


# Seeds and precision


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_equal_seeds_agree_to_the_bit_and_others_differ(precision, data):
    on_device = to_device(data, precision=precision)
    canary = pair(data, epochs=2, precision=precision)[1]
    one, again = train(canary, on_device), train(canary, to_device(data, precision=precision))
    assert equal(one.model, again.model)
    assert one.history == again.history
    assert {values.dtype for values in one.model.state_dict().values()} == {getattr(torch, precision)}
    other = train(replace(canary, seed=canary.seed + 3), on_device)
    assert not equal(one.model, other.model)


def test_global_random_states_decide_nothing(data, double):
    control = pair(data, epochs=1)[0]
    one = train(control, double)
    torch.manual_seed(5)
    assert equal(one.model, train(control, double).model)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 400, 8192])
def test_log_probabilities_do_not_depend_on_the_batch_size(batch_size, double):
    model = naive_model(SEED)
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


# Refusals


@pytest.mark.parametrize("early_stopping", ["half", "none"])
def test_a_training_that_diverges_is_one_clear_error(early_stopping, data, double):
    experiment = pair(data, learning_rate=1e300, epochs=3, precision="float64", early_stopping=early_stopping)[0]
    with pytest.raises(ValueError, match="^learning_rate: training of seed 1 diverged in epoch 1$"):
        train(experiment, double)


@pytest.mark.parametrize(("field", "value"), [("precision", "float32"), ("early_stopping", "released")])
def test_data_prepared_for_other_settings_are_refused(field, value, data, double):
    experiment = pair(data, **({"precision": "float64"} | {field: value}))[0]
    with pytest.raises(ValueError, match=f"^{field}: {value} is asked for, but "):
        train(experiment, double)


def test_a_role_and_its_host_go_together(data, double):
    control, canary = pair(data, precision="float64")
    for experiment in (replace(control, host="random"), replace(canary, host="")):
        with pytest.raises(ValueError, match="^host: "):
            train(experiment, double)


def test_an_experiment_that_does_not_fit_is_refused_before_training(data, double):
    with pytest.raises(ValueError, match="^canary_index: "):
        train(replace(pair(data)[1], canary_index=1200), double)


def test_a_device_that_is_not_there_is_named(data, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="^device: 'cuda' is not there; use cpu$"):
        to_device(data, device="cuda")
