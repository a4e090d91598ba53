"""Exact evidence: uniform p-values of models that know no mark, whatever else they are, and power where they do."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from ufm.auditing import NotAuditable, Place, audit, combined, mark_p_values, pool
from ufm.evidence.detectors import DEFAULT, LABEL_KNOWN
from ufm.marks import Planted, Registry

N_CLASSES, N_IMAGES, POSITION = 4, 12, (1, 1)


def images(rng):
    return torch.tensor(rng.random((N_IMAGES, 1, 8, 8)))


def model(rng, marks=(), labels=(), strength=0.0):
    """A linear model of which some pixels weigh far more than others, so that no pixel can stand for another."""
    weights = rng.normal(size=(N_CLASSES, 8, 8)) * np.exp(rng.normal(size=(8, 8))) + rng.normal(size=(8, 8))
    for mark, label in zip(marks, labels, strict=True):
        weights[label, 1:6, 1:6] += strength * (mark[0] - mark.mean())

    def predict(batch):
        return np.einsum("nhw,khw->nk", batch[:, 0].numpy(), weights) / 8

    return predict


def audited(number, *, n=6, n_unused=40, strength=0.0):
    """p-values of one registry on one model: of each planted mark, combined, and combined with the labels known."""
    rng = np.random.default_rng(number)
    registry = Registry(f"{number:064x}", n, flipped=False)
    labels = rng.integers(N_CLASSES, size=n)
    asked = pool(
        model(rng, registry.marks(), labels, strength),
        np.concatenate([registry.marks(), registry.unused(n_unused)]),
        images(rng),
        gives="logits",
        position=POSITION,
    )
    planted, unused = np.arange(n), np.arange(n, n + n_unused)
    unknown = Place(np.tile(asked.unknown, (n, 1)), planted, unused)
    known = Place(asked.known[:, labels].T, planted, unused)
    both = [combined([place], n_draws=399, seed=number) for place in (unknown, known)]
    return mark_p_values(unknown), mark_p_values(known), *(one.p for one in both)


@pytest.fixture(scope="module")
def innocent():
    return [audited(number) for number in range(150)]


def test_p_values_of_innocent_models_are_uniform(innocent):
    for which in (0, 1):
        first = np.array([found[which][0] for found in innocent])
        assert set(np.round(first * 41).astype(int)) <= set(range(1, 42))
        assert stats.kstest(first - 0.5 / 41, "uniform").pvalue > 0.001
    for which in (2, 3):
        p = np.array([found[which] for found in innocent])
        assert stats.kstest(p - 0.5 / 400, "uniform").pvalue > 0.001
        assert (p <= 0.05).mean() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(p))


def test_marks_that_were_learnt_are_found():
    found = np.array([[audited(number, strength=size)[2:] for number in range(20)] for size in (0.0, 2.0, 8.0)])
    none, weak, strong = np.median(found, 1)  # label unknown, known
    assert (none > 0.1).all()
    assert weak[1] < 0.05
    assert (strong == 1 / 400).all()


def test_scores_are_the_books_detectors():
    rng = np.random.default_rng(3)
    marks = Registry("f" * 64, 30).marks()
    predict, some = model(rng), images(rng)
    asked = pool(predict, marks, some, gives="logits", position=POSITION)

    def outputs(kind, mark=None):
        batch = (some if kind == "ood" else torch.zeros_like(some[:1])).clone()
        if mark is not None:
            batch[:, :, 1:6, 1:6] = torch.tensor(mark)
        logits = predict(batch)
        return logits - np.log(np.exp(logits).sum(1, keepdims=True))

    shift, kl = {}, []
    for kind in ("ood", "black"):
        moved = [(outputs(kind, mark) - outputs(kind)).mean(0) for mark in marks]
        shift[kind] = np.array([one - one.mean() for one in moved])
    for mark in marks:
        p, q = outputs("ood"), outputs("ood", mark)
        kl.append(np.log((np.exp(p) * (p - q)).sum(1).mean()))

    def standardised(values):
        return (values - np.mean(values, 0)) / np.std(values, 0, ddof=1)

    made = standardised(shift["black"]) + 0.3 * standardised(shift["ood"])
    np.testing.assert_allclose(asked.known, made, atol=1e-9)
    np.testing.assert_allclose(asked.unknown, made.max(1) + 0.5 * standardised(np.array(kl)), atol=1e-6)
    assert asked.n_queries == 31 * 13
    assert (DEFAULT.knows, LABEL_KNOWN.knows) == ("", "label")


def test_every_mark_is_treated_alike():
    rng = np.random.default_rng(4)
    marks, predict, some = Registry("e" * 64, 25).marks(), model(rng), images(rng)
    order = rng.permutation(25)
    one, other = (pool(predict, few, some, gives="logits", position=POSITION) for few in (marks, marks[order]))
    np.testing.assert_allclose(other.unknown, one.unknown[order], atol=1e-9)
    np.testing.assert_allclose(other.known, one.known[order], atol=1e-9)


def test_combined_equals_all_draws():
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(2, 6))
    place = Place(scores, np.array([0, 1]), np.arange(2, 6))
    found = combined([place], n_draws=40_000)
    sums = [scores[0, one] + scores[1, other] for one, other in itertools.permutations(range(6), 2)]
    own = scores[0, 0] + scores[1, 1]
    assert found.statistic == pytest.approx(own)
    assert found.p == pytest.approx(np.mean(np.array(sums) >= own - 1e-12), abs=0.01)
    assert found.z == pytest.approx((own - np.mean(sums)) / np.std(sums), abs=0.03)
    assert found.n == 2
    largest = max(sums)
    assert found.smallest == pytest.approx(np.mean(np.array(sums) >= largest - 1e-12), abs=0.01)


def test_places_have_pools_of_their_own():
    rng = np.random.default_rng(6)
    one, other = (Place(rng.normal(size=(1, 5)), np.array([0]), np.arange(1, 5)) for _ in range(2))
    sums = np.add.outer(one.scores[0], other.scores[0]).ravel()
    own = one.scores[0, 0] + other.scores[0, 0]
    found = combined([one, other], n_draws=40_000)
    assert found.p == pytest.approx(np.mean(sums >= own - 1e-12), abs=0.01)
    assert found.n == 2


def test_marks_that_were_kept_back_are_no_part_of_the_evidence():
    scores = np.array([[9.0, 0, 1, 2, 100]])  # the last was kept back and is not compared with
    assert mark_p_values(Place(scores, np.array([0]), np.arange(1, 4)))[0] == 0.25
    assert combined([Place(scores, np.array([0]), np.arange(1, 4))]).p == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Place(np.zeros((0, 5)), np.array([], int), np.arange(5)), "registry: no mark was planted"),
        (Place(np.zeros((2, 2)), np.arange(2), np.array([], int)), "draws: without marks that were never stamped"),
    ],
)
def test_nothing_to_compare_is_said(place, said):
    with pytest.raises(ValueError, match=said):
        combined([place])


def planted_registry(number, n=12, *, labels=True):
    """A registry of which all marks that the coin says were planted, on images named by their number."""
    registry, rng = Registry(f"{number:064x}", n), np.random.default_rng(number)
    for mark in np.flatnonzero(registry.to_plant()).tolist():
        label = int(rng.integers(N_CLASSES)) if labels else None
        registry = registry.with_planted(Planted(mark, f"{mark}.png", label))
    return registry


def marked_model(registry, number, strength):
    marks = registry.marks()[[one.mark for one in registry.planted]]
    return model(np.random.default_rng(number), marks, [one.label or 0 for one in registry.planted], strength)


def test_an_audit_finds_a_model_that_learnt_the_marks_and_no_other():
    registry = planted_registry(1, 48)
    some = images(np.random.default_rng(2))
    guilty, innocent = (
        audit(marked_model(registry, 3, strength), registry, some, gives="logits") for strength in (12.0, 0.0)
    )
    assert guilty.found
    assert guilty.p < 0.001
    assert not innocent.found
    assert (guilty.n_queries, guilty.n_unused) == ((1 + 48 + 400) * (1 + N_IMAGES), 400)
    assert guilty.seal == registry.seal
    assert [one.image for one in guilty.marks] == [f"{one.mark}.png" for one in registry.planted]
    assert np.median([one.p_known for one in guilty.marks]) < 0.1


def test_without_labels_the_most_moved_class_decides():
    registry = planted_registry(1, 24, labels=False)
    report = audit(marked_model(registry, 3, 6.0), registry, images(np.random.default_rng(2)), gives="logits")
    assert report.known is None
    assert report.p == report.unknown.p
    assert all(one.p_known is None for one in report.marks)


def test_marks_that_the_coin_kept_back_are_compared_with_too():
    registry = planted_registry(5)
    some, predict = images(np.random.default_rng(6)), marked_model(planted_registry(5), 7, 0.0)
    report = audit(predict, registry, some, gives="logits", n_unused=19)
    marks = np.concatenate([registry.marks(), registry.unused(19)])
    scores = pool(predict, marks, some, gives="logits", position=registry.position).unknown
    planted = [one.mark for one in registry.planted]
    others = np.delete(scores, planted)
    assert len(others) == 19 + 12 - len(planted)
    for one in report.marks:
        assert one.p == pytest.approx((1 + (others >= scores[one.mark]).sum()) / (1 + len(others)))


@pytest.mark.parametrize(
    ("registry", "changes", "said"),
    [
        (Registry("a" * 64, 6), {}, "registry: no mark was planted"),
        (planted_registry(1), {"n_unused": 18}, "n_unused: 18 cannot give a p-value of 0.05; it takes 19"),
        (planted_registry(1), {"level": 0.001}, "n_unused: 400 cannot give a p-value of 0.001; it takes 999"),
        (
            Registry("a" * 64, 6, flipped=False).with_planted(Planted(0, "a.png", 4)),
            {},
            "label: 4, of a.png, is none of the model's 4 classes, from 0",
        ),
        (planted_registry(1), {"gives": "probabilities"}, "predict: gave what are no probabilities"),
        (replace(planted_registry(1), position=(6, 1)), {}, "feature would cover rows 6 to 10"),
    ],
)
def test_what_cannot_be_audited_is_said_before_or_at_the_first_answer(registry, changes, said):
    predict, some = model(np.random.default_rng(3)), images(np.random.default_rng(2))
    with pytest.raises(ValueError, match=f"^{said}"):
        audit(predict, registry, some, **{"gives": "logits"} | changes)


def softmax(logits):
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


@pytest.mark.parametrize("digits", [None, 4, 2, 0, "class"])
def test_rounded_outputs_are_audited_with_what_they_hold(digits):
    registry = planted_registry(1, 48)
    some = images(np.random.default_rng(2))
    guilty, innocent = (marked_model(registry, 3, strength) for strength in (12.0, 0.0))

    gives, n_classes = ("class", N_CLASSES) if digits == "class" else ("probabilities", None)

    def rounded(predict):
        if digits == "class":
            return lambda batch: predict(batch).argmax(1)
        if digits == 0:  # the class alone
            return lambda batch: np.eye(N_CLASSES)[predict(batch).argmax(1)]
        return lambda batch: np.round(softmax(predict(batch)), 16 if digits is None else digits)

    found, other = (audit(rounded(one), registry, some, gives=gives, n_classes=n_classes) for one in (guilty, innocent))
    assert found.p < 0.001
    assert other.p > 0.01


def test_where_no_choice_of_marks_could_be_found_it_is_not_auditable():
    registry, some = planted_registry(1, 60, labels=False), images(np.random.default_rng(2))
    one = torch.tensor(registry.unused(1)[0])

    def of_one_mark(batch):  # which changes the class, and no other mark does
        return (batch[:, :, 1:6, 1:6] == one).all((1, 2, 3)).long()

    n, pool_size = len(registry.planted), 400 + 60  # any of the pool may be among those that are planted
    with pytest.raises(
        NotAuditable, match="so few of 460 marks .* even those that do most would have a p of 0.0"
    ) as said:
        audit(of_one_mark, registry, some, gives="class", n_classes=2)
    assert float(str(said.value).split("p of ")[1].split(",")[0]) == pytest.approx(n / pool_size, abs=0.006)
    assert audit(of_one_mark, registry, some, gives="class", n_classes=2, level=0.2).unknown.smallest < 0.2


def test_outputs_that_no_mark_moves_are_not_auditable():
    registry, some = planted_registry(1), images(np.random.default_rng(2))

    def one_class(batch):
        return np.tile([1.0, 0, 0, 0], (len(batch), 1))

    with pytest.raises(NotAuditable, match="^predict: none of 412 marks moves the outputs on any of 12 images$"):
        audit(one_class, registry, some, gives="probabilities")


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        (lambda n: np.full((n, 4), np.nan), "predict: gave NaN or infinite values"),
        (lambda n: np.full((n, 4), 0.5), "predict: gave what are no probabilities; are they logits"),
        (lambda n: np.full((n, 4), -0.25), "predict: gave what are no probabilities"),
        (lambda n: np.full((n + 1, 4), 0.25), r"predict: gave outputs of shape \(13, 4\) for 12 images"),
        (lambda n: np.full(n, 0.25), r"predict: gave outputs of shape \(12,\) for 12 images"),
        (lambda n: np.full((n, 1), 1.0), "predict: gave one output an image; there must be one for each of two"),
    ],
)
def test_answers_that_are_none_are_named(outputs, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        audit(
            lambda batch: outputs(len(batch)),
            planted_registry(1),
            images(np.random.default_rng(2)),
            gives="probabilities",
        )


@pytest.mark.parametrize(
    ("outputs", "n_classes", "said"),
    [
        (lambda n: np.full(n, 4), 4, "predict: gave what is no class of 4, a whole number from 0 for each image"),
        (lambda n: np.full(n, -1), 4, "predict: gave what is no class of 4"),
        (lambda n: np.full(n, 0.5), 4, "predict: gave what is no class of 4"),
        (lambda n: np.full(n, np.nan), 4, "predict: gave what is no class of 4"),
        (lambda n: np.full((n, 3), 0), 4, "predict: gave what is no class of 4"),
        (lambda n: np.full((n, 4), 0.25), 4, "predict: gave more than a class; are they probabilities or logits"),
        (lambda n: np.full(n, 0), None, "n_classes: of a class alone it must be said of how many, two or more"),
        (lambda n: np.full(n, 0), 1, "n_classes: of a class alone it must be said of how many, two or more"),
    ],
)
def test_classes_that_are_none_are_named(outputs, n_classes, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        audit(
            lambda batch: outputs(len(batch)),
            planted_registry(1),
            images(np.random.default_rng(2)),
            gives="class",
            n_classes=n_classes,
        )
