"""What is declared, locked and offered to conda users must be the same set of packages."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent


def pin(line):
    """(name, version specifier, marker) of one requirement, comparable however it is spelt."""
    requirement = Requirement(line)
    return canonicalize_name(requirement.name), str(requirement.specifier), str(requirement.marker or "")


@pytest.fixture(scope="module")
def declared():
    """Every direct dependency of pyproject.toml, of all extras, as it is written there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    return [*project["dependencies"], *(line for extra in extras for line in extra)]


@pytest.fixture(scope="module")
def lock():
    """The entries of requirements.lock, each with its hashes on one line."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


@pytest.fixture(scope="module")
def conda():
    """The dependencies of environment.yml: conda's own, and the list under `pip:`."""
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    own = [entry for entry in dependencies if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in dependencies if not isinstance(entry, str)]
    return own, pip


def test_each_dependency_says_why(declared):
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    commented = re.findall(r'^  "([^"]+)",\s+# \w.{5,}$', text, flags=re.MULTILINE)
    assert sorted(commented) == sorted(declared)


def test_each_dependency_has_a_floor_below_the_lock(declared, lock):
    locked = {}
    for entry in lock:
        requirement = Requirement(entry.split("--hash")[0])
        locked.setdefault(canonicalize_name(requirement.name), []).append(str(requirement.specifier).removeprefix("=="))
    for line in declared:
        requirement = Requirement(line)
        assert ">=" in str(requirement.specifier), line
        for version in locked[canonicalize_name(requirement.name)]:
            assert requirement.specifier.contains(version), line


def test_lock_has_hashes_and_no_address(lock):
    assert [entry for entry in lock if "--hash=sha256:" not in entry] == []
    assert "://" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_conda_brings_only_python_and_pip(conda):
    own, _ = conda
    assert {re.split(r"[<>=! ]", entry)[0] for entry in own} == {"python", "pip"}


def test_conda_environment_has_the_locks_versions(conda, declared, lock):
    _, pip = conda
    assert pip[-1] == "-e ."
    pins = [pin(line) for line in pip if not line.startswith(("-e ", "-r "))]
    names = {canonicalize_name(Requirement(line).name) for line in declared}
    assert {name for name, _, _ in pins} == names
    locked = [pin(entry.split("--hash")[0]) for entry in lock]
    assert sorted(pins) == sorted(entry for entry in locked if entry[0] in names)


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_use_what_is_pinned_with_no_more_rights_than_reading(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    makes = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step.get("uses", "a/b@" + 40 * "0"))
            assert not step.get("uses", "").startswith("actions/checkout") or step["with"] == {
                "persist-credentials": False
            }
            assert set(re.findall(r"^make (\w+)", step.get("run", ""))) <= makes


def test_the_floors_are_tried_each_week():
    [weekly] = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS if path.stem == "weekly"]
    assert {"run": "make floors"} in weekly["jobs"]["floors"]["steps"]
