"""The first plan's ways to prevent overfitting, on made-up cards in which it is known what each does."""

from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest

from ufm.chapters import regularisers as chapter
from ufm.evidence import contrasts, on_seeds, planned_as
from ufm.first_plan import regularisers, verdicts
from ufm.plan import registry
from ufm.report import by_population
from ufm.statistics import sign_flip_test
from ufm.study.runs import NotYetRun

ONE = "MNIST, 10 000 images"


def way(setting, n_seeds=12, **changes):
    """Models of one way."""
    return planted.three(setting, n_seeds, title=ONE, **changes)


def plain(n_seeds=20, **changes):
    """Cards of the population beside which the ways stand."""
    return planted.cards(n_seeds, title=ONE, needed=n_seeds, **changes)


@pytest.fixture(scope="module")
def populations():
    """Plain models that memorise, models that do half as much, and some that do nothing."""
    return {
        "mnist-small": plain(effect=0.4),
        "mnist-small-dropout": way("dropout", effect=0.2, rng=1),
        "mnist-small-weight-decay": way("weight decay", effect=0.0, rng=4),
        "mnist-small-to-the-end": way("to the end", effect=0.4, rng=3),
        "fashion_mnist-small": planted.cards(9, effect=0.4, title="alone"),
    }


def test_short_cards_have_fifty_permutations(populations):
    cards = populations["mnist-small-dropout"]
    assert cards.permutations == slice(2, 52)
    assert [cards.model("canary", "hard"), cards.model("placebo", "hard"), cards.placebo("hard")] == [1, 2, 1]


def test_plain_models_are_taken_on_the_seeds_and_permutations_of_the_ways(populations):
    [of] = regularisers.ways(populations).values()
    assert list(of) == ["early stopping", "dropout", "weight decay", "to the end"]
    own = of["early stopping"]
    assert own.seeds.tolist() == list(range(1000, 1012))
    assert own.permutations == slice(3, 53)
    expected = contrasts(replace(populations["mnist-small"], n_permutations=50), "hard")[:12]
    np.testing.assert_array_equal(contrasts(own, "hard"), expected)
    assert own.complete
    assert len(own.models) == 12 * 5


def test_a_population_that_does_not_stop_early_is_only_compared_with(populations):
    whole = populations["mnist-small"]
    training = replace(whole.protocol.training, early_stopping="none")
    to_the_end = planned_as(whole, protocol=replace(whole.protocol, training=training))
    some = {"mnist-small": to_the_end, "mnist-small-dropout": populations["mnist-small-dropout"]}
    assert list(regularisers.ways(some)[ONE]) == ["plain", "dropout"]
    assert regularisers.cells(some)["setting"].tolist() == ["dropout"]
    assert regularisers.differences(some)["versus"].tolist() == ["plain"]


def test_cells_are_those_of_every_way_that_is_meant_to_prevent(populations):
    cells = regularisers.cells(populations).set_index("setting")
    assert list(cells.index) == ["early stopping", "dropout", "weight decay"]
    assert (cells["population"] == ONE).all()
    assert (cells["n"] == 12).all()
    assert cells.loc["early stopping", "verdict"] == cells.loc["dropout", "verdict"] == "memorised"
    assert cells.loc["weight decay", "verdict"] != "memorised"


def scaled_by_hand(cards, n_models):
    """D over the own spread of canary and placebo of the hard host, the last two models of a seed."""
    first = 3 if n_models == 5 else 2  # of the permutations among the features
    found = []
    for shift, label in zip(cards.arrays["ood_shift"], cards.label("hard"), strict=True):
        ours = shift[-2:, :, label]
        effects = ours - ours[:, first : first + 50].mean(1, keepdims=True)
        (canary, placebo), own = effects, first - 1
        d = (canary[0] - placebo[0] + placebo[own] - canary[own]) / 2
        found.append(d / ours[:, first : first + 50].std(1, ddof=1).mean())
    return np.array(found)


def test_a_way_is_said_to_change_what_both_scales_say(populations):
    calmer = way("weight decay", effect=1.0)
    for name in ("ood_shift", "ood_early_shift"):
        calmer.arrays[name][...] *= 0.1  # less of everything in nats
    some = {**populations, "mnist-small-weight-decay": calmer, "mnist-small-dropout": way("dropout", effect=0.9)}
    table = regularisers.differences(some).set_index("setting")
    assert table.loc["weight decay", "high"] < 0 < table.loc["weight decay", "spreads_low"]
    assert table.loc["weight decay", "reading"] == "scales disagree"
    assert table.loc["dropout", "reading"] == "raises"


