"""The chapter Hosts, on made-up cards and rows small enough to work by hand."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest

from ufm import evidence, paths
from ufm.chapters import hosts
from ufm.evidence import LETTER, PLAIN, cells
from ufm.evidence.questions import There, answered
from ufm.measures.layout import AGES
from ufm.report import by_population
from ufm.report.texts import REHEARSED, worded
from ufm.statistics import holm

N = 24


def own(n=N, *, title="MNIST, full", needed=N, rng=0, effect=1.0):
    """Equal-age cards as those of the paper's own setting."""
    named = {"title": title, "setting": "second plan, both hosts", "needed": needed}
    return planted.equal_age(n, effect=effect, random_effect=0.2, rng=rng, **named)


def planned(populations):
    return {name: cards.sweep for name, cards in populations.items()}


@pytest.fixture(scope="module")
def populations():
    return {"mnist": own(), "fashion": own(title="Fashion-MNIST, full", rng=1)}


@pytest.fixture(scope="module")
def questions(populations):
    return hosts.questions(populations, planned(populations))


@pytest.fixture(scope="module")
def seeds(populations):
    return hosts.by_seed(populations, planned(populations))


def test_rows_stand_by_population_random_hosts_first(questions):
    assert list(zip(questions["population"], questions["host"], strict=True)) == [
        ("MNIST, full", "random"),
        ("MNIST, full", "hard"),
        ("Fashion-MNIST, full", "random"),
        ("Fashion-MNIST, full", "hard"),
    ]


def test_kinds_of_host_are_corrected_apart(questions):
    for _, rows in questions.groupby("host"):
        np.testing.assert_allclose(rows["p_holm"], holm(rows["p"]))


def test_seeds_are_those_of_the_cards(populations, seeds):
    cards, table = populations["mnist"], seeds["MNIST, full"]
    assert table["host"].value_counts().to_dict() == {"random": N, "hard": N}
    hard = table[table["host"] == "hard"]
    np.testing.assert_array_equal(hard["contrast"], evidence.contrasts(cards, "hard", epoch="control"))
    fits = cards.fits[:, :, AGES.index("control"), 1]
    np.testing.assert_array_equal(hard["loss"], -fits[:, 0, PLAIN])
    gain = (fits[:, 3, LETTER] - fits[:, 3, PLAIN]) - (fits[:, 4, LETTER] - fits[:, 4, PLAIN])
    np.testing.assert_array_equal(hard["gain"], gain)
    np.testing.assert_array_equal(hard["learnt"], gain >= 1)
    np.testing.assert_array_equal(hard["placebo_learnt"], -gain >= 1)


def test_quantities_by_hand(questions):
    rows = {"seed": range(4), "host": "hard", "contrast": [4.0, 1, 2, 3], "loss": [1.0, 2, 3, 4]}
    table = pd.DataFrame(rows | {"learnt": [True, False, False, False], "placebo_learnt": [False] * 4})
    found = hosts.quantities(questions, {"MNIST, full": table})
    first = questions.iloc[1]
    assert found["contrast, hard hosts"]["MNIST, full"]["estimate"] == first["contrast"]
    assert found["learnt, hard hosts"]["MNIST, full"]["estimate"] == 0.25
    assert found["learnt, placebo models, hard hosts"]["MNIST, full"]["estimate"] == 0
    rank = found["rank correlation with loss"]["MNIST, full"]["estimate"]
    assert rank == pytest.approx(1 - 6 * (9 + 1 + 1 + 1) / (4 * 15))  # 1 − 6 Σd² / n(n² − 1)
    assert hosts.printed_learnt(found)["canaries"].tolist() == ["0.25 (0.01 to 0.81)"]


def test_a_population_that_lacks_seeds_says_how_many_and_nothing_else():
    few = {"mnist": own(12, needed=24)}
    plan = {"mnist": replace(few["mnist"].sweep, seeds=range(1000, 1024))}
    asked = hosts.questions(few, plan)
    assert set(asked["there"]) == {There.OPEN}
    assert hosts.by_seed(few, plan) == {}
    assert answered(asked).empty
    shown = by_population.questions(asked)
    assert shown["seeds"].tolist() == ["12 of 24"] * 2
    assert set(shown["mean D, nats"]) == {"–"}
    assert hosts.printed_learnt(hosts.quantities(asked, {})).empty
    assert hosts.drawn_probabilities(asked).axes


