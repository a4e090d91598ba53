"""Audits that may stop early: their p-values are valid whenever they stop, and what was asked is not asked again."""

import json

import numpy as np
import pytest
import torch
from audited import Page, ufm
from test_audit import N_IMAGES, images, marked_model, planted_registry

from ufm.auditing import NotAuditable, audit, models
from ufm.evidence.exact import Combined, combined
from ufm.evidence.looks import adjusted, looks, told
from ufm.marks import Registry


class Counting:
    """A model that counts the images it is asked about."""

    def __init__(self, predict):
        self.predict, self.n = predict, 0

    def __call__(self, batch):
        self.n += len(batch)
        return self.predict(batch)


def test_by_hand():
    assert looks(400) == (50, 400)
    assert looks(39) == (4, 39)
    found = adjusted(Combined(1.0, 2.0, 0.02, 5, 0.6), 2)
    assert (found.p, found.smallest, found.statistic, found.z) == (0.04, 1.0, 1.0, 2.0)
    # At a level of 0.05: found; nothing to be hoped for; to be looked at once more.
    assert told(0.05, 0.05, 2)
    assert told(0.41, 0.05, 2)
    assert not told(0.4, 0.05, 2)
    assert not told(0.06, 0.05, 2)


def test_p_values_of_innocent_models_are_valid_whenever_an_audit_stops(monkeypatch):
    monkeypatch.setitem(combined.__kwdefaults__, "n_draws", 399)
    p, p_one, asked = [], [], []
    for number in range(400):
        registry, some = Registry(f"{number:064x}", 4, flipped=False), images(np.random.default_rng(number))[:3]
        for mark in range(4):
            registry = registry.with_next(f"{mark}.png", mark)
        report = audit(
            marked_model(registry, number, 0.0), registry, some, gives="logits", n_unused=80, stop_early=True
        )
        p.append(report.p)
        p_one.append(report.marks[0].p_known)
        asked.append(report.n_unused)
    assert set(asked) == {10, 80}
    for level in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8):
        for values in (p, p_one):
            assert np.mean(np.array(values) <= level) <= level + 3 * np.sqrt(level * (1 - level) / len(p))
    assert np.mean(np.array(asked) == 10) > 0.7


@pytest.mark.parametrize(("strength", "n_unused"), [(12.0, 50), (0.0, 50)])
def test_a_model_that_learnt_the_marks_and_one_that_did_not_are_asked_less(strength, n_unused):
    registry, some = planted_registry(1, 48), images(np.random.default_rng(2))
    predict = Counting(marked_model(registry, 5, strength))
    report = audit(predict, registry, some, gives="logits", stop_early=True)
    assert report.found == (strength > 0)
    assert (report.n_unused, report.looks) == (n_unused, 2)
    assert report.n_queries == predict.n == (1 + 48 + n_unused) * (1 + N_IMAGES)
    once = audit(predict, registry, some, gives="logits", n_unused=n_unused)
    assert report.p == min(1, 2 * once.p)
    assert [one.p for one in report.marks] == [min(1, 2 * one.p) for one in once.marks]
    assert [one.p_known for one in report.marks] == [min(1, 2 * one.p_known) for one in once.marks]
    assert report.unknown.p == min(1, 2 * once.unknown.p)


def test_where_the_first_look_does_not_tell_all_are_asked():
    found = []
    for number in range(20):
        registry, some = planted_registry(number, 12), images(np.random.default_rng(number))
        predict = Counting(marked_model(registry, number, 0.6))
        report = audit(predict, registry, some, gives="logits", stop_early=True)
        found.append(report.n_unused)
        assert report.n_queries == predict.n
        if report.n_unused == 400:
            whole = audit(predict, registry, some, gives="logits")
            assert report.p == 2 * whole.p
            assert report.n_queries == whole.n_queries + 1 + N_IMAGES  # the images as they are, twice
            assert report.power.smallest > whole.power.smallest
    assert set(found) == {50, 400}


def test_coins_are_guessed_at_a_part_of_the_level_at_each_look():
    registry, some = Registry(f"{1:064x}", 60), images(np.random.default_rng(2))
    for mark in range(60):
        registry = registry.with_next(f"{mark}.png", mark % 4)
    predict = marked_model(registry, 3, 12.0)
    early = audit(predict, registry, some, gives="logits", stop_early=True).privacy
    once = audit(predict, registry, some, gives="logits", n_unused=50, level=0.025).privacy
    assert (early.level, once.level) == (0.05, 0.025)
    assert (early.correct, early.epsilon, early.mu) == (once.correct, once.epsilon, once.mu)


def test_where_few_draws_say_nothing_all_are_asked():
    registry, some = planted_registry(1, 60, labels=False), images(np.random.default_rng(2))
    last = torch.tensor(registry.unused(400)[-1])

    def of_one_mark(batch):
        return (batch[:, :, 1:6, 1:6] == last).all((1, 2, 3)).long()

    with pytest.raises(NotAuditable, match="so few of 460 marks"):
        audit(of_one_mark, registry, some, gives="class", n_classes=2, stop_early=True)


def test_too_few_draws_for_two_looks_are_refused():
    registry = planted_registry(1)
    with pytest.raises(ValueError, match=r"^n_unused: 38 cannot give a p-value of 0.05; it takes 39$"):
        audit(
            lambda batch: batch,
            registry,
            images(np.random.default_rng(2)),
            gives="logits",
            n_unused=38,
            stop_early=True,
        )


def test_by_command_it_stops_and_says_so(here):
    found = ufm("--stop-early")
    assert found.exit_code == 3
    assert found.stderr == f"at most {(1 + 30 + 400) * 13 + 13} queries\n"
    told_in = json.loads((here / "report" / "report.json").read_text(encoding="utf-8"))
    assert (told_in["looks"], told_in["n_unused"], told_in["n_queries"]) == (2, 50, (1 + 30 + 50) * 13)
    text = " ".join("".join(Page((here / "report" / "report.html").read_text(encoding="utf-8")).texts).split())
    assert "Each p is multiplied by 2, the number of looks after which the audit may stop." in text
    assert ufm().exit_code == 3
    assert "is multiplied" not in (here / "report" / "report.html").read_text(encoding="utf-8")


def test_what_was_broken_off_at_the_second_look_goes_on_there(here, monkeypatch):
    monkeypatch.setattr("ufm.auditing.audits.told", lambda p, level, times: False)
    assert ufm("--stop-early").exit_code == 3
    whole = (here / "report" / "report.json").read_text(encoding="utf-8")
    of_torch, asked = models.of_torch, []

    def breaking(*arguments):
        predict = of_torch(*arguments)

        def until(batch):
            asked.append(len(batch))
            if sum(asked) > 3_000:
                raise KeyboardInterrupt
            return predict(batch)

        return until

    monkeypatch.setattr(models, "of_torch", breaking)
    assert ufm("--stop-early").exit_code == 130
    before = sum(asked)
    monkeypatch.setattr(models, "of_torch", of_torch)
    assert ufm("--stop-early", "--resume").exit_code == 3
    assert before > (1 + 30 + 50) * 13
    assert (here / "report" / "report.json").read_text(encoding="utf-8") == whole
