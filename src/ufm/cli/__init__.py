"""The command line.

Commands import what they need when they run, so that --help is instant.
"""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from ufm.cli import audits, images, marks, records, runs, site

app = typer.Typer(
    help="Unintended memorisation of unique features: data, notebooks and the book.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(images.data)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(runs.run)
app.command()(runs.compare)
app.command()(records.reproduce)
app.command()(images.hosts)
app.command()(records.gradients)
app.command()(site.pictures)
app.command()(site.book)
app.command()(site.pdf)
app.command()(site.readme)
app.command()(site.ipynb)

carried = typer.Typer(help="The book's records: import, verify, publish, fetch.", no_args_is_help=True)
carried.command(name="import")(records.import_)
carried.command()(records.verify)
carried.command()(records.publish)
carried.command()(records.fetch)
app.add_typer(carried, name="records")

mark = typer.Typer(help="Marks of your own: new, stamp.", no_args_is_help=True)
mark.command()(marks.new)
mark.command()(marks.stamp)
app.add_typer(mark, name="mark")
app.command()(audits.audit)


def in_utf8() -> None:
    """Begin again in Python's UTF-8 mode where the locale has another encoding: so arguments, paths and output are."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


@contextmanager
def orderly() -> Iterator[None]:
    """End on SIGTERM and SIGHUP as after an error, so that what was there for a while is removed."""

    def end(number: int, frame: object) -> None:
        sys.exit(128 + number)

    ours = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]  # but not nohup
    for one in ours:
        signal.signal(one, end)
    try:
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)


def main() -> None:
    """Run the command; bad input is one line on standard error and exit code 2."""
    in_utf8()
    try:
        with orderly():
            app()
    except ModuleNotFoundError as error:
        # What trains needs no more than the library; other commands need the extras of pyproject.toml.
        extra = "audit" if error.name in ("onnxruntime", "pydicom") else "book,cluster"
        print(f"ufm: {error.name} is not installed; `pip install 'ufm[{extra}]'` brings it", file=sys.stderr)
        sys.exit(2)
    except (ValueError, OSError) as error:
        print(f"ufm: {in_a_line(error)}", file=sys.stderr)
        sys.exit(2)


def in_a_line(error: Exception) -> str:
    """What is wrong, in one line: of the files that could not be copied the first."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        return error.args[0][0][-1]
    return str(error)
