"""Forgetting against a plain loop over one model, and against values worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import plain as by_hand
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.networks import MLP
from ufm.networks.build import build
from ufm.protocol import SGD, Distillation, Forgetting, Protocol, Training, hosts, to_forget
from ufm.randomness.streams import stream
from ufm.training import Feed, Stack, evaluate, train
from ufm.training import forgetting as ours
from ufm.training.evaluation import LEFT_OUT

MODEL, SHAPE, N_CLASSES = MLP(hidden=(7, 6)), (1, 4, 4), 5
SEEDS = (0, 1, 2)
SEED = 4  # of those that train on the first part of the digits


class Normalised:
    """What stands for data on a device: pixels less a half, times four."""

    @staticmethod
    def normalise(images):
        return 4 * (images - 0.5)


def modules() -> list[nn.Sequential]:
    return [build(MODEL, SHAPE, N_CLASSES, seed=seed, dtype=torch.float64) for seed in SEEDS]


def a_stack() -> Stack:
    return Stack(modules(), torch.zeros(len(SEEDS), dtype=torch.int64))


def images(*leading: int, seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(size=(*leading, *SHAPE)))


def labels(*leading: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(2).integers(N_CLASSES, size=leading))


# The attack


def attacked_alone(module, image, target, start, settings) -> torch.Tensor:
    """Targeted L2-PGD on one image, with torch's autograd."""

    def nearer(moved):
        length = math.sqrt(float((moved**2).sum()))
        return moved if length <= settings.radius else moved / length * settings.radius

    moved = nearer(start - image)
    for _ in range(settings.iterations):
        x = (image + moved).clone().requires_grad_()
        cross_entropy(module(4 * (x[None] - 0.5)), target[None]).backward()
        moved = moved - settings.stride * x.grad / max(1e-6, math.sqrt(float((x.grad**2).sum())))
        pixels = image + moved
        pixels[pixels < 0], pixels[pixels > 1] = 0, 1
        moved = nearer(pixels - image)
    return image + moved


@pytest.mark.parametrize("radius", [0.4, 1.5, 100.0])
def test_an_attack_is_a_plain_loop_over_images(radius):
    settings = Forgetting(radius=radius, stride=0.3, iterations=7)
    given, starts, targets = images(3, 6), images(3, 6, seed=4), labels(3, 6)
    found = ours.attacked(a_stack(), given, targets, starts, Normalised, settings)
    for m, module in enumerate(modules()):
        for n in range(6):
            alone = attacked_alone(module, given[m, n], targets[m, n], starts[m, n], settings)
            np.testing.assert_allclose(found[m, n], alone, atol=1e-12)
    differences = (found - given).flatten(2).norm(dim=2)
    assert float(differences.max()) <= radius + 1e-12
    assert (float(differences.max()) == pytest.approx(radius)) == (radius < 2)  # the largest is on the surface
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1


class Towards(nn.Module):
    """A network of two classes and two pixels: the second's logit is 3 and 4 times the pixels."""

    def __init__(self):
        super().__init__()
        self.weight = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)

    def logits(self, x, *, step=None):
        return x.flatten(2) @ self.weight.T


class AsTheyAre:
    """Data whose images are given as they are."""

    @staticmethod
    def normalise(images):
        return images


def pixels(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, 1, 2)


@pytest.mark.parametrize(
    ("image", "start", "settings", "expected"),
    [
        # The gradient has the direction (3, 4), its norm is 1 whatever the loss: one step of 0.1 is (0.06, 0.08).
        ((0.5, 0.5), (0.5, 0.5), Forgetting(radius=1.0, stride=0.1, iterations=1), (0.56, 0.58)),
        # Five steps of 0.1 leave the ball of 0.3 after the third: its surface is at (0.18, 0.24).
        ((0.5, 0.5), (0.5, 0.5), Forgetting(radius=0.3, stride=0.1, iterations=5), (0.68, 0.74)),
        # The second pixel ends at 1; the first goes on alone: 0.5 + 8 · 0.06.
        ((0.5, 0.9), (0.5, 0.9), Forgetting(radius=9.0, stride=0.1, iterations=8), (0.98, 1.0)),
        # One that starts outside begins on the surface, at (0, 0.5): (0.06, 0.58) is (0.05145, 0.49735) there.
        ((0.1, 0.1), (0.1, 0.9), Forgetting(radius=0.5, stride=0.1, iterations=1), (0.1514495755, 0.5973458967)),
        # First the range of pixels, to (1.0, 0.8), then the ball.
        ((1.0, 0.4), (1.0, 0.4), Forgetting(radius=0.3, stride=0.5, iterations=1), (1.0, 0.7)),
    ],
)
def test_an_attack_by_hand(image, start, settings, expected):
    found = ours.attacked(Towards(), pixels(*image), torch.tensor([[1]]), pixels(*start), AsTheyAre, settings)
    np.testing.assert_allclose(found.flatten(), expected, atol=1e-12)


