"""Bad input is one line and exit code 2; what is compared is told by words and by the exit code."""

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import damage
import pandas as pd
import pytest
import tiny
from executions import write_manifest

from ufm import cli, paths
from ufm.book import site
from ufm.cli.records import parse_duration
from ufm.cli.runs import pairs
from ufm.measures import pools
from ufm.plan import registry
from ufm.protocol import hosts
from ufm.records import Measured, committed
from ufm.statistics import SUMMARY_COLUMNS
from ufm.study import reproduce, verification
from ufm.training import loop


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
    parameters = {"profile": "embedded", "dataset": "digits", "n_seeds": 4, "sweeps": {"controls": {}}} | changes
    write_manifest(folder, profile="embedded", parameters=parameters)
    row = ("M, canaries", estimate, estimate - half, estimate + half, 4)
    pd.DataFrame([row], columns=list(SUMMARY_COLUMNS)).to_csv(folder / "tables" / "summary.csv", index=False)
    return folder


@pytest.fixture
def books(monkeypatch):
    """In place of the book's own execution, which takes a while: its parameters, and 0.5 with its interval."""
    monkeypatch.setattr(site, "execute", lambda profile, name: execution(site.execution(profile, name)))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("run nonsense", ["'nonsense'", "method, neighbours, other-measures, prevention, regularisers"]),
        ("run controls -p nonsense 1", ["'nonsense'", "n_seeds (int or None, None)"]),
        ("run controls -p n_seeds many", ["n_seeds", "int or None", "'many'", "profile (str"]),
        ("run controls -p fresh 1", ["fresh", "bool", "'1'"]),
        ("run controls -p profile", ["-p NAME VALUE", "-p profile"]),
        ("run controls profile paper", ["-p NAME VALUE", "profile paper"]),
        ("run controls -q seed 1", ["-p NAME VALUE", "-q seed 1"]),
        ("data nonsense", ["'nonsense'", "mnist, fashion_mnist, cifar10"]),
        ("data mnist nonsense", ["'nonsense'", "mnist, fashion_mnist, cifar10"]),
        ("compare /nowhere", ["/nowhere", "manifest.json"]),
        ("book --profile nonsense", ["profile", "'nonsense'", "embedded, paper"]),
        ("reproduce nonsense", ["chapter", "'nonsense'", "method, as-released", "mnist-small"]),
        ("reproduce method nonsense --list", ["chapter", "'nonsense'", "method, as-released"]),
        ("reproduce method --device nonsense", ["device", "'nonsense'", "auto, cpu, cuda"]),
        ("reproduce method --device tpu --list", ["device", "'tpu'", "auto, cpu, cuda"]),
        ("reproduce method --device cuda", ["device", "'cuda' is not there"]),
        ("reproduce method --profile embedded", ["profile", "'embedded'", "only paper"]),
        *(
            (f"reproduce method --budget {text}", ["budget", f"'{text}'", "9m"])
            for text in ("9", "m", "-5m", "1.5h", "5m1h")
        ),
        ("reproduce method --workers 0", ["workers", "0"]),
        ("reproduce method --workers -1", ["workers", "-1"]),
        ("records import nowhere.zip", ["nowhere.zip"]),
        ("records verify --retrain -1", ["retrain", "-1"]),
        ("records verify --draw -1", ["draw", "cannot be negative, got -1"]),
        ("reproduce method --export .", ["export", ". is a folder; give the name of a file"]),
        ("records verify --retrain 1 --device tpu", ["device", "'tpu'", "auto, cpu, cuda"]),
        ("hosts mnist --kind nonsense", ["kind", "'nonsense'", "hard, middling"]),
        ("hosts mnist --n-train 10000 --part 6", ["part", "0 to 5", "6"]),
        ("hosts nonsense", ["'nonsense'", "mnist, fashion_mnist, cifar10"]),
    ],
)
def test_bad_input_is_one_line(ufm, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(loop, "train_stack", lambda *_: pytest.fail("a model was trained"))
    code, output, errors = ufm(*arguments.split())
    assert (code, output, len(errors)) == (2, "", 1), errors
    assert errors[0].startswith("ufm: ")
    for words in expected:
        assert words in errors[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "parts", "kind"),
    [
        ("cifar10 --n-train 10000 --part 0", [0], "hard"),
        ("mnist --kind influential", None, "influential"),
    ],
)
def test_hosts_are_found_for_the_sweeps_that_ask_for_them(ufm, monkeypatch, arguments, parts, kind):
    asked = []
    monkeypatch.setattr(pools, "find", lambda protocol, parts, **how: asked.append((protocol, parts, how["kind"])))
    assert ufm("hosts", *arguments.split())[0] == 0
    [(protocol, found, of_kind)] = asked
    assert (found, of_kind) == (parts, kind)
    if protocol.dataset == "cifar10":
        network = registry.sweeps()["cifar10-small-cnn2"].protocol
        assert hosts.fingerprint(protocol, 0) == hosts.fingerprint(network, 0)


