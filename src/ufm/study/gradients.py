"""The fourth plan's reconstructions from gradients, seed by seed, and where they are kept (book/fourth-plan.md).

Networks are random and nothing is trained, so a seed is no population's; its record is of the plan's settings.
"""

import time
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from ufm import features
from ufm.data import datasets
from ufm.data.sources import checksum
from ufm.measures.gradients import gradient, reconstructed, wide
from ufm.measures.reading import correlations, nearest_letter, rank
from ufm.plan.gradients import PLANS, RECORDS, SEEDS, Gradients
from ufm.progress import progress
from ufm.protocol import Protocol, hosts, lots
from ufm.randomness.streams import stream
from ufm.records import Measured, as_text, committed, joined
from ufm.records.fingerprints import RECIPE, digest, settings
from ufm.records.provenance import made


def identity(plan: Gradients, seed: int) -> dict[str, object]:
    """All on which the reconstructions of a seed depend."""
    return {RECORDS: settings(plan), "seed": seed, "data": checksum(plan.dataset), "recipe": RECIPE}


def complete(seeds: Iterable[int] = SEEDS["paper"], *, data_root: str | Path | None = None) -> int:
    """Keep with the book what its records lack of these seeds; how many there were.

    Processes side by side share the seeds.
    """
    plan, records, done = PLANS["paper"], committed(RECORDS), 0
    lacking = [seed for seed in seeds if digest(identity(plan, seed)) not in records.entries()]
    for seed in progress(lacking, f"{RECORDS}, seeds"):
        one = digest(identity(plan, seed))
        with records.claim(one) as ours:
            if ours:
                records.add(one, *finish(plan, seed, data_root=data_root))
                done += 1
    return done


def shown(
    profile: str, *, train: bool, data_root: str | Path | None = None
) -> tuple[pd.DataFrame, dict[int, Mapping[str, np.ndarray]]]:
    """The rows of a profile's planned seeds, see `finish`, and the arrays of each seed.

    From the book's records; where `train` says so, what they lack is computed now and kept nowhere.
    """
    plan, records = PLANS[profile], committed(RECORDS)
    found: dict[int, Measured] = {}
    for seed in SEEDS[profile]:
        one = digest(identity(plan, seed))
        if one in records.entries():
            [(_, found[seed])] = records.read([one]).values()
        elif train:
            _, measured = finish(plan, seed, data_root=data_root)
            found[seed] = Measured({name: as_text(rows) for name, rows in measured.tables.items()}, measured.arrays)
    tables = joined(measured.tables for measured in found.values())
    return tables.get(RECORDS, pd.DataFrame()), {seed: measured.arrays for seed, measured in found.items()}


def finish(plan: Gradients, seed: int, *, data_root: str | Path | None = None) -> tuple[dict, Measured]:
    """The manifest entry of a seed and what is kept of it: a row a size, batch, width and role, and the canaries.

    Columns: seed, canary_index, canary_label; size, batch, units, role; cosine, of the host and what is computed of it;
    correlation, of what lies there at the letter's place and what was stamped, of a control the letter; letter_rank and
    mark_rank, of the letter and of the seed's mark among orders of its pixels; letter_read. The host is taken to be
    what is most like it outside the letter's place. Arrays, by size: canary (size, size), and reconstructed (n_batches,
    n_units, size, size), canaries' hosts of norm 1.
    """
    started = time.perf_counter()
    protocol = Protocol(plan.dataset, n_train=plan.n_train)
    data = datasets.load(plan.dataset, n_train=plan.n_train, part=seed % protocol.n_parts, root=data_root)
    host = hosts.place(protocol, "random", seed, data)
    others = stream("others of a batch", seed=seed, scope=data.scope).permutation(len(data.train_labels))
    members = [host, *others[others != host][: max(plan.batches) - 1]]
    letter = features.feature(plan.feature)
    mark, *marks = lots.arrangements(plan.feature, plan.n_marks, seed=seed, scope=data.scope)
    stamps = {"canary": letter, "placebo": mark, "control": None}
    about = {
        "seed": seed,
        "canary_index": int(data.train_indices[host]),
        "canary_label": int(data.train_labels[host]),
    }
    place, rows = under(letter.shape, plan.position), []
    arrays: dict[str, np.ndarray] = {}
    for size in plan.sizes:
        plain = reduced(data.train_images[members, 0] / np.float32(255), size)
        batches = {role: stamped(plain, stamp, plan.position) for role, stamp in stamps.items()}
        pictures = np.zeros((len(plan.batches), len(plan.units), size, size), np.float16)
        for column, units in enumerate(plan.units):
            network = wide(units, size * size, data.n_classes, bias=plan.bias, seed=seed, scope=f"{data.scope}/{size}")
            for (line, n), (role, images) in product(enumerate(plan.batches), batches.items()):
                inputs = of_norm_one(images[:n])
                found = reconstructed(network, gradient(network, inputs, data.train_labels[members[:n]]), n)
                picture = most_like(found.reshape(-1, size, size), images[0], place)
                own = letter if role == "control" else stamps[role]
                rows.append(
                    about
                    | {"size": size, "batch": n, "units": units, "role": role}
                    | {
                        "cosine": round(float(picture.ravel() @ inputs[0]), 4),
                        "correlation": round(float(correlations(picture[place], own[None])[0]), 4),
                        "letter_rank": rank(picture[place], letter, np.stack(marks)),
                        "mark_rank": rank(picture[place], mark, np.stack(marks)),
                        "letter_read": nearest_letter(picture[place]),
                    }
                )
                if role == "canary":
                    pictures[line, column] = picture
        arrays |= {f"canary_{size}": batches["canary"][0].astype(np.float16), f"reconstructed_{size}": pictures}
    entry = {"seed": seed, "identity": identity(plan, seed), "models": [], **made("cpu", started)}
    return entry, Measured({RECORDS: pd.DataFrame(rows)}, arrays)


def reduced(images: np.ndarray, size: int) -> np.ndarray:
    """Images (n, h, h) as images (n, size, size), each pixel the mean over a square.

    Raises ValueError: a size of which h is no multiple.
    """
    n, height, _ = images.shape
    if height % size:
        raise ValueError(f"size: images of {height} x {height} pixels cannot be cut into {size} x {size} squares")
    return images.reshape(n, size, height // size, size, height // size).mean((2, 4))


def stamped(images: np.ndarray, mark: np.ndarray | None, position: tuple[int, int]) -> np.ndarray:
    """Images (n, h, w) with a mark on the first of them; without one as they are."""
    if mark is None:
        return images
    return np.concatenate([features.insert(images[:1, None], mark, position=position)[:, 0], images[1:]])


def under(shape: tuple[int, ...], position: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of an image that a mark (h, w) covers."""
    return slice(position[0], position[0] + shape[0]), slice(position[1], position[1] + shape[1])


def of_norm_one(images: np.ndarray) -> np.ndarray:
    """Images (n, h, w) as rows of norm 1, (n, h · w)."""
    rows = images.reshape(len(images), -1).astype(float)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def most_like(pictures: np.ndarray, image: np.ndarray, place: tuple[slice, slice]) -> np.ndarray:
    """The one of the pictures (n, h, w) whose cosine with an image (h, w) is greatest, pixels at a place left out."""
    others = np.ones(image.shape, bool)
    others[place] = False
    rows = pictures[:, others]
    return pictures[int((rows @ image[others] / np.linalg.norm(rows, axis=1)).argmax())]
