"""Chapter *What prevents it* (book/third-plan.md): the third plan's ways, beside the second plan's plain models."""

from ufm.plan import many_marks, second, third


def shown(profile: str) -> tuple[str, ...]:
    """Plain models of each data set, then the ways; plain models with many marks, then private ones."""
    plain = {
        name
        for dataset in third.DATASETS[profile]
        for name, sweep in second.small(profile, dataset).items()
        if second.regime(sweep) == second.PLAIN
    }
    cell = third.MARKED[profile]
    marked = (name for name, sweep in many_marks.sweeps(profile).items() if sweep.setting == cell.setting)
    return (*sorted(plain), *third.beside_plain(profile), next(marked), *third.marked(profile))
