"""The plan is found in its files: a new chapter is a file of its own, and nothing else of the plan changes."""

import sys

import pytest

from ufm import plan
from ufm.first_plan import verdicts
from ufm.plan import registry
from ufm.plan.profiles import PROFILES
from ufm.study import parameters

TOY = """
from ufm.plan import populations
from ufm.plan.sweep import beside

PLACE = {"embedded": 4, "paper": 4}


def sweeps(profile):
    return beside("digits-small", {"a toy": populations.plain("embedded", "digits-small")}, range(5, 7), 1)


def shown(profile):
    return ("digits-small", *sweeps(profile))


DECIDING = {"C10": sweeps}
PICTURED = sweeps
"""


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A chapter that the plan does not have."""
    (tmp_path / "a_toy.py").write_text(TOY, encoding="utf-8")
    monkeypatch.setattr(plan, "__path__", [*plan.__path__, str(tmp_path)])
    yield
    sys.modules.pop("ufm.plan.a_toy", None)
    vars(plan).pop("a_toy", None)


def test_a_chapter_is_added_by_its_file_alone(toy):
    assert registry.chapter("a-toy", "embedded") == ("digits-small", "digits-small-a-toy")
    shown = parameters.shown("a-toy", "embedded")
    assert list(shown) == ["digits-small", "digits-small-a-toy"]
    assert (shown["digits-small-a-toy"].seeds, shown["digits-small-a-toy"].setting) == (range(5, 7), "a toy")


def test_sweeps_of_a_file_stand_at_its_place(toy):
    names = list(registry.sweeps("embedded"))
    before, after = names.index("digits-small-middling-hosts"), names.index("digits-small-batch-norm")
    assert before < names.index("digits-small-a-toy") < after


def test_what_decides_its_claim_is_shown_by_the_verdicts(toy):
    assert list(registry.deciding())[-1] == "C10"  # and not before C2
    assert registry.chapter("first-plan", "embedded")[-1] == "digits-small-a-toy"


def test_images_of_hosts_are_kept_where_a_chapter_says_so(toy):
    assert {"digits-small-a-toy", "mnist-small", "mnist-full-second-plan-both-hosts"} <= set(registry.pictured())
    assert "mnist-small-usual" not in registry.pictured()


def test_every_claim_of_the_first_plan_is_judged_by_the_file_of_its_chapter():
    judged = verdicts.judged()
    assert [one.CLAIM.name for one in judged] == list(registry.deciding())
    for file in judged:
        assert file.CLAIM.chapter in registry.chapters()
        assert file.__name__.rpartition(".")[2] == file.CLAIM.chapter


def test_without_the_file_there_is_no_such_chapter():
    with pytest.raises(ValueError, match="^no notebook 'a-toy'; known: as-released, cnns"):
        registry.chapter("a-toy", "embedded")


@pytest.mark.parametrize("profile", PROFILES)
def test_no_two_files_train_under_one_name(profile):
    names = [name for one in registry.files() if hasattr(one, "PLACE") for name in one.sweeps(profile)]
    assert len(set(names)) == len(names) == len(registry.sweeps(profile)) > 20


@pytest.mark.parametrize("profile", PROFILES)
def test_every_file_that_trains_has_a_place_of_its_own(profile):
    trains = [one for one in registry.files() if hasattr(one, "sweeps") and one is not registry]
    places = [one.PLACE[profile] for one in trains]
    assert len(set(places)) == len(places)


def test_an_unknown_profile_is_one_line():
    for ask in (lambda: registry.sweeps("nonsense"), lambda: registry.chapter("controls", "nonsense")):
        with pytest.raises(ValueError, match="^profile: 'nonsense' is not one of embedded, paper$"):
            ask()
