"""Files that are there whole or not at all, folders that one process has to itself, and folders for a while."""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

LONGEST = 70  # of where folders for a while are made: the path of a socket in one takes some 107 characters at most


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


@contextmanager
def locked(folder: Path, *, shared: bool = False, waiting: str = "") -> Iterator[None]:
    """Hold a folder, which is made where there is none, against other processes; who holds it `shared` lets such in.

    waiting: said on standard error where another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w", encoding="utf-8") as lock:
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                print(waiting, file=sys.stderr, flush=True)
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
    """Remove a folder of `scratch`, unless a process is at it or removes it itself."""
    with suppress(OSError), open(folder / ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
