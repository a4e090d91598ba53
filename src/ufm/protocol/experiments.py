"""What is trained: a protocol says it for every seed, an experiment for one model; both have a fingerprint.

A seed is the unit of completion. Its models share initialisation, dropout and augmentation and differ in what is
stamped where: the *control* never sees a feature, the *canary* has it, most often a letter, on one training image, the
host, and the *placebo* has a permutation of its pixels there.
"""

from dataclasses import dataclass, field, fields

import numpy as np

from ufm import features
from ufm.data.datasets import array_checksum
from ufm.data.folders import called, is_folder
from ufm.data.sources import checksum, source
from ufm.networks import MLP, MODELS, Model, Published, names
from ufm.protocol import lots
from ufm.protocol.lots import Lot
from ufm.protocol.settings import Pretraining, Scoring, Training, whole_numbers
from ufm.records.fingerprints import RECIPE, added, digest, settings

# Kinds of host. The number of a training image names that image. A kind with a number, such as "hard 0", is the first,
# second, … host of that kind, and "place 0" the first, second, … training image: the same for every seed of a part.
HOSTS = ("random", "hard", "middling", "influential", "uninfluential")
STAMPED = ("canary", "placebo")  # roles of models that are trained with something stamped on their host
# Fields of a protocol on which every model depends, beside the data set; and stamped ones, beside the feature.
TRAINED = ("n_train", "model", "training", "position", "rounding", "enlarged")
STAMPING = ("magnified", "brightness", "n_carriers", "batch", "twice", "one_placebo", "lot", "aside")


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
    measure: str = "scores"  # what is kept of the trained models: a word of `ufm.measures.registry`
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
    lot: Lot | None = added(None)  # what is stamped in the place of one feature: many, of its pixels
    found_by: Model | None = added(None)  # the network whose clean models find its hosts; None: its own
    found_at: float | None = added(None)  # the learning rate at which they do; None: its own
    # Columns by which placebo features lie to the right of the feature: where pixels are shuffled in boxes, a placebo
    # in the feature's own box would be the same as the feature.
    aside: int = added(0)
    enlarged: int = added(1)  # rows and columns that each pixel of every image becomes, before anything is stamped

    def __post_init__(self):
        whole_numbers(self, "magnified", "n_carriers", "rounding", "aside", *([] if self.batch is None else ["batch"]))
        whole_numbers(self, "enlarged")
        if self.enlarged < 1:
            raise ValueError(f"enlarged: must be at least 1, got {self.enlarged}")
        if self.rounding < 0:
            raise ValueError(f"rounding: cannot be negative, got {self.rounding}")
        if self.found_at is not None and not self.found_at > 0:
            raise ValueError(f"found_at: must be above zero, got {self.found_at}")
        if self.aside < 0:
            raise ValueError(f"aside: cannot be negative, got {self.aside}")
        if self.aside and self.magnified > 1:
            raise ValueError("aside: does not go with a magnified feature")
        features.check_scale(self.magnified, self.brightness)
        if self.n_carriers < 1:
            raise ValueError(f"n_carriers: must be at least 1, got {self.n_carriers}")
        if self.batch is not None and self.training.shuffle:
            raise ValueError("batch: images that are shuffled are in no fixed batch")
        if self.batch is not None and self.training.private:
            raise ValueError(
                "batch: private training draws the images of each step, so that they are in no fixed batch"
            )
        if self.twice and self.batch is None:
            raise ValueError("twice: needs a batch into which the host is moved")
        if self.lot is not None:
            self.check_lot(self.lot)
        if self.training.early_stopping == "validation" and not source(self.dataset).validation:
            raise ValueError(f"early_stopping: {source(self.dataset).title} has no validation split")
        if (border := self.training.border) and 2 * border >= min(shape := self.image_shape[1:]):
            raise ValueError(f"border: {border} leaves nothing of images of {shape[0]} x {shape[1]} pixels")
        mixer, shape = self.training.visual_mixer, self.image_shape[1:]
        if mixer and (shape[0] % mixer.box or shape[1] % mixer.box):
            raise ValueError(
                f"box: images of {shape[0]} x {shape[1]} pixels are no whole boxes of {mixer.box} x {mixer.box}"
            )
        for name, network in (("model", self.model), ("found_by", self.found_by or self.model)):
            if not isinstance(network, Model):
                raise ValueError(f"{name}: {network!r} is not one of {', '.join(sorted(MODELS))}")
        if self.training.private and not self.model.images_apart:
            raise ValueError(
                f"private: has no gradient of a single image in {self.model.name} ({self.model.variant}); use an MLP "
                "without batch norm"
            )
        if self.training.tasks and not (self.model.images_apart and self.model.variant == "plain"):
            raise ValueError(f"tasks: are learnt by plain MLPs, not by {self.model.name} ({self.model.variant})")
        if self.training.tasks and self.batch is not None:
            raise ValueError("batch: images that are learnt task after task are in batches of their task")
        if self.training.without_hosts and (isinstance(self.model, Published) or self.model.batch_norm):
            raise ValueError("without_hosts: in batch norm a host would still be among the images of its batch")
        if self.training.adv_bn and (isinstance(self.model, Published) or self.model.batch_norm):
            raise ValueError(
                f"adv_bn: batch norm in {self.model.name} would need statistics of its own where features are perturbed"
            )
        if self.training.pretrained:
            self.check_pretraining(self.training.pretrained)
        if overlap(self.dataset, self.scoring.ood_set):
            raise ValueError(f"ood_set: {self.scoring.ood_set} is what the models are trained on; choose other images")
        for host in self.hosts:
            kind, _, number = host.partition(" ")
            if host not in HOSTS and not host.isdecimal() and not (kind in (*HOSTS, "place") and number.isdecimal()):
                raise ValueError(
                    f"hosts: {host!r} is not one of {', '.join(HOSTS)}, nor the number of a training image"
                )
        for role in self.roles:
            if role not in STAMPED:
                raise ValueError(f"roles: {role!r} is not one of {', '.join(STAMPED)}")
        for name in ("hosts", "roles"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name}: {', '.join(getattr(self, name))} names one twice")

    def check_pretraining(self, before: Pretraining) -> None:
        """Raise a ValueError where networks cannot be trained on those other images before."""
        if is_folder(before.dataset):
            raise ValueError(f"pretrained: on a data set with a name, not on a folder, got {before.dataset}")
        other, own = source(before.dataset), source(self.dataset)
        shapes = [" x ".join(map(str, one.shape)) for one in (other, own)]
        if other.shape != own.shape:
            raise ValueError(
                f"pretrained: images of {other.title} are of {shapes[0]} pixels, those of {own.title} of {shapes[1]}"
            )
        for name, what in ((self.dataset, "trained on afterwards"), (self.scoring.ood_set, "scored on")):
            if overlap(before.dataset, name):
                raise ValueError(f"pretrained: {name} is what the models are {what}; choose other images")
        if before.frozen and (isinstance(self.model, Published) or self.model.batch_norm):
            raise ValueError(f"frozen: batch norm in {self.model.name} would go on with statistics of its own")

    def check_lot(self, lot: Lot) -> None:
        """Raise a ValueError where something does not go with many features at once."""
        if len(self.hosts) > 1:
            raise ValueError(f"hosts: a lot is on hosts of one kind, not of {', '.join(self.hosts)}")
        if any(host not in ("random", "hard") for host in self.hosts):
            raise ValueError(f"hosts: those of a lot are random or hard ones, not {self.hosts[0]!r}")
        usual = {"magnified": 1, "brightness": 1.0, "batch": None, "one_placebo": False, "aside": 0}
        for name, value in usual.items():
            if getattr(self, name) != value:
                raise ValueError(f"{name}: a lot has none of its own")
        if self.n_carriers > 1 and (lot.n, lot.labels, lot.places) != (1, "own", "one"):
            raise ValueError("n_carriers: on several images is one mark alone, at one place, under their own label")

    @property
    def n_parts(self) -> int:
        """Parts of this size in the training split; seed s trains on part s mod n_parts. Needs no data file."""
        n_images = source(self.dataset).n_train
        return max(1, n_images // (self.n_train or n_images))  # `datasets.load` refuses a size beyond the split

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image that models are given. Needs no data file."""
        n_channels, height, width = source(self.dataset).shape
        return n_channels, height * self.enlarged, width * self.enlarged

    @property
    def n_models(self) -> int:
        """Models of each seed."""
        return self.control + len(self.hosts) * len(self.roles)

    @property
    def unique(self) -> np.ndarray:
        """The feature, (h, w) in [0, 1], with room for what lies aside, which is transparent."""
        pixels = features.feature(self.feature, magnified=self.magnified, brightness=self.brightness)
        return np.pad(pixels, ((0, 0), (0, self.aside)), constant_values=np.float32(np.nan)) if self.aside else pixels

    def identity(self, seed: int) -> dict[str, object]:
        """All on which a finished seed depends: settings, seed, data, recipe and feature. Needs no image files."""
        scoring = settings(self.scoring) | {"ood_set": called(self.scoring.ood_set)}
        return {
            "protocol": settings(self) | {"dataset": called(self.dataset), "scoring": scoring},
            "seed": seed,
            "data": [checksum(self.dataset), checksum(self.scoring.ood_set), *before(self.training)],
            "recipe": RECIPE,
            **names(self.model),
            **({"found_by": names(self.found_by)} if self.found_by else {}),
            **drawn(self.feature),
        }

    def fingerprint(self, seed: int) -> str:
        """Under which a finished seed is found."""
        return digest(self.identity(seed))


@dataclass(frozen=True)
class Experiment:
    """One model to train."""

    protocol: Protocol
    seed: int
    part: int  # of the training split, on which it trains
    role: str  # "control", "canary" or "placebo"
    host: str = ""  # how the host was chosen; empty for a control
    canary_index: int | None = None  # the host's number in the full training file
    canary_label: int | None = None

    @property
    def feature(self) -> str:
        """As of the protocol; a placebo's own is a permutation of it; empty for a control."""
        return "" if self.role == "control" else self.protocol.feature

    @property
    def batch(self) -> int | None:
        """The batch into which its host is moved, as of the protocol; a control keeps the file's order."""
        return None if self.role == "control" else self.protocol.batch

    def identity(self) -> dict[str, object]:
        """All on which the trained model depends: settings, data, recipe and feature. Needs no image files."""
        of_protocol = settings(self.protocol)
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "protocol"}
        own |= {"dataset": called(self.protocol.dataset), "feature": self.feature}
        beside = ("hosts",) if self.protocol.training.of_hosts else ()
        seen = before(self.protocol.training)
        kept = TRAINED + (beside if self.role == "control" else STAMPING)
        return {
            "experiment": {name: of_protocol[name] for name in kept if name in of_protocol} | own,
            "data": [checksum(self.protocol.dataset), *seen] if seen else checksum(self.protocol.dataset),
            "recipe": RECIPE,
            **names(self.protocol.model),
            **drawn(self.feature),
        }

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with any setting, the data or the recipe."""
        return digest(self.identity())

    def pixels(self) -> np.ndarray:
        """What is stamped on the host, (h, w): the feature, or the placebo feature of this seed and kind of host.

        Of a lot it is the first mark.
        """
        if self.protocol.lot is not None:
            return self.marks()[0]
        if self.role == "canary":
            return self.protocol.unique
        scope = f"{called(self.protocol.dataset)}/{self.protocol.n_train or 'full'}"
        return placebo(self.protocol, self.protocol.unique, self.seed, self.host, scope)

    def marks(self) -> np.ndarray:
        """The marks of its lot, (n, h, w), each on a host of its own."""
        assert self.protocol.lot is not None  # nothing else has any
        scope = f"{called(self.protocol.dataset)}/{self.protocol.n_train or 'full'}"
        n, first = self.protocol.lot.n, STAMPED.index(self.role)
        return lots.arrangements(self.feature, 2 * n, seed=self.seed, scope=scope)[first::2]


def before(training: Training) -> list[str]:
    """The checksum of what networks were trained on before, if they were."""
    return [checksum(training.pretrained.dataset)] if training.pretrained else []


def overlap(dataset: str, ood_set: str) -> bool:
    """Whether OOD images are those of a data set."""
    return (dataset, ood_set) == ("photographs", "photo_patches") or called(ood_set) == called(dataset)


def is_fixed(host: str) -> bool:
    """Whether a host is the same image for every seed of a part: it has a number."""
    return host[-1:].isdecimal()


def drawn(feature: str) -> dict[str, str]:
    """What an identity says of a feature beside its name: a digest of its pixels, for a font or a file may change.

    Letters do not change, and controls have no feature; of both it says nothing.
    """
    if feature in ("", *features.LETTERS):
        return {}
    return {"pixels": array_checksum(features.feature(feature))[:16]}


def placebo(protocol: Protocol, unique: np.ndarray, seed: int, host: str, scope: str) -> np.ndarray:
    """The placebo feature (h, w) of a seed and kind of host, a permutation of the feature `unique`, or of it aside."""
    seed, own = 0 if protocol.one_placebo else seed, unique[:, : unique.shape[1] - protocol.aside]
    drawn = features.placebo(own, seed=seed, host=host, scope=scope, magnified=protocol.magnified)
    return np.pad(drawn, ((0, 0), (protocol.aside, 0)), constant_values=np.float32(np.nan)) if protocol.aside else drawn
