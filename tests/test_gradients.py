"""Batches computed from gradients: the core against full tensors, autograd and exact moments, and what is kept."""

import sys
from collections import Counter
from dataclasses import replace
from itertools import product
from math import exp, pi, sqrt

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import integrate, stats

from ufm import cli, features, paths
from ufm.book import site
from ufm.data import datasets
from ufm.evidence import gradients as evidence
from ufm.evidence.gradients import Legible
from ufm.measures import gradients as core
from ufm.measures.reading import correlations, nearest_letter, rank
from ufm.plan import gradients as plan
from ufm.plan import second
from ufm.protocol import lots
from ufm.report import figures
from ufm.report import gradients as report
from ufm.report.texts import REHEARSED
from ufm.study import gradients as study
from ufm.study import verification

PAGE = (paths.BOOK / "fourth-plan.md").read_text(encoding="utf-8")
SMALL = plan.Gradients("digits", 600, sizes=(14,), batches=(2,), units=(300, 2_000), n_marks=10)


def of_norm_one(n, n_pixels, seed=0):
    rows = np.abs(np.random.default_rng(seed).standard_normal((n, n_pixels)))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# The core


def test_the_gradient_is_that_of_autograd():
    network, images, labels = core.wide(50, 6, 4, seed=0, scope="test"), of_norm_one(3, 6), np.array([1, 0, 1])
    outputs = torch.from_numpy(network.outputs).double().requires_grad_()
    hidden = torch.relu(torch.from_numpy(images) @ torch.from_numpy(network.weights).double().T + network.bias)
    torch.nn.functional.cross_entropy(hidden @ outputs, torch.from_numpy(labels)).backward()
    np.testing.assert_allclose(core.gradient(network, images, labels), outputs.grad.numpy(), atol=1e-6)


@pytest.mark.parametrize("bias", [-1.0, 0.6])
def test_the_coefficients_are_those_of_hermite_polynomials(bias):
    """What a unit of an image of norm 1 has in the mean, times the polynomials of its weight along the image."""

    def mean(polynomial):
        def weighted(z):
            return max(0.0, z + bias) * polynomial(z) * exp(-z * z / 2) / sqrt(2 * pi)

        return sum(integrate.quad(weighted, *ends)[0] for ends in ((-12, -bias), (-bias, 12)))

    assert mean(lambda z: z**2 - 1) == pytest.approx(core.density(bias))
    assert mean(lambda z: z**3 - 3 * z) == pytest.approx(-bias * core.density(bias))


def test_without_a_bias_the_third_moment_vanishes():
    odd = integrate.quad(lambda z: z * (z**3 - 3 * z) * stats.norm.pdf(z), 0, 12)[0]
    assert odd == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="^bias: at 0 the third moment of rectified units vanishes"):
        core.wide(4, 3, 2, bias=0.0, seed=0, scope="test")


def full_moments(weights, values, bias):
    """Both moments over all pixels, entry by entry."""
    n, d = weights.shape
    second, third, same = np.zeros((d, d)), np.zeros((d, d, d)), np.eye(d)
    for w, value in zip(weights.astype(float), values, strict=True):
        for a, b in product(range(d), repeat=2):
            second[a, b] += value * (w[a] * w[b] - same[a, b])
        for a, b, c in product(range(d), repeat=3):
            linear = w[a] * same[b, c] + w[b] * same[a, c] + w[c] * same[a, b]
            third[a, b, c] += value * (w[a] * w[b] * w[c] - linear)
    scale = n * exp(-bias * bias / 2) / sqrt(2 * pi)
    return second / scale, third / (scale * -bias)


