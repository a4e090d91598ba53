"""What is told with a key and without it, on made-up cards in which it is known what there is to be told."""

from dataclasses import replace

import numpy as np
import planted
import pytest

from ufm.evidence import on_seeds
from ufm.evidence.keyed import WITH, WITHOUT, by_key
from ufm.evidence.questions import IS_THERE, There
from ufm.measures.layout import AGES
from ufm.plan import fourth
from ufm.report import by_key as report
from ufm.report.texts import REHEARSED, with_interval
from ufm.statistics import sign_flip_test

NAMES = (fourth.PATCHES, f"{fourth.ENCODED}, {WITH}", f"{fourth.ENCODED}, {WITHOUT}")


def asked(populations):
    return by_key(populations, fourth.ENCODED, fourth.PATCHES)


@pytest.fixture(scope="module")
def populations():
    return planted.keyed()


@pytest.fixture(scope="module")
def table(populations):
    return asked(populations)


def test_a_row_is_of_who_asks_and_a_kind_of_host(table):
    expected = [[name, host] for name in NAMES for host in ("random", "hard")]
    assert table[["models", "host"]].to_numpy().tolist() == expected
    assert set(table["population"]) == {"MNIST, 10 000 images"}
    of = table.set_index(["models", "host"])
    for name, effect, accuracy in zip(NAMES, (1.0, 0.5, 0.0), (0.95, 0.9, 0.1), strict=True):
        for host in ("random", "hard"):
            # The mean over classes is gone.
            assert of.loc[(name, host), "contrast"] == pytest.approx(0.9 * effect, abs=0.05)
            assert of.loc[(name, host), "accuracy"] == pytest.approx(accuracy)
    assert (of.loc[NAMES[1], "known_found"] > 0.7).all()
    assert (of.loc[NAMES[2], "known_found"] < 0.5).all()


@pytest.mark.parametrize(("which", "prefix"), [(1, ""), (2, "keyless_")])
def test_contrasts_are_worked_out_seed_by_seed(which, prefix, populations, table):
    [_, cards] = populations.values()
    moved, age = cards.arrays[f"{prefix}ood_age_shift"], AGES.index("control")
    every = []
    for seed in range(len(cards.seeds)):
        label = int(cards.labels[seed, 1])  # of the hard host: canary 3, placebo model 4, placebo feature 2
        letter, feature = moved[seed, :, age, 0, label], moved[seed, :, age, 2, label]
        every.append(((letter[3] - letter[4]) + (feature[4] - feature[3])) / 2)
    row = table[(table["models"] == NAMES[which]) & (table["host"] == "hard")].iloc[0]
    assert row["contrast"] == pytest.approx(np.mean(every))
    assert row["p"] == pytest.approx(sign_flip_test(np.array(every)))


def test_words_are_of_models_without_the_key_alone(table):
    keyless = table["keyed"] == WITHOUT
    assert keyless.tolist() == [False] * 4 + [True] * 2
    assert table.loc[~keyless, "p_holm"].isna().all()
    assert set(table.loc[~keyless, "there"]) == {""}
    assert not set(table.loc[keyless, "there"]) & set(IS_THERE)
    seen = asked(planted.keyed(effects=(1.0, 0.5, 0.5)))  # where another key reads the codes as well
    assert set(seen.loc[keyless, "there"]) == {There.LARGE}
    assert seen.loc[keyless, "p_holm"].min() == pytest.approx(2 * seen.loc[keyless, "p"].min())


def test_rows_that_lack_seeds_wait(populations):
    few = {name: on_seeds(cards, cards.seeds[:11]) for name, cards in populations.items()}
    table = asked(few)
    assert "contrast" not in table
    assert set(table["n"]) == {11}
    printed = report.printed_keys(table)
    assert set(printed["mean D, nats"]) == {"–"} == set(printed["is it there?"])
    assert set(report.texts(table, "paper").values()) == {"Not recorded yet"}
    half = asked(populations | {next(reversed(populations)): few[next(reversed(few))]})
    said = report.texts(half, "paper")
    assert said["keyless"] == "Not recorded yet"
    assert fourth.PATCHES in said["keyed"]
    assert NAMES[1] not in said["keyed"]
    assert set(half.loc[half["keyed"] == WITHOUT, "there"]) == {There.OPEN}


def test_where_nothing_is_trained_nothing_is_said():
    table = asked({})
    assert report.printed_keys(table).empty
    assert set(report.texts(table, "paper").values()) == {report.NOT_HERE}
    assert report.drawn_keys(table).axes


def test_texts_and_tables_are_those_of_the_rows(table):
    said = report.texts(table, "paper")
    row = table[(table["models"] == NAMES[2]) & (table["host"] == "hard")].iloc[0]
    assert f"{NAMES[2]} D {with_interval(row, digits=3, end='contrast')}, found " in said["keyed"]
    assert said["keyed"].startswith(f"MNIST, random hosts: {NAMES[0]} D ")
    assert said["keyed"].count("accuracy 0.950") == 2
    assert "MNIST, hard hosts" in said["keyless"]
    assert set(report.texts(table, "embedded").values()) == {REHEARSED.capitalize()}
    printed = report.printed_keys(table)
    assert printed["is it there?"].tolist()[:4] == ["–"] * 4
    assert not printed.astype(str).apply(lambda column: column.str.contains("nan|cannot")).any(axis=None)
    one = {name: replace(cards, sweep=replace(cards.sweep, trained_on="X")) for name, cards in planted.keyed().items()}
    several = report.drawn_keys(asked(planted.keyed() | {f"X, {name}": cards for name, cards in one.items()}))
    labels = [tick.get_text() for tick in several.axes[0].get_yticklabels()]
    assert len(labels) == 6
