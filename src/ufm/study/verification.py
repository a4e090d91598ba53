"""Whether records are what they claim to be: whole, and what training again gives."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ufm import paths
from ufm.plan import registry
from ufm.randomness.streams import stream
from ufm.records import INDEX, MANIFEST, Measured, RecordError, Records, as_text, committed, indexed
from ufm.study.seeds import finish

# How far the effects may be from the recorded ones, see `deviation`. Rounding alone was seen to do much less
# (book/benchmarks/rounding.md), but a best epoch that jumps moves them further.
TOLERANCE = 0.5


def verify() -> tuple[int, list[str]]:
    """Check every record that is kept with the book: how many there are, and a line for each fault."""
    n_records, faults, there = 0, [], {}
    for manifest in sorted(paths.committed_records().glob(f"*/{MANIFEST}")):
        records = Records(manifest.parent)
        try:
            entries = there[manifest.parent.name] = records.entries()
        except RecordError as error:
            faults.append(str(error))
            continue
        n_records += len(entries)
        for one in entries:
            try:
                records.whole(one)
            except RecordError as error:
                faults.append(str(error))
        sweep = registry.sweeps().get(manifest.parent.name)
        # What a killed process left of a planned seed is no fault: the next one replaces it.
        expected = {sweep.protocol.fingerprint(seed) for seed in sweep.seeds} if sweep else set()
        stray = {path.stem for path in (manifest.parent / "arrays").glob("*.npz")} - set(entries) - expected
        faults += [f"{records.arrays_path(one)}: belongs to no record; delete it" for one in sorted(stray)]
    return n_records, list(dict.fromkeys([*lost(), *unlisted(there), *faults]))


def lost() -> list[str]:
    """A line for each folder of which records are gone that the index lists, and where there is no index."""
    folder, faults = paths.committed_records(), []
    try:
        known = indexed()
    except RecordError as error:
        return [str(error)]
    if known is None:
        return [f"{folder / INDEX}: there is none, so that nobody can tell what is missing; restore it"]
    for name, fingerprints in known.items():
        try:
            there = committed(name).entries()
        except RecordError:  # which is a fault of its own
            continue
        gone = [one for one in fingerprints if one not in there]
        if gone:
            faults.append(f"{folder / name}: {len(gone)} of {len(fingerprints)} records are gone; restore the folder")
    return faults


def unlisted(there: Mapping[str, Collection[str]]) -> list[str]:
    """A line for each folder that has records, given by their fingerprints, that the index does not list.

    The last one of a folder may be on its way, or left by a killed process, and is listed with the next.
    """
    index = paths.committed_records() / INDEX
    try:
        known = indexed()
    except RecordError:  # which `lost` says
        return []
    if known is None:
        return []
    missing = {name: set([*fingerprints][:-1]) - set(known.get(name, [])) for name, fingerprints in there.items()}
    return [f"{index}: {len(one)} records of {name} are not listed; restore it" for name, one in missing.items() if one]


@dataclass(frozen=True)
class Retrained:
    """A recorded seed beside the same seed trained again."""

    sweep: str
    seed: int
    identical: bool  # every number, to the last digit
    deviation: float  # of the effects, see `deviation`
    accuracy: float  # largest difference of two models' accuracy

    @property
    def agrees(self) -> bool:
        """Whether the record holds within the tolerance."""
        return self.identical or self.deviation <= TOLERANCE

    def __str__(self) -> str:
        where = f"{self.sweep}, seed {self.seed}"
        if self.identical:
            return f"{where}: the same to the last digit"
        verdict = "within" if self.agrees else "BEYOND"
        return (
            f"{where}: effects differ by {self.deviation:.3f} of their size, {verdict} the tolerance of {TOLERANCE}; "
            f"accuracy by up to {self.accuracy:.4f}"
        )


def retrain(n: int, *, device: str = "cpu", draw: int = 0) -> Iterator[Retrained]:
    """Train n recorded seeds again, drawn at random (another `draw` draws others), and set each beside its record.

    With the same processor, libraries and number of threads every number is the same. Elsewhere rounding differs and
    training amplifies it: `benchmarks/rounding.py` measures by how much.
    """
    there = []
    for name, sweep in registry.sweeps().items():
        entries = committed(name).entries()
        there += [(name, seed) for seed in sweep.seeds if sweep.protocol.fingerprint(seed) in entries]
    drawn = stream("retrain", seed=draw).choice(len(there), size=min(n, len(there)), replace=False)
    for place in drawn:
        name, seed = there[place]
        protocol = registry.sweeps()[name].protocol
        _, kept = committed(name).whole(protocol.fingerprint(seed))
        [(_, again)] = finish(protocol, [seed], device=device)
        accuracies = (table_of(one)["accuracy"].astype(float) for one in (kept, again))
        yield Retrained(
            name,
            seed,
            identical(kept, again),
            deviation(effects(kept), effects(again)),
            float(np.abs(np.subtract(*accuracies)).max()),
        )


def table_of(measured: Measured, name: str = "models") -> pd.DataFrame:
    """A table as it is written, every cell a string."""
    return as_text(measured.tables[name])


def identical(one: Measured, other: Measured) -> bool:
    """Whether two results have the same tables and arrays, to the last digit."""
    if one.tables.keys() != other.tables.keys() or one.arrays.keys() != other.arrays.keys():
        return False
    tables = all(filled(table_of(one, name)) == filled(table_of(other, name)) for name in one.tables)
    return tables and all(same(one.arrays[name], other.arrays[name]) for name in one.arrays)


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays are equal; a missing number equals a missing one."""
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f" and other.dtype.kind == "f")


def filled(table: pd.DataFrame) -> list[dict[str, str]]:
    """The rows' filled cells."""
    return [{column: cell for column, cell in row.items() if cell} for row in table.to_dict("records")]


def effects(measured: Measured) -> np.ndarray:
    """All patch effects of a seed in one row: those of its card, or those in its table of scores."""
    shifts = [values for name, values in measured.arrays.items() if name.endswith("_shift")]
    if not shifts:
        scores = table_of(measured, "scores")
        shifts = [scores[name].astype(float) for name in scores if name.startswith(("patch_effect", "specific_effect"))]
    return np.concatenate([np.asarray(one, np.float64).ravel() for one in shifts])


def deviation(effects: np.ndarray, others: np.ndarray) -> float:
    """Root mean square of the difference over that of the effects themselves."""
    return float(np.sqrt(((others - effects) ** 2).mean() / (effects**2).mean()))
