"""The command line. Commands import what they need when they run, so that --help is instant."""

import math
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Unintended memorisation of unique features: data, notebooks and the book.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command()
def data(
    names: Annotated[list[str], typer.Argument(help="mnist, fashion_mnist, cifar10, pneumoniamnist, breastmnist")],
) -> None:
    """Download data sets into the data root (UFM_DATA, else data/) and verify them."""
    from ufm.data import sources

    for name in names:
        sources.source(name)
    for name in names:
        print(f"{name}: whole under {sources.download(name)}")


@app.command(context_settings=PASS_ON)
def run(context: typer.Context, notebook: str) -> None:
    """Execute a notebook with other parameters, each given as -p NAME VALUE.

    Its page, tables and manifest go to _build/runs/.
    """
    from ufm import paths
    from ufm.book import notebooks, site

    given = pairs(context.args)
    parameters = notebooks.typed(notebook, given)
    label = re.sub(
        r"[^\w.=-]+", "_", "-".join([notebook, *(f"{name}={value}" for name, value in sorted(given.items()))])
    )
    folder = paths.runs() / label
    # One thread, as the book's own execution on the embedded images has.
    threads = 1 if parameters.get("profile", "embedded") == "embedded" and "dataset" not in parameters else None
    if notebooks.execute(notebook, parameters, folder, threads=threads) is None:
        raise ValueError((folder / "pending.txt").read_text().strip())
    page = site.page(notebook, folder)
    print(f"notebook  {folder / 'notebook.ipynb'}")
    for table in sorted((folder / "tables").glob("*.csv")):
        print(f"table     {table}")
    print(f"page      {page}")


@app.command()
def compare(run: Annotated[Path, typer.Argument(help="the folder of a re-run, under _build/runs/")]) -> None:
    """Set each number of a re-run's tables beside the book's; exit code 1 unless all agree."""
    import json

    from rich.console import Console
    from rich.table import Table

    from ufm.book import site
    from ufm.book.compare import ELSEWHERE, compare_runs

    try:
        manifest = json.loads((run / "manifest.json").read_text())
        ours = site.execution(manifest["profile"], manifest["notebook"])
    except (OSError, ValueError, KeyError, TypeError):
        message = f"{run} holds no readable manifest.json: give the folder that `make run` printed"
        raise ValueError(message) from None
    # The paper profile's pages show what is recorded, which may have grown since.
    if manifest["profile"] == "paper" or not site.is_current(ours):
        site.execute(manifest["profile"], manifest["notebook"])
    rows, agrees = compare_runs(ours, run)
    shown = Table("table", "quantity", "book", "re-run", "verdict", "reason", title=f"{run} beside the book")
    elsewhere = rows["reason"] == ELSEWHERE
    for row in rows[~elsewhere].to_dict("records"):
        numbers = (f"{row[s]:.4g} [{row[f'{s}_low']:.4g}, {row[f'{s}_high']:.4g}]" for s in ("book", "rerun"))
        shown.add_row(row["table"], row["quantity"], *numbers, row["verdict"], row["reason"])
    # Without markup, which would swallow an interval such as [nan, nan].
    Console(width=None if sys.stdout.isatty() else 200, markup=False).print(shown)
    if elsewhere.any():
        print(f"{ELSEWHERE}, so not compared: {elsewhere.sum()} quantities")
    others = sorted({path.stem for path in (run / "tables").glob("*.csv")} - set(rows["table"]))
    if others:
        print(f"without intervals, so not compared: {', '.join(others)}")
    raise typer.Exit(0 if agrees else 1)


@app.command()
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

    from contextlib import nullcontext

    from ufm import paths
    from ufm.device import resolve
    from ufm.study.parcel import export as write_parcel
    from ufm.study.reproduce import InProcess, complete, listing

    if list_:
        show_pending(listing(chapters, resolve(device)))
        return
    if scheduler is None and workers is None:
        engine_is_there = nullcontext(InProcess())
    else:
        from ufm.study.cluster import cluster

        engine_is_there = cluster(scheduler=scheduler, n_workers=workers)
    if export is not None:
        export.parent.mkdir(parents=True, exist_ok=True)  # where that fails, nothing is trained in vain

    def carry(finished: dict[str, list[str]]) -> None:
        if export is not None:
            write_parcel(finished, export)

    with engine_is_there as engine:
        finished = complete(
            chapters,
            device=engine.call(resolve, device),
            budget=seconds,
            engine=engine,
            weights=paths.BUILD / "weights" if keep_weights else None,
            after=carry,
        )
    for name, done in finished.items():
        print(f"{name}: {len(done)} seeds finished")
    if export is not None:
        if not finished:
            carry({})
        print(f"carry {export} home and run: ufm records import {export.name}")


