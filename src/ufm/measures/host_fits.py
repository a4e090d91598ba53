"""How well a model fits hosts, plain and with what is stamped on them."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from ufm import features
from ufm.data.on_device import DeviceData
from ufm.measures.shifts import half
from ufm.protocol import Experiment, Protocol, hosts, placebo
from ufm.training import log_probabilities


def own_hosts(experiments: list[Experiment], data: DeviceData) -> pd.DataFrame:
    """The hosts of a seed, as its models were given them.

    Columns: seed, host, canary_index, canary_label, place; a row per kind of host, in the order of the models.
    """
    stamped = {experiment.host: experiment for experiment in experiments if experiment.host}
    rows = [
        {
            "seed": experiment.seed,
            "host": host,
            "canary_index": experiment.canary_index,
            "canary_label": experiment.canary_label,
            "place": data.dataset.place_of(experiment.canary_index),
        }
        for host, experiment in stamped.items()
    ]
    return pd.DataFrame(rows)


def planned_hosts(protocol: Protocol, own: pd.DataFrame, data: DeviceData) -> pd.DataFrame:
    """The hosts of all planned seeds that train on this part, and a seed's `own`, all with the columns of `own_hosts`.

    The seed has its turn among the planned ones, or is the last if it is none of them.
    """
    seed = int(own["seed"].iloc[0])
    planned = [one for one in range(*protocol.planned) if one % data.dataset.n_parts == data.dataset.part]
    others = [one for one in planned if one != seed]
    places = [hosts.places(protocol, host, others, data.dataset) for host in protocol.hosts]
    rows = {seed: own.to_dict("records")} | {
        other: [
            {
                "seed": other,
                "host": host,
                "canary_index": data.dataset.train_indices[place],
                "canary_label": data.dataset.train_labels[place],
                "place": place,
            }
            for host, place in zip(protocol.hosts, of_seed, strict=True)
        ]
        for other, of_seed in zip(others, zip(*places, strict=True), strict=True)
    }
    return pd.DataFrame([row for one in dict.fromkeys([*planned, seed]) for row in rows[one]])


def hosts_of(planned: pd.DataFrame, protocol: Protocol) -> dict[str, np.ndarray]:
    """The columns of `own_hosts` as arrays of a card."""
    return {
        "host_seed": planned["seed"].to_numpy(np.int32),
        "host_kind": planned["host"].map(list(protocol.hosts).index).to_numpy(np.int8),
        "host_index": planned["canary_index"].to_numpy(np.int32),
        "host_label": planned["canary_label"].to_numpy(np.int8 if planned["canary_label"].max() < 128 else np.int16),
    }


def host_versions(protocol: Protocol, planned: pd.DataFrame, data: DeviceData) -> torch.Tensor:
    """Each host plain, with the feature and with its own seed's placebo feature, normalised: (n_hosts * 3, C, H, W)."""
    unique, versions = protocol.unique, []
    for row in planned.itertuples():
        image = data.floats(data.dataset.train_images[row.place])
        other = placebo(protocol, unique, row.seed, row.host, data.dataset.scope)
        stamped = (features.insert(image, one, position=protocol.position) for one in (unique, other))
        versions += [image, *stamped]
    return data.normalise(torch.stack(versions))


def host_log_probabilities(
    model: nn.Sequential, versions: torch.Tensor, planned: pd.DataFrame, data: DeviceData
) -> np.ndarray:
    """Log-probability (n_hosts, 3) of each host's label on its three versions, in nats."""
    labels = torch.tensor(planned["canary_label"].to_numpy(np.int64), device=versions.device)
    log_p = log_probabilities(model, versions).view(len(planned), 3, -1)
    return half(log_p.gather(2, labels[:, None, None].expand(-1, 3, 1))[..., 0])
