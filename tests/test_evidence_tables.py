"""Tables of the evidence chapters, from rows small enough to work by hand."""

from math import nan

import numpy as np
import pandas as pd
import planted
import pytest

from ufm import evidence
from ufm.chapters import verdicts
from ufm.evidence import cells, detectors, performance
from ufm.plan import registry
from ufm.report import evidence_tables as tables
from ufm.report.tables import counted
from ufm.statistics import SUMMARY_COLUMNS, Interval

UNDECIDED, NONE = "cannot be decided", "–"
ONE = {"estimate": 0.4666, "low": 0.346, "high": 0.5849, "n": 30}
LACKING = {"estimate": nan, "low": nan, "high": nan, "n": 1}


@pytest.mark.parametrize(
    ("row", "settings", "expected"),
    [
        (ONE, {}, "0.47 (0.35 to 0.58)"),
        (ONE, {"digits": 3}, "0.467 (0.346 to 0.585)"),
        ({"estimate": -0.5, "low": -0.75, "high": 0.25}, {}, "−0.50 (−0.75 to 0.25)"),
        ({"estimate": 0.001, "low": -0.001, "high": 0.004}, {}, "0.00 (0.00 to 0.00)"),  # no minus zero
        (LACKING, {}, UNDECIDED),
        (ONE | {"low": nan, "high": nan}, {}, "0.47"),
        (ONE | {"found": 0.1, "found_low": 0.05, "found_high": 0.2}, {"end": "found"}, "0.10 (0.05 to 0.20)"),
        (ONE | {"found": nan, "found_low": nan, "found_high": nan}, {"end": "found"}, UNDECIDED),
    ],
)
def test_with_interval(row, settings, expected):
    assert tables.with_interval(row, **settings) == expected


def test_with_interval_takes_a_row_of_a_table():
    assert tables.with_interval(pd.DataFrame([ONE]).iloc[0]) == "0.47 (0.35 to 0.58)"


@pytest.mark.parametrize(
    ("p", "expected"), [(nan, NONE), (1e-5, "< 0.001"), (0.000999, "< 0.001"), (0.001, "0.001"), (0.0314, "0.031")]
)
def test_p_text(p, expected):
    assert tables.p_text(p) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(nan, NONE), (3, "3"), (0.125, "0.12"), (-0.5, "−0.50"), (1.0, "1.00")]
)
def test_cell(value, expected):
    assert tables.cell(value) == expected


def test_summary_has_a_row_a_quantity_and_population():
    table = tables.summary({"M > 0": {"a": ONE | {"more": 1}, "b": LACKING}, "other": {"a": ONE}})
    assert list(table) == list(SUMMARY_COLUMNS)
    assert table["estimate"].isna().tolist() == [False, True, False]
    assert table["n"].tolist() == [30, 1, 30]
    assert table["quantity"].is_unique
    assert all(name in quantity for name, quantity in zip("aba", table["quantity"], strict=True))


def test_ranges_are_over_populations():
    table = tables.summary(
        {
            "M > 0, raw inputs": {"a": ONE | {"estimate": 0.521}, "b": ONE | {"estimate": 0.449}, "c": ONE},
            "alike": {"a": ONE | {"estimate": 0.301}, "b": ONE | {"estimate": 0.299}},
            "paper's score": {"a": ONE | {"estimate": -0.25}},
        }
    )
    assert tables.ranges(table) == {
        "m_0_raw_inputs": "0.45 to 0.52",
        "alike": "0.30",
        "paper_s_score": "−0.25",
    }
    assert tables.ranges(table, digits=3)["alike"] == "0.299 to 0.301"


@pytest.mark.parametrize("estimates", [(nan, 0.2, 0.4), (0.4, 0.2, nan), (0.2, nan, 0.4)])
def test_ranges_are_over_the_populations_that_have_a_number(estimates):
    of = {str(place): ONE | {"estimate": estimate} for place, estimate in enumerate(estimates)}
    assert tables.ranges(tables.summary({"area": of})) == {"area": "0.20 to 0.40"}


