"""The book: executed notebooks and pages put together, and Jupyter Book run over them."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import nbformat

from ufm import paths
from ufm.book import anywhere, library, notebooks
from ufm.book.published import NOTEBOOKS, Published, configuration, published
from ufm.book.social import CARD, card
from ufm.files import locked, write
from ufm.plan import profiles, registry
from ufm.progress import duration
from ufm.records import MANIFEST, committed
from ufm.study import manifest, pictures

STATIC = ("_assets", "_ext", "_templates")
CITED = ("references.bib", "bibliography.md")  # what the citations of a page of its own lead to
REHEARSAL = (
    "A rehearsal: small models on images that come with scikit-learn. This page shows that the method runs and says "
    "nothing about the paper; its numbers and words are of these models alone. The pages that do say something are "
    "built by make book PROFILE=paper."
)


def execution(profile: str, name: str) -> Path:
    """The folder in which the book's own execution of a notebook lies.

    Raises ValueError for an unknown profile or notebook: both may have been read from a file.
    """
    profiles.known(profile)
    notebooks.source(name)
    return paths.runs() / "book" / profile / name


def execute(profile: str, name: str) -> None:
    """Execute a notebook for the book. The paper profile trains nothing: its pages show what is recorded."""
    folder = execution(profile, name)
    with locked(folder, tell=True):
        notebooks.execute(name, given(profile, name), folder, threads=1)


def given(profile: str, name: str) -> dict[str, object]:
    """The parameters of the book's own execution of a notebook."""
    return {} if profile == "embedded" or name in notebooks.TUTORIALS else {"profile": profile, "train": False}


@contextmanager
def held(profile: str) -> Iterator[None]:
    """Hold the executions of a profile as they are: who would execute one of them again waits."""
    with ExitStack() as stack:
        for name in notebooks.NAMES:
            stack.enter_context(locked(execution(profile, name), shared=True, tell=True))
        yield


def inputs(profile: str, name: str) -> list[Path]:
    """The files on which the book's execution of a notebook stands, the library's own code apart.

    Raises ValueError for an unknown profile or notebook.
    """
    folders = []
    if profiles.known(profile) == "paper" and name not in notebooks.TUTORIALS:
        shown = (*registry.chapter(name, profile), *registry.beside(name))
        folders = [*map(committed, shown), pictures.store()]
    records = (path for store in folders for path in store.folder.rglob("*.*") if path.name[0] != ".")
    return [notebooks.source(name), paths.ROOT / "requirements.lock", *sorted(records)]


def is_there(profile: str, name: str) -> bool:
    """Whether the book's execution of a notebook has left what the site is built from."""
    there = {path.name for path in execution(profile, name).glob("*.*")}
    return "pending.txt" in there or left(name) <= there


def left(name: str) -> set[str]:
    """What every whole execution of a notebook leaves."""
    return {"notebook.ipynb"} if name in notebooks.TUTORIALS else {MANIFEST, "notebook.ipynb"}


def missing(profile: str) -> list[str]:
    """What the executed notebooks lack of what is planned, a line each; ValueError where one was not executed."""
    lines = []
    for name in notebooks.NAMES:
        folder = execution(profile, name)
        if (folder / "pending.txt").exists():
            lines.append(f"{name}: not yet run")
        elif not all((folder / file).exists() for file in left(name)):
            raise ValueError(
                f"{name} was not executed under the profile {profile!r}: run `make book PROFILE={profile}`"
            )
        elif name not in notebooks.TUTORIALS:
            found = manifest.read(folder)
            if found.seeds < found.planned:
                lines.append(f"{name}: {found.seeds} of {found.planned} planned seeds")
    return lines


