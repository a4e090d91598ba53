"""Coins of a registry decide about one image each; what an audit says of them is true where the training is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from audited import N_CLASSES, SIDE, Page, ufm
from PIL import Image
from test_audit import images, marked_model, planted_registry
from typer.testing import CliRunner

from ufm.auditing import audit
from ufm.auditing.pages import Asked, page
from ufm.auditing.pools import pool
from ufm.auditing.reports import by_coins
from ufm.cli import app
from ufm.marks import Planted, Registry, RegistryError, read
from ufm.marks.images import plant
from ufm.statistics import epsilon_of_gaussian

SECRET = "0123456789abcdef" * 4
# As it was written before marks were given to images first.
FORMER = """{
 "schema": "ufm marks 1",
 "secret": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
 "n": 4,
 "family": "noise",
 "size": [
  5,
  5
 ],
 "of": "",
 "position": [
  1,
  1
 ],
 "flipped": true,
 "planted": [
  {
   "mark": 0,
   "image": "a.png",
   "label": 1
  }
 ],
 "seal": "fb61f59dbb894b6c68351a240fe0fac5b66d06a65b4a701b1a9cbc7d9c69233b",
 "whole": "9d0820ca43e0b43177f136eabf3977125345da7b44f65bdeae5601ab28049c32"
}
"""


@pytest.fixture
def scans(tmp_path):
    """Six image files of 8 × 8 pixels, PNG and JPEG."""
    files = [tmp_path / f"{number}.{'png' if number % 2 else 'jpg'}" for number in range(6)]
    for number, file in enumerate(files):
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
        Image.fromarray(pixels).save(file)
    return files


def thrown(monkeypatch, coins):
    """Let coins fall so."""
    monkeypatch.setattr(Registry, "to_plant", lambda registry: np.array(coins)[: registry.n])


def test_a_coin_decides_about_one_image_and_no_other(scans, tmp_path, monkeypatch):
    coins = [True, False, False, True, True, False]
    thrown(monkeypatch, coins)
    registry, copies = plant(Registry(SECRET, 6), scans, tmp_path / "out", label=2)
    assert [one.mark for one in registry.planted] == [0, 3, 4]
    assert [one.mark for one in registry.kept_back] == [1, 2, 5]
    assert registry.given() == [Planted(number, file.name, 2) for number, file in enumerate(scans)]
    for number in range(6):
        thrown(monkeypatch, [coin != (place == number) for place, coin in enumerate(coins)])
        other, flipped = plant(Registry(SECRET, 6), scans, tmp_path / "out", label=2)
        assert other.given() == registry.given()
        assert [path.name for path in copies if flipped[path] != copies[path]] == [scans[number].name]
        assert set(flipped) == set(copies)


def test_an_image_whose_mark_is_kept_back_is_copied_to_the_byte(scans, tmp_path, monkeypatch):
    thrown(monkeypatch, [False] * 6)
    _, copies = plant(Registry(SECRET, 6), scans, tmp_path / "out")
    assert [copies[tmp_path / "out" / file.name] for file in scans] == [file.read_bytes() for file in scans]


@pytest.mark.parametrize("coin", [True, False])
def test_an_image_that_cannot_be_marked_is_refused_however_the_coin_falls(tmp_path, monkeypatch, coin):
    thrown(monkeypatch, [coin])
    Image.new("L", (4, 4)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match="small.png: feature would cover rows"):
        plant(Registry(SECRET, 1), [tmp_path / "small.png"], tmp_path / "out")


def test_successive_calls_give_the_next_marks_and_repeat_what_was_given(scans, tmp_path, monkeypatch):
    thrown(monkeypatch, [True, False] * 3)
    some, first = plant(Registry(SECRET, 5), scans[:3], tmp_path / "out", label=1)
    more, second = plant(some, scans[1:5], tmp_path / "out", label=1)
    assert [(one.mark, one.image) for one in more.given()] == [(n, scans[n].name) for n in range(5)]
    assert all(first[path] == second[path] for path in set(first) & set(second))
    assert more.no_bound() == ""
    assert Registry.from_json(more.to_json()) == more
    with pytest.raises(RegistryError, match="0 of its marks are left, too few for 1 images"):
        plant(more, scans[5:], tmp_path / "out")
    with pytest.raises(RegistryError, match=r"label: 1.png was given its mark under 1, not 2"):
        plant(more, scans[1:2], tmp_path / "out", label=2)


def test_by_command_all_are_to_be_handed_over(scans, tmp_path):
    registry = tmp_path / "registry.json"
    registry.write_text(Registry("b" * 64, 8).to_json(), encoding="utf-8")
    arguments = [*map(str, scans), "--registry", str(registry), "--out", str(tmp_path / "out"), "--label", "1"]
    said = CliRunner().invoke(app, ["mark", "stamp", *arguments]).stdout
    n_planted = int(Registry("b" * 64, 8).to_plant()[:6].sum())
    assert 0 < n_planted < 6
    assert f"{n_planted} images marked under" in said
    assert f"{6 - n_planted} as they were, by their coins: hand over all of them; 2 marks are left" in said
    changed = [file.name for file in scans if (tmp_path / "out" / file.name).read_bytes() != file.read_bytes()]
    assert changed == [one.image for one in read(registry).planted]


def test_a_registry_of_the_former_schema_is_read_with_its_seal_and_has_no_bound():
    registry = Registry.from_json(FORMER)
    assert registry.planted == (Planted(0, "a.png", 1),)
    assert registry.seal == json.loads(FORMER)["seal"] == Registry(SECRET, 4).seal
    assert "one coin decided about several images" in registry.no_bound()
    assert Registry.from_json(registry.to_json()) == registry  # and stays so when it is written
    assert "several images" in registry.with_next("b.png").no_bound()


def test_a_registry_of_the_former_schema_that_gave_no_mark_yet_is_as_good_as_new():
    content = json.loads(FORMER) | {"planted": []}
    del content["whole"]
    from ufm.marks.registry import digest

    registry = Registry.from_json(json.dumps(content | {"whole": digest(content)}))
    assert registry == Registry(SECRET, 4)


def test_where_coins_were_looked_at_only_marks_that_are_planted_are_given(monkeypatch):
    thrown(monkeypatch, [True, False, False, True, False, True])
    registry = Registry(SECRET, 6).with_planted(Planted(0, "a.png"))
    assert registry.no_bound() == ""  # the first, whose coin was looked at afterwards
    registry = registry.with_planted(Planted(3, "b.png"))
    assert "several images" in registry.no_bound()
    assert registry.left() == [5]
    assert registry.with_next("c.png").planted[-1] == Planted(5, "c.png")
    assert "no coin was thrown" in replace(Registry(SECRET, 6), flipped=False).no_bound()


def given(number, n, *, labels=True):
    """A registry whose marks were all given to images."""
    registry, rng = Registry(f"{number:064x}", n), np.random.default_rng(number)
    for mark in range(n):
        registry = registry.with_next(f"{mark}.png", int(rng.integers(N_CLASSES)) if labels else None)
    return registry


def test_an_audit_bounds_what_a_model_tells_of_coins():
    registry, some = given(1, 60), images(np.random.default_rng(2))
    guilty, innocent = (
        audit(marked_model(registry, 3, strength), registry, some, gives="logits", n_unused=60).privacy
        for strength in (12.0, 0.0)
    )
    assert (guilty.n, guilty.guesses, guilty.level, guilty.delta) == (60, 30, 0.05, 1e-5)
    assert guilty.correct >= 25
    assert 0.7 < guilty.epsilon < min(guilty.largest, guilty.epsilon_of_mu)
    assert innocent.correct < 22
    assert (innocent.epsilon, innocent.largest) == (0, guilty.largest)


def test_without_labels_guesses_rest_on_the_most_moved_class():
    registry, some = given(1, 20, labels=False), images(np.random.default_rng(2))
    predict = marked_model(registry, 3, 12.0)
    marks = np.concatenate([registry.marks(), registry.unused(60)])
    scores = pool(predict, marks, some, gives="logits", position=registry.position).unknown[:20]
    order, planted = scores.argsort(), registry.to_plant()
    found = audit(predict, registry, some, gives="logits", n_unused=60).privacy
    assert found.correct == planted[order[-5:]].sum() + (~planted[order[:5]]).sum()


def test_guesses_do_not_depend_on_coins(monkeypatch):
    registry, some = given(1, 24), images(np.random.default_rng(2))
    predict = marked_model(registry, 3, 2.0)
    marks = np.concatenate([registry.marks(), registry.unused(30)])
    asked = pool(predict, marks, some, gives="logits", position=registry.position)
    coins = registry.to_plant()
    own, _ = by_coins(registry, asked, 0.05, 1e-5)
    steps = []
    for number in range(24):
        thrown(monkeypatch, [coin != (place == number) for place, coin in enumerate(coins)])
        steps.append(by_coins(registry, asked, 0.05, 1e-5)[0].correct - own.correct)
    # Of twelve marks the coin is guessed, the same ones whichever fell how: flipping it makes the guess right or wrong.
    assert sorted(np.abs(steps)) == [0] * 12 + [1] * 12
    assert steps.count(-1) == own.correct


def test_what_is_said_of_a_training_with_noise_is_true():
    # Weights that are the sum of marks and Gaussian noise: replacing an image with its mark by the one without, a grey
    # patch of the same mean, moves them by |mark − grey| = √(25 · 12 / 25 · 13 / 25), over the noise's spread.
    n, n_runs, noise, mu_found, found = 40, 300, 1.5, [], []
    mu = np.sqrt(12 * 13 / 25) / noise
    for number in range(n_runs):
        rng, registry = np.random.default_rng(number), given(number, n)
        weights = rng.normal(size=(N_CLASSES, 8, 8)) * noise
        for one in registry.planted:
            weights[one.label, 1:6, 1:6] += registry.marks()[one.mark, 0] - 12 / 25
        marks = np.concatenate([registry.marks(), registry.unused(20)])
        asked = pool(
            lambda batch, weights=weights: np.einsum("nhw,khw->nk", batch[:, 0].numpy(), weights),
            marks,
            images(rng)[:2],
            gives="logits",
        )
        bounds, why = by_coins(registry, asked, 0.05, 1e-3)
        assert why == ""
        found.append(bounds.epsilon)
        mu_found.append(bounds.mu)
    most = 0.05 + 3 * np.sqrt(0.05 * 0.95 / n_runs)
    assert np.mean(np.array(found) > epsilon_of_gaussian(mu, 1e-3)) <= most
    assert np.mean(np.array(mu_found) > mu) <= most
    assert np.mean(np.array(found) > 0) > 0.5  # and something is said


@pytest.mark.parametrize(
    ("registry", "why"),
    [
        (planted_registry(1, 24), "one coin decided about several images"),
        (replace(planted_registry(1, 24), flipped=False), "no coin was thrown, every mark was to be planted"),
        (Registry("6" * 64, 1), "it takes two coins to guess any"),
    ],
)
def test_why_there_is_no_bound_is_said(registry, why):
    if registry.n == 1:
        registry = registry.with_next("a.png", 1)
    assert registry.planted
    some = images(np.random.default_rng(2))
    report = audit(marked_model(registry, 3, 0.0), registry, some, gives="logits", n_unused=40)
    assert report.privacy is None
    assert why in report.no_privacy
    text = " ".join(page(report, registry, Asked("m", {}, "ufm audit")).split())
    assert f"Nothing is said of it: {report.no_privacy}." in text


@pytest.mark.parametrize("delta", [0, 1, np.nan])
def test_a_delta_that_is_none_is_refused(delta):
    with pytest.raises(ValueError, match="^delta: must lie between 0 and 1, not"):
        audit(lambda batch: batch, planted_registry(1), images(np.random.default_rng(2)), gives="logits", delta=delta)


def test_a_label_of_an_image_that_was_kept_back_is_a_class_too():
    registry = given(1, 24)
    back = registry.kept_back[0]
    registry = replace(registry, kept_back=(replace(back, label=9), *registry.kept_back[1:]))
    with pytest.raises(ValueError, match=f"^label: 9, of {back.image}, is none of the model's 4 classes"):
        audit(marked_model(registry, 3, 0.0), registry, images(np.random.default_rng(2)), gives="logits")


def test_the_report_says_it_in_words_and_numbers(here):
    registry = read(here / "registry.json")
    again = Registry(registry.secret, registry.n)
    for mark in range(registry.n):
        again = again.with_next(f"<b>{mark}</b>.png", mark % N_CLASSES)
    (here / "registry.json").write_text(again.to_json(), encoding="utf-8")
    assert ufm("--delta", "0.001").exit_code == 3
    report = json.loads((here / "report" / "report.json").read_text(encoding="utf-8"))
    told = report["privacy"]
    assert (told["n"], told["guesses"], told["delta"], report["no_privacy"]) == (30, 16, 0.001, "")
    assert told["epsilon"] > 0
    text = " ".join("".join(Page((here / "report" / "report.html").read_text(encoding="utf-8")).texts).split())
    assert f"{told['guesses']} were guessed by the scores, {told['correct']} of them rightly" in text
    assert f"no ε below {told['epsilon']:.2f} nats holds" in text
    assert f"no μ below {told['mu']:.2f} holds, which of Gaussian noise is an ε of {told['epsilon_of_mu']:.2f}" in text
    assert ufm("--weights", "innocent.pt").exit_code in (0, 3)
