"""Chapter *Method*: one seed of the base protocol, step by step, and one whose five models the contrast compares."""

from ufm.plan import second
from ufm.plan.profiles import PROFILES, changed
from ufm.plan.sweep import Sweep

PLACE = {"embedded": 0, "paper": 0}
ONE_SEED = True  # of each sweep the first seed alone is shown


def sweeps(profile: str) -> dict[str, Sweep]:
    """One seed that keeps every step."""
    return {"method": Sweep(changed(PROFILES[profile], measure="walkthrough", n_random=10), range(1), 1, 0)}


def shown(profile: str) -> tuple[str, ...]:
    """The seed, then the second plan's models on both kinds of host."""
    dataset = PROFILES[profile].dataset
    return (*sweeps(profile), next(iter(second.full(profile, dataset))))
