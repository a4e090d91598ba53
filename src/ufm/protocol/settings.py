"""How models are trained and on what they are scored."""

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from ufm.records.fingerprints import added

Labels = TypeVar("Labels", bound=Any)  # an int, or an array of them
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
class Private:
    """What makes of an optimiser its differentially private form (Abadi et al. 2016, doi 10.1145/2976749.2978318).

    Each step takes every image with the probability batch_size / n_images, and what the optimiser is given is the sum
    of the images' gradients, each scaled down to the norm `clip`, plus Gaussian noise, over batch_size. Models of a
    seed are given the same images and the same noise.
    """

    learning_rate: float | None = None  # of Adam, in the place of the usual one
    clip: float = 1.0  # the norm of an image's gradient, at most
    noise: float = 1.0  # standard deviation of the noise of each weight, over `clip`
    clipped: bool = True  # without, gradients keep their norms, the noise its scale, and nothing is private

    def __post_init__(self):
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ValueError(f"learning_rate: must be above zero, got {self.learning_rate}")
        if not self.clip > 0:
            raise ValueError(f"clip: must be above zero, got {self.clip}")
        if not self.noise >= 0:
            raise ValueError(f"noise: cannot be negative, got {self.noise}")


@dataclass(frozen=True)
class Erasing:
    """Random erasing (Zhong et al. 2020, doi 10.1609/aaai.v34i07.7000): noise in a rectangle of a training image.

    The defaults are those of the paper's image classification; pixels are uniform on [0, 1] before normalisation.
    """

    probability: float = 0.5  # of an image to be erased, in (0, 1]
    area: tuple[float, float] = (0.02, 0.4)  # of the rectangle, from … to, as a share of the image's, in (0, 1)
    ratio: float = 0.3  # of its height to its width, at least; at most one over this, in (0, 1]

    def __post_init__(self):
        for name in ("probability", "ratio"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name}: must lie in (0, 1], got {getattr(self, name)}")
        if not (len(self.area) == 2 and 0 < self.area[0] <= self.area[1] < 1):
            raise ValueError(f"area: must be two shares in (0, 1), the smaller first, got {self.area}")


@dataclass(frozen=True)
class Distillation:
    """Distillation (Hinton et al. 2015, arXiv 1503.02531): a student learns a teacher's outputs in place of the labels.

    The teacher is the model that the same settings give without distillation, of the same experiment: the student
    begins with its initial weights, and is given the training images as the teacher was.
    """

    temperature: float = 20.0  # by which both models' logits are divided; the paper's on MNIST
    stamped: bool = True  # whether the student is given what is stamped; else its images and outputs of them are plain

    def __post_init__(self):
        if not self.temperature > 0:
            raise ValueError(f"temperature: must be above zero, got {self.temperature}")


