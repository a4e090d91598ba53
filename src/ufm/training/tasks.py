"""Training task after task, see `ufm.protocol.Tasks`: classes in turn, with what a network recalls of those before."""

from collections.abc import Collection

import numpy as np
import torch

from ufm.data.on_device import DeviceData, channels
from ufm.progress import progress
from ufm.protocol import Experiment, task_of
from ufm.training.evaluation import cross_entropies, evaluate_stack
from ufm.training.feed import stamped_images
from ufm.training.members import stack_of
from ufm.training.optimiser import of_settings
from ufm.training.recall import answers, past, recalled
from ufm.training.trained import Recalled, State, Trained, loaded

SMALLEST = 1e-12  # what a patch's spread is divided by, at least


def train_in_tasks(
    experiments: list[Experiment],
    data: DeviceData,
    snapshots: Collection[int] = (),
    at_control: bool = False,
    show: bool = True,
) -> list[Trained]:
    """Experiments of one architecture and hyper-parameters as one stack, after the last task.

    An epoch of theirs is a task, from 1, in `snapshots` too. None stops early, so that each is as old as its control.

    Raises:
        ValueError: a model diverges.
    """
    training = experiments[0].protocol.training
    settings = training.tasks
    assert settings is not None  # else there are no tasks
    stack, step = stack_of(experiments, data), 0
    optimiser = of_settings(settings.optimiser, stack, training)
    stamped = [stamped_images(one, data) for one in experiments]
    tasks = task_of(data.train_labels, data.dataset.n_classes, settings.n)
    histories: list[list[dict[str, float]]] = [[] for _ in experiments]
    kept: list[dict[int, State]] = [{} for _ in experiments]
    shape, (row, column) = experiments[0].protocol.unique.shape, experiments[0].protocol.position
    place_of = slice(row, row + shape[0]), slice(column, column + shape[1])
    patches = torch.zeros(len(stack), settings.n, *shape, dtype=torch.float64, device=stack.device)
    pictures = data.train_images.new_zeros(len(stack), settings.n, *data.train_images.shape[1:])
    what = f"seed {experiments[0].seed}, {len(experiments)} models, tasks"
    for task in progress(range(settings.n), what, show=show):
        old = past(stack) if settings.recall and task else None
        places, total = (tasks == task).nonzero()[:, 0], torch.zeros(len(stack), device=stack.device)
        n_images = max(1, settings.passes * len(places))
        for batch in places.split(settings.batch_size) * settings.passes if len(places) else ():
            images, labels = given(batch, stamped, data), data.train_labels[batch]
            total += optimiser.backward(cross_entropies(stack.logits(images, step=step), labels)) * len(batch)
            optimiser.step()
            if old is not None and settings.recall is not None:
                own = images.expand(len(stack), *images.shape[-4:])
                mean, std = channels(data.dataset, own)
                found = recalled(stack, old, own * std + mean, labels, data, settings.recall)
                patches[:, task] += standardised(found[..., *place_of].mean(2)).sum(1)
                pictures[:, task] = found[:, 0]
                both = torch.cat([data.normalise(found), own], 1)
                with torch.no_grad():
                    before = answers(stack, old, both).softmax(-1)
                # Twice, for the mean over both halves is taken of what is to be the sum of two means.
                optimiser.backward(2 * cross_entropies(stack.logits(both, step=step), before))
                optimiser.step()
            step += 1
        losses, accuracies = evaluate_stack(stack, data.stopping_images, data.stopping_labels)
        if not np.isfinite(losses).all():
            raise ValueError(f"learning_rate: training of seed {experiments[0].seed} diverged in task {task + 1}")
        patches[:, task] /= n_images
        every = zip(histories, (total / n_images).tolist(), losses, accuracies, strict=True)
        for place, (history, *found_here) in enumerate(every):
            names = ("train_loss", "stopping_loss", "stopping_accuracy")
            history.append({"epoch": task + 1} | dict(zip(names, found_here, strict=True)))
            if task + 1 in snapshots:
                kept[place][task + 1] = stack.state(place)
    trained = []
    for place, experiment in enumerate(experiments):
        after = {task: loaded(stack.template, state) for task, state in kept[place].items()}
        model = loaded(stack.template, stack.state(place))
        recall = Recalled(patches[place].cpu().numpy(), pictures[place].cpu().numpy()) if settings.recall else None
        at_end = model if at_control else None
        trained.append(Trained(model, experiment, settings.n, histories[place], after, at_end, recalled=recall))
    return trained


def given(batch: torch.Tensor, stamped: list[dict[int, torch.Tensor]], data: DeviceData) -> torch.Tensor:
    """The normalised images at these places (n_images,), (n_images, C, H, W) or of each member where one has a host."""
    images, where = data.train_images[batch], batch.tolist()
    if not any(place in own for own in stamped for place in where):
        return images
    every = images.repeat(len(stamped), 1, 1, 1, 1)
    for member, own in enumerate(stamped):
        for place in own.keys() & where:
            every[member, where.index(place)] = own[place]
    return every


def standardised(patches: torch.Tensor) -> torch.Tensor:
    """Patches (…, h, w) less their mean, over their standard deviation, zero where that is none, in float64.

    The mean of their products with those of a feature is the correlation of the two.
    """
    patches = patches.double()
    centred = patches - patches.mean((-1, -2), keepdim=True)
    return centred / centred.square().mean((-1, -2), keepdim=True).sqrt().clamp(min=SMALLEST)
