"""Chapter *What do other systems do to a unique feature* (book/fourth-plan.md): plain models, and the fourth plan's."""

from ufm.plan import attacked, fourth, gradients, second

BESIDE = (gradients.RECORDS,)


def shown(profile: str) -> tuple[str, ...]:
    """Plain models of each data set, then the ways of the systems, and private models that are attacked."""
    plain = {
        name
        for dataset in fourth.DATASETS[profile]
        for name, sweep in second.small(profile, dataset).items()
        if second.regime(sweep) == second.PLAIN
    }
    return (*sorted(plain), *fourth.sweeps(profile), *attacked.beside(profile))
