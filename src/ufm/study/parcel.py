"""Records in one small file, to be carried from one machine to another."""

import io
import json
import zipfile
from pathlib import Path

from ufm.files import checked, read_json, scratch, write
from ufm.plan import registry
from ufm.records import Measured, RecordError, Records, committed

CONTENTS = "contents.json"  # the fingerprints of all records in a file, by sweep


def export(finished: dict[str, list[str]], file: Path) -> None:
    """Write the records with these fingerprints, by sweep, into a zip file."""
    with scratch() as folder:
        for sweep, fingerprints in finished.items():
            ours, parcel = committed(sweep), Records(folder / sweep)
            for one in fingerprints:
                parcel.add(one, *ours.whole(one))
        (folder / CONTENTS).write_text(json.dumps(finished), encoding="utf-8")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and not path.name.startswith("."):  # without what guards a folder
                    archive.write(path, path.relative_to(folder))
        write(file, packed.getvalue())


def import_(file: Path) -> dict[str, int]:
    """Add what a file of `export` holds to the book's records, verified; the number of new seeds by sweep.

    Raises ValueError, before anything is added, for a file that is damaged or has records of no planned seed.
    """
    with scratch() as folder:
        try:
            unpack(file, folder)
            path = folder / CONTENTS
            listed = checked(path, read_json(path), dict[str, list[str]])
            found = {path.name: contents(Records(path)) for path in sorted(folder.iterdir()) if path.is_dir()}
        except ValueError as error:
            fault = str(error).replace(f"{folder}/", "")
            raise RecordError(f"{file}: not a file of records ({fault}); carry it again") from None
        known = registry.sweeps()
        for sweep, records in found.items():
            if sweep not in known:
                raise RecordError(f"{file}: has records of {sweep!r}, which is not one of {', '.join(known)}")
            planned = {known[sweep].protocol.fingerprint(seed) for seed in known[sweep].seeds}
            for one, (entry, _) in records.items():
                if one not in planned:
                    raise RecordError(
                        f"{file}: record {one} of {sweep}, seed {entry['seed']}, is none that is planned: "
                        "it was made with other settings, data or recipe"
                    )
        # Fingerprints are listed in the order in which they were finished, which a manifest keeps.
        if {sweep: list(records) for sweep, records in found.items()} != listed:
            raise RecordError(f"{file}: its records are not those that its {CONTENTS} lists; carry it again")
        for sweep in found:
            committed(sweep).prepare()
        added = {}
        for sweep, records in found.items():
            ours = committed(sweep)
            there = ours.entries()
            new = [one for one in records if one not in there]
            for one in new:
                ours.add(one, *records[one])
            added[sweep] = len(new)
        return added


def unpack(file: Path, folder: Path) -> None:
    """Unpack a zip file. Raises OSError where there is none, ValueError where it is damaged."""
    with open(file, "rb") as opened:
        try:
            with zipfile.ZipFile(opened) as archive:
                archive.extractall(folder)
        except Exception as error:  # which one, depends on the byte that was changed
            raise ValueError(str(error) or type(error).__name__) from None


def contents(records: Records) -> dict[str, tuple[dict, Measured]]:
    """Every record of a folder, as `Records.add` takes it. Raises RecordError where there is none."""
    entries = records.entries()
    if not entries:
        raise RecordError(f"{records.folder}: no manifest of records")
    return {one: records.whole(one) for one in entries}
