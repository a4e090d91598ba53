"""The cards of a population, stacked.

Arrays have the seeds first, then the models of a seed in the order of its card: the control, then on each kind of host
one of every stamped role. Their axes have no names: with xarray, contrasts come out equal and no shorter to read, take
two to three times as long, and every chapter waits 0.4 s for the import.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ufm.measures.layout import CARDS, KEYLESS, N_PERMUTATIONS, N_RANDOM
from ufm.plan.sweep import OfSweep, Sweep
from ufm.plan.thresholds import THRESHOLDS, require_seeds
from ufm.study.runs import NotYetRun, Population

T = TypeVar("T")


class Lazy(Mapping[str, np.ndarray]):
    """Arrays by name, each made when it is first asked for: a chapter looks at a few of those that cards hold."""

    def __init__(self, names: Iterable[str], make: Callable[[str], np.ndarray]):
        self.make, self.made = make, dict.fromkeys(names)

    def __getitem__(self, name: str) -> np.ndarray:
        """The array of this name."""
        array = self.made[name]
        if array is None:
            array = self.made[name] = self.make(name)
        return array

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self.made)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.made)


@dataclass(frozen=True, eq=False)
class Cards(OfSweep):
    """The cards of a population, stacked."""

    sweep: Sweep
    seeds: np.ndarray  # (n_seeds,)
    labels: np.ndarray  # (n_seeds, n_hosts): the label of the seed's host of each kind
    indices: np.ndarray  # (n_seeds, n_hosts): its number in the full training file
    fits: np.ndarray  # (n_seeds, n_models, epoch, n_hosts, version): log-probability of those labels on those hosts
    arrays: Mapping[str, np.ndarray]  # what else a card holds of its models, (n_seeds, n_models, …)
    planned: Sequence[Mapping[str, np.ndarray]]  # a seed: hosts of all seeds of its part, and how they are fitted
    models: pd.DataFrame  # a row a model: accuracy, best epoch and more
    n_permutations: int = N_PERMUTATIONS  # how many permutations are used; fewer show what fewer would do
    histories: list[np.ndarray] = field(default_factory=list)  # a seed with a short card: (n_models, n_epochs, 3)

    @property
    def complete(self) -> bool:
        """Whether all the seeds are there that the plan asks for."""
        return len(self.seeds) >= self.needed

    @property
    def n_classes(self) -> int:
        """Classes of the models."""
        return self.arrays["ood_shift"].shape[-1]

    @property
    def permutations(self) -> slice:
        """Places of the permutations of the letter's pixels in the list of features."""
        first = 1 + len(self.protocol.hosts)
        return slice(first, first + self.n_permutations)

    @property
    def random_features(self) -> slice:
        """Places of the random features."""
        first = self.permutations.start + N_PERMUTATIONS
        return slice(first, first + N_RANDOM)

    def model(self, role: str, host: str = "") -> int:
        """Place of a model among those of a seed; a control has no host."""
        if role == "control":
            if not self.protocol.control:
                raise ValueError(f"{self.title}: its seeds have no control")
            return 0
        roles = self.protocol.roles
        return self.protocol.control + self.protocol.hosts.index(host) * len(roles) + roles.index(role)

    def placebo(self, host: str) -> int:
        """Place of a kind of host's placebo feature in the list of features; the letter's is 0."""
        return 1 + self.protocol.hosts.index(host)

    def label(self, host: str) -> np.ndarray:
        """Labels (n_seeds,) of the hosts of a kind."""
        return self.labels[:, self.protocol.hosts.index(host)]


def without_key(cards: Cards) -> Cards:
    """The same models, of a keyless card, as those see them who encode images by a key of their own."""
    names = [name.removeprefix(KEYLESS) for name in cards.arrays if name.startswith(KEYLESS)]
    return replace(cards, arrays=Lazy(names, lambda name: cards.arrays[f"{KEYLESS}{name}"]))


