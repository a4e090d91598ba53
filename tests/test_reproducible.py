"""An execution on shuffled labels does not agree with one on the true ones."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ufm import paths
from ufm.book.compare import DIFFERS, compare_runs

READ = "    pixels, labels = load_digits(return_X_y=True)\n"
SHUFFLED = READ + "    labels = np.random.default_rng(0).permutation(labels)\n"
EXECUTE = """
import sys
from pathlib import Path
from ufm import paths
from ufm.book import notebooks

assert str(paths.ROOT) == sys.argv[1], paths.ROOT
notebooks.execute("when", dict(n_seeds=8, n_train=400, n_ood=40), Path(sys.argv[2]), threads=1)
"""


def execute(root, folder):
    """Execute the chapter When in a process of its own, with the library under `root` and no records to re-use."""
    own = {name: str(folder / name) for name in ("UFM_RECORDS", "UFM_RUNS")}
    environment = os.environ | own | {"PYTHONPATH": str(root / "src")}
    command = [sys.executable, "-c", EXECUTE, str(root), str(folder / "run")]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return folder / "run"


def copy(root, *changes):
    """A copy of the library and the notebooks in which texts of some modules are changed."""
    shutil.copytree(Path(paths.__file__).parent, root / "src" / "ufm", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(paths.NOTEBOOKS, root / "notebooks")
    for name, before, after in changes:
        module = root / "src" / "ufm" / name
        text = module.read_text(encoding="utf-8")
        assert text.count(before) == 1
        module.write_text(text.replace(before, after), encoding="utf-8")
    return root


def test_shuffled_labels_are_told_from_true_ones(tmp_path):
    shorter = ("plan/profiles.py", "epochs=10", "epochs=6")
    true = execute(copy(tmp_path / "true", shorter), tmp_path / "1")
    shuffled = execute(copy(tmp_path / "shuffled", shorter, ("data/embedded.py", READ, SHUFFLED)), tmp_path / "2")
    parameters = [
        json.loads((run / "manifest.json").read_text(encoding="utf-8"))["parameters"] for run in (true, shuffled)
    ]
    assert parameters[0] == parameters[1]
    rows, agree = compare_runs(true, shuffled)
    assert not agree
    assert len(rows) == 11
    verdicts = rows.set_index("quantity")["verdict"]
    assert verdicts["letter host after the last epoch"] == DIFFERS
