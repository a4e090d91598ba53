"""The reference notebooks notice a change, and the library trains where nothing of the book is installed."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from ufm import paths


def run(command, folder, **variables):
    """Run a Python command with executions and records of its own."""
    own = {"UFM_RUNS": str(folder / "runs"), "UFM_RECORDS": str(folder / "records"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | own | variables,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )


@pytest.mark.parametrize(
    ("file", "was", "becomes", "noticed"),
    [
        ("plan/profiles.py", "learning_rate=1e-3", "learning_rate=1.05e-3", "method-examples"),
        ("plan/profiles.py", "n_ood=500", "n_ood=450", "'500' == '450'"),
        ("scores/effects.py", ") / 2", ") / 2.1", "evidence.contrasts"),
        ("report/tables.py", "digits: int = 3)", "digits: int = 2)", "method-examples"),
    ],
    ids=["training", "default", "score", "table"],
)
def test_a_small_change_fails_the_reference(tmp_path, file, was, becomes, noticed):
    shutil.copytree(paths.ROOT / "src", tmp_path / "src")
    source = tmp_path / "src" / "ufm" / file
    changed = source.read_text(encoding="utf-8").replace(was, becomes)
    assert changed != source.read_text(encoding="utf-8")
    source.write_text(changed, encoding="utf-8")
    reference = paths.ROOT / "tests" / "reference" / "method.ipynb"
    options = ["--nbval", "--nbval-current-env", "-p", "no:cacheprovider"]
    ended = run(["-m", "pytest", *options, str(reference)], tmp_path, PYTHONPATH=str(tmp_path / "src"))
    assert ended.returncode == 1, ended.stdout
    assert noticed in ended.stdout, ended.stdout[-3000:]  # among what differs


def test_no_page_shows_a_number_as_code():
    references = sorted((paths.ROOT / "tests" / "reference").glob("*.ipynb"))
    assert len(references) > 10
    for reference in references:
        assert not re.search(r"np\.(float|int|str|bool)", reference.read_text(encoding="utf-8")), reference.name


def test_training_needs_nothing_of_the_book(tmp_path):
    code = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BOOK:
            raise ImportError(f"{name} is not on this machine")

BOOK = {"IPython", "doit", "ipykernel", "jupyter_book", "jupytext", "myst_nb", "nbformat", "papermill", "sphinx"}
sys.meta_path.insert(0, Missing())
from ufm import cli
from ufm.book import compare
from ufm.plan import registry
from ufm.report import figures, tables
from ufm.study import runs, seeds
seeds.finish(registry.sweeps("embedded")["method"].protocol, [0])
"""
    ended = run(["-c", code], tmp_path)
    assert ended.returncode == 0, ended.stderr
