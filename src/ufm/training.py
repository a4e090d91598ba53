"""Training: experiments of one architecture and hyper-parameters as one stack, on images that stay on the device."""

import math
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ufm import counters, features
from ufm.augmentation import N_DRAWS, augment
from ufm.device_data import DeviceData, free_memory
from ufm.experiments import Experiment, Protocol, carriers, check, exchanged
from ufm.models import Model, Published
from ufm.networks import at_once, build
from ufm.optimiser import SGD, Adam, optimiser_of
from ufm.progress import progress
from ufm.stack import Stack
from ufm.streams import stream

AUGMENTATION_LAYER = counters.LAYERS - 1  # no network has as many layers
COPIES = 5  # of the weights: themselves, gradients, two moments, the best epoch's; beside these two of a snapshot
EVALUATED = 5_000  # images at a time, when nothing is learnt
LONG_STEP = 0.2  # seconds; of a shorter one ten are measured


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model with the weights of its best epoch and how it came there."""

    model: nn.Sequential
    experiment: Experiment
    best_epoch: int  # counted from 1
    history: list[dict[str, float]]  # one entry an epoch: epoch, train_loss, stopping_loss, stopping_accuracy
    snapshots: dict[int, nn.Sequential] = field(default_factory=dict)  # the model after other epochs, by epoch
    at_control: nn.Sequential | None = None  # the model after the best epoch of its seed's control, if asked for


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
    for place, one in enumerate(experiments):
        check(one, data.data)
        for name, there in (("precision", str(data.train_images.dtype)), ("early_stopping", data.early_stopping)):
            if getattr(one.training, name) not in (there.removeprefix("torch."), "none"):
                raise ValueError(
                    f"{name}: {getattr(one.training, name)} is asked for, but the data on the device are for {there}"
                )
        # Models that wait for each other are trained together.
        groups.setdefault((one.model, one.training), {}).setdefault(one.seed if at_control else place, []).append(place)
    trained: dict[int, Trained] = {}
    for group in groups.values():
        families = list(group.values())
        size = stack_size(experiments[families[0][0]], data, len(snapshots) + at_control)
        while families:
            together = max(1, size // max(map(len, families)))
            now = [place for family in families[:together] for place in family]
            try:
                finished = train_stack([experiments[place] for place in now], data, snapshots, at_control, show)
            except torch.OutOfMemoryError:
                if together == 1 or len(families) == 1:
                    raise
                size = math.ceil(len(now) / 2)
                continue
            trained |= dict(zip(now, finished, strict=True))
            families = families[together:]
    return [trained[place] for place in range(len(experiments))]


def train_stack(
    experiments: list[Experiment],
    data: DeviceData,
    snapshots: Collection[int] = (),
    at_control: bool = False,
    show: bool = True,
) -> list[Trained]:
    """Train experiments of one architecture and hyper-parameters as one stack."""
    settings = experiments[0].training
    modules = [network(one, data) for one in experiments]
    stack = Stack(modules, keys("dropout", experiments, data))
    optimiser = optimiser_of(stack, settings)
    feed = Feed(experiments, data)
    members = list(range(len(experiments)))  # who is in the stack, by place among the experiments
    controls = controls_of(experiments) if at_control else members  # whose best epoch each also waits for
    stopped = [False for _ in experiments]
    histories: list[list[dict[str, float]]] = [[] for _ in experiments]
    best: list[tuple[int, dict[str, torch.Tensor]]] = [(0, {}) for _ in experiments]
    kept: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in experiments]
    controlled: list[dict[str, torch.Tensor]] = [{} for _ in experiments]
    what = f"seed {experiments[0].seed}, {len(experiments)} models, epochs"
    epochs = progress(range(1, settings.epochs + 1), what, show=show)
    for epoch in epochs:
        train_losses = train_epoch(stack, optimiser, feed.epoch(epoch, members))
        stopping_losses, accuracies = evaluate_stack(stack, data.stopping_images, data.stopping_labels)
        for place, member in enumerate(members):
            history, loss = histories[member], stopping_losses[place]
            if not math.isfinite(loss):
                raise ValueError(
                    f"learning_rate: training of seed {experiments[member].seed} diverged in epoch {epoch}"
                )
            lowest = loss < min((past["stopping_loss"] for past in history), default=math.inf)
            history.append(
                {
                    "epoch": epoch,
                    "train_loss": train_losses[place],
                    "stopping_loss": loss,
                    "stopping_accuracy": accuracies[place],
                }
            )
            if epoch in snapshots:
                kept[member][epoch] = stack.state(place)
            if stopped[member]:
                continue
            if lowest or settings.early_stopping == "none":
                best[member] = (epoch, stack.state(place))
            stopped[member] = settings.early_stopping != "none" and epoch - best[member][0] >= settings.patience
        for place, member in enumerate(members):
            if at_control and best[controls[member]][0] == epoch:
                controlled[member] = stack.state(place)
        staying = [place for place, member in enumerate(members) if not (stopped[member] and stopped[controls[member]])]
        if len(staying) < len(members):
            members = [members[place] for place in staying]
            if not members:
                break
            optimiser.keep(torch.tensor(staying, device=data.train_images.device))
    epochs.close()
    return [
        Trained(
            loaded(module, weights),
            experiment,
            epoch,
            history,
            {at: loaded(network(experiment, data), state) for at, state in states.items()},
            loaded(network(experiment, data), then) if then else None,
        )
        for module, experiment, (epoch, weights), history, states, then in zip(
            modules, experiments, best, histories, kept, controlled, strict=True
        )
    ]


def controls_of(experiments: list[Experiment]) -> list[int]:
    """The place of each experiment's control, that of its seed. Raises ValueError where a seed has none, or several."""
    found: dict[int, int] = {}
    for place, one in enumerate(experiments):
        if one.role == "control" and found.setdefault(one.seed, place) != place:
            raise ValueError(f"control: seed {one.seed} has several, so that none decides the epoch")
    for one in experiments:
        if one.seed not in found:
            raise ValueError(f"control: seed {one.seed} has none, whose best epoch its models could be kept at")
    return [found[one.seed] for one in experiments]


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


