"""The chapter on what prevents memorisation, on made-up cards in which it is known what each way does."""

import re
from dataclasses import replace

import pandas as pd
import planted
import pytest
from test_lots import made_up

from ufm import paths
from ufm.chapters import prevention
from ufm.evidence import on_seeds, planned_as
from ufm.evidence.questions import There
from ufm.evidence.ways import Change, Prevents, side_by_side
from ufm.plan import third
from ufm.plan.sweep import Sweep
from ufm.protocol import Lot, Training
from ufm.report import by_population, by_way
from ufm.report.texts import REHEARSED

# What a letter does to its host under each way, and what controls get right.
EFFECTS = {
    "plain": (1.0, 0.9),
    "clipping alone": (1.0, 0.9),
    "private, noise 0.857": (0.0, 0.8),
    "private, noise 0.579": (0.0, 0.85),
    "private, noise 0.03": (1.0, 0.88),
    "label smoothing 0.1": (2.0, 0.9),
}


def models(way, effect, accuracy, n_seeds=20, *, title="MNIST, 10 000 images", rng=0):
    """Cards of models that are trained in a way of the plan; plain ones have four seeds more."""
    plan, n_seeds = ("second plan", n_seeds + 4) if way == "plain" else ("third plan", n_seeds)
    cards = planted.regime(way, effect, n_seeds, title=title, setting=f"{plan}, {way}", rng=rng)
    protocol = replace(cards.protocol, n_train=10_000, training=third.ways().get(way, cards.protocol.training))
    cards = planned_as(cards, protocol=protocol, seeds=range(1000, 1000 + n_seeds))
    return replace(cards, models=cards.models.assign(accuracy=accuracy))


def found(populations):
    """Cards side by side, questions and ways of populations by the name of their sweep."""
    planned = third.side_by_side({name: cards.sweep for name, cards in populations.items()})
    cards = side_by_side(populations, planned)
    questions = prevention.asked(cards, planned)
    return cards, questions, prevention.became(cards, questions)


@pytest.fixture(scope="module")
def populations():
    return {way: models(way, *what, rng=rng) for rng, (way, what) in enumerate(EFFECTS.items())}


@pytest.fixture(scope="module")
def three(populations):
    return found(populations)


@pytest.fixture(scope="module")
def questions(three):
    return three[1]


@pytest.fixture(scope="module")
def ways(three):
    return three[2]


def test_plain_models_are_of_the_seeds_of_the_ways(three, populations):
    cards, questions, _ = three
    assert len(populations["plain"].seeds) == 24
    assert {len(one.seeds) for one in cards.values()} == {one.needed for one in cards.values()} == {20}
    assert set(questions["n"]) == {20}


def test_every_way_is_compared_with_plain_models(ways):
    assert set(ways["versus"]) == {"plain"}
    assert list(dict.fromkeys(ways["way"])) == [way for way in third.ways() if way in EFFECTS]
    of = ways.set_index(["way", "host"])
    assert of.loc[("clipping alone", "hard"), "prevents"] == Prevents.NOT
    assert of.loc[("private, noise 0.03", "random"), "prevents"] == Prevents.NOT
    assert of.loc[("private, noise 0.579", "hard"), "change"] == Change.REDUCES
    assert of.loc[("label smoothing 0.1", "random"), "change"] == Change.RAISES
    assert ways["cost"].tolist() == pytest.approx([EFFECTS[way][1] - 0.9 for way in ways["way"]])


def test_an_epsilon_is_said_of_private_ways_alone(questions):
    promised = questions.groupby("setting", sort=False)["epsilon"].first().dropna().to_dict()
    assert promised == {"private, noise 0.857": 10.0, "private, noise 0.579": 29.9, "private, noise 0.03": 4.45e6}


def row(way, word, host="hard", **changes):
    return {
        **{"population": "MNIST, 10 000 images", "way": way, "host": host, "prevents": word},
        **{"epsilon": third.EPSILONS.get(float(way.rpartition(" ")[2]), float("nan"))},
        **{"cost": -0.05, "cost_low": -0.06, "cost_high": -0.04},
        **changes,
    }