# Importance


def test_unimportance_is_a_plain_loop_over_weights():
    given = Normalised.normalise(images(3, 2))
    found = ours.unimportance(a_stack(), given)
    for m, module in enumerate(modules()):
        total = sum(torch.sqrt((module(image[None]) ** 2).sum()) for image in given[m]) / 2
        total.backward()
        for name, parameter in module.named_parameters():
            sizes = parameter.grad.abs().flatten().tolist()
            expected = [1 - (one - min(sizes)) / (max(sizes) - min(sizes)) for one in sizes]
            np.testing.assert_allclose(found[name][m].flatten(), expected, atol=1e-10)
    assert {float(values.min()) for values in found.values()} == {0.0}
    assert {float(values.max()) for values in found.values()} == {1.0}


def test_where_no_weight_matters_all_are_held():
    [dead] = [build(MODEL, SHAPE, N_CLASSES, seed=0, dtype=torch.float64)]
    with torch.no_grad():
        for parameter in dead.parameters():
            parameter.zero_()
    held = ours.unimportance(Stack([dead], torch.zeros(1, dtype=torch.int64)), images(1, 1))
    assert {float(values.min()) for values in held.values()} == {1.0}


# Ascent


def ascended_alone(module, given, answers, n_hosts, settings) -> int:
    """Forget with torch's own optimiser, and tell in how many steps."""
    matrices = [one for one in module.parameters() if one.dim() > 1]
    others = [one for one in module.parameters() if one.dim() == 1]
    sgd = settings.optimiser
    optimiser = torch.optim.SGD(
        [{"params": matrices, "weight_decay": sgd.weight_decay}, {"params": others}],
        lr=sgd.learning_rate,
        momentum=sgd.momentum,
    )
    before = [parameter.detach().clone() for parameter in module.parameters()]
    torch.sqrt((module(given[:n_hosts]) ** 2).sum(1)).mean().backward()
    sizes = [parameter.grad.abs() for parameter in module.parameters()]
    held = [1 - (one - one.min()) / (one.max() - one.min()) for one in sizes]
    for step in range(settings.steps):
        answered = module(given[:n_hosts]).argmax(1)
        fitted = [n for n in range(n_hosts) if answered[n] == answers[n]]
        if not fitted:
            return step
        optimiser.zero_grad()
        loss = -sum(cross_entropy(module(given[n][None]), answers[n][None]) for n in fitted)
        for n in range(n_hosts, len(given)):
            loss = loss + cross_entropy(module(given[n][None]), answers[n][None])
        loss = loss / len(given)
        for share, parameter, first in zip(held, module.parameters(), before, strict=True):
            loss = loss + settings.importance * (share * (parameter - first) ** 2).sum() / 2
        loss.backward()
        optimiser.step()
    return settings.steps


@pytest.mark.parametrize("importance", [0.0, 5.0])
@pytest.mark.parametrize(("n_hosts", "n_images"), [(1, 1), (1, 5), (2, 8)])
def test_ascent_is_a_plain_loop(importance, n_hosts, n_images):
    settings = Forgetting(SGD(learning_rate=0.02, momentum=0.8, weight_decay=0.01), steps=25, importance=importance)
    given = Normalised.normalise(images(3, n_images))
    expected, answers = [], []
    for m, module in enumerate(modules()):
        fitted = module(given[m]).argmax(1)
        beside = (fitted + torch.arange(n_images) % 4 + 1) % N_CLASSES
        # The first model fits its hosts, the second none of them, the third the last one.
        right = torch.tensor([[True] * n_hosts, [False] * n_hosts, [False] * (n_hosts - 1) + [True]][m])
        answers.append(torch.cat([torch.where(right, fitted[:n_hosts], beside[:n_hosts]), beside[n_hosts:]]))
        steps = ascended_alone(module, given[m], answers[m], n_hosts, settings)
        expected.append((module.state_dict(), steps))
    found = ours.ascended(a_stack(), given, torch.stack(answers), n_hosts, Training(forgetting=settings))
    assert [steps for _, steps in found] == [steps for _, steps in expected]
    assert found[1][1] == 0 < found[0][1]
    for (state, _), (alone, _) in zip(found, expected, strict=True):
        by_hand.assert_close(state, alone, 1e-12)


