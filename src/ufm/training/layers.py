"""The layers of a stack: for each kind a small class that takes all members' images through their layer.

A kind is registered for torch's own layer. Of one whose gradients autograd may collect, `Alone` takes each member
through its layer as it is, so that a line is enough: `stacked.register(nn.LayerNorm, Alone)`. Faster kinds have
operations for all members at once, which write gradients themselves.

Between layers, images are one tensor, (n_images, …) where all members have the same, else (n_members, n_images, …), or
a list with a tensor (n_images, …) for each member.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import singledispatch

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as f

from ufm.networks.encoder import Encoder, Unencoded
from ufm.networks.trunk import Trunk
from ufm.randomness.counters import uniforms
from ufm.training import operations
from ufm.training.operations import arranged, joined, parted
from ufm.training.weights import Weights

# Whether all members' convolutions are one in groups. On a CPU one member's whole batch keeps the device busy, and
# groups are slower; on a GPU they take 0.45 of the time.
GROUPED = {"cpu": False, "cuda": True}

Images = torch.Tensor | list[torch.Tensor]


@singledispatch
def stacked(layer: nn.Module, number: int) -> "Layer":
    """The layer of a stack for one of its template, the number-th. Raises a TypeError that names an unknown one."""
    raise TypeError(f"a stack has no {type(layer).__name__}")


class Layer(ABC):
    """One layer of all members; `layer` is the template's, `number` its place there."""

    collected = False  # whether autograd adds gradients to the buffers, which the stack then empties before each step

    def __init__(self, layer: nn.Module, number: int):
        self.layer, self.number = layer, number

    @abstractmethod
    def forward(self, stack: Weights, x: Images, step: int | None) -> Images:
        """Outputs, the members' order kept; step: of the training, from 0, or None to evaluate."""

    def buffered(self, stack: Weights) -> tuple[torch.Tensor, ...]:
        """Weight and bias of all members, and the buffers of their gradients, as operations take them.

        Those of a frozen layer have none and need none: it is one of the first, so that nothing is passed back to it.
        """
        names = [f"{self.number}.{name}" for name in ("weight", "bias")]
        every = [[of.get(name, stack.weights[name]) for name in names] for of in (stack.parameters, stack.gradients)]
        return *every[0], *every[1]


@stacked.register(Trunk)
class Alone(Layer):
    """Any module: each member's images through it with the member's weights; buffers are updated in place."""

    collected = True

    def forward(self, stack: Weights, x: Images, step: int | None) -> Images:
        self.layer.train(step is not None)
        every = {name: values.unbind() for name, values in stack.of(self.number, stack.weights).items()}
        return [
            functional_call(self.layer, {name: values[m] for name, values in every.items()}, (images,))
            for m, images in enumerate(apart(x, len(stack)))
        ]


@stacked.register(Encoder)
@stacked.register(Unencoded)
class Encoding(Layer):
    """Images that members share are encoded once where they share the key, too."""

    def forward(self, stack: Weights, x: Images, step: int | None) -> Images:
        weights = stack.of(self.number, stack.weights)

        def encoded(images: torch.Tensor, member: int) -> torch.Tensor:
            return functional_call(self.layer, {name: values[member] for name, values in weights.items()}, (images,))

        x = together(x)
        if all((values == values[:1]).all() for values in weights.values()):
            return encoded(x, 0) if shared(x) else encoded(x.flatten(0, 1), 0).unflatten(0, x.shape[:2])
        return torch.stack([encoded(images, member) for member, images in enumerate(own(x, len(stack)))])


@stacked.register(nn.Linear)
class Linear(Layer):
    """One product of all members."""

    def forward(self, stack: Weights, x: Images, step: int | None) -> Images:
        return operations.Linear.apply(together(x), *self.buffered(stack), stack.norms)


@stacked.register(nn.Conv2d)
class Convolution(Layer):
    """Member by member, or all as one in groups: see `GROUPED`."""

    def forward(self, stack: Weights, x: Images, step: int | None) -> Images:
        geometry, buffered = (self.layer.stride, self.layer.padding, self.layer.dilation), self.buffered(stack)
        if GROUPED[stack.device.type]:
            return operations.GroupedConvolution.apply(together(x), geometry, *buffered)
        return [
            operations.Convolution.apply(images, m, geometry, *buffered)
            for m, images in enumerate(apart(x, len(stack)))
        ]


