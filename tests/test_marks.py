"""Marks drawn by a secret: no two alike, every one equally likely, sealed."""

import json
from dataclasses import replace
from hashlib import shake_256

import numpy as np
import pytest
from scipy import stats

from ufm import features
from ufm.marks import Planted, Registry, RegistryError, drawn, families, new
from ufm.marks.registry import digest

SECRET = "0123456789abcdef" * 4


def test_bits_are_those_of_shake_256():
    expected = int.from_bytes(shake_256(f"coins\n{SECRET}".encode()).digest(16)[8:], "little")
    assert int(families.bits(SECRET, "coins", 2)[1]) == expected
    assert np.array_equal(families.bits(SECRET, "coins", 9)[:2], families.bits(SECRET, "coins", 2))


def test_a_secret_gives_the_same_marks_for_ever():
    first = drawn(SECRET, 2, family="noise")[:, 0].astype(int)
    # Written down once; a registry that was sealed must give its marks under every later version.
    assert ["".join(map(str, mark.ravel())) for mark in first] == [
        "0011000100111100101000111",
        "1010000100110010101011101",
    ]


@pytest.mark.parametrize(
    ("family", "changes"),
    [("noise", {}), ("noise", {"size": (3, 7)}), ("letters", {}), ("permutations", {"of": "A"})],
)
def test_no_two_are_alike_and_the_first_stay_when_more_are_asked_for(family, changes):
    many = drawn(SECRET, 26, family=family, **changes)
    assert many.dtype == np.float32
    assert many.shape == (26, 1, *changes.get("size", (5, 5)))
    assert len({mark.tobytes() for mark in many}) == 26
    assert np.array_equal(drawn(SECRET, 5, family=family, **changes), many[:5])
    assert not np.array_equal(drawn(SECRET[::-1], 26, family=family, **changes), many)


def test_what_families_are_made_of():
    assert (drawn(SECRET, 500, family="noise").sum((1, 2, 3)) == 12).all()
    letters = {mark.tobytes() for mark in drawn(SECRET, 26, family="letters")}
    assert letters == {features.letter(name).astype(np.float32).tobytes() for name in features.LETTERS}
    own = np.sort(features.letter("A").ravel())
    assert all(np.array_equal(np.sort(mark.ravel()), own) for mark in drawn(SECRET, 50, family="permutations", of="A"))


def test_every_mark_of_a_small_family_is_equally_likely_at_every_place():
    # Two of four pixels: six marks, of which none comes twice. Each comes first, and each last, equally often.
    assert len({mark.tobytes() for mark in drawn(SECRET, 6, family="noise", size=(2, 2))}) == 6
    for place in (0, 5):
        counts: dict[bytes, int] = {}
        for number in range(1_200):
            mark = drawn(f"{number:064x}", 6, family="noise", size=(2, 2))[place].tobytes()
            counts[mark] = counts.get(mark, 0) + 1
        assert len(counts) == 6
        assert stats.chisquare(list(counts.values())).pvalue > 0.001


@pytest.mark.parametrize(
    ("n", "changes", "said"),
    [
        (7, {"family": "noise", "size": (2, 2)}, "n: its pixels can be arranged in 6 ways, fewer than 7"),
        (27, {"family": "letters"}, "n: there are 26 letters, not 27"),
        (5, {"family": "letters", "size": (7, 7)}, "size: letters are of 5 x 5 pixels, not 7 x 7"),
        (5, {"family": "emoji"}, "family: 'emoji' is not one of noise, letters, permutations"),
        (0, {"family": "noise"}, "n and size: must be at least 1"),
        (5, {"family": "noise", "size": (0, 5)}, "n and size: must be at least 1"),
        (5, {"family": "permutations", "of": "gone.png"}, "feature: "),
    ],
)
def test_what_there_is_not_is_refused(n, changes, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        drawn(SECRET, n, **changes)


def test_a_registry_and_its_unused_draws_are_one_sequence():
    registry = Registry(SECRET, 8)
    both = drawn(SECRET, 20, family="noise")
    assert np.array_equal(registry.marks(), both[:8])
    assert np.array_equal(registry.unused(12), both[8:])


def test_coins_are_fair_and_of_the_secret():
    assert Registry(SECRET, 9, flipped=False).to_plant().all()
    heads = np.mean([Registry(f"{number:064x}", 20).to_plant().mean() for number in range(200)])
    assert abs(heads - 0.5) < 4 * 0.5 / np.sqrt(4_000)
    assert np.array_equal(Registry(SECRET, 20).to_plant()[:8], Registry(SECRET, 8).to_plant())


def test_the_seal_is_of_secret_and_settings_but_not_of_what_was_planted():
    registry = Registry(SECRET, 8)
    with_one = registry.with_planted(Planted(int(registry.to_plant().argmax()), "scan.png", 3))
    assert with_one.seal == registry.seal
    others = [replace(registry, **change) for change in ({"n": 9}, {"family": "letters"}, {"flipped": False})]
    assert len({registry.seal, new(8).seal, *(one.seal for one in others)}) == 5


def test_a_registry_is_read_as_it_was_written():
    registry = new(30, family="permutations", of="A")
    mark = int(registry.to_plant().argmax())
    registry = registry.with_planted(Planted(mark, "scan ü.png", None))
    assert Registry.from_json(registry.to_json()) == registry


def renewed(text, **changes):
    """A registry of which something was changed and the digest of the whole was made again."""
    content = json.loads(text) | changes
    del content["whole"]
    return json.dumps(content | {"whole": digest(content)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace('"n": 8', '"n": 9'), "was changed since it was written"),
        (lambda text: text.replace("01234", "11234"), "was changed since it was written"),
        (lambda text: text[: len(text) // 2], "is no whole registry of marks"),
        (lambda text: text.replace('"whole"', '"while"'), "is no whole registry of marks"),
        (lambda text: "[]", "is no registry of marks: its schema is not 'ufm marks 2'"),
        (lambda text: text.replace("ufm marks 2", "ufm marks 3"), "is no registry of marks"),
        (lambda text: "", "is no whole registry of marks"),
        (lambda text: "[" * 100_000, "is no whole registry of marks"),
        (lambda text: renewed(text, n="8"), "is no whole registry of marks"),
        (lambda text: renewed(text, secret="0" * 63), "is no whole registry of marks"),
        (lambda text: renewed(text, planted=[{"mark": 0}]), "is no whole registry of marks"),
        (lambda text: renewed(text, n=9), "has another seal"),
    ],
)
def test_a_registry_that_was_changed_is_refused(change, said):
    with pytest.raises(RegistryError, match=f"^{said}"):
        Registry.from_json(change(Registry(SECRET, 8).to_json()))


def test_a_mark_is_planted_once_and_never_against_the_coin():
    registry = Registry(SECRET, 8)
    plant = registry.to_plant()
    first, second = np.flatnonzero(plant)[:2].tolist()
    registry = registry.with_planted(Planted(first, "a.png", 1))
    for planted, said in (
        (Planted(first, "b.png", 1), f"mark: {first} was given to a.png already"),
        (Planted(second, "a.png", 1), f"image: a.png has a mark already, number {first}"),
        (Planted(int(plant.argmin()), "b.png", 1), "mark: the coin keeps"),
        (Planted(8, "b.png", 1), "mark: 8 is not one of the 8"),
    ):
        with pytest.raises(RegistryError, match=said):
            registry.with_planted(planted)