def test_who_fits_no_host_is_left_as_it_is():
    given = images(3, 1)
    wrong = torch.stack([(module(one).argmax(1) + 1) % N_CLASSES for module, one in zip(modules(), given, strict=True)])
    for (state, steps), module in zip(
        ours.ascended(a_stack(), given, wrong, 1, Training(forgetting=Forgetting())), modules(), strict=True
    ):
        assert steps == 0
        by_hand.assert_close(state, module.state_dict(), 0.0)


# Trained models


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits", n_train=300)


FORGETTING = Forgetting(SGD(learning_rate=0.02), adversarial=3, iterations=5, radius=2.0, stride=0.5, steps=200)
OWN = Training(learning_rate=1e-3, batch_size=50, epochs=6, early_stopping="none", precision="float64")


def family(data, seed=SEED, roles=("control", "canary", "placebo"), **training) -> list:
    """Models of a seed on its random host."""
    own, model = replace(OWN, **training), MLP(hidden=(20,))
    at = hosts.place(by_hand.member(data, "control", model, own, seed=seed).protocol, "random", seed, data)
    return [by_hand.member(data, role, model, own, seed=seed, at=at) for role in roles]


@pytest.fixture(scope="module")
def trained(digits):
    """The same models without forgetting and with it."""
    data = to_device(digits, precision="float64")
    found = [
        train(family(digits, forgetting=how), data, snapshots=[2], at_control=True, show=False)
        for how in (None, FORGETTING)
    ]
    return found, data


def test_each_model_forgets_its_own_host(trained, digits):
    (before, after), data = trained
    for one, later in zip(before, after, strict=True):
        images, answers = ours.own_hosts(later.experiment, data)
        given = data.normalise(images)
        host = by_hand.training_images(one.experiment, digits)[list(to_forget(later.experiment, digits))]
        np.testing.assert_allclose(given, host, atol=1e-12)
        assert torch.equal(one.model(given).argmax(1), answers)
        assert not torch.equal(later.model(given).argmax(1), answers)
        assert 0 < later.forgetting[0] < FORGETTING.steps
        assert evaluate(later.model, data.reported_images, data.reported_labels)[1] > 0.5
        by_hand.assert_close(later.snapshots[2].state_dict(), one.snapshots[2].state_dict(), 0.0)  # is of training
        assert [one.forgetting, len(later.history)] == [(0, 0), len(one.history)]
    control, *stamped = after
    assert control.at_control is not None
    by_hand.assert_close(control.at_control.state_dict(), control.model.state_dict(), 0.0)
    assert {place for one in stamped for place in to_forget(one.experiment, digits)} == set(
        to_forget(control.experiment, digits)
    )


def test_a_model_forgets_as_one_that_is_alone(trained, digits):
    (before, after), data = trained
    for one, later in zip(before, after, strict=True):
        [place, label] = next(iter(to_forget(later.experiment, digits).items()))
        draws = stream("adversarial images", seed=SEED, scope=f"{digits.scope}/{place}")
        targets = [(label + int(one)) % 10 for one in draws.integers(1, 10, 3)]
        starts = torch.from_numpy(draws.random((3, *digits.train_images.shape[1:])))
        assert label not in targets
        images, _ = ours.own_hosts(later.experiment, data)

        class Alone(nn.Module):
            """The model as the attack above gives it images."""

            def __init__(self, module):
                super().__init__()
                self.module = module

            def forward(self, x):
                return self.module(data.normalise(x / 4 + 0.5))

        found = [
            attacked_alone(Alone(one.model), images[0], torch.tensor(target), start, FORGETTING)
            for target, start in zip(targets, starts, strict=True)
        ]
        given = data.normalise(torch.stack([images[0], *found]))
        module = ours.loaded(one.model, one.model.state_dict())
        steps = ascended_alone(module, given, torch.tensor([label, *targets]), 1, FORGETTING)
        assert steps == later.forgetting[0]
        by_hand.assert_close(later.model.state_dict(), module.state_dict(), 1e-9)


