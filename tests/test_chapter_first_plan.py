"""The plan's rules, on made-up cards and on tables worked by hand."""

from dataclasses import replace
from math import nan

import numpy as np
import pandas as pd
import planted
import pytest

from ufm.chapters import first_plan
from ufm.evidence import cells, planned_as
from ufm.evidence.cells import cell_verdict
from ufm.first_plan import detection, verdicts
from ufm.first_plan.claims import memorised
from ufm.plan import cnns, medical, registry
from ufm.report.texts import REHEARSED, with_interval
from ufm.statistics import SUMMARY_COLUMNS

PLANNED = {"mnist-small": registry.sweeps()["mnist-small"]}


def like(populations):
    """Sweeps of populations of plain models, by the same names."""
    return dict.fromkeys(populations, PLANNED["mnist-small"])


CELL = {"estimate": 0.3, "low": 0.2, "high": 0.4, "p_holm": 0.001, "early": 0.3, "early_low": 0.2, "early_high": 0.4}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "memorised"),
        ({"p_holm": 0.05}, "undecided"),  # a p-value at the level is none below it
        ({"estimate": -0.3, "low": -0.4, "high": -0.2}, "contradicted"),  # epoch 10 says the opposite
        ({"estimate": -0.3, "low": -0.4, "high": -0.2, "early_low": -0.1}, "not memorised"),
        ({"p_holm": 0.4, "low": -0.01, "high": 0.019}, "not memorised"),
        ({"p_holm": 0.4, "low": -0.01, "high": 0.021}, "undecided"),
        ({"p_holm": 0.9, "low": -0.5, "high": 0.5}, "undecided"),  # a large p-value decides nothing
        ({"low": 0.001, "estimate": 0.01, "high": 0.019}, "memorised"),  # and smaller than what matters
        ({"early_low": -0.4, "early_high": -0.2}, "contradicted"),
        ({"early_low": -0.4, "early_high": 0.2}, "memorised"),
    ],
)
def test_a_cell_is_judged_as_the_plan_says(changes, expected):
    assert cell_verdict(CELL | changes) == expected


@pytest.mark.parametrize(
    ("found", "p", "expected"),
    [
        (["memorised"] * 3, 0.01, "holds"),
        (["memorised"] * 3, 0.05, "holds in part"),
        (["memorised", "undecided"], 0.01, "holds in part"),
        (["not memorised"] * 2, 0.5, "does not hold"),
        (["not memorised", "undecided"], 0.5, "undecided"),
        (["contradicted"], 0.01, "undecided"),
    ],
)
def test_c1_from_its_cells(found, p, expected):
    assert memorised(pd.DataFrame({"verdict": found}), p) == expected


def test_cells_are_those_of_every_population_and_kind_of_host():
    table = cells.contrast_cells({"one": planted.cards(20, effect=0.5, title="1"), "two": planted.cards(20, title="2")})
    assert table[["population", "host"]].to_numpy().tolist() == [
        [title, host] for title in ("1", "2") for host in ("random", "hard")
    ]
    assert (table["p_holm"] >= table["p"]).all()
    assert set(table.loc[[0, 2, 3], "verdict"]) <= {"undecided", "not memorised"}
    assert table.loc[1, "verdict"] == "memorised"
    assert table.loc[1, "in_words"] == "memorised"


@pytest.mark.parametrize(("size", "words"), [(0.01, "memorised, by less than matters"), (0.1, "memorised")])
def test_a_contrast_that_is_sure_and_small_is_called_so(monkeypatch, size, words):
    values = size + np.random.default_rng(3).normal(0, size / 10, 20)
    monkeypatch.setattr(cells, "contrasts", lambda cards, host, epoch="best": values)
    table = cells.contrast_cells({"one": planted.cards(20)})
    assert table["verdict"].tolist() == ["memorised"] * 2
    assert table["in_words"].tolist() == [words] * 2


