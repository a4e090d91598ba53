"""The weights of networks of one architecture side by side, and the buffers of their gradients."""

import torch
from torch import nn

from ufm.training.operations import Norms


class Weights:
    """Tensors whose first axis counts the members, under the names that they have in each network.

    Gradients lie in buffers that are made once, `gradients`, not in fresh memory every step.
    """

    def __init__(self, modules: list[nn.Sequential], dropout_keys: torch.Tensor):
        """dropout_keys: (n_members,) int64; members with equal keys drop the same units."""
        states = [module.state_dict() for module in modules]
        self.weights = {name: torch.stack([state[name] for state in states]) for name in states[0]}
        trained = {name for name, _ in modules[0].named_parameters()}
        self.parameters = {name: value.requires_grad_() for name, value in self.weights.items() if name in trained}
        self.gradients = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        self.dropout_keys = dropout_keys
        self.norms: Norms | None = None  # of the gradients of single images, where an optimiser needs them
        self.share_gradients()

    def __len__(self) -> int:
        return len(self.dropout_keys)

    @property
    def device(self) -> torch.device:
        """Where the members are."""
        return self.dropout_keys.device

    def of(self, number: int, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Those of the members' values that belong to a layer, under the names that they have in it."""
        prefix = f"{number}."
        return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}

    def share_gradients(self) -> None:
        """Let autograd collect gradients, where a layer leaves that to it, in the buffers too."""
        for name, parameter in self.parameters.items():
            parameter.grad = self.gradients[name]

    @torch.no_grad()
    def keep(self, members: torch.Tensor) -> None:
        """Let all members but these, given by their places, leave the stack."""
        self.weights = {name: value.detach()[members] for name, value in self.weights.items()}
        self.parameters = {name: self.weights[name].requires_grad_() for name in self.parameters}
        self.gradients = {name: value[members] for name, value in self.gradients.items()}
        self.dropout_keys = self.dropout_keys[members]
        self.share_gradients()

    @torch.no_grad()
    def state(self, member: int) -> dict[str, torch.Tensor]:
        """A copy of one member's weights, as its network's `load_state_dict` takes them."""
        return {name: value[member].detach().clone() for name, value in self.weights.items()}
