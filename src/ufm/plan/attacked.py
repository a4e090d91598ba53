"""Plain models beside the third plan's private ones, all with robust cards (book/fourth-plan.md)."""

from dataclasses import replace

from ufm.plan import fourth, second, third
from ufm.plan.sweep import Sweep, sweep_name

PLACE = {"embedded": 16, "paper": 16}
PLAIN = "plain, attacked"
WAYS = tuple(way for way, training in third.ways().items() if training.private)  # beside which they stand


def sweeps(profile: str) -> dict[str, Sweep]:
    """Plain models of the seeds of private ones, trained once more, for the second plan's are not kept."""
    setting, seeds = f"{fourth.TITLE}, {PLAIN}", third.PRIVATE_SEEDS[profile]
    return {
        sweep_name(f"{dataset}-small", setting): Sweep(
            replace(second.compact_population(profile, dataset), measure="robust card"), seeds, len(seeds), 28, setting
        )
        for dataset in third.ATTACKED[profile]
    }


def beside(profile: str) -> tuple[str, ...]:
    """Names of their sweeps and those of the private models."""
    private = (name for name, one in third.beside_plain(profile).items() if one.protocol.measure == "robust card")
    return (*sweeps(profile), *private)