def build(profile: str) -> Path:
    """Build the site of one profile from its executed notebooks; the path of its index.

    Warnings are errors: ValueError when there is one.
    """
    folders = {name: execution(profile, name) for name in notebooks.NAMES}
    source = paths.BUILD / "source"
    with locked(paths.BUILD, tell=True):
        shutil.rmtree(source, ignore_errors=True)
        shutil.copytree(paths.BOOK, source, ignore=shutil.ignore_patterns("records", "__pycache__", ".*"))
        stage(source, folders)
        rooms = library.write(source)
        entries = {
            name: overview(profile, folders) for name in [*(path.stem for path in paths.BOOK.glob("*.md")), *rooms]
        }
        entries |= {name: overview(profile, {}) for name in folders if name not in notebooks.TUTORIALS}
        entries |= provenance(folders)
        note = {"Note": REHEARSAL} if profile == "embedded" else {}
        noted = {name: entry | note for name, entry in entries.items()}
        (source / "provenance.json").write_text(json.dumps(noted), encoding="utf-8")
        where = published()
        (source / "running.json").write_text(json.dumps(running(profile, folders, where)), encoding="utf-8")
        html = render(source, paths.ROOT / "_toc.yml", paths.ROOT, strict=True)
        write_notebooks(profile, html / NOTEBOOKS)
        if where.site:  # a picture is shared by its address
            write(html / CARD, card(configuration()["title"]))
        return html / "index.html"


def write_notebooks(profile: str, folder: Path) -> list[Path]:
    """Write the executed notebooks as they read and run outside the book, see `anywhere`."""
    there = {name: execution(profile, name) for name in notebooks.NAMES}
    executed = {name: one / "notebook.ipynb" for name, one in there.items() if there_is_one(one)}
    return anywhere.write(folder, executed, published())


def page(name: str, folder: Path) -> Path:
    """Build a page of its own for one execution of a notebook; the path of the page."""
    source = folder / "source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for static in STATIC:
        shutil.copytree(paths.BOOK / static, source / static)
    stage(source, {name: folder})
    pages: dict[str, object] = {"format": "jb-book", "root": name}
    if "{cite" in (source / f"{name}.ipynb").read_text(encoding="utf-8"):
        for cited in CITED:
            shutil.copy(paths.BOOK / cited, source / cited)
        pages["chapters"] = [{"file": "bibliography"}]
    (source / "provenance.json").write_text(json.dumps(provenance({name: folder})), encoding="utf-8")
    toc = source / "_toc.yml"
    toc.write_text(json.dumps(pages), encoding="utf-8")  # JSON is YAML
    # References to other chapters lead nowhere here, so warnings are no errors.
    site = render(source, toc, folder, strict=False)
    shutil.rmtree(folder / "html", ignore_errors=True)
    shutil.move(site, folder / "html")
    shutil.rmtree(source)
    shutil.rmtree(folder / "_build")
    return folder / "html" / f"{name}.html"


def stage(source: Path, folders: dict[str, Path]) -> None:
    """Put executed notebooks, or what is known of those not yet run, among the pages.

    Beside them, under `downloads`, lie their tables and the pictures of their figures.
    """
    downloads = source / "downloads"
    for kind in ("figures", "tables"):
        (downloads / kind).mkdir(parents=True, exist_ok=True)
    for name, folder in folders.items():
        pending = folder / "pending.txt"
        if pending.exists():
            lines = notebooks.source(name).read_text(encoding="utf-8").splitlines()
            title = next(line for line in lines if line.startswith("# "))
            lacking = pending.read_text(encoding="utf-8").strip()
            text = f"{title}\n\n```{{admonition}} Not yet run\n:class: warning\n{lacking}\n```\n"
            # A notebook like the others, so that other pages' links to it hold.
            page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text, id="cell-0")])
            (source / f"{name}.ipynb").write_text(nbformat.writes(page), encoding="utf-8")
        else:
            found = notebooks.executed(folder / "notebook.ipynb")  # else a page would have no outputs, nothing said so
            shutil.copy(folder / "notebook.ipynb", source / f"{name}.ipynb")
            if (folder / "tables").is_dir():
                shutil.copytree(folder / "tables", downloads / "tables" / name)
            for figure, svg in notebooks.drawings(found).items():
                (downloads / "figures" / f"{figure}.svg").write_text(svg, encoding="utf-8")


