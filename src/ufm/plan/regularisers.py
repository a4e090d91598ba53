"""Chapter *Preventing overfitting*: the usual ways, models without them, and models trained to the end."""

from ufm.plan import second, ways
from ufm.plan.ways import TO_THE_END


def shown(profile: str) -> tuple[str, ...]:
    """The regimes of the second plan on which C3 stands, then the first plan's."""
    regimes = (*second.WAYS.values(), TO_THE_END)
    ours = (
        name
        for dataset in second.WEIGHT_DECAYS[profile]
        for name, sweep in second.small(profile, dataset).items()
        if second.regime(sweep) in regimes
    )
    return (*ours, *ways.beside_populations(profile))
