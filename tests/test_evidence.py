"""From cards to effects, on made-up cards: what was planted is found, and nothing else."""

from dataclasses import replace

import numpy as np
import planted
import pytest

from ufm import evidence
from ufm.evidence import cells
from ufm.plan.sweep import Sweep
from ufm.report import by_population
from ufm.study.runs import NotYetRun


def test_models_and_features_are_where_a_card_has_them():
    cards = planted.cards(4)
    assert [cards.model("control"), cards.model("canary", "random"), cards.model("placebo", "random")] == [0, 1, 2]
    assert [cards.model("canary", "hard"), cards.model("placebo", "hard")] == [3, 4]
    assert [cards.placebo("random"), cards.placebo("hard")] == [1, 2]
    assert (cards.permutations, cards.random_features) == (slice(3, 103), slice(103, 133))


def test_a_seeds_own_hosts_are_taken_from_all_planned_ones():
    population = planted.population(12)
    cards = evidence.stack(population)
    assert cards.indices.tolist() == [[10 * seed, 10 * seed + 1] for seed in range(1000, 1012)]
    for seed, labels, card in zip(cards.seeds, cards.labels, population.arrays, strict=True):
        assert labels.tolist() == card["host_label"][card["host_seed"] == seed].tolist()


def test_arrays_are_unpacked_when_they_are_asked_for():
    class Watched(dict):
        asked = set()

        def __getitem__(self, name):
            self.asked.add(name)
            return super().__getitem__(name)

    population = planted.population(8)
    expected = evidence.stack(population)
    cards = evidence.stack(replace(population, arrays=list(map(Watched, population.arrays))))
    some = evidence.on_seeds(cards, [1001, 1002])
    assert not {name for name in Watched.asked if name.endswith(("_shift", "_mean"))}
    np.testing.assert_array_equal(some.arrays["ood_shift"], expected.arrays["ood_shift"][1:3])
    assert {name for name in Watched.asked if name.endswith(("_shift", "_mean"))} == {"ood_shift"}
    assert cards.arrays["ood_shift"] is cards.arrays["ood_shift"]
    assert some.arrays.keys() == cards.arrays.keys() == expected.arrays.keys()


def test_contrast_by_hand():
    cards = planted.cards(3, effect=1.0)
    expected = []
    for seed in range(3):
        label = cards.labels[seed, 1]
        shift = cards.arrays["ood_shift"][seed, :, :, label]
        e = shift - shift[:, 3:103].mean(1, keepdims=True)
        expected.append((e[3, 0] - e[4, 0] + e[4, 2] - e[3, 2]) / 2)
    np.testing.assert_allclose(evidence.contrasts(cards, "hard"), expected, rtol=1e-12)


@pytest.mark.parametrize("epoch", ["best", "early"])
@pytest.mark.parametrize("images", ["ood", "test", "dim", "black"])
def test_contrast_finds_what_was_planted(images, epoch):
    cards = planted.cards(60, effect=1.0, random_effect=0.3)
    # A tenth of a planted shift is lost to centring over ten classes.
    assert evidence.contrasts(cards, "hard", images, epoch).mean() == pytest.approx(0.9, abs=0.04)
    assert evidence.contrasts(cards, "random", images, epoch).mean() == pytest.approx(0.27, abs=0.04)


def test_without_an_effect_the_contrast_is_about_zero():
    values = evidence.contrasts(planted.cards(100), "hard")
    assert abs(values.mean()) < 3 * values.std(ddof=1) / 10


def test_learnt_is_what_the_host_gains_beyond_the_control():
    cards = planted.cards(30, share_learnt=0.5)
    gains = evidence.gains(cards, "hard")
    ours = evidence.learnt(cards, "hard")
    assert 5 < ours.sum() < 25
    np.testing.assert_allclose(gains[ours], 2.9, atol=0.01)
    np.testing.assert_allclose(gains[~ours], 0)
    assert not evidence.learnt(cards, "random").any()
    assert not evidence.learnt(cards, "hard", "placebo").any()


def test_a_control_that_gains_as_much_takes_it_away():
    cards = planted.cards(6)
    fits = cards.fits.copy()
    fits[:, 0, :, 1, evidence.PLAIN], fits[:, 0, :, 1, evidence.LETTER] = -3, -0.1
    assert not evidence.learnt(replace(cards, fits=fits), "hard").any()


def test_clean_loss_is_that_of_the_other_seeds_controls():
    population = planted.population(13)  # seeds 1000, 1006 and 1012 share a part
    for card, loss in zip(population.arrays, range(1, 14), strict=True):
        card["host_log_probability"][0, 0, :, evidence.PLAIN] = -loss
    losses = evidence.clean_losses(evidence.stack(population))
    assert losses[0].tolist() == [(7 + 13) / 2] * 2
    assert losses[12].tolist() == [(1 + 7) / 2] * 2
    assert losses[1].tolist() == [8, 8]  # seeds 1001 and 1007


def test_a_host_that_no_other_seed_saw_has_no_clean_loss():
    assert np.isnan(evidence.clean_losses(planted.cards(3))).all()


def test_by_host_has_a_row_a_seed_and_kind_of_host():
    cards = planted.cards(8, effect=0.5)
    table = evidence.by_host(cards)
    assert table["host"].tolist() == ["random"] * 8 + ["hard"] * 8
    hard = table[table["host"] == "hard"]
    np.testing.assert_array_equal(hard["contrast"], evidence.contrasts(cards, "hard"))
    assert hard["learnt"].all()


