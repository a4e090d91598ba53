"""The rooms import one another in one direction only, and an import against it is noticed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def copy(tmp_path):
    """A copy of the library and of the contracts that it is held to."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder):
    """What the linter says of a copy, and its exit code."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    return done.stdout, done.returncode


def against(said):
    """The imports that break a contract, in what the linter says."""
    return set(re.findall(r"ufm[\w.]* -> ufm[\w.]*", said))


def test_the_library_keeps_its_contracts(copy):
    said, code = lint(copy)
    assert (against(said), code) == (set(), 0), said


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("files", "from ufm.records import digest"),
        ("paths", "from ufm import device"),
        ("randomness.intruder", "from ufm.scores import contrast"),
        ("scores.intruder", "from ufm.statistics import summary"),
        ("features.intruder", "from ufm.protocol import Protocol"),
        ("measures.intruder", "from ufm import plan"),
        ("training.intruder", "def late():\n    from ufm.plan import sweep"),
        ("study.intruder", "from ufm.evidence import Cards"),
        ("evidence.intruder", "import ufm.report"),
        ("report.intruder", "from ufm.chapters import when"),
        ("chapters.intruder", "from ufm.chapters import when"),
        ("chapters.intruder", "from ufm.chapters.first_plan import printed"),
        ("chapters.intruder", "from ufm import book"),
        ("book.intruder", "from ufm.chapters import when"),
        ("book.intruder", "from ufm import cli"),
    ],
)
def test_an_import_against_a_contract_is_noticed(copy, module, line):
    with open(copy.joinpath("src", "ufm", *module.split(".")).with_suffix(".py"), "a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    said, code = lint(copy)
    assert code == 1
    assert {one.partition(" -> ")[0] for one in against(said)} == {f"ufm.{module}"}


def test_a_room_without_a_place_among_the_layers_is_noticed(copy):
    (copy / "src" / "ufm" / "attic.py").write_text("", encoding="utf-8")
    said, code = lint(copy)
    assert code == 1
    assert "ufm.attic" in said
