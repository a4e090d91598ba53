"""The names that scripts take from `ufm` itself, and what the page of the library says of them."""

import doctest
import importlib
import re
import shutil
import subprocess
import sys

import pytest

import ufm
from ufm import paths
from ufm.book import library

ROOMS = library.reference()
OWN = (paths.BOOK / library.PAGE).read_text(encoding="utf-8").replace(library.PLACE, library.contents())
PAGE = "\n".join([OWN, *ROOMS.values()])
ROWS = re.findall(r"^\| `(\w+)` \|.*\{py:\w+\}`([\w.]+)` \|$", PAGE, flags=re.MULTILINE)


def test_the_page_lists_every_name_and_where_it_is_documented():
    assert {name for name, _ in ROWS} == set(ufm.__all__)
    assert len(ROWS) == len(ufm.__all__)
    for name, place in ROWS:
        home, _, its_name = place.rpartition(".")
        assert getattr(ufm, name) is getattr(importlib.import_module(home), its_name)
        assert re.search(rf"automodule:: {re.escape(home)}\n   :members:\n", PAGE)


def test_every_module_of_the_page_is_there():
    for module in re.findall(r"automodule:: (\S+)", PAGE):
        importlib.import_module(module)


def test_every_module_that_offers_something_is_documented_once():
    shown = {module: set() for module in re.findall(r"automodule:: (\S+)", PAGE)}
    for path in sorted((paths.ROOT / "src" / "ufm").glob("*/*.py")):
        room, names = path.parent.name, library.public(path)
        name = f"ufm.{room}" if path.stem == "__init__" else f"ufm.{room}.{path.stem}"
        covered = library.public(path.with_name("__init__.py"))
        assert (name in shown) == bool(names - (set() if path.stem == "__init__" else covered)), name
    assert list(ROOMS) == library.rooms()
    for room, page in ROOMS.items():
        modules = re.findall(r"automodule:: (\S+)", page)
        assert modules
        assert all(name.split(".")[1] == room for name in modules)


def test_the_page_leads_to_that_of_every_room(tmp_path):
    shutil.copy(paths.BOOK / library.PAGE, tmp_path)
    names = library.write(tmp_path)
    assert names == [f"api/{room}" for room in library.rooms()]
    text = (tmp_path / library.PAGE).read_text(encoding="utf-8")
    assert library.PLACE not in text
    assert re.findall(r"\]\((api/\w+)\.md\) \| \S", text) == names
    for name in names:
        page = (tmp_path / f"{name}.md").read_text(encoding="utf-8")
        assert re.findall(r"^# .*", page, flags=re.MULTILINE) == [f"# Library: {name[4:].replace('_', ' ')}"]


def test_dir_lists_these_names():
    assert dir(ufm) == sorted(ufm.__all__)


def test_another_name_is_an_error():
    with pytest.raises(AttributeError, match="module 'ufm' has no attribute 'nonsense'"):
        ufm.nonsense  # noqa: B018
    with pytest.raises(ImportError, match="nonsense"):
        from ufm import nonsense  # noqa: F401


def test_importing_imports_nothing_slow():
    script = (
        "import sys, ufm\nassert dir(ufm)\n"
        "slow = {'torch', 'pandas', 'numpy', 'matplotlib'} & sys.modules.keys()\nassert not slow, slow"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr


def test_the_example_does_what_the_page_says():
    example = doctest.DocTestParser().get_doctest(OWN, {}, "api.md", "book/api.md", 0)
    said = []
    result = doctest.DocTestRunner().run(example, out=said.append)
    assert (result.failed, len(example.examples)) == (0, 8), "".join(said)
