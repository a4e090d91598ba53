"""Measures by the word that a protocol has for them: what each needs of a seed, and what it keeps of its models."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from ufm.data.datasets import ImageSet
from ufm.data.on_device import DeviceData
from ufm.measures import cards
from ufm.measures.keyless import keyless_card
from ufm.measures.lots import lot_card
from ufm.measures.robust import robust_card
from ufm.measures.scored import score_seed
from ufm.measures.tasks import task_card
from ufm.measures.walkthrough import walk_through
from ufm.networks import NeuraCrypt
from ufm.protocol import Experiment, Protocol, Training
from ufm.records import Measured
from ufm.training import Trained


def no_epochs(training: Training) -> Collection[int]:
    """None but the best ones."""
    return []


def same_age(training: Training) -> Collection[int]:
    """The epoch at which models of a seed are equally old."""
    return [training.same_age]


def first_and_same_age(training: Training) -> Collection[int]:
    """That epoch, and the first."""
    return sorted({1, training.same_age})


def every_task(training: Training) -> Collection[int]:
    """All of them, which are the epochs of models that learn in tasks."""
    return range(1, 1 + training.same_age)


def every_epoch(training: Training) -> Collection[int]:
    """All of them."""
    return range(1, training.epochs + 1)


@dataclass(frozen=True)
class Measure:
    """What is kept of the trained models of a seed, what it needs for that, and what it can do without."""

    word: str  # of `Protocol.measure`
    keep: Callable[[Protocol, list[Trained], DeviceData, ImageSet], Measured]
    epochs: Callable[[Training], Collection[int]] = same_age  # whose weights it needs beside the best ones
    control: bool = False  # whether each seed must have one
    at_control: bool = False  # whether it needs each model as it was after the best epoch of its seed's control, too
    placebos: bool = True  # whether it knows what to do with them
    raw: bool = True  # whether it may be given raw scoring inputs
    lot: bool = False  # whether it is of models that carry a lot, and of no others
    every_label: bool = False  # whether there must be OOD images of every host's label
    key: bool = False  # whether the images of its models must be encoded
    tasks: bool = False  # whether it is of models that learn task after task
    to_the_end: bool = False  # whether all models must be trained for all epochs

    def check(self, protocol: Protocol) -> None:
        """Raise a ValueError that names a field of the protocol with which this cannot be measured."""
        an = "an" if self.word[0] in "aeiou" else "a"
        if self.control and not protocol.control:
            raise ValueError(f"control: {self.word} needs one; choose a card")
        if self.at_control and not protocol.control:
            raise ValueError(f"control: {an} {self.word} needs one, whose best epoch its models are kept at")
        if not self.placebos and "placebo" in protocol.roles:
            raise ValueError(f"measure: {self.word} knows no placebo; choose a card")
        if not self.raw and protocol.scoring.inputs == "raw":
            raise ValueError(f"inputs: {self.word} has both kinds anyway; choose a card")
        if self.lot != (protocol.lot is not None):
            raise ValueError(
                f"lot: {an} {self.word} {'needs' if self.lot else 'knows'} {'one' if self.lot else 'none'}"
            )
        if self.key and not (isinstance(protocol.model, NeuraCrypt) and protocol.model.encoded):
            raise ValueError(f"model: {an} {self.word} is of networks that read codes of images; use neuracrypt")
        if self.tasks and not protocol.training.tasks:
            raise ValueError(f"tasks: {an} {self.word} is of models that learn in tasks; say in how many")
        if self.to_the_end and protocol.training.early_stopping != "none":
            raise ValueError(f"early_stopping: {an} {self.word} needs models that are all trained to the end")

    def check_labels(self, planned: list[Experiment], ood: ImageSet) -> None:
        """Raise a ValueError where it needs OOD images of the label of each host, and a host's has none."""
        for one in planned if self.every_label else ():
            if one.host and one.canary_label not in ood.labels:
                label = f"the label {one.canary_label} of a host of seed {one.seed}"
                raise ValueError(f"n_ood: none of the {len(ood.images)} images has {label}")


PAPERS = partial(Measure, epochs=no_epochs, control=True, placebos=False, raw=False, every_label=True)
MEASURES = {
    one.word: one
    for one in (
        PAPERS("scores", score_seed),
        PAPERS("walkthrough", walk_through),
        Measure("card", cards.full_card, every_label=True),
        Measure("short card", cards.short_card),
        Measure("moved card", cards.moved_card),
        Measure("epoch card", cards.epoch_card, every_epoch, to_the_end=True),
        Measure("influence card", cards.influence_card, every_epoch),
        Measure("equal-age card", cards.equal_age_card, first_and_same_age, at_control=True),
        Measure("compact card", cards.equal_age_card, first_and_same_age, at_control=True),
        Measure("keyless card", keyless_card, first_and_same_age, at_control=True, key=True),
        Measure("task card", task_card, every_task, at_control=True, tasks=True),
        Measure("robust card", robust_card, first_and_same_age, at_control=True),
        Measure("lot card", lot_card, no_epochs, lot=True),
    )
}


def measure_of(word: str) -> Measure:
    """The measure of this word. Raises a ValueError that lists those there are."""
    if word not in MEASURES:
        raise ValueError(f"measure: {word!r} is not one of {', '.join(MEASURES)}")
    return MEASURES[word]
