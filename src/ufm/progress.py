"""Progress on the terminal that leaves a notebook's stored outputs clean, and durations in words."""

import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress(items: Iterable, description: str, *, show: bool = True) -> tqdm:
    """A tqdm bar on the process's own standard error, which is no notebook output; none where that is no terminal."""
    return tqdm(items, description, file=sys.__stderr__, disable=None if show else True, leave=False)


def duration(seconds: float) -> str:
    """Seconds in words, such as "12 min"."""
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