def provenance(folders: dict[str, Path]) -> dict[str, dict[str, object]]:
    """What stands under the title of each executed notebook, from its manifest."""
    entries: dict[str, dict[str, object]] = {}
    for name, folder in folders.items():
        if there_is_one(folder) and name not in notebooks.TUTORIALS:
            found = manifest.read(folder)
            entries[name] = {
                "Profile": found.profile,
                "Data": found.dataset,
                "Models": f"{len(found.models)} ({found.seeds} of {found.planned} planned seeds)",
                "Device": found.device,
                "Versions": versions(found),
                "Duration": f"{duration(sum(found.seconds.values()))} of training and scoring",
                "Date": found.date,
                "Parameters": found.parameters,
            }
    return entries


def running(profile: str, folders: dict[str, Path], where: Published) -> dict[str, dict[str, object]]:
    """What stands at the foot of each notebook's page: how it is run again, here and elsewhere."""
    entries: dict[str, dict[str, object]] = {}
    for name, folder in folders.items():
        arguments = " ".join(f"-p {one} {value}" for one, value in given(profile, name).items())
        command = f"make run NOTEBOOK={name}" + (f' ARGS="{arguments}"' if arguments else "")
        entries[name] = {"command": command}
        if there_is_one(folder):
            entries[name]["links"] = {
                "Notebook (.ipynb)": f"{NOTEBOOKS}/{name}.ipynb",
                "Text notebook (.md)": f"{NOTEBOOKS}/{name}.md",
                **where.links(name),
            }
    return entries


def there_is_one(folder: Path) -> bool:
    """Whether an execution left a notebook, and not only what it waits for."""
    return not (folder / "pending.txt").exists()


def overview(profile: str, folders: dict[str, Path]) -> dict[str, object]:
    """What stands under the title of a page that no notebook makes: the whole book's provenance."""
    there = [manifest.read(folder) for folder in folders.values() if (folder / MANIFEST).exists()]
    if not there:
        return {"Profile": profile, "Models": "none yet"}

    def joined(parts: Iterable[str]) -> str:
        return "; ".join(dict.fromkeys(parts))

    seconds = {record: one.seconds[record] for one in there for record in one.seconds}  # each once

    return {
        "Profile": profile,
        "Data": joined(part for one in there for part in one.dataset.split("; ")),
        "Models": str(len({model for one in there for model in one.models})),
        "Device": joined(one.device for one in there),
        "Versions": joined(versions(one) for one in there),
        "Duration": f"{duration(sum(seconds.values()))} of training and scoring",
        "Date": max(one.date for one in there),
    }


def versions(found: manifest.Manifest) -> str:
    """Recipe and libraries in words."""
    sets = (", ".join(f"{name} {number}" for name, number in one.items()) for one in found.versions)
    return f"recipe {found.recipe}; {' and '.join(sets)}"


def render(source: Path, toc: Path, parent: Path, *, strict: bool) -> Path:
    """Run Jupyter Book; the site's folder, _build/html under `parent`, made anew lest another profile's page stays."""
    for old in ("html", ".doctrees"):
        shutil.rmtree(parent / "_build" / old, ignore_errors=True)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(source), "--quiet"]
    command += ["--config", str(paths.ROOT / "_config.yml"), "--toc", str(toc), "--path-output", str(parent)]
    command += ["-W", "-n", "--keep-going"] if strict else []
    # What warns there is not ours to mend, and a page's text is UTF-8 whatever the caller's language is.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    inherited |= {"PYTHONUTF8": "1"}
    built = subprocess.run(command, check=False, capture_output=True, text=True, encoding="utf-8", env=inherited)
    full = os.strerror(errno.ENOSPC)
    if built.returncode and full in built.stderr:
        raise ValueError(f"{parent}: {full}; make room there and try again, what is trained is kept")
    if built.returncode:
        print(built.stdout, built.stderr, file=sys.stderr)
        raise ValueError(f"Jupyter Book failed on {source}; its warnings, which are errors here, stand above")
    return parent / "_build" / "html"
