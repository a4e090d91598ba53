"""Tables with a row or a column a population, from rows small enough to work by hand."""

from math import nan

import pandas as pd

from ufm.report import by_population
from ufm.statistics import SUMMARY_COLUMNS

UNDECIDED, NONE = "cannot be decided", "–"
ONE = {"estimate": 0.4666, "low": 0.346, "high": 0.5849, "n": 30}
LACKING = {"estimate": nan, "low": nan, "high": nan, "n": 1}
CELL = {"population": "a", "host": "hard", **ONE, "p": 1e-5, "p_holm": 4e-5, "early": 0.25, "early_low": 0.125}
CELL |= {"early_high": 0.5, "detectable": 0.0213, "verdict": "memorised"}
CELL |= {"in_words": "memorised, by less than matters"}


def test_summary_has_a_row_a_quantity_and_population():
    table = by_population.summary({"M > 0": {"a": ONE | {"more": 1}, "b": LACKING}, "other": {"a": ONE}})
    assert list(table) == list(SUMMARY_COLUMNS)
    assert table["estimate"].isna().tolist() == [False, True, False]
    assert table["n"].tolist() == [30, 1, 30]
    assert table["quantity"].is_unique
    assert all(name in quantity for name, quantity in zip("aba", table["quantity"], strict=True))


def test_ranges_are_over_populations():
    quantities = {
        "M > 0, raw inputs": {"a": ONE | {"estimate": 0.521}, "b": ONE | {"estimate": 0.449}, "c": ONE},
        "alike": {"a": ONE | {"estimate": 0.301}, "b": ONE | {"estimate": 0.299}},
        "paper's score": {"a": ONE | {"estimate": -0.25}},
    }
    assert by_population.ranges(quantities) == {
        "m_0_raw_inputs": "0.45 to 0.52",
        "alike": "0.30",
        "paper_s_score": "−0.25",
    }
    assert by_population.ranges(quantities, digits=3)["alike"] == "0.299 to 0.301"


def test_ranges_are_of_the_quantity_whatever_is_in_its_name():
    assert by_population.ranges({"one; of two": {"a; b": ONE}}) == {"one_of_two": "0.47"}


def test_wide_has_a_column_a_population_and_blanks_where_it_lacks_a_row():
    rows = {
        "a": pd.DataFrame([{"rule": "first"} | ONE, {"rule": "second"} | LACKING]),
        "b": pd.DataFrame([{"rule": "third"} | ONE, {"rule": "first"} | ONE | {"estimate": 0.5}]),
    }
    table = by_population.wide(rows, "rule")
    assert table.to_dict("list") == {
        "rule": ["first", "second", "third"],
        "a": ["0.47 (0.35 to 0.58)", UNDECIDED, ""],
        "b": ["0.50 (0.35 to 0.58)", "", "0.47 (0.35 to 0.58)"],
    }


def test_joined_puts_the_population_first():
    table = by_population.joined({"a": pd.DataFrame({"x": [1, 2]}), "b": pd.DataFrame({"x": [3]})})
    assert table.to_dict("list") == {"population": ["a", "a", "b"], "x": [1, 2, 3]}


def test_contrasts_print_the_corrected_p():
    table = by_population.contrasts(pd.DataFrame([CELL, CELL | {"p": 0.03, "p_holm": 0.06}, CELL | {"p_holm": nan}]))
    assert table["p"].tolist() == ["< 0.001", "0.060", NONE]
    row = table.to_numpy()[0].tolist()
    assert {"0.467 (0.346 to 0.585)", "0.250 (0.125 to 0.500)", "0.021", "memorised, by less than matters"} <= set(row)


def test_settings_are_summed_up_at_the_best_epoch_and_at_epoch_10():
    cell, share = CELL | {"setting": "dropout", "n": 12}, {"estimate": 0.5, "low": 0.25, "high": 0.75, "n": 12}
    found = by_population.settings(pd.DataFrame([cell]), {"a, dropout": share})
    table = by_population.summary(found).set_index("quantity")
    numbers = table[["estimate", "low", "high", "n"]].to_numpy().tolist()
    assert list(table.index) == ["contrast; dropout", "contrast at epoch 10; dropout", "learnt; dropout"]
    assert numbers == [
        [cell[name] for name in ("estimate", "low", "high", "n")],
        [0.25, 0.125, 0.5, 12],
        [*share.values()],
    ]


def test_what_is_said_of_a_row_stands_before_its_numbers():
    """So that it is seen on a phone."""
    assert list(by_population.contrasts(pd.DataFrame([CELL])))[:3] == ["population", "hosts", "verdict"]
    assert list(by_population.by_way(pd.DataFrame([CELL | {"setting": "plain"}])))[:3] == [
        "population",
        "way",
        "verdict",
    ]


def test_tables_of_no_population_are_one_without_rows():
    assert by_population.joined({}).empty
    assert list(by_population.joined({})) == ["population"]
    assert list(by_population.joined({"a": pd.DataFrame({"D": [1]})})) == ["population", "D"]
