"""The book's records: trained, carried and verified."""

import math
import re
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer


def reproduce(
    chapters: Annotated[
        list[str] | None, typer.Argument(help="such as as-released or mnist-small; without any, all")
    ] = None,
    profile: Annotated[str, typer.Option(help="only the paper profile keeps records")] = "paper",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    list_: Annotated[bool, typer.Option("--list", help="only say what is pending and how long it takes")] = False,
    budget: Annotated[
        str | None, typer.Option(help="time to use, such as 9m: nothing is begun that needs more")
    ] = None,
    export: Annotated[Path | None, typer.Option(help="also write what was finished to this file")] = None,
    keep_weights: Annotated[bool, typer.Option(help="also keep the models' weights, in _build/weights")] = False,
    scheduler: Annotated[str | None, typer.Option(help="address of a Dask scheduler, whose workers train")] = None,
    workers: Annotated[int | None, typer.Option(help="worker processes to start on this machine")] = None,
) -> None:
    """Train what the book's records lack, the most valuable first, and keep it in book/records.

    It goes on where it was stopped; processes started side by side share the seeds.
    """
    if profile != "paper":
        raise ValueError(f"profile: {profile!r} keeps no records; only paper does")
    seconds = math.inf if budget is None else parse_duration(budget)

    from contextlib import AbstractContextManager, nullcontext

    from ufm import paths
    from ufm.device import resolve
    from ufm.study import parcel
    from ufm.study.reproduce import Engine, InProcess, complete, listing

    if list_:
        show_pending(listing(chapters, resolve(device)))
        return
    engine_is_there: AbstractContextManager[Engine]
    if scheduler is None and workers is None:
        engine_is_there = nullcontext(InProcess())
    else:
        from ufm.study.cluster import cluster

        engine_is_there = cluster(scheduler=scheduler, n_workers=workers)
    if export is not None:  # where that fails, nothing is trained in vain
        export.parent.mkdir(parents=True, exist_ok=True)
        if export.is_dir():
            raise ValueError(f"export: {export} is a folder; give the name of a file")
        with tempfile.TemporaryFile(dir=export.parent):
            pass

    def carry(finished: dict[str, list[str]]) -> None:
        if export is not None:
            parcel.export(finished, export)

    with engine_is_there as engine:
        finished = complete(
            chapters,
            device=engine.call(resolve, device),
            budget=seconds,
            engine=engine,
            weights=paths.of_project(paths.BUILD / "weights") if keep_weights else None,
            after=carry,
        )
    for name, done in finished.items():
        print(f"{name}: {len(done)} seeds finished")
    if export is not None:
        if not finished:
            carry({})
        print(f"carry {export} home and run: ufm records import {export.name}")


def gradients() -> None:
    """Compute batches from gradients, which trains nothing, and keep what the book's records lack of it."""
    from ufm.study import gradients

    print(f"gradients: {gradients.complete()} seeds finished")


def import_(file: Path) -> None:
    """Add the records in a file that `ufm reproduce --export` wrote, verified."""
    from ufm.study import parcel

    for sweep, n in parcel.import_(file).items():
        print(f"{sweep}: {n} new seeds")


def publish(file: Path) -> None:
    """Write all records of the book into one zip file for a release, with its md5 beside it."""
    from ufm.study import parcel

    print(f"{file}: {parcel.publish(file)} records; publish it with {parcel.checksum(file).name}")


def fetch(
    source: Annotated[str, typer.Argument(help="a file of `ufm records publish`, or its address")],
    md5: Annotated[str | None, typer.Option(help="of the file, as published; a file's own may lie beside it")] = None,
) -> None:
    """Add the records of a published file that are missing here, verified."""
    from ufm.study import parcel

    for sweep, n in parcel.fetch(source, md5).items():
        print(f"{sweep}: {n} new seeds")


def verify(
    retrain: Annotated[int, typer.Option(help="also train so many recorded seeds again and compare")] = 0,
    draw: Annotated[int, typer.Option(help="another number draws other seeds to train again")] = 0,
    device: str = "auto",
) -> None:
    """Check that every record is whole; exit code 1 unless all are."""
    from ufm.device import resolve
    from ufm.study import verification

    for name, number in (("retrain", retrain), ("draw", draw)):
        if number < 0:
            raise ValueError(f"{name}: cannot be negative, got {number}")
    where = resolve(device)
    n_records, faults = verification.verify()
    for fault in faults:
        print(f"fault: {fault}")
    print(f"{n_records} records, {len(faults)} faults")
    agree = True
    # What is damaged is restored first.
    for one in verification.retrain(retrain, device=where, draw=draw) if retrain and not faults else ():
        print(one)
        agree = agree and one.agrees
    raise typer.Exit(0 if agree and not faults else 1)


def show_pending(rows: list[dict]) -> None:
    """A table of what is pending."""
    from rich.console import Console
    from rich.table import Table

    from ufm.progress import duration

    if not rows:
        print("nothing is pending")
        return
    shown = Table("sweep", "recorded", "planned", "needed first", "models to train", "a seed", "all", title="pending")
    shown.columns[0].no_wrap = True  # names are for copying
    for row in rows:
        times = (duration(row[name]) for name in ("seconds_a_seed", "seconds"))
        shown.add_row(*(str(row[name]) for name in ("sweep", "recorded", "planned", "needed", "models")), *times)
    Console(width=None if sys.stdout.isatty() else 120).print(shown)


def parse_duration(text: str) -> float:
    """Seconds of a duration such as 90s, 9m or 1h30m."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not text or not found:
        raise ValueError(f"budget: {text!r} is no duration such as 90s, 9m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds
