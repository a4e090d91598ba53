"""The README's numbers are those of the records."""

import pytest

from ufm import paths
from ufm.book import readme


def test_results_in_the_readme_are_those_of_the_records():
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.update(text) == text, "README.md is not what the records say: run `make readme`"


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (None, "index.txt: there is none"),
        ("mnist-small 0123456789abcdef\n", "mnist-small: 1 of 1 records are gone"),
        ("no line of it\n", "index.txt: line 1 lists no record"),
        ("", "README.md: Fewer than 8 seeds are recorded yet"),
    ],
)
def test_results_are_not_renewed_from_records_that_are_gone(tmp_path, monkeypatch, index, words):
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path))
    if index is not None:
        (tmp_path / "index.txt").write_text(index, encoding="utf-8")
    with pytest.raises(ValueError, match=words) as raised:
        readme.update((paths.ROOT / "README.md").read_text(encoding="utf-8"))
    assert "\n" not in str(raised.value)


def test_a_readme_without_a_place_for_results_is_refused():
    with pytest.raises(ValueError, match=r"README\.md: no lines"):
        readme.update("# Title\n")
