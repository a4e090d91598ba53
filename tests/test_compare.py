"""Verdicts on pairs of tables worked by hand, and on folders as executions leave them."""

import math
from functools import partial

import damage
import numpy as np
import pandas as pd
import pytest
from executions import MANIFEST, write_manifest

from ufm.book import site
from ufm.book.compare import (
    AGREES,
    DIFFERS,
    ELSEWHERE,
    EXECUTION_ONLY,
    NOT_COMPARABLE,
    SAMPLE,
    compare_runs,
    compare_tables,
)
from ufm.report import by_population
from ufm.statistics import SUMMARY_COLUMNS, mean_interval, share_interval, summary

NAN = math.nan


def table(*rows):
    return pd.DataFrame(list(rows), columns=["quantity", "estimate", "low", "high", "n"])


def verdict(book, rerun):
    """Verdict and reason for two rows (estimate, low, high, n)."""
    row = compare_tables(table(("score", *book)), table(("score", *rerun))).iloc[0]
    return row["verdict"], row["reason"]


@pytest.mark.parametrize(
    ("book", "rerun", "expected", "reason"),
    [
        # Half-widths 3 and 4: allowed is 5.
        ((0, -3, 3, 9), (4.9, 0.9, 8.9, 9), AGREES, "difference 4.9, within 5"),
        ((0, -3, 3, 9), (5, 1, 9, 9), AGREES, "difference 5, within 5"),
        ((0, -3, 3, 9), (5.1, 1.1, 9.1, 9), DIFFERS, "difference 5.1, beyond 5"),
        ((5.1, 1.1, 9.1, 9), (0, -3, 3, 9), DIFFERS, "difference 5.1, beyond 5"),
        # Skewed: only the sides that face each other count, 3 of the smaller and 4 of the larger, on either side.
        ((0, -0.1, 3, 9), (4.9, 0.9, 5, 9), AGREES, "difference 4.9, within 5"),
        ((4.9, 0.9, 5, 9), (0, -0.1, 3, 9), AGREES, "difference 4.9, within 5"),
        ((0, -3, 0.1, 9), (4.9, 4.8, 8.9, 9), DIFFERS, "difference 4.9, beyond 0.141"),
        # Intervals without width.
        ((0.5, 0.5, 0.5, 9), (0.5, 0.5, 0.5, 9), AGREES, "equal"),
        ((0.5, 0.5, 0.5, 9), (0.5 + 1e-10, 0.5, 0.5, 9), AGREES, "equal"),
        ((0.5, 0.5, 0.5, 9), (0.6, 0.6, 0.6, 9), DIFFERS, "difference 0.1, beyond 0"),
        ((0.5, 0.5, 0.5, 9), (0.6, 0.4, 0.8, 9), AGREES, "difference 0.1, within 0.2"),
        # An interval that leaves out its own estimate has no width on that side.
        ((0, -2, -1, 9), (5, 1, 9, 9), DIFFERS, "difference 5, beyond 4"),
        # No intervals.
        ((100, NAN, NAN, 9), (100 * (1 + 5e-10), NAN, NAN, 9), AGREES, "equal"),
        (
            (100, NAN, NAN, 9),
            (100 * (1 + 5e-9), NAN, NAN, 9),
            DIFFERS,
            "no intervals, and the estimates differ by 5e-07",
        ),
        ((0, NAN, NAN, 9), (1e-15, NAN, NAN, 9), AGREES, "equal"),
        # One interval.
        ((1, 0, 2, 9), (1.5, NAN, NAN, 9), NOT_COMPARABLE, "only the book has an interval"),
        ((1, NAN, NAN, 9), (1.5, 0, 2, 9), NOT_COMPARABLE, "only the rerun has an interval"),
        ((1, NAN, NAN, 9), (1, 0, 2, 9), AGREES, "equal"),
        # Rows that say too little.
        ((NAN, NAN, NAN, 9), (1, 0, 2, 9), NOT_COMPARABLE, "the book's estimate is nan"),
        ((1, 0, 2, 9), (math.inf, 0, 2, 9), NOT_COMPARABLE, "the rerun's estimate is inf"),
        ((1, NAN, NAN, 1), (1, NAN, NAN, 1), AGREES, "equal"),
        ((1, 0, 2, 9), (1, NAN, NAN, 1), NOT_COMPARABLE, "the rerun has fewer than two seeds (n = 1)"),
        ((1, 0, 2, NAN), (1, 0, 2, 9), NOT_COMPARABLE, "the book has fewer than two seeds (n = nan)"),
        ((1, 0, NAN, 9), (1, 0, 2, 9), NOT_COMPARABLE, "the book's interval is [0, nan]"),
        ((1, 0, 2, 9), (1, 0, math.inf, 9), NOT_COMPARABLE, "the rerun's interval is [0, inf]"),
        ((1, 2, 0, 9), (1, 0, 2, 9), NOT_COMPARABLE, "the book's interval is [2, 0]"),
    ],
)
def test_verdict(book, rerun, expected, reason):
    assert verdict(book, rerun) == (expected, reason)


