"""Optimisers with their state in the open: torch's own arithmetic, without the seconds that its classes import for."""

import torch
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from ufm.protocol import Training
from ufm.training.stack import Stack


def optimiser_of(stack: Stack, training: Training) -> "Adam | SGD":
    """The optimiser of a stack's members that settings of training ask for."""
    if training.optimiser:
        chosen = training.optimiser
        return SGD(
            stack,
            learning_rate=chosen.learning_rate,
            momentum=chosen.momentum,
            weight_decay=chosen.weight_decay,
        )
    return Adam(
        stack,
        learning_rate=training.learning_rate,
        epsilon=training.epsilon,
        weight_decay=training.weight_decay,
    )


class Adam:
    """`torch.optim.Adam(parameters, lr=learning_rate, eps=epsilon, fused=True)` for all members, step for step.

    With a weight decay it is `torch.optim.AdamW` on weight matrices and kernels: before the step they shrink by the
    share learning_rate · weight_decay. Constructing torch's classes imports its compiler, several seconds in every
    process; the functional form does not.
    """

    def __init__(self, stack: Stack, *, learning_rate: float, epsilon: float, weight_decay: float = 0.0):
        self.stack, self.learning_rate, self.epsilon, self.weight_decay = stack, learning_rate, epsilon, weight_decay
        self.first_moments = [torch.zeros_like(one) for one in stack.gradients.values()]
        self.second_moments = [torch.zeros_like(one) for one in stack.gradients.values()]
        self.steps = [torch.zeros((), dtype=torch.float32, device=one.device) for one in stack.gradients.values()]

    @torch.no_grad()
    def step(self) -> None:
        """Update the members' parameters by their gradients."""
        parameters = list(self.stack.parameters.values())
        if self.weight_decay:
            matrices = [one for one in parameters if one.dim() > 2]
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
        """Let all members but these, given by their places, leave the stack."""
        self.stack.keep(members)
        self.first_moments = [one[members] for one in self.first_moments]
        self.second_moments = [one[members] for one in self.second_moments]


class SGD:
    """`torch.optim.SGD(parameters, lr=learning_rate, momentum=momentum)` for all members, step for step.

    Its weight decay, added to the gradients, is that of weight matrices and kernels alone.
    """

    def __init__(self, stack: Stack, *, learning_rate: float, momentum: float, weight_decay: float):
        self.stack, self.learning_rate, self.momentum, self.weight_decay = stack, learning_rate, momentum, weight_decay
        self.velocities: list[torch.Tensor | None] = [None for _ in stack.gradients]

    @torch.no_grad()
    def step(self) -> None:
        """Update the members' parameters by their gradients."""
        parameters, gradients = list(self.stack.parameters.values()), list(self.stack.gradients.values())
        decays = [self.weight_decay if one.dim() > 2 else 0.0 for one in parameters]
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
        """Let all members but these, given by their places, leave the stack."""
        self.stack.keep(members)
        self.velocities = [None if one is None else one[members] for one in self.velocities]
