"""The contrast after every epoch, on made-up cards."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest

from ufm import paths
from ufm.chapters import when
from ufm.evidence import contrasts, contrasts_of_specific, planned_as, specific_effects
from ufm.plan import when as plan
from ufm.plan.profiles import PROFILES

N_SEEDS, N_EPOCHS = 10, 4
GROWTH = np.array([0.0, 0.5, 1.0, 2.0])  # of the contrast, by epoch


@pytest.fixture(scope="module")
def cards():
    """Contrasts that grow from epoch to epoch; held-out losses that are lowest after epoch 2, or 3 for seed 1001."""
    short = planted.three(plan.EPOCH_BY_EPOCH, N_SEEDS, title="MNIST, 10 000 images", effect=0.4)
    by_epoch = {
        f"epoch_{name}_effect": specific_effects(short, name)[:, :, None, :2] * GROWTH[:, None, None]
        for name in ("ood", "test")
    }
    fits = np.zeros((N_SEEDS, 3, N_EPOCHS, 1, 3), np.float16)
    fits[:, 1, :, 0, 0], fits[:, 1, :, 0, 1], fits[:, 0, :, 0, 0] = -3, -0.5, -np.arange(4)
    histories = []
    for seed in short.seeds:
        losses = np.zeros((3, N_EPOCHS, 3), np.float32)
        losses[:, :, 0] = [4, 3, 2, 1]
        losses[:, :, 1] = [4, 2, 3, 3.5] if seed != 1001 else [4, 3, 2, 3]
        losses[0, :, :2] = 9  # the control's
        histories.append(losses)
    arrays = dict(short.arrays) | by_epoch | {"epoch_host_log_probability": fits}
    return replace(short, arrays=arrays, histories=histories)


def test_a_row_a_seed_and_epoch(cards):
    table = when.by_seed(cards)
    assert len(table) == N_SEEDS * N_EPOCHS
    final = contrasts(cards, "hard")
    for place, seed in enumerate(cards.seeds):
        rows = table[table["seed"] == seed]
        assert rows["epoch"].tolist() == [1, 2, 3, 4]
        np.testing.assert_allclose(rows["contrast"], final[place] * GROWTH, atol=1e-12)
        assert rows["train_loss"].tolist() == [4, 3, 2, 1]
        assert rows["control"].tolist() == [0, -1, -2, -3]
        assert set(rows["plain"]) == {-3}
        assert set(rows["letter"]) == {-0.5}
    test = contrasts(cards, "hard", "test")
    np.testing.assert_allclose(table.loc[table["epoch"] == 3, "contrast_test"], test, atol=1e-12)


def test_early_stopping_would_keep_each_models_own_epoch(cards):
    kept = when.kept_epochs(cards)
    assert kept.shape == (N_SEEDS, 3)
    assert kept[:, 1].tolist() == kept[:, 2].tolist() == [3 if seed == 1001 else 2 for seed in cards.seeds]
    assert kept[:, 0].tolist() == [1] * N_SEEDS  # the control's loss never falls


def test_training_ends_before_a_later_minimum_where_patience_ends(cards):
    impatient = replace(cards.protocol, training=replace(cards.protocol.training, patience=2))
    history = np.zeros((3, 6, 3), np.float32)
    history[:, :, 1] = [4, 3, 3.5, 3.2, 1, 1]  # lowest after epoch 5, which is not reached
    found = when.kept_epochs(replace(planned_as(cards, protocol=impatient), histories=[history] * N_SEEDS))
    assert set(found.ravel()) == {2}
    patient = replace(cards.protocol, training=replace(cards.protocol.training, patience=3))
    found = when.kept_epochs(replace(planned_as(cards, protocol=patient), histories=[history] * N_SEEDS))
    assert set(found.ravel()) == {5}


def test_the_contrast_of_kept_models_has_each_at_its_own_epoch(cards):
    histories = [history.copy() for history in cards.histories]
    for history in histories:
        history[2, :, 1] = [4, 3, 2, 1]  # the placebo's is lowest at the end
    other = replace(cards, histories=histories)
    effects = np.stack(
        [
            [seed[0, 0], seed[1, 2 if number == 1001 else 1], seed[2, 3]]
            for number, seed in zip(cards.seeds, cards.arrays["epoch_ood_effect"], strict=True)
        ]
    )
    np.testing.assert_array_equal(when.contrasts_kept(other), contrasts_of_specific(cards, "hard", effects))


def test_means_and_summary(cards):
    averages = when.means(when.by_seed(cards))
    mean = contrasts(cards, "hard").mean()
    np.testing.assert_allclose(averages["contrast"], mean * GROWTH, atol=1e-12)
    assert (averages["contrast_low"][1:] < averages["contrast"][1:]).all()
    summary = when.summary(cards).set_index("quantity")["estimate"]
    assert summary["kept epoch"] == pytest.approx(2.1)
    assert summary["contrast after the last epoch"] == pytest.approx(2 * mean)
    own = contrasts(cards, "hard") * np.where(cards.seeds == 1001, 1.0, 0.5)
    assert summary["contrast at the kept epoch"] == pytest.approx(own.mean())
    assert summary["last less kept epoch"] == pytest.approx(2 * mean - own.mean())
    assert summary["control host after the last epoch"] == -3
    said = when.texts(when.summary(cards))
    assert said["kept_epoch"] == "2"
    assert said["contrast_after_the_last_epoch"] == f"{2 * mean:.3f}"
    assert said["control_host_after_the_last_epoch"] == "0.050"  # e⁻³
    page = (paths.NOTEBOOKS / "when.md").read_text(encoding="utf-8")
    assert set(re.findall(r"glue:text}`(\w+)`", page)) - {"seeds", "first"} <= said.keys()


@pytest.mark.parametrize(
    ("low", "expected"),
    [
        ([0.1, 0.1, 0.1], "stays above zero from epoch 1 on"),
        ([0.1, 0.0, 0.1], "stays above zero from epoch 3 on"),
        ([-1, np.nan, 0.1], "stays above zero from epoch 3 on"),
        ([0.1, 0.1, -0.1], "reaches zero at the end"),
    ],
)
def test_from_which_epoch_on_there_is_a_contrast(low, expected):
    assert when.first_above_zero(pd.DataFrame({"epoch": [1, 2, 3], "contrast_low": low})) == expected


def test_the_figure_shows_every_seed_and_three_groups_of_lines(cards):
    table = when.by_seed(cards)
    averages = when.means(table)
    figure = when.drawn_epochs(table, averages, 2.1)
    contrast, fit, loss = figure.axes
    assert len(contrast.lines) == N_SEEDS + 2 + 2  # seeds, two means, the kept epoch and zero
    assert [line.get_label() for line in fit.lines[:3]] == [
        "host with the letter",
        "host without it",
        "host in the control",
    ]
    np.testing.assert_allclose(contrast.lines[N_SEEDS].get_ydata(), averages["contrast"])
    assert loss.lines[2].get_xdata()[0] == pytest.approx(2.1)


def test_models_are_trained_to_the_end():
    for profile in PROFILES:
        [sweep] = plan.sweeps(profile).values()
        protocol = sweep.protocol
        assert (protocol.training.early_stopping, protocol.measure) == ("none", "epoch card")
        assert protocol.control


def by_epoch(populations):
    """What `when.by_seed` and `when.means` make, and a kept epoch."""
    rng = np.random.default_rng(4)
    rows = [{"seed": seed, "epoch": epoch} for seed in range(1, 6) for epoch in range(1, 5)]
    table = pd.DataFrame(rows).assign(**{name: rng.random(20) for name in when.MEASURED})
    return [table, when.means(table), 2.5]


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {"drawn_epochs": by_epoch}
PANELS = {"drawn_epochs": 3}
