"""Chapter *As released*: the released notebook's hosts in the released setting, and with one deviation at a time."""

from dataclasses import replace

from ufm.plan.profiles import PROFILES, changed
from ufm.plan.sweep import Sweep, sweep_name

PLACE = {"embedded": 1, "paper": 1}
# Hosts of the released notebook on MNIST, all of them with the seed that the released code has for every model.
RELEASED = ("52734", "15725", "54370", "17730", "28030", "15377", "7763", "46203", "58937", "23766")
RELEASED_SEEDS = range(123, 124)
AS_RELEASED = "as released"
# What the released code or its notebooks do otherwise than this book, or the book than they, and what each changes.
ON_ONE_HALF = "early stopping on one half"  # not under the embedded profile, where no model stops early
BLACK_SQUARE = "black square"
DEVIATIONS: dict[str, dict[str, object]] = {
    ON_ONE_HALF: {"early_stopping": "half"},
    "host in the first batch": {"batch": 0},
    "host in the first batch, twice": {"batch": 0, "twice": True},
    BLACK_SQUARE: {"brightness": 0.0},
}


def sweeps(profile: str) -> dict[str, Sweep]:
    """The canaries of one seed in the released setting, and with each deviation from it that the profile has."""
    base = PROFILES[profile]
    if profile == "embedded":
        released = replace(base, hosts=("150", "450", "750", "1050"))
    else:
        released = changed(base, early_stopping="released", hosts=RELEASED)
    planned = {"as-released": Sweep(released, RELEASED_SEEDS, 1, 0, AS_RELEASED, "place")}
    for setting, changes in DEVIATIONS.items():
        if profile == "paper" or setting != ON_ONE_HALF:
            protocol = changed(released, **changes)
            planned[sweep_name("as-released", setting)] = Sweep(protocol, RELEASED_SEEDS, 1, 2, setting, "place")
    return planned


def shown(profile: str) -> tuple[str, ...]:
    """The released setting, then the deviations."""
    return tuple(sweeps(profile))
