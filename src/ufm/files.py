"""Files that are there whole or not at all, that hold what they should; folders that one process has to itself."""

import fcntl
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

LONGEST = 70  # of where folders for a while are made: the path of a socket in one takes some 107 characters at most


def write(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace a file atomically: a reader sees the old one or the new one. mode: who may read and write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
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


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder with a short path that is gone afterwards, or where the process is killed, when the next one is made."""
    place = place_of_scratch()
    with ExitStack() as held:
        with locked(place):
            for left in place.iterdir():
                if left.is_dir() and not left.is_symlink():
                    remove_if_left(left)
            folder = Path(tempfile.mkdtemp(dir=place, prefix=""))
            held.enter_context(locked(folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def place_of_scratch() -> Path:
    """The folder in which folders for a while are made, this user's alone. Raises ValueError where it is another's."""
    temporary = tempfile.gettempdir()
    place = Path(temporary if len(temporary) <= LONGEST else "/tmp") / f"ufm-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    if place.is_symlink() or place.stat().st_uid != os.getuid():
        raise ValueError(f"{place} belongs to somebody else: set TMPDIR to a folder of your own")
    return place


def remove_if_left(folder: Path) -> None:
    """Remove a folder of `scratch`, which has its lock, unless a process is at it or removes it itself."""
    with suppress(OSError), open(folder / ".lock", "r+", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