@stacked.register(nn.BatchNorm1d)
@stacked.register(nn.BatchNorm2d)
class BatchNorm(Layer):
    """Every member's channels normalised by its own batch, or by its own running statistics."""

    layer: nn.BatchNorm1d | nn.BatchNorm2d

    def forward(self, stack: Weights, x: Images, step: int | None) -> Images:
        mean, var = (stack.weights[f"{self.number}.running_{name}"] for name in ("mean", "var"))
        momentum = self.layer.momentum
        assert momentum is not None  # as in a mean over all batches, which a stack does not count

        def normal(images: torch.Tensor, mean: torch.Tensor, var: torch.Tensor) -> torch.Tensor:
            return f.batch_norm(images, mean, var, training=step is not None, momentum=momentum, eps=self.layer.eps)

        if isinstance(x, list):
            each = [normal(images, mean[m], var[m]) for m, images in enumerate(x)]
            return [operations.Scale.apply(images, m, *self.buffered(stack)) for m, images in enumerate(each)]
        every = normal(joined(together(own(x, len(stack)))), mean.view(-1), var.view(-1))
        return operations.Scale.apply(parted(every, len(stack)), None, *self.buffered(stack))


@stacked.register(nn.Dropout)
class Dropout(Layer):
    """Units dropped at the rate, the rest scaled by 1 / (1 − rate); drawn once for members of equal keys."""

    layer: nn.Dropout

    def forward(self, stack: Weights, x: Images, step: int | None) -> Images:
        if step is None:
            return x
        x, rate = own(x, len(stack)), self.layer.p
        keys, members = stack.dropout_keys.unique(return_inverse=True)
        kept = uniforms(keys, step=step, layer=self.number, n=x[0].numel()) >= rate
        scale = (kept.to(x[0].dtype) / (1 - rate)).view(-1, *x[0].shape)
        if isinstance(x, list):
            return [images * scale[members[m]] for m, images in enumerate(x)]
        return x * (scale if len(keys) == 1 else scale[members])


@stacked.register(nn.ReLU)
class ReLU(Layer):
    """Nothing below zero."""

    def forward(self, stack: Weights, x: Images, step: int | None) -> Images:
        return [images.relu_() for images in x] if isinstance(x, list) else x.relu()


@stacked.register(nn.MaxPool2d)
@stacked.register(nn.AdaptiveAvgPool2d)
class Pool(Layer):
    """Every channel pooled for itself, so that members are no more than channels."""

    def forward(self, stack: Weights, x: Images, step: int | None) -> Images:
        return for_each(self.layer, x)


@stacked.register(nn.Flatten)
class Flatten(Layer):
    """From here on members are one tensor."""

    def forward(self, stack: Weights, x: Images, step: int | None) -> Images:
        return together([images.flatten(1) for images in x]) if isinstance(x, list) else x.flatten(-3)


def shared(x: torch.Tensor) -> bool:
    """Whether all members have the same: images are (n_images, C, H, W), flattened ones (n_images, n)."""
    return x.dim() % 2 == 0


def own(x: Images, n_members: int) -> Images:
    """Images of each member, also where all have the same."""
    return x.expand(n_members, *x.shape) if isinstance(x, torch.Tensor) and shared(x) else x


def apart(x: Images, n_members: int) -> list[torch.Tensor]:
    """A list with each member's images, in memory as convolutions take them."""
    if isinstance(x, list):
        return x
    each = [x] * n_members if shared(x) else list(x)
    return [arranged(images) if images.dim() == 4 else images for images in each]


def together(x: Images) -> torch.Tensor:
    """All members' images as one tensor."""
    return torch.stack(x) if isinstance(x, list) else x


def for_each(layer: Callable[[torch.Tensor], torch.Tensor], x: Images) -> Images:
    """What a layer that treats each channel for itself makes of the images (…, C, H, W) of each member.

    Gradients come back as images lie in memory, else torch's pooling would copy them there and back again.
    """
    if isinstance(x, list):
        found = [layer(images) for images in x]
        for images in found:
            if images.requires_grad:
                images.register_hook(arranged)
        return found
    return layer(x) if shared(x) else parted(layer(joined(x)), len(x))