def test_differences_are_paired_by_hand(populations):
    table = regularisers.differences(populations).set_index("setting")
    assert table["versus"].to_dict() == {
        "early stopping": "to the end",
        "dropout": "early stopping",
        "weight decay": "early stopping",
    }
    own = contrasts(replace(populations["mnist-small"], n_permutations=50), "hard")[:12]
    change = contrasts(populations["mnist-small-dropout"], "hard") - own
    assert table.loc["dropout", "estimate"] == pytest.approx(change.mean())
    assert table.loc["dropout", "p_holm"] >= table.loc["dropout", "p"]
    scaled = scaled_by_hand(populations["mnist-small-dropout"], 3) - scaled_by_hand(populations["mnist-small"], 5)[:12]
    assert table.loc["dropout", "spreads"] == pytest.approx(scaled.mean())
    assert table.loc["dropout", "spreads_p"] == sign_flip_test(scaled)
    assert table.loc["dropout", "spreads_p_holm"] >= table.loc["dropout", "spreads_p"]
    assert table["reading"].to_dict() == {
        "early stopping": "no change shown",
        "dropout": "reduces",
        "weight decay": "reduces",
    }
    assert table["accuracy"].to_dict() == {
        "early stopping": pytest.approx(0.1),
        "dropout": pytest.approx(-0.1),
        "weight decay": pytest.approx(-0.1),
    }


def test_a_way_that_raises_is_not_said_to_reduce(populations):
    some = {**populations, "mnist-small-dropout": way("dropout", effect=0.9)}
    assert regularisers.differences(some).set_index("setting").loc["dropout", "reading"] == "raises"


def test_a_way_that_lacks_seeds_is_open(populations):
    some = {**populations, "mnist-small-dropout": on_seeds(populations["mnist-small-dropout"], range(1011))}
    table = regularisers.differences(some).set_index("setting")
    assert table.loc["dropout", "reading"] == "waits for seeds"
    assert pd.isna(table.loc["dropout", "p"])
    assert table.loc["weight decay", "reading"] == "reduces"
    assert regularisers.cells(some).set_index("setting").loc["dropout", "verdict"] == "seeds pending"


def test_plain_models_wait_for_the_seeds_of_the_ways(populations):
    """Else a first look at them would be taken on the few that happen to be there."""
    some = {"mnist-small": populations["mnist-small"], "d": planned_as(populations["mnist-small-dropout"], needed=40)}
    cells = regularisers.cells(some).set_index("setting")
    assert cells.loc["early stopping", "verdict"] == "seeds pending"
    assert pd.isna(cells.loc["early stopping", "p"])


def test_its_tables(populations):
    cells, changes = regularisers.cells(populations), regularisers.differences(populations)
    printed = [by_population.by_way(cells), chapter.printed_differences(changes)]
    for table, rows in zip(printed, (cells, changes), strict=True):
        assert table["way"].tolist() == rows["setting"].tolist()
        assert not table.astype(str).apply(lambda column: column.str.contains("nan", case=False)).any(axis=None)


def test_the_claim_is_judged_by_its_cells(populations):
    planned = {name: one for name, one in registry.sweeps().items() if name.startswith("mnist-small")}
    table = verdicts.verdicts(populations, planned=planned).set_index("claim")
    row = table.loc["C3"]
    assert (row["verdict"], row["holds_in"], row["n"]) == ("holds in part so far", "2 of 6 cells", 12)
    cells = regularisers.cells(populations)
    assert row["effect"] == cells.loc[cells["low"].idxmin(), "estimate"]


def test_without_ways_the_claim_is_not_tested(populations):
    planned = {"mnist-small": registry.sweeps()["mnist-small"]}
    table = verdicts.verdicts({"mnist-small": populations["mnist-small"]}, planned=planned).set_index("claim")
    assert table.loc["C3", "verdict"] == "not tested"


def test_without_a_way_beside_its_population_the_page_is_not_yet_run():
    with pytest.raises(NotYetRun, match="No way has enough seeds yet"):
        regularisers.differences({})
