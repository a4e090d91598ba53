"""What stands on the pages and above them, without building the site."""

import importlib.util
import json
import re
from pathlib import Path

import nbformat
import pytest
import yaml
from executions import MANIFEST, write_manifest

from ufm import paths
from ufm.book import library, notebooks, site

LABELS = ["Profile", "Data", "Models", "Device", "Versions", "Duration", "Date"]


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """One executed notebook, `controls`, and one that was not yet run, `method`: all that the book keeps."""
    monkeypatch.setattr(notebooks, "NAMES", ("method", "controls"))
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "runs"))
    found = {name: site.execution("paper", name) for name in ("method", "controls")}
    for folder in found.values():
        folder.mkdir(parents=True)
    (found["method"] / "pending.txt").write_text(
        "None of the 1 planned seeds is recorded. To train: `make run`.\n", encoding="utf-8"
    )
    executed = notebooks.read("controls")
    for number, cell in enumerate((cell for cell in executed.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = number
    nbformat.write(executed, found["controls"] / "notebook.ipynb")
    write_manifest(found["controls"])
    return found


def test_what_is_missing_is_counted(folders):
    assert site.missing("paper") == ["method: not yet run", "controls: 5 of 20 planned seeds"]
    write_manifest(folders["controls"], seeds=20)
    (folders["method"] / "pending.txt").rename(folders["method"] / "notebook.ipynb")
    write_manifest(folders["method"], seeds=1, planned=1)
    assert site.missing("paper") == []


def test_what_was_never_executed_is_an_error(folders):
    with pytest.raises(ValueError, match="method was not executed under the profile 'embedded'"):
        site.missing("embedded")


def test_a_page_not_yet_run_says_so(folders, tmp_path):
    site.stage(tmp_path, folders)
    (cell,) = nbformat.read(tmp_path / "method.ipynb", as_version=4).cells  # links to method.ipynb hold
    assert cell.cell_type == "markdown"
    assert cell.source.startswith("# Method\n")
    assert "```{admonition} Not yet run\n" in cell.source
    assert "None of the 1 planned seeds is recorded. To train: `make run`.\n```" in cell.source


def test_a_page_is_the_executed_notebook(folders, tmp_path):
    site.stage(tmp_path, folders)
    assert (tmp_path / "controls.ipynb").read_bytes() == (folders["controls"] / "notebook.ipynb").read_bytes()


def test_an_unexecuted_cell_is_refused(folders, tmp_path):
    path = folders["controls"] / "notebook.ipynb"
    notebook = nbformat.read(path, as_version=4)
    [cell for cell in notebook.cells if cell.cell_type == "code"][-1].execution_count = None
    nbformat.write(notebook, path)
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))}: a cell was not executed"):
        site.stage(tmp_path, folders)


def test_provenance_of_a_page(folders):
    entries = site.provenance(folders)
    assert entries.keys() == {"controls"}  # nothing is known of a notebook that was not run
    assert list(entries["controls"]) == [*LABELS, "Parameters"]
    assert entries["controls"] == {
        "Profile": "paper",
        "Data": "MNIST, full size",
        "Models": "10 (5 of 20 planned seeds)",
        "Device": "A processor, 1 thread",
        "Versions": "recipe 3; ufm 0.1.0, torch 2.14.1 and ufm 0.1.0, torch 2.11.0",
        "Duration": "5 min of training and scoring",
        "Date": "2026-01-31",
        "Parameters": MANIFEST["parameters"],
    }


def test_provenance_of_the_whole_book(folders):
    (folders["method"] / "pending.txt").unlink()
    both = {"dataset": "MNIST, 10000 training images; MNIST, full size"}
    other = both | {
        "device": "Another",
        "models": ["model 0", "model 1", "one more"],
        "seconds": {"record 0": 60.0, "another": 100.0},
        "date": "2026-02-01",
    }
    write_manifest(folders["method"], **other)
    entry = site.overview("paper", folders)
    assert list(entry) == LABELS
    assert entry["Data"] == "MNIST, 10000 training images; MNIST, full size"  # each once
    assert entry["Device"] == "Another; A processor, 1 thread"
    assert entry["Models"] == "11"  # two chapters that show the same model count it once
    assert entry["Duration"] == "7 min of training and scoring"
    assert entry["Date"] == "2026-02-01"


def test_the_whole_book_before_anything_was_run(tmp_path):
    assert site.overview("paper", {"controls": tmp_path}) == {"Profile": "paper", "Models": "none yet"}


