"""What the members of a stack start from: their networks and their keys."""

import torch
from torch import nn

from ufm.data.on_device import DeviceData
from ufm.networks.build import build
from ufm.protocol import Experiment
from ufm.randomness import counters
from ufm.training.stack import Stack


def network(experiment: Experiment, data: DeviceData) -> nn.Sequential:
    """The network of an experiment as it is before training: untrained, or pretrained but for its last layer."""
    module = build(
        experiment.protocol.model,
        data.dataset.train_images.shape[1:],
        data.dataset.n_classes,
        seed=experiment.seed,
        scope=data.dataset.scope,
        device=str(data.train_images.device),
        dtype=data.train_images.dtype,
        rounding=experiment.protocol.rounding,
    )
    if data.pretrained is not None:
        module[:-1].load_state_dict(data.pretrained[experiment.seed])
    return module


def keys(name: str, experiments: list[Experiment], data: DeviceData) -> torch.Tensor:
    """The members' keys of a stream that is drawn by counter; equal seeds have equal keys."""
    by_seed = {
        experiment.seed: counters.key(name, seed=experiment.seed, scope=data.dataset.scope)
        for experiment in experiments
    }
    return torch.tensor([by_seed[experiment.seed] for experiment in experiments], device=data.train_images.device)


def stack_of(experiments: list[Experiment], data: DeviceData) -> Stack:
    """The stack of experiments of one architecture and hyper-parameters before training."""
    stack = Stack([network(experiment, data) for experiment in experiments], keys("dropout", experiments, data))
    pretrained = experiments[0].protocol.training.pretrained
    if pretrained and pretrained.frozen:
        stack.freeze(len(stack.layers) - 1)
    return stack
