"""Architectures: a frozen dataclass describes one, `ufm.networks.layers.build` makes it."""

from dataclasses import dataclass, replace

from ufm.records.fingerprints import added

VARIANTS = {"batch norm": "batch_norm", "dropout": "dropout", "augmentation": "augmentation"}  # in words → field


@dataclass(frozen=True, kw_only=True)
class Regularised:
    """The regularised variants that architectures have in common."""

    batch_norm: bool = added(False)  # between every hidden layer and its ReLU
    dropout: bool = added(False)  # at the rates of the architecture
    augmentation: bool = added(False)  # random contrast and crop, see `ufm.training.augmentation`

    flip = False  # whether augmentation also mirrors images

    @property
    def variant(self) -> str:
        """Such as "plain", "dropout" or "dropout + augmentation"."""
        return " + ".join(name for name, flag in VARIANTS.items() if getattr(self, flag)) or "plain"


@dataclass(frozen=True)
class MLP(Regularised):
    """The fully connected network of the released code: 512–256–classes, ReLU; dropout 0.5 after both hidden layers."""

    hidden: tuple[int, ...] = (512, 256)  # units of each hidden layer

    name = "mlp"

    def __post_init__(self):
        widths(self, "hidden")


@dataclass(frozen=True)
class CNN1(Regularised):
    """CNN-1 of the released code: conv32–conv64 (3 × 3, valid)–pool 2–128–128–classes, ReLU. It has no variants."""

    channels: tuple[int, ...] = (32, 64)  # of each convolution
    hidden: tuple[int, ...] = (128, 128)  # units of each hidden layer

    name = "cnn1"

    def __post_init__(self):
        widths(self, "channels", "hidden")
        if self.variant != "plain":
            raise ValueError(f"variant: {self.name} has no variant {self.variant}, only plain")


@dataclass(frozen=True)
class CNN2(Regularised):
    """CNN-2 of the released code: (conv32 × 2–pool 2)–(conv64 × 2–pool 2)–1024–classes (3 × 3, same), ReLU.

    Dropout is 0.2 after each convolution and 0.5 before the output; augmentation also mirrors images.
    """

    channels: tuple[int, ...] = (32, 64)  # of the two convolutions of each block
    hidden: tuple[int, ...] = (1024,)  # units of each hidden layer

    name = "cnn2"
    flip = True

    def __post_init__(self):
        widths(self, "channels", "hidden")


@dataclass(frozen=True)
class Published(Regularised):
    """A network as published, in torchvision's implementation, without pretrained weights. It has no variants."""

    def __post_init__(self):
        if self.variant != "plain":
            raise ValueError(f"variant: {self.name} has no variant {self.variant}, only plain")


@dataclass(frozen=True)
class DenseNetBC(Published):
    """DenseNet-BC for images of 32 × 32 (Huang et al., CVPR 2017): depth 100, growth 12, compression one half."""

    depth: int = 100
    growth: int = 12

    name = "densenet_bc"

    def __post_init__(self):
        super().__post_init__()
        if self.depth < 10 or (self.depth - 4) % 6 or self.growth < 1:
            raise ValueError(f"depth: must be 6 n + 4 with growth at least 1, got {self.depth} and {self.growth}")


@dataclass(frozen=True)
class ResNet18(Published):
    """ResNet-18 (He et al., CVPR 2016), for images of about 224 × 224."""

    name = "resnet18"


@dataclass(frozen=True)
class DenseNet121(Published):
    """DenseNet-121 (Huang et al., CVPR 2017) with the released code's head: 2048–512, batch norm, dropout 0.2."""

    name = "densenet121"


Model = MLP | CNN1 | CNN2 | DenseNetBC | ResNet18 | DenseNet121
MODELS = {one.name: one for one in (MLP, CNN1, CNN2, DenseNetBC, ResNet18, DenseNet121)}


def of_variant(model: Model, variant: str) -> Model:
    """The architecture with a regularised variant, such as "plain", "dropout" or "dropout + augmentation".

    Raises a ValueError where there is no such variant, or the architecture does not have it.
    """
    parts = [] if variant == "plain" else variant.split(" + ")
    if not set(parts) <= set(VARIANTS):
        raise ValueError(f"variant: {variant!r} is not plain, nor {', '.join(VARIANTS)}, several joined by ' + '")
    return replace(model, **{flag: name in parts for name, flag in VARIANTS.items()})


def names(model: Model) -> dict[str, str]:
    """Name and variant of an architecture, as the tables give them."""
    return {"model": model.name, "variant": model.variant}


def widths(model: Model, *names: str) -> None:
    """Raise a ValueError that names a field with a layer of no units."""
    for name in names:
        values = getattr(model, name)
        if not values or min(values) < 1:
            raise ValueError(f"{name}: every layer needs at least one unit, got {values}")
