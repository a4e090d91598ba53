"""Populations of plain models, five a seed, on which several chapters stand."""

from dataclasses import replace

from ufm.plan.profiles import PROFILES
from ufm.plan.sweep import Sweep
from ufm.protocol import Protocol, Scoring

PLACE = {"embedded": 2, "paper": 2}
NAME = "J. DOE"  # what is stamped on X-rays beside a letter
EVIDENCE = range(1000, 1100)  # seeds of the populations that decide a claim, see the plan


def population(dataset: str, n_train: int | None = None) -> Protocol:
    """Five models a seed, with cards: the control, and canary and placebo on a random and on a hard host."""
    # Twice as many images move no shift by a tenth of its spread (benchmarks/card_images.py).
    return five_models(Protocol(dataset, n_train, scoring=Scoring(n_effect=500)))


def five_models(protocol: Protocol) -> Protocol:
    """The same with five models a seed, with cards."""
    return replace(protocol, hosts=("random", "hard"), roles=("canary", "placebo"), measure="card")


def sweeps(profile: str) -> dict[str, Sweep]:
    """The populations of a profile."""
    if profile == "embedded":
        small = five_models(replace(PROFILES["embedded"], n_train=600, planned=(0, 12)))
        return {"digits-small": Sweep(small, range(12), 12, 0)}
    return {
        "mnist-small": Sweep(population("mnist", 10_000), range(1000, 1200), 200, 1),
        "fashion_mnist-small": Sweep(population("fashion_mnist", 10_000), EVIDENCE, 100, 1),
        "mnist-full": Sweep(population("mnist"), EVIDENCE, 40, 1),
        "fashion_mnist-full": Sweep(population("fashion_mnist"), EVIDENCE, 20, 1),
    }


def names(profile: str) -> tuple[str, ...]:
    """What a chapter shows that shows the populations."""
    return tuple(sweeps(profile))


def plain(profile: str, name: str) -> Protocol:
    """The protocol of a population, beside which other sweeps change one thing."""
    return sweeps(profile)[name].protocol