def test_claims_that_were_not_tested_say_so():
    table = verdicts.verdicts({}, planned=PLANNED).set_index("claim")
    assert list(table.index)[:7] == ["C1", "C1, CNNs", "C2", "C3", "C4", "C5", "C6"]  # and those of later chapters
    assert (table["verdict"] == "not tested").all()


def test_a_population_that_lacks_seeds_decides_nothing():
    populations = {
        "mnist-small": planted.cards(12, effect=0.5, needed=12),
        "other": planted.cards(12, effect=0.5, needed=13),
    }
    table = verdicts.verdicts(populations, planned=like(populations)).set_index("claim")
    assert table.loc["C1", "holds_in"] == "1 of 4 cells"
    assert table.loc["C1", "n"] == 12
    assert table.loc["C1", "verdict"].endswith(" so far")
    assert table.loc["C2", "verdict"] == "not tested"  # the detector was chosen on the only one that is there


def test_a_population_that_lacks_seeds_is_open_and_costs_the_others_nothing():
    other = planted.cards(12, effect=0.5)
    table = cells.contrast_cells({"one": other, "lacking": planned_as(other, needed=13)})
    assert table["verdict"].tolist()[2:] == ["seeds pending"] * 2
    assert table["p"].isna().tolist() == [False, False, True, True]
    assert table.loc[1, "p_holm"] == pytest.approx(2 * table.loc[1, "p"])


def test_claims_are_corrected_together_and_shown_where_they_are_weakest():
    populations = {
        "mnist-small": planted.cards(24, effect=1.5, random_effect=0.8, title="MNIST"),
        "other": planted.cards(24, effect=1.5, random_effect=0.6, rng=1, title="another"),
    }
    table = verdicts.verdicts(populations, planned=like(populations)).set_index("claim")
    table_of_cells = cells.contrast_cells(populations)
    weakest = table_of_cells.loc[table_of_cells["low"].idxmin()]
    assert table.loc["C1", "effect"] == weakest["estimate"]
    assert table.loc["C1", "weakest"] == f"{weakest['population']}, {weakest['host']} hosts"
    assert table.loc["C1", ["n_weakest", "n"]].tolist() == [24, 48]
    shown = first_plan.printed(table.reset_index()).set_index("")
    assert shown.loc["C1", "that is"] == f"{weakest['population']}, {weakest['host']} hosts: 24 seeds"
    assert shown.loc["C3", "that is"] == "–"
    assert first_plan.summary(table.reset_index()).set_index("quantity").loc["C1", "n"] == 24
    assert table.loc["C1", "p"] == pytest.approx(2 * table_of_cells["p"].max())
    assert table.loc["C1", "verdict"] == "holds"
    assert table.loc["C1", "holds_in"] == "4 of 4 cells"
    above = (detection.sets(detection.deciding(populations))["low"] > 0.5).sum()
    assert table.loc["C2", "holds_in"] == f"{above} of 1 cells"
    assert table.loc["C2", "n"] == 24


def test_an_undecided_set_leaves_the_claim_without_a_p_and_shows_the_others_effect():
    some = {"one": planted.cards(24, effect=0.5, title="one"), "few": planted.cards(10, effect=0.5, title="few")}
    row = verdicts.verdicts(some, planned=like(some)).set_index("claim").loc["C2"]
    assert pd.isna(row["p"])
    assert row["effect"] == detection.sets(some)["estimate"].iloc[0]
    assert row["verdict"] == "holds in part"


def test_convolutional_networks_are_a_line_of_their_own():
    populations = {
        "mnist-small": planted.cards(12, effect=1.5, title="MNIST"),
        "one": planted.cards(12, effect=1.5, random_effect=1.0, title="CIFAR-10", setting="CNN-1"),
        "two": planted.cards(12, title="CIFAR-10", setting="CNN-2", rng=3),
    }
    planned = PLANNED | cnns.networks("paper")
    table = verdicts.verdicts(populations, planned=planned).set_index("claim")
    found = cells.contrast_cells({name: populations[name] for name in ("one", "two")})
    row = table.loc["C1, CNNs"]
    assert row["holds_in"] == f"{(found['verdict'] == 'memorised').sum()} of 2 cells"
    assert (row["verdict"], row["n"]) == ("holds in part", 24)
    assert row["effect"] == found.loc[found["low"].idxmin(), "estimate"]
    assert table.loc["C1", "n"] == 12


