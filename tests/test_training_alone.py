"""A training in a process of its own, on a machine where nothing of the book is installed: what it imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ufm.records import provenance

SCRIPT = """
import json, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BOOK:
            raise ImportError(f"{name} is not on this machine")

BOOK = {"IPython", "doit", "ipykernel", "jupyter_book", "jupytext", "myst_nb", "nbformat", "papermill", "sphinx"}
sys.meta_path.insert(0, Missing())
from ufm.plan import registry
from ufm.study import seeds
seeds.finish(registry.sweeps("embedded")["method"].protocol, [0])
print(json.dumps({name: getattr(module, "__file__", None) for name, module in sys.modules.items()}))

from ufm import cli
from ufm.book import compare
from ufm.report import figures, tables
from ufm.study import runs
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The process, ended; it printed the files of all modules that were there after a seed was trained, by name."""
    folder = tmp_path_factory.mktemp("alone")
    own = {"UFM_RUNS": str(folder / "runs"), "UFM_RECORDS": str(folder / "records"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )


def test_training_needs_nothing_of_the_book(alone):
    assert alone.returncode == 0, alone.stderr


def test_the_code_that_trains_is_all_that_training_imports(alone):
    used = {Path(file) for name, file in json.loads(alone.stdout).items() if name.startswith("ufm")}
    used = {path for path in used if path.parent.name != "plan"}
    assert len(used) > 30
    assert used <= set(provenance.stood_on("study/seeds.py"))


def test_importing_the_training_code_does_not_import_torchs_compiler(alone):
    imported = json.loads(alone.stdout)
    assert "torch" in imported
    assert "torch._dynamo" not in imported
