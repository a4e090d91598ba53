"""What may happen to a folder of records by hand or by accident. Each damage names the file that it did harm to."""

import hashlib
import json
import zipfile
from pathlib import Path

import pandas as pd

from ufm.records import entry_digest, rows_digest


def lines(folder, change, name="scores"):
    """Change the lines of a table."""
    path = folder / f"{name}.csv"
    path.write_text("\n".join(change(path.read_text(encoding="utf-8").splitlines())) + "\n", encoding="utf-8")
    return path


def other(text):
    """The text with another last digit."""
    return text[:-1] + ("2" if text[-1] == "1" else "1")


def edited_cell(folder):
    return lines(folder, lambda rows: [rows[0], other(rows[1]), *rows[2:]])


def emptied_cell(folder):
    return lines(folder, lambda rows: [rows[0], rows[1].rpartition(",")[0] + ",", *rows[2:]])


def removed_row(folder):
    return lines(folder, lambda rows: [rows[0], *rows[2:]])


def repeated_row(folder):
    return lines(folder, lambda rows: [*rows[:2], rows[1], *rows[2:]])


def swapped_rows(folder):
    return lines(folder, lambda rows: [rows[0], rows[2], rows[1], *rows[3:]])


def renamed_column(folder):
    return lines(folder, lambda rows: [rows[0] + "_", *rows[1:]])


def no_record_column(folder):
    return lines(folder, lambda rows: [rows[0].replace("record", "fingerprint"), *rows[1:]])


def torn_row(folder):
    return lines(folder, lambda rows: [*rows, '"'])


def emptied_table(folder):
    path = folder / "scores.csv"
    path.write_text("", encoding="utf-8")
    return path


def removed_table(folder):
    path = folder / "scores.csv"
    path.unlink()
    return path


def crlf_table(folder):
    path = folder / "scores.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    return path


def nul_in_table(folder):
    path = folder / "scores.csv"
    path.write_bytes(path.read_bytes() + b"\0\n")
    return path


def as_folder(path):
    """A folder in the file's place."""
    path.unlink()
    path.mkdir()
    return path


def folder_as_table(folder):
    return as_folder(folder / "scores.csv")


def recorded(folder):
    """The first fingerprint of the manifest."""
    return next(iter(json.loads((folder / "manifest.json").read_text(encoding="utf-8"))))


def array_file(folder):
    return folder / "arrays" / f"{recorded(folder)}.npz"


def truncated_arrays(folder):
    path = array_file(folder)
    path.write_bytes(path.read_bytes()[:-100])
    return path


def emptied_arrays(folder):
    path = array_file(folder)
    path.write_bytes(b"")
    return path


def removed_arrays(folder):
    path = array_file(folder)
    path.unlink()
    return path


def folder_as_arrays(folder):
    return as_folder(array_file(folder))


