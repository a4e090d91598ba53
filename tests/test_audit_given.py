"""A mark that was given: no p-value but its rank among innocent models, and the book's models beside it."""

import json

import numpy as np
import pytest
import torch
from audited import N_CLASSES, SIDE, Page, server, ufm
from torch import nn

from ufm import evidence, features
from ufm.auditing import NotAuditable, calibrated, given_pages, populations
from ufm.evidence.detectors import DEFAULT, LABEL_KNOWN
from ufm.study.runs import Run

LETTER = features.letter("A")


def linear(number, strength=0.0, label=1):
    """A linear model, which may answer to the letter."""
    weights = np.random.default_rng(number).normal(size=(N_CLASSES, SIDE, SIDE)) / 8
    weights[label, 1:6, 1:6] += strength * (LETTER - LETTER.mean())

    def predict(batch):
        return np.einsum("nhw,khw->nk", batch[:, 0].numpy(), weights)

    return predict


@pytest.fixture
def images():
    return torch.tensor(np.random.default_rng(0).random((9, 1, SIDE, SIDE)))


def test_the_table_is_what_the_records_say():
    cards = evidence.of(Run("detection", {"profile": "paper", "train": False}).recorded())
    assert populations.written(populations.computed(cards)) == populations.text(), (
        "src/ufm/auditing/populations.json is not what the records say: see benchmarks/audited.py"
    )


def test_the_table_names_the_detectors_and_is_read_as_it_was_written():
    table = populations.read()
    assert json.loads(populations.text())["detectors"] == {"unknown": DEFAULT.name, "known": LABEL_KNOWN.name}
    assert populations.written(table) == populations.text()
    assert {(one.population, one.host) for one in table} == {
        (f"{name}, {size}", host)
        for name in ("MNIST", "Fashion-MNIST")
        for size in ("full", "10 000 images")
        for host in ("random", "hard")
    }
    assert all(len(one.innocent[name]) == 2 * len(one.trained[name]) for one in table for name in one.innocent)


def test_a_score_is_the_books_and_stands_beside_its_models(images):
    report = calibrated(linear(0), "A", images, gives="logits", label=1)
    marks = [LETTER, *features.permutations(LETTER, features.FIXED)[:, 0]]
    shifts = {}
    for kind, some in (("ood", images.numpy()), ("black", np.zeros((1, 1, SIDE, SIDE)))):
        moved = []
        for mark in marks:
            stamped = some.copy()
            stamped[:, :, 1:6, 1:6] = mark
            moved.append((linear(0)(torch.tensor(stamped)) - linear(0)(torch.tensor(some))).mean(0))
        centred = np.array(moved) - np.mean(moved, 1, keepdims=True)
        shifts[kind] = (centred[0] - centred[1:].mean(0)) / centred[1:].std(0, ddof=1)
    assert report.score == pytest.approx((shifts["black"] + 0.3 * shifts["ood"])[1])
    assert (report.p, report.innocent, report.n_queries) == (None, (), (1 + 101) * (1 + 9))
    for one, row in zip(populations.read(), report.beside, strict=True):
        assert row.innocent == np.mean(one.innocent["known"] >= round(report.score, 2))
        assert row.trained == np.mean(one.trained["known"] >= round(report.score, 2))
        assert row.n_innocent == 2 * row.n_trained


@pytest.mark.parametrize("label", [None, 1])
def test_a_model_that_learnt_the_letter_scores_as_few_innocent_ones_do(images, label):
    guilty, other = (
        calibrated(linear(0, strength), "A", images, gives="logits", label=label) for strength in (2.0, 0.0)
    )
    assert guilty.found
    assert all(one.innocent <= 0.05 for one in guilty.beside)
    assert not other.found


def test_the_rank_among_innocent_models_is_a_p_value(images):
    innocents = [linear(number) for number in range(1, 20)]
    report = calibrated(linear(0, 2.0), "A", images, gives="logits", innocent=innocents)
    assert report.p == report.resolution == 1 / 20
    assert report.found
    own = calibrated(linear(0), "A", images, gives="logits")
    p = calibrated(linear(0), "A", images, gives="logits", innocent=innocents).p
    others = [calibrated(one, "A", images, gives="logits").score for one in innocents]
    assert p == (1 + sum(one >= own.score for one in others)) / 20
    few = calibrated(linear(0, 2.0), "A", images, gives="logits", innocent=innocents[:3])
    assert (few.p, few.found) == (0.25, False)
    assert "too few reference models for 0.05, which takes 19" in given_pages.verdict(few)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"feature": "a"}, ValueError, "feature: 'a' is no letter A to Z"),
        ({"feature": "gone.png"}, ValueError, "feature: there is no file gone.png"),
        ({"feature": "JOHN DOE"}, ValueError, "feature would cover rows"),
        ({"position": (5, 1)}, ValueError, "feature would cover rows 5 to 9"),
        ({"label": 3}, ValueError, "label: 3 is none of the model's 3 classes, from 0"),
        ({"label": -1}, ValueError, "label: -1 is none of the model's 3 classes"),
        (
            {"innocent": [lambda batch: np.eye(4)[np.arange(len(batch)) % 4]]},
            ValueError,
            "innocent: reference model 1 has 4 classes, the model 3",
        ),
        ({"predict": lambda batch: np.zeros((len(batch), 3))}, NotAuditable, "predict: there is a class that no"),
    ],
)
def test_what_cannot_be_told_is_said(images, changes, error, said):
    given = {"predict": linear(0), "feature": "A", "images": images, "gives": "logits"} | changes
    with pytest.raises(error, match=f"^{said}"):
        calibrated(**given)


GIVEN = {"--registry": None, "--feature": "A"}


def test_by_command_the_first_line_names_the_mode_and_no_p_value(here):
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, N_CLASSES))
    network[1].weight.data[0].unflatten(0, (SIDE, SIDE))[1:6, 1:6] += torch.tensor(LETTER - LETTER.mean())
    torch.save(network.state_dict(), here / "letter.pt")
    found = ufm(**GIVEN, **{"--weights": "letter.pt"})
    assert found.exit_code == 3
    assert found.stdout.startswith("A given mark has no p-value: models that never saw it answer to it too")
    page = Page((here / "report" / "report.html").read_text(encoding="utf-8"))
    text = " ".join("".join(page.texts).split())
    assert "Mode: calibrated. A given mark has no p-value" in text
    assert "Fashion-MNIST, 10 000 images" in text
    assert "This model has 3 classes, theirs 10." in text
    assert all(link.startswith("data:") for link in page.links)
    told = json.loads((here / "report" / "report.json").read_text(encoding="utf-8"))
    assert (told["mode"], told["p"], told["feature"], len(told["beside"])) == ("calibrated", None, "A", 8)
    assert ufm(**GIVEN, **{"--weights": "innocent.pt", "--label": 0}).exit_code == 0


def test_by_command_innocent_models_are_named_like_the_audited_one(here):
    arguments = [part for _ in range(2) for part in ("--innocent", "innocent.pt")]
    found = ufm(*arguments, **GIVEN)
    assert found.exit_code == 0
    assert found.stderr == f"{3 * 102 * 13} queries\n"
    assert "2 can give none below 0.33" in found.stdout
    with server() as (url, seen):
        options = {"--torch": None, "--weights": None, "--endpoint": url, "--model": "scans"}
        assert ufm("--innocent", "other", **GIVEN, **options).exit_code == 0
    assert {path.split("/")[3] for path, _, _ in seen} == {"scans", "other"}
