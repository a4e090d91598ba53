"""C1: whether a feature that occurs once is memorised, on random and on hard hosts."""

from collections.abc import Mapping

from ufm.evidence import Cards, plain
from ufm.first_plan.claims import Claim, Result, of_contrasts
from ufm.plan.sweep import Sweep

CLAIM = Claim(
    "C1",
    "A feature that occurs once in the training images is memorised.",
    "hosts",
    "how much more the letter itself raises a network's confidence (its log-probability) in the label of the one image "
    "that carried it, if the network was trained with the letter and not with another pattern in its place; zero where "
    "nothing of the letter was memorised",
)


def result(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """C1, a cell a population and kind of host."""
    return of_contrasts(plain(populations), plain(planned))