def keys(name: str, experiments: list[Experiment], data: DeviceData) -> torch.Tensor:
    """The members' keys of a stream that is drawn by counter; equal seeds have equal keys."""
    found = {one.seed: counters.key(name, seed=one.seed, scope=data.data.scope) for one in experiments}
    return torch.tensor([found[one.seed] for one in experiments], device=data.train_images.device)


class Feed:
    """Batches for the members of a stack, each with its own stamped host, shuffling and augmentation."""

    def __init__(self, experiments: list[Experiment], data: DeviceData):
        self.experiments, self.data = experiments, data
        self.stamped = [stamped_images(one, data) for one in experiments]
        self.keys = keys("augmentation", experiments, data)

    def epoch(self, epoch: int, members: list[int]) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Of each batch the step (from 0), the images and the labels.

        Images are (n, C, H, W) and labels (n,) where all members have the same, else (n_members, n, ...) each.
        """
        images, labels, experiment = self.data.train_images, self.data.train_labels, self.experiments[0]
        size, n_images = experiment.training.batch_size, len(labels)
        first_step = (epoch - 1) * math.ceil(n_images / size)
        stamped = [
            (place, at, image) for place, member in enumerate(members) for at, image in self.stamped[member].items()
        ]
        order = None
        if experiment.training.shuffle or any(self.experiments[member].batch is not None for member in members):
            order = torch.stack([self.order(self.experiments[member], epoch) for member in members])
            stamped = [
                (place, int(there), image) for place, at, image in stamped for there in (order[place] == at).nonzero()
            ]
        for number, start in enumerate(range(0, n_images, size)):
            now = slice(start, start + size) if order is None else order[:, start : start + size]
            batch, targets, step = images[now], labels[now], first_step + number
            here = [one for one in stamped if start <= one[1] < start + size]
            if here and order is None:
                batch = batch.repeat(len(members), 1, 1, 1, 1)
            for place, at, image in here:
                batch[place, at - start] = image
            if experiment.model.augmentation:
                batch = self.augmented(batch, step, members)
            yield step, batch, targets

    def augmented(self, batch: torch.Tensor, step: int, members: list[int]) -> torch.Tensor:
        """The batch augmented by each member's own draws, which members of one seed share."""
        different, which = self.keys[members].unique(return_inverse=True)
        n = batch.shape[-4]
        draws = counters.uniforms(different, step=step, layer=AUGMENTATION_LAYER, n=n * N_DRAWS).view(-1, n, N_DRAWS)
        draws = draws[0] if len(different) == 1 else draws[which]
        return augment(batch, draws, flip=self.experiments[0].model.flip)

    def order(self, experiment: Experiment, epoch: int) -> torch.Tensor:
        """The order in which a model sees the images of an epoch, (n_images,): places in the file."""
        order = np.arange(len(self.data.train_labels))
        if experiment.training.shuffle:
            draws = stream("order", seed=experiment.seed, scope=f"{self.data.data.scope}/epoch {epoch}")
            order = draws.permutation(len(order))
        elif experiment.batch is not None:
            host, there = carriers(experiment, self.data.data)[0], exchanged(experiment, self.data.data)
            order[[host, there]] = host if experiment.twice else order[[there, host]]
        return torch.from_numpy(order).to(self.data.train_images.device)


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


