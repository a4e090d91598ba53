"""Pools of hosts: clean models are trained on every part, and its images ranked by what these make of them."""

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.measures.influence import self_influence
from ufm.progress import progress
from ufm.protocol import Experiment, Protocol
from ufm.protocol.hosts import POOLS, clean, clean_seeds, fingerprint, identity, lacking, stores
from ufm.records import Measured, Records
from ufm.records.provenance import made
from ufm.training import at_most, train

FULL = 10_000  # images from which on a whole training set has the larger pool


def find(
    protocol: Protocol,
    parts: Iterable[int] | None = None,
    *,
    kind: str = "hard",
    records: Records | None = None,
    device: str = "cpu",
    data_root: str | Path | None = None,
) -> None:
    """Record the pool of every part, or of these, that has none yet; processes side by side share the parts.

    A part that another process is at is left to it. They go into the book's records where no others are given.
    """
    records, parts = records or stores(kind)[0], range(protocol.n_parts) if parts is None else parts
    for part in progress(lacking(protocol, parts, kind, [records]), f"{protocol.dataset}, parts"):
        one = fingerprint(protocol, part, kind)
        with records.claim(one) as ours:
            if ours:
                records.add(one, *finish(protocol, part, kind=kind, device=device, data_root=data_root))


def ensure(
    protocol: Protocol,
    parts: Iterable[int],
    *,
    kind: str = "hard",
    device: str = "cpu",
    data_root: str | Path | None = None,
) -> None:
    """Find the pools of those parts that have none, for executions of this code alone.

    Returns when all are there, also where another process finds them.
    """
    parts = list(parts)
    while left := lacking(protocol, parts, kind, stores(kind)):
        find(protocol, left, kind=kind, records=stores(kind)[-1], device=device, data_root=data_root)
        time.sleep(0.1)


def finish(
    protocol: Protocol,
    part: int,
    *,
    kind: str = "hard",
    device: str = "cpu",
    data_root: str | Path | None = None,
) -> tuple[dict, Measured]:
    """Train the clean models of one part and rank its images: the manifest entry and the pool."""
    protocol = clean(protocol)
    started, training = time.perf_counter(), protocol.training
    data = datasets.load(protocol.dataset, n_train=protocol.n_train, part=part, root=data_root)
    on_device = to_device(data, device=device, precision=training.precision, early_stopping=training.early_stopping)
    seeds = clean_seeds(data.n_parts, part)
    # Where a protocol stamps its feature plays no part in them.
    anywhere = Protocol(protocol.dataset, protocol.n_train, protocol.model, training, protocol.scoring)
    unstamped = [Experiment(anywhere, seed, part, "control") for seed in seeds]
    split, influence = (on_device.train_images, on_device.train_labels), POOLS[kind].value == "self-influence"
    trained = train(unstamped, on_device, snapshots=range(1, training.epochs + 1) if influence else ())
    values = {"loss": np.stack([image_losses(one.model, *split) for one in trained])}
    if influence:
        values["self-influence"] = np.stack([self_influence(one, *split) for one in trained])
    entry = {
        "seed": seeds[0],
        "identity": identity(protocol, part, kind),
        "models": [one.fingerprint() for one in unstamped],
        **made(device, started),
    }
    return entry, Measured({"pools": ranked(values, data, kind)})


def ranked(values: dict[str, np.ndarray], data: datasets.Dataset, kind: str) -> pd.DataFrame:
    """The pool of a kind, the most extreme first, equal ones in file order.

    values: of each image in each model, (n_models, n_images): the loss in nats, and what the kind goes by.
    """
    found, mean = POOLS[kind], {name: one.mean(axis=0) for name, one in values.items()}
    size = found.sizes["full" if len(data.train_labels) >= FULL and data.n_train is None else "part"]
    places = np.argsort(found.distance(mean[found.value]), kind="stable")[:size]
    return pd.DataFrame(
        {
            "dataset": data.name,
            "n_train": len(data.train_labels),
            "part": data.part,
            "rank": np.arange(1, len(places) + 1),
            "canary_index": data.train_indices[places],
            "canary_label": data.train_labels[places],
            "loss": mean["loss"][places],
        }
    )


@torch.inference_mode()
def image_losses(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Cross-entropy of each normalised image (n_images, C, H, W) in nats, shape (n_images,)."""
    size = at_most(model, images, 8192)
    batches = zip(images.split(size), labels.split(size), strict=True)
    losses = [cross_entropy(model(batch), targets, reduction="none") for batch, targets in batches]
    return torch.cat(losses).double().cpu().numpy()