def test_ranges_without_any_number_say_so():
    assert tables.ranges(tables.summary({"area": {"a": LACKING, "b": LACKING}})) == {"area": UNDECIDED}


def test_wide_has_a_column_a_population_and_blanks_where_it_lacks_a_row():
    rows = {
        "a": pd.DataFrame([{"rule": "first"} | ONE, {"rule": "second"} | LACKING]),
        "b": pd.DataFrame([{"rule": "third"} | ONE, {"rule": "first"} | ONE | {"estimate": 0.5}]),
    }
    table = tables.wide(rows, "rule")
    assert table.to_dict("list") == {
        "rule": ["first", "second", "third"],
        "a": ["0.47 (0.35 to 0.58)", UNDECIDED, ""],
        "b": ["0.50 (0.35 to 0.58)", "", "0.47 (0.35 to 0.58)"],
    }


def test_joined_puts_the_population_first():
    table = tables.joined({"a": pd.DataFrame({"x": [1, 2]}), "b": pd.DataFrame({"x": [3]})})
    assert table.to_dict("list") == {"population": ["a", "a", "b"], "x": [1, 2, 3]}


def test_published_rules_are_shown_on_all_images():
    rows = [
        {"rule": rule, "inputs": inputs, "n_images": n, **ONE, "estimate": estimate}
        for rule, inputs, n, estimate in (
            ("M > 0", "raw", 10, 0.1),
            ("M > 0", "raw", 500, 0.2),
            ("t-test", "normalised", 10, 0.3),
            ("t-test", "normalised", 500, 0.4),
        )
    ]
    table = tables.rules({"a": pd.DataFrame(rows)})
    assert [text.split()[0] for text in table["a"]] == ["0.20", "0.40"]
    assert [("raw" in one, "t-test" in one) for one in table["quantity"]] == [(True, False), (False, True)]


def test_null_summary_has_rules_siblings_and_labels():
    rates = pd.DataFrame([{"rule": "M > 0", "inputs": "normalised", "n_images": 500} | ONE])
    correlation = {"correlation": [0.75], "correlation_low": [0.5], "correlation_high": [0.875]}
    siblings = pd.DataFrame({"pair": ["control and placebo"], "n": [30], "area": [0.5]} | correlation)
    table = tables.null_summary({"a": rates}, {"a": siblings}, {"a": Interval(0.5, 0.4, 0.6, 30)})
    assert table["estimate"].tolist() == [0.4666, 0.75, 0.5]
    assert table["n"].tolist() == [30] * 3
    assert table["low"].tolist() == [0.346, 0.5, 0.4]


def test_small_p_values_count_those_of_at_most_the_level():
    p_values = pd.DataFrame(
        {"seed": [1, 1, 2, 2, 3, 3] * 2, "statistic": ["KL"] * 6 + ["moved"] * 6}
        | {"p": [0.05, 0.5, 0.04, 0.051, 0.9, 0.9] + [0.5] * 6}
    )
    table = tables.small_p_values({"a": p_values})
    assert table["statistic"].tolist() == ["KL", "moved"]
    assert table["a"][0].startswith("0.33 (")
    assert table["a"][1] == "0.00"  # of none there is no bootstrap interval
    assert tables.small_p_values({"a": p_values}, level=0.01)["a"].tolist() == ["0.00", "0.00"]


def test_lit_pixels_by_hand():
    share = np.array([[0, 0.001], [0.0011, 0.5]])
    [row] = tables.lit_pixels({"a": share}).to_dict("records")
    assert list(row.values()) == ["a", 4, 1, 2, "0.5000"]


