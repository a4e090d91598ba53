"""Seeds from beginning to end: plan, load, train, measure, and say on what each result stands."""

import io
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import torch

from ufm.data import datasets
from ufm.data.datasets import Dataset
from ufm.data.on_device import to_device
from ufm.files import write
from ufm.measures.cards import epoch_card, equal_age_card, full_card, influence_card, moved_card, short_card
from ufm.measures.scored import score_seed
from ufm.measures.walkthrough import walk_through
from ufm.protocol import Experiment, Protocol, hosts
from ufm.records import Measured
from ufm.records.provenance import made
from ufm.training import Trained, train

MEASURES: dict[str, Callable[..., Measured]] = {
    "scores": score_seed,
    "walkthrough": walk_through,
    "card": full_card,
    "short card": short_card,
    "moved card": moved_card,
    "epoch card": epoch_card,
    "influence card": influence_card,
    "equal-age card": equal_age_card,
}


BY_LABEL = ("scores", "walkthrough", "card")  # measures that need OOD images of every host's label


def experiments(protocol: Protocol, seed: int, data: Dataset) -> list[Experiment]:
    """The models of one seed: the control if it has one, then on each kind of host one of every stamped role."""
    control = Experiment(
        dataset=protocol.dataset,
        n_train=protocol.n_train,
        part=data.part,
        model=protocol.model,
        training=protocol.training,
        seed=seed,
        role="control",
        position=protocol.position,
        rounding=protocol.rounding,
    )
    stamped = []
    for host in protocol.hosts:
        place = hosts.place(protocol, host, seed, data)
        index, label = int(data.train_indices[place]), int(data.train_labels[place])
        stamped += [
            replace(
                control,
                role=role,
                host=host,
                canary_index=index,
                canary_label=label,
                feature=protocol.feature,
                magnified=protocol.magnified,
                brightness=protocol.brightness,
                n_carriers=protocol.n_carriers,
                batch=protocol.batch,
                twice=protocol.twice,
                one_placebo=protocol.one_placebo,
            )
            for role in protocol.roles
        ]
    return [control, *stamped] if protocol.control else stamped


def snapshots(protocol: Protocol) -> Collection[int]:
    """Epochs whose weights the measure needs beside the best ones."""
    if protocol.measure in ("epoch card", "influence card"):
        return range(1, protocol.training.epochs + 1)
    if protocol.measure == "equal-age card":
        return sorted({1, protocol.training.same_age})
    return [protocol.training.same_age] if "card" in protocol.measure else []


def finish(
    protocol: Protocol,
    seeds: list[int],
    *,
    device: str = "cpu",
    data_root: str | Path | None = None,
    weights: str | Path | None = None,
) -> list[tuple[dict, Measured]]:
    """Train and measure the models of seeds that train on the same part, all together.

    Returns each seed's manifest entry and what is kept of it. The seconds of an entry are its share of the time. With a
    folder for `weights`, the models' weights are kept there too, one file a seed.
    """
    started, scoring, training = time.perf_counter(), protocol.scoring, protocol.training
    if protocol.measure not in MEASURES:
        raise ValueError(f"measure: {protocol.measure!r} is not one of {', '.join(MEASURES)}")
    if not protocol.control and "card" not in protocol.measure:
        raise ValueError(f"control: {protocol.measure} needs one; choose a card")
    if "placebo" in protocol.roles and "card" not in protocol.measure:
        raise ValueError(f"measure: {protocol.measure} knows no placebo; choose a card")
    if protocol.scoring.inputs == "raw" and "card" not in protocol.measure:
        raise ValueError(f"inputs: {protocol.measure} has both kinds anyway; choose a card")
    if protocol.measure == "epoch card" and protocol.training.early_stopping != "none":
        raise ValueError("early_stopping: an epoch card needs models that are all trained to the end")
    if protocol.measure == "equal-age card" and not protocol.control:
        raise ValueError("control: an equal-age card needs one, whose best epoch its models are kept at")
    part = seeds[0] % protocol.n_parts
    data = datasets.load(protocol.dataset, n_train=protocol.n_train, part=part, root=data_root)
    ood = datasets.ood_images(scoring.ood_set, shape=data.train_images.shape[1:], n=scoring.n_ood, root=data_root)
    on_device = to_device(data, device=device, precision=training.precision, early_stopping=training.early_stopping)
    planned = [one for seed in seeds for one in experiments(protocol, seed, data)]
    for one in planned:
        if protocol.measure in BY_LABEL and one.host and one.canary_label not in ood.labels:
            label = f"the label {one.canary_label} of a host of seed {one.seed}"
            raise ValueError(f"n_ood: none of the {scoring.n_ood} images has {label}")
    at_control = protocol.measure == "equal-age card"
    trained = train(planned, on_device, snapshots=snapshots(protocol), at_control=at_control)
    finished = []
    for start, seed in zip(range(0, len(trained), protocol.n_models), seeds, strict=True):
        ours = trained[start : start + protocol.n_models]
        measured = MEASURES[protocol.measure](protocol, ours, on_device, ood)
        if weights is not None:
            keep_weights(Path(weights) / f"{protocol.fingerprint(seed)}.pt", ours)
        entry = {
            "seed": seed,
            "identity": protocol.identity(seed),
            "models": [one.experiment.fingerprint() for one in ours],
        }
        finished.append((entry, measured))
    how = made(device, started)
    how["seconds"] = round(how["seconds"] / len(seeds), 1)
    return [(entry | how, measured) for entry, measured in finished]


def keep_weights(path: Path, trained: list[Trained]) -> None:
    """Keep the weights of a seed's models at their best epoch: what `torch.load` reads, in the order of the models."""
    packed = io.BytesIO()
    torch.save([one.model.state_dict() for one in trained], packed)
    write(path, packed.getvalue())
