"""One pass over the training images."""

from collections.abc import Iterable

import torch

from ufm.training.evaluation import cross_entropies
from ufm.training.optimiser import Optimiser
from ufm.training.stack import Stack


def train_epoch(
    stack: Stack, optimiser: Optimiser, batches: Iterable[tuple[int, torch.Tensor, torch.Tensor]]
) -> list[float]:
    """One pass over the batches of a `Feed`; every member's mean loss in nats."""
    total, n_images = torch.zeros(len(stack), device=stack.device), 0
    for step, images, targets in batches:
        n = targets.shape[-1]
        means = optimiser.backward(cross_entropies(stack.logits(images, step=step), targets))
        optimiser.step()
        total, n_images = total + means * n, n_images + n
    return (total / n_images).tolist()