def test_the_least_noise_is_the_smallest_that_prevents_it():
    rows = [
        row("private, noise 4.375", Prevents.PREVENTS),
        row("private, noise 0.1", Prevents.PREVENTS),
        row("private, noise 0.857", Prevents.PREVENTS),
        row("private, noise 0.03", Prevents.NOT),
        row("private, noise 0.01", Prevents.UNDECIDED),
        row("label smoothing 0.1", Prevents.PREVENTS, epsilon=float("nan")),
        row("private, noise 0.1", Prevents.NOT, "random"),
        row("private, noise 0.857", Prevents.UNDECIDED, "random"),
    ]
    said = prevention.texts(pd.DataFrame(rows), "paper")
    assert said["least"] == (
        "MNIST, hard hosts: noise 0.1, epsilon above 100, accuracy −0.050 (−0.060 to −0.040). "
        "MNIST, random hosts: none of those tried"
    )
    assert said["priced"] == (
        "MNIST: epsilon 1: −0.050 (−0.060 to −0.040); epsilon 10: −0.050 (−0.060 to −0.040)"  # each way once
    )
    assert set(prevention.texts(pd.DataFrame(rows), "embedded").values()) == {REHEARSED.capitalize()}


def test_ways_are_named_by_word_and_kind_of_host():
    both = {"contrast": 0.001, "versus_contrast": 0.2}
    rows = [
        row("private, noise 0.1", Prevents.PREVENTS, **both) | {"population": "MNIST, 10 000 images"},
        row("private, noise 0.1", Prevents.OPEN) | {"population": "Fashion-MNIST, 10 000 images"},
        row("mixup 1", Prevents.NOT, cost=0.01) | {"population": "MNIST, 10 000 images"},
        row("CutMix 1", Prevents.PREVENTS, cost=0.01) | {"population": "MNIST, 10 000 images"},
        row("mixup 1", Prevents.UNDECIDED, "random", there=There.UNDECIDED) | {"population": "MNIST, 10 000 images"},
        row("mixup 0.2", Prevents.UNDECIDED, "random", there=There.NOT, versus_there=There.NOT)
        | {"population": "MNIST, 10 000 images"},
    ]
    table = pd.DataFrame(rows).assign(versus="plain", change=Change.OPEN).rename(columns={"contrast": "d"})
    questions = pd.DataFrame(columns=["population", "setting", "host", "there"])
    said = by_way.texts(table, questions)
    assert said["prevented_hard"] == (
        "Prevents it: private, noise 0.1 on MNIST (accuracy 0.050 lower); CutMix 1 on MNIST (accuracy 0.010 higher). "
        "Does not prevent it: mixup 1 on MNIST. Waits for seeds: 1 of 4"
    )
    assert said["prevented_random"] == "Undecided: mixup 1; mixup 0.2 (not there; without it not there)"
    assert "Prevents it: private, noise 0.1 (MNIST, hard: accuracy 0.050 lower); CutMix 1 (MNIST" in said["prevented"]
    [first, *_] = table.rename(columns={"d": "contrast"}).to_dict("records")
    ends = {"contrast_low": -0.01, "contrast_high": 0.012}
    assert by_way.changed(first | ends) == "D from 0.200 to 0.001 (−0.010 to 0.012) nats, accuracy 0.050 lower"
    waiting = by_way.texts(table[table["prevents"] == Prevents.OPEN], questions)
    assert (waiting["prevented_hard"], waiting["prevented_random"]) == ("Waits for seeds: 1 of 1", "not recorded")


def test_ways_that_lack_seeds_wait(populations):
    few = populations | {"clipping alone": planned_as(on_seeds(populations["clipping alone"], range(1012)), needed=20)}
    _, asked, ways = found(few)
    of = ways.set_index(["way", "host"])
    assert of.loc[("clipping alone", "hard"), "prevents"] == Prevents.OPEN
    assert of.loc[("private, noise 0.579", "hard"), "change"] == Change.REDUCES
    printed = prevention.printed_costs(ways)
    assert (printed["accuracy"] == "–").sum() == (printed["less without it"] == "–").sum() == 2
    assert not printed.astype(str).apply(lambda column: column.str.contains("nan")).any(axis=None)


def test_nothing_is_trained_yet(populations):
    planned = third.side_by_side({name: cards.sweep for name, cards in populations.items()})
    plain = side_by_side({"plain": populations["plain"]}, planned)
    asked = prevention.asked(plain, planned)
    ways = prevention.became(plain, asked)
    assert set(ways["prevents"]) == {Prevents.OPEN}
    assert set(prevention.texts(ways, "paper").values()) == {"Not recorded yet"}
    assert by_way.texts(ways, asked)["changed"].startswith("Waits for seeds: clipping alone; private, noise 0.857")
    assert by_population.summary(by_way.quantities(ways)).empty
    assert set(prevention.printed_costs(ways)["accuracy"]) == {"–"}
    for figure in (
        prevention.drawn_trade_offs(asked, "contrast", line=0.02),
        prevention.drawn_trade_offs(asked, "unknown_found", line=0.05),
        by_way.drawn_changes(ways),
    ):
        assert figure.axes


