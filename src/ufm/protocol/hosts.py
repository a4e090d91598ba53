"""Hosts: the training images that get a feature stamped, any of them or those of a pool.

Hard hosts are the images that clean models fit worst. A model needs the feature to fit such an image, so it is where
memorisation of the feature shows, if anywhere. Middling ones are those that clean models just fail to fit. Influential
and uninfluential ones have the highest and the lowest self-influence in clean models. Pools are found once: those of
the paper profile are kept with the book's records, others found when an execution needs them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ufm.data import sources
from ufm.data.datasets import Dataset
from ufm.data.folders import called
from ufm.networks import CNN2, MLP, names
from ufm.protocol.experiments import Protocol
from ufm.protocol.settings import Training
from ufm.randomness.streams import stream
from ufm.records import Records, committed, executed
from ufm.records.fingerprints import RECIPE, digest, settings

N_MODELS = 3  # clean models, over which an image's loss or self-influence is averaged
FIRST_SEED = 900_000  # theirs; no other model has a seed from here on
MIDDLING = 1.0  # nats: the loss near which a host is middling


@dataclass(frozen=True)
class Pool:
    """A kind of host that clean models find."""

    sizes: dict[str, int]  # images of the full training set, and of each part of a smaller size
    distance: Callable[[np.ndarray], np.ndarray]  # from the images' mean values; those of the smallest are taken
    value: str = "loss"  # of an image in each clean model, or "self-influence"


POOLS = {
    "hard": Pool({"full": 200, "part": 50}, np.negative),
    "middling": Pool({"full": 200, "part": 50}, lambda losses: np.abs(losses - MIDDLING)),
    "influential": Pool({"full": 24, "part": 4}, np.negative, "self-influence"),
    "uninfluential": Pool({"full": 24, "part": 4}, np.positive, "self-influence"),
}


def place(protocol: Protocol, host: str, seed: int, data: Dataset) -> int:
    """Place (0 … n − 1) of the seed's host of a kind among the training images, see `places`; of a lot the first."""
    if protocol.lot is not None:
        return places_of_lot(protocol, host, seed, data)[0]
    return places(protocol, host, [seed], data)[0]


def places_of_lot(protocol: Protocol, host: str, seed: int, data: Dataset) -> list[int]:
    """Places (0 … n − 1) of the seed's hosts among the training images, one a mark of its lot.

    Drawn uniformly without replacement, of all training images or of the pool; the first m of n are those of any other
    n >= m. Raises ValueError: there are fewer.
    """
    assert protocol.lot is not None  # nothing else has several
    candidates = np.arange(len(data.train_labels))
    if host in POOLS:
        candidates = np.array([data.place_of(index) for index in pool(protocol, data.part, host)["canary_index"]])
    if protocol.lot.n > len(candidates):
        raise ValueError(f"n: there are {len(candidates)} {host} hosts, not one for each of {protocol.lot.n} marks")
    drawn = stream(f"{host} hosts of a lot", seed=seed, scope=f"{data.scope}/{data.part}").permutation(candidates)
    return drawn[: protocol.lot.n].tolist()