def test_labels_are_a_row_a_population():
    table = tables.labels({"a": Interval(0.5, 0.45, 0.55, 9), "b": Interval(nan, nan, nan, 9)})
    assert table.to_numpy().tolist() == [["a", "0.50 (0.45 to 0.55)"], ["b", UNDECIDED]]


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
    table = tables.tried(AREAS)
    assert table.iloc[:, 0].tolist() == AREAS["detector"].tolist()
    assert table.iloc[:, 1].tolist() == ["label", NONE, NONE]
    assert table.iloc[0, 2:].tolist() == ["0.47 (0.35 to 0.58)", "0.50 (0.40 to 0.60)", "0.20 (0.10 to 0.30)"]
    assert table.iloc[1, 2:].tolist() == ["0.47 (0.35 to 0.58)", "0.50", UNDECIDED]
    assert table.iloc[2, 2:].tolist() == [UNDECIDED] * 3


def test_headline_has_the_shown_detectors_in_their_order():
    table = tables.headline({"a": AREAS})
    assert table["detector"].tolist() == [detectors.PAPER.name, detectors.LABEL_KNOWN.name]
    assert tables.headline({"a": AREAS}, end="all")["a"].tolist() == ["0.50", "0.50 (0.40 to 0.60)"]


def every_shown(**columns):
    return pd.DataFrame([{"detector": one.name, **ONE} | columns for one in detectors.SHOWN])


def test_outscoring_has_a_dash_where_no_canary_learnt():
    table = tables.outscoring({"a": every_shown(outscores=0.75), "b": every_shown(outscores=nan)})
    assert table["a"].tolist() == ["0.75"] * len(detectors.SHOWN)
    assert table["b"].tolist() == [NONE] * len(detectors.SHOWN)


def test_guesses_have_a_row_a_kind_of_images_and_of_models():
    rows = [{"images": images, "models": "all canaries"} | ONE for images in ("ood", "black")]
    table = tables.guesses({"a": pd.DataFrame(rows), "b": pd.DataFrame(rows[:1])})
    assert len(table) == 2
    assert table["guess"].is_unique
    assert table["b"].tolist() == ["0.47 (0.35 to 0.58)", ""]


def test_by_row_names_its_columns():
    table = tables.by_row({"a": ONE, "b": LACKING}, "gain", of_so_many="n")
    assert table.to_dict("list") == {
        "population": ["a", "b"],
        "gain": ["0.47 (0.35 to 0.58)", UNDECIDED],
        "of so many": ["30", "1"],
    }


CELL = {"population": "a", "host": "hard", **ONE, "p": 1e-5, "p_holm": 4e-5, "early": 0.25, "early_low": 0.125}
CELL |= {"early_high": 0.5, "detectable": 0.0213, "seeds_for_half": 395, "verdict": "memorised"}
CELL |= {"in_words": "memorised, by less than matters"}


def test_contrasts_print_the_corrected_p():
    table = tables.contrasts(pd.DataFrame([CELL, CELL | {"p": 0.03, "p_holm": 0.06}, CELL | {"p_holm": nan}]))
    assert table["p"].tolist() == ["< 0.001", "0.060", NONE]
    row = table.to_numpy()[0].tolist()
    assert {"0.467 (0.346 to 0.585)", "0.250 (0.125 to 0.500)", "0.021", 395, "memorised, by less than matters"} <= set(
        row
    )


def test_settings_are_summed_up_at_the_best_epoch_and_at_epoch_10():
    cell, share = CELL | {"setting": "dropout", "n": 12}, {"estimate": 0.5, "low": 0.25, "high": 0.75, "n": 12}
    table = tables.settings_summary(pd.DataFrame([cell]), {"a, dropout": share}).set_index("quantity")
    numbers = table[["estimate", "low", "high", "n"]].to_numpy().tolist()
    assert list(table.index) == ["contrast; dropout", "contrast at epoch 10; dropout", "learnt; dropout"]
    assert numbers == [
        [cell[name] for name in ("estimate", "low", "high", "n")],
        [0.25, 0.125, 0.5, 12],
        [*share.values()],
    ]


