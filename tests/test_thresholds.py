"""The thresholds are those of the plan's page."""

import re
from dataclasses import fields

import pytest

from ufm import paths
from ufm.plan.thresholds import THRESHOLDS

PAGE = (paths.BOOK / "plan.md").read_text(encoding="utf-8")
# Where the page fixes each: the claim, and the words, with the number as it is written there.
FIXED = {
    "level": ("C1", "corrected p below {0.05}"),
    "smallest_contrast": ("C1", "Smallest effect that matters: {0.02} nats"),
    "learnt": ("C2", "gains at least {one} nat more from the letter in the canary than in its own control"),
    "fewest_learnt": ("C2", "fewer than {twenty} learnt canaries is undecided"),
    "smallest_area": ("C2", "every interval lies below {0.6}"),
    "n_folds": ("C2", "{ten} folds, a seed in the fold of its number modulo ten"),
    "false_positive_rate": ("C2", "chosen statistic flags one innocent model in {twenty}"),
    "highly_influential": ("C4", "mean rank share of at least {0.95}"),
    "smallest_rise": ("C4", "the interval of the difference lies below {0.05}"),
    "needs_no_letter": ("C5", "whose loss under clean models is below {0.01} nats"),
    "smallest_share": ("C5", "the interval above one {quarter}"),
}
IN_WORDS = {"one": 1, "ten": 10, "twenty": 20, "quarter": 0.25}
OF_PAGES = {"published_level", "fewest_seeds", "many_cells"}  # by which the plan decides nothing


def section(claim):
    """The page's text on a claim, a space between any two words."""
    _, _, rest = PAGE.partition(f"\n## {claim}: ")
    return " ".join(rest.partition("\n## ")[0].split())


def test_every_threshold_is_fixed_by_the_plan_or_of_the_pages_alone():
    assert {one.name for one in fields(THRESHOLDS)} == FIXED.keys() | OF_PAGES


@pytest.mark.parametrize("name", FIXED)
def test_a_threshold_is_the_plans(name):
    claim, words = FIXED[name]
    assert words.replace("{", "").replace("}", "") in section(claim)
    number = re.search(r"\{(.+)\}", words)[1]
    value = IN_WORDS[number] if number in IN_WORDS else float(number)
    assert getattr(THRESHOLDS, name) == (1 / value if name == "false_positive_rate" else value)


def test_thresholds_cannot_be_changed():
    with pytest.raises(AttributeError, match="level"):
        THRESHOLDS.level = 0.1
