"""Recipes work, and touch nothing of others, wherever the checkout lies."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TARGETS = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1].split()
AWKWARD = "my backup & Ärger's/ufm"  # a space, an ampersand, an umlaut, an apostrophe
# Stands for every program of .venv: it says how it was called, from where, and what of the environment points to files.
PROGRAM = """#!/bin/bash
printf '%s|' "${0##*/}" "$PWD" "$@" UFM_RUNS="${UFM_RUNS:-}" UFM_RECORDS="${UFM_RECORDS:-}" >> "$CALLS"
echo >> "$CALLS"
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout at an awkward place with stand-ins for its programs, and beside it folders of somebody else."""
    folder = tmp_path / AWKWARD
    for name in (".venv/bin", "book/benchmarks", "_build", "tests/reference"):
        (folder / name).mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("pip", "ufm", "doit", "ruff", "lint-imports", "mypy", "coverage", "pytest", "python", "uv", "python3"):
        program = folder / ".venv/bin" / name
        program.write_text(PROGRAM, encoding="utf-8")
        program.chmod(0o755)
    (folder / ".venv/.ready").touch()
    for neighbour in ("my", "backup", "my backup & Ärger's/_build", "my backup & Ärger's/ufm 2"):
        (tmp_path / neighbour).mkdir(parents=True, exist_ok=True)
        (tmp_path / neighbour / "precious").write_text("not ours", encoding="utf-8")
    return folder


def run(checkout, *arguments):
    """The calls that `make` with these arguments makes of the stand-ins, each a list of words."""
    calls = checkout.parent / "calls"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "UFM_"))}
    environment |= {"CALLS": str(calls), "PATH": f"{checkout / '.venv/bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["make", *arguments], cwd=checkout, env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return [line.split("|")[:-1] for line in calls.read_text(encoding="utf-8").splitlines()] if calls.exists() else []


def others(checkout):
    """What lies beside the checkout, by path."""
    every = [path for path in checkout.parent.parent.rglob("*") if checkout not in path.parents]
    return {str(path): path.read_text(encoding="utf-8") for path in every if path.is_file() and path.name != "calls"}


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_leaves_the_neighbours_of_a_checkout_alone(checkout, target):
    before = others(checkout)
    given = {"run": ["NOTEBOOK=controls", "ARGS=-p n_seeds 8"], "compare": ["RUN=_build/runs/my 'own' & run"]}
    calls = run(checkout, target, *given.get(target, []))
    assert others(checkout) == before
    assert all(call[1] == str(checkout) for call in calls)
    assert calls or target in ("help", "install", "clean")
    for call in calls:
        for name, path in (word.split("=", 1) for word in call if word.startswith("UFM_")):
            assert not path or Path(path).is_relative_to(checkout / "_build"), f"{name} is {path}"


def test_arguments_reach_programs_whole(checkout):
    [call] = run(checkout, "compare", "RUN=_build/runs/my 'own' & run")
    assert call[2:4] == ["compare", "_build/runs/my 'own' & run"]


def test_the_regression_starts_from_nothing_of_its_own(checkout):
    stale = checkout / "_build/regression/runs/stale"
    stale.mkdir(parents=True)
    run(checkout, "regression")
    assert not stale.exists()
    assert (checkout / "_build").exists()


def test_no_recipe_holds_the_path_of_its_checkout():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert not re.search(r"CURDIR|abspath|realpath", text)
    removed = re.findall(r"rm -r?f\S* (\S+)", text)
    assert removed
    assert all(re.fullmatch(r"_build(/\w+)?", path) for path in removed)
