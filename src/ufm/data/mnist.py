"""MNIST and Fashion-MNIST: IDX files, each compressed on the servers that have it."""

import gzip
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from ufm.data.arrays import Arrays
from ufm.data.fetching import fetch
from ufm.data.sources import SOURCES, Source

# Servers, and the md5s of compressed files, as in torchvision 0.29.1, torchvision/datasets/mnist.py.
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


def read(contents: Mapping[str, bytes]) -> Arrays:
    """The train and the test split."""
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


def fetched(servers: tuple[str, ...], paths: list[str]) -> Iterator[tuple[str, bytes]]:
    """These files, from the first server that gives them."""
    for path in paths:
        addresses = [f"{server}{PurePosixPath(path).name}.gz" for server in servers]
        yield path, gzip.decompress(fetch(addresses, COMPRESSED[path]))


SOURCES |= {
    "mnist": Source(
        "MNIST",
        60_000,
        (1, 28, 28),
        read,
        {
            "MNIST/raw/train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "MNIST/raw/train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "MNIST/raw/t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "MNIST/raw/t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
        partial(fetched, MNIST),
        ((0.1307,), (0.3081,)),
    ),
    "fashion_mnist": Source(
        "Fashion-MNIST",
        60_000,
        (1, 28, 28),
        read,
        {
            "FashionMNIST/raw/train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "FashionMNIST/raw/train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
            "FashionMNIST/raw/t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
            "FashionMNIST/raw/t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
        },
        partial(fetched, FASHION_MNIST),
        ((0.28604,), (0.35302,)),
    ),
}
