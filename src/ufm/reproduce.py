"""What the book's records lack, the most valuable first, trained in slices of time."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ufm import paths, sources
from ufm.fingerprints import digest
from ufm.profiles import Sweep, sweeps
from ufm.provenance import device_name
from ufm.records import Measured, Records
from ufm.seeds import finish
from ufm.training import estimate

TYPICAL_EPOCHS = 40  # of a model, where no record tells
SEEDS_ON_GPU = 20  # trained together there
COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


@dataclass(frozen=True)
class Item:
    """A seed that is not recorded yet."""

    sweep: str
    seed: int
    needed: bool  # whether the book cannot do without it


def store(sweep: str) -> Records:
    """The records of a sweep that are kept with the book."""
    return Records(paths.committed_records() / sweep)


def pending(names: list[str] | None = None) -> list[Item]:
    """The seeds that the records of these sweeps (or of all) lack, the most valuable first.

    Raises ValueError for an unknown sweep.
    """
    known = sweeps()
    for name in names or []:
        if name not in known:
            raise ValueError(f"chapter: {name!r} is not one of {', '.join(known)}")
    items = []
    for name in names or known:
        sweep, there = known[name], store(name).entries()
        for place, seed in enumerate(sweep.seeds):
            if sweep.protocol.fingerprint(seed) not in there:
                item = Item(name, seed, place < sweep.needed)
                items.append(((not item.needed, sweep.turn, place), item))
    return [item for _, item in sorted(items, key=lambda pair: pair[0])]


def seconds_a_seed(name: str, sweep: Sweep, device: str) -> float:
    """How long a seed takes on this device: as long as recorded ones did, else by a few measured steps."""
    entries = store(name).entries()
    ours = sorted(entry["seconds"] for entry in entries.values() if entry["device"] == device_name(device))
    if ours:
        return ours[len(ours) // 2]
    protocol, source = sweep.protocol, sources.source(sweep.protocol.dataset)
    epochs = TYPICAL_EPOCHS
    if entries:
        epochs = float(store(name).tables(list(entries))["models"]["epochs"].mean())
    n_images = protocol.n_train or source.n_train
    at_most = estimate(protocol, source.shape, n_images, device=device) * protocol.n_models
    return at_most * epochs / protocol.training.epochs


@dataclass(frozen=True)
class Task:
    """Seeds of one sweep that train on the same part, to be trained together."""

    sweep: str
    seeds: list[int]

    def work(self, device: str, weights: Path | None = None) -> list[tuple[dict, Measured]]:
        """Train and measure them."""
        protocol = sweeps()[self.sweep].protocol
        folder = None if weights is None else weights / self.sweep
        return finish(protocol, self.seeds, device=device, weights=folder)


def tasks(items: list[Item], device: str) -> list[Task]:
    """The items as tasks, in the order of their value; on a GPU as many seeds together as make it worth while."""
    if not device.startswith("cuda"):
        return [Task(item.sweep, [item.seed]) for item in items]
    groups: dict[tuple, list[int]] = {}
    for item in items:
        protocol = sweeps()[item.sweep].protocol
        n_parts = sources.source(protocol.dataset).n_train // (
            protocol.n_train or sources.source(protocol.dataset).n_train
        )
        groups.setdefault((item.needed, item.sweep, item.seed % n_parts), []).append(item.seed)
    return [
        Task(sweep, seeds[start : start + SEEDS_ON_GPU])
        for (_, sweep, _), seeds in groups.items()
        for start in range(0, len(seeds), SEEDS_ON_GPU)
    ]


# Takes tasks, lazily, and gives each back with its seeds' manifest entries and what is kept of them.
Engine = Callable[[Iterable[Task], str, Path | None], Iterator[tuple[Task, list[tuple[dict, Measured]]]]]


def in_process(planned: Iterable[Task], device: str, weights: Path | None) -> Iterator[tuple]:
    """Work on one task after the other, here."""
    for task in planned:
        yield task, task.work(device, weights)


def complete(
    names: list[str] | None = None,
    *,
    device: str,
    budget: float = math.inf,
    run: Engine = in_process,
    weights: Path | None = None,
) -> dict[str, list[str]]:
    """Train what the records of these sweeps (or of all) lack, until nothing is pending or the budget is used up.

    Args:
        names: of sweeps.
        device: where to train, such as "cpu" or "cuda".
        budget: seconds; nothing is begun that would probably not end within them.
        run: what works on the tasks, see `Engine`.
        weights: a folder in which the models' weights are kept too.

    Returns:
        The fingerprints of the seeds that were finished, by sweep.
    """
    started, costs, finished = time.monotonic(), {}, {}
    planned = tasks(pending(names), device)
    with Progress(*COLUMNS, console=Console(stderr=True)) as bar, ExitStack() as claims:
        shown = bar.add_task("seeds", total=sum(len(task.seeds) for task in planned))

        def affordable() -> Iterator[Task]:
            for task in planned:
                sweep = sweeps()[task.sweep]
                if task.sweep not in costs and budget < math.inf:
                    costs[task.sweep] = seconds_a_seed(task.sweep, sweep, device)
                left = budget - (time.monotonic() - started)
                fitting = task.seeds if budget == math.inf else task.seeds[: max(0, int(left / costs[task.sweep]))]
                ours = [
                    seed
                    for seed in fitting
                    if claims.enter_context(store(task.sweep).claim(sweep.protocol.fingerprint(seed)))
                ]
                if ours:
                    bar.update(shown, description=f"{task.sweep}, seed {ours[0]}")
                    yield Task(task.sweep, ours)
                bar.advance(shown, len(task.seeds) - len(ours))

        for task, results in run(affordable(), device, weights):
            for entry, measured in results:
                fingerprint = digest(entry["identity"])
                store(task.sweep).add(fingerprint, entry, measured)
                finished.setdefault(task.sweep, []).append(fingerprint)
            bar.advance(shown, len(task.seeds))
    return finished
