"""The chapter Preventing overfitting, on made-up cards in which it is known what each way does."""

import re

import pandas as pd
import planted
import pytest

from ufm import paths
from ufm.chapters import regularisers
from ufm.evidence import on_seeds, planned_as
from ufm.evidence.cells import contrast_cells
from ufm.evidence.ways import Change, Prevents
from ufm.report import by_population, by_way
from ufm.report.texts import worded

EFFECTS = {"plain": 1.0, "to the end": 1.0, "batch norm": 2.0, "dropout": 0.0, "weight decay 3": 1.0}


def planned(populations):
    return {name: cards.sweep for name, cards in populations.items()}


@pytest.fixture(scope="module")
def populations():
    return {name: planted.regime(name, effect, rng=rng) for rng, (name, effect) in enumerate(EFFECTS.items())}


@pytest.fixture(scope="module")
def questions(populations):
    return regularisers.asked(populations, planned(populations))


@pytest.fixture(scope="module")
def ways(populations, questions):
    return regularisers.became(populations, questions)


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
    asked = regularisers.asked(some, planned(populations))
    table = regularisers.became(some, asked).set_index(["way", "host"])
    assert table.loc[("dropout", "hard"), "prevents"] == Prevents.OPEN
    assert table.loc[("dropout", "hard"), "change"] == Change.OPEN
    shown = by_way.printed_ways(table.reset_index())
    assert "12 of 24" in shown["seeds"].tolist()
    assert not shown.astype(str).apply(lambda column: column.str.contains("nan")).any(axis=None)
    assert len(by_way.printed_changes(table.reset_index())) == 6
    assert (by_way.printed_costs(table.reset_index())["accuracy"] == "–").sum() == 2


def test_nothing_is_recorded_yet(populations):
    few = {name: planned_as(on_seeds(cards, range(1008)), needed=24) for name, cards in populations.items()}
    asked = regularisers.asked(few, planned(populations))
    table = regularisers.became(few, asked)
    assert set(table["prevents"]) == {Prevents.OPEN}
    assert by_way.texts(table, asked)["contrast_random"] == "not recorded"
    assert by_population.summary(by_way.quantities(table)).empty
    assert by_way.printed_changes(table).empty
    for figure in (by_way.drawn_ways(asked, smallest=0.02, large=0.1), by_way.drawn_changes(table)):
        assert figure.axes
    assert by_way.drawn_costs(table).axes


def test_none_of_it_is_there(populations):
    asked = regularisers.asked({}, planned(populations))
    table = regularisers.became({}, asked)
    assert set(table["prevents"]) == {Prevents.OPEN}
    assert by_way.printed_changes(table).empty
    assert set(by_way.printed_ways(table)["seeds"]) == {"0 of 24"}


def test_ways_are_named_with_where_they_do():
    rows = [
        {"population": population, "way": way, "host": host, "change": word}
        for way, words in {"a": ["reduces"] * 4, "b": ["raises", "reduces", "raises", "raises"]}.items()
        for (population, host), word in zip(
            [("MNIST, full", "random"), ("MNIST, full", "hard"), ("b", "random"), ("b", "hard")], words, strict=True
        )
    ]
    table = pd.DataFrame(rows)
    assert by_way.those_that(table, "change", "reduces") == "a; b (MNIST, hard)"
    assert by_way.those_that(table, "change", "raises") == "b (MNIST, random; b, random; b, hard)"
    assert by_way.those_that(table, "change", "open") == "none of them"


def test_every_text_of_the_page_is_there(ways, questions):
    page = (paths.NOTEBOOKS / "regularisers.md").read_text(encoding="utf-8")
    texts = by_way.texts(ways, questions)
    asked = set(re.findall(r"{glue:text}`((?:prevented|changed|without|contrast_|accuracy_)\w*)`", page))
    assert len(asked) == 6
    assert asked <= texts.keys()
    assert "Does not prevent it: early stopping; batch norm; weight decay 3" in texts["prevented"]
    assert "Waits" not in texts["prevented"]
    assert texts["without"].startswith("There and large: MNIST, 10 000 images, plain, random hosts; ")


def test_a_rehearsal_says_none_of_the_words(ways, questions):
    said = by_way.texts(worded(ways, "embedded"), worded(questions, "embedded"))
    for name in ("prevented", "changed", "without"):
        assert said[name].startswith("Rehearsal: no word: ")
        assert not re.search("there and|prevent it|reduces|raises|undecided", said[name], re.IGNORECASE)
    assert said["contrast_hard"] == by_way.texts(ways, questions)["contrast_hard"]  # numbers stay


def test_ways_that_were_never_trained_wait_for_seeds(populations):
    asked = regularisers.asked({}, planned(populations))
    said = by_way.texts(regularisers.became({}, asked), asked)
    for name in ("prevented", "changed"):
        assert said[name] == "Waits for seeds: early stopping; batch norm; dropout; weight decay 3"


def test_the_summary_has_a_row_a_quantity(ways):
    summary = by_population.summary(by_way.quantities(ways)).set_index("quantity")
    row = ways[(ways["way"] == "dropout") & (ways["host"] == "hard")].iloc[0]
    assert summary.loc["change, dropout, hard hosts; MNIST, 10 000 images", "estimate"] == row["nats"]
    assert len(summary) == 8 * 4


DRAWN = {
    "drawn_first_plan": lambda some: [contrast_cells(dict(zip(planted.TITLES, some, strict=False)), ("hard",))],
}
DRAWN_WITH = {"drawn_first_plan": {"smallest": 0.02}}
