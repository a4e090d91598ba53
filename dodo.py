"""Tasks for doit: executes only the notebooks that changed, two at a time. The Makefile calls it."""

import sys
from pathlib import Path

from doit import get_var

from ufm import paths
from ufm.book import site
from ufm.plan import profiles, registry

PROFILE = get_var("profile", "embedded")
try:
    profiles.known(PROFILE)
except ValueError as error:
    sys.exit(f"ufm: {error}")
paths.runs().mkdir(parents=True, exist_ok=True)
DOIT_CONFIG = {"dep_file": str(paths.runs() / ".doit.db"), "verbosity": 2}  # what it knows is of the executions there
COMMON = ["requirements.lock", *sorted(map(str, Path("src/ufm").rglob("*.py")))]


def execute(name):
    """Execute a notebook; False, and a line that says why, where what it stands on is wrong."""
    try:
        site.execute(PROFILE, name)
    except (ValueError, OSError) as error:
        print(f"ufm: {error}", file=sys.stderr)
        return False


def task_execute():
    """Execute the notebooks of the book."""
    for notebook in sorted(paths.NOTEBOOKS.glob("*.md")):
        name, folder = notebook.stem, paths.runs() / "book" / PROFILE / notebook.stem
        sweeps = [paths.committed_records() / sweep for sweep in registry.chapter(name, PROFILE)]
        records = sorted(str(path) for sweep in sweeps for path in sweep.rglob("*.*") if path.name[0] != ".")
        yield {
            "name": f"{name} ({PROFILE})",
            "actions": [(execute, [name])],
            "file_dep": [str(notebook), *COMMON, *(records if PROFILE == "paper" else [])],
            # No targets, for a notebook whose models are not yet trained leaves another file.
            "uptodate": [
                lambda folder=folder: any((folder / one).exists() for one in ("manifest.json", "pending.txt"))
            ],
        }
