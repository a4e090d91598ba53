"""Notebooks with other parameters, and their numbers beside the book's."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer


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
        raise ValueError((folder / "pending.txt").read_text(encoding="utf-8").strip())
    page = site.page(notebook, folder)
    print(f"notebook  {folder / 'notebook.ipynb'}")
    for table in sorted((folder / "tables").glob("*.csv")):
        print(f"table     {table}")
    print(f"page      {page}")


def compare(run: Annotated[Path, typer.Argument(help="the folder of a re-run, under _build/runs/")]) -> None:
    """Set each number of a re-run's tables beside the book's; exit code 1 unless all agree."""
    import json

    from rich.console import Console
    from rich.table import Table

    from ufm.book import site
    from ufm.book.compare import ELSEWHERE, compare_runs

    try:
        manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
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


def pairs(arguments: list[str]) -> dict[str, str]:
    """Arguments `-p NAME VALUE …` as a mapping."""
    if len(arguments) % 3 or any(flag != "-p" for flag in arguments[::3]):
        raise ValueError(f"parameters are given as -p NAME VALUE, not {' '.join(arguments)}")
    return dict(zip(arguments[1::3], arguments[2::3], strict=True))