def test_evidence_needs_cards():
    population = planted.population(2)
    scores = replace(population.sweep, protocol=replace(population.protocol, measure="scores"))
    with pytest.raises(ValueError, match="^evidence needs the cards of at least one seed$"):
        evidence.stack(replace(population, sweep=scores))
    with pytest.raises(ValueError, match="^evidence needs the cards"):
        evidence.stack(replace(population, entries=[], arrays=[]))


def test_on_seeds_leaves_everything_of_the_others_out():
    cards = planted.cards(6, effect=0.5)
    some = evidence.on_seeds(cards, [1001, 1004, 5000])
    assert some.seeds.tolist() == [1001, 1004]
    np.testing.assert_array_equal(evidence.contrasts(some, "hard"), evidence.contrasts(cards, "hard")[[1, 4]])
    np.testing.assert_array_equal(evidence.gains(some, "hard"), evidence.gains(cards, "hard")[[1, 4]])
    np.testing.assert_array_equal(some.indices, cards.indices[[1, 4]])
    assert some.models["seed"].tolist() == [1001] * 5 + [1004] * 5
    assert len(some.planned) == 2


def test_what_is_set_apart_stands_beside_the_population_of_the_same_images():
    populations = {
        "one": planted.cards(8, title="MNIST"),
        "two": planted.cards(8, title="Digits"),
        "other": evidence.on_seeds(planted.cards(8, title="MNIST", setting="middling hosts"), [1002, 1003]),
    }
    assert list(evidence.plain(populations)) == ["one", "two"]
    assert list(evidence.apart(populations)) == ["other"]
    beside = evidence.beside(populations)
    assert list(beside) == ["MNIST", "MNIST, middling hosts"]
    assert all(cards.seeds.tolist() == [1002, 1003] for cards in beside.values())


def recorded(setting="", *, n_seeds=8, planned=8):
    """A population of an execution, as `Run.populations` has them."""
    population = planted.population(n_seeds)
    sweep = Sweep(population.protocol, range(1000, 1000 + planned), planned, 0, setting)
    return replace(population, sweep=sweep)


def test_populations_of_too_few_seeds_are_left_out_or_named():
    assert list(evidence.of({"one": recorded(), "few": recorded(n_seeds=7)})) == ["one"]
    with pytest.raises(ValueError, match="^n_seeds: evidence needs at least 8 seeds$"):
        evidence.of({"few": recorded(n_seeds=7, planned=7)})
    with pytest.raises(NotYetRun, match="^Fewer than 8 seeds are recorded yet"):
        evidence.of({"few": recorded(n_seeds=7)})


def test_a_chapter_about_settings_needs_one_that_is_recorded():
    plain, few = recorded(), recorded("dropout", n_seeds=3)
    with pytest.raises(NotYetRun):
        evidence.of({"plain": plain, "few": few}, beside=True)
    found = evidence.of({"plain": plain, "enough": recorded("dropout")}, beside=True)
    assert [cards.title for cards in found.values()] == ["MNIST, 10 000 images", "MNIST, 10 000 images, dropout"]


def test_moved_contrasts_are_those_of_the_moved_shifts():
    cards = planted.cards(6, effect=0.5)
    shifts = cards.arrays["ood_shift"][:, :, None].repeat(4, 2) * np.array([1.0, 0.5, 0, -1]).reshape(1, 1, 4, 1, 1)
    moved = evidence.moved_contrasts(replace(cards, arrays=dict(cards.arrays) | {"ood_moved_shift": shifts}), "hard")
    assert list(moved) == ["as in training", *evidence.ELSEWHERE]
    own = evidence.contrasts(cards, "hard")
    for found, factor in zip(moved.values(), (1, 1, 0.5, 0, -1), strict=True):
        np.testing.assert_allclose(found, factor * own, atol=1e-12)


def test_curves_end_where_a_model_stopped():
    history = np.full((5, 3, 3), 1.0)
    history[2, 1:] = np.nan
    cards = replace(planted.cards(2), histories=[history, history])
    table = evidence.curves(cards)
    assert table.groupby(["seed", "role", "host"], sort=False)["epoch"].max().tolist() == [3, 3, 1, 3, 3] * 2
    assert table["role"].head(3).tolist() == ["control"] * 3


def test_what_the_plan_does_not_ask_for_has_no_test():
    populations = {
        "one": planted.cards(8, title="CIFAR-10", effect=0.5, needed=8),
        "deeper": planted.cards(8, title="CIFAR-10", setting="DenseNet-BC", effect=0.5),
    }
    assert list(cells.deciding(populations)) == ["one"]
    others = cells.exploratory(populations)
    assert others["setting"].unique().tolist() == ["DenseNet-BC"]
    assert not {"p", "p_holm", "verdict", "in_words"} & set(others)
    mean = evidence.contrasts(populations["deeper"], "hard").mean()
    assert others.set_index("host").loc["hard", "estimate"] == pytest.approx(mean)
    assert cells.exploratory({"one": populations["one"]}).empty
    shown = by_population.by_way(others, "network")
    assert list(shown) == ["population", "network", "seeds", "mean D, nats", "epoch 10"]
    decided = list(by_population.by_way(cells.contrast_cells(populations)))
    assert decided == ["population", "way", "verdict", "seeds", "mean D, nats", "p", "epoch 10"]
