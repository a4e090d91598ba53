"""Files that are there whole or not at all, that hold what they should, and folders that one process has to itself."""

import fcntl
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def write(path: Path, content: bytes) -> None:
    """Replace a file atomically: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read(path: Path) -> bytes | None:
    """A file's bytes; None where there is none. Raises ValueError where it cannot be read, as where it is a folder."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None


def read_json(path: Path) -> Any:
    """What a JSON file holds; None where there is none. Raises ValueError where it cannot be read."""
    content = read(path)
    try:
        return None if content is None else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no JSON ({error})") from None


def checked(path: Path, value: object, kind: type[T]) -> T:
    """What was read from a file, as this type, see pydantic. Raises ValueError, which names the place, if it is not."""
    try:
        return TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        said = first.get("ctx", {}).get("error", first["msg"])  # of a check of ours the words alone
        raise ValueError(": ".join([str(path), *filter(None, [".".join(map(str, first["loc"]))]), str(said)])) from None


@contextmanager
def locked(folder: Path, *, shared: bool = False, tell: bool = False) -> Iterator[None]:
    """Hold a folder, which is made where there is none, against other processes, and wait for one that holds it.

    Processes that hold it `shared` only read, and do so side by side. One that is to `tell` says that it waits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w", encoding="utf-8") as lock:
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if tell:
                print(f"{folder}: another process is at it; this one waits", file=sys.stderr, flush=True)
            fcntl.flock(lock, how)
        yield
