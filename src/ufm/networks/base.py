"""What architectures have in common: variants, names, and the registry of them all."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypedDict, TypeVar

from ufm.records.fingerprints import added

if TYPE_CHECKING:
    from torch import nn

VARIANTS = {"batch norm": "batch_norm", "dropout": "dropout", "augmentation": "augmentation"}  # in words → field


class BatchNorm(TypedDict):
    """Settings of batch norm under torch's names."""

    eps: float
    momentum: float


BATCH_NORM: BatchNorm = {"eps": 1e-3, "momentum": 0.01}  # Keras' defaults; its momentum of 0.99 is torch's 0.01


@dataclass(frozen=True, kw_only=True)
class Model(ABC):
    """An architecture: its settings, of which the regularised variants are common to all, and its layers."""

    batch_norm: bool = added(False)  # between every hidden layer and its ReLU
    dropout: bool = added(False)  # at the rates of the architecture
    augmentation: bool = added(False)  # random contrast and crop, see `ufm.training.augmentation`

    name: ClassVar[str]  # under which it is registered
    flip: ClassVar[bool] = False  # whether augmentation also mirrors images

    @property
    def variant(self) -> str:
        """Such as "plain", "dropout" or "dropout + augmentation"."""
        return " + ".join(name for name, flag in VARIANTS.items() if getattr(self, flag)) or "plain"

    @property
    def images_apart(self) -> bool:
        """Whether training can tell the gradients of single images apart, which it can where all weights are linear."""
        return False

    @abstractmethod
    def layers(self, image_shape: tuple[int, int, int], n_classes: int) -> "nn.Sequential":
        """Layers from images (N, C, H, W) to logits (N, n_classes), of the kinds that `ufm.training.stack` knows."""

    def finder(self, *, colour: bool) -> "Model | None":
        """The architecture whose clean models find hosts for this one; None: the usual one of grey or colour images.

        Hosts are the same for every variant, so it is plain.
        """
        return None

    def plain_only(self) -> None:
        """Raise a ValueError unless this is the plain variant, for an architecture that has no other."""
        if self.variant != "plain":
            raise ValueError(f"variant: {self.name} has no variant {self.variant}, only plain")


@dataclass(frozen=True)
class Published(Model):
    """A network as published, in torchvision's implementation, without pretrained weights. It has no variants."""

    def __post_init__(self):
        self.plain_only()


MODELS: dict[str, type[Model]] = {}
Architecture = TypeVar("Architecture", bound=type[Model])


def architecture(model: Architecture) -> Architecture:
    """Register an architecture by its name, of this package or of another.

    Raises ValueError where the name is taken: results of two architectures could not be told apart.
    """
    if model.name in MODELS:
        raise ValueError(f"model: there is an architecture called {model.name} already")
    MODELS[model.name] = model
    return model


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