def stack(population: Population) -> Cards:
    """The cards of a population's seeds. Raises ValueError: it has none, or no seeds."""
    protocol, entries, arrays = population.protocol, population.entries, population.arrays
    if protocol.measure not in CARDS or not arrays:
        raise ValueError("evidence needs the cards of at least one seed")
    shared = [name for name in arrays[0] if name.startswith("host_")]
    single = {*shared, "placebo", "score_n_images", "history"}  # of the seed, or as long as its longest training
    planned = [Lazy(shared, card.__getitem__) for card in arrays]
    n_hosts, own = len(protocol.hosts), []
    for entry, card in zip(entries, planned, strict=True):
        rows = np.flatnonzero(card["host_seed"] == entry["seed"])
        own.append((card, rows[np.argsort(card["host_kind"][rows])][:n_hosts]))
    return Cards(
        population.sweep,
        seeds=np.array([entry["seed"] for entry in entries]),
        labels=np.stack([card["host_label"][rows] for card, rows in own]).astype(int),
        indices=np.stack([card["host_index"][rows] for card, rows in own]).astype(int),
        fits=np.stack([card["host_log_probability"][:, :, rows] for card, rows in own]).astype(float),
        arrays=Lazy([name for name in arrays[0] if name not in single], lambda name: stacked(name, arrays)),
        planned=planned,
        models=population.tables["models"],
        n_permutations=CARDS[protocol.measure].n_permutations,
        histories=[card["history"] for card in arrays if "history" in card],
    )


def of(populations: Mapping[str, Population], *, beside: bool = False) -> dict[str, Cards]:
    """The cards of each population of an execution, by the same name; those of too few seeds are left out.

    Raises ValueError where too few were asked for, NotYetRun where too few are recorded: of all, or with `beside` of
    all that something sets apart.
    """
    fewest = THRESHOLDS.fewest_seeds
    enough = {name: population for name, population in populations.items() if len(population.entries) >= fewest}
    if not any(population.setting or not beside for population in enough.values()):
        if populations:
            require_seeds(max(len(population.sweep.seeds) for population in populations.values()))
        raise NotYetRun(f"Fewer than {fewest} seeds are recorded yet; `.venv/bin/ufm reproduce` trains them.")
    return {name: stack(population) for name, population in enough.items()}


def planned_as(cards: Cards, **changes: Any) -> Cards:
    """The cards as those of a sweep of which something else is said, fields of `Sweep`."""
    return replace(cards, sweep=replace(cards.sweep, **changes))


Kept = TypeVar("Kept", Cards, Population, Sweep)  # a population, or the sweep that it carries out


def plain(populations: Mapping[str, Kept]) -> dict[str, Kept]:
    """The populations, or their sweeps, that nothing sets apart: those that decide C1 and C2."""
    return {name: cards for name, cards in populations.items() if not cards.setting}


def apart(populations: Mapping[str, Cards]) -> dict[str, Cards]:
    """The others."""
    return {name: cards for name, cards in populations.items() if cards.setting}


def beside(populations: Mapping[str, Cards]) -> dict[str, Cards]:
    """Those that something sets apart, and before them the populations of the same images, on the same seeds."""
    side_by_side = {}
    for other in apart(populations).values():
        for cards in (*plain(populations).values(), other):
            if cards.trained_on == other.trained_on:
                side_by_side[cards.title] = planned_as(on_seeds(cards, other.seeds), needed=0)
    return side_by_side


def each(function: Callable[..., T], populations: Mapping[str, Cards], *arguments: object) -> dict[str, T]:
    """What a function says of each population's cards, by the population's title."""
    return {cards.title: function(cards, *arguments) for cards in populations.values()}


def on_seeds(cards: Cards, seeds: Collection[int]) -> Cards:
    """The cards of these seeds alone, of those that are there."""
    kept = np.isin(cards.seeds, list(seeds))
    return replace(
        cards,
        seeds=cards.seeds[kept],
        labels=cards.labels[kept],
        indices=cards.indices[kept],
        fits=cards.fits[kept],
        arrays=Lazy(cards.arrays, lambda name: cards.arrays[name][kept]),
        planned=[plan for plan, is_kept in zip(cards.planned, kept, strict=True) if is_kept],
        models=cards.models[cards.models["seed"].isin(cards.seeds[kept])],
        histories=[history for history, is_kept in zip(cards.histories, kept, strict=False) if is_kept],
    )


def stacked(name: str, arrays: list[Mapping[str, np.ndarray]]) -> np.ndarray:
    """An array of all seeds; float16, which is how a card keeps shifts, as float64."""
    values = np.stack([card[name] for card in arrays])
    return values.astype(np.float64) if values.dtype == np.float16 else values


def seeds_shown(populations: Mapping[str, Cards]) -> str:
    """How many seeds each population has, in words; of those that lack some how many they need."""
    return "; ".join(
        f"{cards.title}: {len(cards.seeds)}" + ("" if cards.complete else f" of {cards.needed} needed")
        for cards in populations.values()
    )