def test_cells_as_figures_take_them():
    cards = planted.cards(9, effect=0.5, title="MNIST", setting="CNN-1")
    table = cells.contrast_cells({"one": cards}, ("hard",))
    means = cells.means(table)
    assert means[["contrast", "contrast_low"]].to_numpy().tolist() == table[["estimate", "low"]].to_numpy().tolist()
    [points] = cells.points({"one": cards}, "hard").values()
    assert points["contrast"].mean() == pytest.approx(table["estimate"].iloc[0])
    assert set(points["setting"]) == {"CNN-1"}


def test_medical_images_are_judged_by_their_own_cells():
    populations = {
        "letter": planted.cards(12, effect=1.5, random_effect=0.9, title="X-rays", setting="MLP, letter"),
        "name": planted.three("MLP, name", 12, title="X-rays", effect=0.8),
    }
    planned = medical.sweeps("paper")
    row = verdicts.verdicts(populations, planned=planned).set_index("claim").loc["C6"]
    assert (row["verdict"], row["holds_in"], row["n"]) == ("holds so far", "3 of 4 cells", 24)


def test_where_says_which_cells_came_out_how():
    cells = [
        {"population": "MNIST", "setting": "", "host": "random", "verdict": "undecided"},
        {"population": "MNIST", "setting": "", "host": "hard", "verdict": "memorised"},
        {"population": "Fashion", "setting": "", "host": "random", "verdict": "memorised"},
        {"population": "Fashion", "setting": "", "host": "hard", "verdict": "memorised"},
    ]
    found = verdicts.where(pd.DataFrame(cells))
    assert found == "undecided: MNIST (random hosts). memorised: MNIST (hard hosts); Fashion (random, hard hosts)"
    groups = pd.DataFrame({"population": ["A", "A"], "setting": ["x", "y"], "verdict": ["agrees", "agrees"]})
    assert verdicts.where(groups) == "agrees: A, x; A, y"
    remarked = pd.DataFrame(cells).assign(
        in_words=["undecided", "memorised", "memorised, by less than matters", "memorised"]
    )
    assert verdicts.where(remarked).startswith(
        "undecided: MNIST (random hosts). memorised: MNIST (hard hosts); Fashion (hard hosts). memorised, by less"
    )


def test_the_cells_like_the_papers_setting_are_named():
    small = planted.cards(12, effect=0.5, title="MNIST")
    full = planned_as(small, protocol=replace(small.protocol, n_train=None), trained_on="All of MNIST")
    named = verdicts.as_in_the_paper({"small": small, "full": full})
    in_words = cells.contrast_cells({"small": small, "full": full}).loc[2, "in_words"]
    assert named == f"All of MNIST: {in_words}"
    assert verdicts.as_in_the_paper({"small": small}) == "not part of this profile"


def test_many_cells_that_came_out_alike_are_counted():
    many = pd.DataFrame({"population": ["A"] * 9, "setting": list("abcdefghi"), "verdict": ["memorised"] * 9})
    assert verdicts.where(many) == "memorised: all 9"
    assert verdicts.where(many.head(8)).startswith("memorised: A, a; A, b")
    many.loc[8, "verdict"] = "undecided"
    assert verdicts.where(many).endswith(". undecided: A, i")


def test_every_claim_says_what_its_effect_is_and_what_came_out():
    populations = {"fashion_mnist-small": planted.cards(40, effect=0.3, title="Fashion-MNIST, 10 000 images")}
    table = verdicts.verdicts(populations, planned=like(populations)).set_index("claim")
    assert (table["about"] != "").all()
    assert "Fashion-MNIST, 10 000 images" in table.loc["C1", "where"]
    assert table.loc["C2", "where"].startswith(("told from guessing: ", "not told from guessing: "))
    assert table.loc["C3", "where"] == ""


