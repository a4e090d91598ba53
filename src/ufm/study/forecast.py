"""What is known before anything is trained: whether seeds can be, in what memory, and in what time."""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cache
from math import prod
from pathlib import Path

import torch

from ufm.data import datasets
from ufm.data.datasets import Dataset
from ufm.data.on_device import free_memory
from ufm.data.sources import n_scored_on, source
from ufm.device import resolve
from ufm.measures.registry import measure_of
from ufm.networks import Model
from ufm.protocol import Protocol, check, hosts
from ufm.study.seeds import experiments, images, scored_on
from ufm.training import estimate, size_of
from ufm.training.batches import COPIES, Size

# What memory is for, by the parameter that asks for so much.
FOR = {
    "n_train": "the training images",
    "dataset": "the test images",
    "n_ood": "the images that models are scored on",
    "n_random": "random features",
    "model": "models and what they make of a batch",
}
NUMBER = 4  # bytes of a number in float32
EVALUATED = 3  # images are evaluated in the time in which one is learnt


def require(
    protocol: Protocol, seeds: Sequence[int], *, device: str = "cpu", data_root: str | Path | None = None
) -> None:
    """Raise a ValueError that names a parameter with which these seeds cannot be trained and measured here.

    Nothing is trained. Of hosts that clean models have yet to find only these models are looked at.
    """
    measure = measure_of(protocol.measure)
    measure.check(protocol)
    hosts.require_hosts(protocol, seeds)
    for part in sorted({seed % protocol.n_parts for seed in seeds}):
        data = images(protocol, part, data_root)
        if before := protocol.training.pretrained:
            datasets.load(before.dataset, n_train=before.n_train, root=data_root)
        require_memory(needed(protocol, data), free_memory(torch.device(resolve(device))))
        ood = scored_on(protocol, data_root)
        unknown = [kind for kind in hosts.pooled(protocol) if lacking(protocol, part, kind)]
        known = replace(protocol, hosts=tuple(one for one in protocol.hosts if one.partition(" ")[0] not in unknown))
        for seed in seeds:
            if seed % protocol.n_parts == part:
                planned = experiments(known, seed, data)
                for one in planned:
                    check(one, data)
                measure.check_labels(planned, ood)


def lacking(protocol: Protocol, part: int, kind: str) -> bool:
    """Whether the hosts of a kind have yet to be found."""
    return bool(hosts.lacking(protocol, [part], kind, hosts.stores(kind)))


def needed(protocol: Protocol, data: Dataset) -> dict[str, int]:
    """Bytes of memory that a seed needs at least, about, by the parameter that asks for them, see `FOR`.

    Raises a ValueError where the network cannot be made for such images.
    """
    training, scoring, measure = protocol.training, protocol.scoring, measure_of(protocol.measure)
    shape, item = image_shape(data), torch.finfo(getattr(torch, training.precision)).bits // 8
    image, feature = prod(shape), protocol.unique.size
    n_ood = min(scoring.n_ood, n_scored_on(scoring.ood_set))  # more are refused when they are read
    n_before = 0
    if before := training.pretrained:
        n_before = before.n_train or source(before.dataset).n_train
    n_tested = len(data.test_labels) + (0 if data.validation_labels is None else len(data.validation_labels))
    published = not measure.placebos  # scores of whole images, each kept with each random feature
    size, snapshots = size_on(protocol.model, shape, data.n_classes), len(measure.epochs(training)) + measure.at_control
    together = protocol.n_models if measure.at_control else 1
    model = together * least(size, training.batch_size) + protocol.n_models * (1 + snapshots) * size.weights
    model += COPIES * scoring.n_effect * size.largest
    for kind in hosts.pooled(protocol):
        clean = hosts.clean(protocol)
        found = size_on(clean.model, clean.image_shape, data.n_classes)
        kept = clean.training.epochs if hosts.POOLS[kind].value == "self-influence" else 0
        finding = least(found, clean.training.batch_size) + hosts.N_MODELS * (1 + kept) * found.weights
        model = max(model, finding)
    return {
        "n_train": item * image * (len(data.train_labels) + n_before),
        "dataset": item * image * n_tested,
        "n_ood": (4 + 2 * item) * image * n_ood,
        "n_random": n_ood * scoring.n_random * (12 * feature + item * image * published),
        "model": item * model,
    }


def least(size: Size, batch_size: int) -> int:
    """Numbers that training one model holds at least: weights, gradients, two moments, and what layers make."""
    return 4 * size.weights + batch_size * size.outputs


def image_shape(data: Dataset) -> tuple[int, int, int]:
    """(C, H, W) of every image of a data set."""
    _, n_channels, height, width = data.train_images.shape
    return n_channels, height, width


@cache
def size_on(model: Model, shape: tuple[int, int, int], n_classes: int) -> Size:
    """The size of a network for images (C, H, W). Raises a ValueError where it cannot be made for them."""
    try:
        # Without values, for weights may be more than memory holds; torch warns of a layer that has none.
        with torch.device("meta"), warnings.catch_warnings(action="error", category=UserWarning):
            module = model.layers(shape, n_classes)
        n_weights = sum(one.numel() for one in module.parameters())
        if n_weights * NUMBER > free_memory(torch.device("cpu")):
            return Size(n_weights, 0, 0)
        return size_of(module.to_empty(device="cpu"), torch.zeros(1, *shape))
    except (RuntimeError, UserWarning):
        raise ValueError(f"model: {model.name} cannot be made for images of {shape[1]} × {shape[2]} pixels") from None


def require_memory(needed: dict[str, int], free: int) -> None:
    """Raise a ValueError that names the parameter which asks for most where so many bytes are not free."""
    if sum(needed.values()) > free:
        most = max(needed, key=needed.__getitem__)
        raise ValueError(
            f"{most}: about {gigabytes(sum(needed.values()))} of memory are needed, most of it for {FOR[most]}, and "
            f"{gigabytes(free)} are free; ask for less, or give smaller images"
        )


def seconds(protocol: Protocol, seeds: Collection[int], data: Dataset, *, device: str) -> float:
    """How long training the seeds, and the clean models that find their hosts, takes at most, about.

    data: any part of the data set.
    """

    def of_one(trained: Protocol) -> float:
        n_images = len(data.train_labels) + len(data.test_labels) // 2 // EVALUATED
        return estimate(trained, trained.image_shape, n_images, device)

    parts = {seed % protocol.n_parts for seed in seeds}
    n_pools = sum(lacking(protocol, part, kind) for part in parts for kind in hosts.pooled(protocol))
    finding = hosts.N_MODELS * n_pools * of_one(hosts.clean(protocol)) if n_pools else 0.0
    return len(seeds) * protocol.n_models * of_one(protocol) + finding


def gigabytes(n: int) -> str:
    """Bytes in words."""
    return f"{n / 1e9:.1f} GB"
