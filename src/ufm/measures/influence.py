"""Self-influence of training images: how much training on an image itself lowered the loss on that image.

This is TracIn of an image with itself (Pruthi et al., Estimating Training Data Influence by Tracing Gradient Descent,
NeurIPS 2020), as in the released code: the sum over ten checkpoints of the squared norm of the gradient of the image's
own loss, without the learning rate, which all checkpoints have in common.
"""

from functools import reduce, singledispatch

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as f

from ufm.networks.trunk import Trunk
from ufm.progress import progress
from ufm.training import Trained, at_most

N_CHECKPOINTS = 10
TRUNK_IMAGES = 16  # whose gradients are built at once
FALL = 0.95  # share of the fall of the training loss that is reached at the last checkpoint


def self_influence(trained: Trained, images: torch.Tensor, labels: torch.Tensor, *, show: bool = True) -> np.ndarray:
    """Self-influence (n_images,) of normalised images (n_images, C, H, W) as the model was trained on them.

    Dropout and augmentation are left out. The model must have kept its snapshots: `train(…, snapshots=range(1, epochs
    + 1))`. Raises a ValueError that names an epoch without one. show: a progress bar on the terminal.
    """
    epochs = checkpoints(trained.history)
    for epoch in epochs:
        if epoch not in trained.snapshots:
            raise ValueError(
                f"snapshots: the model after epoch {epoch} was not kept; self-influence needs those of epochs "
                f"{', '.join(map(str, epochs))}"
            )
    experiment, total = trained.experiment, np.zeros(len(images))
    what = f"seed {experiment.seed}, {experiment.role}, checkpoints"
    for epoch in progress(epochs, what, show=show):
        total += squared_gradient_norms(trained.snapshots[epoch], images, labels)
    return total


def checkpoints(history: list[dict[str, float]], n: int = N_CHECKPOINTS) -> list[int]:
    """Epochs from 1 to the one at which most of the fall of the training loss is reached, n evenly spaced ones.

    Most is 95 % of the fall from the first epoch's loss to the lowest. There are fewer where there are fewer epochs.
    history: that of a `Trained`, an entry an epoch.
    """
    losses = np.array([epoch["train_loss"] for epoch in history])
    reached = losses <= losses[0] - FALL * (losses[0] - losses.min())
    last = 1 + int(reached.argmax())
    return np.unique(np.linspace(1, last, n).round().astype(int)).tolist()


def squared_gradient_norms(
    model: nn.Sequential, images: torch.Tensor, labels: torch.Tensor, *, batch_size: int = 500
) -> np.ndarray:
    """Squared norm of the gradient of each image's own cross-entropy by all weights and biases, (n_images,) float64.

    The model is evaluated: no dropout, batch norm by its running statistics. No image's gradient is ever built where a
    layer's is an outer product; that of a convolution is built for the images of a batch.

    Args:
        model: layers of weights are linear ones, convolutions of one group, batch norms, and trunks.
        images: normalised, (n_images, C, H, W).
        labels: (n_images,).
        batch_size: images at a time.
    """
    model.eval()
    found = []
    size = at_most(model, images, batch_size, times=9)  # a convolution's inputs are unfolded, 3 × 3 of them a place
    for batch, targets in zip(images.split(size), labels.split(size), strict=True):
        x, layers, outputs = batch.detach().requires_grad_(), [], []
        for layer in model:
            y = layer(x)
            if next(layer.parameters(), None) is not None:
                layers.append((layer, x.detach()))
                outputs.append(y)
            x = y
        # Of evaluated images none depends on another, so that the sum's gradient is each one's own. In float32 the
        # difference of a probability near one from one would be lost.
        gradients = torch.autograd.grad(f.cross_entropy(x.double(), targets, reduction="sum"), outputs)
        shares = (of_layer(*one, gradient) for one, gradient in zip(layers, gradients, strict=True))
        found.append(reduce(torch.add, shares))
    return torch.cat(found).cpu().numpy()


@singledispatch
def of_layer(layer: nn.Module, x: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """A layer's share of the squared norms, (n_images,), from its inputs and the loss's gradient by its outputs.

    Each kind of layer is registered; a TypeError names one that is not.
    """
    raise TypeError(f"the gradient norm of a {type(layer).__name__} is not known")


@of_layer.register
def of_linear(layer: nn.Linear, x: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """An outer product of the inputs, the bias's 1 among them, and the gradient."""
    return squares(gradient) * (squares(x) + 1)


@of_layer.register
def of_convolution(layer: nn.Conv2d, x: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """A sum of outer products over places: the gradient is built."""
    assert not isinstance(layer.padding, str)  # but numbers, in every architecture
    inputs, by_place = f.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride), gradient.flatten(2)
    return squares(by_place @ inputs.mT) + squares(by_place.sum(2))


@of_layer.register(nn.BatchNorm1d)
@of_layer.register(nn.BatchNorm2d)
def of_batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, x: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """By the running statistics, so that a channel's weight scales its normalised values."""
    by_place = gradient.reshape(*gradient.shape[:2], -1)  # image, channel, place
    normal = f.batch_norm(x, layer.running_mean, layer.running_var, eps=layer.eps)
    return squares((by_place * normal.reshape(by_place.shape)).sum(2)) + squares(by_place.sum(2))


@of_layer.register
def of_trunk(layer: Trunk, x: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Gradients are built, image by image."""
    weights = {name: values.detach() for name, values in layer.named_parameters()}
    buffers = dict(layer.named_buffers())

    def of_one(image: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        def product(weights: dict[str, torch.Tensor]) -> torch.Tensor:
            return (functional_call(layer, weights | buffers, (image[None],)) * output).sum()

        return sum(one.double().square().sum() for one in grad(product)(weights).values())

    return vmap(of_one, chunk_size=TRUNK_IMAGES)(x, gradient)


def squares(values: torch.Tensor) -> torch.Tensor:
    """Sum of squares over all axes but the first, in float64, where tiny ones do not vanish."""
    return torch.linalg.vector_norm(values.flatten(1), dim=1, dtype=torch.float64) ** 2
