"""Training: experiments of one architecture and hyper-parameters as one stack, on images that stay on the device."""

import math
from collections.abc import Collection
from functools import partial

import torch

from ufm.data.on_device import DeviceData
from ufm.progress import progress
from ufm.protocol import Experiment, check
from ufm.training.adv_bn import cut, fine_tune, on_worst_statistics
from ufm.training.capacity import stack_size
from ufm.training.distillation import outputs, teacher
from ufm.training.epoch import of_logits, train_epoch
from ufm.training.evaluation import cross_entropies, evaluate_stack
from ufm.training.feed import Feed
from ufm.training.forgetting import forget
from ufm.training.members import stack_of
from ufm.training.optimiser import optimiser_of
from ufm.training.tasks import train_in_tasks
from ufm.training.trained import Course, Trained
from ufm.training.visual_mixer import as_asked


def train(
    experiments: list[Experiment],
    data: DeviceData,
    *,
    snapshots: Collection[int] = (),
    at_control: bool = False,
    show: bool = True,
) -> list[Trained]:
    """Train models on one data set, or on one part of it; the results are in the order of the experiments.

    Experiments that share architecture and hyper-parameters are trained together, as many as the device's memory
    holds, the others in turn. Early stopping keeps the weights of the epoch with the lowest stopping loss; a model that
    stopped leaves its stack. Batches are taken in file order, as in the released code, unless `shuffle` is set.

    Args:
        experiments: any, also equal ones.
        data: the images, on their device.
        snapshots: epochs, from 1, whose weights are kept beside the best ones, for models that reach them.
        at_control: keep every model also as it was after the best epoch of its seed's control, which must be among the
            experiments, once a seed, and train it until both have stopped.
        show: a progress bar on the terminal.

    Raises:
        ValueError: an experiment does not fit the data, or a model diverges; the field is named.
    """
    groups: dict[tuple, dict[int, list[int]]] = {}
    for place, experiment in enumerate(experiments):
        check(experiment, data.dataset)
        for name, available in (("precision", str(data.train_images.dtype)), ("early_stopping", data.early_stopping)):
            asked = getattr(experiment.protocol.training, name)
            if asked not in (available.removeprefix("torch."), "none"):
                raise ValueError(f"{name}: {asked} is asked for, but the data on the device are for {available}")
        if (border := experiment.protocol.training.border) != data.border:
            raise ValueError(f"border: {border} is asked for, but the data on the device have one of {data.border}")
        if (experiment.protocol.training.falco is None) != (data.replaced is None):
            raise ValueError("falco: the data on the device have other training images than are asked for")
        if (experiment.protocol.training.pretrained is None) != (data.pretrained is None):
            raise ValueError("pretrained: networks start from other weights than are asked for")
        # Models that wait for each other are trained together.
        families = groups.setdefault((experiment.protocol.model, experiment.protocol.training), {})
        families.setdefault(experiment.seed if at_control else place, []).append(place)
    trained: dict[int, Trained] = {}
    for group in groups.values():
        waiting = list(group.values())
        size = stack_size(experiments[waiting[0][0]], data, len(snapshots) + at_control)
        while waiting:
            together = max(1, size // max(map(len, waiting)))
            now = [place for family in waiting[:together] for place in family]
            try:
                finished = train_stack([experiments[place] for place in now], data, snapshots, at_control, show)
            except torch.OutOfMemoryError:
                if together == 1 or len(waiting) == 1:
                    raise
                size = math.ceil(len(now) / 2)
                continue
            trained |= dict(zip(now, finished, strict=True))
            waiting = waiting[together:]
    return [trained[place] for place in range(len(experiments))]


def train_stack(
    experiments: list[Experiment],
    data: DeviceData,
    snapshots: Collection[int] = (),
    at_control: bool = False,
    show: bool = True,
) -> list[Trained]:
    """Train experiments of one architecture and hyper-parameters as one stack."""
    training = experiments[0].protocol.training
    if training.tasks:
        return train_in_tasks(experiments, data, snapshots, at_control, show)
    taught, temperature = None, 1.0
    if training.distillation:
        teachers = train_stack([teacher(one) for one in experiments], data, show=show)
        taught, temperature = outputs(teachers, data, training.distillation), training.distillation.temperature
    loss = partial(cross_entropies, smoothing=training.label_smoothing, temperature=temperature)
    stack = stack_of(experiments, data)
    losses_of = partial(of_logits, loss)
    if training.adv_bn:
        start = cut(stack.template)
        if not training.adv_bn.epochs:
            losses_of = partial(on_worst_statistics, loss, training.adv_bn, start)
    optimiser, feed = optimiser_of(stack, training), Feed(experiments, data, taught)
    watched = as_asked(data.stopping_images, training.visual_mixer, data.dataset)
    courses = [Course(experiment, snapshots) for experiment in experiments]
    # A member whose control decides about it waits for it, any other for itself.
    controls = [courses[place] for place in controls_of(experiments)] if at_control else courses
    members = list(range(len(experiments)))  # who is in the stack, by place among the experiments
    what = f"seed {experiments[0].seed}, {len(experiments)} models, epochs"
    epochs = progress(range(1, training.epochs + 1), what, show=show)
    for epoch in epochs:
        train_losses = train_epoch(stack, optimiser, feed.epoch(epoch, members), losses_of)
        stopping_losses, accuracies = evaluate_stack(stack, watched, data.stopping_labels)
        passed = zip(members, train_losses, stopping_losses, accuracies, strict=True)
        for place, (member, train_loss, stopping_loss, accuracy) in enumerate(passed):
            courses[member].pass_epoch(train_loss, stopping_loss, accuracy, partial(stack.state, place))
        for place, member in enumerate(members):
            if at_control and controls[member].best_epoch == epoch:
                courses[member].at_control = stack.state(place)
        staying = [
            place for place, member in enumerate(members) if not (courses[member].stopped and controls[member].stopped)
        ]
        if len(staying) < len(members):
            members = [members[place] for place in staying]
            if not members:
                break
            optimiser.keep(torch.tensor(staying, device=stack.device))
    epochs.close()
    trained = [course.end(stack.template) for course in courses]
    if training.adv_bn and training.adv_bn.epochs:
        return fine_tune(trained, data)
    return forget(trained, data) if training.forgetting else trained


def controls_of(experiments: list[Experiment]) -> list[int]:
    """The place of each experiment's control, that of its seed. Raises ValueError where a seed has none, or several."""
    by_seed: dict[int, int] = {}
    for place, experiment in enumerate(experiments):
        if experiment.role == "control" and by_seed.setdefault(experiment.seed, place) != place:
            raise ValueError(f"control: seed {experiment.seed} has several, so that none decides the epoch")
    for experiment in experiments:
        if experiment.seed not in by_seed:
            raise ValueError(f"control: seed {experiment.seed} has none, whose best epoch its models could be kept at")
    return [by_seed[experiment.seed] for experiment in experiments]