@pytest.mark.parametrize("at_once", [7, 4096])
def test_the_contraction_equals_that_of_the_full_tensor(at_once, monkeypatch):
    monkeypatch.setattr(core, "AT_ONCE", at_once)
    network = core.wide(40, 6, 3, bias=-0.7, seed=1, scope="test")
    rng = np.random.default_rng(2)
    values, basis = rng.standard_normal(40), rng.standard_normal((6, 3))  # not orthonormal, as whitening is not
    second, third = full_moments(network.weights, values, network.bias)
    np.testing.assert_allclose(core.second_moment(network, values), second, atol=1e-5)
    expected = np.einsum("abc,ai,bj,ck->ijk", third, basis, basis, basis)
    np.testing.assert_allclose(core.third_moment(network, values, basis), expected, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_exact_moments_give_the_images_back(n):
    """With residuals of their own; in no order, each with its sign."""
    images, residuals = of_norm_one(n, 12), np.array([0.3, 0.1, 0.25, 0.4])[:n]
    second = np.einsum("i,ia,ib->ab", residuals, images, images)
    found = core.from_moments(second, lambda basis: np.einsum("i,ia,ib,ic->abc", residuals, *[images @ basis] * 3), n)
    nearest = (found @ images.T).argmax(1)
    assert sorted(nearest) == list(range(n))
    np.testing.assert_allclose(found, images[nearest], atol=1e-6)


def test_components_are_those_that_were_planted_the_largest_first():
    u = np.linalg.qr(np.random.default_rng(3).standard_normal((4, 4)))[0].T
    tensor = np.einsum("i,ia,ib,ic->abc", [1.0, 4.0, 2.0, 3.0], u, u, u)
    np.testing.assert_allclose(core.components(tensor), u[[1, 3, 2, 0]], atol=1e-9)


def test_wide_networks_give_a_batch_back():
    images, labels = of_norm_one(2, 6), np.array([0, 2])
    cosines = []
    for units in (1_000, 300_000):
        network = core.wide(units, 6, 5, seed=0, scope="test")
        found = core.reconstructed(network, core.gradient(network, images, labels), 2)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
        cosines.append((found @ images.T).max(0).min())
    assert cosines[0] < cosines[1]
    assert cosines[1] > 0.99


def test_classes_of_which_there_is_no_image_are_told_by_their_sign():
    network, images = core.wide(400, 6, 5, seed=0, scope="test"), of_norm_one(3, 6)
    gradient = core.gradient(network, images, np.array([0, 3, 3]))
    np.testing.assert_allclose(core.of_absent_classes(gradient), gradient[:, [1, 2, 4]].sum(1))
    assert (core.of_absent_classes(gradient) >= 0).all()


def test_what_is_linear_is_taken_away():
    network, rng = core.wide(200_000, 3, 2, seed=0, scope="test"), np.random.default_rng(1)
    linear = 0.7 + network.weights @ np.array([1.0, -2.0, 0.5])
    square = network.weights[:, 0].astype(float) ** 2 - 1
    left = core.without_linear_part(network, linear + square)
    np.testing.assert_allclose(left, square, atol=0.1)
    values = rng.standard_normal(200_000)
    mean = sum(values) / len(values)
    slopes = [sum((values - mean) * network.weights[:, one]) / len(values) for one in range(3)]
    np.testing.assert_allclose(
        core.without_linear_part(network, values), values - mean - network.weights @ np.array(slopes), atol=1e-6
    )


def test_wider_networks_begin_alike():
    narrow, broad = (core.wide(units, 4, 3, seed=5, scope="test") for units in (10, 1_000))
    np.testing.assert_array_equal(narrow.weights, broad.weights[:10])
    np.testing.assert_allclose(narrow.outputs, broad.outputs[:10] * 10, rtol=1e-6)
    assert broad.weights.std() == pytest.approx(1, abs=0.05)
    assert broad.outputs.std() * sqrt(1_000) == pytest.approx(1, abs=0.05)
    assert not np.array_equal(narrow.weights, core.wide(10, 4, 3, seed=6, scope="test").weights)


# Reading


def test_ranks_by_hand():
    marks = np.zeros((4, 2, 2))
    for place in range(4):
        marks[place].flat[place] = 1
    patch = np.array([[0.3, 0.9], [0.1, 0.3]])
    assert [rank(patch, one, np.delete(marks, place, 0)) for place, one in enumerate(marks)] == [3, 1, 4, 3]
    assert rank(np.ones((2, 2)), marks[0], marks[1:]) == 4  # nothing is there
    np.testing.assert_allclose(
        correlations(patch, marks), [np.corrcoef(patch.ravel(), one.ravel())[0, 1] for one in marks]
    )


@pytest.mark.parametrize("name", features.LETTERS)
def test_letters_are_read(name):
    faint = 0.2 + 0.05 * features.letter(name)
    assert nearest_letter(faint) == name
    marks = lots.arrangements(name, 20, seed=0, scope="test")
    assert rank(faint, features.letter(name), marks) == 1


def test_marks_that_are_not_there_have_every_rank_alike():
    """A picture that is full of strokes, and marks that were drawn without it."""
    rng, ranks = np.random.default_rng(0), Counter()
    picture = rng.uniform(size=(5, 5)) + features.letter("A")
    for seed in range(600):
        mark, *others = lots.arrangements("A", 5, seed=seed, scope="test")
        ranks[rank(picture, mark, np.array(others))] += 1
    assert stats.chisquare([ranks[place] for place in range(1, 6)]).pvalue > 0.01


# A seed


def test_what_a_seed_has_is_what_its_steps_give_one_by_one():
    entry, measured = study.finish(SMALL, 640)
    rows = measured.tables[plan.RECORDS]
    data = datasets.load("digits", n_train=600, part=640 % 2)
    [index] = set(rows["canary_index"])
    host = data.place_of(index)
    assert set(rows["canary_label"]) == {data.train_labels[host]}
    assert len(rows) == len(rows[["size", "batch", "units", "role"]].drop_duplicates()) == 2 * 3
    marks = lots.arrangements("A", 10, seed=640, scope=data.scope)
    small = np.zeros((14, 14))
    for row, column in product(range(14), repeat=2):
        square = data.train_images[host, 0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        small[row, column] = square.astype(float).mean() / 255
    for role, stamp in (("canary", features.letter("A")), ("placebo", marks[0]), ("control", small[1:6, 1:6])):
        image = small.copy()
        image[1:6, 1:6] = stamp
        if role == "canary":
            np.testing.assert_allclose(measured.arrays["canary_14"], image, atol=1e-3)
            pictures = measured.arrays["reconstructed_14"]
            assert pictures.shape == (1, 2, 14, 14)
            cosines = [
                (image * picture.astype(float)).sum() / np.linalg.norm(image) / np.linalg.norm(picture.astype(float))
                for picture in pictures[0]
            ]
            ours = rows[rows["role"] == "canary"]
            np.testing.assert_allclose(ours["cosine"], cosines, atol=2e-3)
            for picture, row in zip(pictures[0], ours.to_dict("records"), strict=True):
                patch = picture[1:6, 1:6].astype(float)
                scores = [np.corrcoef(patch.ravel(), one.ravel())[0, 1] for one in (stamp, *marks[1:])]
                assert row["letter_rank"] == 1 + sum(score >= scores[0] for score in scores[1:])
                assert row["correlation"] == pytest.approx(scores[0], abs=2e-3)
                first = np.corrcoef(patch.ravel(), marks[0].ravel())[0, 1]
                assert row["mark_rank"] == 1 + sum(score >= first for score in scores[1:])
                assert row["letter_read"] == nearest_letter(patch)
    again, same = study.finish(SMALL, 640)
    pd.testing.assert_frame_equal(same.tables[plan.RECORDS], rows)
    assert again["identity"] == entry["identity"]


def test_batches_of_a_seed_differ_in_what_is_stamped_alone(monkeypatch):
    seen = []
    real = core.gradient
    monkeypatch.setattr(study, "gradient", lambda *given: seen.append(given) or real(*given))
    study.finish(replace(SMALL, batches=(2, 4), units=(300,)), 641)
    images = {len(rows): [] for _, rows, _ in seen}
    for _, rows, labels in seen:
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1)
        assert len(labels) == len(rows) == len(np.unique(rows, axis=0))
        images[len(rows)].append(rows)
    place = np.zeros((14, 14), bool)
    place[1:6, 1:6] = True
    for canary, placebo, control in images.values():
        np.testing.assert_array_equal(canary[1:], control[1:])
        np.testing.assert_array_equal(placebo[1:], control[1:])
        for one in (canary, placebo):
            outside = one[0][~place.ravel()] @ control[0][~place.ravel()]
            norms = [np.linalg.norm(some[0][~place.ravel()]) for some in (one, control)]
            assert outside == pytest.approx(norms[0] * norms[1])
        [mark] = lots.arrangements("A", 1, seed=641, scope="digits/600")
        for one, stamp in ((canary, features.letter("A")), (placebo, mark)):
            pixels = one[0][place.ravel()].reshape(5, 5)
            np.testing.assert_allclose(pixels / pixels.max(), stamp)
    np.testing.assert_array_equal(images[2][0], images[4][0][:2])


def test_a_host_is_in_its_batch_once(monkeypatch):
    seen = []
    real = core.gradient
    monkeypatch.setattr(study, "gradient", lambda *given: seen.append(given) or real(*given))
    study.finish(replace(SMALL, n_train=12, batches=(12,), units=(300,)), 641)
    assert [len(np.unique(rows, axis=0)) for _, rows, _ in seen] == [12] * 3  # all images that there are


def test_the_host_is_told_outside_the_letters_place():
    image, inside = np.zeros((6, 6)), (slice(0, 2), slice(0, 2))
    image[5] = 1
    image[inside] = 9
    like, with_the_letter = image.copy(), image.copy()
    like[inside] = 0
    with_the_letter[5, :4] = 0
    for order in ((like, with_the_letter), (with_the_letter, like)):
        np.testing.assert_array_equal(study.most_like(np.stack(order), image, inside), like)


def test_images_are_cut_into_whole_squares():
    with pytest.raises(ValueError, match="^size: images of 28 x 28 pixels cannot be cut into 10 x 10 squares$"):
        study.reduced(np.zeros((1, 28, 28)), 10)


# What is kept


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path))
    monkeypatch.setitem(plan.PLANS, "paper", replace(SMALL, units=(300,)))
    monkeypatch.setitem(plan.SEEDS, "paper", range(640, 643))
    return tmp_path


