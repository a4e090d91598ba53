"""Networks before and after training, and one pass over the batches."""

from collections.abc import Iterable

import torch
from torch import nn

from ufm.data.on_device import DeviceData
from ufm.networks.build import build
from ufm.protocol import Experiment
from ufm.training.evaluation import cross_entropies
from ufm.training.optimiser import SGD, Adam
from ufm.training.stack import Stack


def network(experiment: Experiment, data: DeviceData) -> nn.Sequential:
    """The untrained network of an experiment."""
    return build(
        experiment.model,
        data.data.train_images.shape[1:],
        data.data.n_classes,
        seed=experiment.seed,
        scope=data.data.scope,
        device=str(data.train_images.device),
        dtype=data.train_images.dtype,
        rounding=experiment.rounding,
    )


def loaded(module: nn.Sequential, state: dict[str, torch.Tensor]) -> nn.Sequential:
    """The network with these weights, ready to be evaluated."""
    module.load_state_dict(state)
    return module.eval()


def train_epoch(
    stack: Stack, optimiser: Adam | SGD, batches: Iterable[tuple[int, torch.Tensor, torch.Tensor]]
) -> list[float]:
    """One pass over the batches of a `Feed`; every member's mean loss in nats."""
    total, n_images = 0.0, 0
    for step, images, targets in batches:
        n = targets.shape[-1]
        losses = cross_entropies(stack.logits(images, step=step), targets).mean(1)
        losses.sum().backward()
        optimiser.step()
        total, n_images = total + losses.detach() * n, n_images + n
    return (total / n_images).tolist()
