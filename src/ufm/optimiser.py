"""Adam with its state in the open: torch's own arithmetic, without the seconds that its class takes to import."""

import torch
from torch.optim.adam import adam


class Adam:
    """`torch.optim.Adam(parameters, lr=learning_rate, eps=epsilon, fused=True)`, step for step (tested).

    Constructing torch's class imports its compiler, several seconds in every process; its functional form does not.
    """

    def __init__(self, parameters: list[torch.nn.Parameter], *, learning_rate: float, epsilon: float):
        self.parameters, self.learning_rate, self.epsilon = parameters, learning_rate, epsilon
        self.first_moments = [torch.zeros_like(one) for one in parameters]
        self.second_moments = [torch.zeros_like(one) for one in parameters]
        self.steps = [torch.zeros((), dtype=torch.float32, device=one.device) for one in parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Update the parameters by their gradients, which are dropped."""
        adam(
            self.parameters,
            [one.grad for one in self.parameters],
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
        for one in self.parameters:
            one.grad = None
