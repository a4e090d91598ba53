"""AdvBN: a stack against a plain loop over one model, from scratch and fine-tuned; what a perturbation is."""

import warnings
from dataclasses import replace

import plain as by_hand
import pytest
import tiny
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.networks import CNN1, MLP, DenseNetBC
from ufm.networks.build import build
from ufm.protocol import SGD, AdvBN, Distillation, Forgetting, Private, Protocol, Training
from ufm.randomness import counters
from ufm.randomness.streams import stream
from ufm.study import seeds
from ufm.training import Stack, estimate, train
from ufm.training.adv_bn import cut, fine_tuned, on_worst_statistics, renormalised, worst
from ufm.training.evaluation import cross_entropies

SCRATCH = AdvBN(epochs=0)
TUNED = AdvBN(epochs=3, optimiser=SGD(learning_rate=0.05, weight_decay=1e-2))
MODEL = MLP(hidden=(20, 12))


@pytest.fixture(scope="module")
def digits():
    return by_hand.first(datasets.load("digits", n_train=100), 40, 60)


def experiments(data, of_seeds=(1, 2), *, model=MODEL, **training) -> list:
    """Control, canary and placebo of each seed."""
    usual = {"learning_rate": 1e-2, "batch_size": 16, "epochs": 3, "early_stopping": "none", "precision": "float64"}
    own, roles = Training(**(usual | training)), ("control", "canary", "placebo")
    return [by_hand.member(data, role, model, own, seed=seed, at=7) for seed in of_seeds for role in roles]


def on_device(data, **asked):
    return to_device(data, precision="float64", **asked)


# The plain loop


def ascended(head: nn.Sequential, features: torch.Tensor, labels: torch.Tensor, settings: AdvBN):
    """Factors of mean and standard deviation of each unit of features (n, units) of one model."""
    mean = features.mean(0)
    delta_mean, delta_std = torch.ones_like(mean), torch.ones_like(mean)
    head.eval()
    for _ in range(settings.steps):
        delta_mean.requires_grad_(True)
        delta_std.requires_grad_(True)
        loss = cross_entropy(head(torch.clamp((features - mean) * delta_std + mean * delta_mean, min=0)), labels)
        of_mean, of_std = torch.autograd.grad(loss, [delta_mean, delta_std])
        low, high = 1 - settings.radius, 1 + settings.radius
        delta_mean = torch.clamp(delta_mean.detach() + settings.stride * torch.sign(of_mean), low, high)
        delta_std = torch.clamp(delta_std.detach() + settings.stride * torch.sign(of_std), low, high)
    return delta_mean.detach(), delta_std.detach()


def a_step(before, head, images, labels, settings, optimiser, drop) -> float:
    """One step on the sum of both losses; `before` gives features, and `drop` logits of them in training."""
    features = before(images)
    delta_mean, delta_std = ascended(head, features.detach(), labels, settings)
    mean = features.mean(0)
    perturbed = torch.clamp((features - mean) * delta_std + mean * delta_mean, min=0)
    logits = drop(torch.cat([features, perturbed]))
    loss = cross_entropy(logits[: len(images)], labels) + cross_entropy(logits[len(images) :], labels)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return float(loss.detach()) * len(images)


def with_dropout(layers, first_number, key, step):
    """What gives logits of features in training, units dropped by hand under the layers' numbers."""

    def drop(x):
        for number, layer in enumerate(layers, first_number):
            if isinstance(layer, nn.Dropout):
                kept = by_hand.uniforms(key, step, number, x.shape) >= layer.p
                x = torch.where(kept, x / (1 - layer.p), torch.zeros_like(x))
            else:
                x = layer(x)
        return x

    return drop


