"""Operations of a stack whose gradients by weights and biases are written to buffers that are made once.

Autograd would put them into fresh memory every step. Under `torch.autocast` products are taken in its precision; what
is written is in the precision of the buffers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.autograd import Function
from torch.nn import functional as f

# What lies last in memory of the images that a convolution is given. On a CPU oneDNN is faster with channels last.
LAST = {"cpu": torch.channels_last, "cuda": torch.channels_last}

Geometry = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]  # stride, padding, dilation of a convolution


@dataclass
class Norms:
    """Squared norms (n_members, n_images) of the gradients of single images, while they are asked for."""

    squares: torch.Tensor
    asked: bool = False


class Linear(Function):
    """x Wᵀ + b of every member, for x (n_images, n_in) or (n_members, n_images, n_in).

    norms: where it is asked for them, a pass back adds to them the squared norm of each image's own gradient by weight
    and bias, which is that of its output's gradient times one more than that of its input, and writes no gradients. Nor
    does it where weights need none.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, weight_gradient, bias_gradient, norms):
        x, weight = in_precision(x, weight)
        ctx.save_for_backward(x, weight)
        ctx.gradients, ctx.norms = (weight_gradient, bias_gradient), norms
        if x.dim() == 3:
            return torch.baddbmm(bias[:, None], x, weight.mT)
        n_members, n_out, n_in = weight.shape
        # Shared inputs make one large product of the members' small ones.
        joint = torch.addmm(bias.view(-1), x, weight.view(-1, n_in).T)
        return joint.view(len(x), n_members, n_out).transpose(0, 1)

    @staticmethod
    def backward(ctx, output):
        x, weight = ctx.saved_tensors
        weight_gradient, bias_gradient = ctx.gradients
        asked = ctx.norms is not None and ctx.norms.asked
        if asked:
            ctx.norms.squares += output.square().sum(-1) * (x.square().sum(-1) + 1)
        if asked or not ctx.needs_input_grad[1]:
            inputs = torch.bmm(output, weight) if x.dim() == 3 and ctx.needs_input_grad[0] else None
            return inputs, None, None, None, None, None
        torch.sum(output, 1, out=bias_gradient)
        if x.dim() == 3:
            multiply(torch.bmm, output.mT, x, weight_gradient)
            inputs = torch.bmm(output, weight) if ctx.needs_input_grad[0] else None
        else:
            joint = output.transpose(0, 1).reshape(len(x), -1)
            multiply(torch.mm, joint.T, x, weight_gradient.view(joint.shape[1], -1))
            inputs = None  # images need none
        return inputs, None, None, None, None, None


class Convolution(Function):
    """The convolution of one member, for x (n_images, C, H, W); weights, biases and gradients are those of all."""

    @staticmethod
    def forward(ctx, x, member, geometry, weight, bias, weight_gradient, bias_gradient):
        x, kernels = in_precision(x, weight[member])
        ctx.save_for_backward(x, kernels)
        ctx.buffers, ctx.geometry = (weight_gradient[member], bias_gradient[member]), geometry
        return f.conv2d(x, kernels, bias[member], *geometry)

    @staticmethod
    def backward(ctx, output):
        x, kernels = ctx.saved_tensors
        inputs = convolution_backward(output, x, kernels, ctx.buffers, ctx.geometry, 1, ctx.needs_input_grad[0])
        return inputs, None, None, None, None, None, None


class GroupedConvolution(Function):
    """The convolutions of all members as one, for x (n_images, C, H, W) or (n_members, n_images, C, H, W).

    Members are groups of channels; images that they share need no groups. The result (n_members, n_images, C, H, W) has
    all members' channels side by side in memory, so that the next layer joins them without a copy.
    """

    @staticmethod
    def forward(ctx, x, geometry, weight, bias, weight_gradient, bias_gradient):
        ctx.n_members, ctx.shared = len(weight), x.dim() == 4
        ctx.groups = 1 if ctx.shared else ctx.n_members
        images = x if ctx.shared else joined(x)
        images, kernels = in_precision(arranged(images), weight.flatten(0, 1))
        ctx.save_for_backward(images, kernels)
        ctx.buffers, ctx.geometry = (weight_gradient.flatten(0, 1), bias_gradient.view(-1)), geometry
        stride, padding, dilation = geometry
        return parted(f.conv2d(images, kernels, bias.view(-1), stride, padding, dilation, ctx.groups), ctx.n_members)

    @staticmethod
    def backward(ctx, output):
        images, kernels = ctx.saved_tensors
        inputs = convolution_backward(
            joined(output), images, kernels, ctx.buffers, ctx.geometry, ctx.groups, ctx.needs_input_grad[0]
        )
        if inputs is not None and not ctx.shared:
            inputs = parted(inputs, ctx.n_members)
        return inputs, None, None, None, None, None


