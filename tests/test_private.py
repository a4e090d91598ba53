"""Private training against a plain loop over images, Opacus, and what its definition says."""

import math
from dataclasses import replace

import numpy as np
import plain as by_hand
import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.networks import CNN1, MLP
from ufm.networks.build import build
from ufm.protocol import SGD, Private, Protocol, Training
from ufm.randomness import counters
from ufm.training import Feed, Stack, capacity, optimiser_of, train
from ufm.training.evaluation import LEFT_OUT, cross_entropies
from ufm.training.optimiser import Private as Optimiser

MODEL, SHAPE, N_CLASSES = MLP(hidden=(7, 6)), (1, 4, 4), 5
KEYS = (3, 3, -8)  # of three members, two of them of one seed


def members(settings: Private, **training) -> tuple[Stack, Optimiser]:
    modules = [build(MODEL, SHAPE, N_CLASSES, seed=seed, dtype=torch.float64) for seed in range(len(KEYS))]
    stack = Stack(modules, torch.tensor(KEYS))
    return stack, optimiser_of(stack, Training(batch_size=8, precision="float64", private=settings, **training))


def images(*leading: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(*leading, *SHAPE)))


def labels(*leading: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(2).integers(N_CLASSES, size=leading))


def gradients_of_images(module, given, targets, smoothing: float = 0.0) -> list[list[torch.Tensor]]:
    """Of each image by all parameters."""
    found = []
    for image, target in zip(given, targets, strict=True):
        module.zero_grad()
        by_hand.smoothed(module(image[None]), target[None], smoothing).backward()
        found.append([parameter.grad.clone() for parameter in module.parameters()])
    return found


def norm(gradients: list[torch.Tensor]) -> float:
    return math.sqrt(sum(float(one.square().sum()) for one in gradients))


@pytest.mark.parametrize("leading", [(9,), (3, 9)])  # the same images for all members, and own ones
@pytest.mark.parametrize("clip", [0.7, 1e6])
def test_gradients_are_clipped_sums_over_the_batch_size(leading, clip):
    stack, optimiser = members(Private(clip=clip, noise=0.0))
    given, targets = images(*leading), labels(*leading)
    means = optimiser.backward(cross_entropies(stack.logits(given, step=0), targets))
    for m in range(len(KEYS)):
        module = build(MODEL, SHAPE, N_CLASSES, seed=m, dtype=torch.float64)
        ours, answers = (given, targets) if len(leading) == 1 else (given[m], targets[m])
        every = gradients_of_images(module, ours, answers)
        shares = [min(1, clip / norm(one)) for one in every]
        assert (min(shares) < 0.9) == (clip < 1)
        for number, name in enumerate(stack.gradients):
            expected = sum(share * one[number] for share, one in zip(shares, every, strict=True)) / 8
            np.testing.assert_allclose(stack.gradients[name][m], expected, atol=1e-14)
        assert float(means[m]) == pytest.approx(cross_entropy(module(ours), answers).item())


def test_what_fills_a_batch_counts_for_nothing():
    settings, given, targets = Private(clip=0.7, noise=0.0), images(3, 9), labels(3, 9)
    filled, optimiser = members(settings)
    targets[1, 4:] = LEFT_OUT
    optimiser.backward(cross_entropies(filled.logits(given, step=0), targets))
    alone, optimiser = members(settings)
    optimiser.backward(cross_entropies(alone.logits(given[:, :4], step=0), targets[:, :4]))
    for name, gradient in alone.gradients.items():
        np.testing.assert_allclose(filled.gradients[name][1], gradient[1], atol=1e-14)
        assert not torch.allclose(filled.gradients[name][0], gradient[0])
    nobody, optimiser = members(settings)
    optimiser.backward(cross_entropies(nobody.logits(given[:, :1], step=0), torch.full((3, 1), LEFT_OUT)))
    assert all(not gradient.any() for gradient in nobody.gradients.values())


def test_without_clipping_gradients_are_those_of_the_sum():
    stack, optimiser = members(Private(noise=0.0, clipped=False))
    given, targets = images(9), labels(9)
    optimiser.backward(cross_entropies(stack.logits(given, step=0), targets))
    module = build(MODEL, SHAPE, N_CLASSES, seed=1, dtype=torch.float64)
    (cross_entropy(module(given), targets, reduction="sum") / 8).backward()
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(stack.gradients[name][1], parameter.grad, atol=1e-14)


