"""What is kept, written once."""

from ufm.records.fingerprints import digest
from ufm.records.provenance import source_digest
from ufm.records.store import (
    INDEX,
    MANIFEST,
    NO_TABLES,
    Measured,
    RecordError,
    Records,
    as_text,
    committed,
    csv,
    entry_digest,
    executed,
    indexed,
    joined,
    rows_digest,
    typed,
)

__all__ = [
    "INDEX",
    "MANIFEST",
    "Measured",
    "NO_TABLES",
    "RecordError",
    "Records",
    "as_text",
    "committed",
    "csv",
    "digest",
    "entry_digest",
    "executed",
    "indexed",
    "joined",
    "rows_digest",
    "source_digest",
    "typed",
]
