"""Beyond one machine: tasks go to the workers of a Dask cluster, records are written by the one who sends them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from distributed import Client, LocalCluster, as_completed
from distributed.comm import resolve_address

from ufm.study.reproduce import Finished, Task

T = TypeVar("T")
PATIENCE = "10s"  # with a scheduler that does not answer


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
        with client:
            yield Cluster(client)
        return
    if n_workers is None or n_workers < 1:
        raise ValueError(f"workers: at least one is needed, got {n_workers}")
    with (
        # What it shows of itself, and what it listens to, are for this machine alone.
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as local,
        Client(local, set_as_default=False) as client,
    ):
        yield Cluster(client)


class Cluster:
    """An `Engine` on the workers of a Dask cluster, each of which is kept busy with one task.

    A task whose worker is lost goes to another one; Dask gives up on one that has lost several.
    """

    def __init__(self, client: Client):
        self.client = client

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """The function's value on one of the workers."""
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
            yield sent.pop(future.key), future.result()
            send()