def edited_arrays(folder):
    path = array_file(folder)
    packed = bytearray(path.read_bytes())
    packed[len(packed) // 2] ^= 1
    path.write_bytes(packed)
    return path


def manifest(folder, change):
    """Change the entries of the manifest."""
    path = folder / "manifest.json"
    entries = json.loads(path.read_text(encoding="utf-8"))
    entries = change(entries) or entries
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def entry(folder, **changes):
    """Change the first entry of the manifest; None removes."""

    def change(entries):
        one = entries[recorded(folder)]
        for name, value in changes.items():
            one[name] = value
            if value is None:
                del one[name]

    return manifest(folder, change)


def edited_seed(folder):
    return entry(folder, seed=77)


def edited_seconds(folder):
    return entry(folder, seconds=98765.4)  # which no training took


def edited_models(folder):
    return entry(folder, models=["0123456789abcdef"])


def added_field(folder):
    return entry(folder, note="by hand")


def edited_identity(folder):
    return manifest(folder, lambda entries: entries[recorded(folder)]["identity"].update(recipe=7))


def renamed_fingerprint(folder):
    one = recorded(folder)
    return manifest(folder, lambda entries: {key if key != one else "f" * 16: value for key, value in entries.items()})


def no_digests(folder):
    return entry(folder, digests=None)


def listed_digests(folder):
    return entry(folder, digests=["scores", "entry"])


def no_entry_digest(folder):
    return manifest(folder, lambda entries: entries[recorded(folder)]["digests"].pop("entry") and None)


def no_table_digest(folder):
    return manifest(folder, lambda entries: entries[recorded(folder)]["digests"].pop("scores") and None)


def no_array_digest(folder):
    return manifest(folder, lambda entries: entries[recorded(folder)]["digests"].pop("arrays") and None)


def no_seed(folder):
    return entry(folder, seed=None)


def text_as_entry(folder):
    return manifest(folder, lambda entries: {**entries, recorded(folder): "complete"})


def list_as_manifest(folder):
    return manifest(folder, lambda entries: list(entries.values()))


def torn_manifest(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    return path


def emptied_manifest(folder):
    path = folder / "manifest.json"
    path.write_text("", encoding="utf-8")
    return path


def binary_manifest(folder):
    path: Path = folder / "manifest.json"
    path.write_bytes(b"\xff\xfe" + path.read_bytes())
    return path


def nested_manifest(folder):
    path = folder / "manifest.json"
    path.write_text("[" * 100_000, encoding="utf-8")
    return path


def folder_as_manifest(folder):
    return as_folder(folder / "manifest.json")


def forged(folder, change):
    """Change the first entry of the manifest as somebody would on purpose: its digest is right."""

    def change_and_sign(entries):
        one = entries[recorded(folder)]
        change(one)
        one["digests"]["entry"] = entry_digest(one)

    return manifest(folder, change_and_sign)


def forged_without_device(folder):
    return forged(folder, lambda entry: entry.pop("device"))


def forged_seconds(folder):
    return forged(folder, lambda entry: entry.update(seconds="many"))


def forged_models(folder):
    return forged(folder, lambda entry: entry.update(models=7))


def forged_without_rows(folder):
    """The digest is that of a table without rows, of which the record has none any more."""
    one = recorded(folder)
    path = lines(folder, lambda rows: [row for row in rows if not row.startswith(one)])
    forged(folder, lambda entry: entry["digests"].update(scores=rows_digest(pd.DataFrame())))
    return path


def forged_arrays(folder, write):
    path = array_file(folder)
    write(path)
    forged(folder, lambda entry: entry["digests"].update(arrays=hashlib.sha256(path.read_bytes()).hexdigest()))
    return path


def text_as_arrays(folder):
    return forged_arrays(folder, lambda path: path.write_text("no arrays", encoding="utf-8"))


def lzma_without_end(folder):
    """A zip whose member is packed with LZMA and was cut."""

    def write(path):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
            archive.writestr("host.npy", bytes(1000))
        packed = bytearray(path.read_bytes())
        packed[45:60] = bytes(15)
        path.write_bytes(packed)

    return forged_arrays(folder, write)


IN_TABLE = [edited_cell, emptied_cell, removed_row, repeated_row, swapped_rows, renamed_column, removed_table]
IN_TABLE += [forged_without_rows]
IN_FILE = [no_record_column, torn_row, emptied_table, crlf_table, nul_in_table, folder_as_table]  # no record is named
IN_ARRAYS = [truncated_arrays, emptied_arrays, removed_arrays, edited_arrays, folder_as_arrays]
IN_ENTRY = [edited_seed, edited_seconds, edited_models, added_field, edited_identity, no_digests, listed_digests]
IN_ENTRY += [no_entry_digest, no_table_digest, no_array_digest, no_seed, text_as_entry]
IN_ENTRY += [forged_without_device, forged_seconds, forged_models]
IN_MANIFEST = [renamed_fingerprint, list_as_manifest, torn_manifest, emptied_manifest, binary_manifest]
IN_MANIFEST += [nested_manifest, folder_as_manifest]
ALL = IN_TABLE + IN_FILE + IN_ARRAYS + IN_ENTRY + IN_MANIFEST
FORGED_ARRAYS = [text_as_arrays, lzma_without_end]  # seen where records are verified or carried
NAMING_THE_RECORD = IN_TABLE + IN_ARRAYS + IN_ENTRY
