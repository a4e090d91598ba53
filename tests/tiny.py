"""Sweeps that train in a moment, in place of the book's: in a test, and in the processes that it starts."""

import contextlib
import os
import shutil
import signal
import traceback
from dataclasses import replace
from pathlib import Path

from ufm.networks import MLP
from ufm.plan import registry
from ufm.plan.sweep import Sweep
from ufm.protocol import Protocol, Scoring, Training

TESTS = Path(__file__).parent
PROTOCOL = Protocol(
    "digits",
    400,  # seed s trains on part s mod 3
    MLP(hidden=(16, 8)),
    Training(learning_rate=1e-3, batch_size=64, epochs=2, early_stopping="none", precision="float64"),
    Scoring(ood_set="photo_patches", n_ood=50, n_effect=20, n_permutations=2),
    planned=(0, 6),
)
STEPS = replace(PROTOCOL, measure="walkthrough", feature="B")  # tables and arrays
SWEEPS = {
    "scores": Sweep(PROTOCOL, range(4), 2, 0),
    "steps": Sweep(STEPS, range(3), 3, 1),
    "cards": Sweep(replace(PROTOCOL, measure="card", roles=("canary", "placebo")), range(2), 1, 1),
}
MADE = {"versions": {"ufm": "0"}, "device": "elsewhere", "seconds": 1.5, "date": "2026-01-01", "models": ["a model"]}


def install(monkeypatch=None, sweeps=SWEEPS):
    """Put sweeps in the place of the book's."""
    put = setattr if monkeypatch is None else monkeypatch.setattr
    put(registry, "sweeps", lambda profile="paper": sweeps)


def environment(folder):
    """Variables for processes that shall train these sweeps, all under a folder: their library is a copy with them."""
    copy = folder / "src" / "ufm"
    shutil.copytree(Path(registry.__file__).parents[1], copy, ignore=shutil.ignore_patterns("__pycache__"))
    with open(copy / "plan" / "registry.py", "a", encoding="utf-8") as file:
        file.write('\n\nfrom tiny import SWEEPS\n\n\ndef sweeps(profile="paper"):\n    return SWEEPS\n')
    folders = {"UFM_RECORDS": str(folder / "records"), "UFM_RUNS": str(folder / "runs")}
    return os.environ | folders | {"PYTHONPATH": f"{copy.parent}{os.pathsep}{TESTS}", "OMP_NUM_THREADS": "1"}


def nursery(pipe, sweeps):
    """Be a process that has read the images and, as the other end of a pipe asks, starts others that train sweeps.

    A folder and a file start one, whose number is sent back: its records go into the folder, and into the file the
    seeds that it trained. A number waits for the end of that process and sends back how it ended.
    """
    import torch

    from ufm.study import forecast, reproduce, seeds

    torch.set_num_threads(1)
    install(sweeps=sweeps)
    for sweep in sweeps.values():
        forecast.require(sweep.protocol, [0])
        seeds.finish(sweep.protocol, [0])
    pipe.send("ready")
    while (order := pipe.recv()) is not None:
        if isinstance(order, int):
            pipe.send(os.waitstatus_to_exitcode(os.waitpid(order, 0)[1]))
        elif child := os.fork():
            pipe.send(child)
        else:
            try:
                train(reproduce, *order)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)


def train(reproduce, folder, log):
    """Complete the sweeps, and write down each seed that was trained."""
    os.environ["UFM_RECORDS"] = str(folder)
    finish = reproduce.finish

    def finish_and_tell(protocol, seeds, **where):
        results = finish(protocol, seeds, **where)
        with open(log, "a", encoding="utf-8") as file:
            file.write("".join(f"{seed}\n" for seed in seeds))
        return results

    reproduce.finish = finish_and_tell
    reproduce.complete()


def kill(process):
    """End a process at once, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