@pytest.mark.parametrize("clipped", [True, False])
def test_noise_has_its_scale_and_is_shared_by_a_seed(clipped):
    stack, optimiser = members(Private(clip=0.5, noise=3.0, clipped=clipped))
    silent, plainly = members(Private(clip=0.5, noise=0.0, clipped=clipped))
    given, targets, drawn = images(9), labels(9), []
    for _ in range(40):
        for one, of in ((stack, optimiser), (silent, plainly)):
            of.backward(cross_entropies(one.logits(given, step=0), targets))
        drawn.append(torch.cat([(stack.gradients[name] - one).flatten(1) for name, one in silent.gradients.items()], 1))
    noise = torch.stack(drawn)  # (steps, members, weights)
    assert torch.equal(noise[:, 0].round(decimals=12), noise[:, 1].round(decimals=12))  # of one seed
    for member in (0, 2):
        assert float(noise[:, member].std()) == pytest.approx(3.0 * 0.5 / 8, rel=0.02)
    for one, other in ((noise[0, 0], noise[1, 0]), (noise[0, 0], noise[0, 2])):  # of two steps, of two seeds
        assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 0.2
    first = np.random.Generator(np.random.Philox(key=[3, 0])).standard_normal((7, 16), dtype=np.float32)
    np.testing.assert_allclose(drawn[0][0, : first.size].view(7, 16), first * (3.0 * 0.5 / 8), atol=1e-12)


def test_it_is_what_opacus_does():
    opacus = pytest.importorskip("opacus")
    given, targets = images(8), labels(8)
    stack, optimiser = members(Private(clip=0.7, noise=0.0))
    module = opacus.GradSampleModule(build(MODEL, SHAPE, N_CLASSES, seed=2, dtype=torch.float64))
    theirs = opacus.optimizers.DPOptimizer(
        torch.optim.Adam(module.parameters(), lr=3e-4, eps=1e-7),
        noise_multiplier=0.0,
        max_grad_norm=0.7,
        expected_batch_size=8,
    )
    for step in range(5):
        optimiser.backward(cross_entropies(stack.logits(given, step=step), targets))
        optimiser.step()
        theirs.zero_grad()
        cross_entropy(module(given.clone().requires_grad_()), targets).backward()  # its hooks ask for that
        theirs.step()
    # Opacus adds 1e-6 to norms before it divides by them.
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(
            stack.parameters[name.removeprefix("_module.")][2].detach(), parameter.detach(), atol=1e-6
        )


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits", n_train=300)


def experiments(data, seeds=(1, 2), **training) -> list:
    own = Training(learning_rate=1e-3, batch_size=50, epochs=3, early_stopping="none", precision="float64", **training)
    found = []
    for seed in seeds:
        found += [by_hand.member(data, role, MLP(hidden=(20,)), own, seed=seed, at=7) for role in ("control", "canary")]
    return found


def test_steps_take_images_at_the_rate_of_a_batch_and_siblings_the_same(digits):
    planned, data = experiments(digits, private=Private()), to_device(digits, precision="float64")
    numbers, hosts, steps = [], [], []
    for epoch in (1, 2, 3):
        for step, given, targets in Feed(planned, data).epoch(epoch, [0, 1, 2, 3]):
            assert given.shape[:2] == targets.shape == (4, targets.shape[1])
            assert (targets != LEFT_OUT).sum(1).max() == targets.shape[1]
            assert torch.equal(targets[0], targets[1])
            steps.append(step)
            numbers.append((targets != LEFT_OUT).sum(1)[[0, 2]].tolist())
            same = (given[0] == given[1]).flatten(1).all(1)  # all but the host of the canary
            hosts.append(int((~same).sum()))
    assert steps == list(range(18))  # they go on from one epoch to the next
    assert np.mean(numbers) == pytest.approx(50, abs=4 * math.sqrt(50 / 36))
    assert max(hosts) == 1
    assert 0 < sum(hosts) < 12  # three of 18 are expected
    alone = [targets for _, _, targets in Feed(planned, data).epoch(3, [2])]
    assert [int((one != LEFT_OUT).sum()) for one in alone] == [one for _, one in numbers[12:]]
    assert alone[0].dim() == 1  # one seed, so that all members have the same


def test_a_stack_is_what_a_plain_loop_gives(digits):
    planned = experiments(digits, private=Private(learning_rate=2e-3, clip=0.5, noise=0.4))
    data = to_device(digits, precision="float64")
    for experiment, trained in zip(planned, train(planned, data, show=False), strict=True):
        expected = looped(experiment, digits)
        by_hand.assert_close(trained.model.state_dict(), expected, 1e-11)


