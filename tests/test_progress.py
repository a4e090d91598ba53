"""A bar on a terminal, a line a minute into a file, nothing into a notebook."""

import io
import os
import pty
import subprocess
import sys
import termios

import pytest

from ufm.progress import Lines, remark

# One epoch takes ten fake seconds.
TRAINING = """
import sys, time
from ufm.progress import progress

time.monotonic = iter(range(0, 10_000, 10)).__next__
for name in sys.argv[1:]:
    sys.modules[name] = sys
from ufm import progress as module
module.Lines.__init__.__kwdefaults__["clock"] = time.monotonic
for epoch in progress(range(20), "epochs"):
    pass
"""


@pytest.fixture
def clock():
    """A clock that is set by hand: a list whose only item is the time."""
    Lines.at_work.clear()
    yield [0.0]
    assert Lines.at_work == []


def lines(items, description, clock, file, total=None):
    return Lines(items, description, total, file=file, clock=lambda: clock[0])


def test_a_line_a_minute_and_none_before(clock):
    file, when = io.StringIO(), []
    for _ in lines(range(100), "epochs", clock, file):
        clock[0] += 7
        when.append(file.getvalue().count("\n"))
    assert when[:10] == [0] * 9 + [1]  # the tenth epoch begins after the line that the ninth wrote, at 63 seconds
    assert file.getvalue().splitlines()[:2] == [
        "epochs: 9/100 (after 63 s, 11 min left)",
        "epochs: 18/100 (after 2 min, 10 min left)",
    ]
    assert file.getvalue().count("\n") == 700 // 63


def test_a_slow_step_is_told_once_and_a_short_training_not_at_all(clock):
    file = io.StringIO()
    for _ in lines(range(2), "parts", clock, file):
        clock[0] += 600
    for _ in lines(range(5), "epochs", clock, file):
        clock[0] += 11
    assert file.getvalue().splitlines() == [
        "parts: 1/2 (after 10 min, 10 min left)",
        "parts: 2/2 (after 20 min)",
    ]


def test_what_is_inside_another_shares_its_lines(clock):
    file = io.StringIO()
    with lines(None, "seeds", clock, file, total=3) as seeds:
        for seed in range(3):
            seeds.set_description(f"mnist, seed {seed}")
            for _ in lines(range(4), "epochs", clock, file):
                clock[0] += 10
            seeds.update(1)
    assert file.getvalue().splitlines() == [
        "mnist, seed 1: 1/3; epochs: 2/4 (after 60 s, 60 s left)",
        "mnist, seed 2: 2/3; epochs: 4/4 (after 2 min)",
    ]


def test_what_is_left_early_is_not_at_work_any_more(clock):
    for _ in lines(range(4), "epochs", clock, io.StringIO()):
        break
    assert Lines.at_work == []
    epochs = lines(iter("ab"), "epochs", clock, io.StringIO())
    epochs.close()
    epochs.close()


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "training.py"
    path.write_text(TRAINING, encoding="utf-8")
    return path


def run(script, *arguments, **more):
    environment = {name: value for name, value in os.environ.items() if name != "UFM_RUN"} | more.pop("variables", {})
    return subprocess.run(
        [sys.executable, script, *arguments], env=environment, check=True, text=True, encoding="utf-8", **more
    )


def test_a_file_gets_lines_and_a_notebook_nothing_but_from_a_kernel_that_keeps_nothing(script):
    told = [
        "epochs: 6/20 (after 60 s, 2 min left)",
        "epochs: 12/20 (after 2 min, 80 s left)",
        "epochs: 18/20 (after 3 min, 20 s left)",
    ]
    assert run(script, capture_output=True).stderr.splitlines() == told
    kernel = run(script, "ipykernel", capture_output=True)
    assert (kernel.stdout, kernel.stderr) == ("", "")
    assert run(script, "ipykernel", capture_output=True, variables={"UFM_RUN": "x"}).stderr.splitlines() == told


def test_a_terminal_gets_a_bar(script):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    run(script, stderr=theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)
    assert "epochs:" in shown
    assert "20" in shown
    assert "\n" not in shown
    assert shown.endswith("\r")


@pytest.mark.parametrize("kernel", [False, True])
def test_a_remark_is_for_the_terminal_and_not_for_a_page(monkeypatch, kernel):
    of_cell, of_process = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stderr", of_cell)
    monkeypatch.setattr("sys.__stderr__", of_process)
    if kernel:
        monkeypatch.setenv("UFM_RUN", "run")
    else:
        monkeypatch.delenv("UFM_RUN", raising=False)
    remark("what was left out")
    assert (of_cell.getvalue(), of_process.getvalue())[kernel] == "what was left out\n"
    assert of_cell.getvalue() + of_process.getvalue() == "what was left out\n"
