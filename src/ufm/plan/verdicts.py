"""Chapter *Verdicts*: all on which the verdict on a claim stands."""

from ufm.plan import cnns, influence, medical, populations, regularisers, seeds


def shown(profile: str) -> tuple[str, ...]:
    """Each sweep once, where the first claim that it decides has it."""
    deciding = (
        populations.names(profile),
        cnns.networks(profile),
        regularisers.shown(profile),
        influence.shown(profile),
        seeds.shown(profile),
        medical.shown(profile),
    )
    return tuple(dict.fromkeys(name for names in deciding for name in names))
