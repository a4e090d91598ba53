"""One seed from beginning to end: load, train, measure, and say on what the result stands."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ufm import datasets, sources
from ufm.experiments import RECIPE, Protocol
from ufm.measurement import score_seed
from ufm.provenance import made
from ufm.records import Measured
from ufm.training import to_device, train
from ufm.walkthrough import walk_through

MEASURES: dict[str, Callable[..., Measured]] = {"scores": score_seed, "walkthrough": walk_through}


def finish(
    protocol: Protocol, seed: int, *, device: str = "cpu", data_root: str | Path | None = None
) -> tuple[dict, Measured]:
    """Train and measure the models of one seed: its manifest entry and what is kept of it."""
    started, scoring, training = time.perf_counter(), protocol.scoring, protocol.training
    n_parts = datasets.load(protocol.dataset, n_train=protocol.n_train, root=data_root).n_parts
    data = datasets.load(protocol.dataset, n_train=protocol.n_train, part=seed % n_parts, root=data_root)
    ood = datasets.ood_images(scoring.ood_set, shape=data.train_images.shape[1:], n=scoring.n_ood, root=data_root)
    on_device = to_device(data, device=device, precision=training.precision, early_stopping=training.early_stopping)
    experiments = protocol.experiments(seed, data)
    for one in experiments:
        if one.host and one.canary_label not in ood.labels:
            raise ValueError(
                f"n_ood: none of the {scoring.n_ood} images has the label {one.canary_label} of seed {seed}'s canary"
            )
    trained = [train(experiment, on_device) for experiment in experiments]
    measured = MEASURES[protocol.measure](protocol, trained, on_device, ood)
    entry = {
        "seed": seed,
        "protocol": asdict(protocol),
        "data": {name: sources.checksum(name) for name in (protocol.dataset, scoring.ood_set)},
        "recipe": RECIPE,
        "models": [one.experiment.fingerprint() for one in trained],
        **made(device, started),
    }
    return entry, measured
