"""Fingerprints: sixteen hexadecimal digits of settings, under which a result is kept and found again."""

import hashlib
import json
from dataclasses import field, fields, is_dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Raised whenever the same settings would give other results than before: records of another recipe are not re-used.
RECIPE = 1


def added(default: object):
    """A field that came after records were made: at its default it leaves no trace, so they keep their fingerprints."""
    return field(default=default, metadata={"added": True})


def settings(value: "DataclassInstance") -> dict[str, object]:
    """A dataclass as a mapping, deeply, without added fields that are at their default."""
    kept = (one for one in fields(value) if not (one.metadata.get("added") and getattr(value, one.name) == one.default))
    return {one.name: setting(getattr(value, one.name)) for one in kept}


def setting(value: object) -> object:
    """The value of a field as `settings` has it."""
    if isinstance(value, list | tuple):
        return [setting(one) for one in value]
    return settings(value) if is_dataclass(value) and not isinstance(value, type) else value


def digest(content: dict) -> str:
    """Sixteen hexadecimal digits of the content's canonical JSON; a tuple counts as a list."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
