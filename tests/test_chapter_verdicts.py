"""The verdicts of the second plan, on made-up cards and rows of which it is known what they must say."""

import re
from dataclasses import replace
from math import nan

import pandas as pd
import planted
import pytest

from ufm import paths
from ufm.chapters import verdicts
from ufm.evidence import crossed, influential, on_seeds, planned_as
from ufm.evidence.crossed import Varies
from ufm.evidence.questions import There, Told
from ufm.plan import registry
from ufm.statistics import holm

N = 24
ROW = {
    "claim": "C1",
    "population": "MNIST, full",
    "setting": "",
    "host": "random",
    "n": 200,
    "needed": 200,
    "contrast": 0.0346,
    "contrast_low": 0.0212,
    "contrast_high": 0.0521,
    "p_holm": 0.0004,
    "there": There.SMALL,
    "canary_with": 0.9996,
    "canary_without": 0.999,
    "placebo_with": 0.9971,
    "placebo_without": 0.9989,
    "control_with": 0.9981,
    "control_without": 0.9992,
    "unknown": 0.5123,
    "unknown_low": 0.46,
    "unknown_high": 0.56,
    "unknown_found": 0.065,
    "unknown_false": 0.052,
    "unknown_told": Told.NOT,
    "known": 0.55,
    "known_low": 0.51,
    "known_high": 0.59,
    "known_found": 0.08,
    "known_false": 0.048,
    "known_told": Told.SOMETIMES,
}
LACKING = {"claim": "C1", "population": "Fashion-MNIST, full", "setting": "", "host": "random", "n": 33, "needed": 96}
LACKING |= {"there": There.OPEN, "unknown_told": Told.OPEN, "known_told": Told.OPEN}


def family(name, effect, setting, *, n=N, title="MNIST, full", rng=0, **changes):
    """Equal-age cards of a regime, the same effect on both kinds of host."""
    named = {"title": title, "setting": f"second plan, {setting}", "needed": n, "rng": rng}
    return planted.equal_age(n, effect=effect, random_effect=effect, **(named | changes))


@pytest.fixture(scope="module")
def populations():
    return {
        "own": family("own", 1.0, "both hosts"),
        "plain": family("plain", 1.0, "plain", title="MNIST, 10 000 images", rng=1),
        "decay": family("decay", 1.0, "weight decay 3", title="MNIST, 10 000 images", rng=2),
        "dropout": family("dropout", 0.0, "dropout", title="MNIST, 10 000 images", rng=3),
    }


@pytest.fixture(scope="module")
def found(populations):
    return verdicts.questions(populations, {name: cards.sweep for name, cards in populations.items()})


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (There.LARGE, "on average over seeds the feature is memorised by more than 0.1 nats"),
        (There.SMALL, "on average over seeds the feature is memorised, by less than 0.1 nats"),
        (There.SIZE_OPEN, "on average over seeds the feature is memorised, by more or by less than 0.1 nats"),
        (There.NOT, "if anything is memorised, it is on average less than 0.02 nats"),
        (There.UNDECIDED, "200 seeds neither show that the feature is memorised nor exclude 0.02 nats"),
    ],
)
def test_a_sentence_says_the_word_and_its_numbers(word, said):
    assert verdicts.sentence(ROW | {"there": word}) == (
        f"MNIST, full, random hosts: {said} (0.035 (0.021 to 0.052), p < 0.001). The canary gives its host's label a "
        "probability of 1.000 with the feature and 0.999 without, the placebo model 0.997 and 0.999, the control 0.998 "
        "and 0.999."
    )


def test_a_row_that_lacks_seeds_says_how_many_and_nothing_else():
    said = "Fashion-MNIST, full, random hosts: 33 of 96 seeds are trained, and nothing is said before all are."
    assert verdicts.sentence(LACKING) == said
    for say in (verdicts.how_large, verdicts.how_well, lambda row: verdicts.how_told(row, "unknown")):
        assert say(LACKING) == "–"
    [line] = verdicts.told({"C1": pd.DataFrame([LACKING])}, "C1", "")
    assert (line.there, line.large, line.told) == ("waits for seeds", "–", "–")
    assert verdicts.told_sentence(LACKING) == "Fashion-MNIST, full, random hosts: 33 of 96 seeds are trained."


def test_other_pages_have_the_sentences_of_a_family():
    found = {"C1": pd.DataFrame([ROW, LACKING])}
    assert verdicts.in_words(found, "C1") == f"{verdicts.sentence(ROW)} {verdicts.sentence(LACKING)}"
    assert verdicts.in_words(found, "C6") == "Not asked here."


