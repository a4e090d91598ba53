"""Hosts: the training images that get a feature stamped, any of them or hard ones.

Hard hosts are the images that clean models fit worst, found once: those of the paper profile are kept with the book's
records, others found when an execution needs them. A model needs the feature to fit such an image, so it is where
memorisation of the feature shows, if anywhere.
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from ufm import datasets, sources
from ufm.datasets import Dataset
from ufm.device import to_device
from ufm.experiments import Experiment, Protocol
from ufm.fingerprints import RECIPE, digest, settings
from ufm.models import CNN2, MLP, names
from ufm.progress import progress
from ufm.provenance import made
from ufm.records import Measured, Records, committed, executed
from ufm.streams import stream
from ufm.training import train

N_MODELS = 3  # clean models, over which an image's loss is averaged
FIRST_SEED = 900_000  # theirs; no other model has a seed from here on
POOL_SIZES = {"full": 200, "part": 50}  # hard hosts of the full training set, and of each part of a smaller size


def place(protocol: Protocol, host: str, seed: int, data: Dataset) -> int:
    """Place (0 … n − 1) of the seed's host of a kind among the training images, see `places`."""
    return places(protocol, host, [seed], data)[0]


def places(protocol: Protocol, host: str, seeds: list[int], data: Dataset) -> list[int]:
    """Places (0 … n − 1) of the seeds' hosts of a kind among the training images.

    Hosts are drawn uniformly without replacement per data set and size: one permutation, of the training images or of
    the pool of hard ones, of which seed s takes the entry s // n_parts, since seed s trains on part s mod n_parts. A
    pool that is used up is begun again. A host that is the number of a training image is that image for every seed.
    """
    for seed in seeds:
        if seed % data.n_parts != data.part:
            part = seed % data.n_parts
            raise ValueError(f"seed: {seed} belongs to part {part} of {data.scope}, not to part {data.part}")
    turns, scope = [seed // data.n_parts for seed in seeds], f"{data.scope}/{data.part}"
    if host.isdecimal():
        if int(host) not in data.train_indices:
            raise ValueError(f"hosts: image {host} is not among the {len(data.train_indices)} training images")
        return [int(np.searchsorted(data.train_indices, int(host)))] * len(seeds)
    if host == "random":
        order = stream("hosts", scope=scope).permutation(len(data.train_labels))
        if max(turns) >= len(order):
            raise ValueError(
                f"seed: {max(seeds)} is beyond the last host; {data.scope} has hosts for {len(order) * data.n_parts}"
            )
        return [int(order[turn]) for turn in turns]
    indices = pool(protocol, data.part)["canary_index"].to_numpy()
    order = stream("hard hosts", scope=scope).permutation(len(indices))
    return [int(np.searchsorted(data.train_indices, indices[order[turn % len(order)]])) for turn in turns]


def clean(protocol: Protocol) -> Protocol:
    """The protocol of the models that find the hard hosts: hosts are the same for every variant of a model."""
    kind = CNN2 if sources.source(protocol.dataset).shape[0] == 3 else MLP
    plain = {"batch_norm": False, "dropout": False, "augmentation": False}
    model = replace(protocol.model, **plain) if isinstance(protocol.model, kind) else kind()
    return replace(
        protocol,
        model=model,
        training=replace(protocol.training, early_stopping="half", weight_decay=0.0, shuffle=False),
    )


def clean_seeds(n_parts: int, part: int) -> list[int]:
    """The seeds of a part's clean models: the first from FIRST_SEED on that train on it, s mod n_parts = part."""
    first = FIRST_SEED + (part - FIRST_SEED) % n_parts
    return [first + turn * n_parts for turn in range(N_MODELS)]


def identity(protocol: Protocol, part: int) -> dict[str, object]:
    """All on which the pool of a part depends: settings of the clean models, data and recipe."""
    protocol = clean(protocol)
    return {
        "settings": {
            "architecture": settings(protocol.model),
            "training": settings(protocol.training),
            **names(protocol.model),
        },
        "dataset": protocol.dataset,
        "n_train": protocol.n_train,
        "part": part,
        "pool": POOL_SIZES,
        "n_models": N_MODELS,
        "first_seed": FIRST_SEED,
        "data": sources.checksum(protocol.dataset),
        "recipe": RECIPE,
    }


def fingerprint(protocol: Protocol, part: int) -> str:
    """Under which the pool of a part is found."""
    return digest(identity(protocol, part))


def pool(protocol: Protocol, part: int) -> pd.DataFrame:
    """The hard hosts of a part, hardest first: columns rank, canary_index, canary_label, loss among others.

    As the book's records have them, else as executions found them. Raises ValueError, with the command that finds
    them, where there are none.
    """
    one = fingerprint(protocol, part)
    for records in (committed("hosts"), executed("hosts")):
        if one in records.entries():
            return records.tables([one])["pools"]
    size = f" --n-train {protocol.n_train}" if protocol.n_train else ""
    raise ValueError(f"hosts: no hard hosts of {protocol.dataset} part {part}; run ufm hosts {protocol.dataset}{size}")


def lacking(protocol: Protocol, parts: Iterable[int], stores: Iterable[Records]) -> list[int]:
    """The parts whose hard hosts none of the stores has."""
    there = {one for records in stores for one in records.entries()}
    return [part for part in parts if fingerprint(protocol, part) not in there]


def find(
    protocol: Protocol,
    parts: Iterable[int] | None = None,
    *,
    records: Records | None = None,
    device: str = "cpu",
    data_root: str | Path | None = None,
) -> None:
    """Record the hard hosts of every part, or of these, that has none yet; processes side by side share the parts.

    A part that another process is at is left to it. They go into the book's records where no others are given.
    """
    records, parts = records or committed("hosts"), range(protocol.n_parts) if parts is None else parts
    for part in progress(lacking(protocol, parts, [records]), f"{protocol.dataset}, parts"):
        with records.claim(fingerprint(protocol, part)) as ours:
            if ours:
                records.add(fingerprint(protocol, part), *finish(protocol, part, device=device, data_root=data_root))


def ensure(
    protocol: Protocol, parts: Iterable[int], *, device: str = "cpu", data_root: str | Path | None = None
) -> None:
    """Find the hard hosts of those parts that have none, for executions of this code alone.

    Returns when all are there, also where another process finds them.
    """
    parts, stores = list(parts), [committed("hosts"), executed("hosts")]
    while left := lacking(protocol, parts, stores):
        find(protocol, left, records=stores[-1], device=device, data_root=data_root)
        time.sleep(0.1)


def finish(
    protocol: Protocol, part: int, *, device: str = "cpu", data_root: str | Path | None = None
) -> tuple[dict, Measured]:
    """Train the clean models of one part and rank its images: the manifest entry and the pool."""
    protocol = clean(protocol)
    started, training = time.perf_counter(), protocol.training
    data = datasets.load(protocol.dataset, n_train=protocol.n_train, part=part, root=data_root)
    on_device = to_device(data, device=device, precision=training.precision, early_stopping=training.early_stopping)
    seeds = clean_seeds(data.n_parts, part)
    unstamped = [
        Experiment(protocol.dataset, protocol.n_train, part, protocol.model, training, seed, "control")
        for seed in seeds
    ]
    losses = [
        image_losses(one.model, on_device.train_images, on_device.train_labels) for one in train(unstamped, on_device)
    ]
    size = POOL_SIZES["full" if protocol.n_train is None else "part"]
    entry = {
        "seed": seeds[0],
        "identity": identity(protocol, part),
        "models": [one.fingerprint() for one in unstamped],
        **made(device, started),
    }
    return entry, Measured({"pools": hardest(np.stack(losses), data, size)})


def hardest(losses: np.ndarray, data: datasets.Dataset, size: int) -> pd.DataFrame:
    """The `size` images of highest mean loss, hardest first, equal ones in file order.

    losses: (n_models, n_images), nats.
    """
    mean = losses.mean(axis=0)
    places = np.argsort(-mean, kind="stable")[:size]
    return pd.DataFrame(
        {
            "dataset": data.name,
            "n_train": len(data.train_labels),
            "part": data.part,
            "rank": np.arange(1, len(places) + 1),
            "canary_index": data.train_indices[places],
            "canary_label": data.train_labels[places],
            "loss": mean[places],
        }
    )


@torch.inference_mode()
def image_losses(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Cross-entropy of each normalised image (n_images, C, H, W) in nats, shape (n_images,)."""
    batches = zip(images.split(8192), labels.split(8192), strict=True)
    losses = [cross_entropy(model(batch), targets, reduction="none") for batch, targets in batches]
    return torch.cat(losses).double().cpu().numpy()
