"""Chapter *Detection*: what can be told under each regime, of this plan and the first."""

from ufm.plan import populations, second, ways

DECIDING = {"C2": populations.names}  # by claim of the first plan, the sweeps on which it stands


def shown(profile: str) -> tuple[str, ...]:
    """Each regime of the small size, plain models of the full one, then the first plan's populations and ways."""
    small = (name for dataset in second.WEIGHT_DECAYS[profile] for name in second.small(profile, dataset))
    full = (name for dataset in second.FULL[profile] for name in second.full(profile, dataset))
    return (*small, *full, *populations.names(profile), *ways.sweeps(profile))
