"""Ways to prevent overfitting, on made-up cards in which it is known what each does."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest

from ufm import paths
from ufm.chapters import regularisers, verdicts
from ufm.evidence import contrasts, on_seeds, planned_as
from ufm.plan import registry
from ufm.report import by_population
from ufm.statistics import sign_flip_test
from ufm.study.runs import NotYetRun

ONE = "MNIST, small"


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


def test_ways_that_reduce_are_named_with_the_populations_where_they_do():
    rows = [
        {"population": population, "setting": way, "reading": reading}
        for way, readings in {
            "a": ["reduces", "reduces"],
            "b": ["raises", "reduces"],
            "c": ["raises", "raises"],
        }.items()
        for population, reading in zip(("one", "two"), readings, strict=True)
    ]
    table = pd.DataFrame(rows)
    assert regularisers.those_that(table, "reduces") == "a, b (two)"
    assert regularisers.those_that(table, "raises") == "b (one), c"
    assert regularisers.those_that(table, "no change shown") == "none of them"


def test_a_way_that_lacks_seeds_is_open(populations):
    some = {**populations, "mnist-small-dropout": on_seeds(populations["mnist-small-dropout"], range(1011))}
    table = regularisers.differences(some).set_index("setting")
    assert table.loc["dropout", "reading"] == "open"
    assert pd.isna(table.loc["dropout", "p"])
    assert table.loc["weight decay", "reading"] == "reduces"
    assert regularisers.cells(some).set_index("setting").loc["dropout", "verdict"] == "seeds pending"


def test_plain_models_wait_for_the_seeds_of_the_ways(populations):
    """Else a first look at them would be taken on the few that happen to be there."""
    some = {"mnist-small": populations["mnist-small"], "d": planned_as(populations["mnist-small-dropout"], needed=40)}
    cells = regularisers.cells(some).set_index("setting")
    assert cells.loc["early stopping", "verdict"] == "seeds pending"
    assert pd.isna(cells.loc["early stopping", "p"])


def test_costs_have_every_way_with_its_own_models(populations):
    table = regularisers.costs(populations).set_index("setting")
    assert list(table.index) == ["early stopping", "dropout", "weight decay", "to the end"]
    assert table["accuracy"].tolist() == pytest.approx([0.9, 0.8, 0.8, 0.8])
    assert (table["learnt"] == 1).all()
    assert table.loc["early stopping", "area"] > table.loc["weight decay", "area"]


def test_seeds_are_points(populations):
    table = regularisers.by_seed(populations)[ONE]
    counts = table["setting"].value_counts(sort=False)
    assert counts.to_dict() == dict.fromkeys(["early stopping", "dropout", "weight decay", "to the end"], 12)


def test_the_tables_of_the_chapter(populations):
    cells, changes = regularisers.cells(populations), regularisers.differences(populations)
    costs = regularisers.costs(populations)
    printed = [by_population.by_way(cells), regularisers.printed_differences(changes), by_population.quality(costs)]
    for table, rows in zip(printed, (cells, changes, costs), strict=True):
        assert table["way"].tolist() == rows["setting"].tolist()
        assert not table.astype(str).apply(lambda column: column.str.contains("nan", case=False)).any(axis=None)
    summary = by_population.summary(regularisers.quantities(costs, changes)).set_index("quantity")
    assert summary.loc[f"contrast, dropout; {ONE}", "estimate"] == costs.set_index("setting").loc["dropout", "contrast"]
    assert summary.loc[f"change, dropout; {ONE}", "estimate"] == changes.set_index("setting").loc["dropout", "estimate"]
    assert len(summary) == 4 * 5 + 3
    assert summary.loc[f"early, dropout; {ONE}", "estimate"] == costs.set_index("setting").loc["dropout", "early"]


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


def test_a_way_that_is_not_recorded_yet_has_a_text(populations):
    some = {name: cards for name, cards in populations.items() if "weight-decay" not in name}
    page = (paths.NOTEBOOKS / "regularisers.md").read_text(encoding="utf-8")
    costs = regularisers.costs(some)
    texts = regularisers.texts(costs, regularisers.differences(some))
    assert set(re.findall(r"`((?:contrast|early|area|accuracy)_\w+)`", page)) <= texts.keys()
    own = costs.set_index("setting").loc["early stopping"]
    assert float(texts["contrast_of_their_own"]) == pytest.approx(own["contrast"], abs=0.0005)
    assert float(texts["early_of_their_own"]) == pytest.approx(own["early"], abs=0.0005)
    assert texts["contrast_weight_decay"] == texts["contrast_augmentation"] == "not recorded"
    assert texts["contrast_dropout"] != "not recorded"


def test_accuracy_is_said_of_ways_that_reduce_and_of_those_that_raise():
    table = pd.DataFrame(
        {
            "setting": ["early stopping", "dropout", "batch norm", "dropout"],
            "reading": ["reduces", "reduces", "raises", "no change shown"],
            "accuracy": [-0.0123, 0.004, 0.002, 0.5],
        }
    )
    assert regularisers.accuracy_changes(table) == {
        "accuracy_reduces": "−0.012 to 0.004",
        "accuracy_raises": "0.002",
        "accuracy_early_stopping": "−0.012",
    }
    assert regularisers.accuracy_changes(table[1:2])["accuracy_raises"] == "not recorded"


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {"drawn_costs": lambda some: planted.settings(some)[1:]}


def test_without_a_way_beside_its_population_the_page_is_not_yet_run():
    with pytest.raises(NotYetRun, match="No way has enough seeds yet"):
        regularisers.differences({})
