"""Chapter *Other measures* (book/other-measures-plan.md): the first plan's small populations, whose cards are full."""

from ufm.plan import populations


def shown(profile: str) -> tuple[str, ...]:
    """Those of which seeds of one part are hosts and out-models of one another."""
    return tuple(name for name in populations.names(profile) if name.endswith("-small"))