def test_compare_tables_keeps_the_books_order_and_both_sides_numbers():
    book = table(("b", 1, 0, 2, 5), ("a", 2, 1, 3, 5))
    rerun = table(("c", 7, 6, 8, 5), ("b", 1.5, 1, 2, 4))
    result = compare_tables(book, rerun)
    expected = pd.DataFrame(
        [
            ("b", 1, 0, 2, 1.5, 1, 2, AGREES, "difference 0.5, within 1.12"),
            ("a", 2, 1, 3, NAN, NAN, NAN, NOT_COMPARABLE, "only in the book"),
            ("c", NAN, NAN, NAN, 7, 6, 8, NOT_COMPARABLE, "only in the rerun"),
        ],
        columns=[
            "quantity",
            *(side + end for side in ("book", "rerun") for end in ("", "_low", "_high")),
            "verdict",
            "reason",
        ],
    )
    pd.testing.assert_frame_equal(result, expected, check_dtype=False)


def test_compare_tables_refuses():
    good = table(("a", 1, 0, 2, 5))
    with pytest.raises(ValueError, match="^the rerun's summary table lacks the column low, n$"):
        compare_tables(good, good.drop(columns=["low", "n"]))
    with pytest.raises(ValueError, match="^the book's summary table has the quantity a twice$"):
        compare_tables(table(("a", 1, 0, 2, 5), ("a", 1, 0, 2, 5)), good)


def test_independent_samples_of_the_same_quantity_agree_about_as_often_as_they_should():
    # 2 000 pairs of 20 seeds. Intervals of t (19 degrees) are a little wide for a difference: 95 to 97 %.
    samples = np.random.default_rng(0).normal(size=(2, 2000, 20))
    book, rerun = (summary({str(i): mean_interval(seeds) for i, seeds in enumerate(side)}) for side in samples)
    verdicts = compare_tables(book, rerun)["verdict"]
    assert 0.94 < (verdicts == AGREES).mean() < 0.98


def write_run(folder, tables, *, sweeps=None, **parameters):
    (folder / "tables").mkdir(parents=True)
    populations = {name: list(each.index) for name, each in tables.items() if each.index.name == "population"}
    write_manifest(folder, parameters=parameters | {"sweeps": sweeps or {"all": {}}}, populations=populations)
    for name, each in tables.items():
        each.to_csv(folder / "tables" / f"{name}.csv", index=False)
    return folder


def changed(changes, path):
    write_manifest(path.parent, **changes)


SCORES = summary({"score": mean_interval([1, 2, 3, 4]), "share": share_interval([True, True, False])})
MODELS = pd.DataFrame({"model": ["canary_0"], "score": [0.1]})


def test_equal_runs_agree(tmp_path):
    book = write_run(tmp_path / "book", {"scores": SCORES, "models": MODELS}, dataset="mnist", epochs=100)
    rerun = write_run(tmp_path / "rerun", {"scores": SCORES}, dataset="mnist", epochs=100)
    result, ok = compare_runs(book, rerun)
    assert ok is True
    assert list(result["table"]) == ["scores", "scores"]
    assert list(result["quantity"]) == ["score", "share"]
    assert set(result["verdict"]) == {AGREES}
    assert result.columns[0] == "table"


def test_one_difference_is_enough(tmp_path):
    book = write_run(tmp_path / "book", {"scores": SCORES, "effects": table(("effect", 1, 0.9, 1.1, 9))})
    rerun = write_run(tmp_path / "rerun", {"scores": SCORES, "effects": table(("effect", 2, 1.9, 2.1, 9))})
    result, ok = compare_runs(book, rerun)
    assert ok is False
    assert list(result["table"]) == ["effects", "scores", "scores"]
    assert list(result["verdict"]) == [DIFFERS, AGREES, AGREES]


def test_a_table_on_one_side_is_not_comparable(tmp_path):
    book = write_run(tmp_path / "book", {"scores": SCORES})
    rerun = write_run(tmp_path / "rerun", {"scores": SCORES, "effects": table(("effect", 2, 1.9, 2.1, 9))})
    result, ok = compare_runs(book, rerun)
    assert ok is False
    assert list(result["reason"]) == ["only in the rerun", "equal", "equal"]


def test_execution_and_sample_may_differ(tmp_path):
    names = EXECUTION_ONLY | SAMPLE
    book = write_run(tmp_path / "book", {"scores": SCORES}, dataset="mnist", **dict.fromkeys(names, 1))
    rerun = write_run(tmp_path / "rerun", {"scores": SCORES}, dataset="mnist", **dict.fromkeys(names, 2))
    assert compare_runs(book, rerun)[1] is True