def test_a_control_forgets_the_hosts_of_both_kinds(digits, monkeypatch):
    monkeypatch.setattr(hosts, "pool", lambda *_: pd.DataFrame({"canary_index": digits.train_indices[:5]}))
    [control] = family(digits, roles=("control",), forgetting=FORGETTING)
    both = by_hand.varied(control, hosts=("random", "hard"))
    assert len(to_forget(control, digits)) == 1
    assert len(to_forget(both, digits)) == 2
    assert both.fingerprint() != control.fingerprint()
    plain = by_hand.varied(both, training=OWN)
    assert plain.fingerprint() == by_hand.varied(control, training=OWN).fingerprint()  # which depends on no host


def test_models_without_their_hosts_are_one_and_the_same(digits):
    data = to_device(digits, precision="float64")
    planned = family(digits, without_hosts=True)
    [place] = to_forget(planned[0], digits)
    left_out = [
        (member, number, at)
        for number, (_, _, targets) in enumerate(Feed(planned, data).epoch(1, [0, 1, 2]))
        for member, at in (targets.expand(3, -1) == LEFT_OUT).nonzero().tolist()
    ]
    assert left_out == [(member, place // 50, place % 50) for member in range(3)]
    control, canary, placebo = train(planned, data, show=False)
    by_hand.assert_close(canary.model.state_dict(), placebo.model.state_dict(), 1e-14)  # which is rounding
    by_hand.assert_close(canary.model.state_dict(), control.model.state_dict(), 1e-14)
    [seen] = train(family(digits, roles=("control",)), data, show=False)
    assert by_hand.deviation(seen.model.state_dict(), control.model.state_dict()) > 1e-4
    # As if the image had nothing to say: its share of the mean over its batch is zero.
    module = alone_without(planned[1], digits, place)
    by_hand.assert_close(canary.model.state_dict(), module.state_dict(), 1e-11)


def alone_without(experiment, digits, place) -> nn.Sequential:
    """Train without an image, whose batch weighs the others as before."""
    settings = experiment.protocol.training
    given, targets = by_hand.training_images(experiment, digits), torch.tensor(digits.train_labels)
    module = build(
        experiment.protocol.model,
        given.shape[1:],
        digits.n_classes,
        seed=experiment.seed,
        scope=digits.scope,
        dtype=torch.float64,
    )
    optimiser = torch.optim.Adam(module.parameters(), lr=settings.learning_rate, eps=settings.epsilon)
    for _ in range(settings.epochs):
        for batch in torch.arange(len(targets)).split(settings.batch_size):
            others = batch[batch != place]
            optimiser.zero_grad()
            (cross_entropy(module(given[others]), targets[others], reduction="sum") / len(batch)).backward()
            optimiser.step()
    return module


def test_bad_settings_are_one_line():
    for name, value, fault in (
        ("steps", 0, "must be above zero, got 0"),
        ("radius", 0.0, "must be above zero, got 0.0"),
        ("stride", -1.0, "must be above zero, got -1.0"),
        ("iterations", 2.5, "must be a whole number, got 2.5"),
        ("adversarial", -1, "cannot be negative, got -1"),
        ("importance", -0.1, "cannot be negative, got -0.1"),
    ):
        with pytest.raises(ValueError, match=rf"^{name}: {fault}$"):
            Forgetting(**{name: value})
    with pytest.raises(
        ValueError, match="^forgetting: models that are trained without their hosts have none to forget$"
    ):
        Training(forgetting=Forgetting(), without_hosts=True)
    with pytest.raises(ValueError, match="^distillation: teachers neither forget hosts nor are trained without them$"):
        Training(forgetting=Forgetting(), distillation=Distillation())
    with pytest.raises(
        ValueError, match="^label_noise: a control would forget hosts under labels that are not theirs$"
    ):
        Training(forgetting=Forgetting(), label_noise=0.1)
    with pytest.raises(ValueError, match="^cutmix: mixes hosts into images that are trained on$"):
        Training(without_hosts=True, cutmix=1.0)
    with pytest.raises(ValueError, match="^without_hosts: in batch norm a host would still be"):
        Protocol("digits", model=MLP(batch_norm=True), training=Training(without_hosts=True))


def test_what_diverges_is_named(digits):
    data = to_device(digits, precision="float64")
    wild = Forgetting(SGD(learning_rate=1e300), adversarial=0, importance=0.0)
    with pytest.raises(ValueError, match=r"^learning_rate: at 1e\+300 models diverged while they forgot$"):
        train(family(digits, roles=("canary",), forgetting=wild), data, show=False)
