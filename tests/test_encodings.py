"""Texts are UTF-8 whatever the locale: files name their encoding, and the command line begins anew where it must."""

import ast
import os
import subprocess
import sys

import pytest

from ufm import paths
from ufm.study.notebook_parameters import PARAMETERS

FOLDERS = ("src", "tests", "book", "benchmarks")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
RUN = """
import sys
from ufm.book import notebooks, site
notebooks.execute = lambda name, given, *rest, **settings: print(given, sys.stdout.encoding) or "executed"
site.page = lambda *_: "page"
from ufm import cli
cli.main()
"""


def lacks_encoding(call):
    """Whether a call opens text, a file's or another process's, in whatever encoding the locale has."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in call.keywords}
    if "encoding" in given:
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) < 1 + (name == "write_text")
    if name == "open" and isinstance(call.func, ast.Name):
        mode = call.args[1].value if len(call.args) > 1 else given.get("mode", "r")
        return "b" not in mode
    return "text" in given and name in ("run", "Popen", "check_output")


def lacking(text):
    """Lines of code on which encodings are lacking."""
    return [node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and lacks_encoding(node)]


def test_every_text_names_its_encoding():
    """Also where ruff does not know what is opened."""
    files = [path for folder in FOLDERS for path in (paths.ROOT / folder).rglob("*.py")]
    assert len(files) > 200
    assert not [
        f"{path}:{line}"
        for path in [*files, paths.ROOT / "dodo.py"]
        for line in lacking(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("a.read_text()\nb.write_text(c)\nopen(d)\nopen(e, 'w')\nsubprocess.run(f, text=True)", [1, 2, 3, 4, 5]),
        ("a.read_text('utf-8')\nb.write_text(c, encoding='utf-8')\nopen(d, 'rb')\nsubprocess.run(f)", []),
        ("Image.open(a)\nopen(b, encoding='utf-8')\nsubprocess.run(c, text=True, encoding='utf-8')", []),
    ],
)
def test_lacking_encodings_are_found(code, lines):
    assert lacking(code) == lines


def test_arguments_are_utf8_under_another_locale():
    command = [sys.executable, "-c", RUN, "run", "method", "-p", "feature", "Ünï"]
    done = subprocess.run(command, env=os.environ | ASCII, check=False, capture_output=True)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert done.stdout.decode().startswith("{'feature': 'Ünï'} utf-8\n")


def test_bytes_that_are_no_text_are_refused_by_name():
    assert PARAMETERS["feature"].value("Ünï") == "Ünï"
    with pytest.raises(ValueError, match=r"^feature takes str or None, not '\\udcdcn'$"):
        PARAMETERS["feature"].value(b"\xdcn".decode(errors="surrogateescape"))
