"""The chapter Seeds, on made-up cards of seeds that train on the same hosts."""

import re
from dataclasses import replace
from math import nan

import numpy as np
import pandas as pd
import planted
import pytest

from ufm.chapters import seeds
from ufm.evidence import clean_losses, contrasts, crossed, planned_as
from ufm.evidence.crossed import Varies
from ufm.first_plan import seeds as judged
from ufm.first_plan import verdicts
from ufm.plan import registry, second
from ufm.report import texts
from ufm.statistics.variance import components, relative_spread

ROW = {"estimate": 0.3, "low": 0.26, "high": 0.4, "n": 30}


def on_the_same_hosts(n_seeds=30, **changes):
    """Made-up cards of seeds that all train on images 11 and 12, to which they answer alike or not."""
    named = {"title": "MNIST, 10 000 images", "setting": "the same hosts"}
    cards = planted.cards(n_seeds, **named, effect=0.5, random_effect=0.3)
    protocol = replace(cards.protocol, hosts=("11", "12"))
    indices = np.tile([11, 12], (n_seeds, 1))
    return replace(planned_as(cards, protocol=protocol), indices=indices, **changes)


def easy(cards):
    """The same cards, every other seed's random host fitted by all."""
    planned = []
    for one in cards.planned:
        fits = one["host_log_probability"].copy()
        fits[0, 0, (one["host_seed"] % 2 == 0) & (one["host_kind"] == 0), 0] = -0.001
        planned.append(dict(one) | {"host_log_probability": fits})
    return replace(cards, planned=planned)


def test_the_crossed_population_is_the_one_whose_hosts_are_images():
    plain, ours = planted.cards(8, title="MNIST, 10 000 images"), on_the_same_hosts(8)
    assert judged.crossed({"a": plain, "b": ours}) is ours
    assert judged.crossed({"a": plain}) is None
    values = crossed.by_host_and_seed(ours)
    np.testing.assert_array_equal(values[:, 1], contrasts(ours, "12"))
    means = seeds.means(ours)
    first, second = ours.labels[0]
    assert values.mean(0)[1] > values.mean(0)[0]
    assert means["setting"].tolist() == [f"image 12, label {second}", f"image 11, label {first}"]  # the highest first
    np.testing.assert_allclose(means["contrast"], values.mean(0)[::-1])
    [points] = seeds.points(ours).values()
    assert points["setting"].unique().tolist() == means["setting"].tolist()
    np.testing.assert_array_equal(points["contrast"], values.T[::-1].ravel())


def test_noise_is_the_contrast_of_hosts_that_clean_models_fit():
    plain, ours = easy(planted.cards(24, title="MNIST, 10 000 images")), on_the_same_hosts(8)
    kept = clean_losses(plain)[:, 0] < 0.01
    assert kept.tolist() == [seed % 2 == 0 for seed in plain.seeds]
    found = judged.noise({"a": plain, "b": ours, "c": planted.cards(8, title="another")})
    np.testing.assert_array_equal(found, contrasts(plain, "random")[kept])
    short = judged.noise({"a": plain, "b": replace(ours, n_permutations=50)})
    np.testing.assert_array_equal(short, contrasts(replace(plain, n_permutations=50), "random")[kept])
    assert (short != found).any()
    assert len(judged.noise({"a": plain})) == 0


def claim(populations):
    planned = {name: registry.sweeps()[name] for name in registry.chapter("seeds", "paper")}
    return verdicts.verdicts(populations, planned=planned).set_index("claim").loc["C5"]


def test_the_claim_is_judged_by_the_spread():
    plain, ours = easy(planted.cards(24, title="MNIST, 10 000 images")), on_the_same_hosts()
    row = claim({"a": plain, "b": ours})
    spread = relative_spread(crossed.by_host_and_seed(ours), judged.noise({"a": plain, "b": ours}))
    assert (row["effect"], row["n"], row["unit"]) == (spread["estimate"], 30, "of the mean")
    assert claim({"a": plain, "b": planned_as(ours, needed=31)})["verdict"] == "not tested"
    assert claim({"a": planted.cards(24, title="MNIST, 10 000 images"), "b": ours})["verdict"] == "undecided"


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.26, 0.5, 0.01, "holds"),
        (0.26, 0.5, 0.05, "undecided"),
        (0.25, 0.5, 0.01, "undecided"),
        (0.0, 0.24, 0.5, "does not hold"),
        (0.0, 0.25, 0.5, "undecided"),
        (nan, nan, nan, "undecided"),
    ],
)
def test_the_rule_of_the_plan(low, high, p, expected):
    assert judged.varies(pd.DataFrame({"low": [low], "high": [high]}), p) == expected


