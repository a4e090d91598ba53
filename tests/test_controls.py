"""The null: published rules and permutation p-values on models that never saw the letter."""

import planted
import pytest
from scipy.stats import kstest

from ufm.evidence import controls


def test_innocent_models_are_the_control_and_the_placebos():
    assert controls.innocent(planted.cards(2)) == [0, 2, 4]


def test_scores_by_role_has_a_row_a_model():
    cards = planted.cards(3)
    table = controls.scores_by_role(cards)
    assert len(table) == 15
    one = table.query("seed == 1002 and role == 'placebo' and host == 'hard'").iloc[0]
    assert one["memorisation"] == cards.arrays["score_memorisation"][2, 4, 0, -1]
    assert one["memorisation_raw"] == cards.arrays["score_memorisation"][2, 4, 1, -1]


def test_decisions_by_hand():
    cards = planted.cards(1)
    for name, values in {
        "memorisation": [0.1, -0.1, 0.1, 0.1, -0.1],
        "t_p": [0.04, 0.04, 0.06, 0.01, 0.5],
        "rank_p": [0.04, 0.04, 0.01, 0.06, 0.5],
        "rank_share": [0.6, 0.4, 0.6, 0.6, 0.6],
    }.items():
        cards.arrays[f"score_{name}"][0, :, 0, 0] = values
    decided = controls.decisions(cards, "normalised")
    assert decided["M > 0"][0, :, 0].tolist() == [True, False, True, True, False]
    assert decided["t-test"][0, :, 0].tolist() == [True, False, False, True, False]
    assert decided["Mann–Whitney"][0, :, 0].tolist() == [True, False, True, False, False]


def test_false_positive_rates_count_innocent_models_alone():
    cards = planted.cards(10, n_images=20)
    score = cards.arrays["score_memorisation"]
    score[:], score[:, [1, 3]] = -1, 1  # canaries
    score[:5, 0, :, -1] = 1  # half of the controls, on all images
    table = controls.false_positive_rates(cards).set_index(["rule", "inputs", "n_images"])
    assert table.loc[("M > 0", "normalised", 20), "estimate"] == pytest.approx(5 / 30)
    assert table.loc[("M > 0", "raw", 10), "estimate"] == 0
    assert set(table.index.get_level_values("n_images")) == {10, 20}
    assert (table["n"] == 10).all()


def test_permutation_p_values_are_uniform_where_pixels_are_exchangeable():
    table = controls.permutation_p_values(planted.cards(300))
    assert set(table["role"]) == {"control", "placebo"}
    for _, rows in table.groupby("statistic"):
        one_a_seed = rows[rows["role"] == "control"]["p"]
        assert one_a_seed.min() >= 1 / 101
        # Steps of 1/101 move the distribution function by as much.
        assert kstest(one_a_seed, "uniform").pvalue > 0.001


def test_permutation_p_values_see_an_effect():
    cards = planted.cards(10)
    cards.arrays["ood_kl_mean"][:, :, 0] = 100
    table = controls.permutation_p_values(cards)
    assert (table[table["statistic"] == "KL divergence, OOD images"]["p"] == 1 / 101).all()


def test_labels_of_hosts_favour_no_control():
    interval = controls.label_check(planted.cards(100), "hard")
    assert interval.low < 0.5 < interval.high
    cards = planted.cards(100)
    for seed, label in enumerate(cards.label("hard")):
        cards.arrays["ood_shift"][seed, 0, 0, label] += 3
    assert controls.label_check(cards, "hard").low > 0.5


def test_models_of_a_seed_score_alike():
    table = controls.shared_initialisation(planted.cards(100, effect=1.0), "hard").set_index("pair")
    assert table.loc["control and placebo", "correlation"] > 0.8
    assert table.loc["control and placebo", "area"] == pytest.approx(0.5, abs=0.1)
    assert table.loc["control and canary", "area"] > 0.9
    assert (table["n"] == 100).all()
    for low, one, high in table[["correlation_low", "correlation", "correlation_high"]].to_numpy():
        assert -1 < low < one < high < 1
