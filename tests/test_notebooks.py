"""Notebooks narrate and call; executed, they leave the same bytes wherever and however often that happens."""

import ast
import json
import os
import re
import subprocess
import sys

import jupytext
import nbformat
import papermill
import pytest
from ipykernel.kernelspec import get_kernel_dict
from jupytext.config import load_jupytext_config

from ufm import paths
from ufm.book import notebooks
from ufm.book.compare import AGREES, compare_runs
from ufm.data.sources import SCORED_ON, SOURCES
from ufm.files import locked
from ufm.networks import MODELS
from ufm.plan.registry import chapters
from ufm.study.notebook_parameters import PARAMETERS

SMALLEST = {"n_train": 400, "n_ood": 60, "n_random": 1}
HEADER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Tiny

```{code-cell} ipython3
:tags: [parameters]

fail = False  # type: bool whether it fails
kind = "ValueError"  # type: str of what
count = None  # type: int|None how many
rate = 0.5  # type: float how fast
```
"""
TINY = """
```{code-cell} ipython3
import os
import sys
from pathlib import Path

print("progress", file=sys.__stderr__, flush=True)
folder = Path(os.environ["UFM_RUN"])
if fail:
    raise type(kind, (RuntimeError,), {})("what is wrong")
folder.mkdir(parents=True, exist_ok=True)
_ = (folder / "manifest.json").write_text("{}", encoding="utf-8")
count, rate, os.environ.get("OMP_NUM_THREADS")
```
"""


def code_cells(name):
    return [cell for cell in notebooks.read(name).cells if cell.cell_type == "code"]


def test_every_chapter_has_a_notebook():
    there = {path.stem for path in paths.NOTEBOOKS.iterdir()}
    assert {*chapters(), *notebooks.TUTORIALS} == set(notebooks.NAMES) <= there
    assert set(chapters()).isdisjoint(notebooks.TUTORIALS)


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_a_notebook_is_text_with_a_kernel_and_one_parameters_cell(name):
    notebook = notebooks.read(name)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.kernelspec.language == "python"
    assert notebook.cells[0].source.startswith("# ")
    tagged = ["parameters" in cell.metadata.get("tags", []) for cell in code_cells(name)]
    assert tagged == [True] + [False] * (len(tagged) - 1)
    assert "cell_metadata_filter" not in notebooks.source(name).read_text(encoding="utf-8")  # it would drop the tag


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_opening_and_saving_a_notebook_in_jupyter_changes_nothing_but_the_edit(name):
    """`.venv/bin/jupytext --to ipynb NAME.md`, then `--to md:myst NAME.ipynb`, mends a header or a cell's settings."""
    text = notebooks.source(name).read_text(encoding="utf-8")
    assert saved(jupytext.reads(text, fmt="md:myst")) == text
    edited = jupytext.reads(text, fmt="md:myst")
    first, code = edited.cells[0], next(cell for cell in edited.cells if cell.cell_type == "code")
    changes = {first.source: first.source + "\nOne line more.", code.source: code.source + "\nmore = None"}
    first.source, code.source = changes.values()
    for before, after in changes.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    assert saved(edited) == text


def saved(notebook):
    """The text that Jupyter leaves of a notebook, with the name of its own kernel and settings in the order of JSON."""
    notebook.metadata.kernelspec = {"name": "python3"} | {
        key: value for key, value in get_kernel_dict().items() if key in ("display_name", "language")
    }
    kept = nbformat.reads(nbformat.writes(notebook), as_version=4)
    return jupytext.writes(kept, fmt="md:myst", config=load_jupytext_config(str(paths.NOTEBOOKS / "any.md")))


@pytest.mark.parametrize("name", sorted(chapters()))
def test_parameters_are_declared_as_in_the_table(name):
    declared = notebooks.parameters(name)
    assert list(declared) == [parameter for parameter in PARAMETERS if parameter in declared]
    for parameter, cell in declared.items():
        assert PARAMETERS[parameter].declared_by(cell), f"{cell} is not {PARAMETERS[parameter]}"


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_a_chapter_offers_what_there_is(name):
    images = {*SOURCES, *SCORED_ON, "or the path of a folder"}
    for parameter, there in {"dataset": images, "ood_set": images, "model": set(MODELS)}.items():
        if parameter in notebooks.parameters(name):
            offered = notebooks.parameters(name)[parameter].help.partition("; None:")[0]
            assert set(offered.split(", ")) <= there


