"""The caller's environment does not reach a notebook's kernel, and a kernel that dies is one line."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

from ufm import paths
from ufm.book import kernel, notebooks
from ufm.files import scratch

NOTEBOOK = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Drawn

```{code-cell} ipython3
:tags: [parameters]

what = "draw"  # type: str what the second cell does
```

```{code-cell} ipython3
---
mystnb:
  figure:
    caption: A line from nought to one.
    name: fig-drawn-line
---
import os
import signal
import sys
import warnings

import matplotlib.pyplot as plt

if what == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if what == "orphan":
    os.kill(os.getppid(), signal.SIGKILL)
if what == "draw":
    _ = plt.plot([0, 1])
```

```{code-cell} ipython3
warnings.warn("which an error would end here")
print(sys.executable, "Ünï", os.environ["MPLBACKEND"])
```
"""
EXECUTE = """
import sys
from pathlib import Path
from ufm.book import notebooks

notebooks.NAMES, notebooks.paths.NOTEBOOKS = ("drawn",), Path(sys.argv[1])
notebooks.execute("drawn", {"what": sys.argv[3]}, Path(sys.argv[2]))
"""


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "drawn.md").write_text(NOTEBOOK, encoding="utf-8")
    monkeypatch.setattr(paths, "NOTEBOOKS", folder)
    monkeypatch.setattr(notebooks, "NAMES", ("drawn",))
    return tmp_path


def another_python(folder):
    """A kernel of the same name that cannot start, first on the caller's path."""
    spec = folder / "kernels" / "python3"
    spec.mkdir(parents=True)
    command = ["/nowhere/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": command, "display_name": "other", "language": "python"}), encoding="utf-8"
    )
    return folder


def test_a_hostile_environment_changes_nothing_of_a_page(drawn):
    nowhere, long = drawn / "no-home", drawn / ("long-" * 18)
    nowhere.mkdir(mode=0o555)
    long.mkdir()
    hostile = {
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(nowhere / "matplotlib"),
        "HOME": str(nowhere),
        "JUPYTER_PATH": str(another_python(drawn / "jupyter")),
        "TMPDIR": str(long),
        "PYTHONWARNINGS": "error::UserWarning",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    command = [sys.executable, "-c", EXECUTE, str(paths.NOTEBOOKS), str(drawn / "run"), "draw"]
    done = subprocess.run(
        command, env=os.environ | hostile, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    notebook = nbformat.read(drawn / "run" / "notebook.ipynb", 4)
    _, figure, said = (cell for cell in notebook.cells if cell.cell_type == "code" and "remove-cell" not in tags(cell))
    assert any("image/svg+xml" in output.get("data", {}) for output in figure.outputs)
    assert "".join(output.get("text", "") for output in said.outputs if output.get("name") == "stdout").split() == [
        sys.executable,
        "Ünï",
        "module://matplotlib_inline.backend_inline",
    ]
    assert str(nowhere) not in nbformat.writes(notebook)
    assert not list(long.iterdir())
    assert not list(nowhere.iterdir())


def tags(cell):
    return cell.metadata.get("tags", [])


def test_a_kernel_that_dies_is_one_line(drawn):
    with pytest.raises(ValueError, match=r"^drawn: its kernel died, .*memory") as error:
        notebooks.execute("drawn", {"what": "die"}, drawn / "run")
    assert "\n" not in str(error.value)
    assert not (drawn / "run" / "notebook.ipynb").exists()


def test_a_figure_without_a_picture_is_an_error(drawn):
    with pytest.raises(ValueError, match=r"^drawn: the figure fig-drawn-line left no picture"):
        notebooks.execute("drawn", {"what": "nothing"}, drawn / "run")


def test_the_callers_environment_is_as_before(drawn, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    before = dict(os.environ)
    with kernel.environment(drawn / "run", drawn / "scratch", 1):
        assert "PYTHONWARNINGS" not in os.environ
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert dict(os.environ) == before


def test_what_a_killed_execution_leaves_lies_in_one_folder_and_goes_at_the_next_start(drawn, monkeypatch):
    # The path of a test's own folder may be too long for this.
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-c", EXECUTE, str(paths.NOTEBOOKS), str(drawn / "run"), "orphan"]
        done = subprocess.run(command, env=os.environ | {"TMPDIR": temporary}, check=False)
        assert done.returncode == -signal.SIGKILL
        (place,) = Path(temporary).iterdir()
        (left,) = (path for path in place.iterdir() if path.is_dir())
        assert (left / "connection.json").exists()
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        with scratch() as folder:
            assert [path for path in place.iterdir() if path.is_dir()] == [folder]
