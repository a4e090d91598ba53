"""Tasks for doit: executes only the notebooks that changed, two at a time. The Makefile calls it."""

import sys

from doit import get_var
from doit.tools import config_changed

from ufm import paths
from ufm.book import notebooks, site
from ufm.records import source_digest

PROFILE = get_var("profile", "embedded")
try:
    INPUTS = {name: site.inputs(PROFILE, name) for name in notebooks.NAMES}
    paths.runs().mkdir(parents=True, exist_ok=True)
except (ValueError, OSError) as error:
    sys.exit(f"ufm: {error}")
DOIT_CONFIG = {"dep_file": str(paths.runs() / ".doit.db"), "verbosity": 2}  # what it knows is of the executions there


def execute(name):
    """Execute a notebook; False, and a line that says why, where what it stands on is wrong."""
    try:
        site.execute(PROFILE, name)
    except (ValueError, OSError) as error:
        print(f"ufm: {error}", file=sys.stderr)
        return False


def task_execute():
    """Execute the notebooks of the book."""
    for name, inputs in INPUTS.items():
        yield {
            "name": f"{name} ({PROFILE})",
            "actions": [(execute, [name])],
            "file_dep": [str(path) for path in inputs],
            # No targets, for a notebook whose models are not yet trained leaves another file.
            "uptodate": [config_changed(source_digest()), (site.is_there, [PROFILE, name])],
        }
