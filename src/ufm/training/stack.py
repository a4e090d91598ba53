"""A stack: networks of one architecture whose weights lie side by side, so that one operation serves all of them.

Gradients of weights and biases are written to buffers that are made once, not into fresh memory every step.
"""

import torch
from torch import nn
from torch.autograd import Function
from torch.func import functional_call
from torch.nn import functional as f

from ufm.networks.trunk import Trunk
from ufm.randomness.counters import uniforms


class Stack:
    """Networks (nn.Sequential) of one architecture as tensors whose first axis counts the members."""

    def __init__(self, modules: list[nn.Sequential], dropout_keys: torch.Tensor):
        """dropout_keys: (n_members,) int64; members with equal keys drop the same units."""
        self.template = modules[0]
        states = [module.state_dict() for module in modules]
        self.weights = {name: torch.stack([state[name] for state in states]) for name in states[0]}
        trained = {name for name, _ in self.template.named_parameters()}
        self.parameters = {name: value.requires_grad_() for name, value in self.weights.items() if name in trained}
        self.gradients = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        self.dropout_keys = dropout_keys
        self.trunks = [f"{number}." for number, layer in enumerate(self.template) if isinstance(layer, Trunk)]
        self.share_gradients()

    def __len__(self) -> int:
        return len(self.dropout_keys)

    def logits(self, images: torch.Tensor, *, step: int | None = None) -> torch.Tensor:
        """Logits (n_members, n_images, n_classes) of normalised images.

        images: (n_images, C, H, W), the same for all, or (n_members, n_images, C, H, W). step: the training step, from
        0, for dropout and for batch norm by the batch; None evaluates. `backward` on a loss of the logits fills
        `gradients`.
        """
        x: torch.Tensor | list[torch.Tensor] = images
        if step is not None:
            for gradient in self.of_trunks(self.gradients).values():
                gradient.zero_()  # autograd adds to it
        if isinstance(self.template[0], nn.Conv2d | Trunk):
            # Convolutions go member by member: a whole batch keeps the device busy, and grouped ones are slower.
            x = list(images) if images.dim() == 5 else [images] * len(self)
            x = [one.contiguous(memory_format=torch.channels_last) for one in x]
        for number, layer in enumerate(self.template):
            if isinstance(layer, nn.Flatten):
                x = torch.stack([one.flatten(1) for one in x]) if isinstance(x, list) else x.flatten(-3)
            elif isinstance(layer, nn.Linear):
                x = Linear.apply(x, *self.of(number))
            elif isinstance(layer, nn.Conv2d):
                x = [Convolution.apply(one, m, layer.padding, *self.of(number)) for m, one in enumerate(x)]
            elif isinstance(layer, Trunk):
                x = self.through(x, number, layer, training=step is not None)
            elif isinstance(layer, nn.ReLU):
                x = [one.relu_() for one in x] if isinstance(x, list) else x.relu()
            elif isinstance(layer, nn.MaxPool2d):
                x = [layer(one) for one in x]
            elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                x = self.batch_norm(x, number, layer, training=step is not None)
            elif isinstance(layer, nn.Dropout):
                x = x if step is None else self.dropout(x, number, layer.p, step)
            else:
                raise TypeError(f"a stack has no {type(layer).__name__}")
        return x

    def through(self, x: list[torch.Tensor], number: int, layer: Trunk, *, training: bool) -> list[torch.Tensor]:
        """Every member's images through its own trunk; running statistics are updated in place."""
        layer.train(training)
        prefix = f"{number}."
        every = {
            name.removeprefix(prefix): values.unbind()
            for name, values in self.of_trunks(self.weights).items()
            if name.startswith(prefix)
        }
        return [functional_call(layer, {name: of[m] for name, of in every.items()}, (one,)) for m, one in enumerate(x)]

    def of_trunks(self, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Those of the values that belong to a trunk."""
        return {name: one for name, one in values.items() if name.startswith(tuple(self.trunks))}

    def share_gradients(self) -> None:
        """Let autograd write the gradients of trunks where the other layers write theirs."""
        for name, parameter in self.of_trunks(self.parameters).items():
            parameter.grad = self.gradients[name]

    def of(self, number: int) -> tuple[torch.Tensor, ...]:
        """Weight and bias of a layer, and the buffers of their gradients."""
        names = (f"{number}.weight", f"{number}.bias")
        return (*(self.parameters[name] for name in names), *(self.gradients[name] for name in names))

    def batch_norm(
        self, x: torch.Tensor | list[torch.Tensor], number: int, layer: nn.BatchNorm1d, *, training: bool
    ) -> torch.Tensor | list[torch.Tensor]:
        """Every member's channels normalised by its own batch, or by its own running statistics."""
        running = [self.weights[f"{number}.running_{name}"] for name in ("mean", "var")]
        how = {"training": training, "momentum": layer.momentum, "eps": layer.eps}
        if isinstance(x, list):
            normal = [f.batch_norm(one, *(values[m] for values in running), **how) for m, one in enumerate(x)]
            return [Scale.apply(one, m, *self.of(number)) for m, one in enumerate(normal)]
        joined = f.batch_norm(x.transpose(0, 1).flatten(1), *(values.view(-1) for values in running), **how)
        return Scale.apply(joined.unflatten(1, (len(self), -1)).transpose(0, 1), None, *self.of(number))

    def dropout(
        self, x: torch.Tensor | list[torch.Tensor], number: int, rate: float, step: int
    ) -> torch.Tensor | list[torch.Tensor]:
        """Units dropped at the rate, the rest scaled by 1 / (1 − rate); drawn once for members of equal keys."""
        keys, members = self.dropout_keys.unique(return_inverse=True)
        kept = uniforms(keys, step=step, layer=number, n=x[0].numel()) >= rate
        scale = (kept.to(x[0].dtype) / (1 - rate)).view(-1, *x[0].shape)
        if isinstance(x, list):
            return [one * scale[members[m]] for m, one in enumerate(x)]
        return x * (scale if len(keys) == 1 else scale[members])

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


class Linear(Function):
    """x Wᵀ + b of every member, for x (n_images, n_in) or (n_members, n_images, n_in)."""

    @staticmethod
    def forward(ctx, x, weight, bias, weight_gradient, bias_gradient):
        ctx.save_for_backward(x, weight)
        ctx.gradients = weight_gradient, bias_gradient
        if x.dim() == 3:
            return torch.baddbmm(bias[:, None], x, weight.mT)
        n_members, n_out, n_in = weight.shape
        # Shared inputs make one large product of the members' small ones.
        joined = torch.addmm(bias.view(-1), x, weight.view(-1, n_in).T)
        return joined.view(len(x), n_members, n_out).transpose(0, 1)

    @staticmethod
    def backward(ctx, output):
        x, weight = ctx.saved_tensors
        weight_gradient, bias_gradient = ctx.gradients
        torch.sum(output, 1, out=bias_gradient)
        if x.dim() == 3:
            torch.bmm(output.mT, x, out=weight_gradient)
            inputs = torch.bmm(output, weight) if ctx.needs_input_grad[0] else None
        else:
            joined = output.transpose(0, 1).reshape(len(x), -1)
            torch.mm(joined.T, x, out=weight_gradient.view(joined.shape[1], -1))
            inputs = None  # images need none
        return inputs, None, None, None, None


class Convolution(Function):
    """The convolution of one member, for x (n_images, C, H, W); weights, biases and gradients are those of all."""

    @staticmethod
    def forward(ctx, x, member, padding, weight, bias, weight_gradient, bias_gradient):
        ctx.save_for_backward(x, weight)
        ctx.gradients, ctx.member, ctx.padding = (weight_gradient, bias_gradient), member, padding
        return f.conv2d(x, weight[member], bias[member], padding=padding)

    @staticmethod
    def backward(ctx, output):
        x, weight = ctx.saved_tensors
        needed, ones, zeros = (ctx.needs_input_grad[0], True, True), (1, 1), (0, 0)
        output = output.contiguous(memory_format=torch.channels_last)
        inputs, *gradients = torch.ops.aten.convolution_backward(
            output, x, weight[ctx.member], weight.shape[1:2], ones, ctx.padding, ones, False, zeros, 1, needed
        )
        for buffer, gradient in zip(ctx.gradients, gradients, strict=True):
            buffer[ctx.member].copy_(gradient)
        return inputs, None, None, None, None, None, None


class Scale(Function):
    """x · weight + bias, per channel: x is (n_members, n_images, channels), or one member's (n_images, channels, …)."""

    @staticmethod
    def forward(ctx, x, member, weight, bias, weight_gradient, bias_gradient):
        ctx.scale, shift = (channels(values, member, x.dim()) for values in (weight, bias))
        ctx.save_for_backward(x)
        ctx.gradients, ctx.member = (weight_gradient, bias_gradient), member
        return x * ctx.scale + shift

    @staticmethod
    def backward(ctx, output):
        [x] = ctx.saved_tensors
        others = 1 if ctx.member is None else [axis for axis in range(x.dim()) if axis != 1]
        for buffer, values in zip(ctx.gradients, (output * x, output), strict=True):
            torch.sum(values, others, out=buffer if ctx.member is None else buffer[ctx.member])
        return output * ctx.scale, None, None, None, None, None


def channels(values: torch.Tensor, member: int | None, dimensions: int) -> torch.Tensor:
    """Values (n_members, channels) as they multiply all members' last axis, or one member's second."""
    return values[:, None] if member is None else values[member].view(1, -1, *[1] * (dimensions - 2))
