"""PneumoniaMNIST, BreastMNIST and their like: NumPy archives of grey images in three splits."""

import io
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from ufm.data.arrays import Arrays
from ufm.data.fetching import fetch
from ufm.data.sources import SOURCES, Source


def read(contents: Mapping[str, bytes]) -> Arrays:
    """All three splits of an archive."""
    (archive,) = contents.values()
    arrays = []
    with np.load(io.BytesIO(archive)) as file:
        for split in ("train", "test", "val"):
            arrays += [file[f"{split}_images"][:, None], file[f"{split}_labels"][:, 0].astype(np.int64)]
    return Arrays(*arrays)


def fetched(name: str, paths: list[str]) -> Iterator[tuple[str, bytes]]:
    """The archive of this name, from where it was published."""
    for path in paths:
        address = f"https://zenodo.org/records/10519652/files/{name}.npz?download=1"
        yield path, fetch([address], SOURCES[name].files[path])


# Addresses and md5s as in the package medmnist 3.0.2, medmnist/info.py.
SOURCES |= {
    "pneumoniamnist": Source(
        "PneumoniaMNIST",
        4_708,
        (1, 28, 28),
        read,
        {"medmnist/pneumoniamnist.npz": "28209eda62fecd6e6a2d98b1501bb15f"},
        partial(fetched, "pneumoniamnist"),
        validation=True,
    ),
    "breastmnist": Source(
        "BreastMNIST",
        546,
        (1, 28, 28),
        read,
        {"medmnist/breastmnist.npz": "750601b1f35ba3300ea97c75c52ff8f6"},
        partial(fetched, "breastmnist"),
        validation=True,
    ),
}
