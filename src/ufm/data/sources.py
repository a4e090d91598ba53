"""Where images come from: the registry of data sets, and their files, downloaded once and verified whenever read."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from ufm import paths
from ufm.data import folders
from ufm.data.arrays import Arrays, DataError, read_only
from ufm.data.fetching import md5_of
from ufm.data.folders import is_folder
from ufm.files import locked, write


@dataclass(frozen=True)
class Source:
    """How a data set is read."""

    title: str  # its name in running text
    n_train: int  # training images
    shape: tuple[int, int, int]  # (C, H, W) of every image
    read: Callable[[Mapping[str, bytes]], Arrays]  # from the contents of its files, which were verified
    files: Mapping[str, str] = field(default_factory=dict)  # path under the data root -> published md5; none: embedded
    fetch: Callable[[list[str]], Iterable[tuple[str, bytes]]] = lambda paths: ()  # downloads the contents of some
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # mean, std on [0, 1]; None: computed
    validation: bool = False  # whether it has a validation split beside the training and the test split


SOURCES: dict[str, Source] = {}  # by name, of this package or of another
SCORED_ON: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {}  # images and labels that none is trained on


def data_root(root: str | Path | None = None) -> Path:
    """Return the folder of the image files: `root`, else the variable UFM_DATA, else data/ in the project."""
    given = root or os.environ.get("UFM_DATA")
    return Path(given or paths.of_project(paths.ROOT / "data", "UFM_DATA")).expanduser().resolve()


def source(name: str) -> Source:
    """Return the source called `name`, or that of a folder of one's own, see `ufm.data.folders`.

    Raises a ValueError that lists the known names, a DataError where a folder does not hold what it should.
    """
    if is_folder(name):
        return folder_source(name)
    if name not in SOURCES:
        raise ValueError(f"unknown data set {name!r}: choose from {', '.join(SOURCES)}, or give the path of a folder")
    return SOURCES[name]


@cache
def n_scored_on(name: str) -> int:
    """How many images there are to score on under a name."""
    return len(SCORED_ON[name]()[1]) if name in SCORED_ON else source(name).n_train


@cache
def folder_source(path: str) -> Source:
    """The source of a folder of image files."""
    found = folders.described(path)
    # Read once a process: what a fingerprint was taken of is what is trained on, also where the folder changes.
    images = cache(lambda: folders.read(path))
    return Source(found.title, found.n_train, found.shape, lambda contents: images())


@cache
def checksum(name: str) -> str:
    """Return sixteen hexadecimal digits that stand for a data set's images and labels, without reading its files.

    Files are verified whenever they are read, so their published md5s stand for them; embedded images are digested.
    """
    if name not in SCORED_ON and source(name).files:
        return hashlib.sha256("".join(source(name).files.values()).encode()).hexdigest()[:16]
    digest = hashlib.sha256()
    for array in SCORED_ON[name]() if name in SCORED_ON else read(name, data_root()):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def verify(name: str, root: str | Path | None = None) -> None:
    """Check every file of a data set against its published md5.

    Raises:
        DataError: a file is missing or damaged; one line names the folder or file and the command that fetches it.
    """
    for _ in verified(name, data_root(root)):
        pass


def verified(name: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    """The path and the content of every file of a data set under a data root. Raises DataError as `verify` does."""
    for path, md5 in source(name).files.items():
        content = _content(folder / path)
        if content is None:
            raise DataError(f"no {source(name).title} under {folder}: run ufm data {name}")
        if md5_of(content) != md5:
            raise DataError(f"{folder / path} is damaged, its md5 is not the published one: run ufm data {name}")
        yield path, content


def download(name: str, root: str | Path | None = None) -> Path:
    """Fetch what is missing or damaged of a data set, verify all of it, and return the data root.

    A file is there whole or not at all, and of several processes one fetches it.

    Raises:
        DataError: it could not be downloaded or written.
    """
    folder = data_root(root)
    if _lacking(name, folder):
        try:
            with locked(folder, tell=True):
                # Another process may have fetched it while this one waited.
                for path, content in source(name).fetch(_lacking(name, folder)):
                    write(folder / path, content)
        except (OSError, DataError) as error:
            raise DataError(f"could not download {source(name).title} to {folder}: {error}") from error
    verify(name, folder)
    return folder


@lru_cache(maxsize=4)
def read(name: str, root: Path) -> Arrays:
    """Read all splits of a data set, verified, once a process; `root` is a resolved data root."""
    arrays = source(name).read(dict(verified(name, root)))
    return arrays._replace(**{split: read_only(a) for split, a in arrays._asdict().items() if a is not None})


def _lacking(name: str, folder: Path) -> list[str]:
    """The paths of a data set's files that are missing or damaged."""
    files = source(name).files
    return [path for path, md5 in files.items() if md5_of(_content(folder / path) or b"") != md5]


def _content(path: Path) -> bytes | None:
    """What is in a file; None where there is none."""
    return path.read_bytes() if path.is_file() else None
