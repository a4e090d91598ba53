"""What ways of training do to memorisation: the words at their borders, on made-up cards in which it is known."""

import numpy as np
import planted
import pytest

from ufm.evidence import ways
from ufm.evidence.questions import There, on_its_host
from ufm.evidence.ways import Change, Prevents
from ufm.measures.layout import AGES
from ufm.plan import second
from ufm.plan.thresholds import SECOND
from ufm.statistics import bootstrap_t_interval, sign_flip_test

EPS = 1e-9


@pytest.mark.parametrize(
    ("with_it", "without", "on_host", "word"),
    [
        (There.LARGE, There.SMALL, True, Prevents.NOT),
        (There.SIZE_OPEN, There.SIZE_OPEN, False, Prevents.NOT),
        (There.NOT, There.LARGE, False, Prevents.PREVENTS),
        (There.NOT, There.LARGE, True, Prevents.ON_HOST),
        (There.UNDECIDED, There.LARGE, True, Prevents.UNDECIDED),
        (There.LARGE, There.UNDECIDED, True, Prevents.UNDECIDED),
        (There.NOT, There.NOT, True, Prevents.UNDECIDED),
        (There.OPEN, There.LARGE, True, Prevents.OPEN),
        (There.NOT, There.OPEN, True, Prevents.OPEN),
    ],
)
def test_there_must_be_something_to_prevent(with_it, without, on_host, word):
    assert ways.prevents(with_it, without, on_host) is word


@pytest.mark.parametrize(
    ("gain", "p", "on_host"),
    [
        (0.1, SECOND.level - EPS, True),
        (0.1, SECOND.level, False),
        (-0.1, SECOND.level - EPS, False),
        (np.nan, np.nan, False),
    ],
)
def test_what_is_left_on_the_host_at_its_borders(gain, p, on_host):
    assert on_its_host({"gain": gain, "gain_p": p}) is on_host


def changed(nats, spreads, nats_p=0.01, spreads_p=0.01):
    return {"nats": nats, "spreads": spreads, "nats_p_holm": nats_p, "spreads_p_holm": spreads_p}


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (changed(0.1, 2.0), Change.RAISES),
        (changed(-0.1, -2.0), Change.REDUCES),
        (changed(-0.1, 2.0), Change.OPPOSITE),
        (changed(0.1, -2.0), Change.OPPOSITE),
        (changed(0.1, 2.0, spreads_p=0.05), Change.ONE_SCALE),
        (changed(0.1, 2.0, nats_p=0.05), Change.ONE_SCALE),
        (changed(0.1, 2.0, nats_p=0.05 - EPS), Change.RAISES),
        (changed(-0.1, 2.0, 0.5, 0.5), Change.NOTHING),
        (changed(0.1, 2.0, np.nan), Change.OPEN),
    ],
)
def test_words_of_change_at_every_border(row, word):
    assert ways.change(row) is word


def pair(effect, other, *, null=1.0, other_null=1.0):
    made = [
        planted.equal_age(24, effect=size, rng=n, needed=24, by_age={"best": 0.0})
        for n, size in enumerate((effect, other))
    ]
    for cards, spread in zip(made, (null, other_null), strict=True):
        cards.arrays["ood_null"][:, :, 1] = spread
    return tuple(made)


def test_a_way_of_fewer_seeds_is_paired_with_those_alone():
    few, many = planted.regime("dropout", 0.2, 8), planted.regime("plain", 0.5, 12)
    compared = {"dropout": ("dropout", "plain")}
    pairs = ways.pairs({"few": few, "many": many}, compared)
    for with_it, without in pairs.values():
        assert without.seeds.tolist() == with_it.seeds.tolist() == few.seeds.tolist()
        assert (without.needed, without.complete) == (8, True)
    row = ways.changes(pairs).set_index("host").loc["hard"]
    assert row["n"] == 8
    assert row["change"] is not Change.OPEN
    waits = ways.pairs({"few": few, "many": planted.regime("plain", 0.5, 5, needed=12)}, compared)
    assert not any(without.complete for _, without in waits.values())
    assert set(ways.changes(waits)["change"]) == {Change.OPEN}


def test_a_way_that_raises_on_both_scales_and_one_on_which_they_differ():
    pairs = {
        ("MNIST", "more", "hard"): pair(2.0, 0.5),
        ("MNIST", "less and steadier", "hard"): pair(0.5, 2.0, null=0.1),
        ("MNIST", "same", "hard"): pair(0.0, 0.0),
    }
    table = ways.changes(pairs)
    assert list(table["change"]) == [Change.RAISES, Change.OPPOSITE, Change.NOTHING]
    one, other = pairs["MNIST", "more", "hard"]
    labels = [cards.labels[:, 1] for cards in (one, other)]
    d = []
    for cards, label in zip((one, other), labels, strict=True):
        shift = cards.arrays["ood_age_shift"][:, :, AGES.index("control")]
        d.append([(s[3, 0, k] - s[4, 0, k] + s[4, 2, k] - s[3, 2, k]) / 2 for s, k in zip(shift, label, strict=True)])
    difference = np.subtract(*d)
    first = table.iloc[0]
    assert first["nats"] == pytest.approx(difference.mean())
    assert first["nats_low"] == pytest.approx(bootstrap_t_interval(difference).low)
    assert first["nats_p"] == sign_flip_test(difference)
    assert first["nats_p_holm"] == pytest.approx(3 * first["nats_p"])


def test_pairs_of_other_seeds_are_refused_and_of_too_few_open():
    one = planted.equal_age(24, needed=24)
    with pytest.raises(ValueError, match="seeds with it are not those without"):
        ways.changes({("MNIST", "way", "hard"): (one, planted.equal_age(24, needed=24, first_seed=2000))})
    few = planted.equal_age(23, needed=24)
    table = ways.changes({("MNIST", "way", "hard"): (one, few)})
    assert list(table["change"]) == [Change.OPEN]


def test_ways_of_which_nothing_is_trained_count_too():
    """No corrected p gets larger when models come."""
    every = {name: planted.regime(name, effect, 12) for name, effect in (("plain", 0.5), ("dropout", 0.2))}
    wait = planted.regime("batch norm", 0.3, 12)
    planned = {name: cards.sweep for name, cards in (every | {"batch norm": wait}).items()}
    rows = second.rows(planned, "C3", {name: name for name in planned}, "random", "hard")
    compared = {name: (name, "plain") for name in ("dropout", "batch norm")}
    table = ways.ways(every, ways.questions(every, rows), compared).set_index(["way", "host"])
    for host in ("random", "hard"):
        assert table.loc[("batch norm", host), "change"] == Change.OPEN
        row = table.loc["dropout", host]
        assert row["nats_p_holm"] in (pytest.approx(4 * row["nats_p"]), pytest.approx(3 * row["nats_p"]))
    assert table.loc["dropout", "nats_p_holm"].min() == pytest.approx(4 * table.loc["dropout", "nats_p"].min())
