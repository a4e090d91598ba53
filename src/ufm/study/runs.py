"""One execution of a notebook: it takes the records that match, trains what they lack, and says what it used."""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ufm import features, paths
from ufm.data import sources
from ufm.device import known, resolve
from ufm.files import write
from ufm.measures.layout import CARDS
from ufm.plan import registry
from ufm.plan.sweep import OfSweep, Sweep
from ufm.plan.thresholds import require_seeds
from ufm.progress import BETWEEN, duration, progress, remark
from ufm.protocol import Protocol, hosts
from ufm.records import Measured, Records, committed, csv, executed, joined
from ufm.records.fingerprints import RECIPE
from ufm.records.provenance import device_name, source_digest, training_digest
from ufm.study import manifest, parameters
from ufm.study.notebook_parameters import DEFAULTS


class NotYetRun(RuntimeError):
    """No record matches, and nothing may be trained now."""


@dataclass(frozen=True)
class Population(OfSweep):
    """The complete seeds of a sweep, in the order of their numbers."""

    sweep: Sweep  # as it was asked for
    tables: dict[str, pd.DataFrame]
    arrays: list[Mapping[str, np.ndarray]]  # one a seed, where seeds have any
    entries: list[dict]  # manifest entries, one a seed


class Populations(dict[str, Population]):
    """Populations by sweep. Raises NotYetRun for one of which no seed is recorded."""

    def __missing__(self, name: str) -> Population:
        raise NotYetRun(f"No seed of {name} is recorded yet; `.venv/bin/ufm reproduce {name}` trains them.")


