"""Beyond one machine: tasks go to the workers of a Dask cluster, records are written by the one who sends them."""

import logging
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TypeVar

from distributed import Client, KilledWorker, LocalCluster, as_completed
from distributed.comm import resolve_address

from ufm.files import scratch
from ufm.progress import BETWEEN
from ufm.study.reproduce import Finished, Task

T = TypeVar("T")
PATIENCE = "10s"  # with a scheduler that does not answer
LOOK = 5.0  # seconds between two looks whether there are workers


@contextmanager
def cluster(*, scheduler: str | None = None, n_workers: int | None = None) -> Iterator["Cluster"]:
    """An engine whose tasks are worked on by a cluster that is there, or by local processes started for it.

    Args:
        scheduler: address of a scheduler, such as "tcp://host:8786".
        n_workers: otherwise, how many worker processes to start here.

    Raises:
        ValueError: no scheduler answers there, or `n_workers` is no positive number.
    """
    if scheduler is not None:
        try:
            resolve_address(scheduler)  # a client with a bad address ends in a traceback of its own
            client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"scheduler: no Dask scheduler answers at {scheduler} ({error})") from None
        with client, looked_after(client, scheduler):
            yield Cluster(client)
        return
    if n_workers is None or n_workers < 1:
        raise ValueError(f"workers: at least one is needed, got {n_workers}")
    with (
        scratch() as folder,
        # What it shows of itself, and what it listens to, are for this machine alone.
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            local_directory=str(folder),
        ) as local,
        Client(local, set_as_default=False) as client,
    ):
        yield Cluster(client)


@contextmanager
def looked_after(client: Client, scheduler: str) -> Iterator[None]:
    """Say on standard error that there is no worker, at once and then each minute that it stays so.

    How long to wait is left to the user: workers may be jobs that are queued.
    """
    over = Event()

    def look() -> None:
        said = -math.inf
        while True:
            try:
                there = client.scheduler_info()["workers"]
            except Exception:  # any of several, by what it was doing when the scheduler was lost
                return  # which whoever waits for its answer says
            if there:
                said = -math.inf
            elif time.monotonic() - said >= BETWEEN:
                said = time.monotonic()
                print(
                    f"scheduler: {scheduler} has no worker; waiting for one, such as `dask worker {scheduler}` starts "
                    "on any machine (Ctrl-C ends this)",
                    file=sys.stderr,
                    flush=True,
                )
            if over.wait(LOOK):
                return

    looking = Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join(LOOK)  # or the scheduler does not answer


@contextmanager
def in_words() -> Iterator[None]:
    """Raise what happens to a cluster as a ValueError of one line."""
    try:
        yield
    except KilledWorker as error:
        raise ValueError(
            f"workers: {error.allowed_failures + 1} of them were lost at the same task, as where memory is short; "
            "what was finished is recorded"
        ) from None
    except CancelledError:
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # it would say so in 40 lines
        raise ValueError(
            "scheduler: the connection to it was lost; what was finished is recorded, the same command goes on"
        ) from None


class Cluster:
    """An `Engine` on the workers of a Dask cluster, each of which is kept busy with one task.

    A task whose worker is lost goes to another one; Dask gives up on one that has lost several.
    """

    def __init__(self, client: Client):
        self.client = client

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """The function's value on one of the workers."""
        with in_words():
            return self.client.submit(function, *arguments, pure=False).result()

    def run(self, planned: Iterable[Task], device: str, weights: Path | None) -> Iterator[tuple[Task, Finished]]:
        """Work on the tasks; each is given back as it is done."""
        waiting, done = iter(planned), as_completed(loop=self.client.loop)
        sent: dict[object, Task] = {}  # by the future's key

        def send() -> None:
            # Workers may join while the work goes on.
            while len(sent) < max(1, len(self.client.nthreads())):
                task = next(waiting, None)
                if task is None:
                    return
                future = self.client.submit(Task.work, task, device, weights, pure=False)
                sent[future.key] = task
                done.add(future)

        send()
        for future in done:
            with in_words():
                results = future.result()
            yield sent.pop(future.key), results
            send()