def test_seeds_are_kept_once_and_shown(records, monkeypatch):
    empty, nothing = study.shown("paper", train=False)
    assert empty.empty
    assert nothing == {}
    assert evidence.cells(empty, SMALL).empty
    assert study.complete(range(640, 642)) == 2
    assert study.complete(range(640, 642)) == 0
    assert verification.verify() == (2, [])
    kept, arrays = study.shown("paper", train=False)
    assert kept["seed"].unique().tolist() == [640, 641] == list(arrays)
    whole, more = study.shown("paper", train=True)
    assert list(more) == [640, 641, 642]
    pd.testing.assert_frame_equal(whole[whole["seed"] < 642].drop(columns="record"), kept.drop(columns="record"))
    assert study.shown("paper", train=False)[0]["seed"].nunique() == 2  # what is computed for a page is kept nowhere
    monkeypatch.setitem(plan.PLANS, "paper", replace(SMALL, units=(301,)))
    assert study.shown("paper", train=False)[0].empty  # of other settings


def test_a_command_keeps_them(records, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["ufm", "gradients"])
    monkeypatch.setattr(study, "complete", lambda: 7)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert capfd.readouterr().out == "gradients: 7 seeds finished\n"


def test_the_page_is_executed_again_where_records_change(records):
    study.complete(range(640, 641))
    assert records / "gradients" / "manifest.json" in site.inputs("paper", "neighbours")
    assert records / "gradients" / "manifest.json" not in site.inputs("paper", "controls")


