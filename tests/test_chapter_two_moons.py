"""The follow-up's toy: its samples, its test, models trained as a stack, and the words that its rules give."""

import re
from dataclasses import fields, replace
from math import sqrt

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from ufm import paths
from ufm.chapters import two_moons as chapter
from ufm.chapters.two_moons import ACCESS, KNOWS, MODELS, PUBLISHED, Toy
from ufm.networks.build import build
from ufm.networks.mlp import MLP
from ufm.statistics import Interval

SMALL = Toy(n_train=24, n_scored=20, hidden=(8, 8), epochs=40)


def made_up(n_seeds=20, *, learnt=1.0, flagged=("canary",)):
    """A table as `by_seed` has it, whose canaries lie `learnt` above their controls; some models are always flagged."""
    rng, rows = np.random.default_rng(0), []
    for seed in range(n_seeds):
        own = rng.standard_normal()
        for model in MODELS:
            for access in ACCESS:
                effect = own + {"canary": learnt, "control": 0.0, "placebo": -learnt}[model] + rng.normal(0, 0.1)
                p = 0.01 if model in flagged else 0.5
                scores = {f"{name}_{knows}": value for knows in KNOWS for name, value in (("score", own), ("p", p))}
                rows.append({"seed": seed, "model": model, "access": access} | scores | {"effect": effect})
    return pd.DataFrame(rows)


# What its figures are drawn from (tests/test_figures.py).
DRAWN = {
    "drawn_shares": lambda some: [chapter.shares(made_up())],
    "drawn_effects": lambda some: [made_up()],
    "drawn_toy": lambda some: [chapter.drawn(Toy(), 0), 1.0],
}
PANELS = {"drawn_shares": 2, "drawn_effects": 1, "drawn_toy": 2}


def test_the_score_and_its_test_by_hand():
    """Three samples of label 1 whose probability rises by 0.1, 0.2 and 0.6."""
    p_clean = np.array([[0.9, 0.1], [0.5, 0.5], [0.8, 0.2], [0.7, 0.3]])
    p_unique = np.array([[0.8, 0.2], [0.9, 0.1], [0.6, 0.4], [0.1, 0.9]])
    score, p = chapter.follow_up_test(p_clean, p_unique, [1, 0, 1, 1], 1)
    assert score == pytest.approx(0.3)
    t = 0.3 / (sqrt((0.04 + 0.01 + 0.09) / 2) / sqrt(3))
    assert p == pytest.approx(0.5 - t / (2 * sqrt(t * t + 2)))  # Student's distribution of two degrees of freedom
    assert p == pytest.approx(stats.t.sf(t, 2))
    assert chapter.follow_up_test(p_clean[:2], p_unique[:2], [0, 0], 0)[0] == pytest.approx((-0.1 + 0.4) / 2)
    _, fallen = chapter.follow_up_test(p_unique, p_clean, [1, 0, 1, 1], 1)
    assert fallen == pytest.approx(1 - p)  # one-sided


def test_without_noise_samples_lie_on_their_moons():
    samples, labels = chapter.moons(50, noise=0.0, third=0.0, rng=np.random.default_rng(0))
    centres = np.array([[0, 0], [1, 0.5]])[labels]
    np.testing.assert_allclose(np.linalg.norm(samples[:, :2] - centres, axis=1), 1)
    above = samples[:, 1] - centres[:, 1] > 0
    np.testing.assert_array_equal(above, labels == 0)
    assert not samples[:, 2].any()
    assert np.bincount(labels).tolist() == [25, 25]


def test_noise_spreads_as_it_says():
    rng = np.random.default_rng(0)
    samples, labels = chapter.moons(4000, noise=0.0, third=0.5, rng=rng)
    assert samples[:, 2].std() == pytest.approx(0.5, rel=0.05)
    noisy, still = (chapter.drawn(Toy(noise=noise, n_train=4000), 0).samples["white-box"] for noise in (0.25, 0.0))
    assert (noisy - still)[:, :2].std() == pytest.approx(0.25, rel=0.05)
    assert not (noisy - still)[:, 2].any()


def test_samples_from_elsewhere_lie_evenly_about_the_moons():
    samples, labels = chapter.elsewhere(4000, third=0.0, rng=np.random.default_rng(0))
    np.testing.assert_allclose(samples.mean(0), [0.5, 0.25, 0], atol=0.1)
    assert (samples.min(0) >= [-1.5, -1, 0]).all()
    assert (samples.max(0) <= [2.5, 1.5, 0]).all()
    assert np.bincount(labels).tolist() == [2000, 2000]


def test_models_of_a_seed_differ_in_the_host_alone():
    one = chapter.drawn(SMALL, 3)
    canary, control, placebo = chapter.trained_on(replace(SMALL, feature=2.0), one)
    np.testing.assert_array_equal(control, one.samples["white-box"])
    others = np.arange(SMALL.n_train) != one.host
    for changed, value in ((canary, 2.0), (placebo, -2.0)):
        np.testing.assert_array_equal(changed[others], control[others])
        assert changed[one.host].tolist() == [*control[one.host, :2], value]


