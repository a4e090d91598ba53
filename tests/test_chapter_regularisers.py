"""The chapter Preventing overfitting, on made-up cards in which it is known what each way does."""

import re

import pandas as pd
import planted
import pytest

from ufm import paths
from ufm.chapters import regularisers
from ufm.evidence import on_seeds, planned_as
from ufm.evidence.cells import contrast_cells
from ufm.evidence.questions import There
from ufm.evidence.regimes import Change, Prevents, prevents
from ufm.report import by_population
from ufm.report.texts import worded

EFFECTS = {"plain": 1.0, "to the end": 1.0, "batch norm": 2.0, "dropout": 0.0, "weight decay 3": 1.0}


def regime(name, effect, n_seeds=24, *, title="MNIST, 10 000 images", rng=0, **changes):
    """Equal-age cards of a regime, the same effect on both kinds of host, all their seeds needed."""
    named = {"title": title, "setting": f"second plan, {name}", "needed": n_seeds, "rng": rng}
    return planted.equal_age(n_seeds, effect=effect, random_effect=effect, **(named | changes))


def planned(populations):
    return {name: cards.sweep for name, cards in populations.items()}


@pytest.fixture(scope="module")
def populations():
    return {name: regime(name, effect, rng=rng) for rng, (name, effect) in enumerate(EFFECTS.items())}


@pytest.fixture(scope="module")
def questions(populations):
    return regularisers.questions(populations, planned(populations))


@pytest.fixture(scope="module")
def ways(populations, questions):
    return regularisers.ways(populations, questions)


@pytest.mark.parametrize(
    ("with_it", "without", "word"),
    [
        (There.LARGE, There.SMALL, Prevents.NOT),
        (There.SIZE_OPEN, There.SIZE_OPEN, Prevents.NOT),
        (There.NOT, There.LARGE, Prevents.PREVENTS),
        (There.UNDECIDED, There.LARGE, Prevents.UNDECIDED),
        (There.LARGE, There.UNDECIDED, Prevents.UNDECIDED),
        (There.NOT, There.NOT, Prevents.UNDECIDED),
        (There.OPEN, There.LARGE, Prevents.OPEN),
        (There.NOT, There.OPEN, Prevents.OPEN),
    ],
)
def test_there_must_be_something_to_prevent(with_it, without, word):
    assert prevents(with_it, without) is word


def test_a_way_is_compared_with_models_without_it(ways):
    shown = ways.set_index(["way", "host"])
    assert shown["versus"].groupby("way", sort=False).first().to_dict() == {
        "early stopping": "to the end",
        "batch norm": "plain",
        "dropout": "plain",
        "weight decay 3": "plain",
    }
    assert len(shown) == 8
    assert shown.loc[("batch norm", "hard"), "prevents"] == Prevents.NOT
    assert shown.loc[("dropout", "random"), "prevents"] in (Prevents.PREVENTS, Prevents.UNDECIDED)
    assert shown.loc[("dropout", "hard"), "change"] == Change.REDUCES
    assert shown.loc[("batch norm", "hard"), "change"] == Change.RAISES


def test_accuracies_are_those_of_the_controls(questions, populations):
    assert questions["accuracy"].tolist() == pytest.approx([0.9] * len(questions))


def test_a_way_that_lacks_seeds_is_open_and_still_has_a_row(populations):
    few = planned_as(on_seeds(populations["dropout"], range(1012)), needed=24)
    some = populations | {"dropout": few}
    asked = regularisers.questions(some, planned(populations))
    table = regularisers.ways(some, asked).set_index(["way", "host"])
    assert table.loc[("dropout", "hard"), "prevents"] == Prevents.OPEN
    assert table.loc[("dropout", "hard"), "change"] == Change.OPEN
    shown = regularisers.printed_ways(table.reset_index())
    assert "12 of 24" in shown["seeds"].tolist()
    assert not shown.astype(str).apply(lambda column: column.str.contains("nan")).any(axis=None)
    assert len(regularisers.printed_changes(table.reset_index())) == 6
    assert (regularisers.printed_costs(table.reset_index())["accuracy"] == "–").sum() == 2


