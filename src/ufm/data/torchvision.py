"""MNIST, Fashion-MNIST and CIFAR-10, as torchvision downloads and reads them."""

from functools import partial
from pathlib import Path

import numpy as np

from ufm.data.arrays import Arrays
from ufm.data.sources import SOURCES, Source


def read(kind: str, root: Path, download: bool) -> Arrays:
    """The train and the test split of a class of `torchvision.datasets`."""
    from torchvision import datasets  # takes seconds to import, and the embedded images do without

    arrays = []
    for train in (True, False):
        split = getattr(datasets, kind)(root, train=train, download=download)
        images = np.asarray(split.data)
        arrays += [images.transpose(0, 3, 1, 2) if images.ndim == 4 else images[:, None]]
        arrays += [np.asarray(split.targets, dtype=np.int64)]
    return Arrays(*arrays)


SOURCES |= {
    "mnist": Source(
        "MNIST",
        60_000,
        (1, 28, 28),
        partial(read, "MNIST"),
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
        partial(read, "FashionMNIST"),
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
        partial(read, "CIFAR10"),
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
}