def test_other_parameters_may_not_differ(tmp_path):
    book = write_run(tmp_path / "book", {"scores": SCORES}, dataset="mnist", epochs=100, seed=1, dropout=0.5)
    rerun = write_run(tmp_path / "rerun", {"scores": SCORES}, dataset="fashion_mnist", epochs=100, seed=2)
    result, ok = compare_runs(book, rerun)
    assert ok is False
    assert set(result["verdict"]) == {NOT_COMPARABLE}
    reason = (
        'parameters differ: dataset ("mnist" in the book, "fashion_mnist" in the rerun), '
        "dropout (0.5 in the book, none in the rerun)"
    )
    assert set(result["reason"]) == {reason}
    # The numbers stay, for whoever wants to look.
    assert list(result["book"]) == list(result["rerun"]) == list(SCORES["estimate"])


def summary_of(*rows):
    """A summary table of populations from rows (quantity, population, estimate, low, high, n)."""
    found = {}
    for quantity, population, *numbers in rows:
        found.setdefault(quantity, {})[population] = dict(zip(SUMMARY_COLUMNS[1:], numbers, strict=True))
    return by_population.summary(found)


OF_POPULATIONS = {
    "summary": summary_of(
        *(("score", "small", 1, 0.9, 1.1, 9), ("score", "large", 2, 1.9, 2.1, 9)),
        *(("area", "small", 0.7, 0.6, 0.8, 9), ("score; so", "large", 3, 2.9, 3.1, 9)),
    ),
    "whole": table(("weakest; small", 0.7, 0.6, 0.8, 9)),  # of all populations, whatever its name ends in
}
SWEEPS = {"large": {}, "small": {"n_train": 400, "n_seeds": 8, "hidden": None}}
LARGE = {"dataset": "mnist", "n_train": None, "n_seeds": 9, "seed": 0, "hidden": [64]}
SMALL = {"dataset": "mnist", "n_train": 400, "n_seeds": 4, "seed": 50}


def test_one_of_the_books_populations_is_compared_with_itself(tmp_path):
    book = write_run(tmp_path / "book", OF_POPULATIONS, sweeps=SWEEPS, **LARGE)
    ours = summary_of(("score", "small", 1.05, 0.9, 1.1, 9), ("area", "small", 0.7, 0.6, 0.8, 9))
    whole = OF_POPULATIONS["whole"]
    rerun = write_run(tmp_path / "rerun", {"summary": ours, "whole": whole}, sweeps={"small": {}}, **SMALL)
    result, ok = compare_runs(book, rerun)
    assert ok is True
    assert list(result["quantity"]) == [
        *("score; small", "score; large", "area; small", "score; so; large"),
        "weakest; small",
    ]
    reasons = result.set_index("quantity")["reason"]
    assert reasons.str.startswith("difference").to_list() == [True, False, False, False, False]
    assert list(reasons[1:]) == [ELSEWHERE, "equal", ELSEWHERE, ELSEWHERE]
    ours[["estimate", "low", "high"]] += 1
    other = write_run(tmp_path / "other", {"summary": ours, "whole": whole}, sweeps={"small": {}}, **SMALL)
    assert compare_runs(book, other)[1] is False


def test_a_quantity_that_a_population_lacks_is_no_agreement(tmp_path):
    book = write_run(tmp_path / "book", OF_POPULATIONS, sweeps=SWEEPS, **LARGE)
    ours = summary_of(("score", "small", 1, 0.9, 1.1, 9))
    rerun = write_run(tmp_path / "rerun", {"summary": ours}, sweeps={"small": {}}, **SMALL)
    result, ok = compare_runs(book, rerun)
    assert ok is False
    reasons = result.set_index("quantity")["reason"]
    assert list(reasons) == ["equal", ELSEWHERE, "only in the book", ELSEWHERE, ELSEWHERE]


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("small", {"n_train": 500}, "n_train (400 in the book, 500 in the rerun)"),
        ("small", {"n_train": None}, "n_train (400 in the book, none in the rerun)"),
        ("small", {"hidden": [64]}, "hidden (none in the book, [64] in the rerun)"),
        ("large", {}, "hidden ([64] in the book, none in the rerun), n_train (none in the book, 400 in the rerun)"),
        ("middling", {}, "sweeps (large, small in the book, middling in the rerun)"),
    ],
)
def test_a_population_with_another_setting_is_not_comparable(tmp_path, name, changes, reason):
    book = write_run(tmp_path / "book", OF_POPULATIONS, sweeps=SWEEPS, **LARGE)
    rerun = write_run(tmp_path / "rerun", OF_POPULATIONS, sweeps={name: {}}, **SMALL | changes)
    result, ok = compare_runs(book, rerun)
    assert ok is False
    assert set(result["reason"]) == {f"parameters differ: {reason}"}


