"""The README's numbers are those of the records."""

import pytest

from ufm import paths
from ufm.book import readme


def test_results_in_the_readme_are_those_of_the_records():
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.update(text) == text, "README.md is not what the records say: run `make readme`"


def test_a_readme_without_a_place_for_results_is_refused():
    with pytest.raises(ValueError, match=r"README\.md: no lines"):
        readme.update("# Title\n")
