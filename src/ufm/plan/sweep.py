"""A sweep: seeds of one protocol, planned and kept together, and its name in words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ufm.data import sources
from ufm.plan.profiles import trains_on
from ufm.protocol import Protocol


@dataclass(frozen=True)
class Sweep:
    """Seeds of one protocol, kept in one folder of records."""

    protocol: Protocol
    seeds: range
    needed: int  # how many of the first seeds the book cannot do without; they are trained first
    turn: int  # sweeps of an earlier turn are trained first
    setting: str = ""  # what sets it apart from the population of its data set and size, in words
    # Of hosts that are images: the kind of which they are the first, or "place" where they are spaced evenly. So they
    # are chosen among other images.
    chosen: str = ""

    @property
    def trained_on(self) -> str:
        """Data set and size in words, such as "MNIST, 10 000 images"; of all its images "MNIST, full"."""
        source = sources.source(self.protocol.dataset)
        is_full = trains_on(self.protocol, None, source.n_train)
        size = "full" if is_full else f"{self.protocol.n_train:,} images".replace(",", " ")
        return f"{source.title}, {size}"

    @property
    def title(self) -> str:
        """Data set, size and what sets it apart in words, such as "MNIST, 10 000 images, dropout"."""
        return ", ".join(part for part in (self.trained_on, self.setting) if part)


class OfSweep:
    """What holds a sweep: it is called as the sweep is, and has its protocol."""

    sweep: Sweep

    @property
    def protocol(self) -> Protocol:
        """What is trained and measured for every seed."""
        return self.sweep.protocol

    @property
    def needed(self) -> int:
        """Seeds without which it decides nothing."""
        return self.sweep.needed

    @property
    def setting(self) -> str:
        """What sets it apart from the population of its data set and size, in words."""
        return self.sweep.setting

    @property
    def trained_on(self) -> str:
        """Data set and size in words."""
        return self.sweep.trained_on

    @property
    def title(self) -> str:
        """Data set, size and what sets it apart in words."""
        return self.sweep.title


def sweep_name(population: str, setting: str) -> str:
    """The folder of records of a sweep beside a population, from what sets it apart in words."""
    return f"{population}-{re.sub(r'[^a-z0-9]+', '-', setting.lower())}"


def beside(
    population: str, settings: Mapping[str, Protocol], seeds: range, turn: int, chosen: str = ""
) -> dict[str, Sweep]:
    """Sweeps beside a population, from what sets each apart in words; all their seeds are needed."""
    return {
        sweep_name(population, setting): Sweep(protocol, seeds, len(seeds), turn, setting, chosen)
        for setting, protocol in settings.items()
    }
