"""What the book shows of the training images, kept with the records so that it needs no image files.

The pictures of hosts, and how often each pixel under the letter is lit.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ufm import features
from ufm.data import datasets
from ufm.evidence import Cards, by_host
from ufm.protocol import Protocol
from ufm.records.fingerprints import digest
from ufm.study.pictures import identity, lit_share, store


def lit(cards: Cards, data_root: str | Path | None = None) -> np.ndarray:
    """Share (h, w) of the training split in which each pixel under the feature is not black.

    As kept, else from the image files.
    """
    one, shape = digest(identity(cards.protocol)), cards.protocol.unique.shape
    if one in store().entries() and store().arrays(one)["lit"].shape == shape:
        return store().arrays(one)["lit"]
    return lit_share(cards.protocol, datasets.load(cards.protocol.dataset, root=data_root).train_images)


def images(protocol: Protocol, indices: np.ndarray, *, data_root: str | Path | None = None) -> np.ndarray:
    """Training images (n, C, H, W), uint8, by their numbers in the full training file.

    From the kept pictures; those that are not all there from the image files.
    """
    one = digest(identity(protocol))
    if one in store().entries():
        kept = store().arrays(one)
        places = np.searchsorted(kept["index"], indices).clip(max=len(kept["index"]) - 1)
        if (kept["index"][places] == indices).all():
            return kept["image"][places]
    return datasets.load(protocol.dataset, root=data_root).train_images[indices]


def hosts_of(
    populations: Mapping[str, Cards], *, n: int = 8, data_root: str | Path | None = None
) -> dict[str, list[tuple[np.ndarray, str]]]:
    """Hosts of the first n seeds: images (C, H, W), each with its label; a row a population and kind of host."""
    found = {}
    for cards in populations.values():
        for kind, host in enumerate(cards.protocol.hosts):
            pixels = images(cards.protocol, cards.indices[:n, kind], data_root=data_root)
            words = [str(label) for label in cards.labels[:n, kind]]
            found[cards.setting or f"{host} hosts"] = list(zip(pixels, words, strict=True))
    return found


def as_trained(
    populations: Mapping[str, Cards], *, n: int = 8, data_root: str | Path | None = None
) -> dict[str, list[tuple[np.ndarray, str]]]:
    """Hosts of the first n seeds as their canaries have them: images (C, H, W), each with its label; a row a setting.

    Of populations on several kinds of host the last kind.
    """
    found = {}
    for cards in populations.values():
        plain = images(cards.protocol, cards.indices[:n, -1], data_root=data_root)
        stamped = features.insert(plain, cards.protocol.unique, position=cards.protocol.position)
        found[cards.setting] = list(zip(stamped, map(str, cards.labels[:n, -1]), strict=True))
    return found


def extremes(
    populations: Mapping[str, Cards], *, n: int = 4, data_root: str | Path | None = None
) -> dict[str, list[tuple[np.ndarray, str]]]:
    """Hosts with the n largest and the n smallest contrasts: images (C, H, W), each with its label and contrast.

    A row a population and kind of host, by its title.
    """
    found = {}
    for cards in populations.values():
        table = by_host(cards).sort_values("contrast", ascending=False)
        for host in reversed(cards.protocol.hosts):
            ones = table[table["host"] == host]
            some = pd.concat([ones.head(n), ones.tail(n)])
            pixels = images(cards.protocol, some["canary_index"].to_numpy(), data_root=data_root)
            words = [f"{row.canary_label}: {row.contrast:.2f}".replace("-", "−") for row in some.itertuples()]
            found[f"{cards.title}, {host} hosts"] = list(zip(pixels, words, strict=True))
    return found