def test_a_disk_that_fills_is_one_line(ufm, tmp_path, monkeypatch):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "there")

    def no_room(*_, **__):
        raise shutil.Error([("one", "there", str(full)), ("other", "there", str(full))])

    monkeypatch.setattr("ufm.book.notebooks.write_ipynb", no_room)
    code, _, errors = ufm("ipynb", "--as-executed", "there")
    assert (code, errors) == (2, [f"ufm: {full}"])
    monkeypatch.setattr("ufm.book.notebooks.write_ipynb", lambda folder: site.render(*[tmp_path] * 3, strict=False))
    done = subprocess.CompletedProcess([], 1, "", "line\n" * 200 + str(full))
    monkeypatch.setattr(site.subprocess, "run", lambda *_, **__: done)
    code, _, errors = ufm("ipynb", "--as-executed", "there")
    assert (code, errors) == (
        2,
        [f"ufm: {tmp_path}: No space left on device; make room there and try again, what is trained is kept"],
    )


def test_bad_folders_to_compare_are_named(ufm, tmp_path):
    folder = execution(tmp_path / "rerun")
    for content, named in (("{", "manifest.json"), ("{}", "manifest.json")):
        (folder / "manifest.json").write_text(content, encoding="utf-8")
        code, _, errors = ufm("compare", folder)
        assert (code, len(errors)) == (2, 1)
        assert str(folder) in errors[0]
        assert named in errors[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("profile", "../../../book/records"), ("notebook", "../controls"), ("profile", 3), ("notebook", None)],
)
def test_a_manifest_cannot_lead_out_of_the_books_executions(ufm, tmp_path, monkeypatch, name, value):
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "_build" / "runs"))
    precious = tmp_path / "book" / "records" / "controls" / "manifest.json"
    precious.parent.mkdir(parents=True)
    precious.write_text("not ours", encoding="utf-8")
    folder = execution(tmp_path / "rerun")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps(manifest | {name: value}), encoding="utf-8")
    code, _, errors = ufm("compare", folder)
    assert (code, len(errors)) == (2, 1)
    assert str(folder) in errors[0]
    assert precious.read_text(encoding="utf-8") == "not ours"


