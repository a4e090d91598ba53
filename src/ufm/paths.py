"""Where things lie, in one place; nothing depends on the working directory."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
BOOK = ROOT / "book"
BUILD = ROOT / "_build"
ALONE = Path(__file__).resolve().parents[1].name != "src"  # installed without the project around the library


def of_project(place: Path, variable: str = "") -> Path:
    """A place that only a checkout of the project has; alone, a ValueError names the variable for another."""
    if ALONE:
        either = f"set {variable}, or " if variable else ""
        raise ValueError(
            f"no {place.relative_to(ROOT)} here, for the library is installed without the rest of the project; "
            f"{either}use a checkout of it, where `make install` sets up all"
        )
    return place


def committed_records() -> Path:
    """Records that belong to the book; UFM_RECORDS replaces them."""
    return Path(os.environ.get("UFM_RECORDS") or of_project(BOOK / "records", "UFM_RECORDS")).absolute()


def runs() -> Path:
    """Where executions write, all of it; UFM_RUNS replaces it."""
    return Path(os.environ.get("UFM_RUNS") or of_project(BUILD / "runs", "UFM_RUNS")).absolute()


def run_folder(notebook: str) -> Path:
    """The folder of the execution under way: UFM_RUN, set by whoever executes; else one a notebook."""
    return Path(os.environ.get("UFM_RUN") or runs() / "interactive" / notebook).absolute()