def test_no_row_is_no_agreement(tmp_path):
    book = write_run(tmp_path / "book", {"scores": SCORES[:0]})
    rerun = write_run(tmp_path / "rerun", {"scores": SCORES[:0]})
    result, ok = compare_runs(book, rerun)
    assert (len(result), ok) == (0, False)
    assert result.columns[0] == "table"


def test_quantities_named_like_numbers_or_gaps_keep_their_names(tmp_path):
    tables = {"gap": table(("NA", 1, 0, 2, 5)), "number": table(("01", 2, 1, 3, 5))}
    result, ok = compare_runs(write_run(tmp_path / "book", tables), write_run(tmp_path / "rerun", tables))
    assert ok
    assert list(result["quantity"]) == ["NA", "01"]


def test_compare_runs_names_the_folder_that_lacks_something(tmp_path):
    good = write_run(tmp_path / "good", {"scores": SCORES})
    empty = tmp_path / "empty"
    empty.mkdir()
    for runs in ((good, empty), (empty, good)):
        with pytest.raises(ValueError, match=f"^{empty}/manifest.json: there is none.*; run the notebook again$"):
            compare_runs(*runs)
    write_manifest(empty)
    with pytest.raises(ValueError, match=f"^{empty} has no summary table "):
        compare_runs(good, empty)
    models_only = write_run(tmp_path / "models_only", {"models": MODELS})
    with pytest.raises(ValueError, match=f"^{models_only} has no summary table "):
        compare_runs(good, models_only)
    write_manifest(good, populations={"scores": ["small"]})  # of two rows
    with pytest.raises(ValueError, match=f"^{good} has a table that cannot be read: scores.csv$"):
        compare_runs(good, good)
    (good / "tables" / "nothing.csv").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=f"^{good} has a table that cannot be read: nothing.csv$"):
        compare_runs(good, good)


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (lambda path: path.write_text("{", encoding="utf-8"), "no JSON"),
        (lambda path: path.write_bytes(b"\xff\xfe{}"), "no JSON"),
        (lambda path: path.write_text("[" * 100_000, encoding="utf-8"), "no JSON"),
        (damage.as_folder, "cannot be read"),
        (lambda path: path.write_text("[]", encoding="utf-8"), "valid dictionary"),
        (lambda path: path.write_text("{}", encoding="utf-8"), "notebook: Field required"),
        *((partial(changed, {name: None}), f"manifest.json: {name}: ") for name in MANIFEST),
        (partial(changed, {"parameters": {}}), "parameters: no sweeps"),
        (partial(changed, {"parameters": {"sweeps": ["controls"]}}), "parameters: no sweeps"),
        (partial(changed, {"parameters": {"sweeps": {"controls": 3}}}), "parameters: no sweeps"),
        (partial(changed, {"seeds": "five"}), "seeds: "),
    ],
)
def test_a_damaged_manifest_is_named_in_one_line(tmp_path, harm, named):
    """Wherever it is read: two executions compared, what is missing, pages."""
    good = write_run(tmp_path / "good", {"scores": SCORES})
    bad = write_run(tmp_path / "bad", {"scores": SCORES})
    harm(bad / "manifest.json")
    for read in (lambda: compare_runs(good, bad), lambda: site.provenance({"controls": bad})):
        with pytest.raises(ValueError, match=f"^{bad}/manifest.json: .*; run the notebook again$") as raised:
            read()
        assert named in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [",".join(SUMMARY_COLUMNS) + "\n", ",".join(SUMMARY_COLUMNS) + "\n,1,0,2,9\n"])
def test_a_table_without_rows_or_quantities_is_no_agreement(tmp_path, content):
    book = write_run(tmp_path / "book", OF_POPULATIONS, sweeps=SWEEPS, **LARGE)
    rerun = write_run(tmp_path / "rerun", {}, sweeps={"small": {}}, **SMALL)
    (rerun / "tables" / "whole.csv").write_text(content, encoding="utf-8")
    if content.endswith("n\n"):
        assert compare_runs(book, rerun)[1] is False
    else:
        with pytest.raises(ValueError, match="^table whole: the rerun's summary table has a row without a quantity$"):
            compare_runs(book, rerun)


def test_compare_runs_names_the_table_with_a_repeated_quantity(tmp_path):
    repeated = table(("a", 1, 0, 2, 5), ("a", 1, 0, 2, 5))
    run = write_run(tmp_path / "run", {"effects": repeated})
    with pytest.raises(ValueError, match="^table effects: the book's summary table has the quantity a twice$"):
        compare_runs(run, run)