def places(protocol: Protocol, host: str, seeds: list[int], data: Dataset) -> list[int]:
    """Places (0 … n − 1) of the seeds' hosts of a kind among the training images.

    Hosts are drawn uniformly without replacement per data set and size: one permutation, of the training images or of
    the pool, of which seed s takes the entry s // n_parts, since seed s trains on part s mod n_parts. A
    pool that is used up is begun again. A host that is the number of a training image is that image for every seed, and
    one that is a kind and a number has the place of that number in the permutation; "place" is no kind but the file's
    own order.
    """
    for seed in seeds:
        if seed % data.n_parts != data.part:
            part = seed % data.n_parts
            raise ValueError(f"seed: {seed} belongs to part {part} of {data.scope}, not to part {data.part}")
    kind, _, number = host.partition(" ")
    turns = [int(number) if number else seed // data.n_parts for seed in seeds]
    scope = f"{data.scope}/{data.part}"
    if host.isdecimal():
        try:
            return [data.place_of(int(host))] * len(seeds)
        except ValueError as error:
            raise ValueError(f"hosts: image {error}") from None
    if kind in ("random", "place"):
        order = np.arange(len(data.train_labels))
        if kind == "random":
            order = stream("hosts", scope=scope).permutation(len(order))
        if max(turns, default=0) >= len(order):
            last = max(turns) if number else max(seeds)
            raise ValueError(f"seed: {beyond(last, data.scope, len(order) * data.n_parts)}")
        return [int(order[turn]) for turn in turns]
    indices = pool(protocol, data.part, kind)["canary_index"].tolist()
    order = stream(f"{kind} hosts", scope=scope).permutation(len(indices))
    return [data.place_of(indices[order[turn % len(order)]]) for turn in turns]


def require_hosts(protocol: Protocol, seeds: Sequence[int]) -> None:
    """Raise a ValueError where the last of the seeds has no random host or is a clean model's. Needs no data file."""
    first, last, n, scope = seeds[0], seeds[-1], FIRST_SEED, f"{called(protocol.dataset)}/{protocol.n_train or 'full'}"
    fault = f"{last} is too high; from {FIRST_SEED} on are the seeds of models that find hosts"
    if "random" in protocol.hosts and last >= n_hosts(protocol):
        n, fault = n_hosts(protocol), beyond(last, scope, n_hosts(protocol))
    if last >= n:
        raise ValueError(f"seed: {fault}" if first >= n else f"n_seeds: the last seed {fault}; ask for fewer")


def n_hosts(protocol: Protocol) -> int:
    """Images that are hosts at random: one a seed, in the parts of its size. Needs no data file."""
    return (protocol.n_train or sources.source(protocol.dataset).n_train) * protocol.n_parts


def beyond(seed: int, scope: str, n_seeds: int) -> str:
    """What is wrong with a seed for which there is no random host."""
    return f"{seed} is beyond the last host; {scope} has hosts for {n_seeds} seeds, from 0 on"


def pooled(protocol: Protocol) -> list[str]:
    """The kinds of host of a protocol that clean models find."""
    return list(dict.fromkeys(host.partition(" ")[0] for host in protocol.hosts if host.partition(" ")[0] in POOLS))


def clean(protocol: Protocol) -> Protocol:
    """The protocol of the models that find the pools: hosts are the same for every variant of a model."""
    colour = sources.source(protocol.dataset).shape[0] == 3
    return replace(
        protocol,
        enlarged=1,
        model=(protocol.found_by or protocol.model).finder(colour=colour) or (CNN2() if colour else MLP()),
        training=replace(
            protocol.training,
            learning_rate=protocol.found_at or protocol.training.learning_rate,
            early_stopping="half",
            # Convolutions in float64 take ten times as long.
            precision="float32" if colour else protocol.training.precision,
            weight_decay=0.0,
            shuffle=False,
            optimiser=None,
            private=None,
            label_smoothing=0.0,
            label_noise=0.0,
            mixup=0.0,
            cutmix=0.0,
            erasing=None,
            distillation=None,
            border=0,
            patience=max(protocol.training.patience, Training.patience),  # one that ends earlier has the same hosts
            forgetting=None,
            without_hosts=False,
            visual_mixer=None,
            falco=None,
            pretrained=None,
            adv_bn=None,
            tasks=None,
            batch_size=min(protocol.training.batch_size, Training.batch_size),  # larger batches have the same hosts
        ),
    )


def clean_seeds(n_parts: int, part: int) -> list[int]:
    """The seeds of a part's clean models: the first from FIRST_SEED on that train on it, s mod n_parts = part."""
    first = FIRST_SEED + (part - FIRST_SEED) % n_parts
    return [first + turn * n_parts for turn in range(N_MODELS)]


def identity(protocol: Protocol, part: int, kind: str = "hard") -> dict[str, object]:
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
        "pool": POOLS[kind].sizes,
        "n_models": N_MODELS,
        "first_seed": FIRST_SEED,
        "data": sources.checksum(protocol.dataset),
        "recipe": RECIPE,
        **({} if kind == "hard" else {"kind": kind}),  # hard ones were first
    }


def fingerprint(protocol: Protocol, part: int, kind: str = "hard") -> str:
    """Under which the pool of a part is found."""
    return digest(identity(protocol, part, kind))


def stores(kind: str) -> list[Records]:
    """Where pools of a kind are kept: with the book's records, else as executions found them."""
    name = "hosts" if kind == "hard" else f"hosts-{kind}"
    return [committed(name), executed(name)]


def pool(protocol: Protocol, part: int, kind: str = "hard") -> pd.DataFrame:
    """The pool of a part, the most extreme first: columns rank, canary_index, canary_label, loss among others.

    Raises ValueError, with the command that finds it, where there is none.
    """
    one = fingerprint(protocol, part, kind)
    for records in stores(kind):
        if one in records.entries():
            return records.tables([one])["pools"]
    size = f" --n-train {protocol.n_train}" if protocol.n_train else ""
    option = "" if kind == "hard" else f" --kind {kind}"
    raise ValueError(
        f"hosts: no {kind} hosts of {protocol.dataset} part {part}; run ufm hosts {protocol.dataset}{size}{option}"
    )


def lacking(protocol: Protocol, parts: Iterable[int], kind: str, records: Iterable[Records]) -> list[int]:
    """The parts whose pool of a kind none of the records has."""
    there = {one for some in records for one in some.entries()}
    return [part for part in parts if fingerprint(protocol, part, kind) not in there]
