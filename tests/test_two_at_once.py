"""Two processes in one place: one waits for the other and says so, and other settings have another place."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from executions import write_manifest

from ufm import files, paths
from ufm.book import library, notebooks, site
from ufm.cli import runs
from ufm.cli import site as commands


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")
    monkeypatch.setattr(notebooks, "NAMES", ("controls",))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def waits(monkeypatch):
    """Set as soon as somebody waits for a folder that another one holds."""
    event, flock = threading.Event(), files.fcntl.flock

    def tell(lock, how):
        if not how & files.fcntl.LOCK_NB:
            event.set()
        flock(lock, how)

    monkeypatch.setattr(files.fcntl, "flock", tell)
    return event


def side_by_side(first, second, waits):
    """Do both, the second as soon as the first is in the middle of it; the first goes on when the second waits."""
    middle = threading.Event()

    def until_the_other_waits():
        if not middle.is_set():
            middle.set()
            assert waits.wait(60)

    with ThreadPoolExecutor(2) as pool:
        ended = [pool.submit(first, until_the_other_waits)]
        assert middle.wait(60)
        ended.append(pool.submit(second, until_the_other_waits))
        return [one.result(60) for one in ended]


def execute(pause):
    """A stand-in for an execution: as that does, it removes what an earlier one left, and writes it at the end."""

    def executed(name, given, folder, **_):
        for old in ("manifest.json", "notebook.ipynb"):
            (folder / old).unlink(missing_ok=True)
        pause()
        write_manifest(folder)
        (folder / "notebook.ipynb").write_text("executed", encoding="utf-8")
        return folder / "notebook.ipynb"

    return executed


def test_two_identical_runs_both_end_well(monkeypatch, waits, capsys):
    paused = threading.local()

    def page(name, folder):
        assert (folder / "notebook.ipynb").read_text(encoding="utf-8") == "executed"
        assert (folder / "manifest.json").exists()
        return folder / "html" / "controls.html"

    monkeypatch.setattr(notebooks, "typed", lambda name, given: given)
    monkeypatch.setattr(notebooks, "execute", lambda *given, **how: execute(paused.until)(*given, **how))
    monkeypatch.setattr(site, "page", page)

    def run(pause):
        paused.until = pause
        runs.run(SimpleNamespace(args=["-p", "n_seeds", "4"]), "controls")

    side_by_side(run, run, waits)
    output, errors = capsys.readouterr()
    assert output.count("page      ") == 2
    assert errors == f"{paths.runs() / 'controls-n_seeds=4'}: another process is at it; this one waits\n"


def test_the_book_is_built_while_nobody_executes(monkeypatch, waits):
    """One executes what the other has executed and builds from."""
    paused = threading.local()
    monkeypatch.setattr(notebooks, "execute", lambda *given, **how: execute(paused.until)(*given, **how))
    monkeypatch.setattr(site, "build", lambda profile: site.missing(profile))

    def executes(pause):
        paused.until = pause
        site.execute("embedded", "controls")

    def builds(pause):
        commands.book("embedded")

    side_by_side(executes, builds, waits)
    waits.clear()

    def builds_slowly(pause):
        monkeypatch.setattr(site, "build", lambda profile: pause() or site.missing(profile))
        commands.book("embedded")

    side_by_side(builds_slowly, executes, waits)


def test_two_books_are_built_one_after_the_other(monkeypatch, waits):
    rendered = []
    monkeypatch.setattr(library, "write", lambda source: [])
    monkeypatch.setattr(notebooks, "executed", lambda path: None)
    monkeypatch.setattr(notebooks, "drawings", lambda found: {})
    monkeypatch.setattr(site, "write_notebooks", lambda *_: None)
    folder = site.execution("embedded", "controls")
    write_manifest(folder)
    (folder / "notebook.ipynb").write_text("executed", encoding="utf-8")

    paused = threading.local()

    def render(source, *_, **__):
        before = sorted(source.iterdir())
        paused.until()
        assert sorted(source.iterdir()) == before
        rendered.append(source)
        return source

    def build(pause):
        paused.until = pause
        site.build("embedded")

    monkeypatch.setattr(site, "render", render)
    side_by_side(build, build, waits)
    assert len(rendered) == 2


def test_readers_of_a_folder_do_not_wait_for_each_other(tmp_path, waits):
    with files.locked(tmp_path, shared=True), files.locked(tmp_path, shared=True):
        assert not waits.is_set()


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "controls"),
        ({"seed": "100", "n_seeds": "8"}, "controls-n_seeds=8-seed=100"),
        ({"fresh": "True", "feature": "B", "n_train": "None"}, "controls-feature=B-fresh=True-n_train=None"),
        ({"dataset": "fashion_mnist", "learning_rate": "1e-3"}, "controls-dataset=fashion_mnist-learning_rate=1e-3"),
    ],
)
def test_plain_settings_are_the_name_of_a_runs_folder(given, name):
    assert runs.label("controls", given) == name


def test_other_settings_have_another_folder(tmp_path):
    texts = ["[]", "()", "_", "J. DOE", "J. Doe", "J._DOE", "DOE", "Doe", "doe", "é", "e\u0301", "a-seed=1", "../x", ""]
    given = [{"feature": text} for text in [*texts, "x" * 300, "x" * 301, "é" * 200]]
    given += [{"feature": "a", "seed": "1"}, {"dataset": "./scans"}, {"dataset": "../scans"}]
    names = [runs.label("controls", one) for one in given]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert len(name.encode()) < 230
        assert (tmp_path / name).resolve().parent == tmp_path.resolve()


def test_a_relative_path_is_another_one_elsewhere(tmp_path, monkeypatch):
    names = []
    for place in ("here", "there"):
        (tmp_path / place / "scans").mkdir(parents=True)
        (tmp_path / place / "mark.png").touch()
        monkeypatch.chdir(tmp_path / place)
        names += [runs.label("controls", {"dataset": "./scans"}), runs.label("controls", {"feature": "mark.png"})]
    assert len(set(names)) == 4
