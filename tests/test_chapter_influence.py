"""How influential hosts are with a letter and without, on made-up rank shares."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest

from ufm import paths
from ufm.chapters import influence
from ufm.evidence import contrasts, influential, planned_as
from ufm.first_plan import influence as judged
from ufm.first_plan import verdicts
from ufm.plan import influence as plan
from ufm.report import by_population, texts

SETTINGS = list(plan.BY_INFLUENCE)
PAGE = (paths.NOTEBOOKS / "influence.md").read_text(encoding="utf-8")


def numbers(text):
    return [float(one) for one in re.findall(r"[-−]?\d+\.\d+", text)]


def group(setting, *, without, with_letter, with_placebo=0.5, n_seeds=24, rng=0):
    """Cards of a group whose hosts have about these rank shares in control, canary and placebo."""
    named = {"host": plan.BY_INFLUENCE[setting], "title": "MNIST, 10 000 images"}
    cards = planted.three(setting, n_seeds, **named, effect=0.3, rng=rng)
    means = np.array([without, with_letter, with_placebo])
    ranks = np.clip(means + np.random.default_rng(rng).normal(0, 0.01, (n_seeds, 3)), 0, 1)
    return replace(cards, arrays=dict(cards.arrays) | {"influence_rank": ranks[..., None].astype(np.float32)})


@pytest.fixture(scope="module")
def populations():
    """The least influential rise to the top, random ones rise a little, the most influential stay."""
    return {
        "most": group(SETTINGS[0], without=0.99, with_letter=0.985),
        "least": group(SETTINGS[1], without=0.05, with_letter=0.97, rng=1),
        "random": group(SETTINGS[2], without=0.5, with_letter=0.6, with_placebo=0.55, rng=2),
        "mnist-small": planted.cards(24, title="MNIST, 10 000 images", effect=0.3),
    }


def test_groups_are_judged_as_the_plan_says(populations):
    table = judged.cells(populations).set_index("setting")
    assert list(table.index) == SETTINGS
    assert table["verdict"].tolist() == ["agrees", "agrees", "raised"]
    ranks = populations["random"].arrays["influence_rank"][..., 0].astype(float)
    row = table.loc[SETTINGS[2]]
    assert row["estimate"] == pytest.approx((ranks[:, 1] - ranks[:, 0]).mean())
    assert [row[name] for name in ("without", "with_letter", "with_placebo")] == pytest.approx(ranks.mean(0).tolist())
    kind = plan.BY_INFLUENCE[SETTINGS[2]]
    assert row["contrast"] == pytest.approx(contrasts(populations["random"], kind).mean())
    assert (table["p_holm"] >= table["p"]).all()
    assert table["in_words"].tolist() == ["agrees", "agrees", "raised"]


def test_a_rise_that_is_sure_and_small_is_called_so(populations):
    table = judged.cells(populations | {"random": group(SETTINGS[2], without=0.5, with_letter=0.52, rng=2)})
    assert table["verdict"].tolist()[2] == "raised"
    assert table["high"].tolist()[2] < 0.05
    assert table["in_words"].tolist() == ["agrees", "agrees", "raised, by less than matters"]


def test_the_letter_is_set_beside_the_placebo_of_the_same_seed(populations):
    row = judged.cells(populations).set_index("setting").loc[SETTINGS[2]]
    ranks = populations["random"].arrays["influence_rank"][..., 0].astype(float)
    assert row["beyond_placebo"] == pytest.approx((ranks[:, 1] - ranks[:, 2]).mean())
    assert row["beyond_placebo_low"] < row["beyond_placebo"] < row["beyond_placebo_high"]


def test_every_rise_below_what_matters_meets_the_rule_of_does_not_hold(populations):
    little = group(SETTINGS[2], without=0.5, with_letter=0.52, rng=2)
    least = group(SETTINGS[1], without=0.05, with_letter=0.06, rng=1)
    both = populations | {"random": little, "least": least}
    assert influence.all_slight(judged.cells(both)) == "met too"
    assert influence.all_slight(judged.cells(populations | {"random": little})) == "not met"
    assert influence.all_slight(judged.cells({"most": populations["most"]})) == "not met"


def test_the_text_has_every_group_recorded_or_not(populations):
    said = influence.texts(judged.cells({"least": populations["least"]}))
    assert set(re.findall(r"`((?:rise|without|with_letter|with_placebo|beyond_placebo)_\w+)`", PAGE)) <= said.keys()
    assert numbers(said["with_letter_least_influential_hosts"]) == [pytest.approx(0.97, abs=0.005)]
    assert len(numbers(said["rise_least_influential_hosts"])) == 3
    assert said["rise_random_hosts"] == said["without_most_influential_hosts"] == "not recorded"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "agrees"),
        ({"with_letter": 0.949}, "raised"),
        ({"p_holm": 0.05}, "undecided"),
        ({"p_holm": 0.05, "setting": SETTINGS[0]}, "agrees"),
        ({"p_holm": 0.05, "setting": SETTINGS[0], "with_letter": 0.9}, "undecided"),
        ({"p_holm": 0.5, "high": 0.049}, "not raised"),
        ({"estimate": -0.1, "high": -0.05}, "not raised"),
    ],
)
def test_a_group_is_judged(changes, expected):
    row = {"setting": SETTINGS[1], "estimate": 0.1, "high": 0.2, "p_holm": 0.01, "with_letter": 0.95}
    assert judged.group_verdict(row | changes) == expected


@pytest.mark.parametrize(
    ("words", "p", "expected"),
    [
        (["agrees"] * 3, 0.01, "holds"),
        (["agrees"] * 3, 0.05, "holds in part"),
        (["agrees", "raised", "not raised"], 0.01, "holds in part"),
        (["agrees", "undecided", "undecided"], 0.5, "undecided"),
        (["agrees", "not raised", "not raised"], 0.5, "does not hold"),
        (["undecided", "not raised", "not raised"], 0.5, "does not hold"),
        (["agrees", "not raised", "undecided"], 0.5, "undecided"),
    ],
)
def test_the_claim_is_judged_by_its_groups(words, p, expected):
    assert judged.influential(pd.DataFrame({"setting": SETTINGS, "verdict": words}), p) == expected


def test_the_claims_effect_is_of_a_group_with_room_to_rise(populations):
    planned = plan.sweeps("paper")
    row = verdicts.verdicts(populations, planned=planned).set_index("claim").loc["C4"]
    assert (row["verdict"], row["holds_in"], row["n"]) == ("holds in part", "2 of 3 cells", 72)
    assert row["effect"] == judged.cells(populations).set_index("setting").loc[SETTINGS[2], "estimate"]
    lacking = populations | {"random": planned_as(populations["random"], needed=25)}
    row = verdicts.verdicts(lacking, planned=planned).set_index("claim").loc["C4"]
    assert (row["verdict"], row["holds_in"]) == ("holds so far", "2 of 3 cells")
    alone = {"most": populations["most"]}
    row = verdicts.verdicts(alone, planned=planned).set_index("claim").loc["C4"]
    assert (row["verdict"], row["holds_in"]) == ("undecided so far", "1 of 3 cells")
    assert pd.isna(row["effect"])


def test_a_group_that_lacks_seeds_is_open(populations):
    lacking = populations | {"random": planned_as(populations["random"], needed=25)}
    table = judged.cells(lacking).set_index("setting")
    assert table.loc[SETTINGS[2], "verdict"] == "seeds pending"
    assert pd.isna(table.loc[SETTINGS[2], "p"])


def test_the_table_and_the_points_of_the_chapter(populations):
    table = judged.cells(populations)
    printed = influence.printed_groups(table)
    assert printed["group"].tolist() == SETTINGS
    assert not printed.astype(str).apply(lambda column: column.str.contains("nan", case=False)).any(axis=None)
    summary = by_population.summary(influence.quantities(table)).set_index("quantity")
    assert summary.loc[f"rise; {SETTINGS[2]}", "estimate"] == table["estimate"].iloc[2]
    points = influence.by_seed(populations)
    assert points.groupby(["setting", "role"]).size().unique().tolist() == [24]


def shares(populations):
    """What `influence.by_seed` makes."""
    rows = [
        {"setting": title, "seed": seed, "role": role, "rank": rank}
        for title in planted.TITLES[: len(populations)]
        for role, rank in (("control", 0.2), ("canary", 0.8), ("placebo", 0.5))
        for seed in range(5)
    ]
    return pd.DataFrame(rows)


def test_ranks_and_ratios_are_of_the_letter_and_of_the_placebo():
    cards = group(SETTINGS[2], without=0.5, with_letter=0.6, with_placebo=0.55)
    values = np.random.default_rng(3).lognormal(0, 1, (24, 3, 1)).astype(np.float32)
    cards = replace(cards, arrays=dict(cards.arrays) | {"influence_host": values})
    [row] = influential.ranks_and_ratios({"random": cards}).to_dict("records")
    ranks, own = cards.arrays["influence_rank"][..., 0].astype(float), values[..., 0].astype(float)
    for prefix, place in (("", 1), ("placebo_", 2)):
        assert row[f"{prefix}rise"] == pytest.approx((ranks[:, place] - ranks[:, 0]).mean())
        assert row[f"{prefix}ratio"] == pytest.approx((own[:, place] / own[:, 0]).prod() ** (1 / 24))
        assert row[f"{prefix}ratio_low"] < row[f"{prefix}ratio"] < row[f"{prefix}ratio_high"]
    lacking = planned_as(cards, needed=25)
    assert influential.ranks_and_ratios({"random": lacking}).empty
    assert influence.ratio_texts(pd.DataFrame([row]))["ratio_random_hosts"] == f"{row['ratio']:.2f}"
    said = influence.ratio_texts(pd.DataFrame())
    assert said["ratio_random_hosts"] == said["placebo_ratio_most_influential_hosts"] == "not recorded"
    assert set(re.findall(r"`((?:placebo_)?ratio_\w+)`", PAGE)) <= said.keys()
    assert len(influence.printed_ratios(pd.DataFrame([row]))) == 1


def ratios(populations):
    """What `ranks_and_ratios` makes."""
    ends = {"rise": (0.1, 0.0, 1.0), "ratio": (2.0, 1.0, 3.0)}
    row = {
        f"{prefix}{name}{end}": value
        for prefix in ("", "placebo_")
        for name, values in ends.items()
        for end, value in zip(("", "_low", "_high"), values, strict=True)
    }
    return pd.DataFrame([{"setting": title, "n": 5} | row for title in planted.TITLES[: len(populations)]])


def test_rises_are_paired_and_stand_beside_the_line_that_counts():
    some = [0, 1]
    seeds = shares(some)
    backwards = seeds.sort_values("rank").reset_index(drop=True)
    np.testing.assert_allclose(influence.rises(backwards, "first", "canary"), [0.6] * 5)
    np.testing.assert_allclose(influence.rises(seeds, "second", "placebo"), [0.3] * 5)
    rank, factor = influence.drawn_changes(ratios(some), seeds, smallest=0.05).axes
    assert [len(one.get_offsets()) for one in rank.collections] == [5, 1] * 4  # the hosts of each row, then their mean
    np.testing.assert_allclose([one.get_offsets()[0, 0] for one in rank.collections[::2]], [0.6] * 2 + [0.3] * 2)
    [counts] = [line for line in rank.lines if line.get_linestyle() == ":"]
    assert set(counts.get_xdata()) == {0.05}
    assert [one.get_offsets()[0, 0] for one in factor.collections] == [2.0] * 4
    assert [label.get_text() for label in factor.get_xticklabels()] == ["0.5", "1", "2", "4"]
    assert factor.get_xticklabels(minor=True) == []


def test_the_rehearsal_says_no_word_of_the_claim(populations):
    table = judged.cells(populations)
    assert influence.all_slight(table, "embedded") == texts.REHEARSED
    assert influence.printed_groups(texts.worded(table, "embedded"))["verdict"].tolist() == [texts.REHEARSED] * 3


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {"drawn_changes": lambda some: [ratios(some), shares(some)]}
DRAWN_WITH = {"drawn_changes": {"smallest": 0.05}}
PANELS = {"drawn_changes": 2}
