"""One execution of a notebook: it takes the records that match, trains what they lack, and says what it used."""

import json
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import ascii_uppercase

import numpy as np
import pandas as pd
import torch

from ufm import datasets, paths, profiles, sources
from ufm.experiments import RECIPE, Protocol
from ufm.files import write
from ufm.measurement import score_seed
from ufm.progress import duration, progress
from ufm.provenance import device_name, source_digest, versions
from ufm.records import Measured, Records, csv
from ufm.training import estimate, to_device, train
from ufm.walkthrough import walk_through

MEASURES: dict[str, Callable[..., Measured]] = {"scores": score_seed, "walkthrough": walk_through}


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
        require("device", device.partition(":")[0], ["auto", "cpu", "cuda"])
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self.data_root, self.fresh, self.train = data_root, fresh, train
        self.folder = paths.run_folder(notebook)

    def population(self) -> Population:
        """The planned seeds: from committed records, from earlier executions of the same code, the rest trained now.

        Raises NotYetRun where nothing may be trained and no seed is recorded.
        """
        stores = [] if self.fresh else [committed_records(self.notebook)]
        if self.train:
            stores.append(Records(paths.runs() / "records" / self.notebook / source_digest()))
            self.complete(stores)
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

    def complete(self, stores: list[Records]) -> None:
        """Train the planned seeds that none of the stores has, into the last of them.

        Processes that do so at the same time share the work: a seed that another one trains is left to it.
        """
        lacking = [one for one in self.fingerprints() if not any(one in store.entries() for store in stores)]
        for one in progress(lacking, f"{self.notebook}, seeds", show=len(lacking) > 1):
            with stores[-1].claim(one) as ours:
                if ours:
                    seed = self.fingerprints()[one]
                    finished = finish(self.protocol, seed, device=self.device, data_root=self.data_root)
                    stores[-1].add(one, *finished)

    def pending(self) -> str:
        """What is missing, the command that fills it, and how long that takes at most on this machine."""
        n_models = self.n_canaries * (1 + len(self.protocol.hosts))
        source = sources.source(self.protocol.dataset)
        n_images = self.protocol.n_train or source.n_train
        seconds = n_models * estimate(self.protocol, source.shape, n_images, device=self.device)
        arguments = f"-p profile {self.profile} -p dataset {self.protocol.dataset}"
        return (
            f"None of the {self.n_canaries} planned seeds is recorded. To train their {n_models} models: "
            f'`make run NOTEBOOK={self.notebook} ARGS="{arguments}"`, at most {duration(seconds)} on this machine '
            f"({self.protocol.training.epochs} epochs each; early stopping usually ends sooner)."
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
            "models": sum(len(entry["models"]) for entry in entries),
            "seeds": len(entries),
            "planned": population.planned,
            "seconds": round(sum(entry["seconds"] for entry in entries), 1),
            "date": max(entry["date"] for entry in entries),
        }
        write(self.folder / "manifest.json", (json.dumps(manifest, indent=1) + "\n").encode())

    def parameters(self) -> dict[str, object]:
        """What was asked for, with the profile's defaults filled in."""
        protocol = asdict(self.protocol)
        return {
            "profile": self.profile,
            **{name: protocol[name] for name in ("dataset", "n_train", "feature")},
            **protocol["scoring"],
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


def finish(
    protocol: Protocol, seed: int, *, device: str = "cpu", data_root: str | Path | None = None
) -> tuple[dict, Measured]:
    """Train and measure the models of one seed: its manifest entry and what is kept of it."""
    started, scoring, training = time.perf_counter(), protocol.scoring, protocol.training
    n_parts = datasets.load(protocol.dataset, n_train=protocol.n_train, root=data_root).n_parts
    data = datasets.load(protocol.dataset, n_train=protocol.n_train, part=seed % n_parts, root=data_root)
    ood = datasets.ood_images(scoring.ood_set, shape=data.train_images.shape[1:], n=scoring.n_ood, root=data_root)
    on_device = to_device(data, device=device, precision=training.precision, early_stopping=training.early_stopping)
    experiments = protocol.experiments(seed, data)
    for one in experiments:
        if one.host and one.canary_label not in ood.labels:
            raise ValueError(
                f"n_ood: none of the {scoring.n_ood} images has the label {one.canary_label} of seed {seed}'s canary"
            )
    trained = [train(experiment, on_device) for experiment in experiments]
    measured = MEASURES[protocol.measure](protocol, trained, on_device, ood)
    entry = {
        "seed": seed,
        "protocol": asdict(protocol),
        "data": {name: sources.checksum(name) for name in (protocol.dataset, scoring.ood_set)},
        "recipe": RECIPE,
        "versions": versions(),
        "device": device_name(device),
        "models": [one.experiment.fingerprint() for one in trained],
        "seconds": round(time.perf_counter() - started, 1),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    return entry, measured
