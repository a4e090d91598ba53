"""The plan is the one under which the records were made: what is trained, in which order, and where it is shown.

tests/plan.json was written before the plan was parted into a file a chapter. Other sweeps and chapters may be added;
chapters are rewritten on the second plan's sweeps.
"""

import json
from pathlib import Path

import pytest

from ufm.plan import second
from ufm.plan.registry import chapter, sweeps

FROZEN = json.loads((Path(__file__).parent / "plan.json").read_text(encoding="utf-8"))


def as_frozen(sweep):
    """The fingerprint of the first seed, the seeds, how many are needed, the turn, and the setting in words."""
    seeds = sweep.seeds
    return [
        sweep.protocol.fingerprint(seeds[0]),
        [seeds.start, seeds.stop, seeds.step],
        sweep.needed,
        sweep.turn,
        sweep.setting,
    ]


@pytest.mark.parametrize("profile", FROZEN["sweeps"])
def test_what_is_trained_is_as_when_the_records_were_made(profile):
    frozen = FROZEN["sweeps"][profile]
    found = {name: as_frozen(sweep) for name, sweep in sweeps(profile).items() if name in frozen}
    assert list(found.items()) == list(frozen.items())


@pytest.mark.parametrize("profile", FROZEN["chapters"])
def test_chapters_show_the_same_sweeps_in_the_same_order(profile):
    frozen = FROZEN["chapters"][profile]
    known = {name for name, one in FROZEN["sweeps"][profile].items() if not one[-1].startswith(second.TITLE)}
    assert {name: [one for one in chapter(name, profile) if one in known] for name in frozen} == frozen