@pytest.mark.parametrize("name", sorted(chapters()))
def test_all_parameters_are_given_and_no_variable_is_taken_for_one(name):
    cell, *others = [ast.parse(cell.source) for cell in code_cells(name)]
    declared = [target.id for statement in cell.body for target in statement.targets]
    assert declared == list(notebooks.parameters(name))
    nodes = [node for other in others for node in ast.walk(other)]
    runs = [ast.unparse(node) for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "Run"]
    assert runs == [f"Run('{name}', given(globals()))"]
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
    assert not bound & set(PARAMETERS)


@pytest.mark.parametrize("name", sorted(chapters()))
def test_the_first_number_is_twenty_lines_of_code_away(name):
    """Parameters apart, of which each has its line."""
    code = "\n".join(cell.source for cell in code_cells(name)[1:])
    first = next(statement for statement in ast.parse(code).body if shows(statement))
    assert sum(bool(line.strip()) for line in code.splitlines()[: first.end_lineno]) <= 20


def shows(statement):
    """Whether a statement hands a number to the text, or shows a table."""
    calls = [ast.unparse(node.func) for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return not {"glue", "tables.printed", "tables.printed_summary"}.isdisjoint(calls)


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_a_notebook_holds_no_algorithm(name):
    """Assignments, imports and calls; the one loop that may stand there hands numbers to the text."""
    simple = (ast.Import, ast.ImportFrom, ast.Assign, ast.Expr)
    for cell in code_cells(name):
        for statement in ast.parse(cell.source).body:
            if isinstance(statement, ast.For):
                (call,) = statement.body
                assert ast.unparse(call).startswith("glue("), cell.source
                continue
            assert isinstance(statement, simple), cell.source
            for node in ast.walk(statement):
                assert not isinstance(node, (ast.Lambda, ast.comprehension, ast.IfExp)), cell.source
                assert not isinstance(node, ast.BinOp) or is_by_hand(cell), cell.source


def is_by_hand(cell):
    """Whether a cell works out what the library has, so that a reader sees how; its chapter's test compares both."""
    return "by-hand" in cell.metadata.get("tags", [])


def test_one_cell_is_worked_out_by_hand_in_ten_lines():
    [(name, cell)] = [(name, cell) for name in notebooks.NAMES for cell in code_cells(name) if is_by_hand(cell)]
    assert name == "method"
    assert len([line for line in cell.source.splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_every_figure_has_caption_name_and_alt_text(name):
    figure = re.compile(r"^(figures\.|chapter\.drawn_)", re.MULTILINE)
    drawing = [cell for cell in code_cells(name) if figure.search(cell.source)]
    assert drawing
    for cell in drawing:
        settings = cell.metadata["mystnb"]
        assert re.fullmatch(rf"fig-{name}-[a-z-]+", settings["figure"]["name"])
        assert len(settings["figure"]["caption"]) > 20
        assert len(settings["image"]["alt"]) > 20
    names = [cell.metadata["mystnb"]["figure"]["name"] for cell in drawing]
    assert len(names) == len(set(names))


PICTURES = re.compile(  # without table
    r"^(figures\.pictures|by_task\.drawn_recalled|by_picture\.drawn_pictures|chapter\.drawn_(images|rows|models))\(",
    re.MULTILINE,
)


@pytest.mark.parametrize("name", sorted(chapters()))
def test_every_figure_names_the_tables_that_it_is_drawn_from(name):
    """Which the notebook keeps; so does a printed table that names any."""
    kept = set(re.findall(r'run\.keep_table\(\s*"([\w-]+)"', "\n".join(cell.source for cell in code_cells(name))))
    for cell in code_cells(name):
        named = cell.metadata.get("table", [])
        named = [named] if isinstance(named, str) else named
        assert set(named) <= kept, cell.source
        if "figure" in cell.metadata.get("mystnb", {}):
            assert bool(named) != bool(PICTURES.search(cell.source)), f"`:table:` of {cell.source}"


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_the_text_states_no_measured_number(name):
    """Numbers that a model gave come from cells: between two words of prose no decimal fraction is typed."""
    prose = "\n".join(cell.source for cell in notebooks.read(name).cells if cell.cell_type == "markdown")
    without = re.sub(r"\$\$.*?\$\$|\$.*?\$|`.*?`|\]\(.*?\)|arXiv [\d.]+", "", prose, flags=re.DOTALL)
    assert re.findall(r"\b\d+\.\d+\b", without) == []


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The folder of notebooks replaced by one that needs no library."""
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "tiny.md").write_text(HEADER + TINY, encoding="utf-8")
    monkeypatch.setattr(paths, "NOTEBOOKS", folder)
    monkeypatch.setattr(notebooks, "NAMES", ("tiny",))
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("fail", "true", True),
        ("fail", "False", False),
        ("kind", "17", "17"),
        ("kind", "None", "None"),
        ("count", "17", 17),
        ("count", "-1", -1),
        ("count", "None", None),
        ("rate", "1e-3", 0.001),
        ("rate", "2", 2.0),
    ],
)
def test_texts_become_values(tiny, name, text, value):
    (found,) = notebooks.typed("tiny", {name: text}).values()
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [("count", "many", "int or None"), ("count", "1.5", "int or None"), ("fail", "1", "bool"), ("rate", "", "float")],
)
def test_an_ill_typed_parameter_is_an_error_that_lists_all(tiny, name, text, expected):
    with pytest.raises(ValueError, match=f"{name} takes {expected}, not {text!r}") as raised:
        notebooks.typed("tiny", {name: text})
    for known in ("fail (bool, False)", "kind (str, 'ValueError')", "count (int or None, None)", "rate (float, 0.5)"):
        assert known in str(raised.value)


def test_an_unknown_parameter_is_an_error_that_lists_all():
    with pytest.raises(ValueError, match="controls has no parameter 'n_canary'") as raised:
        notebooks.typed("controls", {"seed": "1", "n_canary": "3"})
    for known in notebooks.parameters("controls"):
        assert f"{known} (" in str(raised.value)


def test_an_unknown_notebook_is_an_error_that_lists_all(tmp_path):
    with pytest.raises(
        ValueError, match="no notebook 'nonsense'; known: .*neighbours, other-measures, prevention, regularisers"
    ):
        notebooks.execute("nonsense", {}, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_cells_are_numbered_whoever_reads_them():
    assert nbformat.writes(notebooks.read("controls")) == nbformat.writes(notebooks.read("controls"))
    ids = [cell.id for cell in notebooks.read("controls").cells]
    assert ids == [f"cell-{number}" for number in range(len(ids))]


def test_a_failing_execution_leaves_the_earlier_notebook(tiny):
    assert notebooks.execute("tiny", {"count": 3}, tiny) == tiny / "notebook.ipynb"
    before = (tiny / "notebook.ipynb").read_bytes()
    with pytest.raises(papermill.PapermillExecutionError, match="what is wrong"):
        notebooks.execute("tiny", {"fail": True, "kind": "ZeroDivisionError"}, tiny)
    with pytest.raises(ValueError, match="^tiny: what is wrong$"):
        notebooks.execute("tiny", {"fail": True, "kind": "IsADirectoryError"}, tiny)
    assert (tiny / "notebook.ipynb").read_bytes() == before
    assert [path.name for path in tiny.iterdir()] == ["notebook.ipynb"]  # but no manifest that is not its own


def test_bad_input_is_told_from_other_errors_by_all_kinds_of_it():
    bad = notebooks.kinds(ValueError) | notebooks.kinds(OSError)
    assert {"ValueError", "RecordError", "JSONDecodeError", "UnicodeDecodeError", "OSError"} <= bad
    assert {"IsADirectoryError", "NotADirectoryError", "PermissionError", "FileNotFoundError"} <= bad
    assert not {"KeyError", "TypeError", "ZeroDivisionError", "NotYetRun"} & bad


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"cells": 3}', "a folder"])
def test_a_damaged_executed_notebook_is_one_line(tmp_path, content):
    path = tmp_path / "notebook.ipynb"
    if content == "a folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: .*notebook") as raised:
        notebooks.executed(path)
    assert "\n" not in str(raised.value)


def test_what_is_not_yet_run_takes_the_place_of_the_notebook_until_it_is(tiny):
    notebooks.execute("tiny", {}, tiny)
    assert notebooks.execute("tiny", {"fail": True, "kind": "NotYetRun"}, tiny) is None
    assert [path.name for path in tiny.iterdir()] == ["pending.txt"]
    assert (tiny / "pending.txt").read_text(encoding="utf-8") == "what is wrong\n"
    notebooks.execute("tiny", {}, tiny)
    assert sorted(path.name for path in tiny.iterdir()) == ["manifest.json", "notebook.ipynb"]


def test_the_caller_keeps_its_environment_and_sees_progress(tiny, monkeypatch, capfd):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # under which a kernel never captures what a process prints
    before = dict(os.environ)
    notebook = nbformat.read(notebooks.execute("tiny", {"rate": 0.25}, tiny, threads=1), as_version=4)
    assert os.environ == before
    (output,) = notebook.cells[-1].outputs  # progress goes to the terminal and not into the notebook
    assert output.data["text/plain"] == "(None, 0.25, '1')"
    assert "progress" in capfd.readouterr().err


def test_notebooks_are_written_with_the_outputs_of_the_embedded_profile_where_there_are_any(tmp_path, monkeypatch):
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "runs"))
    executed = tmp_path / "runs" / "book" / "embedded" / "controls" / "notebook.ipynb"
    executed.parent.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(), executed)
    assert notebooks.write_ipynb(tmp_path / "out") == [tmp_path / "out" / f"{name}.ipynb" for name in notebooks.NAMES]
    assert (tmp_path / "out" / "controls.ipynb").read_bytes() == executed.read_bytes()
    plain = nbformat.read(tmp_path / "out" / "method.ipynb", as_version=4)
    assert plain == notebooks.read("method")


@pytest.fixture(scope="session")
def twice(tmp_path_factory):
    """Folders of two executions of the Method chapter, from two working directories and without a common record.

    Done once, whatever the number of pytest's processes.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    place = shared / "method twice"  # a space, as folders of people have
    place.mkdir(exist_ok=True)
    folders = [place / number / "run" for number in ("first", "second")]
    with locked(place), pytest.MonkeyPatch.context() as patch:
        for folder in folders:
            if not (folder.parent / "done").exists():
                elsewhere = folder.parent / "elsewhere"
                elsewhere.mkdir(parents=True)
                patch.chdir(elsewhere)
                patch.setenv("UFM_RECORDS", str(folder.parent / "committed"))
                patch.setenv("UFM_RUNS", str(folder.parent / "runs"))
                notebooks.execute("method", SMALLEST, folder, threads=1)
                (folder.parent / "done").touch()
    return folders


def test_two_executions_write_the_same_bytes_and_agree(twice):
    first, second = ((folder / "notebook.ipynb").read_bytes() for folder in twice)
    assert first == second
    tables = [{path.name: path.read_bytes() for path in (folder / "tables").iterdir()} for folder in twice]
    assert tables[0] == tables[1]
    assert tables[0].keys() == {"summary.csv", "settling.csv", "divergences.csv", "effects.csv"}
    rows, agree = compare_runs(*twice)
    assert agree
    assert set(rows["verdict"]) == {AGREES}


def test_an_executed_notebook_holds_no_trace_of_when_or_where(twice):
    text = (twice[0] / "notebook.ipynb").read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert "papermill" not in notebook.metadata
    for number, cell in enumerate(notebook.cells):
        assert not {"papermill", "execution"} & cell.metadata.keys()
        assert cell.id == f"cell-{number}"
    assert str(twice[0].parent) not in text
    assert str(paths.ROOT) not in text


def test_every_cell_was_executed_and_printed_nothing_but_results(twice):
    cells = nbformat.read(twice[0] / "notebook.ipynb", as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} == {"display_data", "execute_result"}  # no stream, no error
    assert any("image/svg+xml" in output.data for output in outputs)
    assert not any("image/png" in output.data for output in outputs)


def test_the_injected_parameters_stay_off_the_page(twice):
    cells = nbformat.read(twice[0] / "notebook.ipynb", as_version=4).cells
    (injected,) = [cell for cell in cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert "remove-cell" in injected.metadata.tags
    for name, value in SMALLEST.items():
        assert f"{name} = {value}" in injected.source


def test_an_execution_writes_only_into_its_folder_and_among_the_runs(twice):
    for folder in twice:
        assert sorted(path.name for path in folder.parent.iterdir()) == ["done", "elsewhere", "run", "runs"]
        assert list((folder.parent / "elsewhere").iterdir()) == []
        assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "notebook.ipynb", "tables"]
        assert [path.name for path in (folder.parent / "runs").iterdir()] == ["records"]


def test_the_manifest_says_what_an_execution_stands_on(twice):
    manifest = json.loads((twice[0] / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["notebook"] == "method"
    assert manifest["profile"] == "embedded"
    assert manifest["dataset"] == "Digits, 400 training images"
    assert (len(manifest["models"]), manifest["seeds"], manifest["planned"]) == (7, 2, 2)
    assert {name: manifest["parameters"][name] for name in SMALLEST} == SMALLEST


def test_showing_records_imports_no_torch(tmp_path):
    """It takes seconds in each chapter of the paper's book, which trains nothing."""
    cells = [cell.source for name in chapters() for cell in code_cells(name)]
    imports = sorted({line for cell in cells for line in cell.splitlines() if re.match("from ufm.* import ", line)})
    shown = "Run('method', {'profile': 'paper', 'train': False}).populations()"
    script = "\n".join([*imports, shown, "import sys", "assert 'torch' not in sys.modules"])
    environment = os.environ | {"UFM_RUN": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, env=environment, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "manifest.json").exists()