def test_seeds_differ_and_sets_are_of_their_own():
    first, again, other = (chapter.drawn(SMALL, seed) for seed in (0, 0, 1))
    for access in ACCESS:
        np.testing.assert_array_equal(first.samples[access], again.samples[access])
        assert not np.isclose(first.samples[access][:, :2], other.samples[access][:, :2]).any()
    assert not np.isin(first.samples["white-box"][:, 0], first.samples["grey-box"][:, 0]).any()
    hosts = {chapter.drawn(SMALL, seed).host for seed in range(200)}
    assert hosts == set(range(SMALL.n_train))


def plainly(toy, seed, samples, labels):
    """One model trained by torch's own module and optimiser."""
    network = build(MLP(hidden=toy.hidden), (1, 1, 3), 2, seed=seed, scope="two moons", dtype=torch.float64)
    optimiser = torch.optim.Adam(network.parameters(), lr=toy.learning_rate, eps=1e-8)
    for _ in range(toy.epochs):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(torch.tensor(samples)), torch.tensor(labels)).backward()
        optimiser.step()
    return lambda x: network(torch.tensor(x)).log_softmax(-1).detach().numpy()


def test_a_seed_is_trained_and_scored_as_in_a_plain_loop():
    table = chapter.by_seed(SMALL, range(4, 6)).set_index(["seed", "model", "access"])
    assert len(table) == 2 * len(MODELS) * len(ACCESS)
    one = chapter.drawn(SMALL, 5)
    y = int(one.labels["white-box"][one.host])
    for model, samples in zip(MODELS, chapter.trained_on(SMALL, one), strict=True):
        answers = plainly(SMALL, 5, samples, one.labels["white-box"])
        for access in ACCESS:
            row = table.loc[(5, model, access)]
            clean, labels = one.samples[access], one.labels[access]
            unique = clean * [1, 1, 0] + [0, 0, SMALL.feature]
            rise = np.exp(answers(unique)) - np.exp(answers(clean))
            scores = [rise[labels == label, label].mean() for label in (0, 1)]
            guess = int(np.argmax(scores))
            odds = [answers(x)[:, y] - answers(x)[:, 1 - y] for x in (unique, clean)]
            expected = {"effect": (odds[0] - odds[1]).mean() / 2}
            for knows, label in (("known", y), ("unknown", guess)):
                p = stats.ttest_1samp(rise[labels == label, label], 0, alternative="greater").pvalue
                expected |= {f"score_{knows}": scores[label], f"p_{knows}": p}
            assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_how_many_seeds_are_trained_at_once_changes_nothing(monkeypatch):
    found = []
    for at_once in (3, 2):
        monkeypatch.setattr(chapter, "AT_ONCE", at_once)
        found.append(chapter.by_seed(SMALL, range(3)).set_index(["seed", "model", "access"]).sort_index())
    pd.testing.assert_frame_equal(*found, rtol=1e-9)


def test_a_feature_that_no_weight_reads_moves_nothing_and_flags_nobody():
    table = made_up().assign(p_known=np.nan)
    assert chapter.flagged(table, "canary").estimate == 0


def test_shares_and_paired_effects():
    table = made_up(flagged=("canary", "placebo"))
    found = chapter.shares(table).set_index(["knows", "access", "model"])
    assert len(found) == len(KNOWS) * len(ACCESS) * len(MODELS)
    assert found.loc[("unknown", "grey-box", "canary"), "estimate"] == 1
    low, high = found.loc[("known", "white-box", "control"), ["low", "high"]]
    assert (low, high) == pytest.approx((0, 1 - 0.025 ** (1 / 20)))  # Clopper and Pearson's, of none in 20
    border = table.assign(p_known=np.where(table["model"] == "control", 0.05, 0.05 + 1e-12))
    assert (chapter.flagged(border, "control").estimate, chapter.flagged(border, "canary").estimate) == (1, 0)
    effects = chapter.differences(table).set_index("quantity")["estimate"]
    of = table[table["access"] == "grey-box"].groupby("model")["effect"].mean()
    assert effects["canary less placebo"] == pytest.approx(of["canary"] - of["placebo"])
    assert effects["placebo less control"] == pytest.approx(of["placebo"] - of["control"])


