"""The three questions of the second plan: words at every border, numbers against loops, families of corrections."""

from math import nan

import numpy as np
import planted
import pytest
from scipy import stats

from ufm.evidence import LETTER, PLAIN, questions
from ufm.evidence.questions import There, Told
from ufm.measures.layout import AGES
from ufm.plan import second
from ufm.plan.second import Row
from ufm.statistics import bootstrap_t_interval

EPS = 1e-9


def row(estimate=0.05, low=0.01, high=0.09, p=0.01):
    return {"contrast": estimate, "contrast_low": low, "contrast_high": high, "p_holm": p}


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (row(0.2, 0.1 + EPS, 0.3), There.LARGE),
        (row(0.2, 0.1, 0.3), There.SIZE_OPEN),
        (row(0.2, 0.1 - EPS, 0.3), There.SIZE_OPEN),
        (row(0.05, 0.01, 0.1 - EPS), There.SMALL),
        (row(0.05, 0.01, 0.1), There.SIZE_OPEN),
        (row(0.2, 0.15, 0.3, p=0.05), There.UNDECIDED),  # p must lie below
        (row(0.2, 0.15, 0.3, p=0.05 - EPS), There.LARGE),
        (row(0.005, -0.01, 0.02 - EPS, p=0.5), There.NOT),
        (row(0.005, -0.01, 0.02, p=0.5), There.UNDECIDED),
        (row(-0.05, -0.09, -0.01), There.NOT),  # a mean below zero is never there
        (row(-0.05, -0.09, 0.03), There.UNDECIDED),
        (row(0.01, 0.005, 0.015), There.SMALL),  # there comes before not there
        (row(0.3, nan, nan), There.LARGE),  # all resamples agree
        (row(p=nan), There.OPEN),
        ({}, There.OPEN),
    ],
)
def test_words_of_there_at_every_border(values, word):
    assert questions.there(values) is word


def detection(low=0.6, high=0.8, found_low=0.3, p=0.01, area=0.7):
    found = {"known_found": 0.5, "known_found_low": found_low, "known_found_high": 0.9}
    return {"known": area, "known_low": low, "known_high": high, "known_p_holm": p} | found


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (detection(found_low=0.5 + EPS), Told.MOSTLY),
        (detection(found_low=0.5), Told.SOMETIMES),
        (detection(low=0.5 + EPS), Told.SOMETIMES),
        (detection(low=0.5), Told.UNDECIDED),
        (detection(p=0.05), Told.UNDECIDED),
        (detection(p=0.05 - EPS), Told.SOMETIMES),
        (detection(0.45, 0.6 - EPS, p=0.5), Told.NOT),
        (detection(0.45, 0.6, p=0.5), Told.UNDECIDED),
        (detection(0.51, 0.59), Told.SOMETIMES),  # the first word that holds
        (detection(nan, nan, found_low=0.9, area=1.0), Told.MOSTLY),
        (detection(p=nan), Told.OPEN),
        ({}, Told.OPEN),
    ],
)
def test_words_of_told_at_every_border(values, word):
    assert questions.told(values, "known") is word


def ask(cards, *, needed=24, host="hard"):
    rows = [Row("C1", "planted", "", host, tuple(cards), needed)]
    return questions.asked(cards, rows).iloc[0]


def test_what_was_planted_is_there_and_told():
    found = ask({"one": planted.equal_age(24, effect=2.0)})
    assert (found["there"], found["known_told"], found["unknown_told"]) == (There.LARGE, Told.MOSTLY, Told.MOSTLY)
    assert found["contrast_low"] < 2 * 0.9 < found["contrast_high"]  # centring over ten classes leaves nine tenths
    assert found["n"] == 24


def test_where_nothing_was_planted_nothing_is():
    found = ask({"one": planted.equal_age(24)})
    assert found["there"] is There.NOT
    assert found["p"] > 0.05
    assert found["known_told"] in (Told.UNDECIDED, Told.NOT)


def test_the_contrast_is_read_at_the_best_epoch_of_the_control():
    cards = planted.equal_age(24, effect=1.0, by_age={age: 0.0 for age in AGES if age != "control"})
    found = ask({"one": cards})
    assert found["there"] is There.LARGE
    assert found["first"] == 0
    elsewhere = planted.equal_age(24, effect=1.0, by_age={"control": 0.0, "first": 0.5})
    found = ask({"one": elsewhere})
    assert found["contrast"] == 0
    assert found["first"] == pytest.approx(0.45, abs=0.02)


