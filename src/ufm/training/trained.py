"""A trained model, and the course of its training that it is taken from."""

import math
from collections.abc import Callable, Collection
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from ufm.protocol import Experiment

T = TypeVar("T")
State = dict[str, torch.Tensor]  # a network's weights, as its `load_state_dict` takes them


@dataclass(frozen=True, eq=False)
class Recalled:
    """What a model recalled, task by task, in pixels; zero in tasks without."""

    # (n_tasks, h, w), mean over recalled images: where features are stamped, less the patch's mean over its deviation.
    patches: np.ndarray
    images: np.ndarray  # (n_tasks, C, H, W), the first of the last batch


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model with the weights of its best epoch and how it came there."""

    model: nn.Sequential
    experiment: Experiment
    best_epoch: int  # counted from 1
    history: list[dict[str, float]]  # one entry an epoch: epoch, train_loss, stopping_loss, stopping_accuracy
    snapshots: dict[int, nn.Sequential] = field(default_factory=dict)  # the model after other epochs, by epoch
    at_control: nn.Sequential | None = None  # the model after the best epoch of its seed's control, if asked for
    # Steps in which it forgot its hosts, as it was at its best epoch and at its control's; none if it did not have to.
    forgetting: tuple[int, int] = (0, 0)
    recalled: Recalled | None = None  # of one that recalls


@dataclass
class Course:
    """The training of one member, as far as it has come: what early stopping knows, and the weights to be kept."""

    experiment: Experiment
    snapshots: Collection[int] = ()  # epochs whose weights are kept beside the best ones
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0  # none yet
    stopped: bool = False  # though it may be trained on, for others to wait for
    best: State = field(default_factory=dict)
    kept: dict[int, State] = field(default_factory=dict)  # by epoch
    at_control: State = field(default_factory=dict)

    def pass_epoch(
        self, train_loss: float, stopping_loss: float, stopping_accuracy: float, state: Callable[[], State]
    ) -> None:
        """Note what the next epoch brought, and stop where the settings of training say so.

        state: gives a copy of the weights after it. Raises a ValueError where training diverged.
        """
        settings, epoch = self.experiment.protocol.training, len(self.history) + 1
        if not math.isfinite(stopping_loss):
            raise ValueError(f"learning_rate: training of seed {self.experiment.seed} diverged in epoch {epoch}")
        lowest = stopping_loss < min((past["stopping_loss"] for past in self.history), default=math.inf)
        self.history.append(
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "stopping_loss": stopping_loss,
                "stopping_accuracy": stopping_accuracy,
            }
        )
        if epoch in self.snapshots:
            self.kept[epoch] = state()
        if self.stopped:
            return
        to_the_end = settings.early_stopping == "none"
        if lowest or to_the_end:
            self.best_epoch, self.best = epoch, state()
        self.stopped = not to_the_end and epoch - self.best_epoch >= settings.patience

    def end(self, template: nn.Sequential) -> Trained:
        """The trained model; template: a network of its architecture, on its device."""
        return Trained(
            loaded(template, self.best),
            self.experiment,
            self.best_epoch,
            self.history,
            {epoch: loaded(template, state) for epoch, state in self.kept.items()},
            loaded(template, self.at_control) if self.at_control else None,
        )


def at_both_epochs(
    trained: list[Trained], changed: Callable[[list[tuple[nn.Sequential, Experiment]]], list[T]]
) -> list[tuple[T, T | None]]:
    """What becomes of each model as it was at its best epoch, and at its control's, if it was kept.

    Where both are one it is changed once.
    """
    best = changed([(one.model, one.experiment) for one in trained])
    kept = {place: one.at_control for place, one in enumerate(trained) if one.at_control is not None}
    apart = [place for place, model in kept.items() if not same(model, trained[place].model)]
    at_control = {place: best[place] for place in kept}
    at_control |= zip(apart, changed([(kept[place], trained[place].experiment) for place in apart]), strict=True)
    return [(one, at_control.get(place)) for place, one in enumerate(best)]


def same(one: nn.Sequential, other: nn.Sequential) -> bool:
    """Whether two networks of one architecture have the same weights."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def loaded(template: nn.Sequential, state: State) -> nn.Sequential:
    """A network like the template with weights of its own, ready to be evaluated."""
    module = deepcopy(template)
    module.load_state_dict(state)
    return module.eval()
