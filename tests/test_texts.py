"""Numbers and words as the book prints them."""

from math import nan

import pandas as pd
import pytest

from ufm.report import texts

UNDECIDED, NONE = "cannot be decided", "–"
ONE = {"estimate": 0.4666, "low": 0.346, "high": 0.5849, "n": 30}
LACKING = {"estimate": nan, "low": nan, "high": nan, "n": 1}


@pytest.mark.parametrize(
    ("row", "settings", "expected"),
    [
        (ONE, {}, "0.47 (0.35 to 0.58)"),
        (ONE, {"digits": 3}, "0.467 (0.346 to 0.585)"),
        ({"estimate": -0.5, "low": -0.75, "high": 0.25}, {}, "−0.50 (−0.75 to 0.25)"),
        ({"estimate": 0.001, "low": -0.001, "high": 0.004}, {}, "0.00 (within 0.01)"),  # no minus zero
        ({"estimate": 0.001, "low": -0.001, "high": 0.006}, {}, "0.00 (0.00 to 0.01)"),
        ({"estimate": 0.9996, "low": 0.9995, "high": 1.0}, {"digits": 3}, "1.000 (within 0.001)"),
        ({"estimate": 13.85, "low": 9.25, "high": 15.3}, {"digits": 3}, "13.8 (9.2 to 15.3)"),
        ({"estimate": -13.85, "low": nan, "high": nan}, {}, "−13.8"),
        (LACKING, {}, UNDECIDED),
        (ONE | {"low": nan, "high": nan}, {}, "0.47"),
        (ONE | {"found": 0.1, "found_low": 0.05, "found_high": 0.2}, {"end": "found"}, "0.10 (0.05 to 0.20)"),
        (ONE | {"found": nan, "found_low": nan, "found_high": nan}, {"end": "found"}, UNDECIDED),
    ],
)
def test_with_interval(row, settings, expected):
    assert texts.with_interval(row, **settings) == expected


def test_with_interval_takes_a_row_of_a_table():
    assert texts.with_interval(pd.DataFrame([ONE]).iloc[0]) == "0.47 (0.35 to 0.58)"


@pytest.mark.parametrize(
    ("p", "expected"), [(nan, NONE), (1e-5, "< 0.001"), (0.000999, "< 0.001"), (0.001, "0.001"), (0.0314, "0.031")]
)
def test_p_text(p, expected):
    assert texts.p_text(p) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.521, 0.449, 0.5), "0.45 to 0.52"),
        ((0.301, 0.299), "0.30"),
        ((-0.25,), "−0.25"),
        ((nan, 0.2, 0.4), "0.20 to 0.40"),
        ((0.4, 0.2, nan), "0.20 to 0.40"),
        ((0.2, nan, 0.4), "0.20 to 0.40"),
        ((nan, nan), UNDECIDED),
        ((), UNDECIDED),
    ],
)
def test_a_span_is_over_the_values_that_are_numbers(values, expected):
    assert texts.span(values) == expected
    assert texts.span(iter(values)) == expected


def test_numbers_are_those_of_a_summary_table():
    table = pd.DataFrame([{"quantity": "M > 0, raw inputs"} | ONE, {"quantity": "paper's score"} | LACKING])
    assert texts.numbers(table, digits=3) == {"m_0_raw_inputs": "0.467", "paper_s_score": UNDECIDED}


def test_counted_keeps_the_order_of_first_occurrence():
    words = pd.Series(["undecided", "memorised", "memorised"])
    assert texts.counted(words) == "1 × undecided; 2 × memorised"


def test_names_are_listed_by_word():
    words, names = pd.Series(["undecided", "there", "undecided"]), pd.Series(["a", "b", "c"])
    assert texts.by_word(words, names) == "Undecided: a; c. There: b"


def test_a_rehearsal_has_numbers_and_no_words():
    table = pd.DataFrame([{"population": "a", "there": "undecided", "verdict": "memorised", "n": 3}])
    assert texts.worded(table, "paper") is table
    assert texts.worded(table, "embedded").iloc[0].tolist() == ["a", texts.REHEARSED, texts.REHEARSED, 3]


def test_no_number_is_a_negative_zero():
    one = pd.DataFrame([{"quantity": "M", "estimate": -0.00001, "low": -0.2, "high": 0.00001, "n": 9}])
    assert texts.estimates(one) == {"M": "0.000 (−0.200 to 0.000)"}
