"""What is trained: a protocol says it for every seed, an experiment for one model; both have a fingerprint.

A seed is the unit of completion. Its models share initialisation, dropout and augmentation and differ in what is
stamped where: the *control* never sees a feature, the *canary* has it, most often a letter, on one training image, the
host, and the *placebo* has a permutation of its pixels there.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from ufm import features
from ufm.datasets import Dataset, array_checksum
from ufm.fingerprints import RECIPE, added, digest, settings
from ufm.folders import called
from ufm.models import MLP, MODELS, Model, Published, names
from ufm.sources import checksum, source
from ufm.streams import stream

# Kinds of host; the number of a training image names that image.
HOSTS = ("random", "hard", "middling", "influential", "uninfluential")
STAMPED = ("canary", "placebo")  # roles of models that are trained with something stamped on their host
EARLY_STOPPING = ("half", "released", "validation", "none")
SAME_AGE = 10  # the epoch at which models of a seed are compared at the same age


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum, as `torch.optim.SGD` has it."""

    learning_rate: float = 0.01
    momentum: float = 0.9  # in [0, 1)
    weight_decay: float = 5e-4  # times the weights, added to the gradients of weight matrices and kernels

    def __post_init__(self):
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate: must be above zero, got {self.learning_rate}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum: must lie in [0, 1), got {self.momentum}")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay: cannot be negative, got {self.weight_decay}")


@dataclass(frozen=True)
class Training:
    """How one model is trained; the defaults are those of the released code but for what early stopping watches."""

    learning_rate: float = 3e-4  # Adam
    epsilon: float = 1e-7  # Adam's, Keras' default
    batch_size: int = 128  # images in file order, no shuffling
    epochs: int = 100  # at most
    patience: int = 10  # epochs without a lower stopping loss before training ends
    # "half" of the test split, "released": all of it, "validation": a split of its own, "none": train to the end
    early_stopping: str = "half"
    precision: str = "float32"  # or "float64"
    weight_decay: float = added(0.0)  # decoupled, as in AdamW: share of the weights lost a step, over the learning rate
    shuffle: bool = added(False)  # a new order of the images every epoch, its own for each seed
    optimiser: SGD | None = added(None)  # in the place of Adam, with a learning rate and a weight decay of its own

    def __post_init__(self):
        if self.early_stopping not in EARLY_STOPPING:
            raise ValueError(f"early_stopping: {self.early_stopping!r} is not one of {', '.join(EARLY_STOPPING)}")
        if self.precision not in ("float32", "float64"):
            raise ValueError(f"precision: {self.precision!r} is not one of float32, float64")
        whole_numbers(self, "batch_size", "epochs", "patience")
        for name in ("learning_rate", "epsilon", "batch_size", "epochs", "patience"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be above zero, got {getattr(self, name)}")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay: cannot be negative, got {self.weight_decay}")
        if self.weight_decay and self.optimiser:
            raise ValueError("weight_decay: is that of Adam; the optimiser has its own")

    @property
    def same_age(self) -> int:
        """Epoch 10, or the last that every model is sure to reach where that is earlier."""
        return min(SAME_AGE, self.epochs if self.early_stopping == "none" else min(self.epochs, self.patience + 1))


