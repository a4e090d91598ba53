"""Chapter *How does memorisation scale?* (book/scaling-plan.md): plain models, one thing at a time made larger."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import log2

from ufm.data import sources
from ufm.networks import MLP
from ufm.plan import pretraining, second
from ufm.plan.profiles import PROFILES
from ufm.plan.sweep import Sweep, sweep_name
from ufm.protocol import Protocol

PLACE = {"embedded": 14, "paper": 14}
TITLE, TURN = "scaling", 27
SEEDS = {"embedded": second.SMALL["embedded"], "paper": second.SMALL["paper"][:20]}
DATASET = {"embedded": "digits", "paper": "mnist"}
WIDTHS = {"embedded": (0.25, 0.5), "paper": (0.125, 0.25, 0.5, 2.0, 4.0)}  # times the usual one
LAYERS: dict[str, tuple[float, ...]] = {"embedded": (), "paper": (1, 4, 8)}  # hidden ones
IMAGES: dict[str, tuple[float, ...]] = {"embedded": (), "paper": (1_000, 3_000, 30_000)}  # of a training set
SIDES: dict[str, tuple[float, ...]] = {"embedded": (), "paper": (2, 3, 4)}  # of images, times the usual one
COPIES = {"embedded": (3, 10), "paper": (3, 10, 30, 100)}  # images that carry the letter
NOISE: dict[str, tuple[float, ...]] = {"embedded": (), "paper": (0.1, 0.2, 0.4)}  # chance of a label to be drawn anew
ARCHIVE = 224_316.0  # X-rays of a hospital's archive, CheXpert (Irvin et al., AAAI 2019)
FURTHER: dict[str, dict[str, tuple[float, ...]]] = {
    "embedded": {"width": (2.0,)},
    "paper": {"width": (8.0,), "image side": (8.0,), "training images": (ARCHIVE,)},
}
TENTH = 0.1  # of the labels
UNLIKE = ("training images", "hard")  # the axis and kind of host whose hosts are not alike at all points


@dataclass(frozen=True)
class Axis:
    """What is made larger, the models that are its points, and those of them that are trained for it."""

    name: str
    points: Mapping[float, str]  # names of sweeps by the value that they have, the smallest first
    sweeps: Mapping[str, Sweep]
    further: tuple[float, ...]  # values that nothing is trained at, about which the line is asked
    doubled: bool  # whether a step is a doubling, else a tenth of the labels

    def place(self, value: float) -> float:
        """Where a value is on the axis, in steps."""
        return log2(value) if self.doubled else value / TENTH

    @property
    def step(self) -> str:
        """What a step is, in words."""
        return "doubling" if self.doubled else "tenth of the labels"


def network(usual: tuple[int, ...], *, width: float = 1, layers: float = 2) -> MLP:
    """A network of so many hidden layers, each so many times as wide; further ones are as wide as the usual last."""
    units = [*usual, *usual[-1:] * int(layers)][: int(layers)]
    return MLP(hidden=tuple(max(1, round(width * n)) for n in units))


def axes(profile: str) -> list[Axis]:
    """Those of at least three points."""
    dataset, n_small = DATASET[profile], second.N_SMALL[profile]
    plain, usual = second.compact_population(profile, dataset), PROFILES[profile].model
    assert isinstance(usual, MLP)
    at_hand = sweep_name(f"{dataset}-small", f"{second.TITLE}, {second.PLAIN}")
    whole = sweep_name(f"{dataset}-full", f"{second.TITLE}, {second.BOTH}")
    n_all = sources.source(dataset).n_train

    def axis(words: str, values: tuple[float, ...], known: dict[float, str], change: Callable[[float], dict]) -> Axis:
        name = words.replace("{:g}", "").strip()
        settings = {value: f"{TITLE}, {words.format(value)}" for value in values}
        own = {value: sweep_name(f"{dataset}-small", setting) for value, setting in settings.items()}
        sweeps = {own[value]: sweep(replace(plain, **change(value)), settings[value]) for value in values}
        points = dict(sorted((known | own).items()))
        return Axis(name, points, sweeps, FURTHER[profile].get(name, ()), name != "label noise")

    def sweep(protocol: Protocol, setting: str) -> Sweep:
        return Sweep(protocol, SEEDS[profile], len(SEEDS[profile]), TURN, setting)

    def sized(**size: float) -> dict:
        return {"model": network(usual.hidden, **size), "found_by": usual}

    def noisy(share: float) -> dict:
        return {"training": replace(plain.training, label_noise=share)}

    every = (
        axis("width {:g}", WIDTHS[profile], {1: at_hand}, lambda n: sized(width=n)),
        axis("{:g} hidden layers", LAYERS[profile], {2: at_hand}, lambda n: sized(layers=n)),
        axis("image side {:g}", SIDES[profile], {1: at_hand}, lambda n: {"enlarged": int(n)}),
        axis("{:g} training images", IMAGES[profile], {n_small: at_hand, n_all: whole}, lambda n: {"n_train": int(n)}),
        axis("{:g} copies", COPIES[profile], {1: at_hand}, lambda n: {"n_carriers": int(n)}),
        axis("label noise {:g}", NOISE[profile], {0: at_hand}, noisy),
    )
    return [one for one in every if len(one.points) >= 3]


def sweeps(profile: str) -> dict[str, Sweep]:
    """What is trained beside the second plan's models, on the seeds of its plain ones."""
    return {name: sweep for axis in axes(profile) for name, sweep in axis.sweeps.items()}


def shown(profile: str) -> tuple[str, ...]:
    """The points of all axes, plain models first, then pretrained models and those beside them."""
    names = [name for axis in axes(profile) for name in axis.points.values()]
    plain = next(name for name in names if name.endswith(second.PLAIN))
    return tuple(dict.fromkeys([plain, *names, *pretraining.beside(profile)]))
