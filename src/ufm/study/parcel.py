"""Records in one file, to be carried from one machine to another or published."""

import io
import json
import re
import shutil
import zipfile
from pathlib import Path

from ufm.data import fetching
from ufm.files import checked, read, read_json, scratch, write
from ufm.plan import registry
from ufm.records import Measured, RecordError, Records, committed
from ufm.study import verification

CONTENTS = "contents.json"  # the fingerprints of all records in a file, by sweep


def export(finished: dict[str, list[str]], file: Path) -> None:
    """Write the records with these fingerprints, by sweep, into a zip file."""
    with scratch() as folder:
        for sweep, fingerprints in finished.items():
            ours, parcel = committed(sweep), Records(folder / sweep)
            for one in fingerprints:
                parcel.add(one, *ours.whole(one))
        (folder / CONTENTS).write_text(json.dumps(finished), encoding="utf-8")
        write(file, packed(folder))


def publish(file: Path) -> int:
    """Write all records of planned seeds into a zip file, and beside it its md5 in a file of `md5sum`; how many.

    Their folders are copied as they are. Raises ValueError where a record is not whole, or none that is planned.
    """
    _, faults = verification.verify()
    for fault in faults:
        raise RecordError(fault)
    there: dict[str, list[str]] = {}
    with scratch() as folder:
        for name, sweep in registry.sweeps().items():
            ours = committed(name)
            there[name] = list(ours.entries())
            if other := set(there[name]) - {sweep.protocol.fingerprint(seed) for seed in sweep.seeds}:
                raise RecordError(f"{ours.folder}: record {min(other)} is none that is planned; take it away first")
            if there[name]:
                shutil.copytree(ours.folder, folder / name, ignore=shutil.ignore_patterns(".*"))
        listed = {name: fingerprints for name, fingerprints in there.items() if fingerprints}
        (folder / CONTENTS).write_text(json.dumps(listed), encoding="utf-8")
        content = packed(folder)
    write(file, content)
    write(checksum(file), f"{fetching.md5_of(content)}  {file.name}\n".encode())
    return sum(map(len, listed.values()))


def fetch(source: str, md5: str | None = None) -> dict[str, int]:
    """Add what a published file has to the book's records, see `import_`; it lies at an address, or in a folder.

    md5: that of the file, as it was published; None: it stands in the file of `publish` beside a file in a folder.
    Raises ValueError, before anything is added, where the content has another.
    """
    with scratch() as folder:
        if re.match("https?://", source):
            if md5 is None:
                raise ValueError(f"md5: give that of {source}, as it was published")
            file = folder / "records.zip"
            file.write_bytes(fetching.fetch([source], md5))
        else:
            file = Path(source)
            expected = md5 or published_md5(file)
            if fetching.md5_of(file.read_bytes()) != expected:
                raise ValueError(f"{file}: is not the file that was published, whose md5 is {expected}; fetch it again")
        return import_(file)


def published_md5(file: Path) -> str:
    """What the file of `publish` beside a zip file says of it. Raises ValueError where it says nothing."""
    beside = checksum(file)
    found = re.match(r"[0-9a-f]{32}\b", (read(beside) or b"").decode(errors="replace"))
    if found is None:
        raise ValueError(f"{beside}: no md5 of {file.name}; fetch it too, or give the md5 as it was published")
    return found[0]


def checksum(file: Path) -> Path:
    """Where the md5 of a published file stands."""
    return file.with_name(f"{file.name}.md5")


def packed(folder: Path) -> bytes:
    """A folder as a zip file, without what guards it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                archive.write(path, path.relative_to(folder))
    return content.getvalue()


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
