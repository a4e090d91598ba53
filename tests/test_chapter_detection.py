"""The chapter Detection, from rows small enough to work by hand."""

import re
from dataclasses import replace
from math import nan

import pandas as pd
import planted
import pytest

from ufm.chapters import detection
from ufm.evidence import detectors, performance, planned_as, regimes
from ufm.plan import second
from ufm.report import by_population
from ufm.report.texts import p_text
from ufm.statistics import SUMMARY_COLUMNS

UNDECIDED, NONE = "cannot be decided", "–"
ONE = {"estimate": 0.4666, "low": 0.346, "high": 0.5849, "n": 30}
LACKING = {"estimate": nan, "low": nan, "high": nan, "n": 1}
AREAS = pd.DataFrame(
    [
        {"detector": detectors.LABEL_KNOWN.name, "knows": "label", **ONE, "outscores": 0.75}
        | {"all": 0.5, "all_low": 0.4, "all_high": 0.6, "found": 0.2, "found_low": 0.1, "found_high": 0.3},
        {"detector": detectors.PAPER.name, "knows": "", **ONE, "outscores": 0.5}
        | {"all": 0.5, "all_low": nan, "all_high": nan, "found": nan, "found_low": nan, "found_high": nan},
        {"detector": "another", "knows": "", **LACKING, "outscores": nan}
        | {f"{name}{end}": nan for name in ("all", "found") for end in ("", "_low", "_high")},
    ]
)


def test_tried_has_every_detector_in_the_order_given():
    table = detection.printed_tried(AREAS)
    assert table.iloc[:, 0].tolist() == AREAS["detector"].tolist()
    assert table.iloc[:, 1].tolist() == ["label", NONE, NONE]
    assert table.iloc[0, 2:].tolist() == ["0.47 (0.35 to 0.58)", "0.50 (0.40 to 0.60)", "0.20 (0.10 to 0.30)"]
    assert table.iloc[1, 2:].tolist() == ["0.47 (0.35 to 0.58)", "0.50", UNDECIDED]
    assert table.iloc[2, 2:].tolist() == [UNDECIDED] * 3


def test_guesses_have_a_row_a_kind_of_images_and_of_models():
    rows = [{"images": images, "models": "all canaries"} | ONE for images in ("ood", "black")]
    table = detection.printed_guesses({"a": pd.DataFrame(rows), "b": pd.DataFrame(rows[:1])})
    assert len(table) == 2
    assert table["guess"].is_unique
    assert table["b"].tolist() == ["0.47 (0.35 to 0.58)", ""]


def test_guesses_are_those_of_one_kind_of_images_and_of_models():
    rows = [
        {"images": images, "models": models, "estimate": estimate, "low": 0, "high": 1, "n": 9}
        for images, models, estimate in (("ood", "x", 0.1), ("black", "x", 0.25), ("black", "y", 0.9))
    ]
    other = [rows[0], rows[1] | {"estimate": 0.5}, rows[2]]
    assert detection.guessed({"a": pd.DataFrame(rows), "b": pd.DataFrame(other)}, "x") == "0.25 to 0.50"


def equal_age(setting, n_seeds=24, **changes):
    """Equal-age cards of a regime of the second plan, all their seeds needed."""
    named = {"title": "MNIST, 10 000 images", "setting": f"second plan, {setting}", "needed": n_seeds}
    return planted.equal_age(n_seeds, **(named | changes))


def sweeps(populations):
    return {name: cards.sweep for name, cards in populations.items()}


REGIMES = {"plain": 0.1, "weight decay 3": 1.0, "weight decay 10": 1.5, "dropout": 0.1}


@pytest.fixture(scope="module")
def populations():
    return {name: equal_age(name, effect=size, rng=rng) for rng, (name, size) in enumerate(REGIMES.items())}


@pytest.fixture(scope="module")
def table(populations):
    made = regimes.by_regime(populations, second.by_regime(sweeps(populations)))
    for place, regime in enumerate(REGIMES):  # planted models have no weight decay of their own
        made.loc[made["setting"] == regime, "left"] = 0.5**place
    return made


def test_regimes_are_rows_by_regime_and_kind_of_host(table):
    shown = detection.printed_regimes(table)
    assert list(zip(shown["trained"], shown["hosts"], strict=True)) == [
        (regime, host)
        for regime in ("plain", "weight decay 3", "weight decay 10", "dropout")
        for host in ("random", "hard")
    ]
    assert shown["seeds"].tolist() == [24] * 8
    row = table.iloc[3]
    assert shown["d′"].iloc[3] == f"{row['d_prime']:.2f}"
    assert shown["label known"].iloc[3].startswith(f"{row['known']:.2f}")


def test_a_regime_that_lacks_seeds_says_how_many():
    few = {"plain": planned_as(equal_age("plain", 12), needed=24)}
    planned = {name: replace(cards.sweep, seeds=range(1000, 1024)) for name, cards in few.items()}
    shown = detection.printed_regimes(regimes.by_regime(few, second.by_regime(planned)))
    assert shown["seeds"].tolist() == ["12 of 24"] * 2
    assert set(shown.iloc[0, 4:]) == {NONE}
    texts = detection.texts(regimes.by_regime(few, second.by_regime(planned)))
    assert texts.pop("part") == "10 000 images"
    assert set(texts.values()) == {"not yet known"}


