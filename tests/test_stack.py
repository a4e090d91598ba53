"""A member of a stack is trained as it would be alone, whoever shares the stack."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from plain import assert_close, deviation, first, member, photographs, plain
from torch import nn
from torch.nn import functional as f

from ufm import training
from ufm.data.datasets import load
from ufm.data.on_device import to_device
from ufm.networks import CNN1, CNN2, MLP
from ufm.networks.build import build
from ufm.protocol import SGD, Training
from ufm.randomness import counters
from ufm.training import (
    Alone,
    Feed,
    evaluate,
    evaluate_stack,
    evaluation,
    layers,
    operations,
    stacked,
    train,
    train_epoch,
)
from ufm.training.optimiser import Adam
from ufm.training.stack import Stack

FIFTY = Training(learning_rate=1e-3, batch_size=13, epochs=5, early_stopping="none", precision="float64")
MLP_, CNN1_, CNN2_ = MLP(hidden=(32, 16)), CNN1(channels=(4, 8), hidden=(16, 16)), CNN2(channels=(4, 8), hidden=(32,))
EVERYTHING = {"batch_norm": True, "dropout": True, "augmentation": True}
VARIANTS = {
    "mlp": (MLP_, {}),
    "mlp, batch norm": (replace(MLP_, batch_norm=True), {}),
    "mlp, dropout": (replace(MLP_, dropout=True), {}),
    "mlp, augmentation": (replace(MLP_, augmentation=True), {}),
    "mlp, dropout + augmentation": (replace(MLP_, dropout=True, augmentation=True), {}),
    "mlp, weight decay": (MLP_, {"weight_decay": 0.1}),
    "mlp, shuffle": (MLP_, {"shuffle": True}),
    "mlp, SGD": (replace(MLP_, batch_norm=True), {"optimiser": SGD()}),
    "mlp, everything": (replace(MLP_, **EVERYTHING), {"weight_decay": 0.1, "shuffle": True}),
    "cnn1": (CNN1_, {}),
    "cnn2": (CNN2_, {}),
    "cnn2, batch norm": (replace(CNN2_, batch_norm=True), {}),
    "cnn2, dropout": (replace(CNN2_, dropout=True), {}),
    "cnn2, augmentation": (replace(CNN2_, augmentation=True), {}),
    "cnn2, dropout + augmentation": (replace(CNN2_, dropout=True, augmentation=True), {}),
    "cnn2, everything": (replace(CNN2_, **EVERYTHING), {"weight_decay": 0.1, "shuffle": True}),
}


@pytest.fixture(scope="module")
def data():
    """Ten batches of 13 images, the last one shorter, by the kind of model: digits, and photographs for CNN-2."""
    digits = first(load("digits", n_train=400, part=1), 125, 60)
    return {"mlp": digits, "cnn1": digits, "cnn2": photographs(125, 60, size=12)}


def members(data, model, settings):
    """Three members of two seeds, and of each role; one host is amid the images, the other the last of them."""
    middle, last = len(data.train_labels) // 3, len(data.train_labels) - 1
    return [
        member(data, "control", model, settings),
        member(data, "canary", model, settings, at=middle),
        member(data, "placebo", model, settings, seed=4, host="hard", at=last),
    ]


# A plain loop


@pytest.mark.parametrize("variant", VARIANTS)
def test_members_equal_a_plain_loop_over_the_first_50_steps(variant, data):
    model, changes = VARIANTS[variant]
    images = data[model.name]
    experiments = members(images, model, replace(FIFTY, **changes))
    for one in train(experiments, to_device(images, precision="float64"), snapshots=[1, 3]):
        expected = plain(one.experiment, images)
        assert one.best_epoch == len(one.history) == 5
        for epoch, network in {**one.snapshots, 5: one.model}.items():
            assert_close(network.state_dict(), expected.weights[epoch - 1], 1e-8)
        for name in ("train_loss", "stopping_loss"):
            assert [past[name] for past in one.history] == pytest.approx(getattr(expected, name), rel=1e-8)


@pytest.mark.parametrize("variant", ["mlp", "mlp, everything", "cnn2, dropout + augmentation"])
def test_single_precision_stays_close_over_the_first_50_steps(variant, data):
    model, changes = VARIANTS[variant]
    images = data[model.name]
    # With so large an epsilon Adam does not blow up what rounding leaves of a gradient that is zero.
    settings = replace(FIFTY, precision="float32", epsilon=1e-3, **changes)
    trained = train(members(images, model, settings), to_device(images))
    apart = [deviation(one.model.state_dict(), plain(one.experiment, images).weights[-1]) for one in trained]
    # Where rounding turns a unit on or off, a model goes a way of its own; few ever meet that.
    assert sorted(apart)[1] < 1e-4


@pytest.mark.parametrize(
    ("model", "patience"), [(MLP(hidden=(128, 64)), 3), (CNN2(channels=(8, 16), hidden=(256,)), 1)], ids=["mlp", "cnn2"]
)
def test_members_equal_a_plain_loop_through_to_early_stopping(model, patience):
    images = first(load("digits", n_train=400, part=1), 128, 80)
    settings = Training(0.01, batch_size=32, epochs=30, patience=patience, precision="float64")
    experiments = members(images, model, settings)[1:]
    for one in train(experiments, to_device(images, precision="float64")):
        expected = plain(one.experiment, images)
        assert len(one.history) == len(expected.weights) < 30
        assert one.best_epoch == expected.best_epoch == len(one.history) - patience
        assert_close(one.model.state_dict(), expected.weights[one.best_epoch - 1], 1e-6)


@pytest.mark.parametrize("model", [MLP(), CNN1(), CNN2()], ids=lambda model: model.name)
def test_members_of_full_width_equal_a_plain_loop_over_5_steps(model):
    images = photographs(10, 20) if model.name == "cnn2" else first(load("digits", n_train=400, part=1), 10, 20)
    settings = replace(FIFTY, epochs=1, batch_size=2)
    for one in train(members(images, model, settings)[1:], to_device(images, precision="float64")):
        assert_close(one.model.state_dict(), plain(one.experiment, images).weights[0], 1e-9)


def test_colour_images_of_full_size_equal_a_plain_loop():
    images = photographs(26, 20)
    settings = replace(FIFTY, epochs=2)
    for model in (replace(MLP_, **EVERYTHING), CNN1_, replace(CNN2_, **EVERYTHING)):
        experiments = [member(images, "canary", model, settings, at=20), member(images, "control", model, settings)]
        for one in train(experiments, to_device(images, precision="float64")):
            assert_close(one.model.state_dict(), plain(one.experiment, images).weights[1], 1e-8)


# Company


@pytest.mark.parametrize("variant", ["mlp", "mlp, everything", "cnn2, everything"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_members_result_does_not_depend_on_who_shares_its_stack(variant, precision, data):
    model, changes = VARIANTS[variant]
    images = data[model.name]
    settings = replace(FIFTY, precision=precision, epsilon=1e-3, epochs=2 if model.name == "cnn2" else 5, **changes)
    on_device = to_device(images, precision=precision)
    three = members(images, model, settings)
    together, apart = train(three, on_device), []
    for others in ([2], [2, 0], [1, 2, 1, 1]):
        for place, one in zip(others, train([three[place] for place in others], on_device), strict=True):
            apart.append(deviation(one.model.state_dict(), together[place].model.state_dict()))
    assert max(apart) < 1e-9 if precision == "float64" else np.median(apart) < 1e-4


def test_twins_in_different_places_of_a_stack_agree(data):
    for variant in ("mlp, everything", "cnn2, everything"):
        model, changes = VARIANTS[variant]
        images = data[model.name]
        control, canary, placebo = members(images, model, replace(FIFTY, epochs=2, **changes))
        ends = train([control, canary, placebo, canary, control], to_device(images, precision="float64"))
        for one, other in ((0, 4), (1, 3)):
            assert_close(ends[one].model.state_dict(), ends[other].model.state_dict(), 1e-9)
        assert deviation(ends[0].model.state_dict(), ends[1].model.state_dict()) > 1e-6


@pytest.mark.parametrize("variant", ["mlp", "mlp, everything", "cnn1", "cnn2, everything"])
def test_equal_seeds_agree_to_the_bit_between_two_calls_and_others_differ(variant, data):
    model, changes = VARIANTS[variant]
    images = data[model.name]
    experiments = [member(images, "control", model, replace(FIFTY, epochs=1, **changes), seed=seed) for seed in (1, 4)]
    first_, again = (train(experiments, to_device(images, precision="float64")) for _ in range(2))
    for one, other in zip(first_, again, strict=True):
        assert deviation(one.model.state_dict(), other.model.state_dict()) == 0
        assert one.history == other.history
    assert deviation(first_[0].model.state_dict(), first_[1].model.state_dict()) > 1e-3


# What members of a seed share


def test_members_of_a_seed_drop_the_same_units_and_others_do_not(data):
    network = replace(MLP_, dropout=True)
    experiments = [member(data["mlp"], "control", network, FIFTY, seed=seed) for seed in (1, 4, 1)]
    on_device = to_device(data["mlp"], precision="float64")
    stack = training.stack_of(experiments, on_device)

    def dropped(values, number, rate, step):
        return training.stacked(nn.Dropout(rate), number).forward(stack, values, step)

    ones = torch.ones(3, 20, 32, dtype=torch.float64)
    one, other, twin = dropped(ones, 3, 0.5, step=7)
    assert torch.equal(one, twin)
    assert not torch.equal(one, other)
    assert set(one.unique().tolist()) == {0, 2}
    kept = dropped(torch.ones(3, 100, 320, dtype=torch.float64), 3, 0.2, step=7)
    assert kept.unique().tolist() == [0, 1.25]
    assert (kept > 0).double().mean().item() == pytest.approx(0.8, abs=0.01)
    for changed in (dropped(ones, 6, 0.5, step=7), dropped(ones, 3, 0.5, step=8)):
        assert not torch.equal(changed[0], one)
    assert torch.equal(dropped(ones, 3, 0.5, step=7)[0], one)


def test_members_of_a_seed_see_the_same_augmented_images_and_others_do_not(data):
    network = replace(MLP_, augmentation=True)
    experiments = [member(data["mlp"], "control", network, FIFTY, seed=seed) for seed in (1, 4, 1)]
    feed = Feed(experiments, to_device(data["mlp"], precision="float64"))
    for _, images, _ in feed.epoch(1, [0, 1, 2]):
        assert torch.equal(images[0], images[2])
        assert not torch.equal(images[0], images[1])
    (_, one, _), (_, other, _) = (next(feed.epoch(epoch, [0, 1, 2])) for epoch in (1, 2))
    assert not torch.equal(one, other)
    # Those who remain see what they would have seen.
    for (_, all_, _), (_, some, _) in zip(feed.epoch(2, [0, 1, 2]), feed.epoch(2, [1, 2]), strict=True):
        assert torch.equal(some, all_[1:])
    assert all(images.dim() == 4 for _, images, _ in feed.epoch(3, [0, 2]))  # one seed, one copy of the images


def test_members_of_a_seed_see_the_images_in_the_same_order_and_others_do_not(data):
    settings = replace(FIFTY, shuffle=True)
    experiments = [member(data["mlp"], "control", MLP_, settings, seed=seed) for seed in (1, 4, 1)]
    experiments.append(member(data["mlp"], "canary", MLP_, settings, at=77))
    on_device = to_device(data["mlp"], precision="float64")
    feed, orders = Feed(experiments, on_device), []
    for epoch in (1, 2):
        batches = list(feed.epoch(epoch, [0, 1, 2, 3]))
        images, labels = (torch.cat([one[place] for one in batches], dim=1) for place in (1, 2))
        assert [one[0] for one in batches] == list(range(10 * epoch - 10, 10 * epoch))
        assert torch.equal(images[0], images[2])
        assert not torch.equal(images[0], images[1])
        order = feed.order(experiments[0], epoch)
        assert sorted(order.tolist()) == list(range(125))
        assert torch.equal(images[0], on_device.train_images[order])
        assert torch.equal(labels[3], on_device.train_labels[order])
        different = (images[3] != images[0]).flatten(1).any(1)
        assert order[different].tolist() == [77]
        orders.append(order.tolist())
    assert orders[0] != orders[1]


# The stack itself


def stack(model, *, n=3, image_shape=(1, 28, 28), dtype=torch.float64):
    modules = [build(model, image_shape, 10, seed=seed, dtype=dtype) for seed in range(n)]
    return modules, Stack(modules, torch.arange(n))


def shaken(module, seed=0):
    """The network with other biases, and other values in its norms."""
    generator = torch.Generator().manual_seed(seed)
    for name, values in module.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            values += 0.1 * torch.rand(values.shape, generator=generator, dtype=values.dtype)
    return module.eval()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stack_evaluates_as_its_networks_do(variant, data):
    model, _ = VARIANTS[variant]
    on_device = to_device(data[model.name], precision="float64")
    shape = data[model.name].train_images.shape[1:]
    modules = [shaken(build(model, shape, 10, seed=seed, dtype=torch.float64), seed) for seed in range(3)]
    stacked = Stack(modules, torch.arange(3))
    images = on_device.stopping_images
    own = torch.stack([images, images.flip(0), images.flip(-1)])
    with torch.no_grad():
        for given in (images, own):
            expected = torch.stack(
                [module(given if given.dim() == 4 else given[m]) for m, module in enumerate(modules)]
            )
            np.testing.assert_allclose(stacked.logits(given), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("at_once", [100, 1_000_000])
@pytest.mark.parametrize("variant", ["mlp", "mlp, batch norm", "cnn1"])
def test_losses_and_accuracies_are_those_of_each_network(variant, at_once, data, monkeypatch):
    model, _ = VARIANTS[variant]
    monkeypatch.setattr(evaluation, "EVALUATED", at_once)
    on_device = to_device(load("digits", n_train=400, part=1), precision="float64")
    modules = [shaken(build(model, (1, 28, 28), 10, seed=seed, dtype=torch.float64), seed) for seed in range(3)]
    images, labels = on_device.stopping_images, on_device.stopping_labels
    assert len(images) > 200
    found = evaluate_stack(Stack(modules, torch.arange(3)), images, labels)
    for module, loss, accuracy in zip(modules, *found, strict=True):
        assert (loss, accuracy) == pytest.approx(evaluate(module, images, labels), rel=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_are_those_of_each_network(variant, data):
    """Of the same images for all, and of others for each; a second pass leaves nothing of the first."""
    model, _ = VARIANTS[variant]
    model = replace(model, dropout=False)
    images, labels = (getattr(to_device(data[model.name], precision="float64"), f"train_{name}") for name in KINDS)
    modules, stacked = stack(model, image_shape=images.shape[1:])
    own = torch.stack([images[start : start + 9] for start in (9, 20, 40)])
    for given in (images[:7], own, images[50:59]):
        logits = stacked.logits(given, step=0)
        nn.functional.cross_entropy(logits.flatten(0, 1), labels[:9][: logits.shape[1]].repeat(3)).backward()
        for m, module in enumerate(modules):
            module.train().zero_grad()
            mine = given if given.dim() == 4 else given[m]
            (nn.functional.cross_entropy(module(mine), labels[: len(mine)]) / 3).backward()
            for name, parameter in module.named_parameters():
                np.testing.assert_allclose(stacked.gradients[name][m], parameter.grad, rtol=0, atol=1e-13)
            assert_close(stacked.state(m), module.state_dict(), 1e-12)


KINDS = ("images", "labels")


def test_only_batch_norm_changes_what_evaluation_does_not_learn(data):
    images = to_device(data["mlp"], precision="float64").train_images
    _, stacked = stack(replace(MLP_, batch_norm=True, dropout=True))
    before = [stacked.state(m) for m in range(3)]
    stacked.logits(images)
    assert all(deviation(stacked.state(m), before[m]) == 0 for m in range(3))
    stacked.logits(images, step=0)
    changed = {name for name, values in stacked.state(0).items() if not torch.equal(values, before[0][name])}
    assert changed == {f"{number}.running_{name}" for number in (2, 6) for name in ("mean", "var")}


def test_members_that_leave_take_all_of_theirs_with_them(data):
    """Weights, gradients, moments, running statistics and dropout of those who stay are as if they had been alone."""
    model = replace(MLP_, batch_norm=True, dropout=True)
    on_device = to_device(data["mlp"], precision="float64")
    experiments = members(data["mlp"], model, replace(FIFTY, weight_decay=0.1))

    def started(some):
        stacked = training.stack_of(some, on_device)
        return stacked, Adam(stacked, learning_rate=1e-3, epsilon=1e-7, weight_decay=0.1), Feed(some, on_device)

    all_, optimiser, feed = started(experiments)
    train_epoch(all_, optimiser, feed.epoch(1, [0, 1, 2]))
    optimiser.keep(torch.tensor([2, 1]))
    assert len(all_) == len(all_.logits(on_device.stopping_images)) == 2
    train_epoch(all_, optimiser, feed.epoch(2, [2, 1]))
    some, optimiser, feed = started([experiments[2], experiments[1]])
    for epoch in (1, 2):
        train_epoch(some, optimiser, feed.epoch(epoch, [0, 1]))
    for m in range(2):
        assert_close(all_.state(m), some.state(m), 1e-8)


def test_a_members_state_is_a_copy(data):
    modules, stacked = stack(MLP_)
    state = stacked.state(1)
    assert state.keys() == modules[1].state_dict().keys()
    assert deviation(state, modules[1].state_dict()) == 0
    for values in state.values():
        values.zero_()
    assert deviation(stacked.state(1), modules[1].state_dict()) == 0


def test_a_layer_that_a_stack_does_not_know_is_named():
    with pytest.raises(TypeError, match="^a stack has no Tanh$"):
        Stack([nn.Sequential(nn.Flatten(), nn.Tanh())], torch.zeros(1, dtype=torch.int64))


def test_every_layer_has_a_number_for_its_draws():
    for model in (MLP(**EVERYTHING), CNN1(), CNN2(**EVERYTHING)):
        assert len(model.layers((3, 32, 32), 10)) < training.AUGMENTATION_LAYER < counters.LAYERS


# Convolutions in groups, as on a GPU


@pytest.fixture
def grouped(monkeypatch):
    """From now on convolutions go in groups; gives how many groups each had."""
    seen, convolve = [], operations.GroupedConvolution.apply

    def spied(x, *rest):
        seen.append(len(x) if x.dim() == 5 else 1)
        return convolve(x, *rest)

    def begin():
        monkeypatch.setitem(layers.GROUPED, "cpu", True)
        monkeypatch.setattr(operations.GroupedConvolution, "apply", spied)
        return seen

    return begin


CONVOLUTIONAL = [name for name in VARIANTS if name.startswith("cnn")]


@pytest.mark.parametrize("variant", CONVOLUTIONAL)
def test_groups_give_the_logits_and_gradients_of_member_by_member(variant, data, grouped):
    """Of the same images for all, and of others for each, dropped units and running statistics included."""
    model, _ = VARIANTS[variant]
    given, labels = (getattr(to_device(data[model.name], precision="float64"), f"train_{name}") for name in KINDS)
    own = torch.stack([given[start : start + 9] for start in (9, 20, 40)])

    def passed():
        found, (_, stacked) = [], stack(model, image_shape=given.shape[1:])
        for step, images in enumerate((given[:9], own, given[50:59])):
            logits = stacked.logits(images, step=step)
            nn.functional.cross_entropy(logits.flatten(0, 1), labels[:9].repeat(3)).backward()
            values = (stacked.logits(images), logits, *stacked.gradients.values(), *stacked.weights.values())
            found.append([one.detach().clone() for one in values])
        return found

    expected, seen = passed(), grouped()
    for one, other in zip(passed(), expected, strict=True):
        for values, wanted in zip(one, other, strict=True):
            np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-12)
    n = len(model.channels) * (2 if model.name == "cnn2" else 1)
    # Images that members share need no groups; each pass is one in training and one in evaluation.
    assert seen == [*[1, *[3] * (n - 1)] * 2, *[3] * n * 2, *[1, *[3] * (n - 1)] * 2]


@pytest.mark.parametrize("variant", CONVOLUTIONAL)
def test_groups_equal_a_plain_loop_through_to_early_stopping(variant, data, grouped):
    model, changes = VARIANTS[variant]
    images = data[model.name]
    settings = replace(
        FIFTY, learning_rate=3e-3, batch_size=25, epochs=12, patience=1, early_stopping="half", **changes
    )
    experiments, seen = members(images, model, settings), grouped()
    ends = set()
    for one in train(experiments, to_device(images, precision="float64")):
        expected = plain(one.experiment, images)
        assert len(one.history) == len(expected.weights)
        ends.add(len(one.history))
        assert one.best_epoch == expected.best_epoch
        assert_close(one.model.state_dict(), expected.weights[one.best_epoch - 1], 1e-8)
    assert seen
    assert len(ends) > 1  # some have left before others


def test_only_a_gpu_has_groups(data, monkeypatch):
    assert layers.GROUPED == {"cpu": False, "cuda": True}
    monkeypatch.setattr(operations.GroupedConvolution, "apply", lambda *_: pytest.fail("a convolution went in groups"))
    stack(CNN2_, image_shape=(3, 12, 12))[1].logits(torch.rand(2, 3, 12, 12, dtype=torch.float64))


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_strides_and_dilation_are_those_of_the_layer(groups, own, grouped):
    torch.manual_seed(0)
    seen = grouped() if groups else None
    modules = [
        nn.Sequential(
            nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
            nn.MaxPool2d(2, stride=1),
            nn.Conv2d(4, 3, 2, stride=2),
            nn.Flatten(),
            nn.Linear(3 * 1 * 2, 2),
        ).double()
        for _ in range(3)
    ]
    stacked_, given = Stack(modules, torch.arange(3)), torch.rand(3, 5, 2, 6, 7, dtype=torch.float64)
    logits = stacked_.logits(given if own else given[0], step=0)
    logits.square().sum().backward()
    for m, module in enumerate(modules):
        alone = module(given[m if own else 0])
        np.testing.assert_allclose(logits[m].detach(), alone.detach(), rtol=0, atol=1e-12)
        alone.square().sum().backward()
        for name, parameter in module.named_parameters():
            np.testing.assert_allclose(stacked_.gradients[name][m], parameter.grad, rtol=0, atol=1e-12)
    assert seen is None or seen == [3 if own else 1, 3]


@pytest.mark.parametrize(("model", "n_channels"), [(CNN1_, 1), (CNN1_, 3), (CNN2_, 1), (CNN2_, 3)])
def test_images_and_gradients_of_a_member_lie_in_memory_as_convolutions_take_them(model, n_channels, monkeypatch):
    """Also where a single channel could lie either way, and where a pool has its gradient from a flat layer."""
    _, stacked_ = stack(model, image_shape=(n_channels, 12, 12))
    given, back = [], []

    def taken(x, kernels, *others):
        made = f.conv2d(x, kernels, *others)
        given.append((x, made))
        return made

    def taken_back(output, *others):
        back.append(output)
        return of_torch(output, *others)

    of_torch = operations.convolution_backward
    monkeypatch.setattr(operations, "f", SimpleNamespace(conv2d=taken))
    monkeypatch.setattr(operations, "convolution_backward", taken_back)
    stacked_.logits(torch.rand(5, n_channels, 12, 12, dtype=torch.float64), step=0).sum().backward()
    assert len(given) == len(back) == len(stacked_) * sum(isinstance(one, nn.Conv2d) for one in stacked_.template)
    assert all(lies_so(images) for both in given for images in both)
    assert all(lies_so(output) for output in back)


class Kept(torch.autograd.Function):
    """The images as they are; keeps how their gradients come back."""

    came = []

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, output):
        Kept.came.append(output)
        return output


class Watched(nn.MaxPool2d):
    """A pool that keeps the gradients which it gets."""

    def forward(self, x):
        return Kept.apply(super().forward(x))


def test_a_pool_gets_gradients_from_a_flat_layer_as_images_lie_in_memory(monkeypatch):
    monkeypatch.setattr(Kept, "came", [])
    modules = [
        nn.Sequential(nn.Conv2d(3, 4, 3), Watched(2), nn.Flatten(), nn.Linear(4 * 5 * 5, 2)).double() for _ in range(3)
    ]
    Stack(modules, torch.arange(3)).logits(torch.rand(5, 3, 12, 12, dtype=torch.float64), step=0).sum().backward()
    assert len(Kept.came) == 3
    assert all(lies_so(gradient) for gradient in Kept.came)


def lies_so(images):
    """Whether channels lie last in memory, by the strides."""
    n_channels, width = images.shape[1], images.shape[3]
    return images.stride() == (n_channels * images[0, 0].numel(), 1, n_channels * width, n_channels)


# What is added from outside


class Shift(nn.Module):
    """A layer that torch does not have."""

    def __init__(self, size):
        super().__init__()
        self.shift = nn.Parameter(torch.rand(size))

    def forward(self, x):
        return x + self.shift.sin()


stacked.register(nn.LayerNorm, Alone)
stacked.register(nn.GroupNorm, Alone)
stacked.register(Shift, Alone)


@pytest.mark.parametrize("groups", [False, True])
def test_a_kind_of_layer_can_be_registered_from_outside(groups, grouped):
    """Normalisations in the middle of a network, several steps, and a member that leaves."""
    torch.manual_seed(0)
    if groups:
        grouped()
    modules = [
        nn.Sequential(
            *(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.MaxPool2d(2), nn.Flatten()),
            *(Shift(8), nn.Linear(8, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 3)),
        ).double()
        for _ in range(3)
    ]
    stacked_ = Stack(modules, torch.arange(3))
    optimisers = [torch.optim.SGD(module.parameters(), lr=0.1) for module in modules]
    mine = training.SGD(stacked_, learning_rate=0.1, momentum=0.0, weight_decay=0.0)
    there = [0, 1, 2]
    for step, images in enumerate(torch.rand(4, 5, 1, 8, 8, dtype=torch.float64)):
        if step == 2:
            mine.keep(torch.tensor([2, 0]))
            there = [2, 0]
        mine.backward(stacked_.logits(images, step=step).square().sum(2))
        mine.step()
        for place, m in enumerate(there):
            optimisers[m].zero_grad()
            modules[m](images).square().sum(1).mean().backward()
            optimisers[m].step()
            assert_close(stacked_.state(place), modules[m].state_dict(), 1e-12)


# Precision of products


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize("variant", ["mlp", "mlp, batch norm", "cnn2", "cnn2, batch norm"])
def test_autocast_is_as_coarse_as_torchs_own_and_gradients_are_not(variant, groups, data, grouped):
    model, _ = VARIANTS[variant]
    if groups:
        grouped()
    given, labels = (getattr(to_device(data[model.name]), f"train_{name}") for name in KINDS)
    modules, exact = stack(model, image_shape=given.shape[1:], dtype=torch.float32)
    _, coarse = stack(model, image_shape=given.shape[1:], dtype=torch.float32)
    optimisers = [Adam(one, learning_rate=1e-3, epsilon=1e-7) for one in (exact, coarse)]
    optimisers[0].backward(evaluation.cross_entropies(exact.logits(given, step=0), labels))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = coarse.logits(given, step=0)
        optimisers[1].backward(evaluation.cross_entropies(logits, labels))
    assert logits.dtype == torch.bfloat16
    for m, module in enumerate(modules):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            nn.functional.cross_entropy(module.train()(given), labels).backward()
        mine, theirs = 0.0, 0.0
        for name, parameter in module.named_parameters():
            assert coarse.gradients[name].dtype == torch.float32
            mine += float((coarse.gradients[name][m] - exact.gradients[name][m]).square().sum())
            theirs += float((parameter.grad - exact.gradients[name][m]).square().sum())
        assert 0 < mine < 2 * theirs
