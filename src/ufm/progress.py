"""Progress and remarks on standard error that leave a notebook's stored outputs clean, and durations in words."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import ClassVar, TextIO

from tqdm import tqdm

BETWEEN = 60.0  # seconds between two lines, where there is no terminal


def progress(
    items: Iterable | None, description: str, *, total: int | None = None, show: bool = True
) -> "tqdm | Lines":
    """A tqdm bar on the process's own standard error where that is a terminal, else a line now and then.

    Nothing in a kernel that keeps what its process prints in the notebook. items: what is gone through; None where
    `update` says how many of the `total` are done.
    """
    terminal = sys.__stderr__ is not None and sys.__stderr__.isatty()
    # The kernels of `ufm.book.kernel` leave standard error to the process; another puts it among a cell's outputs.
    kept = "ipykernel" in sys.modules and "UFM_RUN" not in os.environ
    if terminal or kept or not show or sys.__stderr__ is None:
        return tqdm(items, description, total, file=sys.__stderr__, disable=not (terminal and show), leave=False)
    return Lines(items, description, total, file=sys.__stderr__)


def remark(line: str) -> None:
    """Say a line on standard error; a kernel of `ufm.book.kernel` says it on its process's, so no page keeps it."""
    print(line, file=sys.__stderr__ if "UFM_RUN" in os.environ else sys.stderr, flush=True)


class Lines:
    """What tqdm's bar is used for, in lines: at most one a minute of all that is at work, the outermost first.

    How long it will take still is said as if it went on as it did.
    """

    at_work: ClassVar[list["Lines"]] = []
    begun: ClassVar[float]  # when the outermost of them did
    last: ClassVar[float]  # when the last line was written, or the outermost began

    def __init__(
        self,
        items: Iterable | None,
        description: str,
        total: int | None = None,
        *,
        file: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.items, self.description, self.file, self.clock = items, description, file, clock
        self.total = len(items) if isinstance(items, Sized) else total
        self.done = 0
        if not self.at_work:
            Lines.begun = Lines.last = clock()
        self.at_work.append(self)

    def __iter__(self) -> Iterator:
        """The items."""
        try:
            for item in self.items or ():
                yield item
                self.update(1)
        finally:
            self.close()

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def set_description(self, description: str) -> None:
        """Say what is being worked on."""
        self.description = description

    def update(self, n: int) -> None:
        """So many more are done; write a line, if the last one is a minute old."""
        self.done += n
        now = self.clock()
        if now - Lines.last < BETWEEN:
            return
        Lines.last = now
        parts = (f"{one.description}: {one.done}" + f"/{one.total}" * (one.total is not None) for one in self.at_work)
        spent, share, left = now - Lines.begun, 0.0, ""  # share of the outermost: what is inside counts too
        for one in reversed(self.at_work):
            share = (one.done + share) / one.total if one.total else 0.0
        if 0 < share < 1:
            left = f", {duration(spent * (1 / share - 1))} left"
        print(f"{'; '.join(parts)} (after {duration(spent)}{left})", file=self.file, flush=True)

    def close(self) -> None:
        """It is not at work any more."""
        if self in self.at_work:
            self.at_work.remove(self)


def duration(seconds: float) -> str:
    """Seconds in words, such as "12 min"."""
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
