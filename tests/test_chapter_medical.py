"""The chapter Medical images, from rows small enough to work by hand."""

import pandas as pd
import planted

from ufm.chapters import medical
from ufm.report import by_population


def test_rows_of_c6_are_asked_and_said_in_words():
    cards = planted.equal_age(
        24, effect=1.0, random_effect=1.0, title="X-rays", setting="second plan, MLP, letter", needed=24
    )
    asked = medical.questions({"a": cards}, {"a": cards.sweep})
    assert asked["setting"].tolist() == ["MLP, letter"] * 2
    assert medical.in_words(asked) == "There and large: MLP, letter, random hosts; MLP, letter, hard hosts"
    lacking = medical.questions({}, {"a": cards.sweep})
    assert medical.in_words(lacking).startswith("Open: MLP, letter, random hosts")
    assert medical.in_words(medical.questions({}, {})) == "Nothing is asked here"
    shown = by_population.questions(lacking, "network, feature")
    assert shown["network, feature"].tolist() == ["MLP, letter"] * 2
    assert shown["seeds"].tolist() == ["0 of 24"] * 2


ONE = {"estimate": 0.4666, "low": 0.346, "high": 0.5849, "n": 30}
CELL = {"population": "a", "host": "hard", **ONE, "p": 1e-5, "p_holm": 4e-5, "early": 0.25, "early_low": 0.125}
CELL |= {"early_high": 0.5, "detectable": 0.0213, "seeds_for_half": 395, "verdict": "memorised"}
CELL |= {"in_words": "memorised, by less than matters"}


def test_texts_of_cells_and_of_quality_go_through_the_populations():
    cells = pd.DataFrame([CELL | {"host": "random"}, CELL, CELL | {"host": "random", "estimate": 0.5}])
    assert medical.on_hosts(cells, "random") == "0.467 (0.346 to 0.585); 0.500 (0.346 to 0.585)"
    assert medical.on_hosts(cells, "middling") == "not recorded"
    quality = pd.DataFrame(
        [{"area": 0.5, "area_low": 0.25, "area_high": 0.75, "learnt": share, "n": 40} for share in (0.2, 0.625)]
    )
    assert medical.listed(quality, "area") == "0.50 (0.25 to 0.75); 0.50 (0.25 to 0.75)"
    assert medical.counts_learnt(quality) == "8, 25"
