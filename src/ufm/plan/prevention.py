"""Chapter *What prevents it* (book/third-plan.md): the third plan's ways, beside the second plan's plain models."""

from ufm.plan import many_marks, second, third


def shown(profile: str) -> tuple[str, ...]:
    """Plain models and ways of each data set, seeds on the same hosts, plain and private models with many marks."""
    plain = [
        name
        for dataset in third.DATASETS[profile]
        for name, sweep in second.small(profile, dataset).items()
        if second.regime(sweep) == second.PLAIN
    ]
    cell = third.MARKED[profile]
    marked = (name for name, sweep in many_marks.sweeps(profile).items() if sweep.setting == cell.setting)
    same_hosts = next(iter(second.crossed(profile)))
    return (*plain, *third.beside_plain(profile), same_hosts, next(marked), *third.marked(profile))
