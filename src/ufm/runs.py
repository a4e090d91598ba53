"""One execution of a notebook: it takes the records that match, trains what they lack, and says what it used."""

import json
import shutil
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from string import ascii_uppercase

import numpy as np
import pandas as pd

from ufm import paths, profiles, sources
from ufm.device import resolve
from ufm.experiments import Protocol
from ufm.files import write
from ufm.fingerprints import RECIPE
from ufm.progress import duration, progress
from ufm.provenance import device_name, source_digest
from ufm.records import Records, csv
from ufm.seeds import finish
from ufm.training import estimate


class NotYetRun(RuntimeError):
    """No record matches, and nothing may be trained now."""


@dataclass(frozen=True)
class Population:
    """The complete seeds of one protocol, in the order of their numbers."""

    tables: dict[str, pd.DataFrame]
    arrays: list[dict[str, np.ndarray]]  # one a seed
    entries: list[dict]  # manifest entries, one a seed
    planned: int  # seeds asked for


class Run:
    """One execution of a notebook.

    Parameters that are None are the profile's; `changes` are fields of `Protocol` or `Scoring`. Raises ValueError,
    naming the parameter, before anything is trained.
    """

    def __init__(
        self,
        notebook: str,
        *,
        profile: str,
        n_canaries: int | None = None,
        seed: int = 0,
        device: str = "auto",
        data_root: str | None = None,
        fresh: bool = False,
        train: bool = True,
        **changes: object,
    ):
        self.notebook, self.profile = notebook, profile
        self.protocol: Protocol = profiles.protocol(notebook, profile, **changes)
        self.n_canaries = profiles.chapter(notebook).seeds[profile] if n_canaries is None else n_canaries
        if self.n_canaries < 1:
            raise ValueError(f"n_canaries: at least one is needed, got {n_canaries}")
        if seed < 0:
            raise ValueError(f"seed: cannot be negative, got {seed}")
        self.seed = seed
        require("dataset", self.protocol.dataset, sources.SOURCES)
        require("ood_set", self.protocol.scoring.ood_set, ["photo_patches", *sources.SOURCES])
        require("feature", self.protocol.feature, list(ascii_uppercase))
        self.device = resolve(device)
        self.data_root, self.fresh, self.train = data_root, fresh, train
        self.folder = paths.run_folder(notebook)

    def population(self) -> Population:
        """The planned seeds: from committed records, from earlier executions of the same code, the rest trained now.

        Raises NotYetRun where nothing may be trained and no seed is recorded.
        """
        stores = self.stores()
        while self.train and self.lacking(stores):
            self.complete(stores)
            time.sleep(0.1)  # what is still lacking is another process's to finish
        known = {one: (store, entry) for store in reversed(stores) for one, entry in store.entries().items()}
        found = {one: known[one] for one in self.fingerprints() if one in known}
        if not found:
            raise NotYetRun(self.pending())
        tables = [store.tables([one]) for one, (store, _) in found.items()]
        arrays = [store.arrays(one) for one, (store, entry) in found.items() if "arrays" in entry["digests"]]
        population = Population(
            {name: pd.concat([table[name] for table in tables], ignore_index=True) for name in tables[0]},
            arrays,
            [entry for _, entry in found.values()],
            self.n_canaries,
        )
        self.keep_manifest(population)
        return population

    def fingerprints(self) -> dict[str, int]:
        """The planned seeds by the fingerprint under which each is kept."""
        return {self.protocol.fingerprint(seed): seed for seed in range(self.seed, self.seed + self.n_canaries)}

    def stores(self) -> list[Records]:
        """Where seeds may be found, the book's records first; new ones go to the last.

        A fresh execution has a store of its own, which an interrupted one goes on with and a complete one clears.
        """
        if not self.train:
            return [committed_records(self.notebook)]
        if not self.fresh:
            shared = paths.runs() / "records" / self.notebook / source_digest()
            return [committed_records(self.notebook), Records(shared)]
        own = self.folder / "records" / source_digest()
        if not self.lacking([Records(own)]):
            shutil.rmtree(own)
        return [Records(own)]

    def lacking(self, stores: list[Records]) -> list[str]:
        """Fingerprints of the planned seeds that none of the stores has."""
        there = {one for store in stores for one in store.entries()}
        return [one for one in self.fingerprints() if one not in there]

    def complete(self, stores: list[Records]) -> None:
        """Train the planned seeds that none of the stores has, into the last of them.

        Processes that do so at the same time share the work: a seed that another one trains is left to it.
        """
        lacking, seeds = self.lacking(stores), self.fingerprints()
        for one in progress(lacking, f"{self.notebook}, seeds", show=len(lacking) > 1):
            with stores[-1].claim(one) as ours:
                if ours:
                    [finished] = finish(self.protocol, [seeds[one]], device=self.device, data_root=self.data_root)
                    stores[-1].add(one, *finished)

    def pending(self) -> str:
        """What is missing, the command that fills it, and how long that takes at most on this machine."""
        n_models = self.n_canaries * self.protocol.n_models
        source = sources.source(self.protocol.dataset)
        n_images = self.protocol.n_train or source.n_train
        seconds = n_models * estimate(self.protocol, source.shape, n_images, device=self.device)
        return (
            f"{self.n_canaries} planned, none recorded yet. `.venv/bin/ufm reproduce {self.notebook}` trains their "
            f"{n_models} models: {duration(seconds)} on {device_name(self.device)}, scoring not counted, if every "
            f"model took all {self.protocol.training.epochs} epochs; early stopping usually ends sooner."
        )

    def keep_manifest(self, population: Population) -> None:
        """Say beside the execution's tables what they stand on; the page of the book shows it."""
        entries, title = population.entries, sources.source(self.protocol.dataset).title
        size = f"{self.protocol.n_train} training images" if self.protocol.n_train else "full size"
        distinct = {json.dumps(entry["versions"]): entry["versions"] for entry in entries}
        manifest = {
            "notebook": self.notebook,
            "parameters": self.parameters(),
            "profile": self.profile,
            "dataset": f"{title}, {size}",
            "device": " and ".join(dict.fromkeys(entry["device"] for entry in entries)),
            "versions": list(distinct.values()),
            "recipe": RECIPE,
            "code": source_digest(),
            "models": sorted({model for entry in entries for model in entry["models"]}),
            "seeds": len(entries),
            "planned": population.planned,
            "seconds": round(sum(entry["seconds"] for entry in entries), 1),
            "date": max(entry["date"] for entry in entries),
        }
        write(self.folder / "manifest.json", (json.dumps(manifest, indent=1) + "\n").encode())

    def parameters(self) -> dict[str, object]:
        """What was asked for, with all that the profile adds: every setting on which the numbers depend."""
        protocol = asdict(self.protocol)
        groups = [protocol.pop(name) for name in ("model", "training", "scoring")]
        return {
            "profile": self.profile,
            **protocol,
            **{name: value for group in groups for name, value in group.items()},
            "recipe": RECIPE,
            "n_canaries": self.n_canaries,
            "seed": self.seed,
            "device": self.device,
            "fresh": self.fresh,
            "train": self.train,
        }

    def keep_table(self, name: str, table: pd.DataFrame) -> None:
        """Keep a table beside the execution as CSV, with every digit."""
        write(self.folder / "tables" / f"{name}.csv", csv(table))


def require(parameter: str, value: str, known: Collection[str]) -> None:
    """Raise a ValueError that names the parameter and lists the known values where the value is none of them."""
    if value not in known:
        raise ValueError(f"{parameter}: {value!r} is not one of {', '.join(known)}")


def committed_records(notebook: str) -> Records:
    """The records of a chapter that are kept with the book."""
    return Records(paths.committed_records() / notebook)