@torch.no_grad()
def evaluate_stack(stack: Stack, images: torch.Tensor, labels: torch.Tensor) -> tuple[list[float], list[float]]:
    """Every member's mean cross-entropy in nats and accuracy in [0, 1] on normalised images (n_images, C, H, W)."""
    losses, right = 0.0, 0
    size = at_once(stack.template, max(EVALUATED // len(stack), 100))
    for batch, targets in zip(images.split(size), labels.split(size), strict=True):
        logits = stack.logits(batch)
        losses = losses + cross_entropies(logits, targets).sum(1, dtype=torch.float64)
        right = right + (logits.argmax(2) == targets).sum(1)
    return (losses / len(labels)).tolist(), (right.double() / len(labels)).tolist()


def cross_entropies(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy (n_members, n) in nats of logits (n_members, n, n_classes) and labels (n,) or (n_members, n)."""
    every = targets.expand(logits.shape[:2]).reshape(-1)
    return cross_entropy(logits.flatten(0, 1), every, reduction="none").view(logits.shape[:2])


def stack_size(experiment: Experiment, data: DeviceData, n_snapshots: int = 0) -> int:
    """How many such members, each with so many snapshots, fit into half of the device's free memory."""
    module = network(experiment, data)
    n_weights = sum(one.numel() for one in module.parameters())
    n_activations, x = 0, data.train_images[:1]

    def count(layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal n_activations
        n_activations += output.numel()

    for layer in module.modules():
        if not list(layer.children()):
            layer.register_forward_hook(count)
    with torch.no_grad():
        module.eval()(x)
    # Activations are kept for the way back, where their gradients join them.
    numbers = (COPIES + 2 * n_snapshots) * n_weights + 3 * experiment.training.batch_size * n_activations
    return max(1, free_memory(x.device) // 2 // (numbers * x.element_size()))


def estimate(protocol: Protocol, image_shape: tuple[int, int, int], n_images: int, device: str = "cpu") -> float:
    """Seconds that one model takes at most on this device: all its epochs, from a few measured steps on noise."""
    batch_size, n_models = protocol.training.batch_size, protocol.n_models
    if isinstance(protocol.model, Published):  # whose images take long enough
        batch_size, n_models = min(8, batch_size), 1
    one_image = seconds_an_image(protocol.model, image_shape, batch_size, n_models, protocol.training.precision, device)
    return one_image * n_images * protocol.training.epochs


@cache
def seconds_an_image(
    model: Model, image_shape: tuple[int, int, int], batch_size: int, n_models: int, precision: str, device: str
) -> float:
    """Seconds that training takes for an image and model of a stack of so many, measured once a process."""
    dtype = getattr(torch, precision)
    modules = [build(model, image_shape, 10, seed=0, device=device, dtype=dtype) for _ in range(n_models)]
    stack = Stack(modules, torch.zeros(n_models, dtype=torch.int64, device=device))
    optimiser = Adam(stack, learning_rate=1e-3, epsilon=1e-7)
    images = torch.rand(batch_size, *image_shape, device=device, dtype=dtype)
    labels = torch.zeros(batch_size, device=device, dtype=torch.int64)

    def passed(steps: int) -> float:
        started = time.perf_counter()
        train_epoch(stack, optimiser, [(step, images, labels) for step in range(steps)])
        return (time.perf_counter() - started) / (steps * batch_size * n_models)

    passed(1)  # warms up
    one = passed(1)
    return one if one * batch_size * n_models > LONG_STEP else passed(10)


def stamped_images(experiment: Experiment, data: DeviceData) -> dict[int, torch.Tensor]:
    """What a model sees of the images that carry its feature: normalised (C, H, W), by place, the host first."""
    places = carriers(experiment, data.data)
    if not places:
        return {}
    # Stamped before normalisation, on the [0, 1] image.
    images, pixels = data.floats(data.data.train_images[places]), experiment.pixels()
    return dict(zip(places, data.normalise(features.insert(images, pixels, position=experiment.position)), strict=True))


@torch.inference_mode()
def evaluate(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Mean cross-entropy in nats and accuracy in [0, 1] on normalised images."""
    model.eval()
    logits = torch.cat([model(batch) for batch in images.split(at_once(model, EVALUATED))])
    return float(cross_entropy(logits, labels)), float((logits.argmax(1) == labels).double().mean())


@torch.inference_mode()
def log_probabilities(model: nn.Module, images: torch.Tensor, *, batch_size: int = 8192) -> torch.Tensor:
    """Unclipped log-softmax (n_images, n_classes) of normalised images (n_images, C, H, W)."""
    model.eval()
    return torch.cat([model(batch).log_softmax(1) for batch in images.split(at_once(model, batch_size))])
