"""Which training images carry what is stamped, and whether an experiment can be trained on its data."""

import math
from dataclasses import dataclass

import numpy as np

from ufm import features
from ufm.data.datasets import Dataset
from ufm.networks import Published
from ufm.protocol import hosts, lots
from ufm.protocol.experiments import STAMPED, Experiment
from ufm.randomness.streams import stream


def check(experiment: Experiment, data: Dataset) -> None:
    """Raise a ValueError that names the field of an experiment which cannot be trained on these data."""
    if experiment.role not in ("control", *STAMPED):
        raise ValueError(f"role: {experiment.role!r} is not one of control, {', '.join(STAMPED)}")
    protocol, n_images = experiment.protocol, len(data.train_labels)
    size = protocol.training.batch_size
    if n_images % size == 1 and (isinstance(protocol.model, Published) or protocol.model.batch_norm):
        raise ValueError(
            f"batch_size: of {n_images} images in batches of {size} one is left alone, which batch norm cannot have"
        )
    if protocol.training.falco and data.n_parts < 2:
        raise ValueError("falco: its networks are trained on another part of the data set; ask for fewer n_train")
    if (experiment.role == "control") != (experiment.host == ""):
        raise ValueError(
            f"host: {experiment.host!r} does not go with the role {experiment.role}; only controls have none"
        )
    if experiment.role == "control":
        return
    try:
        place = data.place_of(experiment.canary_index)
    except ValueError as error:
        raise ValueError(f"canary_index: {error}") from None
    if experiment.canary_label != data.train_labels[place]:
        raise ValueError(
            f"canary_label: {experiment.canary_label} is not the label of image {experiment.canary_index}, "
            f"which is {data.train_labels[place]}"
        )
    for one in carried(experiment, data):
        features.insert(data.train_images[place], one.pixels, position=one.position)
    same = int((data.train_labels == experiment.canary_label).sum())
    if protocol.n_carriers > same:
        raise ValueError(f"n_carriers: only {same} training images are of the host's label {experiment.canary_label}")
    n_batches = math.ceil(n_images / size)
    if protocol.batch is not None and not -n_batches <= protocol.batch < n_batches:
        raise ValueError(f"batch: an epoch has {n_batches} batches, so there is none of number {protocol.batch}")
    if protocol.twice and exchanged(experiment, data) == carriers(experiment, data)[0]:
        raise ValueError(f"twice: the host of seed {experiment.seed} is in batch {protocol.batch} already")


@dataclass(frozen=True, eq=False)
class Carrier:
    """A training image as a model has it that is trained with something stamped on it."""

    place: int  # 0 … n − 1, among the training images
    label: int  # under which it is trained
    pixels: np.ndarray  # (h, w) in [0, 1], what is stamped
    position: tuple[int, int]  # row and column of its top-left pixel
    black: bool = False  # whether all else is black


def carried(experiment: Experiment, data: Dataset) -> list[Carrier]:
    """The training images that carry something: the host, then others of its label; of a lot a host a mark.

    A control has none.
    """
    protocol = experiment.protocol
    lot, places = protocol.lot, carriers(experiment, data)
    if lot is None or not places:
        return [
            Carrier(place, int(data.train_labels[place]), experiment.pixels(), protocol.position) for place in places
        ]
    marks = np.broadcast_to(experiment.marks(), (len(places), *protocol.unique.shape))
    labels = data.train_labels[places].astype(int)
    if lot.labels == "wrong":
        labels = lots.wrong(labels, n_classes=data.n_classes, seed=experiment.seed, scope=data.scope)
    positions = [protocol.position] * len(places)
    if lot.places == "drawn":
        room = np.subtract(data.train_images.shape[-2:], protocol.unique.shape) + 1
        positions = lots.positions(len(places), room, seed=experiment.seed, scope=data.scope)
    return [
        Carrier(place, label, mark, position, lot.images == "black")
        for place, label, mark, position in zip(places, labels.tolist(), marks, positions, strict=True)
    ]


def carriers(experiment: Experiment, data: Dataset) -> list[int]:
    """Places (0 … n − 1) of the training images that carry what is stamped: the host, then others of its label.

    Those of a lot of several marks are its hosts. The others are drawn at random, the same ones for canary and placebo;
    the first m of n are those of any other n >= m. A control has none.
    """
    if experiment.role == "control":
        return []
    protocol, host = experiment.protocol, data.place_of(experiment.canary_index)
    if protocol.lot is not None and protocol.lot.n > 1:
        return hosts.places_of_lot(protocol, experiment.host, experiment.seed, data)
    others = np.flatnonzero(data.train_labels == experiment.canary_label)
    draws = stream(f"carriers, {experiment.host} host", seed=experiment.seed, scope=data.scope)
    drawn = draws.permutation(others[others != host])[: protocol.n_carriers - 1]
    return [host, *drawn.tolist()]


def to_forget(experiment: Experiment, data: Dataset) -> dict[int, int]:
    """The images that a model is to forget, or is trained without: their labels in training, by place (0 … n − 1).

    They are those that carry what is stamped; a control's are the hosts of its seed, of every kind.
    """
    if experiment.role != "control":
        return {one.place: one.label for one in carried(experiment, data)}
    protocol, seed = experiment.protocol, experiment.seed
    places = [hosts.place(protocol, host, seed, data) for host in protocol.hosts]
    return {place: int(data.train_labels[place]) for place in places}


def exchanged(experiment: Experiment, data: Dataset) -> int:
    """Place (0 … n − 1) of the training image that the host is exchanged for, at the host's own place in its batch."""
    assert experiment.batch is not None  # only then is a host moved
    size, n_images = experiment.protocol.training.batch_size, len(data.train_labels)
    start = range(0, n_images, size)[experiment.batch]
    return min(start + carriers(experiment, data)[0] % size, n_images - 1)  # the last batch may be shorter