def test_what_can_be_told_is_said_with_the_label_and_without():
    assert verdicts.how_told(ROW, "unknown") == "cannot be told by it, 6 % found"
    assert verdicts.told_sentence(ROW) == (
        "MNIST, full, random hosts. An auditor who does not know the host's label: area 0.51 (0.46 to 0.56), 6 % of "
        "the canaries found and 5 % of innocent models flagged (cannot be told by it); one who does: area 0.55 (0.51 "
        "to 0.59), 8 % of the canaries found and 5 % of innocent models flagged (can sometimes be told)."
    )


def test_a_line_names_its_rows_where_they_differ():
    both = {"C1": pd.DataFrame([ROW, LACKING])}
    [line] = verdicts.memorised(both, "C1", "the paper's own setting", own=True)
    assert line.there == "MNIST: there but small; Fashion-MNIST: waits for seeds"
    assert line.large == "MNIST: 0.035 (0.021 to 0.052) nats; Fashion-MNIST: –"
    assert line.seeds == "MNIST: 200; Fashion-MNIST: 33 of 96"
    assert (line.claim, line.own) == ("C1", True)
    alike = {"C1": pd.DataFrame([LACKING, LACKING | {"population": "MNIST, full"}])}
    assert verdicts.memorised(alike, "C1", "")[0].there == "waits for seeds"


def test_rows_of_one_population_are_told_by_their_setting():
    rows = [ROW | {"setting": name, "there": word} for name, word in (("MLP", There.LARGE), ("CNN-1", There.NOT))]
    assert verdicts.listed(rows, lambda row: row["there"]) == "MLP: there and large; CNN-1: not there"


def test_the_lines_stand_in_the_order_of_the_claims(found):
    none = influential.ranks_and_ratios({})
    lines = verdicts.lines(found, none, None)
    assert [(line.claim, line.own) for line in lines] == [
        ("C1", True),
        ("C1", False),
        ("C2", True),
        ("C2", False),
        ("C2", False),
        ("C2", False),
        ("C3", False),
        ("C3", False),
    ]
    assert lines[0].there == There.LARGE
    assert "1 of 2: does not prevent it" in lines[-1].there
    shown = verdicts.printed(lines)
    assert [text[:2] for text in shown["claim"]] == ["C1", "", "C2", "", "", "", "C3", ""]
    assert shown["claim"].iloc[0] == f"C1 {verdicts.STATEMENTS['C1']}"
    assert verdicts.table(lines)["statement"].notna().all()
    for table in (shown, verdicts.printed_sentences(lines)):
        assert not table.astype(str).apply(lambda column: column.str.contains("nan")).any(axis=None)


def test_a_rehearsal_says_no_word_of_the_paper(found):
    lines = verdicts.rehearsed(verdicts.lines(found, influential.ranks_and_ratios({}), None))
    words = {word for kind in (There, Told) for word in kind}
    for line in lines:
        assert not words & {line.there, line.told, line.sentence}
        assert line.sentence == "The method runs; nothing is said about the paper."
        assert line.setting.startswith("stands in for: ")
    assert lines[0].large.endswith("nats")


def test_texts_of_a_rehearsal_say_no_word_either(found):
    spread = crossed.spread({})
    paper, embedded = (verdicts.texts(found, spread, profile) for profile in ("paper", "embedded"))
    assert paper["in_words_C1"] == verdicts.in_words(found, "C1")
    assert embedded["in_words_C1"] == embedded["in_words_C1_hard"] == verdicts.REHEARSED
    page = (paths.NOTEBOOKS / "verdicts.md").read_text(encoding="utf-8")
    assert set(re.findall(r"{glue:text}`(\w+)`", page)) <= paper.keys() | {"profile"}
    assert verdicts.said([], "paper") == []
    assert verdicts.joined(found)["family"].unique().tolist() == list(found)


def test_ways_are_counted_and_named(populations):
    some = {name: populations[name] for name in ("plain", "decay", "dropout")}
    asked = verdicts.questions(some, {name: cards.sweep for name, cards in some.items()})
    random, hard = verdicts.prevented(asked)
    assert hard.setting == "2 ways, MNIST, hard hosts, 10 000 images"
    assert hard.sentence.startswith("Hard hosts: ")
    assert "does not prevent it: weight decay 3 (MNIST)" in hard.sentence
    few = {name: planned_as(on_seeds(cards, range(1008)), needed=N) for name, cards in some.items()}
    open_yet = verdicts.prevented(verdicts.questions(few, {name: cards.sweep for name, cards in some.items()}))
    assert [(line.there, line.seeds) for line in open_yet] == [("waits for seeds", "8 of 24")] * 2
    assert random.seeds == "24"
    part = verdicts.prevented(
        verdicts.questions(some | {"dropout": few["dropout"]}, {n: c.sweep for n, c in some.items()})
    )
    assert [line.seeds for line in part] == ["24; waiting: 8 of 24"] * 2
    assert "1 of 2: waits for seeds" in part[1].there


def twice(noise=0.01):
    """The same seeds on two hosts under two roundings."""
    first = family("", 1.0, "same hosts")
    other = planned_as(first, setting="second plan, same hosts, another rounding")
    return {"one": first, "other": other}


