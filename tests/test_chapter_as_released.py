"""The released notebook's canaries beside ours, on tables of three."""

from math import nan
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ufm.chapters import as_released
from ufm.plan.as_released import AS_RELEASED, BLACK_SQUARE, ON_ONE_HALF, RELEASED

INDICES = [int(index) for index in RELEASED[:3]]  # printed: −0.098, −0.004, 0.046, positive = not memorised


def scores(*, dataset="mnist", indices=INDICES, canary=(0.3, -0.1, 0.1), control=(0.1, -0.2, 0.3)):
    """As records have them: a row a role and canary, the control seen under each canary's label."""
    rows = [
        {
            "dataset": dataset,
            "seed": 123,
            "role": role,
            "canary_index": index,
            "canary_label": label,
            "label_known_score_raw": score,
            "label_known_score": 10 * score,
        }
        for role, values in (("control", control), ("canary", canary))
        for index, label, score in zip(indices, (4, 9, 2), values, strict=True)
    ]
    return pd.DataFrame(rows)


def test_there_is_a_printed_number_for_every_released_host():
    assert len(as_released.PRINTED) == len(RELEASED) == 10


def test_beside_sorts_canaries_and_turns_the_printed_signs():
    table = as_released.beside(scores())
    assert table["canary"].tolist() == [-0.1, 0.1, 0.3]
    assert table["canary_index"].tolist() == [INDICES[1], INDICES[2], INDICES[0]]
    assert table["canary_label"].tolist() == [9, 2, 4]
    assert table["control"].tolist() == [-0.2, 0.3, 0.1]
    assert table["released"].tolist() == [0.004, -0.046, 0.098]
    assert table["canary_normalised"].tolist() == [-1, 1, 3]
    assert table["control_normalised"].tolist() == [-2, 3, 1]


def test_the_order_of_rows_does_not_matter():
    pd.testing.assert_frame_equal(as_released.beside(scores()[::-1]), as_released.beside(scores()))


def test_an_image_that_is_not_of_the_notebook_has_no_printed_number():
    table = as_released.beside(scores(indices=[INDICES[0], 7, 8]))
    assert table.set_index("canary_index")["released"].isna().to_dict() == {INDICES[0]: False, 7: True, 8: True}


def test_images_of_another_data_set_have_none_though_their_numbers_are_the_same():
    assert as_released.beside(scores(dataset="fashion_mnist"))["released"].isna().all()


def quantities(table):
    return as_released.summary(table).set_index("quantity")["estimate"]


def test_summary_by_hand():
    found = quantities(as_released.beside(scores()))
    assert found["smallest, canary"] == -0.1
    assert found["largest, canary"] == 0.3
    assert found["smallest, control"] == -0.2
    assert found["largest, control"] == 0.3
    assert found["share above zero, canaries"] == pytest.approx(2 / 3)
    assert found["share above zero, control"] == pytest.approx(2 / 3)
    assert found["canary less control"] == pytest.approx((0.2 + 0.1 - 0.2) / 3)
    # Deviations from the means 0.1 and 0.2/3: (0.2, −0.2, 0) and (0.1, −0.8, 0.7)/3.
    assert found["correlation of canary and control"] == pytest.approx(0.06 / np.sqrt(0.08 * 1.14 / 9))
    assert found["smallest, released notebook"] == -0.046
    assert found["largest, released notebook"] == 0.098
    assert found["share above zero, released notebook"] == pytest.approx(2 / 3)


def test_one_seed_has_no_intervals():
    table = as_released.summary(as_released.beside(scores()))
    assert table[["low", "high"]].isna().all(axis=None)
    assert (table["n"] == 1).all()


def test_a_score_of_zero_is_not_above_zero():
    assert quantities(as_released.beside(scores(canary=(0.0, -0.1, 0.1))))["share above zero, canaries"] == 1 / 3


def test_without_printed_numbers_nothing_is_said_of_them():
    other = as_released.beside(scores(dataset="fashion_mnist"))
    assert not [name for name in as_released.summary(other)["quantity"] if "released" in name]
    ours = as_released.remark(as_released.beside(scores()))
    assert "−0.046" in ours
    assert "0.098" in ours
    assert "2 of 3 of them" in ours
    assert not any(character.isdigit() for character in as_released.remark(other))