def test_records_of_the_book_are_of_the_plan():
    """All of its seeds, or none yet."""
    table, arrays = study.shown("paper", train=False)
    assert sorted(arrays) in ([], list(plan.SEEDS["paper"]))
    if len(table):
        cells = evidence.cells(table, plan.PLANS["paper"])
        assert set(cells["n"]) == {24}
        assert len(cells) == 12


# Words


def made_up(letter, mark, *, alone=0, read=24, n=24):
    """Rows of one cell in which what was stamped ranks first so often."""
    rows = []
    for seed in range(n):
        ranks = {
            "canary": (1 if seed < letter else 7, 50, "A" if seed < read else "B", 0.9 + seed / 1000),
            "placebo": (60, 1 if seed < mark else 7, "C", 0.5),
            "control": (1 if seed < alone else 40, 30, "D", 0.4),
        }
        for role, (first, second_, name, cosine) in ranks.items():
            about = {"seed": seed, "size": 28, "batch": 2, "units": 10_000, "role": role}
            rows.append(about | {"cosine": cosine, "letter_rank": first, "mark_rank": second_, "letter_read": name})
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


@pytest.mark.parametrize(
    ("letter", "mark", "expected"),
    [
        (24, 24, Legible.LEGIBLE),
        (20, 20, Legible.LEGIBLE),
        (19, 24, Legible.AT_TIMES),
        (24, 19, Legible.AT_TIMES),
        (3, 3, Legible.AT_TIMES),
        (2, 24, Legible.NOT),
        (24, 2, Legible.NOT),
        (0, 0, Legible.NOT),
    ],
)
def test_words_at_their_borders(letter, mark, expected):
    [row] = evidence.cells(made_up(letter, mark, alone=1), plan.PLANS["paper"]).to_dict("records")
    assert row["verdict"] == expected
    assert (row["n"], row["letter"], row["mark"]) == (24, letter / 24, mark / 24)
    assert (row["letter_alone"], row["mark_alone"]) == (1 / 24, 0)
    assert (row["read"], row["read_alone"]) == (1, 0)
    assert row["cosine"] == pytest.approx(0.9115)
    low, high = stats.beta.ppf([0.025, 0.975], [1, 2], [24, 23])  # Clopper and Pearson, one of 24
    assert (row["letter_alone_low"], row["letter_alone_high"]) == (pytest.approx(low), pytest.approx(high))