def test_the_tables_of_the_chapter():
    values = np.random.default_rng(9).normal(0.3, 0.2, (30, 10))
    parts, null = components(values, n_resamples=50), np.array([0.1, 0.2, 0.4])
    assert len(seeds.printed_components(parts)) == 3
    [axis] = seeds.drawn_components(parts, null).axes
    assert [bar.get_width() for bar in axis.patches] == [*parts["estimate"], pytest.approx(null.std(ddof=1))]
    [ends] = axis.collections
    assert [[x for x, _ in one] for one in ends.get_segments()] == parts[["low", "high"]].to_numpy().tolist()
    assert axis.yaxis_inverted()  # the seed is above
    [axis] = seeds.drawn_components(parts, np.zeros(0)).axes
    assert len(axis.patches) == 3
    summary = seeds.summary(relative_spread(values, null), parts, null).set_index("quantity")
    assert np.isnan(summary.loc["spread over seeds", "estimate"])
    assert summary.loc["sd, noise", "estimate"] == pytest.approx(null.std(ddof=1))
    assert summary.loc["sd, host", "estimate"] == parts.set_index("component").loc["host", "estimate"]


def twice(shared=1.0, noise=0.05, n_seeds=12):
    """The second plan's seeds on two hosts under two roundings: D has a part of the seed and one of the rounding."""
    rng, made = np.random.default_rng(5), {}
    own = rng.normal(1, shared / 4, (n_seeds, 2))
    for name in second.ROUNDINGS:
        cards = planted.equal_age(n_seeds, setting=f"second plan, {name}", needed=n_seeds, title="MNIST, 10 000 images")
        shift = np.zeros_like(cards.arrays["ood_age_shift"], dtype=float)
        for kind in range(2):  # D is half of what the canary's letter moves on the label, all else being still
            values = own[:, kind] + rng.normal(0, noise, n_seeds)
            for place, label in enumerate(cards.labels[:, kind]):
                shift[place, 1 + 2 * kind, :, 0, label] = 2 * values[place]
        made[name] = replace(cards, arrays=dict(cards.arrays) | {"ood_age_shift": shift})
    return made


def test_the_spread_is_what_two_roundings_have_in_common():
    both = twice()
    values = np.stack([crossed.by_host_and_seed(cards, "control") for cards in both.values()])
    row = crossed.spread(both)
    covariance = np.mean([np.cov(values[0, :, host], values[1, :, host])[0, 1] for host in range(2)])
    assert row["estimate"] == pytest.approx(np.sqrt(covariance) / values.mean())
    shown = seeds.printed_spread(both, "paper")
    assert shown["D varies"].tolist() == [row["varies"], "–"]
    assert shown["seeds"].tolist() == [12, 12]
    said = seeds.twice_texts(both, "paper")
    mean, rounding, alike = map(float, re.findall(r"\d\.\d+", said["twice_said"]))
    assert rounding == pytest.approx((values[0] - values[1]).std(ddof=1) / 2**0.5, abs=5e-4)
    assert mean == pytest.approx(values.mean(), abs=5e-4)
    assert alike > 0.8
    assert said["share_said"].endswith(f"of the mean. In the second plan's words it varies: {row['varies']}.")
    assert f" {row['estimate']:.2f} (" in said["share_said"]
    points = np.concatenate(
        [one.get_offsets() for one in seeds.drawn_twice(seeds.both_roundings(both)).axes[0].collections]
    )
    np.testing.assert_allclose(np.sort(points[:, 0]), np.sort(values[0].ravel()))


def test_while_seeds_are_missing_the_page_says_so():
    few = {"a": next(iter(twice().values()))}
    for profile in ("paper", "embedded"):
        assert set(seeds.twice_texts(few, profile).values()) == {seeds.WAITING}
        assert seeds.printed_spread(few, profile)["D varies"].tolist() == [Varies.OPEN] * 2
    figure = seeds.drawn_twice(seeds.both_roundings(few))
    [text] = figure.axes[0].texts
    assert text.get_text() == seeds.WAITING
    assert figure.get_figheight() < 1  # no empty screen


def test_the_rehearsal_says_no_word_of_the_claim():
    both = twice()
    said = [*seeds.twice_texts(both, "embedded").values(), *seeds.printed_spread(both, "embedded")["D varies"]]
    said.append(seeds.reading_said(ROW, "embedded"))
    words = [*Varies, *judged.Reading]
    assert [word for text in said for word in words if word in text] == []
    assert sum(texts.REHEARSED in text for text in said) == 3
    assert (
        seeds.reading_said(ROW, "paper") == f"0.300 (0.260 to 0.400) of the mean; in its words: {judged.Reading.VARIES}"
    )


def test_the_second_plans_seeds_are_not_the_first_ones():
    assert judged.crossed(twice()) is None


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {
    "drawn_twice": lambda some: [seeds.both_roundings(twice())],
    "drawn_components": lambda some: [
        components(np.random.default_rng(9).normal(0.3, 0.2, (30, 10)), n_resamples=50),
        np.array([0.1, 0.2]),
    ],
}
PANELS = dict.fromkeys(DRAWN, 1)
