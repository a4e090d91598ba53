"""C1 of convolutional networks."""

from collections.abc import Mapping
from typing import TypeVar

from ufm.evidence import Cards
from ufm.first_plan.claims import Claim, Result, of_contrasts
from ufm.plan.cnns import CNN_SETTINGS
from ufm.plan.sweep import Sweep

S = TypeVar("S", Cards, Sweep)
CLAIM = Claim(
    "C1, CNNs",
    "The same of convolutional networks (10 000 images, hard hosts, batches of 128).",
    "cnns",
    "the same, of convolutional networks",
)


def result(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """C1 of convolutional networks, a cell a network."""
    return of_contrasts(networks(populations), networks(planned))


def networks(populations: Mapping[str, S]) -> dict[str, S]:
    """The populations, or their sweeps, of convolutional networks."""
    return {name: one for name, one in populations.items() if one.setting in CNN_SETTINGS.values()}
