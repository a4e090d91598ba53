"""How many models a device's memory holds, and how long one takes."""

import time
from dataclasses import replace
from functools import cache

import torch

from ufm.data.on_device import DeviceData, free_memory
from ufm.data.sources import source
from ufm.networks import Model, Published
from ufm.networks.build import build
from ufm.protocol import Experiment, Protocol, Training
from ufm.training.batches import size_of
from ufm.training.epoch import train_epoch
from ufm.training.members import network
from ufm.training.optimiser import optimiser_of
from ufm.training.stack import Stack

COPIES = 5  # of the weights: themselves, gradients, two moments, the best epoch's; beside these two of a snapshot
LONG_STEP = 0.2  # seconds; of a shorter one ten are measured


def stack_size(experiment: Experiment, data: DeviceData, n_snapshots: int = 0) -> int:
    """How many such members, each with so many snapshots, fit into half of the device's free memory."""
    module = network(experiment, data)
    one = size_of(module, data.train_images[:1])
    x, batch_size = data.train_images, experiment.protocol.training.batch_size
    # Activations are kept for the way back, where their gradients join them.
    numbers = (COPIES + 2 * n_snapshots) * one.weights + 3 * batch_size * one.outputs
    return max(1, free_memory(x.device) // 2 // (numbers * x.element_size()))


def estimate(protocol: Protocol, image_shape: tuple[int, int, int], n_images: int, device: str = "cpu") -> float:
    """Seconds that one model takes at most on this device: all its epochs, from a few measured steps on noise."""
    training, n_models = protocol.training, protocol.n_models
    step = Training(batch_size=training.batch_size, precision=training.precision, private=training.private)
    if isinstance(protocol.model, Published):  # whose images take long enough
        step, n_models = replace(step, batch_size=min(8, step.batch_size)), 1
    if tasks := training.tasks:  # each step of recall goes through two networks
        one_image = seconds_an_image(
            protocol.model, image_shape, n_models, replace(step, batch_size=tasks.batch_size), device
        )
        return one_image * n_images * tasks.passes * (1 + (2 * tasks.recall.steps + 2 if tasks.recall else 0))
    one_image = seconds_an_image(protocol.model, image_shape, n_models, step, device)
    n_trainings, n_epochs = 2 if training.distillation else 1, training.epochs  # teacher and student
    if adv_bn := training.adv_bn:
        n_epochs = n_epochs + adv_bn.epochs * adv_bn.passes if adv_bn.epochs else n_epochs * adv_bn.passes
    before = 0.0  # of the one network that all models of a seed start from
    if settings := training.pretrained:
        before = (settings.n_train or source(settings.dataset).n_train) * settings.epochs / protocol.n_models
    return one_image * (n_images * n_epochs * n_trainings + before)


@cache
def seconds_an_image(
    model: Model, image_shape: tuple[int, int, int], n_models: int, step: Training, device: str
) -> float:
    """Seconds that training takes for an image and model of a stack of so many, measured once a process.

    step: what is known of a step, its batch, its precision, and what is private of it.
    """
    dtype, batch_size = getattr(torch, step.precision), step.batch_size
    modules = [build(model, image_shape, 10, seed=0, device=device, dtype=dtype) for _ in range(n_models)]
    stack = Stack(modules, torch.zeros(n_models, dtype=torch.int64, device=device))
    optimiser = optimiser_of(stack, step)
    images = torch.rand(batch_size, *image_shape, device=device, dtype=dtype)
    labels = torch.zeros(batch_size, device=device, dtype=torch.int64)

    def passed(steps: int) -> float:
        started = time.perf_counter()
        train_epoch(stack, optimiser, [(n, images, labels) for n in range(steps)])
        return (time.perf_counter() - started) / (steps * batch_size * n_models)

    passed(1)  # warms up
    one = passed(1)
    return one if one * batch_size * n_models > LONG_STEP else passed(10)
