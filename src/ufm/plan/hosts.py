"""Chapter *Hosts*: the paper's own setting, and of the first plan the populations and hosts of middling hardness."""

from dataclasses import replace

from ufm.plan import populations, second
from ufm.plan.populations import EVIDENCE
from ufm.plan.sweep import Sweep, beside

PLACE = {"embedded": 4, "paper": 3}
MIDDLING_HOSTS = "middling hosts"
DECIDING = {"C1": populations.names}  # by claim, the sweeps on which it stands
# The population beside which they are, seeds and turn.
PLANNED = {"embedded": ("digits-small", range(8), 0), "paper": ("fashion_mnist-full", EVIDENCE[:20], 2)}


def sweeps(profile: str) -> dict[str, Sweep]:
    """Exploratory: hosts of middling hardness, three models a seed."""
    name, seeds, turn = PLANNED[profile]
    three = replace(populations.plain(profile, name), hosts=("middling",), measure="short card")
    return beside(name, {MIDDLING_HOSTS: three}, seeds, turn)


def full_size(profile: str) -> tuple[str, ...]:
    """The second plan's models of the full size."""
    return tuple(name for dataset in second.FULL[profile] for name in second.full(profile, dataset))


def pictured(profile: str) -> tuple[str, ...]:
    """The second plan's models of the full size, then the populations."""
    return (*full_size(profile), *populations.names(profile))


PICTURED = pictured  # images of their hosts are kept with the records


def shown(profile: str) -> tuple[str, ...]:
    """Those, then the middling hosts."""
    return (*pictured(profile), *sweeps(profile))
