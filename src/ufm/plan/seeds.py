"""Chapter *Seeds*: every seed on the same hosts, under two roundings, and the first plan's."""

from ufm.plan import same_hosts, second


def shown(profile: str) -> tuple[str, ...]:
    """The second plan's, then the population and its seeds on the same hosts."""
    return (*second.crossed(profile), *same_hosts.beside_population(profile))
