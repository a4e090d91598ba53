"""Reconstruction from a gradient: which batches, how wide the networks (book/fourth-plan.md). Nothing is trained."""

from dataclasses import dataclass

from ufm.plan import second
from ufm.plan.thresholds import SECOND

RECORDS = "gradients"  # the folder of what is kept


@dataclass(frozen=True)
class Gradients:
    """The batches of a seed: a random host with the letter, with an order of its pixels and plain, beside others."""

    dataset: str = "mnist"
    n_train: int = second.N_SMALL["paper"]
    sizes: tuple[int, ...] = (28, 14)  # rows and columns of images; a pixel of smaller ones is a mean over a square
    batches: tuple[int, ...] = (2, 4)  # images, the host among them
    units: tuple[int, ...] = (10_000, 30_000, 100_000)  # of the hidden layer, rising
    bias: float = -1.0  # of each of them
    feature: str = "A"
    position: tuple[int, int] = (1, 1)
    n_marks: int = 100  # orders of the letter's pixels, of which one is stamped

    @property
    def chance(self) -> float:
        """Of a mark that was drawn and never stamped to rank first among all of them."""
        return 1 / self.n_marks

    @property
    def confidence(self) -> float:
        """That of the intervals on which words stand, all cells together keep the level."""
        return 1 - SECOND.level / (len(self.sizes) * len(self.batches) * len(self.units))


PLANS = {
    "embedded": Gradients("digits", second.N_SMALL["embedded"], sizes=(14,), units=(1_000, 10_000)),
    "paper": Gradients(),
}
SEEDS = second.SMALL  # by profile
N_PICTURED = 3  # seeds of which images are shown, the first
