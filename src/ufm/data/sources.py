"""Where images come from: files that are downloaded once and verified, and images embedded in scikit-learn.

A new data set is one reader and one entry of `SOURCES`.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from pathlib import Path

import numpy as np

from ufm import paths
from ufm.data import folders
from ufm.data.embedded import Arrays, digits, photo_patches, photographs, read_only
from ufm.data.folders import DataError, is_folder


@dataclass(frozen=True)
class Source:
    """How a data set is read."""

    title: str  # its name in running text
    n_train: int  # training images
    shape: tuple[int, int, int]  # (C, H, W) of every image
    read: Callable[[Path, bool], Arrays]  # from the data root; True downloads what is missing
    files: Mapping[str, str] = field(default_factory=dict)  # path under the data root -> published md5; none: embedded
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # mean, std on [0, 1]; None: computed
    validation: bool = False  # whether it has a validation split beside the training and the test split


def data_root(root: str | Path | None = None) -> Path:
    """Return the folder of the image files: `root`, else the variable UFM_DATA, else data/ in the project."""
    return Path(root or os.environ.get("UFM_DATA") or paths.ROOT / "data").expanduser().resolve()


def source(name: str) -> Source:
    """Return the source called `name`, or that of a folder of one's own, see `ufm.data.folders`.

    Raises a ValueError that lists the known names, a DataError where a folder does not hold what it should.
    """
    if is_folder(name):
        return folder_source(name)
    if name not in SOURCES:
        raise ValueError(f"unknown data set {name!r}: choose from {', '.join(SOURCES)}, or give the path of a folder")
    return SOURCES[name]


@cache
def folder_source(path: str) -> Source:
    """The source of a folder of image files."""
    found = folders.described(path)
    return Source(found.title, found.n_train, found.shape, lambda root, download: folders.read(path))


@cache
def checksum(name: str) -> str:
    """Return sixteen hexadecimal digits that stand for a data set's images and labels, without reading its files.

    Files are verified whenever they are read, so their published md5s stand for them; embedded images are digested.
    """
    if name != "photo_patches" and source(name).files:
        content = "".join(source(name).files.values()).encode()
    else:
        arrays = photo_patches() if name == "photo_patches" else read(name, data_root())
        content = b"".join(array.tobytes() for array in arrays if array is not None)
    return hashlib.sha256(content).hexdigest()[:16]


def verify(name: str, root: str | Path | None = None) -> None:
    """Check every file of a data set against its published md5.

    Raises:
        DataError: a file is missing or damaged; one line names the folder or file and the command that fetches it.
    """
    folder = data_root(root)
    for path, state in _states(name, folder).items():
        if state == "missing":
            raise DataError(f"no {source(name).title} under {folder}: run ufm data {name}")
        if state == "damaged":
            raise DataError(f"{folder / path} is damaged, its md5 is not the published one: run ufm data {name}")


def download(name: str, root: str | Path | None = None) -> Path:
    """Fetch what is missing or damaged of a data set, verify all of it, and return the data root.

    Raises:
        DataError: it could not be downloaded or written, or a file is damaged all the same.
    """
    folder = data_root(root)
    try:
        for path, state in _states(name, folder).items():
            if state == "damaged":  # torchvision takes a raw file that exists for a whole one
                (folder / path).unlink()
        if "missing" in _states(name, folder).values():
            source(name).read(folder, True)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"could not download {source(name).title} to {folder}: {reason}") from error
    verify(name, folder)
    return folder


@lru_cache(maxsize=4)
def read(name: str, root: Path) -> Arrays:
    """Read all splits of a data set, verified, once a process; `root` is a resolved data root."""
    verify(name, root)
    return Arrays(*(None if array is None else read_only(array) for array in source(name).read(root, False)))


def _states(name: str, folder: Path) -> dict[str, str]:
    """Say of each file of a data set whether it is "whole", "damaged" or "missing"."""
    states = {}
    for path, md5 in source(name).files.items():
        states[path] = "missing"
        if (folder / path).is_file():
            with open(folder / path, "rb") as file:
                states[path] = "whole" if hashlib.file_digest(file, "md5").hexdigest() == md5 else "damaged"
    return states


def _read_torchvision(kind: str, root: Path, download: bool) -> Arrays:
    from torchvision import datasets  # takes seconds to import, and the embedded images do without

    arrays = []
    for train in (True, False):
        split = getattr(datasets, kind)(root, train=train, download=download)
        images = np.asarray(split.data)
        arrays += [images.transpose(0, 3, 1, 2) if images.ndim == 4 else images[:, None]]
        arrays += [np.asarray(split.targets, dtype=np.int64)]
    return Arrays(*arrays)


def _read_medmnist(name: str, url: str, root: Path, download: bool) -> Arrays:
    """PneumoniaMNIST and its like: NumPy archives of grey images in three splits."""
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


SOURCES = {
    "digits": Source("Digits", 1_200, (1, 28, 28), lambda root, download: digits()),
    "photographs": Source("Photographs", 1_536, (3, 32, 32), lambda root, download: photographs()),
    "mnist": Source(
        "MNIST",
        60_000,
        (1, 28, 28),
        partial(_read_torchvision, "MNIST"),
        {
            "MNIST/raw/train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "MNIST/raw/train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "MNIST/raw/t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "MNIST/raw/t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
        ((0.1307,), (0.3081,)),
    ),
    "fashion_mnist": Source(
        "Fashion-MNIST",
        60_000,
        (1, 28, 28),
        partial(_read_torchvision, "FashionMNIST"),
        {
            "FashionMNIST/raw/train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "FashionMNIST/raw/train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
            "FashionMNIST/raw/t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
            "FashionMNIST/raw/t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
        },
        ((0.28604,), (0.35302,)),
    ),
    "cifar10": Source(
        "CIFAR-10",
        50_000,
        (3, 32, 32),
        partial(_read_torchvision, "CIFAR10"),
        {
            "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
            "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
            "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
            "cifar-10-batches-py/batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
        ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ),
    # Addresses and md5s as in the package medmnist 3.0.2, medmnist/info.py.
    "pneumoniamnist": Source(
        "PneumoniaMNIST",
        4_708,
        (1, 28, 28),
        partial(
            _read_medmnist,
            "pneumoniamnist",
            "https://zenodo.org/records/10519652/files/pneumoniamnist.npz?download=1",
        ),
        {"medmnist/pneumoniamnist.npz": "28209eda62fecd6e6a2d98b1501bb15f"},
        validation=True,
    ),
    "breastmnist": Source(
        "BreastMNIST",
        546,
        (1, 28, 28),
        partial(_read_medmnist, "breastmnist", "https://zenodo.org/records/10519652/files/breastmnist.npz?download=1"),
        {"medmnist/breastmnist.npz": "750601b1f35ba3300ea97c75c52ff8f6"},
        validation=True,
    ),
}
