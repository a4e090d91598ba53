"""Chapter *First plan*: all on which its verdict on a claim stands."""

from ufm.plan import registry


def shown(profile: str) -> tuple[str, ...]:
    """Each sweep once, where the first claim that it decides has it."""
    deciding = registry.deciding()
    return tuple(dict.fromkeys(name for claim in deciding for name in deciding[claim](profile)))
