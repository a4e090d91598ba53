"""Seeds from beginning to end: plan, load, train, measure, and say on what each result stands."""

import io
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch

from ufm.data import datasets
from ufm.data.datasets import Dataset, ImageSet
from ufm.data.on_device import DeviceData, to_device
from ufm.device import resolve
from ufm.files import write
from ufm.measures.registry import measure_of
from ufm.protocol import Experiment, Protocol, hosts, pretraining
from ufm.records import Measured
from ufm.records.provenance import made
from ufm.training import Trained, anonymiser, train


def experiments(protocol: Protocol, seed: int, data: Dataset) -> list[Experiment]:
    """The models of one seed: the control if it has one, then on each kind of host one of every stamped role."""
    stamped = []
    for host in protocol.hosts:
        place = hosts.place(protocol, host, seed, data)
        index, label = int(data.train_indices[place]), int(data.train_labels[place])
        stamped += [Experiment(protocol, seed, data.part, role, host, index, label) for role in protocol.roles]
    control = Experiment(protocol, seed, data.part, "control")
    return [control, *stamped] if protocol.control else stamped


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
    started, training = time.perf_counter(), protocol.training
    measure = measure_of(protocol.measure)
    measure.check(protocol)
    part = seeds[0] % protocol.n_parts
    data = images(protocol, part, data_root)
    ood = scored_on(protocol, data_root)
    on_device = (anonymised if training.falco else moved)(protocol, part, device, data_root)
    planned = [one for seed in seeds for one in experiments(protocol, seed, data)]
    measure.check_labels(planned, ood)
    if training.pretrained:
        before = {seed: pretrained(pretraining(protocol, seed), device, data_root) for seed in seeds}
        on_device = replace(on_device, pretrained=before)
    trained = train(planned, on_device, snapshots=measure.epochs(training), at_control=measure.at_control)
    finished = []
    for start, seed in zip(range(0, len(trained), protocol.n_models), seeds, strict=True):
        ours = trained[start : start + protocol.n_models]
        measured = measure.keep(protocol, ours, on_device, ood)
        if weights is not None:
            keep_weights(Path(weights) / f"{protocol.fingerprint(seed)}.pt", ours)
        entry = {
            "seed": seed,
            "identity": protocol.identity(seed),
            "models": [one.experiment.fingerprint() for one in ours],
        }
        finished.append((entry, measured))
    how = made(device, started)
    assert isinstance(how["seconds"], float)
    how["seconds"] = round(how["seconds"] / len(seeds), 1)
    return [(entry | how, measured) for entry, measured in finished]


def images(protocol: Protocol, part: int, data_root: str | Path | None = None) -> Dataset:
    """The images of a part, as models are given them."""
    return datasets.load(
        protocol.dataset, n_train=protocol.n_train, part=part, enlarged=protocol.enlarged, root=data_root
    )


def scored_on(protocol: Protocol, data_root: str | Path | None = None) -> ImageSet:
    """The OOD images, as models are given them."""
    how, shape = protocol.scoring, protocol.image_shape
    return datasets.ood_images(how.ood_set, shape=shape, n=how.n_ood, enlarged=protocol.enlarged, root=data_root)


def moved(
    protocol: Protocol,
    part: int,
    device: str,
    data_root: str | Path | None,
    replaced: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> DeviceData:
    """The images of a part on the device, as the protocol asks for them."""
    training = protocol.training
    return to_device(
        images(protocol, part, data_root),
        device=device,
        precision=training.precision,
        early_stopping=training.early_stopping,
        border=training.border,
        replaced=replaced,
    )


@lru_cache(maxsize=8)
def anonymised(protocol: Protocol, part: int, device: str, data_root: str | Path | None) -> DeviceData:
    """The same with training images replaced, by networks trained on the next part; it is kept for further seeds."""
    training = protocol.training
    assert training.falco is not None  # only then are images anonymised
    public = images(protocol, (part + 1) % protocol.n_parts, data_root)
    precision = getattr(torch, training.precision)
    replaced = anonymiser(training.falco, public, device=torch.device(resolve(device)), dtype=precision)
    return moved(protocol, part, device, data_root, replaced)


@lru_cache(maxsize=32)
def pretrained(experiment: Experiment, device: str, data_root: str | Path | None) -> dict[str, torch.Tensor]:
    """Weights of all layers but the last of a model that was trained on its own; kept, for populations share seeds."""
    [one] = train([experiment], moved(experiment.protocol, experiment.part, device, data_root), show=False)
    return one.model[:-1].state_dict()


def keep_weights(path: Path, trained: list[Trained]) -> None:
    """Keep the weights of a seed's models at their best epoch: what `torch.load` reads, in the order of the models."""
    packed = io.BytesIO()
    torch.save([one.model.state_dict() for one in trained], packed)
    write(path, packed.getvalue())
