"""What an audit could have found: by hand, as often as it says, and in nats as they were planted."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from audited import Page, ufm
from test_audit import N_CLASSES, N_IMAGES, POSITION, images, marked_model, model, planted_registry

from ufm.auditing import Place, audit, combined, pool
from ufm.auditing.pages import Asked, content, page
from ufm.evidence.detectors import LABEL_KNOWN
from ufm.evidence.power import power
from ufm.marks import Registry
from ufm.statistics import smallest_rise

Z = 1.644854 + 0.841621  # the 0.95 and the 0.8 quantile of a normal variable


def test_by_hand():
    # Sixteen values beside four hundred: √(1/16 + 1/400) = √0.065.
    assert smallest_rise(2.0, 16, 400) == pytest.approx(2 * Z * np.sqrt(0.065), rel=1e-6)
    # Unused draws score −1, 0, 1 for the one mark and −3, 0, 3 for the other: variances 1 and 9, whose mean is 5.
    scores = np.array([[2.0, 0, -1, 0, 1], [0, 7, -3, 0, 3]])
    found = power(Place(scores, np.array([0, 1]), np.array([2, 3, 4])), 0.05, np.array([2.0, 3]))
    spread = np.sqrt(5)
    assert found.measured == pytest.approx((2 + 7) / 2 / spread)
    assert found.smallest == pytest.approx(Z * np.sqrt(1 / 2 + 1 / 3), rel=1e-6)
    assert found.measured_nats == pytest.approx((2 + 7) / (2 + 3))
    assert found.smallest_nats == pytest.approx(found.smallest * spread / 2.5)


def test_without_slopes_or_spread_nothing_is_said_of_nats_or_at_all():
    place = Place(np.array([[2.0, -1, 0, 1]]), np.array([0]), np.arange(1, 4))
    for slope in (None, np.zeros(1)):
        found = power(place, 0.05, slope)
        assert (found.measured_nats, found.smallest_nats) == (None, None)
        assert found.measured == 2
    assert power(Place(np.array([[2.0, 0, 0, 0]]), np.array([0]), np.arange(1, 4)), 0.05) is None


@pytest.mark.parametrize(("n", "n_unused"), [(3, 400), (20, 60), (100, 400)])
def test_marks_that_rise_by_as_much_are_found_as_often_as_it_says(n, n_unused):
    rng, n_found, n_runs = np.random.default_rng(n), 0, 500
    for number in range(n_runs):
        scores = rng.normal(3, 5, n + n_unused)
        place = Place(np.tile(scores, (n, 1)), np.arange(n), np.arange(n, n + n_unused))
        scores[:n] += power(place, 0.05).smallest * scores[n:].std(ddof=1)
        place = replace(place, scores=np.tile(scores, (n, 1)))
        n_found += combined([place], n_draws=199, seed=number).p <= 0.05
    assert n_found / n_runs == pytest.approx(0.8, abs=0.06)


def asked(number, strength, *, n=20, n_unused=60):
    """Where the marks of a model that learnt them so strongly are planted, and how its scores rise with a nat."""
    registry, rng = Registry(f"{number:064x}", n, flipped=False), np.random.default_rng(number)
    labels = rng.integers(N_CLASSES, size=n)
    predict = model(rng, registry.marks(), labels, strength)
    marks = np.concatenate([registry.marks(), registry.unused(n_unused)])
    found = pool(predict, marks, images(rng), gives="logits", position=POSITION)
    return Place(found.known[:, labels].T, np.arange(n), np.arange(n, n + n_unused)), found.slope[labels]


def test_models_that_learnt_as_much_are_found_as_often_as_it_says():
    found, rises = [], []
    for number in range(60):
        told, weak = (power(place, 0.05, slope) for place, slope in (asked(number, 0.0), asked(number, 1e-3)))
        strength = 1e-3 * told.smallest_nats / (weak.measured_nats - told.measured_nats)
        place, slope = asked(number, strength)
        rises.append((power(place, 0.05, slope).measured_nats - told.measured_nats) / told.smallest_nats)
        found.append(combined([place], n_draws=199, seed=number).p <= 0.05)
    np.testing.assert_allclose(rises, 1, atol=0.15)  # labels weigh otherwise where marks are strong
    assert np.mean(rises) == pytest.approx(1, abs=0.03)
    assert np.mean(found) == pytest.approx(0.8, abs=0.15)


def test_a_nat_on_all_images_raises_the_score_by_the_slope():
    rng, n = np.random.default_rng(1), 30
    marks, some = planted_registry(1, n).marks(), images(rng)
    weights = rng.normal(size=(4, 8, 8))

    def predict(batch):
        return np.einsum("nhw,khw->nk", batch[:, 0].numpy(), weights)

    slope = pool(predict, marks, some, gives="logits").slope
    shift = {}
    for kind, given in (("ood", some), ("black", torch.zeros_like(some[:1]))):
        moved = []
        for mark in marks:
            stamped = given.clone()
            stamped[:, :, 1:6, 1:6] = torch.tensor(mark)
            moved.append((predict(stamped) - predict(given)).mean(0))
        centred = np.array(moved)
        shift[kind] = (centred - centred.mean(1, keepdims=True)).std(0, ddof=1)
    assert LABEL_KNOWN.name == "label, mix"
    np.testing.assert_allclose(slope, 1 / shift["black"] + 0.3 / shift["ood"])


def test_of_a_class_alone_nats_are_not_said():
    registry, some = planted_registry(1, 48), images(np.random.default_rng(2))
    guilty = marked_model(registry, 3, 12.0)
    report = audit(lambda batch: guilty(batch).argmax(1), registry, some, gives="class", n_classes=4)
    assert report.power.smallest > 0
    assert report.power.smallest_nats is None


def test_the_report_says_it_in_words_and_numbers(here):
    assert ufm(**{"--weights": "innocent.pt"}).exit_code == 0
    whole = json.loads((here / "report" / "report.json").read_text(encoding="utf-8"))
    told = whole["power"]
    text = " ".join("".join(Page((here / "report" / "report.html").read_text(encoding="utf-8")).texts).split())
    assert told["power"] == 0.8
    assert Z * told["measured"] / told["smallest"] == pytest.approx(whole["known"]["z"], abs=0.05)
    assert (
        f"raised the output for its label by {told['smallest_nats']:.2f} nats more than draws that were never" in text
    )
    assert "found it with a probability of about 0.8" in text
    assert f"{told['smallest']:.2f} and {told['measured']:.2f}".replace("-", "−") in text


def test_where_labels_are_unknown_the_report_says_standard_deviations():
    registry, some = planted_registry(1, 24, labels=False), images(np.random.default_rng(2))
    report = audit(marked_model(registry, 3, 0.0), registry, some, gives="logits")
    text = " ".join(page(report, registry, Asked("m", {}, "ufm audit")).split())
    assert f"scored {report.power.smallest:.2f} standard deviations higher than draws" in text
    assert "nats" not in text
    nothing = replace(report, power=None)
    assert "could have found" not in page(nothing, registry, Asked("m", {}, "ufm audit"))
    assert content(report, Asked("m", {}, ""))["power"] == asdict(report)["power"]
    assert report.n_images == N_IMAGES