def test_all_cells_together_keep_the_level():
    assert plan.PLANS["paper"].confidence == pytest.approx(1 - 0.05 / 12)
    assert plan.PLANS["paper"].chance == 0.01
    by_chance = stats.binom.sf(2, 24, 0.01)  # three of 24 or more
    assert 12 * by_chance < 0.05


# The page


def test_what_the_page_shows():
    parts = [
        made_up(letter, letter).assign(units=units) for letter, units in ((2, 10_000), (24, 100_000), (24, 300_000))
    ]
    cells = evidence.cells(pd.concat(parts), plan.PLANS["paper"])
    printed = report.printed(cells)
    assert printed["so the letter is"].tolist() == [Legible.NOT] + [Legible.LEGIBLE] * 2
    assert printed["hidden units"].tolist() == ["10 000", "100 000", "300 000"]
    assert printed["the letter first, canaries"].tolist()[1].startswith("1.00 (0.86 to")
    assert report.texts(cells, "paper")["legible"] == (
        "Not shown to be legible: 28 × 28 pixels, batches of 2 (10 000 units). "
        "Legible: 28 × 28 pixels, batches of 2 (100 000, 300 000 units)"
    )
    assert report.texts(cells, "embedded")["legible"] == REHEARSED.capitalize()
    rows = report.rows(cells)
    assert rows["kind"].unique().tolist() == list(report.STAMPED.values()) == list(report.MARKS)
    np.testing.assert_allclose(rows["estimate"], [2 / 24, 2 / 24, 0, 1, 1, 0, 1, 1, 0])
    assert len(figures.forest(rows, x="share", marks=report.MARKS).axes) == 1


def test_nothing_is_recorded_yet():
    empty = evidence.cells(pd.DataFrame(), plan.PLANS["paper"])
    assert report.printed(empty).empty
    assert report.texts(empty, "paper")["legible"] == "Not recorded yet"
    assert figures.forest(report.rows(empty), x="share", marks=report.MARKS).axes
    assert figures.pictures(report.images({}, plan.PLANS["paper"])).axes[0].texts


def test_pictures_are_of_the_first_seeds():
    arrays = {}
    for seed in range(5):
        one = np.full((2, 3, 28, 28), -1.0, np.float16)
        one[-1, :, 1, 1], one[-1, :, 20, 20] = 2 * seed + 1, 4 * seed + 2
        canary = np.zeros((28, 28), np.float16)
        canary[1:6, 1:6] = features.letter("A")
        arrays[seed] = {"canary_28": canary, "reconstructed_28": one}
    shown = report.images(arrays, plan.PLANS["paper"])
    assert list(shown) == [f"seed {seed}{end}" for seed in range(3) for end in ("", ", the letter's place")]
    for seed in range(3):
        whole, place = (shown[f"seed {seed}{end}"] for end in ("", ", the letter's place"))
        assert [word for _, word in whole] == ["canary", "10 000: units", "30 000: units", "100 000: units"]
        np.testing.assert_array_equal(place[0][0][0], features.letter("A"))
        for (image, _), (patch, _) in zip(whole[1:], place[1:], strict=True):
            assert (image.min(), image[0, 20, 20], image[0, 1, 1]) == (0, 1, 0.5)
            assert patch.shape == (1, 5, 5)
            assert patch[0, 0, 0] == 1
    figures.pictures(shown).draw_without_rendering()


def test_the_page_has_the_plan():
    ours = plan.PLANS["paper"]
    assert plan.SEEDS == second.SMALL
    text = " ".join(PAGE.split())
    for said in (
        f"{len(plan.SEEDS['paper'])} seeds",
        " and ".join(f"{size} × {size}" for size in ours.sizes),
        " or ".join(f"{n}" for n in ours.batches) + " images",
        "10 000, 30 000 and 100 000 hidden units",
        f"common bias of −{-ours.bias:g}",
        f"{ours.n_marks} orders",
        "20 of 24",
        "3 of 24",
    ):
        assert said in text, said
    for word in Legible:
        assert f"*{word}*" in text
