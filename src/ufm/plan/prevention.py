"""Chapter *What prevents it* (book/third-plan.md): the third plan's ways, beside the second plan's plain models."""

from ufm.plan import second, third


def shown(profile: str) -> tuple[str, ...]:
    """Plain models of each data set, then the ways."""
    plain = {
        name
        for dataset in third.DATASETS[profile]
        for name, sweep in second.small(profile, dataset).items()
        if second.regime(sweep) == second.PLAIN
    }
    return (*sorted(plain), *third.sweeps(profile))
