"""A stack: networks of one architecture whose weights lie side by side, so that one operation serves all of them."""

import torch
from torch import nn

from ufm.training.layers import Images, stacked, together
from ufm.training.operations import Norms
from ufm.training.weights import Weights


class Stack(Weights):
    """Networks (nn.Sequential) of one architecture, their weights as tensors whose first axis counts the members."""

    def __init__(self, modules: list[nn.Sequential], dropout_keys: torch.Tensor):
        """dropout_keys: (n_members,) int64; members with equal keys drop the same units.

        Raises a TypeError that names a layer which no stack has.
        """
        self.template = modules[0]
        self.layers = [stacked(layer, number) for number, layer in enumerate(self.template)]
        super().__init__(modules, dropout_keys)

    def freeze(self, n_layers: int) -> None:
        """Leave the weights of so many first layers as they are."""
        for layer in self.layers[:n_layers]:
            for name in self.of(layer.number, self.parameters):
                del self.parameters[f"{layer.number}.{name}"], self.gradients[f"{layer.number}.{name}"]
                self.weights[f"{layer.number}.{name}"].requires_grad_(False)

    def logits(self, images: torch.Tensor, *, step: int | None = None) -> torch.Tensor:
        """Logits (n_members, n_images, n_classes) of normalised images.

        images: (n_images, C, H, W), the same for all, or (n_members, n_images, C, H, W). step: the training step, from
        0, for dropout and for batch norm by the batch; None evaluates. `backward` on a loss of the logits fills
        `gradients`.
        """
        if step is not None:
            for layer in self.layers:
                for gradient in self.of(layer.number, self.gradients).values() if layer.collected else ():
                    gradient.zero_()  # autograd adds to it
        if self.norms is not None and step is not None:
            self.norms = Norms(torch.zeros(len(self), images.shape[-4], device=self.device, dtype=images.dtype))
        x: Images = images
        for layer in self.layers:
            x = layer.forward(self, x, step)
        return together(x)
