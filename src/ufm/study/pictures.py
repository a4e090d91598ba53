"""Images of hosts, kept with the book's records so that its pages need no image files."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ufm.data import datasets
from ufm.data.sources import checksum
from ufm.plan.sweep import Sweep
from ufm.protocol import Protocol, hosts
from ufm.records import Measured, Records, committed
from ufm.records.fingerprints import RECIPE, digest


def store() -> Records:
    """The pictures that are kept with the book."""
    return committed("pictures")


def of_sweep(sweep: Sweep) -> Protocol:
    """The protocol whose planned seeds' hosts are pictured: the sweep's, with its own seeds where they are others."""
    (first, stop), seeds = sweep.protocol.planned, sweep.seeds
    if first <= seeds[0] and seeds[-1] < stop:
        return sweep.protocol
    return replace(sweep.protocol, planned=(seeds.start, seeds.stop))


def identity(protocol: Protocol) -> dict[str, object]:
    """What a kept set of pictures depends on: which images, and how the hosts of the planned seeds are drawn."""
    return {
        "dataset": protocol.dataset,
        "n_train": protocol.n_train,
        "hosts": list(protocol.hosts),
        "position": list(protocol.position),
        "seeds": list(protocol.planned),
        "data": checksum(protocol.dataset),
        "recipe": RECIPE,
        **({"enlarged": protocol.enlarged} if protocol.enlarged > 1 else {}),
    }


def keep(protocol: Protocol, *, data_root: str | Path | None = None) -> int:
    """Keep the images of all planned seeds' hosts; how many. Needs the image files."""
    whole, indices = datasets.load(protocol.dataset, root=data_root), set()
    for part in range(protocol.n_parts):
        data = datasets.load(protocol.dataset, n_train=protocol.n_train, part=part, root=data_root)
        seeds = [seed for seed in range(*protocol.planned) if seed % protocol.n_parts == part]
        for host in protocol.hosts:
            indices |= {int(data.train_indices[place]) for place in hosts.places(protocol, host, seeds, data)}
    index = np.array(sorted(indices), np.int32)
    what = identity(protocol)
    entry = {"seed": protocol.planned[0], "identity": what}
    arrays = {"index": index, "image": whole.train_images[index], "lit": lit_share(protocol, whole.train_images)}
    store().add(digest(what), entry, Measured({}, arrays))
    return len(index)


def lit_share(protocol: Protocol, images: np.ndarray) -> np.ndarray:
    """Share (h, w) of images (n, C, H, W), not yet enlarged, in which each pixel under the feature is not black."""
    rows, columns = (
        np.arange(first, first + length) // protocol.enlarged
        for first, length in zip(protocol.position, protocol.unique.shape, strict=True)
    )
    return (images[..., rows[:, None], columns] > 0).any(1).mean(0)
