"""What the book's records lack, the most valuable first, trained in slices of time."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Protocol, TypeVar

from ufm.data import sources
from ufm.networks import Published
from ufm.plan import registry
from ufm.progress import progress
from ufm.records import Measured, committed
from ufm.records.fingerprints import digest
from ufm.records.provenance import device_name
from ufm.study.forecast import require
from ufm.study.seeds import finish
from ufm.training import estimate

TYPICAL_EPOCHS = 40  # of a model, where no record tells
SEEDS_ON_GPU = 20  # trained together there


T = TypeVar("T")
Finished = list[tuple[dict, Measured]]  # seeds' manifest entries and what is kept of them


@dataclass(frozen=True)
class Item:
    """A seed that is not recorded yet."""

    sweep: str
    seed: int
    needed: bool  # whether the book cannot do without it


def pending(names: list[str] | None = None) -> list[Item]:
    """The seeds that the records of these sweeps (or of all) lack, the most valuable first.

    Raises ValueError for an unknown sweep.
    """
    known = registry.sweeps()
    for name in names or []:
        if name not in known:
            raise ValueError(f"chapter: {name!r} is not one of {', '.join(known)}")
    items = []
    for name in names or known:
        sweep, there = known[name], committed(name).entries()
        for place, seed in enumerate(sweep.seeds):
            if sweep.protocol.fingerprint(seed) not in there:
                item = Item(name, seed, place < sweep.needed)
                items.append(((not item.needed, sweep.turn, place), item))
    return [item for _, item in sorted(items, key=lambda pair: pair[0])]


def seconds_a_seed(name: str, device: str, engine: "Engine") -> float:
    """How long a seed of a sweep takes on this device: as recorded ones did, else told from a few measured steps."""
    sweep, entries = registry.sweeps()[name], committed(name).entries()
    there = processor(engine.call(device_name, device))
    ours = [entry["seconds"] for entry in entries.values() if processor(entry["device"]) == there]
    if ours:
        return max(median(ours), 0.1)  # to which seconds are recorded
    protocol, source = sweep.protocol, sources.source(sweep.protocol.dataset)
    epochs = float(committed(name).tables(list(entries))["models"]["epochs"].mean()) if entries else TYPICAL_EPOCHS
    n_images = protocol.n_train or source.n_train
    at_most = engine.call(estimate, protocol, protocol.image_shape, n_images, device) * protocol.n_models
    return at_most * min(1, epochs / protocol.training.epochs)


def processor(device: str) -> str:
    """The name of a device without its number of threads, which matters less than how busy the machine is."""
    return device.split(",")[0]


@dataclass(frozen=True)
class Task:
    """Seeds of one sweep that train on the same part, to be trained together."""

    sweep: str
    seeds: list[int]

    def work(self, device: str, weights: Path | None = None) -> Finished:
        """Train and measure them."""
        protocol = registry.sweeps()[self.sweep].protocol
        folder = None if weights is None else weights / self.sweep
        return finish(protocol, self.seeds, device=device, weights=folder)


def tasks(items: list[Item], device: str) -> list[Task]:
    """The items as tasks, in the order of their value; on a GPU as many seeds together as make it worth while.

    Networks as published go through their layers one after the other even in a stack, so their seeds are not grouped.
    """
    if not device.startswith("cuda"):
        return [Task(item.sweep, [item.seed]) for item in items]
    known = registry.sweeps()
    groups: dict[tuple[bool, str, int], list[int]] = {}
    for item in items:
        protocol = known[item.sweep].protocol
        apart = item.seed if isinstance(protocol.model, Published) else item.seed % protocol.n_parts
        groups.setdefault((item.needed, item.sweep, apart), []).append(item.seed)
    return [
        Task(sweep, seeds[start : start + SEEDS_ON_GPU])
        for (_, sweep, _), seeds in groups.items()
        for start in range(0, len(seeds), SEEDS_ON_GPU)
    ]


class Engine(Protocol):
    """What works on tasks."""

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """The function's value where the work is done."""

    def run(self, planned: Iterable[Task], device: str, weights: Path | None) -> Iterator[tuple[Task, Finished]]:
        """Work on the tasks, which are taken lazily; each is given back as it is done."""