records = typer.Typer(help="The book's records: import, verify.", no_args_is_help=True)
app.add_typer(records, name="records")


@records.command(name="import")
def import_records(file: Path) -> None:
    """Add the records in a file that `ufm reproduce --export` wrote, verified."""
    from ufm.study.parcel import import_

    for sweep, n in import_(file).items():
        print(f"{sweep}: {n} new seeds")


@records.command()
def verify(
    retrain: Annotated[int, typer.Option(help="also train so many recorded seeds again and compare")] = 0,
    draw: Annotated[int, typer.Option(help="another number draws other seeds to train again")] = 0,
    device: str = "auto",
) -> None:
    """Check that every record is whole; exit code 1 unless all are."""
    from ufm.device import resolve
    from ufm.study import verification

    if retrain < 0:
        raise ValueError(f"retrain: cannot be negative, got {retrain}")
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


@app.command()
def hosts(
    dataset: str, n_train: int | None = None, kind: str = "hard", part: int | None = None, device: str = "cpu"
) -> None:
    """Find the hosts of a kind among the training images, such as those fitted worst, and keep them in book/records."""
    from ufm.measures.pools import find
    from ufm.plan.profiles import PROFILES, changed
    from ufm.protocol.hosts import POOLS
    from ufm.study.runs import require

    require("kind", kind, POOLS)
    # No score is taken of the models that find them, but a protocol has OOD images other than its own.
    ood_set = "mnist" if dataset == "cifar10" else None
    protocol = changed(PROFILES["paper"], dataset=dataset, n_train=n_train, ood_set=ood_set)
    if part is not None and not 0 <= part < protocol.n_parts:
        raise ValueError(f"part: {dataset} has parts 0 to {protocol.n_parts - 1} of that size, got {part}")
    find(protocol, None if part is None else [part], kind=kind, device=device)


@app.command()
def pictures() -> None:
    """Keep the images of the hosts that pages show in book/records, so that they need no image files."""
    from ufm.plan import registry
    from ufm.study import pictures

    for notebook in ("mlp", "influence", "medical"):
        for name in registry.chapter(notebook, "paper"):
            print(f"{name}: {pictures.keep(registry.sweeps()[name].protocol)} images")


@app.command(name="book")
def build(profile: str = "embedded", strict: bool = False) -> None:
    """Build the site from the executed notebooks; with --strict anything missing is an error."""
    from ufm.book import site

    lacking = site.missing(profile)
    for line in lacking:
        print(f"missing: {line}", file=sys.stderr)
    if strict and lacking:
        raise ValueError(f"{len(lacking)} of the {profile} profile's pages lack what is planned (see above)")
    print(site.build(profile))


@app.command()
def readme() -> None:
    """Renew the README's table of results from the records."""
    from ufm.book.readme import renew

    renew()


@app.command()
def ipynb(folder: Path) -> None:
    """Write the notebooks as .ipynb files."""
    from ufm.book import notebooks

    for path in notebooks.write_ipynb(folder):
        print(path)


def show_pending(rows: list[dict]) -> None:
    """A table of what is pending."""
    from rich.console import Console
    from rich.table import Table

    from ufm.progress import duration

    if not rows:
        print("nothing is pending")
        return
    shown = Table("sweep", "recorded", "planned", "needed first", "models to train", "a seed", "all", title="pending")
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


def pairs(arguments: list[str]) -> dict[str, str]:
    """Arguments `-p NAME VALUE …` as a mapping."""
    if len(arguments) % 3 or any(flag != "-p" for flag in arguments[::3]):
        raise ValueError(f"parameters are given as -p NAME VALUE, not {' '.join(arguments)}")
    return dict(zip(arguments[1::3], arguments[2::3], strict=True))


def main() -> None:
    """Run the command; bad input is one line on standard error and exit code 2."""
    try:
        app()
    except (ValueError, OSError) as error:
        print(f"ufm: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