CLAIM = {"claim": "C1", "statement": "It is.", "effect": 0.0316, "low": 0.022, "high": 0.0437, "unit": "nats"}
CLAIM |= {"weakest": "MNIST, hard hosts", "n_weakest": 40}
CLAIM |= {"p": 2e-5, "n": 200, "holds_in": "2 of 4 cells", "verdict": "holds so far", "chapter": "hosts"}
CLAIM |= {"about": "a contrast", "where": "memorised: here"}
UNTESTED = {"claim": "C3", "statement": "It does.", "effect": nan, "low": nan, "high": nan, "unit": ""}
UNTESTED |= {"weakest": "", "n_weakest": 0, "p": nan, "n": 0, "holds_in": "", "verdict": "not tested", "chapter": ""}
UNTESTED |= {"about": "another", "where": ""}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["0.032 (0.022 to 0.044)", "nats"]),
        ({"unit": "area", "effect": 0.5745, "low": 0.5355, "high": 0.6141}, ["area", "0.575 (0.535 to 0.614)"]),
        ({"low": nan, "high": nan}, ["0.032", "nats"]),
    ],
)
def test_an_effect_has_its_unit(changes, expected):
    if "unit" in changes:  # of 0.5745 either neighbour may be the nearer in binary
        expected = [expected[0], with_interval(CLAIM | {"estimate": 0.5745} | changes, digits=3)]
    assert first_plan.effect(CLAIM | changes) == " ".join(expected)


def test_an_effect_that_is_none_is_a_dash():
    assert first_plan.effect(UNTESTED) == "–"
    assert first_plan.effect(CLAIM | {"effect": nan, "low": nan, "high": nan, "unit": "area"}) == "–"


def test_claims_print_a_dash_for_what_was_not_tested():
    table = first_plan.printed(pd.DataFrame([CLAIM, UNTESTED]))
    ours, untested = table.to_numpy().tolist()
    assert ours == [
        "C1",
        "It is.",
        "holds so far",
        "2 of 4 cells",
        "0.032 (0.022 to 0.044) nats",
        "MNIST, hard hosts: 40 seeds",
        "< 0.001",
        200,
    ]
    assert untested == ["C3", "It does.", "not tested", *["–"] * 5]


def test_the_summary_is_one_that_can_be_compared():
    table = first_plan.summary(pd.DataFrame([CLAIM, UNTESTED]))
    assert list(table) == list(SUMMARY_COLUMNS)
    assert table["quantity"].tolist() == ["C1", "C3"]
    assert table[["estimate", "n"]].to_numpy().tolist()[0] == [0.0316, 40]  # not the 200 of all cells


def test_claims_in_words():
    shown = first_plan.printed_in_words(pd.DataFrame([CLAIM, UNTESTED]))
    assert shown["the effect is"].tolist() == ["a contrast", "another"]
    assert shown["what came out"].tolist() == ["memorised: here", "not tested"]


def test_the_rehearsal_says_no_word_of_a_claim():
    table = pd.DataFrame([CLAIM, UNTESTED])
    pd.testing.assert_frame_equal(first_plan.rehearsed(table, "paper"), table)
    shown = first_plan.rehearsed(table, "embedded")
    assert first_plan.printed(shown)["verdict"].tolist() == [REHEARSED] * 2
    assert first_plan.printed(shown)["holds in"].tolist() == ["–"] * 2
    assert first_plan.printed_in_words(shown)["what came out"].tolist() == [REHEARSED] * 2
    assert first_plan.as_in_the_paper({"a": planted.cards(12)}, "embedded") == REHEARSED
    assert first_plan.as_in_the_paper({"a": planted.cards(12)}, "paper") == "not part of this profile"


def test_no_printed_verdict_is_a_nan():
    some = {"a": planted.cards(24, effect=1.0, share_learnt=0.8, title="first")}
    table = first_plan.printed(verdicts.verdicts(some, planned=like(some)))
    assert not table.astype(str).apply(lambda column: column.str.contains("nan", case=False)).any(axis=None)
