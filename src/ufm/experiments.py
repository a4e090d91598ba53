"""What is trained: a protocol says it for every seed, an experiment for one model; both have a fingerprint.

A seed is the unit of completion. Its models share initialisation and batch order and differ in what is stamped where:
the *control* never sees the feature, the *canary* has it on one training image, the host.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from ufm import features
from ufm.datasets import Dataset
from ufm.models import MLP
from ufm.sources import checksum
from ufm.streams import stream

# Raised whenever the same settings would give other results than before: records of another recipe are not re-used.
RECIPE = 1


HOSTS = ("random",)  # kinds of host


@dataclass(frozen=True)
class Training:
    """How one model is trained; the defaults are those of the released code but for what early stopping watches."""

    learning_rate: float = 3e-4  # Adam
    epsilon: float = 1e-7  # Adam's, Keras' default
    batch_size: int = 128  # images in file order, no shuffling
    epochs: int = 100  # at most
    patience: int = 10  # epochs without a lower stopping loss before training ends
    early_stopping: str = "half"  # "half" of the test split, "released": all of it, "none": train to the end
    precision: str = "float32"  # or "float64"

    def __post_init__(self):
        if self.early_stopping not in ("half", "released", "none"):
            raise ValueError(f"early_stopping: {self.early_stopping!r} is not one of half, released, none")
        if self.precision not in ("float32", "float64"):
            raise ValueError(f"precision: {self.precision!r} is not one of float32, float64")
        whole_numbers(self, "batch_size", "epochs", "patience")
        for name in ("learning_rate", "epsilon", "batch_size", "epochs", "patience"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be above zero, got {getattr(self, name)}")


@dataclass(frozen=True)
class Scoring:
    """On what the trained models are scored."""

    ood_set: str = "cifar10"  # out-of-distribution images
    n_ood: int = 50_000  # how many of them
    n_effect: int = 2_000  # OOD images, and at most as many test images, for patch and specific effects
    n_permutations: int = 60  # permutations of the feature's pixels for the specific effect
    n_random: int = 1  # random features for every OOD image

    def __post_init__(self):
        whole_numbers(self, "n_ood", "n_effect", "n_permutations", "n_random")
        for name in ("n_ood", "n_effect", "n_permutations", "n_random"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Experiment:
    """One model to train."""

    dataset: str
    n_train: int | None  # None: the full training set
    part: int
    model: MLP
    training: Training
    seed: int
    role: str  # "control" or "canary"
    host: str = ""  # how the host was chosen; empty for a control
    canary_index: int | None = None  # the host's number in the full training file
    canary_label: int | None = None
    feature: str = ""  # a letter; empty for a control
    position: tuple[int, int] = (1, 1)  # row and column of the feature's top-left pixel

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with any setting, the data or the recipe."""
        return digest(
            {"experiment": asdict(self), "data": checksum(self.dataset), "recipe": RECIPE, **names(self.model)}
        )


@dataclass(frozen=True)
class Protocol:
    """What is trained and measured for every seed of a population."""

    dataset: str
    n_train: int | None = None
    model: MLP = field(default_factory=MLP)
    training: Training = field(default_factory=Training)
    scoring: Scoring = field(default_factory=Scoring)
    hosts: tuple[str, ...] = ("random",)  # kinds of host, a canary on each beside the control
    feature: str = "A"
    position: tuple[int, int] = (1, 1)
    measure: str = "scores"  # what is kept of the trained models: a key of `ufm.seeds.MEASURES`

    def __post_init__(self):
        if self.scoring.ood_set == self.dataset:
            raise ValueError(f"ood_set: {self.dataset} is what the models are trained on; choose other images")
        for host in self.hosts:
            if host not in HOSTS:
                raise ValueError(f"hosts: {host!r} is not one of {', '.join(HOSTS)}")

    def fingerprint(self, seed: int) -> str:
        """Under which a finished seed is found: settings, seed, data and recipe. Needs no data file."""
        return digest(
            {
                "protocol": asdict(self),
                "seed": seed,
                "data": [checksum(self.dataset), checksum(self.scoring.ood_set)],
                "recipe": RECIPE,
                **names(self.model),
            }
        )

    def experiments(self, seed: int, data: Dataset) -> list[Experiment]:
        """The models of one seed, control first."""
        control = Experiment(
            dataset=self.dataset,
            n_train=self.n_train,
            part=data.part,
            model=self.model,
            training=self.training,
            seed=seed,
            role="control",
            position=self.position,
        )
        return [control, *(self.canary(control, host, data) for host in self.hosts)]

    def canary(self, control: Experiment, host: str, data: Dataset) -> Experiment:
        """The control's twin with the feature stamped on this kind of host."""
        place = random_host(data, control.seed)
        return replace(
            control,
            role="canary",
            host=host,
            canary_index=int(data.train_indices[place]),
            canary_label=int(data.train_labels[place]),
            feature=self.feature,
        )


def random_host(data: Dataset, seed: int) -> int:
    """Place (0 … n − 1) of the seed's host among the training images.

    Hosts are drawn uniformly without replacement per data set and size: one permutation, of which seed s takes the
    entry s // n_parts, since seed s trains on part s mod n_parts.
    """
    order = stream("hosts", scope=f"{data.scope}/{data.part}").permutation(len(data.train_labels))
    if seed % data.n_parts != data.part:
        raise ValueError(f"seed: {seed} belongs to part {seed % data.n_parts} of {data.scope}, not to part {data.part}")
    turn = seed // data.n_parts
    if turn >= len(order):
        raise ValueError(
            f"seed: {seed} is beyond the last host; {data.scope} has hosts for {len(order) * data.n_parts}"
        )
    return int(order[turn])


def check(experiment: Experiment, data: Dataset) -> None:
    """Raise a ValueError that names the field of an experiment which cannot be trained on these data."""
    if experiment.role not in ("control", "canary"):
        raise ValueError(f"role: {experiment.role!r} is not one of control, canary")
    if (experiment.role == "control") != (experiment.host == ""):
        raise ValueError(
            f"host: {experiment.host!r} does not go with the role {experiment.role}; only controls have none"
        )
    if experiment.role == "control":
        return
    if experiment.canary_index not in set(data.train_indices.tolist()):
        raise ValueError(
            f"canary_index: {experiment.canary_index} is not among the {len(data.train_indices)} training images"
        )
    place = int(np.searchsorted(data.train_indices, experiment.canary_index))
    if experiment.canary_label != data.train_labels[place]:
        raise ValueError(
            f"canary_label: {experiment.canary_label} is not the label of image {experiment.canary_index}, "
            f"which is {data.train_labels[place]}"
        )
    features.insert(data.train_images[place], features.letter(experiment.feature), position=experiment.position)


def whole_numbers(settings: object, *names: str) -> None:
    """Raise a ValueError that names a field which holds no whole number."""
    for name in names:
        if not isinstance(getattr(settings, name), int):
            raise ValueError(f"{name}: must be a whole number, got {getattr(settings, name)!r}")


def names(model: MLP) -> dict[str, str]:
    """Name and variant of an architecture, as the tables give them."""
    return {"model": model.name, "variant": model.variant}


def digest(settings: dict) -> str:
    """Sixteen hexadecimal digits of the settings' canonical JSON."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
