"""Chapter *Sensitivity*: the experiment varied in one thing at a time."""

from dataclasses import replace
from math import ceil

from ufm.data import sources
from ufm.features import LETTERS
from ufm.plan import populations
from ufm.plan.populations import EVIDENCE
from ufm.plan.profiles import changed
from ufm.plan.sweep import Sweep, beside
from ufm.protocol import Protocol

PLACE = {"embedded": 8, "paper": 8}
USUAL = "usual"  # not varied
SCORED = "scoring images"
MOST_CARRIERS = 0.05  # share of the training images that may carry the letter: fewer than there are of most classes
# In what it is varied, and what each value of it changes.
VARIED: dict[str, dict[str, dict[str, object]]] = {
    "letter": {name: {"feature": name} for name in LETTERS if name != "A"},
    "place": {"edge": {"position": (1, 11)}, "centre": {"position": (11, 11)}},
    "size": {"10 × 10": {"magnified": 2}, "15 × 15": {"magnified": 3}},
    "brightness": {"0.5": {"brightness": 0.5}, "0.25": {"brightness": 0.25}},
    "images with the letter": {str(n): {"n_carriers": n} for n in (2, 5, 10, 100)},
    "batch of the host": {
        "first": {"batch": 0},
        "middle": {"batch": 39},
        "last full one": {"batch": -2},  # the very last is smaller, so that an image there would weigh more
        "shuffled": {"shuffle": True},
    },
    SCORED: {
        "Fashion-MNIST": {"ood_set": "fashion_mnist"},
        "photo patches": {"ood_set": "photo_patches", "n_ood": 1_950},  # which are all
    },
    "scoring inputs": {"raw": {"inputs": "raw"}},
}
FEW_VARIED = {
    "letter": ("L",),
    "place": ("centre",),
    "size": ("10 × 10",),
    "brightness": ("0.5",),
    "images with the letter": ("5",),
    "batch of the host": ("last full one",),
    "scoring inputs": ("raw",),
}
VARIATIONS = {
    "embedded": {what: {value: VARIED[what][value] for value in few} for what, few in FEW_VARIED.items()},
    "paper": VARIED,
}
# The population beside which they are, seeds and turn.
PLANNED = {"embedded": ("digits-small", range(8), 0), "paper": ("mnist-small", EVIDENCE[:20], 8)}


def varied_in(what: str, value: str) -> str:
    """The setting of a sweep that is varied, in words."""
    return f"{what}: {value}"


def fitted(setting: str, protocol: Protocol) -> Protocol | None:
    """A varied protocol on the images and with the feature that it has now; None where it cannot be varied so.

    Of the planned images and feature it is as planned; one that nothing varies is left as it is.
    """
    what, _, value = setting.partition(": ")
    if value not in VARIED.get(what, {}):
        return protocol
    if what == "letter":
        return protocol if protocol.feature == value else None
    source = sources.source(protocol.dataset)
    (_, height, width), (rows, columns) = protocol.image_shape, protocol.unique.shape
    n_images = protocol.n_train or source.n_train
    n_batches = ceil(n_images / protocol.training.batch_size)
    if what == "place":
        middle = (height - rows) // 2, (width - columns) // 2
        middle = max(0, middle[0]), max(0, middle[1])
        protocol = replace(protocol, position=middle if value == "centre" else (1, middle[1]))
    if value == "middle":
        protocol = replace(protocol, batch=n_batches // 2)
    batched = protocol.batch is None or -n_batches <= protocol.batch < n_batches
    return protocol if batched and MOST_CARRIERS * n_images >= protocol.n_carriers else None


def sweeps(profile: str) -> dict[str, Sweep]:
    """Exploratory: the canary and the placebo of a seed on its hard host, as usual and varied."""
    name, seeds, turn = PLANNED[profile]
    usual = replace(populations.plain(profile, name), hosts=("hard",), control=False, measure="short card")
    settings = {USUAL: replace(usual, measure="moved card")} | {
        varied_in(what, value): changed(usual, **changes)
        for what, values in VARIATIONS[profile].items()
        for value, changes in values.items()
    }
    return beside(name, settings, seeds, turn)


def shown(profile: str) -> tuple[str, ...]:
    """All of them, the usual setting first."""
    return tuple(sweeps(profile))
