"""The command line. Commands import what they need when they run, so that --help is instant."""

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
def data(names: Annotated[list[str], typer.Argument(help="mnist, fashion_mnist, cifar10")]) -> None:
    """Download data sets with torchvision into the data root (UFM_DATA, else data/) and verify them."""
    from ufm import sources

    for name in names:
        sources.source(name)
    for name in names:
        print(f"{name}: whole under {sources.download(name)}")


@app.command(context_settings=PASS_ON)
def run(context: typer.Context, notebook: str) -> None:
    """Execute a notebook with other parameters, each given as -p NAME VALUE.

    Its page, tables and manifest go to _build/runs/.
    """
    from ufm import book, notebooks, paths

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
    page = book.page(notebook, folder)
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

    from ufm import book
    from ufm.compare import compare_runs

    try:
        manifest = json.loads((run / "manifest.json").read_text())
        ours = book.execution(manifest["profile"], manifest["notebook"])
    except (OSError, ValueError, KeyError, TypeError):
        message = f"{run} holds no readable manifest.json: give the folder that `make run` printed"
        raise ValueError(message) from None
    # The paper profile's pages show what is recorded, which may have grown since.
    if manifest["profile"] == "paper" or not book.is_current(ours):
        book.execute(manifest["profile"], manifest["notebook"])
    rows, agrees = compare_runs(ours, run)
    shown = Table("table", "quantity", "book", "re-run", "verdict", "reason", title=f"{run} beside the book")
    for row in rows.to_dict("records"):
        numbers = (f"{row[s]:.4g} [{row[f'{s}_low']:.4g}, {row[f'{s}_high']:.4g}]" for s in ("book", "rerun"))
        shown.add_row(row["table"], row["quantity"], *numbers, row["verdict"], row["reason"])
    # Without markup, which would swallow an interval such as [nan, nan].
    Console(width=None if sys.stdout.isatty() else 200, markup=False).print(shown)
    others = sorted({path.stem for path in (run / "tables").glob("*.csv")} - set(rows["table"]))
    if others:
        print(f"without intervals, so not compared: {', '.join(others)}")
    raise typer.Exit(0 if agrees else 1)


@app.command()
def reproduce(
    chapters: Annotated[list[str] | None, typer.Argument(help="such as mlp or mnist-small; without any, all")] = None,
    device: str = "auto",
) -> None:
    """Train what the book's records lack of the paper profile's planned seeds, and keep it in book/records.

    It goes on where it was stopped; processes started side by side share the seeds.
    """
    from ufm.device import resolve
    from ufm.reproduce import complete

    for name, done in complete(chapters, device=resolve(device)).items():
        print(f"{name}: {len(done)} seeds finished")


@app.command()
def hosts(dataset: str, n_train: int | None = None, device: str = "cpu") -> None:
    """Find the training images that clean models fit worst, the hard hosts, and keep them in book/records."""
    from ufm.hosts import find
    from ufm.profiles import protocol

    find(protocol("mlp", "paper", dataset=dataset, n_train=n_train), device=device)


@app.command()
def execute(notebook: str, profile: str = "embedded") -> None:
    """Execute a notebook for the book."""
    from ufm import book

    book.execute(profile, notebook)


@app.command(name="book")
def build(profile: str = "embedded", strict: bool = False) -> None:
    """Build the site from the executed notebooks; with --strict anything missing is an error."""
    from ufm import book

    lacking = book.missing(profile)
    for line in lacking:
        print(f"missing: {line}", file=sys.stderr)
    if strict and lacking:
        raise ValueError(f"{len(lacking)} of the {profile} profile's pages lack what is planned (see above)")
    print(book.build(profile))


@app.command()
def readme() -> None:
    """Renew the README's table of results from the records."""
    from ufm.readme import renew

    renew()


@app.command()
def ipynb(folder: Path) -> None:
    """Write the notebooks as .ipynb files."""
    from ufm import notebooks

    for path in notebooks.write_ipynb(folder):
        print(path)


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
