"""One pass over the training images."""

from collections.abc import Callable, Iterable
from functools import partial

import torch

from ufm.training.evaluation import counted, cross_entropies
from ufm.training.optimiser import Optimiser
from ufm.training.stack import Stack

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of logits and targets, as `cross_entropies`
LossesOf = Callable[[Stack, torch.Tensor, torch.Tensor, int], torch.Tensor]  # of images, targets and step


def of_logits(loss: Loss, stack: Stack, images: torch.Tensor, targets: torch.Tensor, step: int) -> torch.Tensor:
    """Losses (n_members, n) of a batch at a step of training."""
    return loss(stack.logits(images, step=step), targets)


def train_epoch(
    stack: Stack,
    optimiser: Optimiser,
    batches: Iterable[tuple[int, torch.Tensor, torch.Tensor]],
    losses_of: LossesOf | None = None,
) -> list[float]:
    """One pass over the batches of a `Feed`; every member's mean loss in nats, as it is trained on.

    losses_of: the stack's losses (n_members, n) of a batch at a step; None: cross-entropies of its logits.
    """
    losses_of = losses_of or partial(of_logits, cross_entropies)
    total, n_images = torch.zeros(len(stack), device=stack.device), torch.zeros((), device=stack.device)
    for step, images, targets in batches:
        losses = losses_of(stack, images, targets, step)
        means = optimiser.backward(losses)
        optimiser.step()
        total, n_images = total + means * losses.shape[1], n_images + counted(targets)
    return (total / n_images).tolist()
