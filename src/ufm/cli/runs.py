"""Notebooks with other parameters, and their numbers beside the book's."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

LONGEST = 200  # of the name of a folder a system takes some 255 bytes
PLAIN = re.compile("[a-z0-9_.-]*|[A-Z]|True|False|None")


def run(context: typer.Context, notebook: str) -> None:
    """Execute a notebook with other parameters, each given as -p NAME VALUE.

    Its page, tables and manifest go to _build/runs/.
    """
    from ufm import paths
    from ufm.book import notebooks, site
    from ufm.files import locked

    given = pairs(context.args)
    parameters = notebooks.typed(notebook, given)
    folder = paths.runs() / label(notebook, given)
    # One thread, as the book's own execution on the embedded images has.
    threads = 1 if parameters.get("profile", "embedded") == "embedded" and "dataset" not in parameters else None
    with locked(folder, tell=True):
        if notebooks.execute(notebook, parameters, folder, threads=threads) is None:
            raise ValueError((folder / "pending.txt").read_text(encoding="utf-8").strip())
        page = site.page(notebook, folder)
        print(f"notebook  {folder / 'notebook.ipynb'}")
        for table in sorted((folder / "tables").glob("*.csv")):
            print(f"table     {table}")
        print(f"page      {page}")


def compare(run: Annotated[Path, typer.Argument(help="the folder of a re-run, under _build/runs/")]) -> None:
    """Set each number of a re-run's tables beside the book's; exit code 1 unless all agree."""
    from rich.console import Console
    from rich.table import Table

    from ufm.book import site
    from ufm.book.compare import ELSEWHERE, compare_runs
    from ufm.files import locked
    from ufm.study import manifest

    theirs = manifest.read(run)
    try:
        ours = site.execution(theirs.profile, theirs.notebook)
    except ValueError as error:
        raise ValueError(f"{run}: {error}") from None
    # Text, code or records may be others by now; what is trained already is not trained again.
    site.execute(theirs.profile, theirs.notebook)
    with locked(ours, shared=True, tell=True):
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


def label(notebook: str, given: Mapping[str, str]) -> str:
    """The name of the folder of a run, another one for other settings: where these don't tell, their digest does."""
    from ufm.records import digest

    name = "-".join([notebook, *(f"{parameter}={value}" for parameter, value in sorted(given.items()))])
    # A file system may not tell capitals from small letters, and a file is another one in another folder.
    if len(name) <= LONGEST and all(PLAIN.fullmatch(one) and not os.path.exists(one) for one in given.values()):
        return name
    settings = {name: str(Path(one).absolute()) if os.path.exists(one) else one for name, one in given.items()}
    return f"{re.sub(r'[^a-zA-Z0-9_.=-]+', '_', name)[:LONGEST]}+{digest(settings)[:8]}"


def pairs(arguments: list[str]) -> dict[str, str]:
    """Arguments `-p NAME VALUE …` as a mapping."""
    if len(arguments) % 3 or any(flag != "-p" for flag in arguments[::3]):
        raise ValueError(f"parameters are given as -p NAME VALUE, not {' '.join(arguments)}")
    return dict(zip(arguments[1::3], arguments[2::3], strict=True))
