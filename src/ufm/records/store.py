"""What is kept: tidy tables in CSV, arrays in .npz, and a manifest of the seeds that are complete.

A folder of records holds `manifest.json`, one CSV a table, and `arrays/<record>.npz`. Every row begins with `record`,
the fingerprint of its seed's entry in the manifest. A seed's rows are written first and its entry last, each file
replaced atomically, so a seed is there whole or not at all; rows without an entry are never read.
"""

import fcntl
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pandas.api.typing import DataFrameGroupBy
from pydantic import AfterValidator, BaseModel, model_validator

from ufm import paths
from ufm.files import checked, locked, read, read_json, write
from ufm.records.fingerprints import digest
from ufm.records.provenance import training_digest

MANIFEST = "manifest.json"
INDEX = "index.txt"  # beside the folders of the book's records: a line a record, its folder and its fingerprint
NO_TABLES = ("arrays", "entry")  # what a manifest has digests of beside tables


@dataclass(frozen=True)
class Measured:
    """What is kept of one seed: tidy tables, and arrays where a table would be clumsy."""

    tables: dict[str, pd.DataFrame]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


class RecordError(ValueError):
    """A record that is damaged or was edited by hand."""


def plain(name: str) -> str:
    """The name of a table, which becomes that of a file. Raises ValueError unless it is a plain one."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"a table called {name!r} is none of these records")
    return name


class Entry(BaseModel):
    """What a manifest says of a seed. Pictures alone, which have no table, were not trained on anything."""

    seed: int
    identity: dict[str, object]
    digests: dict[Annotated[str, AfterValidator(plain)], str]
    versions: dict[str, str] | None = None
    device: str | None = None
    seconds: float | None = None
    date: str | None = None
    models: list[str] | None = None

    @model_validator(mode="after")
    def says_how_it_was_made(self) -> "Entry":
        """Raise ValueError where anything is missing of what was trained."""
        made = ("versions", "device", "seconds", "date", "models")
        missing = [name for name in made if getattr(self, name) is None]
        if missing and not self.digests.keys() <= set(NO_TABLES):
            raise ValueError(f"{', '.join(missing)} missing")
        return self


class Records:
    """The complete seeds under one folder; an index lists those of the book, lest one be lost unnoticed."""

    def __init__(self, folder: Path, index: Path | None = None):
        self.folder, self.index = Path(folder), index

    def entries(self) -> dict[str, dict]:
        """Manifest entries of all complete seeds, by fingerprint. Raises RecordError for a damaged manifest."""
        path = self.folder / MANIFEST
        with restored():
            entries = read_json(path)
            if entries is None:
                return {}
            checked(path, entries, dict[str, Entry])
        for fingerprint, entry in entries.items():
            if digest(entry["identity"]) != fingerprint:
                raise RecordError(f"{path}: record {fingerprint} does not have the fingerprint of its settings")
            if entry_digest(entry) != entry["digests"].get("entry"):
                raise RecordError(f"{path}: the entry of record {fingerprint} is not the one that was written")
        return entries

    def add(self, fingerprint: str, entry: dict, measured: Measured) -> None:
        """Keep a finished seed. Of two processes that finish the same seed the later one changes nothing."""
        with locked(self.folder):
            entries = self.entries()
            if fingerprint in entries:
                return
            digests = {}
            for name, table in measured.tables.items():
                plain(name)
                rows = as_text(table)
                rows.insert(0, "record", fingerprint)
                kept = self.text(name)
                kept = kept[kept["record"].isin(entries)]
                write(self.folder / f"{name}.csv", csv(pd.concat([kept, rows], ignore_index=True).fillna("")))
                digests[name] = rows_digest(rows)
            if measured.arrays:
                packed = io.BytesIO()
                np.savez_compressed(packed, allow_pickle=False, **measured.arrays)
                write(self.arrays_path(fingerprint), packed.getvalue())
                digests["arrays"] = hashlib.sha256(packed.getvalue()).hexdigest()
            entry = entry | {"digests": digests}
            entries[fingerprint] = entry | {"digests": digests | {"entry": entry_digest(entry)}}
            lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items())
            write(self.folder / MANIFEST, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
            if self.index is not None:
                self.list_in(self.index, entries)

    def list_in(self, index: Path, fingerprints: Iterable[str]) -> None:
        """Add the seeds that an index lacks: the one just added, and one before it if a process was killed there."""
        with locked(index.parent):
            lines = (read(index) or b"").splitlines()
            ours = (f"{self.folder.name} {one}".encode() for one in fingerprints)
            write(index, b"\n".join([*dict.fromkeys([*lines, *ours]), b""]))

    def prepare(self) -> None:
        """Make the folder, and see that seeds can be added. Raises RecordError where a table or index is damaged."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.index is not None:
            with restored():
                read(self.index)
        for name in {name for entry in self.entries().values() for name in entry["digests"] if name not in NO_TABLES}:
            self.text(name)

    @contextmanager
    def claim(self, fingerprint: str) -> Iterator[bool]:
        """Whether this process is to finish a seed: False where it is complete or another process is at it.

        The claim ends with the process that holds it, however that ends.
        """
        path = self.folder / f".claim-{fingerprint}"
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8") as claim:
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            # Whoever held the claim may have ended, and removed the file, before it was locked here.
            if not path.exists() or not os.path.samestat(os.fstat(claim.fileno()), path.stat()):
                yield False
                return
            try:
                yield fingerprint not in self.entries()
            finally:
                path.unlink(missing_ok=True)

    def read(self, fingerprints: Iterable[str]) -> dict[str, tuple[dict, Measured]]:
        """Entry, rows and arrays of those of these seeds that are complete, in their order; every cell is a string.

        Raises RecordError where any of it was changed.
        """
        entries, by_record = self.entries(), cache(self.by_record)
        return {
            one: (entries[one], Measured(self.rows(one, entries[one], by_record), self.packed(one, entries[one])))
            for one in fingerprints
            if one in entries
        }

    def tables(self, fingerprints: list[str]) -> dict[str, pd.DataFrame]:
        """The rows of these complete seeds, in their order, by table. Raises RecordError where one was changed."""
        entries, by_record = self.known(fingerprints), cache(self.by_record)
        return joined([self.rows(one, entry, by_record) for one, entry in entries.items()])

    def arrays(self, fingerprint: str) -> Mapping[str, np.ndarray]:
        """The arrays of one complete seed. Raises RecordError where the file was changed."""
        return self.packed(fingerprint, self.known([fingerprint])[fingerprint])

    def known(self, fingerprints: list[str]) -> dict[str, dict]:
        """The manifest entries of these seeds. Raises RecordError where one is gone."""
        entries = self.entries()
        for one in fingerprints:
            if one not in entries:
                raise RecordError(f"{self.folder / MANIFEST}: record {one} is gone; restore the file")
        return {one: entries[one] for one in fingerprints}

    def whole(self, fingerprint: str) -> tuple[dict, Measured]:
        """One complete seed as `add` takes it, every cell a string. Raises RecordError where any of it was changed."""
        entry = self.known([fingerprint])[fingerprint]
        found = self.rows(fingerprint, entry, cache(self.by_record))
        tables = {name: rows.drop(columns="record") for name, rows in found.items()}
        # Columns that only other seeds have are empty.
        tables = {name: rows.loc[:, (rows != "").any()] for name, rows in tables.items()}
        try:
            arrays = dict(self.packed(fingerprint, entry))
        except RecordError:
            raise
        except Exception as error:  # which one, depends on what was done to the file
            raise RecordError(f"{self.arrays_path(fingerprint)}: not arrays ({error}); restore the file") from None
        return {name: value for name, value in entry.items() if name != "digests"}, Measured(tables, arrays)

    def rows(
        self, fingerprint: str, entry: dict, by_record: Callable[[str], DataFrameGroupBy]
    ) -> dict[str, pd.DataFrame]:
        """The rows of a seed by table, out of those of all seeds. Raises RecordError where they were changed."""
        found = {}
        for name in entry["digests"]:
            if name in NO_TABLES:
                continue
            every = by_record(name)
            found[name] = every.get_group(fingerprint) if fingerprint in every.indices else pd.DataFrame()
            if found[name].empty or rows_digest(found[name]) != entry["digests"][name]:
                raise RecordError(
                    f"{self.folder / name}.csv: the rows of record {fingerprint}, seed {entry['seed']}, "
                    "are not those that were written; restore the file"
                )
        return found

    def packed(self, fingerprint: str, entry: dict) -> Mapping[str, np.ndarray]:
        """The arrays of a seed, each unpacked when it is asked for; none where the seed has no file of them.

        Raises RecordError where the file was changed.
        """
        if "arrays" not in entry["digests"]:
            return {}
        path = self.arrays_path(fingerprint)
        with restored():
            packed = read(path) or b""
        if hashlib.sha256(packed).hexdigest() != entry["digests"]["arrays"]:
            raise RecordError(f"{path}: not the file that was written; restore it")
        return np.load(io.BytesIO(packed))

    def arrays_path(self, fingerprint: str) -> Path:
        """Where the arrays of a seed lie."""
        return self.folder / "arrays" / f"{fingerprint}.npz"

    def by_record(self, name: str) -> DataFrameGroupBy:
        """The rows of a table, every cell a string, grouped by the seeds' fingerprints."""
        return self.text(name).groupby("record", sort=False)

    def text(self, name: str) -> pd.DataFrame:
        """A table as it is written, every cell a string; without rows where there is none."""
        path = self.folder / f"{name}.csv"
        with restored():
            content = read(path)
            if content is None:
                return pd.DataFrame({"record": []}, dtype=str)
            try:
                table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
            except ValueError as error:  # pandas' parser errors are ValueErrors
                raise ValueError(f"{path}: not a table ({' '.join(str(error).split())})") from None
            if "record" not in table:
                raise ValueError(f"{path}: the column `record` is gone")
            if csv(table) != content:  # pandas takes no notice of some, such as other ends of lines
                raise ValueError(f"{path}: has characters that were not written")
        # Cells in one block: rows of single seeds are taken from it several times faster.
        return pd.DataFrame(table.to_numpy(object), columns=table.columns, dtype=object)