class Scale(Function):
    """x · weight + bias, per channel: x is (n_members, n_images, channels, …), or one member's (n_images, channels, …).

    member: whose x it is; None for all.
    """

    @staticmethod
    def forward(ctx, x, member, weight, bias, weight_gradient, bias_gradient):
        ctx.scale, shift = (channels(values, member, x.dim()) for values in (weight, bias))
        ctx.save_for_backward(x)
        ctx.gradients, ctx.member = (weight_gradient, bias_gradient), member
        return x * ctx.scale + shift

    @staticmethod
    def backward(ctx, output):
        [x] = ctx.saved_tensors
        kept = (0, 2) if ctx.member is None else (1,)
        others = [axis for axis in range(x.dim()) if axis not in kept]
        for buffer, values in zip(ctx.gradients, (output * x, output), strict=True):
            torch.sum(values, others, out=buffer if ctx.member is None else buffer[ctx.member])
        return output * ctx.scale, None, None, None, None, None


def joined(x: torch.Tensor) -> torch.Tensor:
    """(n_members, n_images, channels, …) as (n_images, n_members · channels, …)."""
    return x.transpose(0, 1).flatten(1, 2)


def parted(x: torch.Tensor, n_members: int) -> torch.Tensor:
    """(n_images, n_members · channels, …) as (n_members, n_images, channels, …)."""
    return x.unflatten(1, (n_members, -1)).transpose(0, 1)


def arranged(images: torch.Tensor) -> torch.Tensor:
    """Images (n_images, C, H, W) as they lie in memory where a convolution on their device is fastest.

    A single channel lies there either way; its strides say which, and by them torch chooses how its results lie.
    """
    last = LAST[images.device.type]
    found = images.contiguous(memory_format=last)
    _, n_channels, height, width = found.shape
    if n_channels == 1 and last == torch.channels_last:
        return found.as_strided(found.shape, (height * width, 1, width, 1))
    return found


def in_precision(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The tensors as a product takes them: in autocast's precision where it is on."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    return tuple(values.to(torch.get_autocast_dtype(device)) for values in tensors)


def multiply(product: Callable, first: torch.Tensor, second: torch.Tensor, buffer: torch.Tensor) -> None:
    """Write a product to a buffer, whatever the precision it is taken in."""
    if first.dtype == buffer.dtype:
        product(first, second, out=buffer)
    else:
        buffer.copy_(product(first, second))


def convolution_backward(
    output: torch.Tensor,
    x: torch.Tensor,
    kernels: torch.Tensor,
    buffers: tuple[torch.Tensor, torch.Tensor],
    geometry: Geometry,
    groups: int,
    needed: bool,
) -> torch.Tensor | None:
    """Write the gradients of kernels and biases to the buffers; return that of x where it is needed."""
    output = arranged(output)
    inputs, *gradients = torch.ops.aten.convolution_backward(
        output, x, kernels, buffers[1].shape, *geometry, False, (0, 0), groups, (needed, True, True)
    )
    for buffer, gradient in zip(buffers, gradients, strict=True):
        buffer.copy_(gradient)
    return inputs


def channels(values: torch.Tensor, member: int | None, dimensions: int) -> torch.Tensor:
    """Values (n_members, channels) as they multiply the channels of all members, or of one."""
    if member is None:
        return values.view(len(values), 1, -1, *[1] * (dimensions - 3))
    return values[member].view(1, -1, *[1] * (dimensions - 2))