class InProcess:
    """An `Engine` that works on one task after the other, here; `ufm.study.cluster.Cluster` is another."""

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """The function's value where the work is done."""
        return function(*arguments)

    def run(self, planned: Iterable[Task], device: str, weights: Path | None) -> Iterator[tuple[Task, Finished]]:
        """Work on the tasks, which are taken lazily; each is given back as it is done."""
        for task in planned:
            yield task, task.work(device, weights)


def complete(
    names: list[str] | None = None,
    *,
    device: str = "cpu",
    budget: float = math.inf,
    engine: Engine | None = None,
    weights: Path | None = None,
    after: Callable[[dict[str, list[str]]], None] = lambda finished: None,
) -> dict[str, list[str]]:
    """Train what the records of these sweeps (or of all) lack, until nothing is pending or the budget is used up.

    Processes that do so at the same time share the work: a seed that another one trains is left to it.

    Args:
        names: of sweeps.
        device: where to train, such as "cpu" or "cuda".
        budget: seconds; nothing is begun that would probably not end within them.
        engine: what works on the tasks; this process where there is none.
        weights: a folder in which the models' weights are kept too.
        after: called with what is returned so far each time that seeds are finished.

    Returns:
        The fingerprints of the seeds that were finished, by sweep.
    """
    engine, started = engine or InProcess(), time.monotonic()
    planned = tasks(pending(names), device)
    finished: dict[str, list[str]] = {}
    costs: dict[str, float] = {}  # seconds of a seed, by sweep
    held: dict[tuple[str, int], ExitStack] = {}  # claims, by sweep and first seed
    for name in dict.fromkeys(task.sweep for task in planned):
        committed(name).prepare()  # where that fails, nothing is trained in vain
        first = next(task.seeds[:1] for task in planned if task.sweep == name)
        engine.call(partial(require, device=device), registry.sweeps()[name].protocol, first)
    with progress(None, "seeds", total=sum(len(task.seeds) for task in planned)) as bar, ExitStack() as claims:

        def affordable(task: Task) -> list[int]:
            if budget == math.inf:
                return task.seeds
            if task.sweep not in costs:
                costs[task.sweep] = seconds_a_seed(task.sweep, device, engine)
            left = budget - (time.monotonic() - started)
            return task.seeds[: max(0, int(left / costs[task.sweep]))]

        def claimed() -> Iterator[Task]:
            for task in planned:
                protocol, records = registry.sweeps()[task.sweep].protocol, committed(task.sweep)
                mine = claims.enter_context(ExitStack())
                ours = [
                    seed for seed in affordable(task) if mine.enter_context(records.claim(protocol.fingerprint(seed)))
                ]
                bar.update(len(task.seeds) - len(ours))
                if not ours:
                    mine.close()
                    continue
                bar.set_description(f"{task.sweep}, seed {ours[0]}")
                held[task.sweep, ours[0]] = mine
                yield Task(task.sweep, ours)

        for task, results in engine.run(claimed(), device, weights):
            for entry, measured in results:
                fingerprint = digest(entry["identity"])
                committed(task.sweep).add(fingerprint, entry, measured)
                finished.setdefault(task.sweep, []).append(fingerprint)
            held.pop((task.sweep, task.seeds[0])).close()
            after(finished)
            bar.update(len(task.seeds))
    return finished


def listing(names: list[str] | None, device: str) -> list[dict[str, object]]:
    """A row per sweep that lacks something: how many seeds are recorded, needed and planned, and how long they take."""
    rows, items = [], pending(names)
    for name in dict.fromkeys(item.sweep for item in items):
        ours = [item for item in items if item.sweep == name]
        cost, sweep = seconds_a_seed(name, device, InProcess()), registry.sweeps()[name]
        rows.append(
            {
                "sweep": name,
                "recorded": len(sweep.seeds) - len(ours),
                "planned": len(sweep.seeds),
                "needed": sum(item.needed for item in ours),
                "models": len(ours) * sweep.protocol.n_models,
                "seconds_a_seed": cost,
                "seconds": cost * len(ours),
            }
        )
    return rows