def test_words_are_said_of_rows_and_none_in_a_rehearsal(questions):
    mixed = questions.head(3).assign(there=[There.UNDECIDED, There.LARGE, There.UNDECIDED])
    undecided = "Undecided: MNIST, full, random hosts; Fashion-MNIST, full, random hosts"
    assert hosts.said(mixed) == f"{undecided}. There and large: MNIST, full, hard hosts"
    assert hosts.said(worded(questions, "embedded")).startswith("Rehearsal: no word: MNIST, full, random hosts; ")
    shown = by_population.questions(worded(questions, "embedded"))
    assert set(shown["is it there?"]) == set(shown["can it be told?"]) == {REHEARSED}
    assert shown["mean D, nats"].tolist() == by_population.questions(questions)["mean D, nats"].tolist()
    assert hosts.said(hosts.questions({}, {})) == "Nothing is asked here"


def test_a_host_without_loss_has_its_point():
    rows = {"seed": range(2), "host": "hard", "contrast": [0.1, 0.2], "loss": [0.0, 0.5], "gain": [0.0, 1.0]}
    figure = hosts.drawn_seeds({"a": pd.DataFrame(rows)}, x="loss", labels=("loss", "D"))
    [points] = [one.get_offsets() for one in figure.axes[0].collections]
    assert points[:, 0].tolist() == [hosts.SMALLEST_LOSS, 0.5]


def test_without_rows_of_the_plan_there_is_nothing_to_show():
    asked = hosts.questions({}, {})
    assert asked.empty
    assert answered(asked).empty
    assert by_population.questions(asked).empty
    assert by_population.summary(hosts.quantities(asked, {})).empty
    assert set(hosts.texts({}).values()) == {"not recorded"}


def test_every_text_of_the_page_is_there(questions, seeds):
    page = (paths.NOTEBOOKS / "hosts.md").read_text(encoding="utf-8")
    texts = hosts.texts(hosts.quantities(questions, seeds))
    asked = set(re.findall(r"{glue:text}`((?:contrast|learnt|rank)_\w+)`", page))
    assert asked
    assert asked <= texts.keys()
    assert "not recorded" not in texts.values()


def test_exploratory_cells_stand_beside_what_their_own_canaries_learnt():
    populations = {
        "one": planted.cards(24, effect=1.0, share_learnt=0.8, title="Digits"),
        "other": planted.cards(8, share_learnt=0.1, rng=1, title="MNIST", setting="middling hosts"),
    }
    table = hosts.printed_exploratory(cells.contrast_cells(populations), populations)
    shares = [evidence.learnt(cards, host).mean() for cards in populations.values() for host in ("random", "hard")]
    assert table["population"].tolist() == ["Digits"] * 2 + ["MNIST"] * 2
    assert [text.split()[0] for text in table["learnt"]] == [f"{share:.2f}" for share in shares]
    assert not table.astype(str).apply(lambda column: column.str.contains("nan", case=False)).any(axis=None)


def drawn(some):
    """Every seed of as many populations."""
    every = {cards.title: own(12, title=cards.title, needed=12) for cards in some}
    return hosts.by_seed(every, planned(every))


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {
    "drawn_seeds": lambda some: [drawn(some)],
    "drawn_probabilities": lambda some: [planted.questions(some)],
    "drawn_learnt": lambda some: [hosts.quantities(pd.DataFrame(), drawn(some))],
    "drawn_exploratory": lambda some: [cells.contrast_cells(dict(zip(planted.TITLES, some, strict=False)))],
}
DRAWN_WITH = {"drawn_seeds": {"x": "gain", "labels": ("gain", "D"), "threshold": 1.0}}
PANELS = {"drawn_probabilities": 1, "drawn_learnt": 1, "drawn_exploratory": 2}
