"""What is declared, locked and offered to conda users must be the same set of packages."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ufm.book import published

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


RIGHTS = {  # of jobs that do more than read; none of them runs what was installed
    ("book", "deploy"): {"pages": "write", "id-token": "write"},
    ("book", "notebooks"): {"contents": "write"},
}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_use_what_is_pinned_with_no_more_rights_than_they_need(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    makes = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for name, job in workflow["jobs"].items():
        assert job.get("permissions") == RIGHTS.get((path.stem, name))
        assert job["timeout-minutes"] <= 60
        runs = " ".join(step.get("run", "") for step in job["steps"])
        assert "permissions" not in job or not re.search(r"pip|make|\.venv|python", runs)
        for step in job["steps"]:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step.get("uses", "a/b@" + 40 * "0"))
            assert not step.get("uses", "").startswith("actions/checkout") or step["with"] == {
                "persist-credentials": False
            }
            assert set(re.findall(r"^make (\w+)", step.get("run", ""), re.MULTILINE)) <= makes


def test_an_action_is_the_same_commit_everywhere_and_says_its_version():
    lines = [line for path in WORKFLOWS for line in path.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    found = [re.fullmatch(r"(?: *-)? *uses: ([\w/-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", line) for line in lines]
    assert all(found), lines
    assert len({match.groups() for match in found}) == len({match[1] for match in found})


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("citation-file-format", [ROOT / "CITATION.cff"]),
    ],
    ids=["workflows", "citation"],
)
def test_files_for_others_keep_their_schemas(schema, files, tmp_path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*command, *files], check=False, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "broken.yml").write_text("jobs: {one: {steps: 3}}\ntitle: [1]\n", encoding="utf-8")
    assert subprocess.run([*command, tmp_path / "broken.yml"], check=False, capture_output=True).returncode == 1


def test_zenodo_is_told_what_the_citation_file_says():
    zenodo = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for ours, theirs in {"upload_type": "type", "title": "title", "description": "abstract"}.items():
        assert zenodo[ours] == citation[theirs]
    assert zenodo["version"] == citation["version"] == project["version"]
    assert zenodo["license"] == citation["license"] == project["license"]
    assert zenodo["keywords"] == citation["keywords"]
    assert zenodo.get("doi") == citation.get("doi")
    people = [one.get("name") or f"{one['family-names']}, {one['given-names']}" for one in citation["authors"]]
    assert [one["name"] for one in zenodo["creators"]] == people
    works = [one.get("doi") or one["identifiers"][0]["value"] for one in citation["references"]]
    assert [one["identifier"] for one in zenodo["related_identifiers"]] == works


def test_workflows_try_every_python_that_is_offered_and_the_file_that_is_published():
    test, book = (
        yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text("utf-8")) for name in ("test", "book")
    )
    assert test["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"] == ">=3.11"
    [script] = [step["run"] for step in book["jobs"]["notebooks"]["steps"] if "run" in step]
    assert f"/{published.NOTEBOOKS}/$name.ipynb" in script  # where the site has them
    assert f"--initial-branch {published.NOTEBOOKS}\n" in script  # and where links to Colab and Binder lead


def test_the_floors_are_tried_each_week():
    [weekly] = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS if path.stem == "weekly"]
    assert {"run": "make floors"} in weekly["jobs"]["floors"]["steps"]