class Run:
    """One execution of a notebook.

    `given`: parameters of the notebook, see `notebook_parameters`, or fields of `Protocol`, `Training` or `Scoring`.
    What is absent is as notebooks have it by default; what is None is the chapter's under the profile, see
    `parameters.shown`. Raises ValueError, naming the parameter, before anything is trained.
    """

    def __init__(self, notebook: str, given: Mapping[str, object]):
        changes: dict[str, Any] = DEFAULTS | dict(given)
        self.notebook, self.profile = notebook, changes.pop("profile")
        self.data_root, self.fresh, self.train = (changes.pop(name) for name in ("data_root", "fresh", "train"))
        device = changes.pop("device")
        self.sweeps: dict[str, Sweep] = parameters.shown(notebook, self.profile, **changes)
        for sweep in self.sweeps.values():
            image = np.zeros(sweep.protocol.image_shape, dtype=np.uint8)
            features.insert(image, sweep.protocol.unique, position=sweep.protocol.position)
            features.require_placebo(sweep.protocol.feature)
            hosts.require_hosts(sweep.protocol, sweep.seeds)
        protocols = [sweep.protocol for sweep in self.sweeps.values()]
        with_cards = any(one.measure in CARDS or one.lot is not None for one in protocols)
        if with_cards and not registry.of_one_seed(notebook):
            require_seeds(max(len(sweep.seeds) for sweep in self.sweeps.values()))
        self.device = resolve(device) if self.train else known(device)
        self.folder = paths.run_folder(notebook)

    def populations(self) -> Populations:
        """The planned seeds by sweep: from the book's records, from earlier executions of this code, or trained now.

        Sweeps that the book can do without are not trained.

        Where nothing may be trained, a sweep of which no seed is recorded is absent; NotYetRun is raised where all are.
        """
        if self.train:
            self.forget()
            self.foresee()
            for name, sweep in self.trained().items():
                self.complete(name, sweep)
        populations = self.recorded()
        if not populations:
            raise NotYetRun(self.pending())
        self.keep_manifest(populations)
        return populations

    def population(self) -> Population:
        """As `populations`, for a chapter that shows one."""
        [population] = self.populations().values()
        return population

    def recorded(self) -> Populations:
        """As `populations`, without training anything or saying what was used."""
        populations = Populations()
        for name, sweep in self.sweeps.items():
            wanted = fingerprints(sweep)
            there: dict[str, tuple[dict, Measured]] = {}
            for store in self.stores(name):
                there |= store.read(seed for seed in wanted if seed not in there)
            finished = [there[seed] for seed in wanted if seed in there]
            if finished:
                populations[name] = Population(
                    sweep,
                    joined(measured.tables for _, measured in finished),
                    [measured.arrays for _, measured in finished if measured.arrays],
                    [entry for entry, _ in finished],
                )
        return populations

    def stores(self, name: str) -> list[Records]:
        """Where a sweep's seeds may be found, the book's records first; new ones go to the last.

        Without training these are the book's records alone. A fresh execution has stores of its own.
        """
        if not self.train:
            return [committed(name)]
        return [self.own(name)] if self.fresh else [committed(name), executed(name)]

    def own(self, name: str) -> Records:
        """What this very execution trains if it is a fresh one."""
        return Records(self.folder / "records" / name / training_digest())

    def trained(self) -> dict[str, Sweep]:
        """The sweeps that a chapter trains where records lack them; what it can do without it only shows."""
        return {name: sweep for name, sweep in self.sweeps.items() if sweep.needed}

    def forget(self) -> None:
        """Let a fresh execution begin anew where the one before was complete; an interrupted one goes on."""
        if self.fresh and not any(lacking(sweep, [self.own(name)]) for name, sweep in self.trained().items()):
            for name in self.trained():
                shutil.rmtree(self.own(name).folder)

    def foresee(self) -> None:
        """Refuse what cannot be trained, and say how long the rest takes if that is long."""
        from ufm.study import forecast
        from ufm.study.seeds import images as images_of

        seconds, n_models, memory = 0.0, 0, 0
        for name, sweep in self.trained().items():
            seeds, protocol = fingerprints(sweep), sweep.protocol
            left = [seeds[one] for one in lacking(sweep, self.stores(name))]
            if left:
                forecast.require(protocol, left, device=self.device, data_root=self.data_root)
                part = left[0] % protocol.n_parts
                data = images_of(protocol, part, self.data_root)
                seconds += forecast.seconds(protocol, left, data, device=self.device)
                n_models += len(left) * protocol.n_models
                memory = max(memory, sum(forecast.needed(protocol, data).values()))
        if seconds > BETWEEN:
            remark(
                f"{self.notebook}: {n_models} models are to be trained, in at most {duration(seconds)} and at least "
                f"{forecast.gigabytes(memory)} of memory, about; scoring comes on top"
            )

    def complete(self, name: str, sweep: Sweep) -> None:
        """Train the planned seeds of a sweep that none of its stores has, into the last of them.

        Processes that do so at the same time share the work: a seed that another one trains is left to it. Pools of
        hosts that no record has are found first, also by a fresh execution: they say where features are stamped,
        no result.
        """
        from ufm.measures import pools  # these import torch, which takes seconds that showing records does without
        from ufm.study.seeds import finish

        stores, seeds, protocol = self.stores(name), fingerprints(sweep), sweep.protocol
        where: dict[str, Any] = {"device": self.device, "data_root": self.data_root}
        while left := lacking(sweep, stores):
            for kind in hosts.pooled(protocol):
                pools.ensure(protocol, sorted({seeds[one] % protocol.n_parts for one in left}), kind=kind, **where)
            for one in progress(left, f"{name}, seeds", show=len(left) > 1):
                with stores[-1].claim(one) as ours:
                    if ours:
                        [finished] = finish(protocol, [seeds[one]], **where)
                        stores[-1].add(one, *finished)
            time.sleep(0.1)  # what is still lacking is another process's to finish

    def pending(self) -> str:
        """What is missing, how it is trained, and how long that takes at most on this machine."""
        planned = sum(len(sweep.seeds) for sweep in self.sweeps.values())
        n_models = sum(len(sweep.seeds) * sweep.protocol.n_models for sweep in self.sweeps.values())
        seconds = sum(self.seconds(sweep) for sweep in self.sweeps.values())
        epochs = " or ".join(str(one) for one in {sweep.protocol.training.epochs for sweep in self.sweeps.values()})
        kept = registry.sweeps()
        if all(fingerprints(sweep).items() <= fingerprints(kept[name]).items() for name, sweep in self.sweeps.items()):
            command = f"`.venv/bin/ufm reproduce {' '.join(self.sweeps)}` trains"
        else:
            command = "The book keeps no records of these settings; an execution with `train = True` trains"
        return (
            f"{planned} planned, none recorded yet. {command} their {n_models} models: {duration(seconds)} on "
            f"{device_name(resolve(self.device))}, scoring not counted, if every model took all {epochs} epochs; "
            "early stopping usually ends sooner."
        )

    def seconds(self, sweep: Sweep) -> float:
        """How long training a sweep takes at most."""
        from ufm.training import estimate

        source, protocol, device = sources.source(sweep.protocol.dataset), sweep.protocol, resolve(self.device)
        one_model = estimate(protocol, protocol.image_shape, protocol.n_train or source.n_train, device=device)
        return len(sweep.seeds) * protocol.n_models * one_model

    def keep_manifest(self, populations: dict[str, Population]) -> None:
        """Say beside the execution's tables what they stand on; the page of the book shows it."""
        entries = [entry for population in populations.values() for entry in population.entries]
        versions = {json.dumps(entry["versions"]): entry["versions"] for entry in entries}
        manifest.Manifest(
            notebook=self.notebook,
            parameters=self.parameters(),
            profile=self.profile,
            dataset="; ".join(dict.fromkeys(images(population.protocol) for population in populations.values())),
            device=" and ".join(dict.fromkeys(entry["device"] for entry in entries)),
            versions=list(versions.values()),
            recipe=RECIPE,
            code=source_digest(),
            models=sorted({model for entry in entries for model in entry["models"]}),
            seeds=len(entries),
            planned=sum(len(sweep.seeds) for sweep in self.sweeps.values()),
            seconds={
                one.protocol.fingerprint(entry["seed"]): entry["seconds"]
                for one in populations.values()
                for entry in one.entries
            },
            date=max(entry["date"] for entry in entries),
            populations={},
        ).keep(self.folder)

    def parameters(self) -> dict[str, object]:
        """What was asked for, with all that the profile adds: every setting on which the numbers depend.

        Settings are those of the first sweep; under each sweep are those in which it differs, None for one it lacks.
        """
        of_sweeps: dict[str, dict[str, object]] = {}
        for name, sweep in self.sweeps.items():
            protocol = asdict(sweep.protocol)
            groups = [protocol.pop(group) for group in ("model", "training", "scoring")]
            of_sweeps[name] = {key: value for group in (protocol, *groups) for key, value in group.items()}
            of_sweeps[name]["model"] = sweep.protocol.model.name
            of_sweeps[name] |= {"n_seeds": len(sweep.seeds), "seed": sweep.seeds.start}
        first = next(iter(of_sweeps.values()))
        return {
            "profile": self.profile,
            **first,
            "sweeps": {
                name: {key: one.get(key) for key in first | one if one.get(key) != first.get(key)}
                for name, one in of_sweeps.items()
            },
            "recipe": RECIPE,
            "device": self.device,
            "fresh": self.fresh,
            "train": self.train,
        }

    def keep_table(self, name: str, table: pd.DataFrame) -> None:
        """Keep a table beside the execution as CSV, with every digit.

        An index called "population" goes into the manifest, so that `ufm compare` knows of which each row is.
        """
        write(self.folder / "tables" / f"{name}.csv", csv(table))
        if table.index.name == "population":
            kept = manifest.read(self.folder)
            kept.populations[name] = table.index.tolist()
            kept.keep(self.folder)


def fingerprints(sweep: Sweep) -> dict[str, int]:
    """The seeds of a sweep by the fingerprint under which each is kept."""
    return {sweep.protocol.fingerprint(seed): seed for seed in sweep.seeds}


def lacking(sweep: Sweep, stores: list[Records]) -> list[str]:
    """Fingerprints of the seeds of a sweep that none of the stores has."""
    there = {one for store in stores for one in store.entries()}
    return [one for one in fingerprints(sweep) if one not in there]


def images(protocol: Protocol) -> str:
    """The data set and how much of it, in words."""
    size = f"{protocol.n_train} training images" if protocol.n_train else "full size"
    return f"{sources.source(protocol.dataset).title}, {size}"
