"""Chapter *What do other systems do to a unique feature* (book/fourth-plan.md): plain models, and the fourth plan's."""

from ufm.plan import fourth, gradients, second

BESIDE = (gradients.RECORDS,)


def shown(profile: str) -> tuple[str, ...]:
    """Plain models of each data set, then the ways of the systems."""
    plain = {
        name
        for dataset in fourth.DATASETS[profile]
        for name, sweep in second.small(profile, dataset).items()
        if second.regime(sweep) == second.PLAIN
    }
    return (*sorted(plain), *fourth.sweeps(profile))