def test_printed_has_a_dash_where_no_number_was_printed():
    shown = as_released.printed_scores(as_released.beside(scores(indices=[INDICES[0], 7, 8])))
    assert shown["released notebook"].tolist() == ["–", "–", "0.098"]
    assert len(shown.columns) == 7
    assert as_released.printed_scores(as_released.beside(scores()))["released notebook"].tolist() == [
        "0.004",
        "−0.046",
        "0.098",
    ]


def test_printing_leaves_the_table_as_it_is():
    table = as_released.beside(scores())
    untouched = table.copy()
    as_released.printed_scores(table)
    pd.testing.assert_frame_equal(table, untouched)


def population(setting, **changes):
    """As an execution has it: scores of one deviation."""
    table = scores(**changes)
    known = table["label_known_score_raw"]
    more = {"label_known_score_test": known / 2, "memorisation_score_raw": known / 10, "memorisation_score": known / 5}
    return SimpleNamespace(tables={"scores": table.assign(**more)}, setting=setting)


def test_deviations_by_hand():
    populations = {
        "as-released": population(AS_RELEASED),
        "black": population("black square", canary=(0.1, -0.2, 0.3)),
    }
    table = as_released.deviations(populations).set_index("setting")
    assert list(table.index) == ["as released", "normalised inputs", "test images, normalised inputs", "black square"]
    first = table.loc["as released"]
    assert first[["n", "known", "smallest", "largest", "positive"]].tolist() == pytest.approx(
        [3, 0.1, -0.1, 0.3, 2 / 3]
    )
    assert (first["control"], first["moved"]) == (pytest.approx(0.2 / 3), 0)
    assert (first["memorisation"], first["memorisation_control"]) == (pytest.approx(0.01), pytest.approx(0.02 / 3))
    assert table.loc["normalised inputs", "known"] == pytest.approx(1)
    on_test = table.loc["test images, normalised inputs"]
    assert on_test["known"] == pytest.approx(0.05)
    assert on_test["moved"] == pytest.approx(9.5 * (0.3 + 0.1 + 0.1) / 3)  # from the scores with normalised inputs
    assert np.isnan(on_test["memorisation"])
    black = table.loc["black square"]
    assert black["known"] == black["control"]
    assert table["unmoved"].tolist() == [3, 0, 0, 0]
    assert table["as_control"].tolist() == [0, 0, 0, 3]
    assert black["moved"] == pytest.approx((0.2 + 0.1 + 0.2) / 3)
    printed = as_released.printed_deviations(as_released.deviations(populations))
    assert printed["M, mean"].tolist()[2] == "–"
    assert printed["from … to"].tolist()[0] == "−0.100 to 0.300"


def test_what_looks_like_a_mistake_is_said():
    populations = {
        "as-released": population(AS_RELEASED),
        "half": population(ON_ONE_HALF, canary=(0.3, -0.1, 0.2)),
        "black": population(BLACK_SQUARE, canary=(0.1, -0.2, 0.2)),
    }
    table = as_released.beside(scores())
    texts = as_released.texts(table, as_released.deviations(populations))
    assert texts == {
        "images": "the same ten images carry",
        "same_on_one_half": "2 of 3",
        "black_as_control": "2 of 3",
        "positive_canary": "2 of 3",
        "positive_control": "2 of 3",
    }
    other = as_released.beside(scores(dataset="fashion_mnist"))
    texts = as_released.texts(other, as_released.deviations({"as-released": population(AS_RELEASED)}))
    assert texts["images"] == "other images than the notebook's carry"
    assert texts["same_on_one_half"] == texts["black_as_control"] == "not recorded"


def ten(populations):
    """What `as_released.beside` makes."""
    n = len(populations)
    columns = {"canary_index": range(n), "canary_label": range(n), "released": [nan] * n}
    return pd.DataFrame(columns | {"canary": np.arange(n) / 10, "control": np.arange(n) / -10})


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {"drawn_scores": lambda some: [ten(some)]}
PANELS = {"drawn_scores": 1}
