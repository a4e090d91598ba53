"""The page of other measures: its words at each border, and what is planted in made-up cards."""

import re
from dataclasses import replace
from itertools import product
from math import nan

import numpy as np
import pandas as pd
import planted
import pytest

from ufm import paths
from ufm.chapters import other_measures as chapter
from ufm.chapters.other_measures import Word
from ufm.evidence import contrasts, others
from ufm.plan import other_measures as plan
from ufm.plan import populations
from ufm.plan.profiles import PROFILES
from ufm.plan.thresholds import OTHERS
from ufm.report.texts import REHEARSED, worded

N_SEEDS = 48
OOD_MEASURES = ("exposure, letters, label", "exposure, marks, label", "this book's, label")


def rows(some):
    """Cells of two measures on both kinds of host of each population."""
    found = []
    for place, title in enumerate(planted.TITLES[: len(some)]):
        for (host, middle), measure in product((("random", 0.1), ("hard", 0.5)), ("LiRA", "exposure, letters")):
            value = middle + 0.05 * place
            ends = {"correlation": value, "correlation_low": value - 0.2, "correlation_high": value + 0.1}
            found.append({"population": title, "host": host, "measure": measure} | ends)
    return pd.DataFrame(found)


DRAWN = {"drawn_correlations": lambda some: [rows(some)]}
PANELS = {"drawn_correlations": 2}


def row(correlation=(0.5, 0.4, 0.6), placebo_half=(0.2, 0.1, 0.3), halves=(0.2, 0.1, 0.3)):
    every = {"correlation": correlation, "placebo_half": placebo_half, "halves": halves}
    return {
        f"{name}{end}": one
        for name, ends in every.items()
        for end, one in zip(("", "_low", "_high"), ends, strict=True)
    }


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, Word.AGREES),
        ({"correlation": (0.5, 0.301, 0.6)}, Word.AGREES),
        ({"correlation": (0.5, 0.3, 0.6)}, Word.UNDECIDED),
        ({"correlation": (0.2, 0.1, 0.3)}, Word.UNDECIDED),
        ({"correlation": (0.2, 0.1, 0.299)}, Word.NOT),
        ({"correlation": (-0.5, -0.6, -0.4)}, Word.NOT),
        ({"placebo_half": (0.2, 0.0, 0.3)}, Word.SHARED),
        ({"placebo_half": (0.2, 0.0, 0.3), "correlation": (0.2, 0.1, 0.25)}, Word.NOT),
        ({"halves": (0.1, 0.0, 0.2)}, Word.NONE),
        ({"halves": (0.1, 0.0, 0.2), "correlation": (0.0, -0.1, 0.1)}, Word.NONE),
        ({"correlation": (nan, nan, nan)}, Word.NONE),
        ({"halves": (nan, nan, nan)}, Word.NONE),
        ({"correlation": (1.0, nan, nan), "placebo_half": (1.0, nan, nan)}, Word.AGREES),
    ],
)
def test_the_word_at_each_border(changes, word):
    assert chapter.word(row(**changes)) == word


def test_the_plan_fixes_the_numbers():
    page = " ".join((paths.BOOK / "other-measures-plan.md").read_text(encoding="utf-8").split())
    assert f"the correlation's interval lies above {OTHERS.agrees}, and" in page
    assert f"does not agree | the interval lies below {OTHERS.agrees} |" in page
    assert "a probability of at least a quarter" in page
    assert OTHERS.counterfactual == 1 / 4
    assert "above the 95 % point" in page
    assert "more than 95 % of them" in page
    assert "for 5 % false alarms" in page
    assert OTHERS.false_positive_rate == 1 / 20
    for one in Word:
        assert f"| {one} |" in page


def test_small_populations_with_full_cards_are_shown():
    assert plan.shown("paper") == ("mnist-small", "fashion_mnist-small")
    for profile in PROFILES:
        for name in plan.shown(profile):
            assert populations.plain(profile, name).measure == "card"


