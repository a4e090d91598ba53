"""One pass over the training images."""

from collections.abc import Callable, Iterable

import torch

from ufm.training.evaluation import counted, cross_entropies
from ufm.training.optimiser import Optimiser
from ufm.training.stack import Stack


def train_epoch(
    stack: Stack,
    optimiser: Optimiser,
    batches: Iterable[tuple[int, torch.Tensor, torch.Tensor]],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = cross_entropies,
) -> list[float]:
    """One pass over the batches of a `Feed`; every member's mean loss in nats, as it is trained on.

    loss: of logits and targets, as `cross_entropies`.
    """
    total, n_images = torch.zeros(len(stack), device=stack.device), torch.zeros((), device=stack.device)
    for step, images, targets in batches:
        losses = loss(stack.logits(images, step=step), targets)
        means = optimiser.backward(losses)
        optimiser.step()
        total, n_images = total + means * losses.shape[1], n_images + counted(targets)
    return (total / n_images).tolist()