def test_an_unknown_profile_of_the_book_is_one_line(tmp_path):
    doit = Path(sys.executable).with_name("doit")
    done = subprocess.run(
        [doit, "execute", "profile=nonsense"],
        cwd=paths.ROOT,
        env=os.environ | {"UFM_RUNS": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode
    assert done.stdout + done.stderr == "ufm: profile: 'nonsense' is not one of embedded, paper\n"


def test_help_is_instant():
    """It imports neither torch nor pandas."""
    script = (
        "import sys\nfrom ufm import cli\nsys.argv = ['ufm', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "slow = {'torch', 'pandas', 'numpy', 'matplotlib', 'papermill'} & sys.modules.keys()\nassert not slow, slow"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    for command in ("data", "run", "compare", "reproduce", "records", "hosts", "book", "ipynb"):
        assert f" {command} " in done.stdout


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({}, 0, ["agrees", "equal"]),
        ({"estimate": 0.6}, 0, ["agrees", "difference 0.1, within 0.141"]),
        ({"n_seeds": 9}, 0, ["agrees"]),
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


def test_an_earlier_execution_is_not_compared_with(ufm, books, tmp_path):
    execution(site.execution("embedded", "controls"), estimate=7)
    assert ufm("compare", execution(tmp_path / "rerun"))[0] == 0


def test_compare_shows_that_there_is_no_interval(ufm, books, tmp_path):
    _, output, _ = ufm("compare", execution(tmp_path / "rerun", half=float("nan")))
    assert "0.5 [nan, nan]" in output


def test_pairs():
    assert pairs([]) == {}
    assert pairs(["-p", "seed", "-1", "-p", "dataset", "mnist"]) == {"seed": "-1", "dataset": "mnist"}


# Records


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Small sweeps in place of the book's."""
    tiny.install(monkeypatch)
    return tmp_path / "UFM_RECORDS"


@pytest.fixture
def cheap(small, monkeypatch):
    """Seeds cost nothing; those that were trained."""
    trained = []

    def finish(protocol, seeds, **_):
        trained.extend(seeds)
        tables = {"models": pd.DataFrame({"accuracy": [0.5, 0.75], "epochs": 2})}
        return [({"seed": one, "identity": protocol.identity(one), **tiny.MADE}, Measured(tables)) for one in seeds]

    monkeypatch.setattr(reproduce, "finish", finish)
    return trained


def test_reproduce_trains_what_is_pending_and_says_so(ufm, cheap):
    code, output, _ = ufm("reproduce", "scores", "cards", "--device", "cpu")
    assert (code, output.splitlines()) == (0, ["scores: 4 seeds finished", "cards: 2 seeds finished"])
    assert cheap == [0, 1, 0, 2, 3, 1]
    code, output, _ = ufm("reproduce", "scores", "cards")
    assert (code, output) == (0, "")
    assert ufm("records", "verify") == (0, "6 records, 0 faults\n", [])


def test_the_list_says_what_is_pending_and_trains_nothing(ufm, cheap, tmp_path):
    code, output, errors = ufm("reproduce", "--list", "--device", "cpu")
    assert (code, cheap, errors) == (0, [], [])
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│")]
    assert [row[:5] for row in rows] == [
        ["scores", "0", "4", "2", "8"],
        ["steps", "0", "3", "3", "6"],
        ["cards", "0", "2", "1", "6"],
    ]
    assert all(cell.endswith(" s") for row in rows for cell in row[5:])
    assert list(tmp_path.iterdir()) == []
    ufm("reproduce")
    assert ufm("reproduce", "--list") == (0, "nothing is pending\n", [])


def test_a_budget_is_kept(ufm, cheap, monkeypatch):
    monkeypatch.setattr(reproduce, "seconds_a_seed", lambda *_: 70.0)
    assert ufm("reproduce", "scores", "--budget", "1m")[:2] == (0, "")
    assert cheap == []
    assert ufm("reproduce", "scores", "--budget", "1m10s")[:2] == (0, "")  # some of it is gone
    assert ufm("reproduce", "scores", "--budget", "1m30s")[:2] == (0, "scores: 4 seeds finished\n")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("9m", 540), ("1h30m", 5400), ("2h", 7200), ("1h1m1s", 3661), ("0s", 0), ("100m", 6000)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "9", "m", "9 m", " 9m", "9m ", "9d", "-9m", "1.5h", "30s1m", "9m9m", "9min"])
def test_no_durations(text):
    with pytest.raises(ValueError, match="^budget: .* is no duration such as 90s, 9m or 1h30m$"):
        parse_duration(text)


def test_records_are_carried(ufm, cheap, tmp_path, monkeypatch):
    parcel = tmp_path / "away" / "parcel.zip"
    _, output, _ = ufm("reproduce", "scores", "cards", "--export", parcel)
    assert output.splitlines()[-1] == f"carry {parcel} home and run: ufm records import parcel.zip"
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "home"))
    assert ufm("records", "import", parcel) == (0, "cards: 2 new seeds\nscores: 4 new seeds\n", [])
    assert ufm("records", "import", parcel) == (0, "cards: 0 new seeds\nscores: 0 new seeds\n", [])
    assert ufm("records", "verify") == (0, "6 records, 0 faults\n", [])
    parcel.write_bytes(parcel.read_bytes()[:-40])
    code, output, errors = ufm("records", "import", parcel)
    assert (code, output, len(errors)) == (2, "", 1)
    assert str(parcel) in errors[0]


