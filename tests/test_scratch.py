"""Folders for a while: gone afterwards, however a process ends, and nobody else's is touched."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ufm import files
from ufm.files import place_of_scratch, scratch

END = """
import os, signal, sys
from ufm import cli
from ufm.files import scratch

def command():
    with scratch() as folder:
        (folder / "file").touch()
        os.kill(os.getpid(), int(sys.argv[1]))

if sys.argv[2] == "ignored":
    signal.signal(int(sys.argv[1]), signal.SIG_IGN)
cli.app = command
cli.main()
"""


@pytest.fixture
def place(monkeypatch):
    """Where folders for a while are made: a folder of the test's own, which has a short path."""
    with tempfile.TemporaryDirectory() as temporary:
        monkeypatch.setenv("TMPDIR", temporary)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield place_of_scratch()
        monkeypatch.setattr(tempfile, "tempdir", None)


def folders(place):
    return [path for path in place.iterdir() if path.is_dir()]


def test_it_is_gone_afterwards(place):
    with scratch() as folder:
        (folder / "sub").mkdir()
        assert folders(place) == [folder]
        assert place.stat().st_mode & 0o777 == 0o700
    assert folders(place) == []
    with pytest.raises(KeyError), scratch():
        raise KeyError
    assert folders(place) == []


@pytest.mark.parametrize(
    ("number", "how", "status", "n_left"),
    [
        (signal.SIGTERM, "", 143, 0),
        (signal.SIGHUP, "", 129, 0),
        (signal.SIGHUP, "ignored", 0, 0),  # as by nohup
        (signal.SIGKILL, "", -9, 1),
    ],
)
def test_however_a_process_ends_nothing_stays(number, how, status, n_left, place):
    command = [sys.executable, "-c", END, str(int(number)), how]
    done = subprocess.run(command, check=False, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (status, "")
    assert len(folders(place)) == n_left
    assert list(place.parent.iterdir()) == [place]
    with scratch() as folder:
        assert folders(place) == [folder]


def test_what_is_in_use_or_somebody_elses_is_not_removed(place):
    outside = place.parent / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (place / "link").symlink_to(outside)
    (place / "file").touch()
    (place / "mine").mkdir()  # without the lock that ours have
    (place / "mine" / "file").touch()
    with scratch() as one, scratch() as another:
        assert {one, another} <= set(folders(place))
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (place / "file").exists()
    assert (place / "mine" / "file").exists()


def test_a_long_path_is_avoided(monkeypatch, tmp_path):
    long = tmp_path / ("x" * files.LONGEST)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with scratch() as folder:
        assert len(f"{folder}/kernel-5") < 104  # of a socket's path, with the byte that ends it
        assert Path("/tmp") in folder.parents
    assert not list(long.iterdir())


@pytest.mark.parametrize("how", ["link", "owner"])
def test_a_place_that_is_somebody_elses_is_one_line(how, place, monkeypatch):
    if how == "link":
        place.rename(place.parent / "elsewhere")
        place.symlink_to(place.parent / "elsewhere")
    else:
        place.rename(place.with_name(f"ufm-{os.getuid() + 1}"))
        uid = os.getuid() + 1
        monkeypatch.setattr(os, "getuid", lambda: uid)
    with pytest.raises(ValueError, match=r"ufm-\d+ belongs to somebody else: set TMPDIR to "):
        scratch().__enter__()
