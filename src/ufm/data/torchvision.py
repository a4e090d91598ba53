"""MNIST, Fashion-MNIST and CIFAR-10, as torchvision has them: the same files under the data root, from the same servers."""

import gzip
import io
import pickle
import tarfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from ufm.data.arrays import Arrays
from ufm.data.fetching import fetch
from ufm.data.sources import SOURCES, Source

# Servers, and the md5s of what they have, as in torchvision 0.29.1, torchvision/datasets/mnist.py and cifar.py.
MNIST = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
FASHION_MNIST = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
COMPRESSED = {
    "MNIST/raw/train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "MNIST/raw/train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "MNIST/raw/t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "MNIST/raw/t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
    "FashionMNIST/raw/train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "FashionMNIST/raw/train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "FashionMNIST/raw/t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "FashionMNIST/raw/t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}
CIFAR10 = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"


def read_mnist(contents: Mapping[str, bytes]) -> Arrays:
    """The train and the test split of IDX files."""
    by_name = {PurePosixPath(path).name: idx(content) for path, content in contents.items()}
    arrays = []
    for split in ("train", "t10k"):
        arrays += [by_name[f"{split}-images-idx3-ubyte"][:, None]]
        arrays += [by_name[f"{split}-labels-idx1-ubyte"].astype(np.int64)]
    return Arrays(*arrays)


def idx(content: bytes) -> np.ndarray:
    """The uint8 array in an IDX file: four bytes of which the last counts dimensions, big-endian sizes, values."""
    n_dimensions = content[3]
    shape = np.frombuffer(content, ">u4", n_dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * n_dimensions).reshape(shape)


def fetch_mnist(servers: tuple[str, ...], paths: list[str]) -> Iterator[tuple[str, bytes]]:
    """These files, from the first server that gives them."""
    for path in paths:
        addresses = [f"{server}{PurePosixPath(path).name}.gz" for server in servers]
        yield path, gzip.decompress(fetch(addresses, COMPRESSED[path]))


def read_cifar10(contents: Mapping[str, bytes]) -> Arrays:
    """The train and the test split of pickled batches."""
    arrays = []
    for names in ([f"data_batch_{number}" for number in range(1, 6)], ["test_batch"]):
        # Verified: a pickle runs what it holds.
        batches = [pickle.loads(contents[f"cifar-10-batches-py/{name}"], encoding="latin1") for name in names]
        arrays += [np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)]
        arrays += [np.concatenate([np.array(batch["labels"], np.int64) for batch in batches])]
    return Arrays(*arrays)


def fetch_cifar10(paths: list[str]) -> Iterator[tuple[str, bytes]]:
    """These files, out of the archive."""
    if not paths:
        return
    address, md5 = CIFAR10
    with tarfile.open(fileobj=io.BytesIO(fetch([address], md5))) as archive:
        for path in paths:
            file = archive.extractfile(path)
            assert file is not None
            yield path, file.read()


SOURCES |= {
    "mnist": Source(
        "MNIST",
        60_000,
        (1, 28, 28),
        read_mnist,
        {
            "MNIST/raw/train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "MNIST/raw/train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "MNIST/raw/t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "MNIST/raw/t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
        partial(fetch_mnist, MNIST),
        ((0.1307,), (0.3081,)),
    ),
    "fashion_mnist": Source(
        "Fashion-MNIST",
        60_000,
        (1, 28, 28),
        read_mnist,
        {
            "FashionMNIST/raw/train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "FashionMNIST/raw/train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
            "FashionMNIST/raw/t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
            "FashionMNIST/raw/t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
        },
        partial(fetch_mnist, FASHION_MNIST),
        ((0.28604,), (0.35302,)),
    ),
    "cifar10": Source(
        "CIFAR-10",
        50_000,
        (3, 32, 32),
        read_cifar10,
        {
            "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
            "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
            "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
            "cifar-10-batches-py/batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
        fetch_cifar10,
        ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ),
}
