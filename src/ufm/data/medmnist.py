"""PneumoniaMNIST, BreastMNIST and their like: NumPy archives of grey images in three splits."""

import os
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from ufm.data.arrays import Arrays
from ufm.data.sources import SOURCES, Source


def read(name: str, url: str, root: Path, download: bool) -> Arrays:
    """All three splits of an archive, fetched from its address where it is missing and may be downloaded."""
    path = root / "medmnist" / f"{name}.npz"
    if download and not path.exists():
        from torchvision.datasets.utils import download_url

        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:  # a file is there whole or not at all
            download_url(url, scratch, path.name, SOURCES[name].files[f"medmnist/{path.name}"])
            os.replace(Path(scratch) / path.name, path)
    arrays = []
    with np.load(path) as file:
        for split in ("train", "test", "val"):
            arrays += [file[f"{split}_images"][:, None], file[f"{split}_labels"][:, 0].astype(np.int64)]
    return Arrays(*arrays)


# Addresses and md5s as in the package medmnist 3.0.2, medmnist/info.py.
SOURCES |= {
    "pneumoniamnist": Source(
        "PneumoniaMNIST",
        4_708,
        (1, 28, 28),
        partial(read, "pneumoniamnist", "https://zenodo.org/records/10519652/files/pneumoniamnist.npz?download=1"),
        {"medmnist/pneumoniamnist.npz": "28209eda62fecd6e6a2d98b1501bb15f"},
        validation=True,
    ),
    "breastmnist": Source(
        "BreastMNIST",
        546,
        (1, 28, 28),
        partial(read, "breastmnist", "https://zenodo.org/records/10519652/files/breastmnist.npz?download=1"),
        {"medmnist/breastmnist.npz": "750601b1f35ba3300ea97c75c52ff8f6"},
        validation=True,
    ),
}
