"""Where things lie, in one place; nothing depends on the working directory."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
BOOK = ROOT / "book"
BUILD = ROOT / "_build"


def committed_records() -> Path:
    """Records that belong to the book; UFM_RECORDS replaces them."""
    return Path(os.environ.get("UFM_RECORDS") or BOOK / "records").absolute()


def runs() -> Path:
    """Where executions write, all of it; UFM_RUNS replaces it."""
    return Path(os.environ.get("UFM_RUNS") or BUILD / "runs").absolute()


def run_folder(notebook: str) -> Path:
    """The folder of the execution under way: UFM_RUN, set by whoever executes; else one a notebook."""
    return Path(os.environ.get("UFM_RUN") or runs() / "interactive" / notebook).absolute()
