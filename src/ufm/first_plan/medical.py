"""C6: the same of medical images, with a letter or a name."""

from collections.abc import Mapping
from typing import TypeVar

from ufm.evidence import Cards
from ufm.first_plan.claims import Claim, Result, of_contrasts
from ufm.plan.medical import MEDICAL_SETTINGS
from ufm.plan.sweep import Sweep

S = TypeVar("S", Cards, Sweep)
CLAIM = Claim(
    "C6",
    "The risk matters for medical images.",
    "medical",
    "the same as for C1, on chest X-rays, with a letter or a name",
)


def result(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """C6, a cell a setting and kind of host."""
    return of_contrasts(of_medical_images(populations), of_medical_images(planned))


def of_medical_images(populations: Mapping[str, S]) -> dict[str, S]:
    """The populations, or their sweeps, of medical images."""
    return {name: one for name, one in populations.items() if one.setting in MEDICAL_SETTINGS}