@contextmanager
def restored() -> Iterator[None]:
    """A ValueError in this block is a file that cannot be read: a RecordError that says what to do."""
    try:
        yield
    except ValueError as error:
        raise RecordError(f"{error}; restore the file") from None


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """The table as its CSV would have it; numbers keep every digit."""
    return pd.read_csv(io.BytesIO(csv(table)), dtype=str, keep_default_na=False)


def joined(parts: Iterable[dict[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """Rows of several seeds, every cell a string, one below the other by table, numbers as numbers."""
    below: dict[str, list[pd.DataFrame]] = {}
    for part in parts:
        for name, rows in part.items():
            below.setdefault(name, []).append(rows)
    return {name: typed(pd.concat(rows, ignore_index=True).fillna("")) for name, rows in below.items()}


def typed(text: pd.DataFrame) -> pd.DataFrame:
    """The table with numbers as numbers, as pandas reads the CSV. Only an empty cell is missing."""
    # The Python engine reads every digit, from pandas 3.1 on.
    table = pd.read_csv(io.BytesIO(csv(text)), engine="python", keep_default_na=False, na_values=[""])
    # pandas would make floats of whole numbers of which some are missing.
    partly = [name for name in table.columns if table[name].isna().any() and table[name].notna().any()]
    return table.astype({name: "Int64" for name in partly if text[name].str.fullmatch(r"-?\d*").all()})


def csv(table: pd.DataFrame) -> bytes:
    """A table as the bytes of its CSV file."""
    return table.to_csv(index=False, lineterminator="\n").encode()


def rows_digest(rows: pd.DataFrame) -> str:
    """SHA-256 of the rows' filled cells, so that a column added later leaves it as it is."""
    cells = [
        {column: cell for column, cell in zip(rows.columns, row, strict=True) if cell}
        for row in rows.to_numpy().tolist()  # many times faster than pandas' own dictionaries
    ]
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()


def entry_digest(entry: dict) -> str:
    """SHA-256 of a manifest entry, all of it but this digest itself."""
    others = {name: value for name, value in entry["digests"].items() if name != "entry"}
    return hashlib.sha256(json.dumps(entry | {"digests": others}, sort_keys=True).encode()).hexdigest()


def committed(name: str) -> Records:
    """The records of this name that are kept with the book."""
    return Records(paths.committed_records() / name, paths.committed_records() / INDEX)


def indexed() -> dict[str, list[str]] | None:
    """Fingerprints of all records that were kept with the book, by name; None where there is no index.

    Raises RecordError where it is damaged.
    """
    path = paths.committed_records() / INDEX
    with restored():
        content = read(path)
    if content is None:
        return None
    found: dict[str, list[str]] = {}
    for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
        listed = re.fullmatch(r"(\w[\w.-]*) ([0-9a-f]{16})", line)
        if not listed:
            raise RecordError(f"{path}: line {number} lists no record; restore the file")
        found.setdefault(listed[1], []).append(listed[2])
    return found


def executed(name: str) -> Records:
    """The records of this name that executions have made with this very code; they share them."""
    return Records(paths.runs() / "records" / name / training_digest())
