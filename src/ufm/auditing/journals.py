"""What a model has answered so far, kept in a file while an audit is long, so that a broken-off one goes on there."""

import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ufm.files import write

BETWEEN = 30.0  # seconds between two writings
NAME = "so-far.npz"
TOLERANCE = 1e-4  # nats, by which a model may answer an image otherwise another time


class Journal:
    """How a model answered marks, in the order of the pool, by the kind of images on which they were stamped."""

    def __init__(self, path: Path | None = None, of: Mapping[str, object] | None = None, *, resume: bool = False):
        """Begin, or go on with what a file holds.

        Args:
            path: of the file; without one nothing is kept.
            of: what is audited and how, which JSON can hold: the file is of the same.
            resume: whether what the file holds is used.

        Raises:
            ValueError: the file is there and is not to be used, is damaged, or is of another audit.
        """
        self.path, self.of, self.arrays = path, json.loads(json.dumps(dict(of or {}))), {}
        self.written = time.monotonic()
        self.changed = False
        if path is None or not path.exists():
            return
        if not resume:
            raise ValueError(f"{path}: an audit was broken off here; --resume goes on with it, or name another folder")
        try:
            with np.load(path, allow_pickle=False) as file:
                self.arrays = {name: file[name] for name in file.files}
            of_file = dict(json.loads(str(self.arrays.pop("of"))))
        except (OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile) as error:
            raise ValueError(f"{path}: is damaged; remove it and begin anew") from error
        for name, value in self.of.items():
            if of_file.get(name) != value:
                raise ValueError(f"{path}: is of another audit, for {name} was {of_file.get(name)}, not {value}")

    def n(self, kind: str) -> int:
        """How many marks were answered on images of a kind."""
        return len(self.arrays.get(f"{kind}_shift", ()))

    def recall(self, kind: str, clean: np.ndarray) -> None:
        """Compare what the model answers on the images of a kind as they are with what it did, or note it.

        Raises ValueError: it is another by now.
        """
        known = self.arrays.setdefault(f"{kind}_clean", clean)
        if known.shape != clean.shape or not np.allclose(known, clean, atol=TOLERANCE):
            raise ValueError("predict: answers otherwise than before the audit was broken off; begin anew")

    def add(self, kind: str, moved: Mapping[str, np.ndarray]) -> None:
        """Note how the next marks move the outputs, arrays (n_marks, …) by name; now and then, write it."""
        for name, values in moved.items():
            known = self.arrays.get(f"{kind}_{name}")
            self.arrays[f"{kind}_{name}"] = values if known is None else np.concatenate([known, values])
        self.changed = True
        if time.monotonic() - self.written > BETWEEN:
            self.keep()

    def keep(self) -> bool:
        """Write what was answered, if there is a file and anything that it does not hold; whether there is anything."""
        if self.path is None or not any(name.endswith("_shift") for name in self.arrays):
            return False
        if self.changed:
            file = io.BytesIO()
            np.savez(file, of=np.array(json.dumps(self.of)), **self.arrays)
            write(self.path, file.getvalue())
            self.changed, self.written = False, time.monotonic()
        return True

    def remove(self) -> None:
        """The audit is over: forget what was answered, in the file too."""
        self.arrays = {}
        if self.path is not None:
            self.path.unlink(missing_ok=True)
