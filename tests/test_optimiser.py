"""Our optimisers against torch's classes."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from ufm import protocol
from ufm.networks import CNN2
from ufm.networks.build import build
from ufm.protocol import Training
from ufm.training.optimiser import SGD, Adam, Optimiser, of_settings, optimiser_of
from ufm.training.stack import Stack

DECAYING = nn.Linear | nn.Conv2d
SETTINGS = CNN2(channels=(2, 3), hidden=(4,), batch_norm=True)


def stack(dtype=torch.float64, seeds=(0, 1, 2)):
    return Stack([build(SETTINGS, (1, 8, 8), 5, seed=seed, dtype=dtype) for seed in seeds], torch.tensor(seeds))


def stepped(optimiser, reference, parameters, generator):
    """Take a step with random gradients, and the reference too."""
    for own, other in zip(optimiser.stack.gradients.values(), parameters, strict=True):
        own.copy_(torch.randn(own.shape, generator=generator, dtype=own.dtype))
        other.grad = own.clone()
    optimiser.step()
    reference.step()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_torchs_class_step_for_step(dtype):
    mine = Adam(stack(dtype), learning_rate=3e-3, epsilon=1e-7)
    theirs = [nn.Parameter(one.detach().clone()) for one in mine.stack.parameters.values()]
    reference, generator = torch.optim.Adam(theirs, lr=3e-3, eps=1e-7, fused=True), torch.Generator().manual_seed(0)
    for _ in range(20):
        stepped(mine, reference, theirs, generator)
        assert all(map(torch.equal, mine.stack.parameters.values(), theirs))


def test_with_weight_decay_it_is_adamw_on_matrices_and_kernels():
    mine = Adam(stack(), learning_rate=3e-3, epsilon=1e-7, weight_decay=0.3)
    layers = list(mine.stack.template)
    theirs = {name: nn.Parameter(one.detach().clone()) for name, one in mine.stack.parameters.items()}
    decays = dict.fromkeys(theirs, 0.0)
    for number, layer in enumerate(layers):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            decays[f"{number}.weight"] = 0.3
    assert sum(decays.values()) == pytest.approx(6 * 0.3)
    groups = [{"params": [one], "weight_decay": decays[name]} for name, one in theirs.items()]
    reference, generator = torch.optim.AdamW(groups, lr=3e-3, eps=1e-7), torch.Generator().manual_seed(0)
    for _ in range(20):
        stepped(mine, reference, list(theirs.values()), generator)
        for own, other in zip(mine.stack.parameters.values(), theirs.values(), strict=True):
            assert (own - other).abs().max() < 1e-14


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_members_that_stay_go_on_as_if_they_had_been_alone(weight_decay):
    settings = {"learning_rate": 3e-3, "epsilon": 1e-7, "weight_decay": weight_decay}
    many, few = (Adam(stack(seeds=seeds), **settings) for seeds in ((0, 1, 2, 3, 4), (3, 1)))
    assert apart_after_members_leave(many, few) < 1e-14


def apart_after_members_leave(many, few):
    """How far weights are apart when members 3 and 1 stay after five steps, from those that were alone all along."""
    generator, members = torch.Generator().manual_seed(0), torch.tensor([3, 1])
    for step in range(10):
        if step == 5:
            many.keep(members)
        for own, other in zip(many.stack.gradients.values(), few.stack.gradients.values(), strict=True):
            own.copy_(torch.randn(own.shape, generator=generator, dtype=own.dtype))
            other.copy_(own[members] if step < 5 else own)
        few.step()
        many.step()
    assert many.stack.parameters.keys() == few.stack.parameters.keys()
    pairs = zip(many.stack.parameters.values(), few.stack.parameters.values(), strict=True)
    return max(float((one - other).detach().abs().max()) for one, other in pairs)


def test_sgd_is_torchs_class_step_for_step_and_lets_matrices_and_kernels_decay():
    mine = SGD(stack(), learning_rate=0.02, momentum=0.9, weight_decay=0.3)
    theirs = {name: nn.Parameter(one.detach().clone()) for name, one in mine.stack.parameters.items()}
    decaying = [f"{number}.weight" for number, layer in enumerate(mine.stack.template) if isinstance(layer, DECAYING)]
    assert len(decaying) == 6
    groups = [{"params": [one], "weight_decay": 0.3 * (name in decaying)} for name, one in theirs.items()]
    reference = torch.optim.SGD(groups, lr=0.02, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        stepped(mine, reference, list(theirs.values()), generator)
        for own, other in zip(mine.stack.parameters.values(), theirs.values(), strict=True):
            assert (own - other).abs().max() < 1e-14


def test_members_that_stay_under_sgd_take_their_velocities_with_them():
    settings = {"learning_rate": 0.02, "momentum": 0.9, "weight_decay": 0.3}
    many, few = (SGD(stack(seeds=seeds), **settings) for seeds in ((0, 1, 2, 3, 4), (3, 1)))
    assert apart_after_members_leave(many, few) < 1e-14


def test_settings_choose_the_optimiser():
    adam = optimiser_of(stack(), Training(learning_rate=0.1, epsilon=1e-3, weight_decay=0.2))
    assert isinstance(adam, Adam)
    assert (adam.learning_rate, adam.epsilon, adam.weight_decay) == (0.1, 1e-3, 0.2)
    sgd = optimiser_of(stack(), Training(optimiser=protocol.SGD(0.5, 0.6, 0.7)))
    assert isinstance(sgd, SGD)
    assert (sgd.learning_rate, sgd.momentum, sgd.weight_decay) == (0.5, 0.6, 0.7)


def test_settings_and_their_optimiser_can_be_registered_from_outside():
    @dataclass(frozen=True)
    class Signs:
        rate: float = 0.5

    class OfSigns(Optimiser):
        rate = 0.5

        def step(self):
            with torch.no_grad():
                for name, gradient in self.stack.gradients.items():
                    self.stack.parameters[name] -= self.rate * gradient.sign()

    with pytest.raises(TypeError, match=r"^no optimiser is known for .*Signs[(]rate=0.5[)]$"):
        optimiser_of(stack(), Training(optimiser=Signs()))
    of_settings.register(Signs, lambda settings, stack, training: OfSigns(stack))
    mine = optimiser_of(stack(), Training(optimiser=Signs()))
    before = [one.detach().clone() for one in mine.stack.parameters.values()]
    for gradient in mine.stack.gradients.values():
        gradient.fill_(-3)
    mine.step()
    for one, other in zip(before, mine.stack.parameters.values(), strict=True):
        assert torch.equal(one + 0.5, other)
    mine.keep(torch.tensor([2]))
    assert len(mine.stack) == 1


def test_gradients_are_those_of_each_members_mean_loss():
    mine, images = Adam(stack(), learning_rate=3e-3, epsilon=1e-7), torch.rand(6, 1, 8, 8, dtype=torch.float64)
    losses = mine.stack.logits(images, step=0).square().sum(2)
    found = mine.backward(losses)
    assert found.tolist() == pytest.approx(losses.mean(1).tolist())
    assert not found.requires_grad
    module = build(SETTINGS, (1, 8, 8), 5, seed=1, dtype=torch.float64)
    module(images).square().sum(1).mean().backward()
    for name, parameter in module.named_parameters():
        assert (mine.stack.gradients[name][1] - parameter.grad).abs().max() < 1e-12
