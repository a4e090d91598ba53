"""The published score of canaries beside their controls, on made-up cards."""

from dataclasses import replace

import numpy as np
import planted
import pytest

from ufm.chapters import mlp
from ufm.report import by_population

CANARY = {"random": [0.1, 0.2, 0.6], "hard": [0.3, 0.3, -0.3]}
CONTROL = [0.0, -0.1, 0.4]


@pytest.fixture
def cards():
    """Three seeds whose scores M are known; with raw inputs they have the other sign."""
    found = planted.cards(3, title="MNIST, small", effect=0.3)
    score = found.arrays["score_memorisation"].copy()
    for model, values in ((0, CONTROL), (1, CANARY["random"]), (3, CANARY["hard"])):
        score[:, model, 0, -1], score[:, model, 1, -1] = values, -np.array(values)
    models = found.models.copy()
    models["accuracy"] = [0.9, 0.8, 0.5, 0.9, 0.5, 0.9, 0.9, 0.5, 0.9, 0.5, 0.9, 1.0, 0.5, 0.9, 0.5]
    models["best_epoch"] = [5, 3, 1, 5, 1, 2, 2, 1, 2, 1, 4, 8, 1, 4, 1]
    return replace(found, arrays=dict(found.arrays) | {"score_memorisation": score}, models=models)


def test_canaries_stand_beside_the_controls_of_their_seeds(cards):
    pairs = mlp.pairs(cards, "random", "normalised")
    assert pairs["seed"].tolist() == [1000, 1001, 1002]
    np.testing.assert_allclose(pairs[["canary", "control"]].T, [CANARY["random"], CONTROL])
    raw = mlp.pairs(cards, "hard", "raw")
    np.testing.assert_allclose(raw["canary"], -np.array(CANARY["hard"]))


def test_scores_by_hand(cards):
    table = mlp.scores(cards).set_index(["host", "inputs"])
    assert list(table.index) == [(host, inputs) for host in ("random", "hard") for inputs in ("normalised", "raw")]
    row = table.loc["random", "normalised"]
    # Canaries: mean 0.3; controls: mean 0.1; differences 0.1, 0.3 and 0.2.
    assert [row[name] for name in mlp.MEANS] == pytest.approx([0.3, 0.1, 0.2])
    assert 0.099 < row["difference_low"] < 0.2 < row["difference_high"] < 0.301  # the ends of what was seen
    # All three above their controls: the exact interval reaches down to the cube root of 0.025.
    assert [row["above"], row["above_low"], row["above_high"]] == pytest.approx([1, 0.025 ** (1 / 3), 1])
    assert row["correlation"] == pytest.approx(np.corrcoef(CANARY["random"], CONTROL)[0, 1])
    assert np.isnan(row["correlation_low"])  # of three seeds a resample may draw one alone
    raw = table.loc["random", "raw"]
    assert [raw[name] for name in mlp.MEANS] == pytest.approx([-0.3, -0.1, -0.2])
    assert raw["above"] == 0
    assert table.loc["hard", "normalised"]["above"] == pytest.approx(2 / 3)
    assert (table["n"] == 3).all()


def test_models_and_distances_by_hand(cards):
    models = mlp.models(cards).set_index(["role", "host"])
    assert models.loc[("control", ""), "accuracy"] == pytest.approx(0.9)
    assert models.loc[("canary", "random"), "epoch"] == pytest.approx(13 / 3)
    distances = mlp.distances(cards, "random")
    assert distances["accuracy"]["estimate"] == pytest.approx(0.2 / 3)
    assert distances["best epoch"]["estimate"] == pytest.approx((2 + 0 + 4) / 3)


def test_figures_have_every_seed_on_every_kind_of_host(cards):
    table = mlp.of_hosts(cards)
    assert table["host"].tolist() == ["random"] * 3 + ["hard"] * 3
    np.testing.assert_allclose(table.loc[3:, "canary"], CANARY["hard"])


def test_tables_and_summary_say_the_same(cards):
    scores, title = {"MNIST, small": mlp.scores(cards)}, "MNIST, small"
    shown = mlp.printed_scores(scores, "normalised")
    assert shown["hosts"].tolist() == ["random", "hard"]
    assert shown.loc[0, "M, canaries"].startswith("0.300 (")
    assert shown.loc[0, "canary above control"].startswith("1.00 (")
    assert mlp.printed_scores(scores, "raw").loc[0, "M, canaries"].startswith("−0.300 (")
    models = mlp.printed_models({title: mlp.models(cards)})
    assert models["models"].tolist()[:2] == ["control", "canary, random host"]
    found = mlp.quantities(scores, {title: mlp.distances(cards, "random")})
    values = by_population.ranges(found, digits=3)
    assert values["m_controls"] == "0.100"
    assert values["correlation_on_random_hosts"] == f"{np.corrcoef(CANARY['random'], CONTROL)[0, 1]:.3f}"
    assert values["canary_less_control_on_random_hosts"] == "0.200"
    assert values["best_epoch_distance"] == "2.000"
    assert not by_population.summary(found)["quantity"].duplicated().any()


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {
    "drawn_scores": lambda some: [planted.each(some, mlp.of_hosts)],
    "drawn_differences": lambda some: [planted.each(some, mlp.scores)],
}
PANELS = {"drawn_differences": 1}