def test_texts_of_cells_and_of_quality_go_through_the_populations():
    cells = pd.DataFrame([CELL | {"host": "random"}, CELL, CELL | {"host": "random", "estimate": 0.5}])
    assert tables.on_hosts(cells, "random") == "0.467 (0.346 to 0.585); 0.500 (0.346 to 0.585)"
    assert tables.on_hosts(cells, "middling") == "not recorded"
    quality = pd.DataFrame(
        [{"area": 0.5, "area_low": 0.25, "area_high": 0.75, "learnt": share, "n": 40} for share in (0.2, 0.625)]
    )
    assert tables.listed(quality, "area") == "0.50 (0.25 to 0.75); 0.50 (0.25 to 0.75)"
    assert tables.counts_learnt(quality) == "8, 25"


CLAIM = {"claim": "C1", "statement": "It is.", "effect": 0.0316, "low": 0.022, "high": 0.0437, "unit": "nats"}
CLAIM |= {"p": 2e-5, "n": 200, "holds_in": "2 of 4 cells", "verdict": "holds so far", "chapter": "hosts"}
CLAIM |= {"about": "a contrast", "where": "memorised: here"}
UNTESTED = {"claim": "C3", "statement": "It does.", "effect": nan, "low": nan, "high": nan, "unit": ""}
UNTESTED |= {"p": nan, "n": 0, "holds_in": "", "verdict": "not tested", "chapter": "", "about": "another", "where": ""}


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
        expected = [expected[0], tables.with_interval(CLAIM | {"estimate": 0.5745} | changes, digits=3)]
    assert tables.effect(CLAIM | changes) == " ".join(expected)


def test_an_effect_that_is_none_is_a_dash():
    assert tables.effect(UNTESTED) == NONE
    assert tables.effect(CLAIM | {"effect": nan, "low": nan, "high": nan, "unit": "area"}) == NONE


def test_claims_print_a_dash_for_what_was_not_tested():
    table = tables.claims(pd.DataFrame([CLAIM, UNTESTED]))
    ours, untested = table.to_numpy().tolist()
    assert ours == ["C1", "It is.", "holds so far", "2 of 4 cells", "0.032 (0.022 to 0.044) nats", "< 0.001", 200]
    assert untested == ["C3", "It does.", "not tested", NONE, NONE, NONE, NONE]


def test_claim_texts_are_those_of_the_printed_table():
    texts = tables.claim_texts(pd.DataFrame([CLAIM, UNTESTED]))
    assert texts["C1_verdict"] == "holds so far"
    assert texts["C1_effect"] == "0.032 (0.022 to 0.044) nats"
    assert (texts["C1_in"], texts["C1_p"], texts["C1_seeds"]) == ("2 of 4 cells", "< 0.001", "200")
    assert {texts[f"C3_{name}"] for name in ("in", "effect", "p", "seeds")} == {NONE}
    assert all(isinstance(text, str) for text in texts.values())


def test_claims_summary_is_one_that_can_be_compared():
    table = tables.claims_summary(pd.DataFrame([CLAIM, UNTESTED]))
    assert list(table) == list(SUMMARY_COLUMNS)
    assert table["quantity"].tolist() == ["C1", "C3"]
    assert table["estimate"].tolist()[0] == 0.0316


def test_counted_keeps_the_order_of_first_occurrence():
    words = pd.Series(["undecided", "memorised", "memorised"])
    assert counted(words) == "undecided 1, memorised 2"


THRESHOLDS = pd.DataFrame(
    [
        {"population": "a", **ONE, "found": 0.125, "n_learnt": 24}
        | {"carried": nan, "carried_low": nan, "carried_high": nan, "carried_found": nan},
        {"population": "b", **ONE, "found": nan, "n_learnt": 0}
        | {"carried": 0.06, "carried_low": 0.02, "carried_high": 0.1, "carried_found": 0.5},
    ]
)


