"""Chapter *Method*: one seed of the base protocol, step by step."""

from ufm.plan.profiles import PROFILES, changed
from ufm.plan.sweep import Sweep

PLACE = {"embedded": 0, "paper": 0}


def sweeps(profile: str) -> dict[str, Sweep]:
    """One seed that keeps every step."""
    return {"method": Sweep(changed(PROFILES[profile], measure="walkthrough", n_random=10), range(1), 1, 0)}


def shown(profile: str) -> tuple[str, ...]:
    """The seed."""
    return tuple(sweeps(profile))