def looped(experiment, digits) -> dict[str, torch.Tensor]:
    """Weights after training one model, image by image."""
    settings, private = experiment.protocol.training, experiment.protocol.training.private
    given, targets = by_hand.training_images(experiment, digits), torch.tensor(digits.train_labels)
    network = build(
        experiment.protocol.model,
        given.shape[1:],
        digits.n_classes,
        seed=experiment.seed,
        scope=digits.scope,
        dtype=torch.float64,
    )
    rate = private.learning_rate or settings.learning_rate
    optimiser = torch.optim.Adam(network.parameters(), lr=rate, eps=settings.epsilon)
    sampling, key = (counters.key(name, seed=experiment.seed, scope=digits.scope) for name in ("sampling", "dropout"))
    for step in range(settings.epochs * 6):
        draws = counters.uniforms(torch.tensor([sampling]), step=step, layer=counters.LAYERS - 2, n=len(targets))[0]
        places = [place for place, draw in enumerate(draws.tolist()) if draw < 50 / 300]
        every = gradients_of_images(network, given[places], targets[places], settings.label_smoothing)
        shares = [min(1, private.clip / norm(one)) if private.clipped else 1 for one in every]
        drawn = np.random.Generator(np.random.Philox(key=np.array([key % 2**64, step], np.uint64)))
        for number, parameter in enumerate(network.parameters()):
            noise = drawn.standard_normal(tuple(parameter.shape), dtype=np.float32)
            total = sum(share * one[number] for share, one in zip(shares, every, strict=True))
            parameter.grad = (total + private.noise * private.clip * torch.from_numpy(noise).double()) / 50
        optimiser.step()
    return network.state_dict()


def test_sgd_can_be_private_too():
    stack, optimiser = members(Private(clip=0.7, noise=0.0), optimiser=SGD(learning_rate=0.1, weight_decay=0.0))
    before = {name: values.detach().clone() for name, values in stack.parameters.items()}
    optimiser.backward(cross_entropies(stack.logits(images(9), step=0), labels(9)))
    optimiser.step()
    for name, values in stack.parameters.items():
        np.testing.assert_allclose(values.detach(), before[name] - 0.1 * stack.gradients[name], atol=1e-14)
    optimiser.keep(torch.tensor([2]))
    assert len(stack) == 1


def test_bad_settings_are_one_line():
    with pytest.raises(ValueError, match=r"^learning_rate: must be above zero, got 0$"):
        Private(learning_rate=0)
    with pytest.raises(ValueError, match=r"^learning_rate: is that of Adam"):
        Training(private=Private(learning_rate=0.1), optimiser=SGD())
    with pytest.raises(ValueError, match=r"^clip: must be above zero, got 0$"):
        Private(clip=0)
    with pytest.raises(ValueError, match=r"^noise: cannot be negative, got -1$"):
        Private(noise=-1)
    with pytest.raises(ValueError, match=r"^shuffle: "):
        Training(private=Private(), shuffle=True)
    protocol = Protocol("mnist", training=Training(private=Private()))
    with pytest.raises(ValueError, match=r"^batch: private training draws"):
        replace(protocol, batch=0)
    for model in (CNN1(), MLP(batch_norm=True)):
        with pytest.raises(ValueError, match=r"^private: has no gradient of a single image in "):
            replace(protocol, model=model)


@pytest.mark.parametrize("private", [None, Private(noise=0.0, clipped=False)])
def test_smoothed_labels_are_those_of_a_plain_loop(digits, private):
    planned = experiments(digits, label_smoothing=0.3, private=private)
    data = to_device(digits, precision="float64")
    for experiment, trained in zip(planned, train(planned, data, show=False), strict=True):
        if private is None:
            expected = by_hand.plain(experiment, digits)
            assert [one["train_loss"] for one in trained.history] == pytest.approx(expected.train_loss, abs=1e-6)
        weights = expected.weights[-1] if private is None else looped(experiment, digits)
        by_hand.assert_close(trained.model.state_dict(), weights, 1e-11)


def test_time_is_measured_of_private_steps(monkeypatch):
    """Each image goes back twice, and noise is drawn for every weight."""
    settings, seen, backward = Private(clip=1.0, noise=1.0), [], Optimiser.backward
    monkeypatch.setattr(
        Optimiser, "backward", lambda self, losses: seen.append(self.settings) or backward(self, losses)
    )
    for private in (None, settings):
        training = replace(tiny.PROTOCOL.training, private=private, batch_size=9)
        capacity.estimate(replace(tiny.PROTOCOL, training=training), (1, 5, 7), 100)
    assert set(seen) == {settings}
