"""CIFAR-10: pickled batches, all in one archive on the server."""

import io
import pickle
import tarfile
from collections.abc import Iterator, Mapping

import numpy as np

from ufm.data.arrays import Arrays
from ufm.data.fetching import fetch
from ufm.data.sources import SOURCES, Source

# As in torchvision 0.29.1, torchvision/datasets/cifar.py.
ARCHIVE = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"


def read(contents: Mapping[str, bytes]) -> Arrays:
    """The train and the test split."""
    arrays = []
    for names in ([f"data_batch_{number}" for number in range(1, 6)], ["test_batch"]):
        # Verified: a pickle runs what it holds.
        batches = [pickle.loads(contents[f"cifar-10-batches-py/{name}"], encoding="latin1") for name in names]
        arrays += [np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)]
        arrays += [np.concatenate([np.array(batch["labels"], np.int64) for batch in batches])]
    return Arrays(*arrays)


def fetched(paths: list[str]) -> Iterator[tuple[str, bytes]]:
    """These files, out of the archive."""
    if not paths:
        return
    address, md5 = ARCHIVE
    with tarfile.open(fileobj=io.BytesIO(fetch([address], md5))) as archive:
        for path in paths:
            file = archive.extractfile(path)
            assert file is not None
            yield path, file.read()


SOURCES["cifar10"] = Source(
    "CIFAR-10",
    50_000,
    (3, 32, 32),
    read,
    {
        "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
        "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
        "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
        "cifar-10-batches-py/batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
    fetched,
    ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
)