def unlike(n_seeds=N_SEEDS, *, spread, rng=0):
    """Cards in which what canary and placebo model of the hard host hold of their feature differs from seed to seed."""
    whole, sizes = planted.population(n_seeds, title="MNIST, small", rng=rng), np.linspace(0, spread, n_seeds)
    drawn = np.random.default_rng(7)
    for card, entry, size in zip(whole.arrays, whole.entries, drawn.permutation(sizes), strict=True):
        own = np.flatnonzero((card["host_seed"] == entry["seed"]) & (card["host_kind"] == 1))
        [label] = card["host_label"][own]
        for images in ("ood", "black"):
            shift = card[f"{images}_shift"].astype(float)
            shift[3, 0, label] += size
            shift[4, 2, label] += size
            card[f"{images}_shift"] = shift.astype(np.float16)
        fits = drawn.normal(-2, 0.1, card["host_log_probability"].shape)
        fits[3, 0, own, 1] = -2 + size
        card["host_log_probability"] = np.minimum(fits, -0.01).astype(np.float16)
    return planted.evidence.stack(whole)


@pytest.fixture(scope="module")
def memorised():
    """The table of a population whose canaries hold more or less of the letter, and of its random hosts nothing."""
    return chapter.with_words(others.cells({"mnist-small": unlike(spread=1.5)}))


def test_what_grows_with_d_agrees_and_what_is_unrelated_does_not(memorised):
    hard = memorised[memorised["host"] == "hard"].set_index("measure")
    assert hard["halves"].iloc[0] > 0.7
    for name in (*OOD_MEASURES, "LiRA", "counterfactual, log p"):
        assert hard.loc[name, "verdict"] == Word.AGREES
        assert hard.loc[name, "area"] > 0.75
    for name in ("paper's score M", "follow-up, test, label"):
        assert hard.loc[name, "verdict"] in (Word.NOT, Word.UNDECIDED)
        assert abs(hard.loc[name, "area"] - 0.5) < 0.12


def test_no_word_is_said_where_nothing_is_held(memorised):
    random = memorised[memorised["host"] == "random"]
    assert set(random["verdict"]) == {Word.NONE}
    assert (random["area"] - 0.5).abs().max() < 0.12
    # What is read from the same answers goes together with D all the same, and does so in innocent models.
    shared = random.set_index("measure").loc[list(OOD_MEASURES[:2]), ["correlation", "innocent"]]
    assert (shared > 0.4).all(axis=None)


def test_the_rule_says_nothing_of_models_that_saw_neither_feature():
    """Though what is read from the same answers goes together with D in them too."""
    table = others.innocent_cells({"mnist-small": unlike(spread=1.5)})
    assert len(table) == 2 * len(others.MEASURES)
    words = chapter.with_words(table)
    assert Word.AGREES not in set(words["verdict"])
    shared = table.set_index("measure").loc[list(OOD_MEASURES[:2]), "correlation"]
    assert (shared > 0.3).all()
    said = chapter.innocent_texts(table)
    assert said == {"innocent_rows": 30, "innocent_agree": 0, "alone": (table["correlation_low"] > 0.3).sum()}
    assert said["alone"] > 0


def test_rules_keep_what_they_promise_where_it_holds(memorised):
    promised = memorised[memorised["nominal"].notna()]
    error = np.sqrt(promised["nominal"] * (1 - promised["nominal"]) / N_SEEDS)
    false = (promised["false_controls"] + promised["false_placebos"]) / 2
    assert ((false - promised["nominal"]).abs() < 3.5 * error).all()
    exposed = promised.set_index("measure")["nominal"]
    assert set(exposed["exposure, letters"]) == {10 / 26}  # ranks up to 26!^(1/26) = 10.3
    assert set(exposed["exposure, marks"]) == {12 / 31}
    assert set(exposed["RMIA"]) == {1 / 8}  # one of eight places among seven others lies above 95 % of them


def test_halves_make_d():
    cards = planted.cards(9, effect=0.4)
    for host in cards.protocol.hosts:
        letter, placebo = others.halves(cards, host, cards.model("canary", host), cards.model("placebo", host))
        np.testing.assert_allclose((letter + placebo) / 2, contrasts(cards, host))


