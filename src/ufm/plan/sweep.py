"""A sweep: seeds of one protocol, planned and kept together."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ufm.protocol import Protocol


@dataclass(frozen=True)
class Sweep:
    """Seeds of one protocol, kept in one folder of records."""

    protocol: Protocol
    seeds: range
    needed: int  # how many of the first seeds the book cannot do without; they are trained first
    turn: int  # sweeps of an earlier turn are trained first
    setting: str = ""  # what sets it apart from the population of its data set and size, in words


def sweep_name(population: str, setting: str) -> str:
    """The folder of records of a sweep beside a population, from what sets it apart in words."""
    return f"{population}-{re.sub(r'[^a-z0-9]+', '-', setting.lower())}"


def beside(population: str, settings: Mapping[str, Protocol], seeds: range, turn: int) -> dict[str, Sweep]:
    """Sweeps beside a population, from what sets each apart in words; all their seeds are needed."""
    return {
        sweep_name(population, setting): Sweep(protocol, seeds, len(seeds), turn, setting)
        for setting, protocol in settings.items()
    }
