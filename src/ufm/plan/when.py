"""Chapter *When*: models measured after every epoch."""

from dataclasses import replace

from ufm.plan import populations
from ufm.plan.populations import EVIDENCE
from ufm.plan.sweep import Sweep, beside

PLACE = {"embedded": 9, "paper": 9}
EPOCH_BY_EPOCH = "epoch by epoch"
# The population beside which they are, seeds and turn.
PLANNED = {"embedded": ("digits-small", range(8), 0), "paper": ("mnist-small", EVIDENCE[:20], 9)}


def sweeps(profile: str) -> dict[str, Sweep]:
    """Exploratory: three models a seed on its hard host, trained to the end and measured after every epoch."""
    name, seeds, turn = PLANNED[profile]
    plain = populations.plain(profile, name)
    training = replace(plain.training, early_stopping="none")  # of as many epochs, or its hosts would be others
    three = replace(plain, training=training, hosts=("hard",), measure="epoch card")
    return beside(name, {EPOCH_BY_EPOCH: three}, seeds, turn)


def shown(profile: str) -> tuple[str, ...]:
    """The one sweep."""
    return tuple(sweeps(profile))
