"""The first plan's seeds on the same hosts, beside the population of their images."""

from dataclasses import replace

from ufm.plan import populations
from ufm.plan.sweep import Sweep, beside

PLACE = {"embedded": 7, "paper": 7}
SAME_HOSTS = "the same hosts"  # for every seed
# The first hosts that the pool of hard ones gives, of part 0 of the digits and of part 2 of MNIST.
HOSTS = {
    "embedded": ("411", "457", "799", "1057"),
    "paper": ("29096", "26766", "3662", "8202", "50120", "19808", "32475", "42826", "2044", "52180"),
}
# The population beside which they are, seeds that train on the hosts' part, and turn.
PLANNED = {"embedded": ("digits-small", range(200, 216, 2), 0), "paper": ("mnist-small", range(2000, 2180, 6), 6)}


def sweeps(profile: str) -> dict[str, Sweep]:
    """Every seed on the same hosts."""
    name, seeds, turn = PLANNED[profile]
    crossed = replace(populations.plain(profile, name), hosts=HOSTS[profile], measure="short card")
    return beside(name, {SAME_HOSTS: crossed}, seeds, turn, chosen="hard")


def beside_population(profile: str) -> tuple[str, ...]:
    """The population, then the seeds on the same hosts."""
    name, _, _ = PLANNED[profile]
    return (name, *sweeps(profile))


DECIDING = {"C5": beside_population}  # by claim, the sweeps on which it stands