def test_weight_decay_is_tested_against_plain_models_of_its_data_set(populations):
    other = {"b": equal_age("weight decay 3", title="Fashion-MNIST, 10 000 images")}  # beside no plain models
    found = detection.decay_tests(populations | other)
    assert list(zip(found["population"], found["setting"], found["host"], strict=True)) == [
        ("MNIST, 10 000 images", "weight decay 3", "random"),
        ("MNIST, 10 000 images", "weight decay 3", "hard"),
    ]
    [random, hard] = detection.printed_decay_tests(found).to_dict("records")
    assert hard["plain"] < hard["weight decay 3"]
    assert (random["p"], hard["p"]) == tuple(p_text(p) for p in found["p_holm"])


def test_doses_are_plain_models_and_those_of_weight_decay_alone(table):
    found = detection.decays(table)
    assert found["setting"].tolist() == ["plain"] * 2 + ["weight decay 3"] * 2 + ["weight decay 10"] * 2
    assert (found["left"].diff().dropna() <= 0).all()
    alone = table[table["setting"].isin(["plain", "dropout"])]
    assert detection.decays(alone).empty


def test_texts_are_of_plain_models_and_weight_decay_3(table):
    said = detection.texts(table)
    row = table[(table["setting"] == "weight decay 3") & (table["host"] == "hard")].iloc[0]
    assert said["area_weight_decay_3_hard_hosts_small"] == f"{row['unknown']:.2f}"
    assert said["found_weight_decay_3_hard_hosts_small"] == f"{row['unknown_found']:.2f}"
    assert said["area_label_known_weight_decay_3_hard_hosts_small"] == f"{row['known']:.2f}"
    assert (len(said), said["part"]) == (25, "10 000 images")
    assert said["area_plain_random_hosts_full"] == "not yet known"


def test_the_summary_has_a_row_a_quantity_and_population(table):
    found = by_population.summary(detection.quantities(table))
    assert list(found) == list(SUMMARY_COLUMNS)
    assert len(found) == 3 * 8
    assert found.index.unique().tolist() == ["MNIST, 10 000 images"]


def test_the_first_plan_stands_beside_it():
    some = {"a": planted.cards(24, effect=0.5, title="first"), "b": planted.three("dropout", 24, title="first")}
    found = regimes.in_the_first_plan(second.first_plan(some | {"c": equal_age("plain")}))
    shown = detection.printed_first_plan(found)
    assert shown["trained"].tolist() == ["plain", "plain", "dropout"]
    assert shown["hosts"].tolist() == ["random", "hard", "hard"]
    assert not shown.astype(str).apply(lambda column: column.str.contains("nan")).any(axis=None)


def test_what_weight_decay_does_to_signal_and_noise_is_said_by_data_set():
    rows = [
        {"population": "MNIST, 10 000 images", "setting": setting, "host": host, "added": added, "spread": 0.1}
        for setting, host, added in (("", "hard", 0.288), ("weight decay", "hard", 0.244), ("", "random", 0.5))
    ]
    texts = detection.noise_texts(pd.DataFrame(rows))
    assert texts["added_plain"] == "0.288 (MNIST)"
    assert texts["added_decayed"] == "0.244 (MNIST)"
    assert texts["spread_decayed"] == "0.100 (MNIST)"
    assert set(detection.noise_texts(pd.DataFrame(rows[:1])).values()) == {"not recorded"}


def test_the_default_has_its_place_where_it_was_chosen_and_elsewhere():
    cards = planted.cards(40, effect=0.5, share_learnt=0.8, first_seed=1080)  # twenty of the seeds it was chosen on
    said = detection.chosen(cards, "hard")
    found = re.fullmatch(
        r"On the 20 seeds on which it was chosen it comes (\S+) \(area (\S+)\); on the other 20 (\S+) \(area (\S+)\), "
        r"on all (\S+) \(area (\S+)\)",
        said,
    )
    among = (cards.seeds < 1100, cards.seeds >= 1100, cards.seeds > 0)
    for place, (rank, area) in enumerate(zip(found.groups()[::2], found.groups()[1::2], strict=True)):
        areas = [detectors.area(one, cards, "hard", among[place]) for one in detectors.LABEL_FREE]
        own = detectors.area(detectors.DEFAULT, cards, "hard", among[place])
        assert area == f"{own:.2f}"
        assert int(rank[:-2]) == 1 + sum(one > own for one in areas)
    assert "not among those" in detection.chosen(planted.cards(12, effect=0.5, first_seed=0), "hard")


def test_without_doses_the_figure_says_so():
    [text] = detection.drawn_dose(pd.DataFrame()).axes[0].texts
    assert text.get_text() == "Not all seeds are trained yet."


def drawn(some):
    """What the figures of regimes are drawn from: as many data sets as populations."""
    every = {
        f"{one.title}, {regime}": equal_age(regime, 12, effect=effect, title=one.title, rng=rng)
        for rng, (regime, effect) in enumerate((("plain", 0.1), ("weight decay 3", 1.0)))
        for one in some
    }
    return regimes.by_regime(every, second.by_regime(sweeps(every)))


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {
    "drawn_power": lambda some: [
        planted.each(some, performance.by_images, "hard"),
        planted.each(some, performance.by_permutations, "hard"),
    ],
    "drawn_regimes": lambda some: [
        drawn(some),
        regimes.in_the_first_plan(dict(zip(planted.TITLES, some, strict=False))),
    ],
    "drawn_scores": lambda some: [detection.scored({some[0].title: dict.fromkeys((0.0, 3.0), some[0])})],
    "drawn_dose": lambda some: [detection.decays(drawn(some[:1]))],
}
PANELS = {"drawn_power": 2, "drawn_regimes": 2, "drawn_dose": 4, "drawn_scores": 2}
