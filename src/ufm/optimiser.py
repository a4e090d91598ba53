"""Adam with its state in the open: torch's own arithmetic, without the seconds that its class takes to import."""

import torch
from torch.optim.adam import adam

from ufm.stack import Stack


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
