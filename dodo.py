"""Tasks for doit: executes only the notebooks that changed, two at a time. The Makefile calls it."""

import sys
from pathlib import Path

from doit import get_var

PROFILE = get_var("profile", "embedded")
DOIT_CONFIG = {"dep_file": ".doit.db", "verbosity": 2}
SOURCES = sorted(map(str, Path("src/ufm").glob("*.py")))


def task_execute():
    """Execute the notebooks of the book."""
    for notebook in sorted(Path("notebooks").glob("*.md")):
        name, folder = notebook.stem, Path("_build/runs/book", PROFILE, notebook.stem)
        records = sorted(str(path) for path in Path("book/records", name).rglob("*.*") if path.name[0] != ".")
        yield {
            "name": f"{name} ({PROFILE})",
            "actions": [f"{sys.executable} -m ufm.cli execute {name} --profile {PROFILE}"],
            "file_dep": [str(notebook), *SOURCES, *(records if PROFILE == "paper" else [])],
            # No targets, for a notebook whose models are not yet trained leaves another file.
            "uptodate": [
                lambda folder=folder: any((folder / name).exists() for name in ("notebook.ipynb", "pending.txt"))
            ],
        }
