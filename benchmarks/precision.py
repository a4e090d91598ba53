"""How far the precision of products moves what is measured of CNNs: seeds of a sweep trained in float32, in float32
under another rounding (weights drawn one float32 number beside), and in TF32; all are measured in float32.

    python benchmarks/precision.py train FOLDER SWEEP [N]    # on a GPU, in turns: goes on where it was stopped
    python benchmarks/precision.py show FOLDER SWEEP > book/benchmarks/precision.md
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from devices import cards
from speed import products_in

from ufm.evidence import contrasts, questions
from ufm.plan.registry import sweeps
from ufm.records import Records
from ufm.records.fingerprints import digest
from ufm.study import seeds
from ufm.training import members

DEVICE, AT_ONCE = "cuda", 10  # seeds
REFERENCE, ROUNDING, COARSE = "float32", "float32, another rounding", "TF32"
WAYS = (REFERENCE, ROUNDING, COARSE)


def train_all(folder: Path, name: str, n: int) -> None:
    """Train the first n seeds of the sweep in each way, some seeds at a time."""
    sweep = sweeps()[name]
    for start in range(0, n, AT_ONCE):
        for way in WAYS:
            records = of_way(folder, way, name)
            there = records.entries()
            few = [
                one for one in sweep.seeds[:n][start : start + AT_ONCE] if sweep.protocol.fingerprint(one) not in there
            ]
            if few:
                with_way(way, few, sweep.protocol, records)


def of_way(folder: Path, way: str, name: str) -> Records:
    """The records of a sweep that was trained in a way."""
    return Records(folder / way.replace(", ", "-").replace(" ", "-") / name)


def with_way(way: str, few: list[int], protocol, records: Records) -> None:
    build, plain = members.build, seeds.train
    if way == ROUNDING:
        members.build = lambda *of, rounding, **settings: build(*of, rounding=1, **settings)
    if way == COARSE:
        seeds.train = partial(in_coarse, plain)
    try:
        for entry, measured in seeds.finish(protocol, few, device=DEVICE):
            records.add(digest(entry["identity"]), entry, measured)
            print(way, entry["seed"], entry["seconds"], flush=True)
    finally:
        members.build, seeds.train = build, plain


def in_coarse(plain: Callable, *of, **settings):
    with products_in("TF32"):
        return plain(*of, **settings)


def show(folder: Path, name: str) -> None:
    """What moves between the ways, beside what tells two seeds apart."""
    protocol = sweeps()[name].protocol
    recorded = {way: of_way(folder, way, name) for way in WAYS}
    common = sorted(set.intersection(*(set(records.entries()) for records in recorded.values())))
    found = {
        way: quantities(cards(protocol, [records.whole(one) for one in common])) for way, records in recorded.items()
    }
    [device] = {records.entries()[one]["device"] for records in recorded.values() for one in common}
    print(f"{name}, {len(common)} seeds, {protocol.n_models * len(common)} models a way; {device}.\n")
    print("| quantity | mean, float32 | another rounding | TF32 | moved by rounding, r.m.s. | by TF32 | spread, s.d. |")
    print("|---|---|---|---|---|---|---|")
    for what, ours in found[REFERENCE].items():
        means = [values.mean() for values in (found[way][what] for way in WAYS)]
        moved = [np.sqrt(((found[way][what] - ours) ** 2).mean()) for way in WAYS[1:]]
        numbers = [*means, *moved, ours.std(0, ddof=1).mean()]
        print(f"| {what} | {' | '.join(f'{round(float(one), 4) + 0.0:.3g}' for one in numbers)} |")


def quantities(cards) -> dict[str, np.ndarray]:
    """What is compared, the seeds first."""
    found = {}
    for host in cards.protocol.hosts:
        found[f"D, {host} host, the control's best epoch"] = contrasts(cards, host, epoch="control")
        found[f"default detector, {host} host's models"] = questions.of_host(cards, host).scores[..., 0]
    for one in ("best_epoch", "accuracy"):
        found[one.replace("_", " ")] = cards.models[one].to_numpy(float).reshape(len(cards.seeds), -1)
    return found


if __name__ == "__main__":
    verb, folder, name, *n = sys.argv[1:]
    train_all(Path(folder), name, int(n[0]) if n else 20) if verb == "train" else show(Path(folder), name)
