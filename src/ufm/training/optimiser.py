"""Optimisers with their state in the open: torch's own arithmetic, without the seconds that its classes import for."""

from abc import ABC, abstractmethod
from functools import singledispatch

import numpy as np
import torch
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from ufm import protocol
from ufm.protocol import Training
from ufm.randomness import counters
from ufm.training.operations import Norms
from ufm.training.stack import Stack


class Optimiser(ABC):
    """What moves the members of a stack: `backward` and `step` for every batch, `keep` when some leave."""

    def __init__(self, stack: Stack):
        self.stack = stack

    def backward(self, losses: torch.Tensor) -> torch.Tensor:
        """Fill the stack's gradients from the images' losses (n_members, n_images); each member's mean loss.

        Gradients are those of the means. An optimiser that treats each image's own otherwise has its place here.
        """
        means = losses.mean(1)
        means.sum().backward()
        return means.detach()

    @abstractmethod
    def step(self) -> None:
        """Update the members' parameters by their gradients."""

    def keep(self, members: torch.Tensor) -> None:
        """Let all members but these, given by their places, leave the stack, and take their state with them."""
        self.stack.keep(members)


class Adam(Optimiser):
    """`torch.optim.Adam(parameters, lr=learning_rate, eps=epsilon, fused=True)` for all members, step for step.

    With a weight decay it is `torch.optim.AdamW` on weight matrices and kernels: before the step they shrink by the
    share learning_rate · weight_decay. Constructing torch's classes imports its compiler, several seconds in every
    process; the functional form does not.
    """

    def __init__(self, stack: Stack, *, learning_rate: float, epsilon: float, weight_decay: float = 0.0):
        super().__init__(stack)
        self.learning_rate, self.epsilon, self.weight_decay = learning_rate, epsilon, weight_decay
        self.first_moments = [torch.zeros_like(gradient) for gradient in stack.gradients.values()]
        self.second_moments = [torch.zeros_like(gradient) for gradient in stack.gradients.values()]
        self.steps = [
            torch.zeros((), dtype=torch.float32, device=gradient.device) for gradient in stack.gradients.values()
        ]

    @torch.no_grad()
    def step(self) -> None:
        parameters = list(self.stack.parameters.values())
        if self.weight_decay:
            matrices = [parameter for parameter in parameters if parameter.dim() > 2]
            torch._foreach_mul_(matrices, 1 - self.learning_rate * self.weight_decay)
        adam(
            parameters,
            list(self.stack.gradients.values()),
            self.first_moments,
            self.second_moments,
            [],
            self.steps,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.learning_rate,
            weight_decay=0.0,
            eps=self.epsilon,
            maximize=False,
        )

    def keep(self, members: torch.Tensor) -> None:
        super().keep(members)
        self.first_moments = [moment[members] for moment in self.first_moments]
        self.second_moments = [moment[members] for moment in self.second_moments]


class SGD(Optimiser):
    """`torch.optim.SGD(parameters, lr=learning_rate, momentum=momentum)` for all members, step for step.

    Its weight decay, added to the gradients, is that of weight matrices and kernels alone.
    """

    def __init__(self, stack: Stack, *, learning_rate: float, momentum: float, weight_decay: float):
        super().__init__(stack)
        self.learning_rate, self.momentum, self.weight_decay = learning_rate, momentum, weight_decay
        self.velocities: list[torch.Tensor | None] = [None for _ in stack.gradients]

    @torch.no_grad()
    def step(self) -> None:
        parameters, gradients = list(self.stack.parameters.values()), list(self.stack.gradients.values())
        decays = [self.weight_decay if parameter.dim() > 2 else 0.0 for parameter in parameters]
        for decay in set(decays):
            places = [place for place, one in enumerate(decays) if one == decay]
            velocities = [self.velocities[place] for place in places]
            sgd(
                [parameters[place] for place in places],
                [gradients[place] for place in places],
                velocities,  # filled in the first step
                weight_decay=decay,
                momentum=self.momentum,
                lr=self.learning_rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )
            for place, velocity in zip(places, velocities, strict=True):
                self.velocities[place] = velocity

    def keep(self, members: torch.Tensor) -> None:
        super().keep(members)
        self.velocities = [None if velocity is None else velocity[members] for velocity in self.velocities]


class Private(Optimiser):
    """Another optimiser that is given clipped gradients of single images and noise, see `ufm.protocol.Private`.

    Norms come from a first pass back, in which no gradient is written; the second is of the losses, each times the
    share of its gradient that is kept (as Lee and Kifer 2021, doi 10.2478/popets-2021-0008). Noise is NumPy's, by key
    and step, so that it is the same on every device; it does not withstand attacks on floating-point numbers.
    """

    def __init__(self, inner: Optimiser, settings: protocol.Private, batch_size: int):
        super().__init__(inner.stack)
        self.inner, self.settings, self.batch_size, self.n_steps = inner, settings, batch_size, 0
        if settings.clipped:
            self.stack.norms = Norms(torch.zeros(0))  # a new one with every batch

    def backward(self, losses: torch.Tensor) -> torch.Tensor:
        """Fill the stack's gradients from the images' losses (n_members, n_images), which are zero of no image."""
        scale, norms = torch.ones_like(losses), self.stack.norms
        if self.settings.clipped:
            assert norms is not None
            norms.asked = True
            losses.sum().backward(retain_graph=True)
            norms.asked = False
            scale = (self.settings.clip / norms.squares.sqrt()).clamp(max=1)
        (losses * scale).sum().backward()
        self.add_noise()
        return losses.detach().mean(1)

    @torch.no_grad()
    def add_noise(self) -> None:
        """Add the noise of this step to the sums of gradients, and make of these what a mean would be."""
        deviation = self.settings.noise * self.settings.clip
        if deviation:
            keys, members = self.stack.dropout_keys.unique(return_inverse=True)
            drawn = [counters.generator(key, step=self.n_steps) for key in keys.tolist()]
        for gradient in self.stack.gradients.values():
            if deviation:
                noise = np.stack([one.standard_normal(gradient.shape[1:], dtype=np.float32) for one in drawn])
                gradient += deviation * torch.from_numpy(noise).to(gradient)[members]
            gradient /= self.batch_size
        self.n_steps += 1

    def step(self) -> None:
        """As the other optimiser."""
        self.inner.step()

    def keep(self, members: torch.Tensor) -> None:
        """Let all members but these leave the stack."""
        self.inner.keep(members)


def optimiser_of(stack: Stack, training: Training) -> Optimiser:
    """The optimiser of a stack's members that settings of training ask for."""
    own = of_settings(training.optimiser, stack, training)
    return Private(own, training.private, training.batch_size) if training.private else own


@singledispatch
def of_settings(settings: object, stack: Stack, training: Training) -> Optimiser:
    """The optimiser for settings of its own; one is registered by their class. Raises a TypeError that names others."""
    raise TypeError(f"no optimiser is known for {settings!r}")


@of_settings.register
def of_none(settings: None, stack: Stack, training: Training) -> Optimiser:
    """Adam, whose settings are those of training."""
    own = training.private.learning_rate if training.private else None
    return Adam(
        stack,
        learning_rate=training.learning_rate if own is None else own,
        epsilon=training.epsilon,
        weight_decay=training.weight_decay,
    )


@of_settings.register
def of_sgd(settings: protocol.SGD, stack: Stack, training: Training) -> SGD:
    """Stochastic gradient descent."""
    return SGD(
        stack,
        learning_rate=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