def plain(experiment, data, network=None) -> tuple[nn.Sequential, list[float]]:
    """One model trained from scratch, or a trained network fine-tuned: its weights, and its loss in every epoch."""
    training = experiment.protocol.training
    settings = training.adv_bn
    images = by_hand.training_images(experiment, data)
    labels = torch.tensor(by_hand.training_labels(experiment, data))
    key = counters.key("dropout", seed=experiment.seed, scope=data.scope)
    fresh = network is None
    if fresh:
        shape, arguments = images.shape[1:], {"seed": experiment.seed, "scope": data.scope, "dtype": torch.float64}
        network = build(experiment.protocol.model, shape, data.n_classes, **arguments)
    n = 1 + next(place for place, layer in enumerate(network) if isinstance(layer, nn.ReLU))
    before, head = network[:n], network[n:]
    if fresh:
        optimiser, epochs = by_hand.an_optimiser(network, training), range(1, training.epochs + 1)
    else:
        for parameter in before.parameters():
            parameter.requires_grad_(False)
        optimiser = by_hand.an_optimiser(head, replace(training, optimiser=settings.optimiser))
        epochs = range(training.epochs + 1, training.epochs + settings.epochs + 1)
    losses, n_steps = [], -(-len(labels) // training.batch_size)
    for epoch in epochs:
        if not fresh and epoch - training.epochs > settings.epochs // 2:
            for group in optimiser.param_groups:
                group["lr"] = settings.optimiser.learning_rate / 10
        order = torch.arange(len(labels))
        if training.shuffle:
            draws = stream("order", seed=experiment.seed, scope=f"{data.scope}/epoch {epoch}")
            order = torch.tensor(draws.permutation(len(labels)))
        total = 0.0
        for number, batch in enumerate(order.split(training.batch_size)):
            drop = with_dropout(head, n if fresh else 0, key, (epoch - 1) * n_steps + number)
            total += a_step(before, head, images[batch], labels[batch], settings, optimiser, drop)
        losses.append(total / len(labels))
    return network.eval(), losses


# Stacks against it


@pytest.mark.parametrize("model", [MODEL, MLP(hidden=(20, 12), dropout=True)], ids=["plain", "dropout"])
@pytest.mark.parametrize("of_seeds", [(1,), (1, 2)], ids=["one seed", "two seeds"])
def test_training_from_scratch_is_what_a_plain_loop_gives(of_seeds, model, digits):
    planned = experiments(digits, of_seeds, model=model, adv_bn=SCRATCH)
    without = train(experiments(digits, of_seeds, model=model), on_device(digits), show=False)
    together = train(planned, on_device(digits), show=False)
    for experiment, trained, other in zip(planned, together, without, strict=True):
        expected, losses = plain(experiment, digits)
        by_hand.assert_close(trained.model.state_dict(), expected.state_dict(), 1e-10)
        assert by_hand.deviation(trained.model.state_dict(), other.model.state_dict()) > 1e-3
        assert [past["train_loss"] for past in trained.history] == pytest.approx(losses, rel=1e-6)


@pytest.mark.parametrize("model", [MODEL, MLP(hidden=(20, 12), dropout=True)], ids=["plain", "dropout"])
@pytest.mark.parametrize("shuffle", [False, True], ids=["file order", "shuffled"])
def test_fine_tuning_is_what_a_plain_loop_gives(shuffle, model, digits):
    planned = experiments(digits, model=model, shuffle=shuffle, adv_bn=TUNED)
    before = train(experiments(digits, model=model, shuffle=shuffle), on_device(digits), show=False)
    for experiment, trained, other in zip(planned, train(planned, on_device(digits), show=False), before, strict=True):
        expected, _ = plain(experiment, digits, other.model)
        by_hand.assert_close(trained.model.state_dict(), expected.state_dict(), 1e-10)
        assert (trained.best_epoch, trained.history) == (other.best_epoch, other.history)
        assert not trained.model.training


def test_convolutions_equal_a_plain_version(digits):
    """Of channels, statistics are taken over images and places."""
    model = CNN1(channels=(3, 4), hidden=(8,))
    planned = experiments(digits, (1,), model=model, adv_bn=SCRATCH, epochs=1)
    modules = [build(model, (1, 28, 28), 10, seed=seed, dtype=torch.float64) for seed in (1, 2)]
    stack, images = Stack(modules, torch.tensor([1, 2])), on_device(digits).train_images[:9]
    labels, n = torch.arange(9), cut(modules[0])
    found = on_worst_statistics(cross_entropies, SCRATCH, n, stack, images, labels, 0)
    found.mean(1).sum().backward()
    for member, module in enumerate(modules):
        before, head = module[:n], module[n:]
        features, delta = before(images), torch.ones(2, 3, 1, 1, dtype=torch.float64)
        mean = features.mean((0, 2, 3), keepdim=True)[0]
        for _ in range(6):
            delta.requires_grad_(True)
            fixed = features.detach()
            x = torch.clamp((fixed - mean.detach()) * delta[0] + mean.detach() * delta[1], min=0)
            [gradient] = torch.autograd.grad(cross_entropy(head(x), labels), delta)
            delta = torch.clamp(delta.detach() + 0.2 * gradient.sign(), -0.1, 2.1)
        x = torch.clamp((features - mean) * delta[0] + mean * delta[1], min=0)
        losses = [cross_entropy(head(one), labels, reduction="none") for one in (features, x)]
        torch.testing.assert_close(found[member].detach(), sum(losses).detach(), rtol=0, atol=1e-10)
        sum(losses).mean().backward()
        for name, parameter in module.named_parameters():
            torch.testing.assert_close(stack.gradients[name][member], parameter.grad, rtol=0, atol=1e-10)
    assert all(train(planned, on_device(digits), show=False))


def test_only_layers_behind_the_first_hidden_one_are_fine_tuned(digits):
    decayed = replace(TUNED, optimiser=SGD(learning_rate=0.05, weight_decay=0.1))
    before = train(experiments(digits), on_device(digits), show=False)
    after = train(experiments(digits, adv_bn=decayed), on_device(digits), show=False)
    for one, other in zip(before, after, strict=True):
        for name, values in one.model.state_dict().items():
            assert torch.equal(values, other.model.state_dict()[name]) == name.startswith("1."), name


def test_both_epochs_are_fine_tuned_from_their_own_weights(digits):
    stopping = {"early_stopping": "half", "patience": 2, "epochs": 30}
    data = on_device(digits)
    plain_ones = train(experiments(digits, **stopping), data, at_control=True, show=False)
    planned = experiments(digits, **stopping, adv_bn=TUNED)
    apart = 0
    for experiment, one, other in zip(
        planned, plain_ones, train(planned, data, at_control=True, show=False), strict=True
    ):
        for before, after in ((one.model, other.model), (one.at_control, other.at_control)):
            expected, _ = plain(experiment, digits, before)
            by_hand.assert_close(after.state_dict(), expected.state_dict(), 1e-10)
        apart += one.best_epoch != plain_ones[3 * (experiment.seed - 1)].best_epoch
        assert other.best_epoch == one.best_epoch
    assert apart  # else nothing is tested
    assert all(one.at_control is None for one in train(planned, data, show=False))
    assert fine_tuned([], data) == []


def test_without_steps_nothing_is_perturbed(digits):
    """Fine-tuning alone: twice the usual loss."""
    alone = replace(TUNED, steps=0)
    planned = experiments(digits, adv_bn=alone)
    before = train(experiments(digits), on_device(digits), show=False)
    for experiment, trained, other in zip(planned, train(planned, on_device(digits), show=False), before, strict=True):
        images = by_hand.training_images(experiment, digits)
        labels, network = torch.tensor(by_hand.training_labels(experiment, digits)), other.model
        optimiser = by_hand.an_optimiser(network[3:], replace(experiment.protocol.training, optimiser=alone.optimiser))
        for epoch in range(3):
            for group in optimiser.param_groups:
                group["lr"] = 0.05 if epoch < 1 else 0.005
            for batch in torch.arange(len(labels)).split(16):
                optimiser.zero_grad()
                (2 * cross_entropy(network(images[batch]), labels[batch])).backward()
                optimiser.step()
        by_hand.assert_close(trained.model.state_dict(), network.state_dict(), 1e-10)


# What a perturbation is


def test_perturbed_features_have_the_statistics_that_they_were_given():
    features = 1 + torch.rand(2, 50, 3, dtype=torch.float64)
    scale, shift = (torch.tensor(of).double().view(1, 1, 3) for of in ([0.5, 1.0, 1.5], [1.0, 2.0, 1.5]))
    found = renormalised(features, scale, shift)
    torch.testing.assert_close(found.mean(1, keepdim=True), features.mean(1, keepdim=True) * shift)
    torch.testing.assert_close(found.std(1, keepdim=True), features.std(1, keepdim=True) * scale)
    assert torch.equal(renormalised(features, -scale, -shift), torch.zeros_like(features))  # above zero alone


@pytest.mark.parametrize(
    ("steps", "radius", "ends"), [(6, 1.1, {-0.1, 2.1}), (1, 1.1, {0.8, 1.2}), (6, 0.3, {0.7, 1.3})]
)
def test_factors_stay_within_the_radius_and_raise_the_loss(steps, radius, ends, digits):
    [trained] = train(experiments(digits)[:1], on_device(digits), show=False)
    stack = Stack([nn.Sequential(*trained.model[3:])], torch.tensor([1]))
    features = trained.model[:3](on_device(digits).train_images).detach()[None]
    labels, settings = torch.tensor(digits.train_labels), AdvBN(steps=steps, radius=radius)
    before = {name: values.clone() for name, values in stack.gradients.items()}
    scale, shift = worst(cross_entropies, settings, 0, stack, features, labels)
    assert all(torch.equal(values, before[name]) for name, values in stack.gradients.items())  # nothing is learnt
    assert scale.shape == shift.shape == (1, 1, 20)
    for factors in (scale, shift):
        assert factors.min() >= 1 - radius - 1e-12
        assert factors.max() <= 1 + radius + 1e-12
    reached = {round(float(value), 9) for value in torch.cat([scale, shift]).flatten()}
    assert ends <= reached
    with torch.no_grad():
        clean, perturbed = (
            float(cross_entropies(stack.logits(x), labels).mean())
            for x in (features, renormalised(features, scale, shift))
        )
    assert perturbed > clean + 0.01


def test_members_of_a_seed_differ_in_their_host_alone(digits):
    planned, data = experiments(digits, adv_bn=TUNED), on_device(digits)
    together = train([*planned, planned[0]], data, show=False)
    by_hand.assert_close(together[0].model.state_dict(), together[-1].model.state_dict(), 1e-12)
    for place in (1, 4):
        [alone] = train([planned[place]], data, show=False)
        by_hand.assert_close(together[place].model.state_dict(), alone.model.state_dict(), 1e-10)
    assert by_hand.deviation(together[1].model.state_dict(), together[2].model.state_dict()) > 1e-6


def test_ways_that_change_images_or_labels_go_with_it(digits):
    for changes in ({"mixup": 0.4}, {"label_smoothing": 0.1}, {"label_noise": 0.5}, {"optimiser": SGD(0.1)}):
        of = {}
        for way, adv_bn in (("scratch", SCRATCH), ("fine-tuned", TUNED), ("plain", None)):
            [trained] = train(experiments(digits, **changes, adv_bn=adv_bn)[1:2], on_device(digits), show=False)
            of[way] = trained.model.state_dict()
        assert by_hand.deviation(of["scratch"], of["plain"]) > 1e-3, changes
        assert by_hand.deviation(of["fine-tuned"], of["plain"]) > 1e-3, changes


# Through to the cards


@pytest.mark.parametrize("settings", [SCRATCH, TUNED], ids=["from scratch", "fine-tuned"])
def test_a_seed_is_trained_and_measured(settings):
    training = replace(tiny.PROTOCOL.training, adv_bn=settings)
    protocol = replace(tiny.PROTOCOL, roles=("canary", "placebo"), training=training, measure="compact card")
    with warnings.catch_warnings(action="error"):
        [(entry, measured)] = seeds.finish(protocol, [1])
    assert entry["identity"] == protocol.identity(1)
    plain = seeds.finish(replace(protocol, training=tiny.PROTOCOL.training), [1])[0][1]
    assert (plain.tables["models"]["loss"] != measured.tables["models"]["loss"]).all()
    same = plain.tables["models"]["train_loss"] == measured.tables["models"]["train_loss"]
    assert same.all() == (settings is TUNED)  # of the epochs before fine-tuning


def test_what_it_costs(digits):
    assert SCRATCH.passes == 8
    assert AdvBN(steps=0).passes == 2
    protocol = replace(tiny.PROTOCOL, training=replace(tiny.PROTOCOL.training, epochs=5))
    shape = (1, 28, 28)
    of = {
        way: estimate(replace(protocol, training=replace(protocol.training, adv_bn=adv_bn)), shape, 400)
        for way, adv_bn in (("plain", None), ("scratch", SCRATCH), ("fine-tuned", TUNED))
    }
    assert of["scratch"] == pytest.approx(8 * of["plain"])
    assert of["fine-tuned"] == pytest.approx((5 + 3 * 8) / 5 * of["plain"])


# Bad input


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps", -1, "cannot be negative, got -1"),
        ("steps", 1.5, "must be a whole number, got 1.5"),
        ("epochs", -2, "cannot be negative, got -2"),
        ("epochs", 2.5, "must be a whole number, got 2.5"),
        ("stride", 0.0, "must be above zero, got 0.0"),
        ("radius", -1.0, "must be above zero, got -1.0"),
        ("radius", float("nan"), "must be above zero, got nan"),
    ],
)
def test_bad_settings_are_one_line(name, value, message):
    with pytest.raises(ValueError, match=rf"^{name}: {message}$"):
        AdvBN(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("private", Private()), ("without_hosts", True)], ids=["private", "without hosts"]
)
def test_images_that_share_statistics_are_not_apart(name, value):
    with pytest.raises(ValueError, match=rf"^adv_bn: images share the statistics of their batch; leave {name} out$"):
        Training(adv_bn=AdvBN(), **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("distillation", Distillation()), ("forgetting", Forgetting())],
    ids=["distillation", "forgetting"],
)
def test_what_does_not_go_with_it(name, value):
    with pytest.raises(ValueError, match=rf"^adv_bn: does not go with {name}; leave one of the two out$"):
        Training(adv_bn=AdvBN(), **{name: value})


@pytest.mark.parametrize("model", [MLP(batch_norm=True), DenseNetBC()], ids=["mlp", "densenet_bc"])
def test_batch_norm_would_need_other_statistics(model):
    wanted = f"^adv_bn: batch norm in {model.name} would need statistics of its own where features are perturbed$"
    with pytest.raises(ValueError, match=wanted):
        Protocol("cifar10", model=model, training=Training(adv_bn=AdvBN()), scoring=replace(tiny.PROTOCOL.scoring))


def test_a_network_without_hidden_layers_has_no_features():
    with pytest.raises(ValueError, match="^adv_bn: a network without a ReLU has no features that could be perturbed$"):
        cut(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))


def test_a_diverging_model_is_named(digits):
    wild = replace(TUNED, optimiser=SGD(learning_rate=1e200))
    with pytest.raises(ValueError, match=r"^learning_rate: at 1e\+200 models diverged while they were fine-tuned$"):
        train(experiments(digits, adv_bn=wild), on_device(digits), show=False)
