"""Text notebooks: read with jupytext, parameters checked, executed by papermill, written without a trace of when."""

from ast import literal_eval
from collections.abc import Mapping
from pathlib import Path

import jupytext
import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from traitlets.config import Config

from ufm import files, paths
from ufm.book import kernel
from ufm.plan import registry
from ufm.study.notebook_parameters import Parameter

# Which show what they do themselves, whatever the profile: no sweep, no manifest.
TUTORIALS = ("audit-your-own", "two-moons")
NAMES = tuple(sorted([*registry.chapters(), *TUTORIALS]))  # of the book's; notebooks of one's own may lie beside them


def source(name: str) -> Path:
    """The text notebook of this name; a ValueError lists those that are there."""
    there = sorted(path.stem for path in paths.of_project(paths.NOTEBOOKS).glob("*.md"))
    if name not in there:
        raise ValueError(f"no notebook {name!r}; known: {', '.join(there)}")
    return paths.NOTEBOOKS / f"{name}.md"


def others() -> list[str]:
    """Names of the notebooks that are not the book's, such as copies to try something in."""
    return sorted({path.stem for path in paths.NOTEBOOKS.glob("*.md")} - set(NAMES))


def kinds(error: type[Exception]) -> set[str]:
    """The names of a class of errors and of all that derive from it."""
    return {error.__name__}.union(*(kinds(one) for one in error.__subclasses__()))


def read(name: str) -> nbformat.NotebookNode:
    """The notebook, unexecuted, with cell ids that depend on the order of its cells alone."""
    return with_fixed_ids(jupytext.read(source(name)))


def with_fixed_ids(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Number the cells: jupytext and papermill draw random ids."""
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def parameters(name: str) -> dict[str, Parameter]:
    """What the notebook's `parameters` cell declares, by name."""
    with files.scratch() as folder:
        path = folder / f"{name}.ipynb"
        nbformat.write(read(name), path)
        declared = papermill.inspect_notebook(str(path))
    return {
        name: Parameter(name, tuple(one["inferred_type_name"].split("|")), literal_eval(one["default"]), one["help"])
        for name, one in declared.items()
    }


def typed(name: str, given: Mapping[str, str]) -> dict[str, object]:
    """Texts as the notebook's parameters; a ValueError names an unknown or ill-typed one and lists the known ones."""
    known = parameters(name)
    listing = "; ".join(f"{one.name} ({' or '.join(one.types)}, {one.default!r})" for one in known.values())
    for parameter in given:
        if parameter not in known:
            raise ValueError(f"{name} has no parameter {parameter!r}. It has: {listing}")
    try:
        return {parameter: known[parameter].value(text) for parameter, text in given.items()}
    except ValueError as error:
        raise ValueError(f"{error}. {name} has: {listing}") from None


def execute(name: str, given: Mapping[str, object], folder: Path, *, threads: int | None = None) -> Path | None:
    """Execute a notebook into `folder`: `notebook.ipynb`, `manifest.json`, `tables/*.csv`, and return the notebook.

    Two executions with the same parameters write the same bytes. Where no record matches and nothing may be trained,
    `pending.txt` says what is missing and None is returned. A cell that fails raises papermill's
    PapermillExecutionError and leaves an earlier notebook as it was. `threads` limits the kernel's processor threads.
    """
    folder = folder.resolve()
    for old in (folder / "pending.txt", folder / "manifest.json", *(folder / "tables").glob("*.csv")):
        old.unlink(missing_ok=True)
    with files.scratch() as passing, kernel.environment(folder, passing, threads):
        plain, executed = passing / f"{name}.ipynb", passing / "executed.ipynb"
        nbformat.write(read(name), plain)
        try:
            papermill.execute_notebook(
                plain,
                executed,
                dict(given),
                progress_bar=False,
                kernel_name=kernel.NAME,
                config=Config({"KernelManager": kernel.connection(passing)}),
            )
        except DeadKernelError:
            raise ValueError(
                f"{name}: its kernel died, as it does where memory is short; give it more, or smaller settings"
            ) from None
        except papermill.PapermillExecutionError as error:
            # Whose message alone tells what is wrong with parameters, data or records.
            if error.ename in kinds(ValueError) | kinds(OSError):
                raise ValueError(f"{name}: {error.evalue}") from error
            if error.ename != "NotYetRun":
                raise
            files.write(folder / "pending.txt", f"{error.evalue}\n".encode())
            (folder / "notebook.ipynb").unlink(missing_ok=True)
            return None
        notebook = clean(nbformat.read(executed, as_version=4))
    require_pictures(name, notebook)
    files.write(folder / "notebook.ipynb", nbformat.writes(notebook).encode() + b"\n")
    return folder / "notebook.ipynb"


def require_pictures(name: str, notebook: nbformat.NotebookNode) -> None:
    """Raise a ValueError that names a figure of which a cell left no picture, only words."""
    for cell in notebook.cells:
        figure = cell.metadata.get("mystnb", {}).get("figure")
        shown = {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}
        if figure and not any(kind.startswith("image/") for kind in shown):
            raise ValueError(f"{name}: the figure {figure['name']} left no picture, only words")


def drawings(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """The figures of an executed notebook by their names, as SVG."""
    return {
        cell.metadata["mystnb"]["figure"]["name"]: output["data"]["image/svg+xml"]
        for cell in notebook.cells
        if "figure" in cell.metadata.get("mystnb", {})
        for output in cell.get("outputs", [])
        if "image/svg+xml" in output.get("data", {})
    }


def executed(path: Path) -> nbformat.NotebookNode:
    """An executed notebook. Raises ValueError where there is none, it is damaged, or a cell was not executed."""
    try:
        notebook = nbformat.reads((files.read(path) or b"").decode(), as_version=4)
        nbformat.validate(notebook)
    except Exception:  # which one, depends on what was done to the file
        raise ValueError(f"{path}: no executed notebook; run it again") from None
    if any(cell.cell_type == "code" and not cell.execution_count for cell in notebook.cells):
        raise ValueError(f"{path}: a cell was not executed")
    return notebook


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what differs between two executions, and keep papermill's injected cell off the page."""
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        for transient in ("papermill", "execution"):
            cell.metadata.pop(transient, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("remove-cell")
    return with_fixed_ids(notebook)


def write_ipynb(folder: Path) -> list[Path]:
    """The notebooks as .ipynb files that open in Jupyter, with the outputs of their embedded profile where executed."""
    written = []
    for name in NAMES:
        plain, target = nbformat.writes(read(name)).encode(), folder / f"{name}.ipynb"
        there = paths.runs() / "book" / "embedded" / name / "notebook.ipynb"
        if there.exists():
            executed(there)
        files.write(target, files.read(there) or plain)
        written.append(target)
    return written
