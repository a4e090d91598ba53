"""Chapter *Verdicts*: all on which the second plan's verdicts stand."""

from ufm.plan import influence, second


def shown(profile: str) -> tuple[str, ...]:
    """The second plan's sweeps, then those of the first plan on which C4 still stands."""
    return (*second.sweeps(profile), *influence.shown(profile))
