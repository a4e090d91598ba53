"""Tables of a seed against linear models whose outputs are worked out pixel by pixel in NumPy."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from plain import varied
from scipy.special import log_softmax, softmax
from torch import nn

from ufm import features, scores
from ufm.data.datasets import load, ood_images
from ufm.data.on_device import to_device
from ufm.measures.scored import host_fit, model_row, outputs, random_features, response, score_seed
from ufm.measures.walkthrough import EXAMPLES, example_outputs, settling, walk_through
from ufm.networks import MLP
from ufm.protocol import Protocol, Scoring
from ufm.study.seeds import experiments
from ufm.training import Trained

SEED, N_OOD, N_EFFECT, N_PERMUTATIONS, N_RANDOM = 1, 40, 15, 4, 2
PROTOCOL = Protocol(
    dataset="digits",
    n_train=400,
    model=MLP(hidden=(4,)),
    scoring=Scoring("photo_patches", N_OOD, N_EFFECT, N_PERMUTATIONS, N_RANDOM),
    position=(2, 1),
)
HISTORY = [
    {"epoch": epoch, "train_loss": 1 / epoch, "stopping_loss": 2 / epoch, "stopping_accuracy": 0.5}
    for epoch in (1, 2, 3)
]


@pytest.fixture(scope="module")
def data():
    return to_device(load("digits", n_train=400, part=SEED), precision="float64")


@pytest.fixture(scope="module")
def ood():
    return ood_images("photo_patches", n=N_OOD)


@pytest.fixture(scope="module")
def trained(data):
    """A control and canaries on two hosts of different labels: three linear models."""
    control, canary = experiments(PROTOCOL, SEED, data.dataset)
    other = int(np.flatnonzero(data.dataset.train_labels != canary.canary_label)[5])
    hard = replace(
        canary,
        host="hard",
        canary_index=int(data.dataset.train_indices[other]),
        canary_label=int(data.dataset.train_labels[other]),
    )
    return [
        Trained(linear(number), one, best_epoch=2, history=HISTORY)
        for number, one in enumerate((control, canary, hard))
    ]


@pytest.fixture(scope="module")
def rows(trained, data, ood):
    """The rows of scores by role and kind of host."""
    table = score_seed(PROTOCOL, trained, data, ood).tables["scores"]
    return {(row["role"], row["host"]): row for row in table.to_dict("records")}


def linear(number):
    draws = np.random.default_rng(number)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, dtype=torch.float64))
    model[1].weight.data = torch.tensor(draws.normal(0, 0.03, (10, 784)))
    model[1].bias.data = torch.tensor(draws.normal(0, 0.5, 10))
    return model


def logits(one, images, data, inputs="normalised"):
    """Outputs (n, 10) of a linear model for images (n, 1, 28, 28) in [0, 1]."""
    images = np.asarray(images, dtype=np.float64)
    if inputs == "normalised":
        images = (images - data.dataset.mean[0]) / data.dataset.std[0]
    weight, bias = (values.detach().numpy() for values in one.model.parameters())
    return np.stack([weight @ image.ravel() + bias for image in images])


def stamp(images, stamps):
    """Images (n, 1, 28, 28) with a feature (5, 5), or each with its own (n, 1, 5, 5), at row 2 and column 1."""
    images = np.array(images, dtype=np.float64)
    images[:, :, 2:7, 1:6] = stamps
    return images


def host_of(trained, kind):
    return next(one.experiment for one in trained if one.experiment.host == kind)


def every_row(trained):
    """Model, role and kind of host of every row that is to be there."""
    control, canary, hard = trained
    kinds = [("control", "random"), ("control", "hard"), ("canary", "random"), ("canary", "hard")]
    return [(one, *kind) for one, kind in zip((control, control, canary, hard), kinds, strict=True)]


# Rows and columns


def test_the_columns(trained, data, ood):
    tables = score_seed(PROTOCOL, trained, data, ood).tables
    who = ["fingerprint", "dataset", "n_train", "model", "variant", "seed", "part", "role", "host"]
    who += ["canary_index", "canary_label", "feature"]
    published = ["memorisation_score", "kl_unique", "label_known_score", "label_guess", "label_guess_score"]
    assert {name: list(table.columns) for name, table in tables.items()} == {
        "models": [*who, "epochs", "best_epoch", "train_loss", "stopping_loss", "loss", "accuracy"],
        "scores": [
            *who,
            "ood_set",
            "n_ood",
            *published,
            *(f"{name}_raw" for name in published),
            "label_known_score_test",
            "patch_effect",
            "specific_effect",
            "patch_effect_test",
            "specific_effect_test",
            "host_log_probability",
            "host_log_probability_feature",
        ],
    }
    assert not tables["scores"].isna().any(axis=None)


def test_a_row_per_model_and_host_and_the_control_under_each_host(trained, data, ood):
    table = score_seed(PROTOCOL, trained, data, ood).tables["scores"]
    common = {"dataset": "digits", "n_train": 400, "model": "mlp", "variant": "plain", "seed": SEED, "part": 1}
    for (one, role, kind), row in zip(every_row(trained), table.to_dict("records"), strict=True):
        host = host_of(trained, kind)
        expected = common | {
            "fingerprint": one.experiment.fingerprint(),
            "role": role,
            "host": kind,
            "canary_index": host.canary_index,
            "canary_label": host.canary_label,
            "feature": "A",
            "ood_set": "photo_patches",
            "n_ood": N_OOD,
        }
        assert {name: row[name] for name in expected} == expected


def test_the_full_size_is_written_as_a_number(trained, data):
    whole = replace(trained[0], experiment=varied(trained[0].experiment, n_train=None))
    assert model_row(whole, data)["n_train"] == 1200


# Scores


@pytest.mark.parametrize(("suffix", "inputs"), [("", "normalised"), ("_raw", "raw")])
def test_scores_are_those_of_the_models_outputs(suffix, inputs, trained, rows, data, ood):
    drawn = features.random_features(N_RANDOM * N_OOD, seed=SEED, scope="digits/400")
    for one, role, kind in every_row(trained):
        p_clean = softmax(logits(one, ood.images, data, inputs), axis=1)
        p_unique = softmax(logits(one, stamp(ood.images, features.letter("A")), data, inputs), axis=1)
        p_random = np.stack(
            [softmax(logits(one, stamp(ood.images, each), data, inputs), axis=1) for each in np.split(drawn, N_RANDOM)]
        )
        label = host_of(trained, kind).canary_label
        expected = {
            "memorisation_score": scores.memorisation_score(p_clean, p_unique, p_random),
            "kl_unique": scores.kl_divergence(p_clean, p_unique).mean(),
            "label_known_score": scores.label_known_score(p_unique, p_random, ood.labels, label),
            "label_guess": scores.label_guess(p_unique, p_random),
            "label_guess_score": scores.label_guess_score(p_unique, p_random),
        }
        for name, value in expected.items():
            assert rows[role, kind][name + suffix] == pytest.approx(value, rel=1e-9), (role, kind, name)


def test_the_test_images_score_uses_the_reported_half(trained, rows, data):
    images, labels = data.dataset.test_images[data.reported] / 255, data.dataset.test_labels[data.reported]
    drawn = features.random_features(len(images), seed=SEED, scope="digits/400")
    for one, role, kind in every_row(trained):
        p_unique = softmax(logits(one, stamp(images, features.letter("A")), data), axis=1)
        p_random = softmax(logits(one, stamp(images, drawn), data), axis=1)
        expected = scores.label_known_score(p_unique, p_random, labels, host_of(trained, kind).canary_label)
        assert rows[role, kind]["label_known_score_test"] == pytest.approx(expected, rel=1e-9)


def test_the_control_is_scored_under_the_hosts_label(rows):
    one, other = rows["control", "random"], rows["control", "hard"]
    assert one["canary_label"] != other["canary_label"]
    label_free = ("memorisation_score", "kl_unique", "label_guess", "label_guess_score")
    assert [one[name] for name in label_free] == [other[name] for name in label_free]
    labelled = ("label_known_score", "patch_effect", "specific_effect")
    labelled += (*(f"{name}_test" for name in labelled), "host_log_probability", "host_log_probability_feature")
    assert not any(one[name] == other[name] for name in labelled)


def test_control_and_canary_are_scored_on_the_same_random_features(trained, data, ood):
    control, canary, _ = trained
    twins = [control, replace(canary, model=control.model)]
    one, other = score_seed(PROTOCOL, twins, data, ood).tables["scores"].to_dict("records")
    assert {name for name in one if one[name] != other[name]} == {"fingerprint", "role"}


def test_the_random_features_are_the_seeds(data):
    random = random_features(PROTOCOL, N_OOD, SEED, data, n_random=N_RANDOM)
    drawn = features.random_features(N_RANDOM * N_OOD, seed=SEED, scope="digits/400")
    assert np.array_equal(random, drawn.reshape(N_RANDOM, N_OOD, 1, 5, 5))
    assert not np.array_equal(random_features(PROTOCOL, N_OOD, SEED + 3, data)[0], random[0])


def test_outputs_equal_those_on_stamped_images(data, ood, trained):
    random = random_features(PROTOCOL, N_OOD, SEED, data, n_random=N_RANDOM)
    letter = features.letter("A")
    p_clean, p_unique, p_random = outputs(response(trained[1], data.floats(ood.images), data), letter, random)

    def expected(images):
        return softmax(logits(trained[1], images, data), axis=1)

    np.testing.assert_allclose(p_clean, expected(ood.images), atol=1e-12)
    np.testing.assert_allclose(p_unique, expected(stamp(ood.images, letter)), atol=1e-12)
    for p, pixels in zip(p_random, random, strict=True):
        np.testing.assert_allclose(p, expected(stamp(ood.images, pixels)), atol=1e-12)


# Effects and the host


def centred(values):
    return values - values.mean()


@pytest.mark.parametrize(("suffix", "which"), [("", "ood"), ("_test", "reported")])
def test_effects_equal_a_naive_loop(suffix, which, trained, rows, data, ood):
    images = ood.images if which == "ood" else data.dataset.test_images[data.reported] / 255
    images = images[:N_EFFECT]
    letter = features.letter("A")
    permutations = features.permutations(letter, N_PERMUTATIONS)

    def effect(one, feature, label):
        shifts = []
        for image in images:
            clean, stamped = logits(one, np.stack([image, stamp([image], feature)[0]]), data)
            shifts.append(centred(stamped)[label] - centred(clean)[label])
        return sum(shifts) / len(shifts)

    for one, role, kind in every_row(trained):
        label = host_of(trained, kind).canary_label
        patch = effect(one, letter, label)
        others = [effect(one, permutation[0], label) for permutation in permutations]
        row = rows[role, kind]
        assert row[f"patch_effect{suffix}"] == pytest.approx(patch, rel=1e-9)
        assert row[f"specific_effect{suffix}"] == pytest.approx(patch - sum(others) / len(others), rel=1e-9)


def test_host_fit_is_the_log_probability_of_the_hosts_label(trained, rows, data):
    for one, role, kind in every_row(trained):
        host = host_of(trained, kind)
        plain = load("digits").train_images[[host.canary_index]] / 255
        both = np.concatenate([plain, stamp(plain, features.letter("A"))])
        expected = log_softmax(logits(one, both, data), axis=1)[:, host.canary_label]
        row = rows[role, kind]
        assert row["host_log_probability"] == pytest.approx(expected[0], rel=1e-9)
        assert row["host_log_probability_feature"] == pytest.approx(expected[1], rel=1e-9)
        assert host_fit(one, host, data).items() <= row.items()


# Models


def test_accuracy_and_loss_are_of_the_reported_half(trained, data):
    watched, reported = (
        (data.dataset.test_images[half] / 255, data.dataset.test_labels[half]) for half in data.dataset.halves()
    )
    for one in trained:
        row = model_row(one, data)
        log_p, seen = (log_softmax(logits(one, images, data), axis=1) for images, _ in (reported, watched))
        assert row["accuracy"] == pytest.approx((log_p.argmax(axis=1) == reported[1]).mean(), abs=1e-12)
        assert row["loss"] == pytest.approx(-log_p[np.arange(len(log_p)), reported[1]].mean(), rel=1e-9)
        assert row["loss"] != pytest.approx(-seen[np.arange(len(seen)), watched[1]].mean(), rel=1e-9)


def test_a_models_row_tells_its_best_epoch(trained, data, ood):
    table = score_seed(PROTOCOL, trained, data, ood).tables["models"]
    assert table["role"].tolist() == ["control", "canary", "canary"]
    assert table["host"].tolist() == ["", "random", "hard"]
    assert table["canary_index"].tolist() == [None, *(one.experiment.canary_index for one in trained[1:])]
    for row in table.to_dict("records"):
        assert (row["epochs"], row["best_epoch"], row["train_loss"], row["stopping_loss"]) == (3, 2, 0.5, 1.0)


# The walk through a score


def test_settling_equals_naive_prefixes():
    draws = np.random.default_rng(0)
    kl_unique, kl_random = draws.random(120), draws.random((5, 120))
    table = settling("control", kl_unique, kl_random)
    assert set(table["role"]) == {"control"}
    steps = list(zip(table["n_images"], table["n_random"], strict=True))
    assert steps == [(n, r) for n in (10, 30, 100, 120) for r in (1, 3, 5)]
    for (n, r), score in zip(steps, table["memorisation_score"], strict=True):
        unique = sum(kl_unique[i] for i in range(n)) / n
        random = sum(kl_random[j, i] for i in range(n) for j in range(r)) / (n * r)
        assert score == pytest.approx(unique - random, rel=1e-12)


@pytest.mark.parametrize(
    ("n_images", "n_random", "steps"),
    [
        (10, 1, [(10, 1)]),
        (7, 2, [(7, 1), (7, 2)]),
        (31, 3, [(10, 1), (10, 3), (30, 1), (30, 3), (31, 1), (31, 3)]),
    ],
)
def test_settling_ends_with_everything(n_images, n_random, steps):
    table = settling("canary", np.ones(n_images), np.zeros((n_random, n_images)))
    assert list(zip(table["n_images"], table["n_random"], strict=True)) == steps
    assert table["memorisation_score"].tolist() == [1.0] * len(steps)


@pytest.mark.parametrize("n_images", [3, 20])
def test_example_outputs_are_distributions(n_images):
    p_clean, p_unique, p_random = softmax(np.random.default_rng(0).normal(size=(3, n_images, 10)), axis=2)
    table = example_outputs("canary", p_clean, p_unique, p_random)
    sums = table.groupby(["image", "version"])["probability"].sum()
    assert len(sums) == 3 * min(n_images, EXAMPLES)
    np.testing.assert_allclose(sums, 1, rtol=1e-12)
    one = table[(table["image"] == 2) & (table["version"] == "unique")]
    assert one["class"].tolist() == list(range(10))
    assert one["probability"].tolist() == p_unique[2].tolist()


def test_walk_through_ends_at_the_score(trained, data, ood):
    control, canary, _ = trained
    measured = walk_through(PROTOCOL, [control, canary], data, ood)
    seed = score_seed(PROTOCOL, [control, canary], data, ood)
    for name, table in seed.tables.items():
        pd.testing.assert_frame_equal(measured.tables[name], table)
    for role, row in zip(("control", "canary"), seed.tables["scores"].to_dict("records"), strict=True):
        steps, divergences = (
            table[table["role"] == role] for table in (measured.tables["settling"], measured.tables["divergences"])
        )
        assert steps["memorisation_score"].iloc[-1] == pytest.approx(row["memorisation_score"], rel=1e-12)
        assert len(divergences) == N_OOD
        assert divergences["kl_unique"].mean() == pytest.approx(row["kl_unique"], abs=1e-6)
    plain = load("digits").train_images[canary.experiment.canary_index]
    assert (measured.arrays["host"] == plain).all()
    assert (measured.arrays["host_with_feature"] == stamp([plain], features.letter("A") * 255)[0]).all()
    assert measured.arrays["examples_unique"].shape == (EXAMPLES, 1, 28, 28)
    expected = stamp(ood.images[:EXAMPLES], features.letter("A"))
    assert np.abs(measured.arrays["examples_unique"] / 255 - expected).max() < 0.51 / 255