def test_thresholds_have_dashes_where_there_is_nothing_to_find():
    first, second = tables.thresholds(THRESHOLDS).to_numpy().tolist()
    assert first[:4] == ["a", "0.47 (0.35 to 0.58)", "0.12", 24]
    assert first[-1] == NONE  # the threshold was set on this one
    assert second[2:] == [NONE, 0, "0.06 (0.02 to 0.10)", "0.50"]


def test_shares_stand_beside_each_other():
    table = tables.shares({"a": ONE}, {"a": ONE | {"estimate": 0.5}})
    assert table.to_numpy().tolist() == [["a", 30, "0.47 (0.35 to 0.58)", "0.50 (0.35 to 0.58)"]]


def test_a_set_with_too_few_learnt_canaries_is_shown_as_undecided():
    rows = [{"population": "a", "n_seeds": 100, **ONE, "p": 0.0001}, {"population": "b", "n_seeds": 20} | LACKING]
    first, second = tables.decided(pd.DataFrame(rows)).to_numpy().tolist()
    assert first == ["a", 100, 30, "0.47 (0.35 to 0.58)", "< 0.001"]
    assert second == ["b", 20, 1, UNDECIDED, NONE]


def test_detection_summary_takes_each_quantity_from_its_table():
    areas = every_shown()
    areas.loc[areas["detector"] == detectors.DEFAULT.name, "estimate"] = 0.55
    areas.loc[areas["detector"] == detectors.PAPER.name, "estimate"] = 0.51
    areas.loc[areas["detector"] == detectors.LABEL_KNOWN.name, "estimate"] = 0.65
    learnt = {"a": ONE | {"estimate": 0.86}, "b": ONE | {"estimate": 0.3}}
    table = tables.detection_summary({"a": areas, "b": areas}, learnt, THRESHOLDS)
    assert list(table) == list(SUMMARY_COLUMNS)
    assert len(table) == 12
    estimates = table["estimate"].to_numpy().reshape(6, 2)
    expected = [[0.55] * 2, [0.51] * 2, [0.65] * 2, [0.86, 0.3], [0.4666] * 2, [0.125, nan]]
    np.testing.assert_array_equal(estimates, expected)
    assert table["n"].tolist()[-2:] == [24, 0]


def by_host(*, learnt, contrasts, losses):
    n = len(contrasts)
    return pd.DataFrame(
        {"seed": range(n), "host": "hard", "contrast": contrasts, "clean_loss": losses, "learnt": learnt}
    )


def test_hosts_summary_by_hand():
    table = by_host(learnt=[True, False, False, False], contrasts=[4.0, 1, 2, 3], losses=[1.0, 2, 3, 4])
    found = tables.hosts_summary(pd.DataFrame([CELL]), {"a": table})
    estimates = {name.split(tables.OF)[0]: row for name, row in found.set_index("quantity").iterrows()}
    assert len(found) == len(estimates) == 4
    [contrast] = [row for name, row in estimates.items() if name.startswith("contrast") and "not" not in name]
    assert contrast["estimate"] == CELL["estimate"]
    [share] = [row for name, row in estimates.items() if name.startswith("learnt")]
    assert (share["estimate"], share["n"]) == (0.25, 4)
    [missed] = [row for name, row in estimates.items() if "not learnt" in name]
    assert (missed["estimate"], missed["n"]) == (2, 3)
    [rank] = [row for name, row in estimates.items() if "rank" in name]
    assert rank["estimate"] == pytest.approx(1 - 6 * (9 + 1 + 1 + 1) / (4 * 15))  # 1 − 6 Σd² / n(n² − 1)
    assert np.isnan(rank["low"])


@pytest.mark.parametrize(
    ("learnt", "losses", "lacking"),
    [
        ([True] * 4, [1.0, 2, 3, 4], "not learnt"),
        ([True, True, True, False], [1.0, 2, 3, 4], "not learnt"),  # of one host there is no interval
        ([True, False, False, False], [nan] * 4, "rank"),
        ([True, False, False, False], [1.0, 2, nan, nan], "rank"),
    ],
)
def test_hosts_summary_leaves_out_what_too_few_hosts_say(learnt, losses, lacking):
    table = by_host(learnt=learnt, contrasts=[4.0, 1, 2, 3], losses=losses)
    found = tables.hosts_summary(pd.DataFrame([CELL]), {"a": table})
    assert len(found) == 3
    assert not found["quantity"].str.contains(lacking).any()