@pytest.fixture(scope="module")
def extension():
    """The book's Sphinx extension, which is no package."""
    path = paths.BOOK / "_ext" / "ufm_book.py"
    specification = importlib.util.spec_from_file_location("ufm_book", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_box_shows_every_label(extension, folders):
    entry = site.provenance(folders)["controls"]
    box = extension.provenance_box(entry)
    assert isinstance(box, extension.provenance)
    assert "provenance" in box["classes"]
    text = box.astext()
    for label in LABELS:
        assert label in text
        assert entry[label] in text
    for name, value in (MANIFEST["parameters"] | {"sweeps": "controls"}).items():
        assert f"{name} = {value}" in text
    summary, fields = box.children
    assert summary.astext() == "Profile: paper · Models: 10 (5 of 20 planned seeds) · Date: 2026-01-31"
    assert [field[0].astext() for field in fields] == [
        *(label for label in LABELS if label not in summary.astext()),
        "Parameters",
    ]
    sweeps = {"first": {}, "second": {"n_train": None, "seed": 7}, "third": {}}
    text = extension.provenance_box({"Parameters": {"sweeps": sweeps}}).astext()
    assert "sweeps = first, second (n_train = None, seed = 7), third" in text


def test_the_box_of_a_page_without_parameters_shows_every_label(extension, folders):
    entry = site.overview("paper", folders)
    text = extension.provenance_box(entry).astext()
    for label in LABELS:
        assert label in text
        assert entry[label] in text
    nothing = extension.provenance_box(site.overview("paper", {"controls": paths.ROOT / "nowhere"}))
    assert nothing.astext() == "Profile: paper · Models: none yet"


def test_the_box_stands_under_the_first_title(extension, folders):
    from docutils import nodes
    from docutils.utils import new_document

    class Environment:
        docname = "controls"
        ufm_provenance = site.provenance(folders)

    class App:
        env = Environment

    document = new_document("controls")
    document += nodes.section("", nodes.title("", "MLPs"), nodes.paragraph("", "text"), ids=["mlps"])
    extension.insert_provenance(App, document)
    title, box, paragraph = document[0].children
    assert isinstance(title, nodes.title)
    assert isinstance(box, extension.provenance)
    assert paragraph.astext() == "text"
    Environment.docname = "unknown"
    other = new_document("unknown")
    other += nodes.section("", nodes.title("", "Other"), ids=["other"])
    extension.insert_provenance(App, other)
    assert len(other[0].children) == 1


def test_what_must_be_read_first_stands_above_the_box(extension):
    from docutils import nodes
    from docutils.utils import new_document

    class App:
        class env:
            docname = "controls"
            ufm_provenance = {"controls": {"Profile": "embedded", "Note": site.REHEARSAL}}

    document = new_document("controls")
    document += nodes.section("", nodes.title("", "MLPs"), ids=["mlps"])
    extension.insert_provenance(App, document)
    _, note, box = document[0].children
    assert (note["classes"], note.astext()) == (["rehearsal"], site.REHEARSAL)
    assert "rehearsal" not in box.astext()


def test_the_table_of_contents_lists_every_page():
    toc = yaml.safe_load((paths.ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    pages = [path.stem for path in paths.BOOK.glob("*.md")]
    assert sorted([toc["root"], *files]) == sorted([*pages, *notebooks.NAMES])
    assert toc["root"] == "index"


def test_every_page_has_its_provenance(folders, monkeypatch):
    entries = {}

    def keep(source, *_, **__):
        entries.update(json.loads((source / "provenance.json").read_text(encoding="utf-8")))
        return source

    monkeypatch.setattr(site, "render", keep)
    monkeypatch.setattr(site, "write_notebooks", lambda *_: [])  # see test_anywhere.py
    monkeypatch.setattr(paths, "BUILD", folders["controls"].parents[3] / "build")
    site.build("paper")
    pages = {path.stem for path in Path(paths.BOOK).glob("*.md")}
    rooms = {f"api/{room}" for room in library.rooms()}
    assert entries.keys() == {*pages, *rooms, "method", "controls"}
    assert entries["method"] == {"Profile": "paper", "Models": "none yet"}
    assert entries["controls"]["Device"] == entries["api"]["Device"] == MANIFEST["device"]
    assert entries["index"]["Profile"] == "paper"


def test_settings_that_would_fail_silently():
    """See the comments in _config.yml."""
    config = yaml.safe_load((paths.ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert config["execute"]["execute_notebooks"] == "off"
    assert config["only_build_toc_files"] is False
    assert config["sphinx"]["recursive_update"] is True
    assert (paths.BOOK / "_assets" / config["sphinx"]["config"]["mathjax_path"]).is_file()


def test_no_page_mixes_profiles(folders, monkeypatch):
    """A profile's executions lie in a folder of their own, and only the paper profile's may not train."""
    asked = []
    monkeypatch.setattr(notebooks, "execute", lambda name, given, folder, **_: asked.append((given, folder)))
    for profile in ("embedded", "paper"):
        site.execute(profile, "controls")
    (embedded, paper) = asked
    assert embedded == ({}, site.execution("embedded", "controls"))
    assert paper == ({"profile": "paper", "train": False}, site.execution("paper", "controls"))
    assert embedded[1] != paper[1]
