"""Chapter *Robustness*: all rows of which the second plan asks its questions."""

from ufm.plan import second


def shown(profile: str) -> tuple[str, ...]:
    """The sweeps of those rows."""
    planned = second.sweeps(profile)
    rows = (row for rows in second.families(planned).values() for row in rows)
    return tuple(dict.fromkeys(name for row in rows for name in row.sweeps))
