"""Chapter *Influence*: hosts of most, of least and of any self-influence."""

from dataclasses import replace

from ufm.plan import populations
from ufm.plan.sweep import Sweep, beside

PLACE = {"embedded": 10, "paper": 10}
# Hosts by self-influence, in words, and their kind.
BY_INFLUENCE = {
    "most influential hosts": "influential",
    "least influential hosts": "uninfluential",
    "random hosts": "random",
}
# The population beside which they are, seeds of each, and turn.
PLANNED = {
    "embedded": ("digits-small", (range(100, 108), range(108, 116), range(116, 124)), 0),
    "paper": ("mnist-small", (range(3000, 3024), range(3024, 3048), range(3048, 3108)), 5),
}


def sweeps(profile: str) -> dict[str, Sweep]:
    """Each kind of host on seeds of its own, three models a seed."""
    name, seeds, turn = PLANNED[profile]
    found: dict[str, Sweep] = {}
    plain = populations.plain(profile, name)
    for (setting, host), ours in zip(BY_INFLUENCE.items(), seeds, strict=True):
        three = replace(plain, hosts=(host,), measure="influence card", planned=(ours.start, ours.stop))
        found |= beside(name, {setting: three}, ours, turn)
    return found


def shown(profile: str) -> tuple[str, ...]:
    """All of them."""
    return tuple(sweeps(profile))


PICTURED = sweeps  # images of their hosts are kept with the records
DECIDING = {"C4": shown}  # by claim, the sweeps on which it stands
