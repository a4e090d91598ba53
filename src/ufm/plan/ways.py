"""The first plan's ways to prevent overfitting, beside plain models of the same seeds."""

from dataclasses import replace

from ufm.plan import populations
from ufm.plan.populations import EVIDENCE
from ufm.plan.sweep import Sweep, beside
from ufm.protocol import Protocol

PLACE = {"embedded": 5, "paper": 4}
# Ways to prevent overfitting, in words, and what each changes of a plain model.
LAYERS = {
    "batch norm": {"batch_norm": True},
    "dropout": {"dropout": True},
    "augmentation": {"augmentation": True},
    "dropout + augmentation": {"dropout": True, "augmentation": True},
}
WEIGHT_DECAY = {"digits": 0.1, "mnist": 3.0, "fashion_mnist": 3.0}  # of the last two by benchmarks/weight_decay.py
TO_THE_END = "to the end"  # plain models whose training is not stopped early
WAYS = (*LAYERS, "weight decay")
# The populations beside which they are, seeds and turn.
PLANNED = {
    "embedded": (("digits-small",), range(8), 0),
    "paper": (("mnist-small", "fashion_mnist-small"), EVIDENCE[:40], 3),
}


def sweeps(profile: str) -> dict[str, Sweep]:
    """The ways beside each population."""
    names, _, _ = PLANNED[profile]
    return {name: sweep for population in names for name, sweep in ways(profile, population).items()}


def beside_populations(profile: str) -> tuple[str, ...]:
    """Each population, then the ways beside it."""
    names, _, _ = PLANNED[profile]
    return tuple(name for population in names for name in (population, *ways(profile, population)))


DECIDING = {"C3": beside_populations}  # by claim, the sweeps on which it stands


def ways(profile: str, population: str) -> dict[str, Sweep]:
    """The ways to prevent overfitting beside a population: three models a seed, hard hosts alone."""
    _, seeds, turn = PLANNED[profile]
    return beside(population, regularised(populations.plain(profile, population)), seeds, turn)


def regularised(plain: Protocol) -> dict[str, Protocol]:
    """A protocol with each way, and trained to the end where it is not anyway, in words."""
    three = replace(plain, hosts=("hard",), measure="short card")
    protocols = {way: replace(three, model=replace(plain.model, **flags)) for way, flags in LAYERS.items()}
    protocols["weight decay"] = replace(
        three, training=replace(plain.training, weight_decay=WEIGHT_DECAY[plain.dataset])
    )
    if plain.training.early_stopping != "none":
        protocols[TO_THE_END] = replace(three, training=replace(plain.training, early_stopping="none"))
    return protocols
