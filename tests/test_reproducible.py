"""A second execution agrees with the first, and one on shuffled labels does not."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ufm import paths
from ufm.compare import AGREES, DIFFERS, compare_runs

READ = "    pixels, labels = load_digits(return_X_y=True)\n"
SHUFFLED = READ + "    labels = np.random.default_rng(0).permutation(labels)\n"
EXECUTE = """
import sys
from pathlib import Path
from ufm import notebooks, paths

assert str(paths.ROOT) == sys.argv[1], paths.ROOT
notebooks.execute("when", dict(n_seeds=8, n_train=400), Path(sys.argv[2]), threads=1)
"""


def execute(folder, root=paths.ROOT):
    """Execute the chapter When in processes of its own, with the library under `root` and no records to re-use."""
    own = {name: str(folder / name) for name in ("UFM_RECORDS", "UFM_RUNS")}
    environment = os.environ | own | {"PYTHONPATH": str(root / "src")}
    command = [sys.executable, "-c", EXECUTE, str(root), str(folder / "run")]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def shuffling_copy(tmp_path_factory):
    """A copy of the library and the notebooks in which the digits' labels are shuffled."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(Path(paths.__file__).parent, root / "src" / "ufm", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(paths.NOTEBOOKS, root / "notebooks")
    module = root / "src" / "ufm" / "embedded.py"
    text = module.read_text()
    assert text.count(READ) == 1
    module.write_text(text.replace(READ, SHUFFLED))
    return root


def test_the_same_parameters_agree_and_shuffled_labels_differ(tmp_path, shuffling_copy):
    first = execute(tmp_path / "first")
    second = execute(tmp_path / "second")
    assert (second / "notebook.ipynb").read_bytes() == (first / "notebook.ipynb").read_bytes()
    rows, agree = compare_runs(first, second)
    assert agree
    assert set(rows["verdict"]) == {AGREES}
    assert len(rows) == 8

    shuffled = execute(tmp_path / "shuffled", shuffling_copy)
    parameters = [json.loads((run / "manifest.json").read_text())["parameters"] for run in (first, shuffled)]
    assert parameters[0] == parameters[1]
    rows, agree = compare_runs(first, shuffled)
    assert not agree
    verdicts = rows.set_index("quantity")["verdict"]
    assert verdicts["control host after the last epoch"] == DIFFERS