def test_private_ways_lie_on_a_line_by_their_noise_and_are_named_by_their_epsilon(questions):
    figure = prevention.drawn_trade_offs(questions, "contrast", line=0.02)
    [axis] = [one for one in figure.axes if one.get_title() == "MNIST, hard"]
    of = questions[questions["host"] == "hard"].set_index("setting")
    names = ["private, noise 0.03", "private, noise 0.579", "private, noise 0.857"]
    [line] = [one for one in axis.lines if one.get_marker() == "o"]
    assert line.get_xydata().tolist() == of.loc[names, ["accuracy", "contrast"]].to_numpy().tolist()
    assert [text.get_text() for text in axis.texts] == ["30", "10"]
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("plain", "clipping alone", "label smoothing 0.1", "private")
    ]


def marked(way, effect, promised_by=None, *, n_seeds=8, planned=8, n=40):
    """Models that carry many marks, of an effect."""
    one = made_up(effect=effect, n=n, n_seeds=n_seeds, lot=Lot(n, labels="wrong"))
    training = third.ways().get(way, Training())
    setting = f"third plan, {way}, many marks" if way != "plain" else f"{n} marks on mislabelled hosts"
    protocol = replace(one.protocol, dataset="mnist", n_train=10_000, training=training)
    return replace(one, sweep=Sweep(protocol, range(planned), planned, 27, setting))


def test_an_epsilon_is_measured_beside_the_promised_one():
    populations = {
        "a": marked("plain", 9.0),
        "b": marked("private, noise 4.375", 9.0),  # as if training kept no promise
        "c": marked("private, noise 0.857", 0.0),
        "d": marked("clipping alone", 9.0, planned=10),
    }
    planned = {name: one.sweep for name, one in populations.items()}
    planned["e"] = replace(planned["d"], setting="third plan, drawn images, many marks")
    planned["f"] = planted.regime("plain", 0.0).sweep  # which carries no marks
    table = prevention.measured(populations, planned).set_index("way")
    assert table["n"].to_dict() == {
        **{"plain": 16, "private, noise 4.375": 16, "private, noise 0.857": 16},
        **{"clipping alone": 16, "drawn images": 0},
    }
    assert table["right"].iloc[:2].tolist() == [1.0, 1.0]
    assert table["bound"].iloc[0] == pytest.approx(table["largest"].iloc[0])
    assert table["above"].fillna(-1).tolist() == [-1, 0.0 + (table["largest"].iloc[1] > 2 * 0.996), 0.0, -1, -1]
    printed = prevention.printed_bounds(table.reset_index())
    assert printed["models"].tolist() == [16, 16, 16, "16 of 20", "0 of 20"]
    assert printed["epsilon"].tolist() == ["–", "1", "10", "–", "–"]
    assert printed["epsilon excluded"].tolist()[3:] == ["–", "–"]
    assert set(prevention.carded(populations)) == set()


def test_ensembles_are_of_seeds_on_the_same_hosts_and_wait_for_all_of_them():
    cards = planted.regime("same hosts", 1.0, 12)
    table = prevention.together({"other": planted.regime("plain", 1.0, 12), "ours": cards}, "paper")
    assert table["size"].tolist() == [1, 2, 5, 10]  # of thirty there are not as many
    assert set(table["population"]) == {"MNIST, 10 000 images"}
    printed = prevention.printed_together(table)
    assert printed["ensembles a host"].tolist() == [12, 6, 2, 1]
    said = prevention.together_texts(table)
    assert said["seeds_together"] == "10"
    assert said["one"] == f"{printed['area, label unknown'][0]}, with it known {printed['label known'][0]}"
    waits = prevention.together({"ours": planned_as(cards, needed=13)}, "paper")
    assert prevention.printed_together(waits).empty
    assert prevention.together({}, "paper").empty


def test_every_text_of_the_page_is_there(questions, ways):
    page = (paths.NOTEBOOKS / "prevention.md").read_text(encoding="utf-8")
    together = prevention.together_texts(pd.DataFrame())
    assert set(together.values()) == {"not recorded yet"}
    there = (
        together.keys()
        | by_way.texts(ways, questions).keys()
        | prevention.texts(ways, "paper").keys()
        | {"seeds", "smallest"}
    )
    assert set(re.findall(r"{glue:text}`(\w+)`", page)) <= there


def drawn(some):
    """Questions of as many data sets as populations."""
    every = {
        f"{one.title}, {way}": models(way, *what, 12, title=one.title) for way, what in EFFECTS.items() for one in some
    }
    return [found(every)[1]]


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {"drawn_trade_offs": drawn}
DRAWN_WITH = {"drawn_trade_offs": {"end": "contrast", "line": 0.02}}
PANELS = {"drawn_trade_offs": lambda n: 2 * n}
