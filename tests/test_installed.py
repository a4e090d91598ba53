"""The library installed without the project around it, and without what only some commands need."""

import json
import os
import re
import subprocess
import sys
import zipfile

import pytest

from ufm import paths
from ufm.book.library import reference
from ufm.data import sources

SCRIPT = """
import contextlib, io, json, sys
from ufm import cli
said = {}
for command in sys.argv[1:]:
    sys.argv = ["ufm", *command.split()]
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
    said[command] = code, output.getvalue(), errors.getvalue().splitlines()
print(json.dumps(said))
"""
ALONE = "for the library is installed without the rest of the project;"
CHECKOUT = "use a checkout of it, where `make install` sets up all"
LACKING = {
    "run method": "notebooks",
    "book": "notebooks",
    "pdf": "_build/html",
    "ipynb out": "notebooks",
    "readme": "README.md",
    "reproduce --list": "book/records",
    "records verify": "book/records",
    "pictures": "data",
    "data mnist": "data",
    "hosts mnist": "book/records",
}
BRINGS = "`pip install 'ufm[book,cluster]'` brings it"
VARIABLES = {"book/records": "set UFM_RECORDS, or ", "data": "set UFM_DATA, or "}
# Stands for a machine without packages of some names.
WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """What `pip install .` puts among the packages of an environment."""
    folder = tmp_path_factory.mktemp("environment") / "lib" / "python3" / "site-packages"
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=paths.ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    wheel.unlink()
    return folder


def said(library, folder, commands, before="", **variables):
    """Exit code, standard output and lines of standard error of each command, from one process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UFM_")}
    environment |= {"PYTHONPATH": str(library), **variables}
    command = [sys.executable, "-c", before + SCRIPT, *commands]
    done = subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_commands_of_the_library_alone_say_what_is_missing(library, tmp_path):
    before = sorted(library.parents[2].rglob("*"))
    found = said(library, tmp_path, LACKING, PYTHONDONTWRITEBYTECODE="1")
    for command, place in LACKING.items():
        either = VARIABLES.get(place, "")
        assert found[command] == [2, "", [f"ufm: no {place} here, {ALONE} {either}{CHECKOUT}"]]
    assert sorted(library.parents[2].rglob("*")) == before  # nothing is written into the environment
    assert not list(tmp_path.iterdir())


def test_the_library_alone_keeps_things_where_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ALONE", True)
    for variable, place in (
        ("UFM_RECORDS", paths.committed_records),
        ("UFM_RUNS", paths.runs),
        ("UFM_DATA", sources.data_root),
    ):
        monkeypatch.setenv(variable, str(tmp_path))
        assert place() == tmp_path
        monkeypatch.delenv(variable)
        with pytest.raises(ValueError, match=f"{ALONE} set {variable}, or use a checkout"):
            place()


@pytest.mark.parametrize(
    ("missing", "commands"),
    [
        ("jupytext", ["run method", "book", "ipynb out", "compare ."]),
        ("distributed", ["reproduce method --workers 1"]),
    ],
)
def test_a_command_says_which_package_it_lacks(tmp_path, missing, commands):
    before, line = WITHOUT.format(names={missing}), f"ufm: {missing} is not installed; {BRINGS}"
    found = said(paths.ROOT / "src", tmp_path, [*commands, "--help"], before, UFM_RECORDS=str(tmp_path))
    assert found.pop("--help")[0] == 0
    assert found == {command: [2, "", [line]] for command in commands}


def test_the_book_is_built_without_what_only_trains():
    """Sphinx imports every module of the library to document it, with stand-ins for packages that are not there."""
    documented = re.findall(r"^\.\. automodule:: (.*)$", "".join(reference().values()), flags=re.MULTILINE)
    assert len(documented) > 100
    code = f"""
import ufm.cli.site, ufm.book.site, ufm.book.social
assert not {{"distributed", "torch", "torchvision"}} & set(sys.modules)
sys.path.insert(0, {str(paths.BOOK / "_ext")!r})
import importlib, ufm_stand_ins
ufm_stand_ins.setup(None)
for name in {documented}:
    importlib.import_module(name)
from ufm.networks.build import build
assert repr(build.__annotations__["dtype"]) == "torch.dtype"
"""
    without = WITHOUT.format(names={"dask", "distributed", "torch", "torchvision"})
    done = subprocess.run(
        [sys.executable, "-c", without + code], check=False, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
