"""What trained networks give: losses, accuracies, log-probabilities."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ufm.networks.trunk import at_once
from ufm.training.batches import at_most
from ufm.training.stack import Stack

LEFT_OUT = -100  # the label of what fills a batch where members have different numbers of images: it costs nothing
EVALUATED = 5_000  # images at a time, when nothing is learnt


@torch.no_grad()
def evaluate_stack(stack: Stack, images: torch.Tensor, labels: torch.Tensor) -> tuple[list[float], list[float]]:
    """Every member's mean cross-entropy in nats and accuracy in [0, 1] on normalised images (n_images, C, H, W)."""
    losses = torch.zeros(len(stack), dtype=torch.float64, device=stack.device)
    right = torch.zeros(len(stack), dtype=torch.int64, device=stack.device)
    size = at_once(stack.template, max(EVALUATED // len(stack), 100))
    size = at_most(stack.template, images, size, times=len(stack))
    for batch, targets in zip(images.split(size), labels.split(size), strict=True):
        logits = stack.logits(batch)
        losses = losses + cross_entropies(logits, targets).sum(1, dtype=torch.float64)
        right = right + (logits.argmax(2) == targets).sum(1)
    return (losses / len(labels)).tolist(), (right.double() / len(labels)).tolist()


def cross_entropies(
    logits: torch.Tensor, targets: torch.Tensor, smoothing: float = 0.0, temperature: float = 1.0
) -> torch.Tensor:
    """Cross-entropy (n_members, n) in nats of logits (n_members, n, n_classes).

    targets: labels (n,) or (n_members, n), or floating weights of the classes (n, n_classes) or (n_members, n,
    n_classes). smoothing: the share of a label's weight that all classes get alike (Szegedy et al. 2016, section 7).
    temperature: by which logits are divided, and by whose square losses are multiplied, so that gradients keep their
    scale (Hinton et al. 2015, section 2).
    """
    every = targets.expand(logits.shape if targets.is_floating_point() else logits.shape[:2]).flatten(0, 1)
    losses = cross_entropy(
        logits.flatten(0, 1) / temperature, every, reduction="none", ignore_index=LEFT_OUT, label_smoothing=smoothing
    )
    return losses.view(logits.shape[:2]) * temperature**2


def counted(targets: torch.Tensor) -> torch.Tensor:
    """How many images of a batch cost anything, of all members or of each, by targets as `cross_entropies` has them."""
    there = targets.any(-1) if targets.is_floating_point() else targets != LEFT_OUT
    return there.sum(-1)


@torch.inference_mode()
def evaluate(model: nn.Sequential, images: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Mean cross-entropy in nats and accuracy in [0, 1] on normalised images."""
    model.eval()
    size = at_most(model, images, at_once(model, EVALUATED))
    logits = torch.cat([model(batch) for batch in images.split(size)])
    return float(cross_entropy(logits, labels)), float((logits.argmax(1) == labels).double().mean())


@torch.inference_mode()
def log_probabilities(model: nn.Sequential, images: torch.Tensor, *, batch_size: int = 8192) -> torch.Tensor:
    """Unclipped log-softmax (n_images, n_classes) of normalised images (n_images, C, H, W)."""
    model.eval()
    size = at_most(model, images, at_once(model, batch_size))
    return torch.cat([model(batch).log_softmax(1) for batch in images.split(size)])