@dataclass(frozen=True)
class Scoring:
    """On what the trained models are scored."""

    ood_set: str = "cifar10"  # out-of-distribution images
    n_ood: int = 50_000  # how many of them
    n_effect: int = 2_000  # OOD images, and at most as many test images, for patch and specific effects
    n_permutations: int = 60  # permutations of the feature's pixels for the specific effect
    n_random: int = 1  # random features for every OOD image
    inputs: str = added("normalised")  # on which shifts are measured: as in training, or "raw" images in [0, 1]

    def __post_init__(self):
        if self.inputs not in ("normalised", "raw"):
            raise ValueError(f"inputs: {self.inputs!r} is not one of normalised, raw")
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
    model: Model
    training: Training
    seed: int
    role: str  # "control", "canary" or "placebo"
    host: str = ""  # how the host was chosen; empty for a control
    canary_index: int | None = None  # the host's number in the full training file
    canary_label: int | None = None
    feature: str = ""  # as of a protocol; a placebo's own is a permutation of it; empty for a control
    position: tuple[int, int] = (1, 1)  # row and column of the feature's top-left pixel
    magnified: int = added(1)  # as of a protocol, like the fields below
    brightness: float = added(1.0)
    n_carriers: int = added(1)
    batch: int | None = added(None)
    twice: bool = added(False)
    one_placebo: bool = added(False)
    rounding: int = added(0)

    @property
    def unique(self) -> np.ndarray:
        """The feature, (h, w) in [0, 1]."""
        return features.feature(self.feature, magnified=self.magnified, brightness=self.brightness)

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with any setting, the data or the recipe."""
        return digest(
            {
                "experiment": settings(self) | {"dataset": called(self.dataset)},
                "data": checksum(self.dataset),
                "recipe": RECIPE,
                **names(self.model),
                **drawn(self.feature),
            }
        )

    def pixels(self) -> np.ndarray:
        """What is stamped on the host, (h, w): the feature, or the placebo feature of this seed and kind of host."""
        if self.role == "canary":
            return self.unique
        scope = f"{called(self.dataset)}/{self.n_train or 'full'}"
        return placebo(self, self.unique, self.seed, self.host, scope)


@dataclass(frozen=True)
class Protocol:
    """What is trained and measured for every seed of a population."""

    dataset: str
    n_train: int | None = None
    model: Model = field(default_factory=MLP)
    training: Training = field(default_factory=Training)
    scoring: Scoring = field(default_factory=Scoring)
    hosts: tuple[str, ...] = ("random",)  # kinds of host; on each a model of every stamped role, beside the control
    feature: str = "A"  # a letter, a text or the path of a PNG file, see `ufm.features.feature`
    position: tuple[int, int] = (1, 1)
    measure: str = "scores"  # what is kept of the trained models: a key of `ufm.seeds.MEASURES`
    roles: tuple[str, ...] = added(("canary",))  # stamped roles
    planned: tuple[int, int] = added((1000, 1200))  # seeds, from … up to but not …, of whose hosts every card knows
    control: bool = added(True)  # whether a seed has one
    magnified: int = added(1)  # rows and columns that each pixel of the feature becomes
    brightness: float = added(1.0)  # what the feature's values are multiplied by, in [0, 1]
    n_carriers: int = added(1)  # training images that it is stamped on: the host, and others of its label
    # The batch of an epoch, from 0 or from the end by -1, into which stamped models have their host moved, in exchange
    # for another image; None: as the file has it. Controls keep the file's order.
    batch: int | None = added(None)
    # Whether the image that the host is exchanged for is lost and the host is there twice, as in the released code.
    twice: bool = added(False)
    one_placebo: bool = added(False)  # whether a kind of host has the same placebo feature for every seed
    # 0: initial weights as drawn; another number moves each to one of the two numbers next to it, at random.
    rounding: int = added(0)

    def __post_init__(self):
        whole_numbers(self, "magnified", "n_carriers", "rounding", *([] if self.batch is None else ["batch"]))
        if self.rounding < 0:
            raise ValueError(f"rounding: cannot be negative, got {self.rounding}")
        features.check_scale(self.magnified, self.brightness)
        if self.n_carriers < 1:
            raise ValueError(f"n_carriers: must be at least 1, got {self.n_carriers}")
        if self.batch is not None and self.training.shuffle:
            raise ValueError("batch: images that are shuffled are in no fixed batch")
        if self.twice and self.batch is None:
            raise ValueError("twice: needs a batch into which the host is moved")
        if self.training.early_stopping == "validation" and not source(self.dataset).validation:
            raise ValueError(f"early_stopping: {source(self.dataset).title} has no validation split")
        if not isinstance(self.model, Model):
            raise ValueError(f"model: {self.model!r} is not one of {', '.join(MODELS)}")
        if (self.dataset, self.scoring.ood_set) == ("photographs", "photo_patches") or (
            called(self.scoring.ood_set) == called(self.dataset)
        ):
            raise ValueError(f"ood_set: {self.scoring.ood_set} is what the models are trained on; choose other images")
        for host in self.hosts:
            if host not in HOSTS and not host.isdecimal():
                raise ValueError(
                    f"hosts: {host!r} is not one of {', '.join(HOSTS)}, nor the number of a training image"
                )
        for role in self.roles:
            if role not in STAMPED:
                raise ValueError(f"roles: {role!r} is not one of {', '.join(STAMPED)}")
        for name in ("hosts", "roles"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name}: {', '.join(getattr(self, name))} names one twice")

    @property
    def n_parts(self) -> int:
        """Parts of this size in the training split; seed s trains on part s mod n_parts. Needs no data file."""
        n_images = source(self.dataset).n_train
        return max(1, n_images // (self.n_train or n_images))  # `datasets.load` refuses a size beyond the split

    @property
    def n_models(self) -> int:
        """Models of each seed."""
        return self.control + len(self.hosts) * len(self.roles)

    @property
    def unique(self) -> np.ndarray:
        """The feature, (h, w) in [0, 1]."""
        return features.feature(self.feature, magnified=self.magnified, brightness=self.brightness)

    def identity(self, seed: int) -> dict[str, object]:
        """All on which a finished seed depends: settings, seed, data, recipe and feature. Needs no image files."""
        scoring = settings(self.scoring) | {"ood_set": called(self.scoring.ood_set)}
        return {
            "protocol": settings(self) | {"dataset": called(self.dataset), "scoring": scoring},
            "seed": seed,
            "data": [checksum(self.dataset), checksum(self.scoring.ood_set)],
            "recipe": RECIPE,
            **names(self.model),
            **drawn(self.feature),
        }

    def fingerprint(self, seed: int) -> str:
        """Under which a finished seed is found."""
        return digest(self.identity(seed))


def drawn(feature: str) -> dict[str, str]:
    """What an identity says of a feature beside its name: a digest of its pixels, for a font or a file may change.

    Letters do not change, and controls have no feature; of both it says nothing.
    """
    if feature in ("", *features.LETTERS):
        return {}
    return {"pixels": array_checksum(features.feature(feature))[:16]}


def placebo(settings: Experiment | Protocol, unique: np.ndarray, seed: int, host: str, scope: str) -> np.ndarray:
    """The placebo feature (h, w) of a seed and kind of host, a permutation of the feature `unique`."""
    seed = 0 if settings.one_placebo else seed
    return features.placebo(unique, seed=seed, host=host, scope=scope, magnified=settings.magnified)


def check(experiment: Experiment, data: Dataset) -> None:
    """Raise a ValueError that names the field of an experiment which cannot be trained on these data."""
    if experiment.role not in ("control", *STAMPED):
        raise ValueError(f"role: {experiment.role!r} is not one of control, {', '.join(STAMPED)}")
    n_images, size = len(data.train_labels), experiment.training.batch_size
    if n_images % size == 1 and (isinstance(experiment.model, Published) or experiment.model.batch_norm):
        raise ValueError(
            f"batch_size: of {n_images} images in batches of {size} one is left alone, which batch norm cannot have"
        )
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
    features.insert(data.train_images[place], experiment.pixels(), position=experiment.position)
    same = int((data.train_labels == experiment.canary_label).sum())
    if experiment.n_carriers > same:
        raise ValueError(f"n_carriers: only {same} training images are of the host's label {experiment.canary_label}")
    n_batches = math.ceil(n_images / size)
    if experiment.batch is not None and not -n_batches <= experiment.batch < n_batches:
        raise ValueError(f"batch: an epoch has {n_batches} batches, so there is none of number {experiment.batch}")
    if experiment.twice and exchanged(experiment, data) == carriers(experiment, data)[0]:
        raise ValueError(f"twice: the host of seed {experiment.seed} is in batch {experiment.batch} already")


def carriers(experiment: Experiment, data: Dataset) -> list[int]:
    """Places (0 … n − 1) of the training images that carry what is stamped: the host, then others of its label.

    The others are drawn at random, the same ones for canary and placebo; the first m of n are those of any other n >=
    m. A control has none.
    """
    if experiment.role == "control":
        return []
    host = int(np.searchsorted(data.train_indices, experiment.canary_index))
    others = np.flatnonzero(data.train_labels == experiment.canary_label)
    draws = stream(f"carriers, {experiment.host} host", seed=experiment.seed, scope=data.scope)
    drawn = draws.permutation(others[others != host])[: experiment.n_carriers - 1]
    return [host, *drawn.tolist()]


def exchanged(experiment: Experiment, data: Dataset) -> int:
    """Place (0 … n − 1) of the training image that the host is exchanged for, at the host's own place in its batch."""
    size, n_images = experiment.training.batch_size, len(data.train_labels)
    start = range(0, n_images, size)[experiment.batch]
    return min(start + carriers(experiment, data)[0] % size, n_images - 1)  # the last batch may be shorter


def whole_numbers(settings: object, *names: str) -> None:
    """Raise a ValueError that names a field which holds no whole number."""
    for name in names:
        if not isinstance(getattr(settings, name), int):
            raise ValueError(f"{name}: must be a whole number, got {getattr(settings, name)!r}")