def test_the_spread_over_seeds_needs_both_roundings_with_all_their_seeds():
    both = twice()
    assert crossed.spread(both)["varies"] in (Varies.MORE, Varies.LESS, Varies.UNDECIDED)
    assert crossed.spread(both)["n"] == N
    assert (crossed.spread(both)["population"], crossed.spread({})["population"]) == (both["one"].trained_on, "")
    for some in ({}, {"one": both["one"]}, both | {"other": planned_as(both["other"], needed=30)}):
        assert crossed.spread(some)["varies"] == Varies.OPEN
    with pytest.raises(ValueError, match="^seeds under one rounding are not those under the other$"):
        crossed.spread({"one": both["one"], "other": replace(both["other"], seeds=both["other"].seeds + 1)})


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.26, 0.5, Varies.MORE),
        (0.25, 0.5, Varies.UNDECIDED),
        (0.1, 0.24, Varies.LESS),
        (0.1, 0.25, Varies.UNDECIDED),
        (nan, nan, Varies.UNDECIDED),
    ],
)
def test_words_of_the_spread_at_every_border(low, high, word):
    assert crossed.how_much({"low": low, "high": high}) is word
    row = {"population": "X, 30 images", "estimate": 0.2, "low": low, "high": high}
    line = verdicts.varies(row | {"n": 30, "varies": word})
    assert line.setting == "the same hosts for every seed, 30 images"
    assert (line.there, line.seeds) == (word, "30")
    assert "a quarter of its mean" in line.sentence


def test_an_open_spread_says_nothing():
    row = {"population": "", "estimate": nan, "low": nan, "high": nan, "p": nan}
    line = verdicts.varies(row | {"n": 7, "varies": Varies.OPEN})
    assert line.setting == "the same hosts for every seed"
    assert (line.there, line.large, line.seeds) == ("waits for seeds", "–", "7")


def test_influence_is_rank_and_ratio_beside_the_placebo():
    table = pd.DataFrame(
        [
            {"population": "X, 30 images", "setting": "random hosts", "n": 60}
            | {"rise": 0.0284, "rise_low": 0.01, "rise_high": 0.05}
            | {"placebo_rise": 0.02, "placebo_rise_low": 0.0, "placebo_rise_high": 0.04}
            | {"ratio": 1.6, "ratio_low": 1.2, "ratio_high": 2.0, "placebo_ratio": 1.5}
            | {"placebo_ratio_low": 1.1, "placebo_ratio_high": 1.9},
        ]
    )
    line = verdicts.influential(table)
    assert line.setting == "30 images, models of the first plan"
    assert line.there == "rank: random hosts: 0.028 (placebo 0.020)"
    assert line.large == "self-influence: random hosts: ×1.6 (placebo ×1.5)"
    assert line.sentence == (
        "Random hosts rise by 0.0284 (0.0100 to 0.0500) of the ranks with the letter and by 0.0200 (0.0000 to 0.0400) "
        "with the placebo; their self-influence is 1.60 (1.20 to 2.00) and 1.50 (1.10 to 1.90) times that without."
    )


def test_one_number_a_claim_is_corrected_over_the_claims():
    rows = pd.DataFrame({"p": [0.01, 0.02], "unknown_p": [0.5, 0.4]})
    found = {"C1": rows, "C3": rows.assign(p=[0.001, nan]), "C6": rows}
    corrected = verdicts.over_claims(found, {"p": 0.03})
    raw = {"C1": 0.02, "C2": 0.5, "C3": 1.0, "C5": 0.03, "C6": 0.02}  # C3 lacks seeds and still counts
    expected = dict(zip(raw, holm(list(raw.values())), strict=True))
    assert corrected == pytest.approx({claim: p for claim, p in expected.items() if claim != "C3"})
    assert verdicts.over_claims({}, None) == {}


def test_the_page_shows_all_that_the_plan_trains():
    from ufm.plan import second

    shown = registry.chapter("verdicts", "paper")
    assert set(second.sweeps("paper")) < set(shown)


def test_the_figure_has_the_rows_of_c1_and_c6_that_have_their_seeds(found):
    shown = verdicts.rows(found | {"C6": pd.DataFrame([LACKING | {"claim": "C6"}])})
    assert shown["population"].tolist() == ["MNIST, full"] * 2
    assert verdicts.rows({}).empty


def test_seeds_of_rows_that_are_there_and_of_those_that_wait():
    def said(*numbers):
        return verdicts.seeds_of_all(pd.DataFrame({"n": numbers, "needed": 24}))

    assert said(24, 24) == "24"
    assert said(24, 16) == "24; waiting: 16 of 24"
    assert said(24, 0, 3, 25) == "24; waiting: 0 to 3 of 24"
    assert said(1, 1) == "1 of 24"