def test_exposure_and_the_follow_up_by_hand():
    cards = planted.cards(9)
    measures = {one.name: one for one in others.MEASURES}
    effects = np.zeros((9, 5, planted.N_FEATURES, planted.N_CLASSES))
    effects[:, 3, 0], effects[:, 3, 133:136] = 1, 2  # three other letters move every class further
    by_label = np.zeros((9, 5, 3, planted.N_CLASSES, planted.N_CLASSES))
    for seed, label in enumerate(cards.label("hard")):
        by_label[seed, 3, 0, label, label], by_label[seed, 3, 0, (label + 1) % 10, (label + 1) % 10] = 0.2, 0.3
    arrays = dict(cards.arrays) | {"ood_shift": effects, "ood_probability_by_label": by_label}
    cards = replace(cards, arrays=arrays)
    for ending in (", label", ""):
        letters = measures[f"exposure, letters{ending}"].values(cards, "hard")
        np.testing.assert_allclose(letters[:, 3], np.log2(26) - 2)  # fourth
        np.testing.assert_allclose(measures[f"exposure, marks{ending}"].values(cards, "hard")[:, 3], np.log2(31))
    np.testing.assert_allclose(measures["follow-up, OOD, label"].values(cards, "hard")[:, 3], 0.2)
    np.testing.assert_allclose(measures["follow-up, OOD"].values(cards, "hard")[:, 3], 0.3)


def test_a_measure_without_numbers_is_a_row_without():
    table = chapter.with_words(others.cells({"one": planted.cards(9)}))  # all random hosts are fitted alike
    lira = table[(table["measure"] == "LiRA") & (table["host"] == "random")].iloc[0]
    assert lira["verdict"] == Word.NONE
    assert np.isnan(lira["area"])
    default = table[table["measure"] == "this book's default"].iloc[0]
    assert np.isnan(default["found"])  # nine seeds set no threshold
    printed = chapter.printed_detection(table)
    assert set(printed.loc[printed["measure"] == "LiRA", "area"]) == {"cannot be decided"}


def test_the_page_has_what_it_says(memorised):
    said = chapter.texts(memorised)
    page = (paths.NOTEBOOKS / "other-measures.md").read_text(encoding="utf-8")
    innocent = {"innocent_rows", "innocent_agree", "alone"}
    assert set(re.findall(r"glue:text}`(\w+)`", page)) - {"seeds", "line"} - innocent <= said.keys()
    assert said["words_random"] == f"{len(others.MEASURES)} × no word"
    assert said["everywhere"] == "none"
    hard = memorised[memorised["host"] == "hard"]
    of_hard = chapter.texts(hard)
    agree = [*hard.loc[hard["verdict"] == Word.AGREES, "measure"]]
    assert of_hard["everywhere"].split("; ") == agree
    assert of_hard["nowhere"].split("; ") == [one.name for one in others.MEASURES if one.name not in agree]
    rehearsed = chapter.texts(worded(memorised, "embedded"))
    assert rehearsed["everywhere"] == rehearsed["nowhere"] == REHEARSED


def test_tables_have_a_row_a_cell(memorised):
    for printed in (chapter.printed_agreement(memorised), chapter.printed_detection(memorised)):
        assert len(printed) == 2 * len(others.MEASURES)
    words = chapter.printed_words(memorised)
    assert words["measure"].tolist() == [one.name for one in others.MEASURES]
    hard = memorised.loc[memorised["host"] == "hard", "verdict"]
    assert words["MNIST, small, hard"].tolist() == hard.tolist()
    assert chapter.printed_agreement(memorised)["agrees?"].tolist() == memorised["verdict"].tolist()


def test_each_measure_is_drawn_on_both_kinds_of_host():
    table = rows([None, None])
    figure = chapter.drawn_correlations(table)
    assert [axis.get_title() for axis in figure.axes] == ["random hosts", "hard hosts"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["LiRA", "exposure, letters"]
    points = np.concatenate([one.get_offsets() for one in figure.axes[1].collections])
    expected = table.loc[table["host"] == "hard", "correlation"]
    np.testing.assert_allclose(np.sort(points[:, 0]), np.sort(expected))
