"""What is executed again for the book is what stands on something that changed, and nothing else."""

import importlib.util
import shutil

import pytest
from doit import doit_cmd
from doit.cmd_base import ModuleTaskLoader

from ufm import paths
from ufm.book import notebooks, site
from ufm.plan import registry
from ufm.records import provenance

ROOT = paths.ROOT
CHAPTERS = ("method", "controls")
BOTH = set(CHAPTERS)


@pytest.fixture(params=["embedded", "paper"])
def profile(request):
    """One and the other."""
    return request.param


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A small project of two chapters, each with a sweep of its name, and a library of one file."""
    for name in CHAPTERS:
        shutil.copy(notebooks.source(name), tmp_path / f"{name}.md")
    for name in (*CHAPTERS, "pictures", "elsewhere"):
        (tmp_path / "records" / name / "arrays").mkdir(parents=True)
        (tmp_path / "records" / name / "manifest.json").write_text("{}", encoding="utf-8")
        (tmp_path / "records" / name / "arrays" / "one.npz").write_text("arrays", encoding="utf-8")
    (tmp_path / "library" / "room").mkdir(parents=True)
    (tmp_path / "library" / "room" / "file.py").write_text("CODE = 1\n", encoding="utf-8")
    (tmp_path / "requirements.lock").write_text("torch==2\n", encoding="utf-8")
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "records"))
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(provenance, "LIBRARY", tmp_path / "library")
    monkeypatch.setattr(notebooks, "NAMES", CHAPTERS)
    monkeypatch.setattr(registry, "chapter", lambda name, _: (name,))
    provenance.source_digest.cache_clear()
    yield tmp_path
    provenance.source_digest.cache_clear()


@pytest.fixture
def executed(tree, profile, monkeypatch):
    """Let doit execute what it holds for stale: the names of these chapters."""
    monkeypatch.chdir(tree)  # where no configuration of doit lies
    done = []

    def execute(profile, name):
        folder = site.execution(profile, name)
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("manifest.json", "notebook.ipynb"):
            (folder / file).write_text("{}", encoding="utf-8")
        done.append(name)

    def call():
        done.clear()
        provenance.source_digest.cache_clear()
        doit_cmd.reset_vars()
        doit_cmd.set_var("profile", profile)
        specification = importlib.util.spec_from_file_location("dodo", ROOT / "dodo.py")
        dodo = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(dodo)
        assert doit_cmd.DoitMain(ModuleTaskLoader(dodo)).run(["execute"]) == 0
        return set(done)

    monkeypatch.setattr(site, "execute", execute)
    assert call() == BOTH
    assert call() == set()
    return call


def more(path):
    """Write something more into a file, or a new one."""
    return lambda tree: (tree / path).write_text(f"# {path}\n", encoding="utf-8")


def removed(path):
    """Move a file or a folder away."""
    return lambda tree: (tree / path).rename(tree / "away")


@pytest.mark.parametrize(
    ("change", "of_all", "of_paper"),
    [
        (more("method.md"), {"method"}, {"method"}),
        (more("method-Copy1.md"), set(), set()),
        (more("requirements.lock"), BOTH, BOTH),
        (more("library/room/file.py"), BOTH, BOTH),
        (more("library/other.py"), BOTH, BOTH),
        (removed("library/room/file.py"), BOTH, BOTH),
        (more("records/controls/manifest.json"), set(), {"controls"}),
        (more("records/controls/arrays/one.npz"), set(), {"controls"}),
        (more("records/controls/arrays/other.npz"), set(), {"controls"}),
        (removed("records/controls/arrays/one.npz"), set(), {"controls"}),
        (removed("records/controls"), set(), {"controls"}),
        (more("records/pictures/arrays/one.npz"), set(), BOTH),
        (removed("records/pictures"), set(), BOTH),
        (removed("records"), set(), BOTH),
        (more("records/controls/.lock"), set(), set()),
        (more("records/elsewhere/manifest.json"), set(), set()),
    ],
)
def test_what_stands_on_a_changed_file_is_executed_again(tree, executed, profile, change, of_all, of_paper):
    change(tree)
    assert executed() == (of_paper if profile == "paper" else of_all)
    assert executed() == set()


def test_other_versions_of_the_libraries_execute_all_again(executed, monkeypatch):
    monkeypatch.setattr(provenance, "version", lambda name: f"another {name}")
    assert executed() == BOTH


@pytest.mark.parametrize("lost", ["manifest.json", "notebook.ipynb"])
def test_an_execution_of_which_something_is_lost_is_done_again(executed, profile, lost):
    (site.execution(profile, "controls") / lost).unlink()
    assert executed() == {"controls"}


def test_what_cannot_be_executed_yet_is_not_tried_again(executed, profile):
    folder = site.execution(profile, "controls")
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "pending.txt").write_text("None of the planned seeds is recorded.\n", encoding="utf-8")
    assert executed() == set()


def test_notebooks_of_ones_own_are_named_and_no_pages(tree, monkeypatch, capsys):
    from ufm.cli.site import book

    shutil.copy(tree / "method.md", tree / "method-Copy1.md")
    monkeypatch.setattr(site, "missing", lambda _: [])
    monkeypatch.setattr(site, "build", lambda _: "index.html")
    book()
    assert (
        capsys.readouterr().err == "not in the book, for they are no chapters (`make run` takes them): method-Copy1\n"
    )
    assert site.execution("embedded", "method-Copy1").name == "method-Copy1"
    assert notebooks.parameters("method-Copy1").keys() == notebooks.parameters("method").keys()
    assert [path.stem for path in notebooks.write_ipynb(tree / "written")] == [*CHAPTERS]
