"""The reference notebooks notice a change."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from ufm import paths


@pytest.mark.parametrize(
    ("file", "was", "becomes", "noticed"),
    [
        ("plan/profiles.py", "learning_rate=1e-3", "learning_rate=1.05e-3", "method-examples"),
        ("plan/profiles.py", "n_ood=500", "n_ood=450", "'500' == '450'"),
        ("scores/effects.py", ") / 2", ") / 2.1", "evidence.contrasts"),
        ("report/tables.py", "digits: int = 3)", "digits: int = 2)", "method-examples"),
    ],
    ids=["training", "default", "score", "table"],
)
def test_a_small_change_fails_the_reference(tmp_path, file, was, becomes, noticed):
    shutil.copytree(paths.ROOT / "src", tmp_path / "src")
    source = tmp_path / "src" / "ufm" / file
    changed = source.read_text(encoding="utf-8").replace(was, becomes)
    assert changed != source.read_text(encoding="utf-8")
    source.write_text(changed, encoding="utf-8")
    reference = paths.ROOT / "tests" / "reference" / "method.ipynb"
    options = ["--nbval", "--nbval-current-env", "-p", "no:cacheprovider"]
    own = {"UFM_RUNS": str(tmp_path / "runs"), "UFM_RECORDS": str(tmp_path / "records"), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(reference)],
        env=os.environ | own | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert ended.returncode == 1, ended.stdout
    assert noticed in ended.stdout, ended.stdout[-3000:]  # among what differs


def test_no_page_shows_a_number_as_code():
    references = sorted((paths.ROOT / "tests" / "reference").glob("*.ipynb"))
    assert len(references) > 10
    for reference in references:
        assert not re.search(r"np\.(float|int|str|bool)", reference.read_text(encoding="utf-8")), reference.name