def test_numbers_equal_a_plain_computation():
    cards = planted.equal_age(24, effect=0.03)
    cards.fits[...] *= np.arange(1, 1 + len(AGES))[:, None, None]  # another at each age
    seeds, found = questions.of_host(cards, "hard"), ask({"one": cards})
    control, canary, placebo = 0, 3, 4
    shift = cards.arrays["ood_age_shift"][:, :, AGES.index("control")]
    labels = cards.labels[:, 1]
    d = [
        (s[canary, 0, k] - s[placebo, 0, k] + s[placebo, 2, k] - s[canary, 2, k]) / 2
        for s, k in zip(shift, labels, strict=True)
    ]
    np.testing.assert_allclose(seeds.contrasts, d)
    mean = bootstrap_t_interval(d)
    assert (found["contrast"], found["contrast_low"]) == (mean.estimate, mean.low)
    initial = [s[control, 0, k] for s, k in zip(cards.arrays["ood_age_shift"][:, :, -1], labels, strict=True)]
    assert found["initial"] == pytest.approx(np.std(initial, ddof=1))
    at_control = np.exp(cards.fits[:, canary, AGES.index("control"), 1])
    assert found["canary_without"] == pytest.approx(at_control[:, PLAIN].mean())
    assert found["canary_with"] == pytest.approx(at_control[:, LETTER].mean())
    # An area is the share of pairs that a canary wins.
    score = seeds.scores[..., list(questions.AUDITORS).index("unknown")]
    wins = score[:, [questions.CANARY]] > score[:, questions.PLACEBO]
    assert found["unknown"] == pytest.approx(wins.mean())
    assert 0 < wins.mean() < 1
    flags, false = [], []
    for number, seed in enumerate(cards.seeds):
        others = [s for s, other in zip(score, cards.seeds, strict=True) if other % 10 != seed % 10]
        innocent = np.sort([value for s in others for value in s[1:]])[::-1]
        limit = innocent[int(0.05 * len(innocent))]  # one in twenty lies above it
        flags.append(score[number, 0] > limit)
        false += list(score[number, 1:] > limit)
    assert found["unknown_found"] == pytest.approx(np.mean(flags))
    assert found["unknown_false"] == pytest.approx(np.mean(false))
    exact = stats.binomtest(sum(flags), len(flags)).proportion_ci(method="exact")
    assert found["unknown_found_low"] == pytest.approx(exact.low)


def test_seeds_of_two_sweeps_are_one_row():
    first, second_half = (planted.equal_age(12, effect=1.0, first_seed=seed, rng=seed) for seed in (1000, 1012))
    found = ask({"one": first, "other": second_half})
    assert found["n"] == 24
    both = [*questions.of_host(first, "hard").contrasts, *questions.of_host(second_half, "hard").contrasts]
    assert found["contrast"] == pytest.approx(np.mean(both))
    assert ask({"other": second_half, "one": first})["there"] is There.LARGE


def test_a_row_that_lacks_a_seed_is_open():
    cards = {"one": planted.equal_age(23, effect=2.0)}
    found = ask(cards)
    assert (found["there"], found["known_told"], found["n"]) == (There.OPEN, Told.OPEN, 23)
    table = questions.asked({}, [Row("C1", "planted", "", "hard", ("absent",), 24)])
    assert (table["there"].iloc[0], table["n"].iloc[0]) == (There.OPEN, 0)


def test_rows_are_corrected_together():
    cards = {name: planted.equal_age(24, effect=size, rng=n) for n, (name, size) in enumerate({"a": 2, "b": 0}.items())}
    rows = [Row("C1", "planted", name, "hard", (name,), 24) for name in cards]
    table = questions.asked(cards, rows)
    assert table["p_holm"].iloc[0] == pytest.approx(2 * table["p"].iloc[0])
    assert table["p_holm"].iloc[1] == table["p"].iloc[1]
    open_too = questions.asked(cards, [*rows, Row("C1", "planted", "c", "hard", ("c",), 24)])
    assert open_too["p_holm"].iloc[0] == pytest.approx(3 * table["p"].iloc[0])  # the row that waits counts
    assert open_too["there"].iloc[2] is There.OPEN


def test_the_rows_are_those_of_the_plan():
    families = second.families(second.sweeps("paper"))
    sizes = {name: len(rows) for name, rows in families.items()}
    assert sizes == {"C1": 2, "C1, hard hosts": 2, "C1, CNNs": 2, "C1, CNNs, hard hosts": 2, "C3": 28, "C6": 8}
    assert [(row.population, row.host, row.needed) for row in families["C1"]] == [
        ("MNIST, full", "random", 200),
        ("Fashion-MNIST, full", "random", 96),
    ]
    assert {row.needed for row in families["C1, hard hosts"]} == {40}
    assert {row.needed for row in families["C3"]} == {24}
    assert sorted({row.needed for row in families["C6"]}) == [20, 50]
    every = second.sweeps("paper")
    assert all(name in every for rows in families.values() for row in rows for name in row.sweeps)
    assert len({(row.population, row.setting, row.host) for row in families["C3"]}) == 28
