"""A stack: networks of one architecture whose weights lie side by side, so that one operation serves all of them.

Gradients of weights and biases are written to buffers that are made once: fresh ones every step would cost a CPU a
fifth of the time in page faults.
"""

import torch
from torch import nn
from torch.autograd import Function
from torch.nn import functional as f

from ufm.counters import uniforms


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

    def __len__(self) -> int:
        return len(self.dropout_keys)

    def logits(self, images: torch.Tensor, *, step: int | None = None) -> torch.Tensor:
        """Logits (n_members, n_images, n_classes) of normalised images.

        images: (n_images, C, H, W), the same for all, or (n_members, n_images, C, H, W). step: the training step, from
        0, for dropout and for batch norm by the batch; None evaluates. `backward` on a loss of the logits fills
        `gradients`.
        """
        x, shared = images, images.dim() == 4
        for number, layer in enumerate(self.template):
            if isinstance(layer, nn.Flatten):
                x = x.flatten(1 if shared else 2)
            elif isinstance(layer, nn.Linear):
                x, shared = Linear.apply(x, *self.of(number)), False
            elif isinstance(layer, nn.Conv2d):
                x, shared = Convolution.apply(x, layer.padding[0], *self.of(number)), False
            elif isinstance(layer, nn.ReLU):
                x = x.relu()
            elif isinstance(layer, nn.MaxPool2d):
                x = f.max_pool2d(x.flatten(0, 1), layer.kernel_size).unflatten(0, x.shape[:2])
            elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                x = self.batch_norm(x, number, layer, training=step is not None)
            elif isinstance(layer, nn.Dropout):
                x = x if step is None else self.dropout(x, number, layer.p, step)
            else:
                raise TypeError(f"a stack has no {type(layer).__name__}")
        return x

    def of(self, number: int) -> tuple[torch.Tensor, ...]:
        """Weight and bias of a layer, and the buffers of their gradients."""
        names = (f"{number}.weight", f"{number}.bias")
        return (*(self.parameters[name] for name in names), *(self.gradients[name] for name in names))

    def batch_norm(self, x: torch.Tensor, number: int, layer: nn.BatchNorm1d, *, training: bool) -> torch.Tensor:
        """Every member's channels normalised by its own batch, or by its own running statistics."""
        joined = x.transpose(0, 1).flatten(1, 2)  # (n_images, n_members * channels, ...)
        mean, variance = (self.weights[f"{number}.running_{name}"].view(-1) for name in ("mean", "var"))
        normal = f.batch_norm(joined, mean, variance, training=training, momentum=layer.momentum, eps=layer.eps)
        normal = normal.unflatten(1, (x.shape[0], x.shape[2])).transpose(0, 1)
        return Scale.apply(normal, *self.of(number))

    def dropout(self, x: torch.Tensor, number: int, rate: float, step: int) -> torch.Tensor:
        """Units dropped at the rate, the rest scaled by 1 / (1 − rate); drawn once for members of equal keys."""
        keys, members = self.dropout_keys.unique(return_inverse=True)
        kept = uniforms(keys, step=step, layer=number, n=x[0].numel()) >= rate
        scale = (kept.to(x.dtype) / (1 - rate)).view(-1, *x.shape[1:])
        return x * (scale if len(keys) == 1 else scale[members])

    @torch.no_grad()
    def keep(self, members: torch.Tensor) -> None:
        """Let all members but these, given by their places, leave the stack."""
        self.weights = {name: value.detach()[members] for name, value in self.weights.items()}
        self.parameters = {name: self.weights[name].requires_grad_() for name in self.parameters}
        self.gradients = {name: value[members] for name, value in self.gradients.items()}
        self.dropout_keys = self.dropout_keys[members]

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
    """The convolution of every member, for x (n_images, C, H, W) or (n_members, n_images, C, H, W)."""

    @staticmethod
    def forward(ctx, x, padding, weight, bias, weight_gradient, bias_gradient):
        ctx.save_for_backward(x, weight)
        ctx.gradients, ctx.padding = (weight_gradient, bias_gradient), padding
        inputs = x if x.dim() == 5 else x.expand(len(weight), *x.shape)
        # Member by member: on CPUs grouped convolutions take other, slower kernels.
        return torch.stack([f.conv2d(inputs[m], weight[m], bias[m], padding=padding) for m in range(len(weight))])

    @staticmethod
    def backward(ctx, output):
        x, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad[0]
        inputs = torch.empty_like(x) if needed else None
        padding = (ctx.padding, ctx.padding)
        for m in range(len(weight)):
            ours = x[m] if x.dim() == 5 else x
            before, weight_gradient, bias_gradient = torch.ops.aten.convolution_backward(
                output[m], ours, weight[m], [weight.shape[1]], (1, 1), padding, (1, 1), False, (0, 0), 1,
                (needed, True, True),
            )  # fmt: skip
            for buffer, gradient in zip(ctx.gradients, (weight_gradient, bias_gradient), strict=True):
                buffer[m].copy_(gradient)
            if needed:
                inputs[m].copy_(before)
        return inputs, None, None, None, None, None


class Scale(Function):
    """x · weight + bias per channel of every member, for x (n_members, n_images, channels, ...)."""

    @staticmethod
    def forward(ctx, x, weight, bias, weight_gradient, bias_gradient):
        ctx.save_for_backward(x, weight)
        ctx.gradients = weight_gradient, bias_gradient
        shape = (len(weight), 1, -1, *[1] * (x.dim() - 3))
        return x * weight.view(shape) + bias.view(shape)

    @staticmethod
    def backward(ctx, output):
        x, weight = ctx.saved_tensors
        weight_gradient, bias_gradient = ctx.gradients
        others = [axis for axis in range(x.dim()) if axis not in (0, 2)]
        torch.sum(output * x, others, out=weight_gradient)
        torch.sum(output, others, out=bias_gradient)
        return output * weight.view(len(weight), 1, -1, *[1] * (x.dim() - 3)), None, None, None, None
