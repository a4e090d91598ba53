"""The README's numbers are those of the records."""

import re

import matplotlib.pyplot as plt
import pytest

from ufm import paths
from ufm.book import readme

NUMBER = re.compile(r"-?\d+\.\d+")


def same_drawing(one, other):
    """Whether two SVG texts are one drawing, but for what another processor rounds otherwise."""
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (one, other)]
    return NUMBER.sub("", one) == NUMBER.sub("", other) and numbers[0] == pytest.approx(numbers[1], abs=0.2)


def test_results_in_the_readme_are_those_of_the_records():
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    words, picture = readme.update(text)
    assert words == text, "README.md is not what the records say: run `make readme`"
    kept = readme.PICTURE.read_text(encoding="utf-8")
    assert same_drawing(picture.decode(), kept), "book/answers.svg is not what the records say: run `make readme`"


def test_a_point_that_has_moved_is_another_drawing():
    def drawn(value):
        figure, axis = plt.subplots()
        axis.plot([0, 1], [0, value])
        axis.set(xlim=(0, 1), ylim=(0, 1))
        plt.close(figure)
        return readme.drawing(figure).decode()

    assert same_drawing(drawn(0.5), drawn(0.5))
    assert not same_drawing(drawn(0.5), drawn(0.51))


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
