"""Attacked private models as their chapter shows them, on made-up cards in which it is known how robust each way is."""

import planted
import pytest

from ufm.chapters import attacked
from ufm.evidence import planned_as
from ufm.evidence.attacked import Robust
from ufm.plan import third
from ufm.plan.attacked import PLAIN, WAYS
from ufm.report.texts import REHEARSED, worded

NOISY = "private, noise 0.857"


def populations(n_seeds=10):
    """Plain models, clipping alone that changes nothing, and noise that makes models less robust and forget."""
    every = {
        PLAIN: planted.robust(PLAIN, n_seeds=n_seeds),
        third.CLIPPED: planted.robust(PLAIN, n_seeds=n_seeds, effect=0.2),
        NOISY: planted.robust("noisy", linf=0.04, l2=0.8, clean=0.9, n_seeds=n_seeds, effect=0.0),
    }
    plans = {way: "fourth" if way == PLAIN else "third" for way in every}
    return {way: planned_as(cards, setting=f"{plans[way]} plan, {way}") for way, cards in every.items()}


@pytest.fixture(scope="module")
def table():
    return attacked.became(populations() | {"plain": planted.regime("plain", 0.5)})


def test_every_way_has_its_row(table):
    assert table["way"].tolist() == [PLAIN, *WAYS]
    printed = attacked.printed(table).set_index("way")
    assert printed.loc[PLAIN, "so it is"] == "–"
    assert printed.loc[NOISY, "so it is"] == Robust.LESS
    assert printed.loc[third.CLIPPED, "so it is"] == Robust.NOTHING
    assert printed.loc[third.NOISY, "so it is"] == Robust.OPEN
    assert printed.loc[third.NOISY, "seeds"] == "–"
    assert printed.loc[NOISY, "seeds"] == "10"
    assert printed.loc[NOISY, "accuracy"].startswith("0.900")
    assert printed.loc[PLAIN, "mean D, hard hosts"].startswith("0.2")
    for one in (printed, attacked.printed_geometry(table)):
        assert not one.astype(str).apply(lambda column: column.str.contains("nan|cannot|inf")).any(axis=None)


def test_the_text_names_the_words(table):
    said = attacked.texts(table, "paper")
    assert f"No change shown: {third.CLIPPED}" in said["robust"]
    assert f"Less robust: {NOISY}" in said["robust"]
    assert PLAIN not in said["robust"]
    assert said["withstood"].startswith("L∞ 0.05 0.")
    assert "; L2 1 0." in said["withstood"]
    assert attacked.texts(table, "embedded") == dict.fromkeys(("robust", "withstood"), REHEARSED.capitalize())


def test_nothing_is_trained_yet():
    table = attacked.became({"plain": planted.regime("plain", 0.5)})
    assert set(table["change"]) == {Robust.OPEN}
    assert attacked.texts(table, "paper")["withstood"] == "not recorded yet"
    assert attacked.curves({}).empty
    assert attacked.drawn_robustness(attacked.curves({}), table).axes
    rows = attacked.printed(worded(table, "embedded"))
    assert set(rows["so it is"]) == {"–", REHEARSED}
    assert set(attacked.printed_geometry(table)["distance, pixels"]) == {"–"}


def test_private_training_is_the_darker_the_noisier():
    lightness = [sum(attacked.style(way)[0][:3]) for way in attacked.NOISES]
    assert lightness == sorted(lightness)
    assert len({str(attacked.style(way)) for way in (PLAIN, *WAYS)}) == 1 + len(WAYS)


def drawn(some):
    """Of one data set, as they are planned."""
    found = populations()
    return [attacked.curves(found), attacked.became(found)]


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {"drawn_robustness": drawn}
PANELS = {"drawn_robustness": 4}