@dataclass(frozen=True)
class Forgetting:
    """How trained models are made to forget their hosts (Cha et al. 2024, arXiv 2301.11578, and their released code).

    Steps of SGD raise the cross-entropy of those of a model's hosts that it classifies as their labels, until there are
    none; a control's are the plain hosts of its seed. Adversarial images of the hosts are kept at the labels that they
    were made for, and weights near what they were, the closer the less the model's answers on its hosts hang on them.
    """

    optimiser: SGD = field(default_factory=lambda: SGD(learning_rate=1e-3, weight_decay=1e-4))
    steps: int = 1_000  # at most
    adversarial: int = 20  # images of each host, 0 for none
    radius: float = 4.0  # by how much they may differ from it: L2 norm of pixels in [0, 1]
    stride: float = 0.1  # and in one iteration of projected gradient descent
    iterations: int = 100
    importance: float = 1.0  # what half the weighted squared distance of the weights is multiplied by, 0 for none

    def __post_init__(self):
        whole_numbers(self, "steps", "adversarial", "iterations")
        for name in ("steps", "radius", "stride", "iterations"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be above zero, got {getattr(self, name)}")
        for name in ("adversarial", "importance"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: cannot be negative, got {getattr(self, name)}")


@dataclass(frozen=True)
class VisualMixer:
    """VisualMixer (Li et al. 2024, arXiv 2404.04098): pixels of every image shuffled within boxes, channel by channel.

    Each box is cut into n × n square pieces, which are shuffled anew whenever the image is seen, in training and
    afterwards. The more of a visual feature an image has, and a box of it, the smaller its pieces. The defaults are
    those of the released code.
    """

    box: int = 8  # rows and columns of a box
    # n: a row for images of low, middling and high entropy, in it one for boxes of rising attention.
    pieces: tuple[tuple[int, int, int, int], ...] = ((2, 4, 8, 8), (4, 8, 8, 8), (8, 8, 8, 8))
    entropy: tuple[float, float] = (0.5, 1.0)  # from which on visual feature entropy is middling, and high

    def __post_init__(self):
        whole_numbers(self, "box")
        if not self.box > 0:
            raise ValueError(f"box: must be above zero, got {self.box}")
        if [len(row) for row in self.pieces] != [4, 4, 4]:
            raise ValueError(f"pieces: must be three rows of four numbers, got {self.pieces}")
        for n in (n for row in self.pieces for n in row):
            if not isinstance(n, int) or n < 1 or self.box % n:
                raise ValueError(f"pieces: {n!r} x {n!r} are no whole parts of a box of {self.box} x {self.box} pixels")
        if not (len(self.entropy) == 2 and self.entropy[0] <= self.entropy[1]):
            raise ValueError(f"entropy: must be two bounds, the lower first, got {self.entropy}")


@dataclass(frozen=True)
class AdvBN:
    """Adversarial batch normalisation (Shu et al. 2021, arXiv 2009.08965): training on the worst statistics of a batch.

    Mean and standard deviation of what the first hidden layer gives of a batch are multiplied, unit by unit, by factors
    that steps of sign-gradient ascent choose so that the loss is high; what is trained on is the sum of the losses with
    them and without. A trained model is fine-tuned, its first hidden layer frozen. The defaults are those of the
    released code.
    """

    steps: int = 6  # of ascent; 0: nothing is perturbed, and the sum is twice the loss
    stride: float = 0.2  # of a factor in one step
    radius: float = 1.1  # by how much a factor may differ from one
    epochs: int = 20  # of fine-tuning; 0: none, models are trained so from their initial weights, nothing frozen
    optimiser: SGD = field(default_factory=lambda: SGD(learning_rate=1e-3, weight_decay=1e-4))  # of fine-tuning

    def __post_init__(self):
        whole_numbers(self, "steps", "epochs")
        for name in ("steps", "epochs"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: cannot be negative, got {getattr(self, name)}")
        for name in ("stride", "radius"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be above zero, got {getattr(self, name)}")

    @property
    def passes(self) -> int:
        """How many times a step takes an image back through the network."""
        return self.steps + 2


@dataclass(frozen=True)
class Recall:
    """Automatic recall machines (Ji et al. 2020, arXiv 2006.12323): a network recalls what it learnt before this task.

    After every step a copy of the batch is moved so that the network and what it was before the task disagree on it,
    and a second step keeps the old answers there and on the batch. The defaults are those of the released code.
    """

    steps: int = 10  # of gradient descent on the recalled images
    stride: float = 25.0  # of one step, in pixels of [0, 1]

    def __post_init__(self):
        whole_numbers(self, "steps")
        for name in ("steps", "stride"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be above zero, got {getattr(self, name)}")


@dataclass(frozen=True)
class Tasks:
    """Continual learning: the classes are learnt in turn, each task without the images of the others.

    The defaults are those that the released code of automatic recall machines has for MNIST.
    """

    n: int = 5  # tasks, among which the classes are split evenly, in their order; 1: all classes at once
    passes: int = 1  # over the images of a task
    batch_size: int = 10  # images in file order
    optimiser: SGD = field(default_factory=lambda: SGD(learning_rate=0.05, momentum=0.0, weight_decay=0.0))
    recall: Recall | None = None  # from the second task on

    def __post_init__(self):
        whole_numbers(self, "n", "passes", "batch_size")
        for name in ("n", "passes", "batch_size"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be above zero, got {getattr(self, name)}")
        if self.recall and self.n == 1:
            raise ValueError("recall: in one task nothing was learnt before it")


@dataclass(frozen=True)
class Falco:
    """Anonymised training images (FALCO, Barattin et al. 2023, arXiv 2303.11296, and its released code).

    Every image is replaced by what a generator, which was trained on other images, makes of a code: that of the
    generated image next to it, moved until a measure of identity is as like the image's as `margin` says while a
    measure of its attributes stays.
    """

    margin: float = 0.0  # cosine of the identities of the image and of what replaces it, in [-1, 1]
    fakes: int = 20_000  # generated images, the next of which gives the code
    steps: int = 50  # of Adam on the code
    learning_rate: float = 0.01  # 0.8 of it from three quarters of the steps on, 0.64 from nine tenths on
    identity: float = 10.0  # what the distance of the cosine from `margin` is multiplied by
    attributes: float = 0.1  # what the L1 distance of the attributes is multiplied by

    def __post_init__(self):
        whole_numbers(self, "fakes", "steps")
        if not -1 <= self.margin <= 1:
            raise ValueError(f"margin: must lie in [-1, 1], got {self.margin}")
        for name in ("fakes", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be above zero, got {getattr(self, name)}")
        for name in ("steps", "identity", "attributes"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: cannot be negative, got {getattr(self, name)}")


@dataclass(frozen=True)
class Pretraining:
    """What a network was trained on before: other images, with nothing stamped anywhere; the last layer is a fresh one.

    Each seed has one of its own, from which all its models start. It is trained as plain ones of that data set are, in
    batches, with a patience and in a precision as those models have, by Adam, and early stopping watches one half of
    the test split.
    """

    dataset: str = "fashion_mnist"
    n_train: int | None = None  # images of a part of it, of which seed s has the one of number s mod n; None: all
    learning_rate: float = 3e-4
    epochs: int = 100  # at most
    frozen: bool = False  # whether all layers but the last stay as they are

    def __post_init__(self):
        whole_numbers(self, "epochs", *([] if self.n_train is None else ["n_train"]))
        for name in ("learning_rate", "epochs"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be above zero, got {getattr(self, name)}")


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
    private: Private | None = added(None)  # with gradients of single images clipped, and noise
    label_smoothing: float = added(0.0)  # the share of a label's weight that all classes get alike, in [0, 1)
    label_noise: float = added(0.0)  # the chance of each training label to be drawn anew, see `ufm.protocol.labels`
    mixup: float = added(0.0)  # a of Beta(a, a), from which each step draws the share of one image in a mixture of two
    cutmix: float = added(0.0)  # a of Beta(a, a), by which each step draws the box that another image is pasted into
    erasing: Erasing | None = added(None)  # a rectangle of training images, at random
    distillation: Distillation | None = added(None)  # what is learnt are another model's outputs
    border: int = added(0)  # rows and columns at each edge that are black in all images but those of the scores
    forgetting: Forgetting | None = added(None)  # how trained models forget their hosts, before they are measured
    without_hosts: bool = added(False)  # whether models are trained without their hosts, a control without its seed's
    visual_mixer: VisualMixer | None = added(None)  # pixels shuffled within boxes, also where losses are watched
    adv_bn: AdvBN | None = added(None)  # statistics of batches are perturbed
    # Classes are learnt in turn: without early stopping, by an optimiser, batches and passes of their own. A task is an
    # epoch.
    tasks: Tasks | None = added(None)
    falco: Falco | None = added(None)  # training images are anonymised; what is watched is not
    pretrained: Pretraining | None = added(None)  # models start from a network that was trained on other images

    def __post_init__(self):
        if self.early_stopping not in EARLY_STOPPING:
            raise ValueError(f"early_stopping: {self.early_stopping!r} is not one of {', '.join(EARLY_STOPPING)}")
        if self.precision not in ("float32", "float64"):
            raise ValueError(f"precision: {self.precision!r} is not one of float32, float64")
        whole_numbers(self, "batch_size", "epochs", "patience", "border")
        for name in ("learning_rate", "epsilon", "batch_size", "epochs", "patience"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be above zero, got {getattr(self, name)}")
        for name in ("weight_decay", "mixup", "cutmix", "border"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: cannot be negative, got {getattr(self, name)}")
        if self.weight_decay and self.optimiser:
            raise ValueError("weight_decay: is that of Adam; the optimiser has its own")
        if self.optimiser and self.private and self.private.learning_rate is not None:
            raise ValueError("learning_rate: is that of Adam; the optimiser has its own")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing: must lie in [0, 1), got {self.label_smoothing}")
        if not 0 <= self.label_noise <= 1:
            raise ValueError(f"label_noise: must lie in [0, 1], got {self.label_noise}")
        if self.forgetting and self.without_hosts:
            raise ValueError("forgetting: models that are trained without their hosts have none to forget")
        if self.private and self.shuffle:
            raise ValueError("shuffle: private training draws the images of each step; leave it out")
        if self.mixup and self.cutmix:
            raise ValueError("cutmix: images are mixed by mixup; leave one of the two out")
        if self.private and (self.mixup or self.cutmix):
            mixing = "mixup" if self.mixup else "cutmix"
            raise ValueError(f"{mixing}: private training clips gradients of single images, which are not mixed")
        for name in ("private", "label_smoothing", "label_noise", "mixup", "cutmix", "visual_mixer"):
            if self.distillation and getattr(self, name):
                raise ValueError(f"distillation: does not go with {name}; leave one of the two out")
        if self.forgetting and self.visual_mixer:
            raise ValueError("visual_mixer: hosts are forgotten as they are, not as they were seen")
        if self.forgetting and self.label_noise:
            raise ValueError("label_noise: a control would forget hosts under labels that are not theirs")
        if self.distillation and self.of_hosts:
            raise ValueError("distillation: teachers neither forget hosts nor are trained without them")
        for name in ("private", "without_hosts"):
            if self.adv_bn and getattr(self, name):
                raise ValueError(f"adv_bn: images share the statistics of their batch; leave {name} out")
        for name in ("distillation", "forgetting"):
            if self.adv_bn and getattr(self, name):
                raise ValueError(f"adv_bn: does not go with {name}; leave one of the two out")
        for name in ("forgetting", "distillation", "border"):
            if self.falco and getattr(self, name):
                raise ValueError(f"falco: does not go with {name}; leave one of the two out")
        for name in ("private", "forgetting", "adv_bn"):
            if self.pretrained and self.pretrained.frozen and getattr(self, name):
                raise ValueError(f"frozen: does not go with {name}; leave one of the two out")
        if self.without_hosts and (self.mixup or self.cutmix):
            raise ValueError(f"{'mixup' if self.mixup else 'cutmix'}: mixes hosts into images that are trained on")
        for one in fields(self) if self.tasks else ():
            if one.metadata.get("added") and one.name != "tasks" and getattr(self, one.name) != one.default:
                raise ValueError(f"tasks: do not go with {one.name}; leave one of the two out")

    @property
    def of_hosts(self) -> bool:
        """Whether a control, too, depends on which images are the hosts of its seed."""
        return self.forgetting is not None or self.without_hosts

    @property
    def same_age(self) -> int:
        """Epoch 10, or the last that every model is sure to reach where that is earlier; the last of the tasks."""
        if self.tasks:
            return self.tasks.n
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


def task_of(labels: Labels, n_classes: int, n: int) -> Labels:
    """In which of n tasks, from 0, classes are learnt, of one label or of an array of them.

    Of fewer classes than tasks some tasks have none.
    """
    return labels * n // n_classes


def whole_numbers(settings: object, *names: str) -> None:
    """Raise a ValueError that names a field which holds no whole number."""
    for name in names:
        if not isinstance(getattr(settings, name), int):
            raise ValueError(f"{name}: must be a whole number, got {getattr(settings, name)!r}")