def test_settings_stand_beside_what_is_published():
    found = {toy: made_up(learnt=1 + toy.noise) for toy in chapter.SWEEP.values()}
    table = chapter.compared(found, chapter.SWEEP)
    assert table["setting"].tolist() == list(PUBLISHED)
    assert table["learnt"].tolist() == pytest.approx(
        [chapter.difference(found[Toy(noise=noise)], "canary", "control").estimate for noise in PUBLISHED]
    )
    printed = chapter.printed_settings(table, "noise", PUBLISHED)
    assert printed["noise"].tolist() == ["0.0", "0.1", "0.25", "0.5"]
    assert printed["published, theirs"].tolist() == ["0.826", "0.414", "0.746", "0.644"]
    assert "published, theirs" not in chapter.printed_settings(table, "setting")


@pytest.mark.parametrize(("low", "expected"), [(0.05, False), (0.0501, True), (0.0, False)])
def test_the_test_flags_the_innocent_where_the_lower_end_is_above_its_level(low, expected):
    assert chapter.flags_the_innocent(Interval(0.9, low, 1.0, 20)) is expected


@pytest.mark.parametrize(
    ("lows", "expected"),
    [((0.1, 0.1), True), ((0.1, 0.0), False), ((-0.1, 0.1), False), ((0.1, np.nan), False)],
)
def test_memorised_is_what_lies_above_control_and_placebo(lows, expected):
    assert chapter.is_learnt(*(Interval(1.0, low, 2.0, 20) for low in lows)) is expected


def test_shares_that_lie_apart_are_told_from_those_that_overlap():
    table, seeds = made_up(), np.arange(20).repeat(9)
    for n_controls, expected in ((9, "lie apart"), (16, "overlap")):  # 0.83 to 1 of the canaries
        flagged = (table["model"] == "canary") | ((table["model"] == "control") & (seeds < n_controls))
        assert chapter.texts({Toy(): table.assign(p_known=np.where(flagged, 0.01, 0.5))})["apart"] == expected


@pytest.mark.parametrize("learnt", [0.0, 1.0])
@pytest.mark.parametrize("flagged", [(), ("canary", "control")])
def test_words_follow_from_values(learnt, flagged):
    found = {toy: made_up(learnt=learnt, flagged=flagged) for toy in (Toy(), *chapter.VARIED.values())}
    said = chapter.texts(found)
    assert said["feature"] == ("memorised" if learnt else "not shown to be memorised")
    assert said["test"].startswith("flags models that never saw" if flagged else "is not shown to flag")
    assert said["ways"] == ("6 of 6" if flagged else "0 of 6")
    assert said["settings"] == "5"
    assert said["apart"] == "overlap"
    assert said["settings_flagged"] == ("5" if flagged else "0")
    assert said["settings_learnt"] == ("5" if learnt else "0")
    share = (found[Toy()].query("model == 'control' and access == 'grey-box'")["score_unknown"] > 0).mean()
    assert said["positive"] == f"{share:.2f}"
    page = (paths.NOTEBOOKS / "two-moons.md").read_text(encoding="utf-8")
    assert set(re.findall(r"glue:text}`(\w+)`", page)) - {"n_seeds"} <= said.keys()


def test_a_large_effect_that_control_or_placebo_share_is_not_called_memorised():
    shared = made_up().assign(effect=lambda table: np.where(table["model"] == "control", 0.0, 2.0))
    jitter = shared["effect"] + np.random.default_rng(1).normal(0, 0.1, len(shared))
    assert chapter.texts({Toy(): shared.assign(effect=jitter)})["feature"] == "not shown to be memorised"


def test_every_setting_is_told_and_trained_once(monkeypatch):
    assert list(chapter.CHOSEN) == [field.name for field in fields(Toy)]
    assert chapter.choices(Toy(hidden=(4, 5)))["value"].tolist()[5] == "4–5"
    asked = []
    monkeypatch.setattr(chapter, "by_seed", lambda toy, seeds: asked.append((toy, list(seeds))))
    assert set(chapter.by_setting(7, 2)) == {*chapter.VARIED.values(), *chapter.SWEEP.values()}
    assert len(asked) == len(chapter.VARIED) + len(chapter.SWEEP) - 1  # the planned noise stands in both
    assert {tuple(seeds) for _, seeds in asked} == {(7, 8)}


def test_one_seed_is_refused():
    with pytest.raises(ValueError, match="^n_seeds: intervals over seeds need at least two, not 1$"):
        chapter.by_setting(0, 1)


def test_the_figures_show_what_was_found():
    table = made_up()
    shown = chapter.drawn_effects(table).axes[0]
    points = {one.get_label(): one.get_offsets() for one in shown.collections}
    effects = table[table["access"] == "grey-box"].pivot(index="seed", columns="model", values="effect")
    np.testing.assert_allclose(points["canary"], effects[["control", "canary"]])
    one = chapter.drawn(Toy(), 0)
    above, side = chapter.drawn_toy(one, 1.5).axes
    assert side.collections[-1].get_offsets().tolist() == [[one.samples["white-box"][one.host, 0], 1.5]]
    assert sum(len(points.get_offsets()) for points in above.collections) == Toy().n_train
