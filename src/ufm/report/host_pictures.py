"""What the book shows of the training images, kept with the records so that it needs no image files.

The pictures of hosts, and how often each pixel under the letter is lit.
"""

from pathlib import Path

import numpy as np

from ufm.data import datasets
from ufm.data.arrays import enlarge
from ufm.data.sources import checksum
from ufm.evidence import Cards
from ufm.protocol import Experiment, Protocol
from ufm.records.fingerprints import digest
from ufm.study.pictures import identity, lit_share, store


def lit(cards: Cards, data_root: str | Path | None = None) -> np.ndarray:
    """Share (h, w) of the training split in which each pixel under the feature is not black.

    As kept, else from the image files.
    """
    key, shape = digest(identity(cards.protocol)), cards.protocol.unique.shape
    if key in store().entries() and store().arrays(key)["lit"].shape == shape:
        return store().arrays(key)["lit"]
    return lit_share(cards.protocol, datasets.load(cards.protocol.dataset, root=data_root).train_images)


def images(protocol: Protocol, indices: np.ndarray, *, data_root: str | Path | None = None) -> np.ndarray:
    """Training images (n, C, H, W), uint8, by their numbers in the full training file, enlarged as the protocol asks.

    From the kept pictures; those that are not all there from the image files.
    """
    key = digest(identity(protocol))
    if key in store().entries():
        kept = store().arrays(key)
        places = np.searchsorted(kept["index"], indices).clip(max=len(kept["index"]) - 1)
        if (kept["index"][places] == indices).all():
            return enlarge(kept["image"][places], protocol.enlarged)
    return enlarge(datasets.load(protocol.dataset, root=data_root).train_images[indices], protocol.enlarged)


def found(protocol: Protocol, indices: np.ndarray, *, data_root: str | Path | None = None) -> list[np.ndarray | None]:
    """The same, of whatever population they are kept: one that is neither kept nor in image files is None."""
    kept = of_data(protocol.dataset)
    if not kept.keys() >= set(indices.tolist()):
        try:
            every = datasets.load(protocol.dataset, root=data_root).train_images
            kept |= {index: every[index] for index in indices.tolist()}
        except ValueError:  # no image files are there
            pass
    there = (kept.get(index) for index in indices.tolist())
    return [None if image is None else enlarge(image, protocol.enlarged) for image in there]


def of_data(dataset: str) -> dict[int, np.ndarray]:
    """Every kept image (C, H, W) of a data set, by its number in the full training file."""
    images: dict[int, np.ndarray] = {}
    for key, entry in store().entries().items():
        if (entry["identity"]["dataset"], entry["identity"]["data"]) == (dataset, checksum(dataset)):
            kept = store().arrays(key)
            images |= dict(zip(kept["index"].tolist(), kept["image"], strict=True))
    return images


def stamp(protocol: Protocol, seed: int, role: str, host: str) -> np.ndarray:
    """What a canary or placebo model of a seed had stamped on its host, (h, w)."""
    return Experiment(protocol, seed, seed % protocol.n_parts, role, host).pixels()
