"""Chapter *Many marks*: models that carry a lot of marks, each on an image of its own (book/marks-plan.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ufm.networks import CNN1
from ufm.plan import second
from ufm.plan.sweep import Sweep, sweep_name
from ufm.protocol import Lot, Protocol

PLACE = {"embedded": 12, "paper": 12}
SEEDS = {"embedded": range(900, 908), "paper": range(6000, 6020)}
INNOCENT = {"embedded": SEEDS["embedded"], "paper": range(6000, 6040)}  # seeds of models that carry nothing
IMAGES = {"embedded": 100, "paper": 300}  # on which every model is asked
TURN = 25
# Hosts in words: their kind, under which label they are trained, and what the mark is stamped on.
HOSTS = {
    "random": ("random", "own", "own"),
    "hard": ("hard", "own", "own"),
    "mislabelled": ("random", "wrong", "own"),
    "blank": ("random", "own", "black"),
}
PLAIN, DECAY = "plain", "weight decay 3"
N_MARKS = (1, 3, 10, 30, 100, 300)
NOTHING = "no marks"


@dataclass(frozen=True)
class Cell:
    """What a sweep's models carry and how they are trained, in words and numbers."""

    marks: int
    hosts: str  # a word of HOSTS
    training: str = PLAIN
    places: str = "one"
    images: int = 1  # on which each mark is

    @property
    def setting(self) -> str:
        """What sets it apart, in words."""
        what = f"{self.marks} mark{'s' * (self.marks > 1)} on {self.hosts} hosts"
        parts = [what, f"{self.images} images" * (self.images > 1), "places drawn" * (self.places == "drawn")]
        return ", ".join(filter(None, [*parts, self.training.removeprefix(PLAIN)]))

    def of(self, plain: Protocol) -> Protocol:
        """Models that carry it, beside others."""
        host, labels, images = HOSTS[self.hosts]
        training = replace(plain.training, weight_decay=weight_decay(self.training))
        lot = Lot(self.marks, labels, images, self.places)
        return replace(plain, hosts=(host,), lot=lot, n_carriers=self.images, training=training)


def weight_decay(training: str) -> float:
    """The weight decay that a word of training says."""
    return 3.0 if training == DECAY else 0.0


def cell_of(protocol: Protocol) -> Cell | None:
    """What a sweep's models carry; None: nothing."""
    if not protocol.hosts or protocol.lot is None:
        return None
    lot = protocol.lot
    words = {value: word for word, value in HOSTS.items()}
    hosts = words[protocol.hosts[0], lot.labels, lot.images]
    training = DECAY if protocol.training.weight_decay else PLAIN
    return Cell(lot.n, hosts, training, lot.places, protocol.n_carriers)


def grid() -> list[Cell]:
    """The cells of small MNIST."""
    of_hosts = {"random": N_MARKS, "hard": N_MARKS[:4], "blank": (1, 10, 100)}
    trainings = (PLAIN, DECAY)
    cells = [Cell(n, hosts, training) for hosts, some in of_hosts.items() for training in trainings for n in some]
    cells += [Cell(n, "mislabelled") for n in N_MARKS] + [Cell(n, "mislabelled", DECAY) for n in N_MARKS[:3]]
    drawn = ("mislabelled", "random")
    cells += [Cell(10, hosts, training, "drawn") for hosts in drawn for training in trainings]
    return cells + [Cell(1, "random", training, images=n) for training in trainings for n in (10, 100)]


# Cells by the population beside which they are trained, and whether the book waits for them.
CELLS: dict[str, dict[tuple[str, int | None], Sequence[Cell]]] = {
    "embedded": {
        ("digits", 600): (
            *(Cell(n, hosts) for hosts in ("random", "mislabelled") for n in (3, 10)),
            Cell(10, "mislabelled", places="drawn"),
            Cell(1, "random", images=10),
        )
    },
    "paper": {
        ("mnist", 10_000): grid(),
        ("fashion_mnist", 10_000): [Cell(10, "random"), Cell(100, "random"), Cell(10, "mislabelled")],
        ("mnist", None): [Cell(10, "mislabelled"), Cell(100, "random")],
        ("cifar10", None): [Cell(10, "mislabelled"), Cell(100, "random")],
    },
}


def sweeps(profile: str) -> dict[str, Sweep]:
    """All cells, and models that carry nothing."""
    found: dict[str, Sweep] = {}
    for (dataset, n_train), cells in CELLS[profile].items():
        plain = population(profile, dataset, n_train)
        name = f"{dataset}-{'small' if n_train else 'full'}"
        seeds = SEEDS[profile]
        for cell in cells:
            needed = 0 if dataset == "cifar10" else len(seeds)  # which are for a GPU
            found[sweep_name(name, cell.setting)] = Sweep(cell.of(plain), seeds, needed, TURN, cell.setting)
    (dataset, n_train), cells = next(iter(CELLS[profile].items()))
    seeds, name = INNOCENT[profile], f"{dataset}-small"
    for training in dict.fromkeys(cell.training for cell in cells):
        setting = ", ".join(filter(None, [NOTHING, training.removeprefix(PLAIN)]))
        lot = Lot(max(cell.marks for cell in cells))
        nothing = replace(Cell(1, "random", training).of(population(profile, dataset, n_train)), lot=lot)
        nothing = replace(nothing, hosts=(), roles=(), control=True)
        found[sweep_name(name, setting)] = Sweep(nothing, seeds, len(seeds), TURN, setting)
    return found


def population(profile: str, dataset: str, n_train: int | None) -> Protocol:
    """Canary and placebo models, each with a lot of its own."""
    n, other = IMAGES[profile], {"ood_set": "mnist"} if dataset == "cifar10" else {}
    plain = second.population(profile, dataset, n_train, n_ood=n, **other)
    plain = replace(plain, scoring=replace(plain.scoring, n_effect=n), control=False, measure="lot card")
    if dataset == "cifar10":
        plain = replace(plain, model=CNN1(), training=replace(plain.training, batch_size=512))
    return plain


def shown(profile: str) -> tuple[str, ...]:
    """All of them."""
    return tuple(sweeps(profile))