def test_nothing_is_recorded_yet(populations):
    few = {name: planned_as(on_seeds(cards, range(1008)), needed=24) for name, cards in populations.items()}
    asked = regularisers.questions(few, planned(populations))
    table = regularisers.ways(few, asked)
    assert set(table["prevents"]) == {Prevents.OPEN}
    assert regularisers.texts(table, asked)["contrast_random"] == "not recorded"
    assert by_population.summary(regularisers.quantities(table)).empty
    assert regularisers.printed_changes(table).empty
    for figure in (regularisers.drawn_ways(asked, smallest=0.02, large=0.1), regularisers.drawn_changes(table)):
        assert figure.axes
    assert regularisers.drawn_costs(table).axes


def test_none_of_it_is_there(populations):
    asked = regularisers.questions({}, planned(populations))
    table = regularisers.ways({}, asked)
    assert set(table["prevents"]) == {Prevents.OPEN}
    assert regularisers.printed_changes(table).empty
    assert set(regularisers.printed_ways(table)["seeds"]) == {"0 of 24"}


def test_ways_are_named_with_where_they_do():
    rows = [
        {"population": population, "way": way, "host": host, "change": word}
        for way, words in {"a": ["reduces"] * 4, "b": ["raises", "reduces", "raises", "raises"]}.items()
        for (population, host), word in zip(
            [("MNIST, full", "random"), ("MNIST, full", "hard"), ("b", "random"), ("b", "hard")], words, strict=True
        )
    ]
    table = pd.DataFrame(rows)
    assert regularisers.those_that(table, "change", "reduces") == "a; b (MNIST, hard)"
    assert regularisers.those_that(table, "change", "raises") == "b (MNIST, random; b, random; b, hard)"
    assert regularisers.those_that(table, "change", "open") == "none of them"


def test_every_text_of_the_page_is_there(ways, questions):
    page = (paths.NOTEBOOKS / "regularisers.md").read_text(encoding="utf-8")
    texts = regularisers.texts(ways, questions)
    asked = set(re.findall(r"{glue:text}`((?:prevented|changed|without|contrast_|accuracy_)\w*)`", page))
    assert len(asked) == 6
    assert asked <= texts.keys()
    assert "Does not prevent it: early stopping; batch norm; weight decay 3" in texts["prevented"]
    assert "Waits" not in texts["prevented"]
    assert texts["without"].startswith("There and large: MNIST, 10 000 images, plain, random hosts; ")


def test_a_rehearsal_says_none_of_the_words(ways, questions):
    said = regularisers.texts(worded(ways, "embedded"), worded(questions, "embedded"))
    for name in ("prevented", "changed", "without"):
        assert said[name].startswith("Rehearsal: no word: ")
        assert not re.search("there and|prevent it|reduces|raises|undecided", said[name], re.IGNORECASE)
    assert said["contrast_hard"] == regularisers.texts(ways, questions)["contrast_hard"]  # numbers stay


def test_ways_that_were_never_trained_wait_for_seeds(populations):
    asked = regularisers.questions({}, planned(populations))
    said = regularisers.texts(regularisers.ways({}, asked), asked)
    for name in ("prevented", "changed"):
        assert said[name] == "Waits for seeds: early stopping; batch norm; dropout; weight decay 3"


def test_the_summary_has_a_row_a_quantity(ways):
    summary = by_population.summary(regularisers.quantities(ways)).set_index("quantity")
    row = ways[(ways["way"] == "dropout") & (ways["host"] == "hard")].iloc[0]
    assert summary.loc["change, dropout, hard hosts; MNIST, 10 000 images", "estimate"] == row["nats"]
    assert len(summary) == 8 * 4


def drawn(some):
    """Questions and ways of as many data sets as populations."""
    every = {
        f"{one.title}, {name}": regime(name, effect, 12, title=one.title)
        for name, effect in (("plain", 0.5), ("dropout", 0.2))
        for one in some
    }
    asked = regularisers.questions(every, planned(every))
    return asked, regularisers.ways(every, asked)


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {
    "drawn_ways": lambda some: [drawn(some)[0]],
    "drawn_changes": lambda some: [drawn(some)[1]],
    "drawn_costs": lambda some: [drawn(some)[1]],
    "drawn_first_plan": lambda some: [contrast_cells(dict(zip(planted.TITLES, some, strict=False)), ("hard",))],
}
DRAWN_WITH = {"drawn_ways": {"smallest": 0.02, "large": 0.1}, "drawn_first_plan": {"smallest": 0.02}}
PANELS = {"drawn_changes": 2}
