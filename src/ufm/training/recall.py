"""Automatic recall machines (Ji et al. 2020, arXiv 2006.12323): images on which a network and its past disagree.

As in the authors' released code, with its weights for MNIST: the old network is the one at the end of the task before,
and each image of a batch is where one recalled image begins. Nothing is drawn at random.
"""

from math import log

import numpy as np
import torch
from torch.func import functional_call, vmap

from ufm.data.on_device import DeviceData
from ufm.protocol import Recall
from ufm.training.stack import Stack
from ufm.training.trained import State

# What a term of the loss is multiplied by that recalled images descend, in the released code's command for MNIST.
DIVERGENCE, OLD_PRESENT, NEW_PRESENT, DIVERSITY, SHARPNESS, VARIATION, NORM = 1.0, 1.0, 0.1, 16.0, 0.1, 1.0, 1.0
SMALLEST = float(np.finfo(np.float64).eps)  # of a class in the mean of probabilities


def past(stack: Stack) -> State:
    """A copy of the members' weights, (n_members, …) by name."""
    return {name: values.detach().clone() for name, values in stack.weights.items()}


def answers(stack: Stack, weights: State, images: torch.Tensor) -> torch.Tensor:
    """Logits (n_members, n_images, n_classes) of the members' own normalised images, with these weights.

    No gradient is by the weights.
    """
    return vmap(lambda own, x: functional_call(stack.template, own, (x,)))(weights, images)


def recalled(
    stack: Stack, old: State, images: torch.Tensor, labels: torch.Tensor, data: DeviceData, settings: Recall
) -> torch.Tensor:
    """Images (n_members, n_images, C, H, W) that each member recalls, in pixels, which may leave [0, 1].

    Args:
        stack: networks as they are after a step on a batch.
        old: their weights before this task.
        images: the batch (n_members, n_images, C, H, W) in [0, 1], where recalled images begin.
        labels: (n_images,), the classes of the batch, which are not to be recalled.
        data: how pixels are normalised.
        settings: steps and stride.
    """
    new, present, x = {name: values.detach() for name, values in stack.weights.items()}, labels.unique(), images
    for _ in range(settings.steps):
        x = x.detach().requires_grad_()
        given = data.normalise(x)
        before, now = (answers(stack, weights, given).log_softmax(-1) for weights in (old, new))
        [gradient] = torch.autograd.grad((disagreement(before, now, present) + roughness(x)).sum(), x)
        x = x - settings.stride * gradient
    return x.detach()


def disagreement(old: torch.Tensor, new: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """What recalled images descend of both networks' log-probabilities (n_members, n_images, n_classes), (n_members,).

    The networks are to disagree, the old one to be sure of each image and of many classes in the batch, and neither to
    see in it a class of `present` (n_present,).
    """
    middle = torch.logaddexp(old, new) - log(2)
    divergence = sum((middle.exp() * (middle - log_p)).sum(-1).mean(-1) for log_p in (old, new)) / 2
    mean = old.exp().mean(-2).clamp(min=SMALLEST)
    return (
        DIVERGENCE * (1 - divergence)
        + OLD_PRESENT * old[..., present].mean((-1, -2))
        + NEW_PRESENT * new[..., present].mean((-1, -2))
        + DIVERSITY * (mean * mean.log()).sum(-1)
        - SHARPNESS * old.amax(-1).mean(-1)
    )


def roughness(images: torch.Tensor) -> torch.Tensor:
    """Total variation and L2 norm of images (n_members, n_images, C, H, W), mean over images, as they are weighted."""
    n_pixels = images[0, 0].numel()
    variation = 2 * sum(images.diff(dim=axis).square().mean((-1, -2, -3)) for axis in (-2, -1))
    norm = images.flatten(-3).norm(dim=-1) / n_pixels
    return (VARIATION * variation + NORM * norm).mean(-1)
