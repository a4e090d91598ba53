"""The workers of a cluster give what this process gives, also where one of them is lost."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest
import tiny
import torch

from ufm import cli
from ufm.records import Records, committed
from ufm.study.reproduce import complete
from ufm.study.verification import identical, verify

SEEDS = [(name, seed) for name, sweep in tiny.SWEEPS.items() for seed in sweep.seeds]
DASK = [sys.executable, "-m"]
LOCAL = ["--host", "127.0.0.1", "--no-dashboard"]


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Small sweeps and records of the test's own, here and in processes that are started."""
    for name, value in tiny.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(tmp_path / "src")  # processes of `multiprocessing` look where this one does
    monkeypatch.chdir(tmp_path)
    tiny.install(monkeypatch)


@pytest.fixture
def start(tmp_path):
    """Start processes, which are ended with the test."""
    with ExitStack() as started:

        def start(*command):
            log = started.enter_context(open(tmp_path / f"{len(list(tmp_path.iterdir()))}.log", "w", encoding="utf-8"))
            child = subprocess.Popen(command, stdout=log, stderr=log)
            started.callback(child.wait)
            started.callback(child.kill)
            return child

        yield start


@pytest.fixture
def expected():
    """What this process gives on one thread, which is what Dask's workers have, by sweep and seed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UFM_RECORDS", os.environ["UFM_RECORDS"] + " of this process")
        complete()
        found = {one: kept(*one) for one in SEEDS}
    torch.set_num_threads(threads)
    return found


def kept(name, seed):
    return committed(name).whole(tiny.SWEEPS[name].protocol.fingerprint(seed))


def assert_equal(expected):
    """Assert that every seed is recorded, with the same numbers to the last digit."""
    assert verify() == (len(SEEDS), [])
    for one in SEEDS:
        (entry, results), (entry_there, results_there) = kept(*one), expected[one]
        assert identical(results, results_there)
        for name in ("seed", "identity", "models", "versions", "device"):
            assert entry[name] == entry_there[name]


def wait_for(what, seconds=120):
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def test_a_cluster_that_loses_a_worker_gives_what_this_process_gives(start, expected, tmp_path, monkeypatch):
    from ufm.study.cluster import cluster

    file = tmp_path / "scheduler.json"
    start(*DASK, "distributed.cli.dask_scheduler", "--port", "0", "--scheduler-file", str(file), *LOCAL)
    worker = [*DASK, "distributed.cli.dask_worker", "--scheduler-file", str(file), *LOCAL]
    workers = [start(*worker, "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path)) for _ in range(2)]
    counts, add = [], Records.add

    def add_and_kill(records, fingerprint, entry, measured):
        add(records, fingerprint, entry, measured)
        counts.append(len(engine.client.scheduler_info()["workers"]))
        if len(counts) == 1:
            os.kill(workers[0].pid, signal.SIGKILL)

    monkeypatch.setattr(Records, "add", add_and_kill)
    with cluster(scheduler=address(file)) as engine:
        wait_for(lambda: len(engine.client.scheduler_info()["workers"]) == 2)
        finished = complete(engine=engine)
    assert counts[0] == 2
    assert counts[-1] == 1
    assert sum(len(ours) for ours in finished.values()) == len(SEEDS)
    assert_equal(expected)


def test_workers_on_this_machine_give_what_this_process_gives(expected, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["ufm", "reproduce", "--workers", "2", "--device", "cpu"])
    with socket.socket() as another:  # cluster on this machine has the port that Dask likes best
        with suppress(OSError):
            another.bind(("127.0.0.1", 8787))
            another.listen()
        with pytest.raises(SystemExit) as ended:
            cli.main()
    output, errors = capfd.readouterr()
    assert not ended.value.code, errors
    assert set(output.splitlines()) == {  # in the order in which the workers were done
        "scores: 4 seeds finished",
        "steps: 3 seeds finished",
        "cards: 2 seeds finished",
    }, errors
    assert_equal(expected)
    assert children() == []


def address(file):
    """What a scheduler has written of itself, once it is written whole."""
    found = {}

    def whole():
        with suppress(FileNotFoundError, json.JSONDecodeError):
            found.update(json.loads(file.read_text(encoding="utf-8")))
        return found

    wait_for(whole)
    return found["address"]


def children():
    """Processes that this one has started and that are still there."""
    import psutil

    return [one for one in psutil.Process().children(recursive=True) if "spawn_main(" in " ".join(one.cmdline())]


def test_without_a_cluster_dask_is_not_imported():
    script = (
        "import sys\nfrom ufm import cli\nsys.argv = ['ufm', 'reproduce', 'steps', '--device', 'cpu']\n"
        "try:\n    cli.main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "found = {'dask', 'distributed', 'ufm.study.cluster'} & sys.modules.keys()\nassert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "steps: 3 seeds finished\n"
    assert len(committed("steps").entries()) == 3


def test_an_address_where_no_scheduler_answers_is_one_line(tmp_path):
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        script = (
            "import sys\nfrom ufm import cli\nfrom ufm.study import cluster\ncluster.PATIENCE = '1s'\n"
            f"sys.argv = ['ufm', 'reproduce', 'steps', '--scheduler', '{address}']\ncli.main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], check=False, capture_output=True, text=True, encoding="utf-8"
        )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert done.stderr.startswith(f"ufm: scheduler: no Dask scheduler answers at {address}")
    assert not (tmp_path / "records").exists()


def test_a_scheduler_without_workers_is_said_at_once_and_again(monkeypatch, capfd):
    from distributed import LocalCluster

    from ufm.study import cluster

    monkeypatch.setattr(cluster, "LOOK", 0.05)
    monkeypatch.setattr(cluster, "BETWEEN", 0.2)
    said = []

    def lines():
        said.extend(line for line in capfd.readouterr().err.splitlines() if line.startswith("scheduler: "))
        return len(said)

    with (
        LocalCluster(n_workers=0, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None) as local,
        ThreadPoolExecutor(1) as pool,
        cluster.cluster(scheduler=local.scheduler_address) as engine,
    ):
        waiting = pool.submit(engine.call, os.getpid)
        wait_for(lambda: lines() >= 2)
        assert set(said) == {said[0]}
        assert said[0].startswith(
            f"scheduler: {local.scheduler_address} has no worker; waiting for one, such as `dask "
        )
        assert not waiting.done()
        local.scale(1)
        assert waiting.result() == os.getpid()
        lines()
        said.clear()
        assert engine.call(os.getpid) == os.getpid()
        assert lines() == 0
        local.scale(0)
        wait_for(lines)


def test_a_scheduler_that_is_lost_is_one_line(start, tmp_path, monkeypatch, capfd):
    from ufm.study import cluster

    monkeypatch.setattr(cluster, "LOOK", 0.05)
    file = tmp_path / "scheduler.json"
    scheduler = start(*DASK, "distributed.cli.dask_scheduler", "--port", "0", "--scheduler-file", str(file), *LOCAL)
    with (
        cluster.cluster(scheduler=address(file)) as engine,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(engine.call, os.getpid)
        wait_for(lambda: "has no worker" in capfd.readouterr().err)
        scheduler.kill()
        with pytest.raises(
            ValueError, match=r"^scheduler: the connection to it was lost; .* the same command goes on$"
        ):
            waiting.result()
    assert capfd.readouterr().err == ""


def test_a_task_that_loses_its_workers_is_one_line():
    from distributed import KilledWorker

    from ufm.study import cluster

    with (
        pytest.raises(ValueError, match=r"^workers: 4 of them were lost at the same task") as error,
        cluster.in_words(),
    ):
        raise KilledWorker("work", None, 3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("address", ["", "nowhere", "tcp://127.0.0.1", "127.0.0.1:http", "nonsense://127.0.0.1:8786"])
def test_what_is_no_address_is_named_before_a_client_begins(monkeypatch, address):
    """A client that could not begin complains for 20 s when the process ends."""
    from ufm.study import cluster

    monkeypatch.setattr(cluster, "Client", lambda *_, **__: pytest.fail("a client was begun"))
    with pytest.raises(ValueError, match=f"^scheduler: no Dask scheduler answers at {address}") as raised:
        cluster.cluster(scheduler=address).__enter__()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("n_workers", [0, -1, None])
def test_no_workers_are_refused(n_workers):
    from ufm.study.cluster import cluster

    with pytest.raises(ValueError, match=f"^workers: .*{n_workers}$"):
        cluster(n_workers=n_workers).__enter__()


def test_local_workers_listen_to_this_machine_alone():
    import psutil

    from ufm.study.cluster import cluster

    with cluster(n_workers=1):
        ours = psutil.Process()
        listening = [
            connection.laddr.ip
            for process in (ours, *ours.children(recursive=True))
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
    assert len(listening) > 2
    assert set(listening) == {"127.0.0.1"}
