"""What is kept of models that carry a lot of marks: how they answer each of it, and marks that were never stamped."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import nn

from ufm import features
from ufm.data.datasets import Dataset, ImageSet
from ufm.data.on_device import DeviceData
from ufm.measures.layout import LOT_IMAGES, LOT_KEPT
from ufm.measures.scored import model_row
from ufm.measures.shifts import half, kinds, patched, shifts
from ufm.protocol import Carrier, Protocol, carried, lots
from ufm.records import Measured
from ufm.training import Trained, log_probabilities

UNUSED = {"one": 200, "drawn": 20}  # marks beside the lot's that were never stamped, by where those are stamped


def lot_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """The models' rows, and arrays of each model: how its outputs move by every mark, and how it fits its hosts.

    Arrays of outputs have axes (n_models, n_places, n_marks, …), those of hosts (n_models, n_marks of a model, 3): the
    log-probability of the label that a host is trained under, plain and with the canary's and the placebo's mark.
    """
    assert protocol.lot is not None  # what this measure asks for
    of_roles = {one.experiment.role: carried(one.experiment, data.dataset) for one in trained if one.experiment.host}
    pools = of_places(protocol, trained[0].experiment.seed, data.dataset, next(iter(of_roles.values()), []))
    images = kinds(protocol, data, ood)
    arrays: dict[str, list[np.ndarray]] = {}
    for kind in LOT_IMAGES:
        for one in trained:
            found = [
                shifts(
                    patched(replace(protocol, position=position), one.model, images[kind].images, data),
                    data.floats(marks),
                    n_own=0,
                )
                for position, marks in pools
            ]
            for name in LOT_KEPT:
                arrays.setdefault(f"{kind}_{name}", []).append(np.stack([of_place[name] for of_place in found]))
    shared = {"position": np.array([position for position, _ in pools], np.int16)}
    if of_roles:
        first = next(iter(of_roles.values()))
        places = [host.place for host in first]
        versions, labels = host_versions(list(of_roles.values()), data), [host.label for host in first]
        for one in trained:
            arrays.setdefault("host_log_probability", []).append(fits(one.model, versions, labels))
        shared["host_index"] = data.dataset.train_indices[places].astype(np.int32)
        shared["host_label"] = np.array(labels, np.int16)
        shared["host_own_label"] = data.dataset.train_labels[places].astype(np.int16)
    models = pd.DataFrame([model_row(one, data) for one in trained], dtype=object)
    return Measured({"models": models}, {name: np.stack(values) for name, values in arrays.items()} | shared)


def of_places(
    protocol: Protocol, seed: int, data: Dataset, carriers: Sequence[Carrier]
) -> list[tuple[tuple[int, int], np.ndarray]]:
    """The places at which a seed's models are asked, each with its marks (n_marks, 1, h, w) in the order of a card.

    At one place: the canary's and the placebo's first mark, both second ones, and so on, then those that were never
    stamped. Where places are drawn each has one mark of either, and others that were never stamped: what is random at
    one place is then random whatever is drawn at another.
    """
    lot = protocol.lot
    assert lot is not None  # nothing else has marks
    n, unused, positions = lot.n, UNUSED[lot.places], [one.position for one in carriers]
    if lot.places == "one":
        positions = [protocol.position]
    n_marks = 2 * n + unused * len(positions)
    marks = lots.arrangements(protocol.feature, n_marks, seed=seed, scope=data.scope)[:, None]
    if lot.places == "one":
        return [(protocol.position, marks)]
    others = marks[2 * n :].reshape(n, unused, *marks.shape[1:])
    return [
        (position, np.concatenate([marks[2 * turn : 2 * turn + 2], others[turn]]))
        for turn, position in enumerate(positions)
    ]


def host_versions(of_roles: Sequence[Sequence[Carrier]], data: DeviceData) -> torch.Tensor:
    """Each host plain, and with the mark of each role, normalised: (n_hosts, 1 + n_roles, C, H, W)."""
    versions = []
    for hosts in zip(*of_roles, strict=True):
        image = data.floats(data.dataset.train_images[hosts[0].place])
        plain = torch.zeros_like(image) if hosts[0].black else image
        marked = [features.insert(plain, one.pixels, position=one.position) for one in hosts]
        versions.append(torch.stack([plain, *marked]))
    return data.normalise(torch.stack(versions))


def fits(model: nn.Sequential, versions: torch.Tensor, labels: Sequence[int]) -> np.ndarray:
    """Log-probability (n_hosts, n_versions) of each host's label on its versions (n_hosts, n_versions, …), in nats."""
    log_p = log_probabilities(model, versions.flatten(0, 1)).unflatten(0, versions.shape[:2])
    return half(log_p[torch.arange(len(labels)), :, labels])