def test_verify_lists_faults_and_exits_with_1(ufm, cheap, small):
    ufm("reproduce")
    for name, harm in (("scores", damage.edited_seconds), ("cards", damage.torn_manifest)):
        harm(small / name)
    code, output, errors = ufm("records", "verify")
    assert (code, errors) == (1, [])
    *faults, last = output.splitlines()
    assert last == "3 records, 2 faults"
    assert [fault.split(":")[0] for fault in faults] == ["fault", "fault"]
    assert str(small / "cards" / "manifest.json") in faults[0]
    assert str(small / "scores" / "manifest.json") in faults[1]


@pytest.mark.parametrize(
    ("identical", "deviation", "code"), [(True, 0.0, 0), (False, 0.1, 0), (False, 0.7, 1), (False, float("nan"), 1)]
)
def test_the_exit_code_tells_whether_training_again_agrees(ufm, cheap, monkeypatch, identical, deviation, code):
    ufm("reproduce", "scores")
    one = verification.Retrained("scores", 2, identical, deviation, 0.01)
    other = verification.Retrained("scores", 3, True, 0.0, 0.0)
    calls = []
    monkeypatch.setattr(verification, "retrain", lambda n, **how: calls.append((n, how)) or iter([one, other]))
    found, output, errors = ufm("records", "verify", "--retrain", 2, "--draw", 5, "--device", "cpu")
    assert (found, output, errors) == (code, f"4 records, 0 faults\n{one}\n{other}\n", [])
    assert calls == [(2, {"device": "cpu", "draw": 5})]


@pytest.mark.parametrize("harm", [damage.edited_cell, damage.removed_row, damage.torn_manifest])
def test_faults_exit_with_1_also_where_seeds_are_to_be_trained_again(ufm, small, harm, monkeypatch):
    """What is damaged is listed, and cannot be trained again."""
    ufm("reproduce", "scores", "--device", "cpu")
    harm(small / "scores")
    code, output, errors = ufm("records", "verify", "--retrain", 4)
    assert (code, errors) == (1, [])
    assert "fault: " in output


def test_real_seeds_are_trained_exported_and_trained_again(ufm, small, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")
    assert ufm("reproduce", "steps", "--device", "cpu", "--keep-weights", "--export", "parcel.zip")[0] == 0
    kept = {path.stem for path in (tmp_path / "build" / "weights" / "steps").glob("*.pt")}
    assert kept == set(committed("steps").entries())
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "home"))
    assert ufm("records", "import", "parcel.zip")[:2] == (0, "steps: 3 new seeds\n")
    code, output, _ = ufm("records", "verify", "--retrain", 2, "--device", "cpu")
    assert code == 0
    assert output.count("the same to the last digit") == 2


@pytest.mark.parametrize("arguments", ["scores", "scores --budget 10m", "--device cpu"])
def test_records_that_cannot_be_written_are_one_line(ufm, cheap, tmp_path, monkeypatch, arguments):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "file" / "records"))
    code, output, errors = ufm("reproduce", *arguments.split())
    assert (code, output, len(errors)) == (2, "", 1), errors
    assert str(tmp_path / "file") in errors[0]
    assert cheap == []


def test_a_parcel_that_cannot_be_written_is_one_line_before_anything_is_trained(ufm, cheap, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    code, output, errors = ufm("reproduce", "scores", "--export", tmp_path / "file" / "parcel.zip")
    assert (code, output, len(errors)) == (2, "", 1), errors
    assert str(tmp_path / "file") in errors[0]
    assert cheap == []


def test_a_damaged_manifest_is_one_line_before_anything_is_trained(ufm, cheap, small):
    ufm("reproduce", "scores")
    cheap.clear()
    damage.torn_manifest(small / "scores")
    for command in ("reproduce", "reproduce --list"):
        code, output, errors = ufm(*command.split())
        assert (code, output, len(errors)) == (2, "", 1), errors
        assert str(small / "scores" / "manifest.json") in errors[0]
    assert cheap == []


@pytest.mark.parametrize("name", ["scores/models.csv", "index.txt"])
def test_a_damaged_store_is_one_line_before_more_is_trained(ufm, cheap, small, monkeypatch, name):
    ufm("reproduce", "scores")
    cheap.clear()
    damage.as_folder(small / name)
    tiny.install(monkeypatch, {"scores": replace(tiny.SWEEPS["scores"], seeds=range(6))})
    code, output, errors = ufm("reproduce", "scores")
    assert (code, output, len(errors)) == (2, "", 1), errors
    assert str(small / name) in errors[0]
    assert cheap == []