def test_tables_take_what_the_library_computes():
    """Whole chapters on made-up cards, one population in which nothing can be said of learnt canaries."""
    cards = {
        "a": planted.cards(24, effect=1.0, share_learnt=0.8, title="first"),
        "b": planted.cards(8, share_learnt=0.1, rng=1, title="second"),
    }
    assert [evidence.learnt(one, "hard").sum() for one in cards.values()] == [15, 1]
    areas = evidence.each(performance.areas, cards, "hard", detectors.SHOWN)
    rows = performance.thresholds(cards, "hard")
    learnt = evidence.each(performance.share_learnt, cards, "hard")
    assert len(tables.detection_summary(areas, learnt, rows)) == 12
    for table in (
        tables.headline(areas),
        tables.outscoring(areas),
        tables.thresholds(rows),
        tables.decided(verdicts.detection_sets(cards)),
        tables.contrasts(cells.contrast_cells(cards)),
        tables.claims(verdicts.verdicts(cards, planned=dict.fromkeys(cards, registry.sweeps()["mnist-small"]))),
        tables.guesses(evidence.each(performance.guesses, cards, "hard")),
        tables.exploratory(cells.contrast_cells(cards), evidence.each(evidence.by_host, cards)),
        tables.by_row(evidence.each(performance.gain, cards, "hard"), "gain", seeds="n"),
    ):
        assert not table.astype(str).apply(lambda column: column.str.contains("nan", case=False)).any(axis=None)
    assert tables.headline(areas)["second"].tolist() == [UNDECIDED] * len(detectors.SHOWN)


def test_counted_words_are_added_up():
    found = {
        "a": pd.DataFrame({"canaries": ["cannot be decided 3, evidence 1", "evidence 2"]}),
        "b": pd.DataFrame({"canaries": ["cannot be decided 4"]}),
    }
    assert tables.words(found, "canaries") == "cannot be decided 7, evidence 3"


def test_guesses_are_those_of_one_kind_of_images_and_of_models():
    rows = [
        {"images": images, "models": models, "estimate": estimate, "low": 0, "high": 1, "n": 9}
        for images, models, estimate in (("ood", "x", 0.1), ("black", "x", 0.25), ("black", "y", 0.9))
    ]
    other = [rows[0], rows[1] | {"estimate": 0.5}, rows[2]]
    assert tables.guessed({"a": pd.DataFrame(rows), "b": pd.DataFrame(other)}, "x") == "0.25 to 0.50"


def test_every_area_has_a_row_a_detector_and_kind_of_canaries():
    rows = [
        {"detector": one.name, "estimate": 0.9, "low": 0.8, "high": 1.0, "all": 0.7, "all_low": 0.6, "all_high": 0.8}
        for one in detectors.SHOWN
    ]
    hard, random = pd.DataFrame(rows), pd.DataFrame(rows).assign(all=0.5, all_low=0.4, all_high=0.6)
    table = tables.every_area({"a": hard}, {"a": random})
    assert table["canaries"].value_counts().tolist() == [len(detectors.SHOWN)] * 3
    texts = table.groupby("canaries", sort=False)["a"].unique()
    assert [one.tolist() for one in texts] == [
        ["0.90 (0.80 to 1.00)"],
        ["0.70 (0.60 to 0.80)"],
        ["0.50 (0.40 to 0.60)"],
    ]


def test_claims_in_words():
    shown = tables.in_words(pd.DataFrame([CLAIM, UNTESTED]))
    assert shown["the effect is"].tolist() == ["a contrast", "another"]
    assert shown["what came out"].tolist() == ["memorised: here", "not tested"]
