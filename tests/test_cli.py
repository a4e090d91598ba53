"""Bad input is one line and exit code 2; what is compared is told by words and by the exit code."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from ufm import book, cli
from ufm.statistics import SUMMARY_COLUMNS


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Nothing is written but here."""
    for name in ("UFM_RUNS", "UFM_RECORDS", "UFM_DATA"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ufm(monkeypatch, capfd):
    """Run `ufm` with arguments: exit code, standard output and the lines of standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ufm", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output, errors = capfd.readouterr()
        return ended.value.code or 0, output, errors.splitlines()

    return call


def execution(folder, estimate=0.5, half=0.1, **changes):
    """What an execution leaves: a manifest and a summary table of one quantity."""
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    parameters = {"profile": "embedded", "dataset": "digits", "n_canaries": 4} | changes
    manifest = {"notebook": "mlp", "profile": "embedded", "parameters": parameters}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    row = ("M, canaries", estimate, estimate - half, estimate + half, 4)
    pd.DataFrame([row], columns=list(SUMMARY_COLUMNS)).to_csv(folder / "tables" / "summary.csv", index=False)
    return folder


@pytest.fixture
def books(monkeypatch):
    """In place of the book's own execution, which takes a while: its parameters, and 0.5 with its interval."""
    monkeypatch.setattr(book, "execute", lambda profile, name: execution(book.execution(profile, name)))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("run nonsense", ["'nonsense'", "method, mlp"]),
        ("run mlp -p nonsense 1", ["'nonsense'", "n_canaries (int or None, None)"]),
        ("run mlp -p n_canaries many", ["n_canaries", "int or None", "'many'", "profile (str"]),
        ("run mlp -p fresh 1", ["fresh", "bool", "'1'"]),
        ("run mlp -p profile", ["-p NAME VALUE", "-p profile"]),
        ("run mlp profile paper", ["-p NAME VALUE", "profile paper"]),
        ("run mlp -q seed 1", ["-p NAME VALUE", "-q seed 1"]),
        ("data nonsense", ["'nonsense'", "mnist, fashion_mnist, cifar10"]),
        ("data mnist nonsense", ["'nonsense'", "mnist, fashion_mnist, cifar10"]),
        ("compare /nowhere", ["/nowhere", "manifest.json"]),
        ("execute nonsense", ["'nonsense'", "method, mlp"]),
        ("execute mlp --profile nonsense", ["profile", "'nonsense'", "embedded, paper"]),
        ("book --profile nonsense", ["profile", "'nonsense'", "not executed"]),
        ("reproduce nonsense", ["'nonsense'", "method, mlp"]),
        ("reproduce mlp --device nonsense", ["device", "'nonsense'", "auto, cpu, cuda"]),
    ],
)
def test_bad_input_is_one_line(ufm, tmp_path, arguments, expected):
    code, output, errors = ufm(*arguments.split())
    assert (code, output, len(errors)) == (2, "", 1), errors
    assert errors[0].startswith("ufm: ")
    for words in expected:
        assert words in errors[0]
    assert list(tmp_path.iterdir()) == []


def test_bad_folders_to_compare_are_named(ufm, tmp_path):
    folder = execution(tmp_path / "rerun")
    for content, named in (("{", "manifest.json"), ("{}", "manifest.json")):
        (folder / "manifest.json").write_text(content)
        code, _, errors = ufm("compare", folder)
        assert (code, len(errors)) == (2, 1)
        assert str(folder) in errors[0]
        assert named in errors[0]


def test_help_is_instant():
    """It imports neither torch nor pandas."""
    script = (
        "import sys\nfrom ufm import cli\nsys.argv = ['ufm', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "slow = {'torch', 'pandas', 'numpy', 'matplotlib', 'papermill'} & sys.modules.keys()\nassert not slow, slow"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("data", "run", "compare", "reproduce", "execute", "book", "ipynb"):
        assert f" {command} " in done.stdout


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({}, 0, ["agrees", "equal"]),
        ({"estimate": 0.6}, 0, ["agrees", "difference 0.1, within 0.141"]),
        ({"n_canaries": 9}, 0, ["agrees"]),
        ({"estimate": 0.7}, 1, ["differs", "difference 0.2, beyond 0.141"]),
        ({"dataset": "mnist"}, 1, ["not comparable", "parameters differ: dataset"]),
    ],
)
def test_compare_says_it_in_words_and_by_its_exit_code(ufm, books, tmp_path, changes, code, words):
    found, output, errors = ufm("compare", execution(tmp_path / "rerun", **changes))
    assert (found, errors) == (code, [])
    for word in ["M, canaries", "0.5 [0.4, 0.6]", *words]:
        assert word in output
    for verdict in {"agrees", "differs", "not comparable"} - set(words):
        assert verdict not in output


def test_an_execution_of_older_code_is_not_compared_with(ufm, books, tmp_path):
    folder = execution(book.execution("embedded", "mlp"), estimate=7)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"code": "older"}))
    assert ufm("compare", execution(tmp_path / "rerun"))[0] == 0


def test_compare_shows_that_there_is_no_interval(ufm, books, tmp_path):
    _, output, _ = ufm("compare", execution(tmp_path / "rerun", half=float("nan")))
    assert "0.5 [nan, nan]" in output


def test_pairs():
    assert cli.pairs([]) == {}
    assert cli.pairs(["-p", "seed", "-1", "-p", "dataset", "mnist"]) == {"seed": "-1", "dataset": "mnist"}
