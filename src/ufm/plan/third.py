"""The third plan: what prevents memorisation, on the second plan's seeds and hosts (book/third-plan.md)."""

from collections.abc import Mapping
from dataclasses import fields, replace
from math import nan

from ufm.plan import many_marks, second
from ufm.plan.many_marks import Cell
from ufm.plan.second import Row
from ufm.plan.sweep import Sweep, sweep_name
from ufm.protocol import Distillation, Erasing, Private, Protocol, Training

PLACE = {"embedded": 13, "paper": 13}
TITLE = "third plan"
SEEDS = {
    "embedded": second.SMALL["embedded"],
    "paper": second.SMALL["paper"][:20],
}  # of which plain models are there
# Of private training, which takes longest: of fewer no share found at five false alarms in a hundred can be said.
PRIVATE_SEEDS = SEEDS | {"paper": SEEDS["paper"][:12]}
DATASETS = {"embedded": ("digits",), "paper": ("mnist", "fashion_mnist")}
ATTACKED = {"embedded": (), "paper": ("mnist",)}  # data sets whose private models are attacked, for the fourth plan
CLIP, DELTA = 1.0, 1e-5  # of private training
# Multipliers of the noise: for epsilon 1, 3, 10 and 30 by Opacus' accountant (`benchmarks/private.py`), then downwards
# to where what noise does ends.
NOISES = (4.375, 1.748, 0.857, 0.579, 0.1, 0.03, 0.01)
EPSILONS = dict(
    zip(NOISES, (0.996, 3.0, 10.0, 29.9, 8.72e4, 4.45e6, 4.31e7), strict=True)
)  # book/benchmarks/epsilon.md
SAMPLED, CLIPPED, NOISY = "drawn images", "clipping alone", "noise alone"  # the parts of private training
SMOOTHED, BATCHES = 0.1, (512, 2048)
# Beta(a, a) of mixup and CutMix, and random erasing, as published; rows and columns that leave nine pixels of the
# letter, and none.
MIXED, PASTED, ERASED, BORDERS, PATIENCE = (0.2, 1.0), 1.0, Erasing(), (3, 6), 1
REHEARSED = (SAMPLED, CLIPPED, "private, noise 0.857", "label smoothing 0.1")  # what the embedded profile has of it
# What models carry by which epsilon is measured, and how many seeds have it, on the first data set.
MARKED = {"embedded": Cell(10, "mislabelled"), "paper": Cell(300, "mislabelled")}
MARKS = "many marks"
MARKED_SEEDS = {"embedded": many_marks.SEEDS["embedded"], "paper": many_marks.SEEDS["paper"][:5]}

ENSEMBLES = {
    "embedded": (1, 2, 4, 8),
    "paper": (1, 2, 5, 10, 30),
}  # seeds that answer as one, of those on the same hosts


def sweeps(profile: str) -> dict[str, Sweep]:
    """All of them, by the name of their folder of records."""
    return beside_plain(profile) | marked(profile)


def beside_plain(profile: str) -> dict[str, Sweep]:
    """The ways, of which canary and placebo model of a host are trained."""
    names = ways() if profile == "paper" else REHEARSED
    return {
        sweep_name(f"{dataset}-small", f"{TITLE}, {way}"): Sweep(
            protocol(profile, dataset, way),
            seeds,
            len(seeds),
            26,
            f"{TITLE}, {way}",
        )
        for dataset in DATASETS[profile]
        for way in names
        for seeds in [(PRIVATE_SEEDS if ways()[way].private else SEEDS)[profile]]
    }


def protocol(profile: str, dataset: str, way: str) -> Protocol:
    """The protocol of plain models with what a way changes; cards of private ones say how robust they are, if asked."""
    changed = trained_by(ways()[way], second.compact_population(profile, dataset))
    asked = ways()[way].private and dataset in ATTACKED[profile]
    return replace(changed, measure="robust card") if asked else changed


def marked(profile: str) -> dict[str, Sweep]:
    """Private training and its parts with many marks, beside those of *Many marks* that are trained plainly."""
    names = ways() if profile == "paper" else REHEARSED
    cell, seeds, dataset = MARKED[profile], MARKED_SEEDS[profile], DATASETS[profile][0]
    plain = cell.of(many_marks.population(profile, dataset, second.N_SMALL[profile]))
    return {
        sweep_name(f"{dataset}-small", f"{TITLE}, {way}, {MARKS}"): Sweep(
            trained_by(ways()[way], plain), seeds, len(seeds), 27, f"{TITLE}, {way}, {MARKS}"
        )
        for way in names
        if ways()[way].private
    }


def trained_by(way: Training, plain: Protocol) -> Protocol:
    """The protocol of plain models with what a way changes of the usual training."""
    usual = Training()
    changes = {one.name: getattr(way, one.name) for one in fields(Training)}
    changes = {name: value for name, value in changes.items() if value != getattr(usual, name)}
    return replace(plain, training=replace(plain.training, **changes))


def compared() -> dict[str, tuple[str, str]]:
    """The regimes with and without each way, as `ufm.evidence.ways` compares them."""
    return {way: (way, second.PLAIN) for way in ways()}


def side_by_side(planned: Mapping[str, Sweep]) -> dict[str, Sweep]:
    """The sweeps of the ways, and of plain models the seeds that the ways have; nothing else."""
    return second.beside_plain(planned, TITLE, ways())


def rows(planned: Mapping[str, Sweep]) -> list[Row]:
    """The rows of which the three questions are asked, corrected together: plain models, then each way."""
    return second.rows(planned, TITLE, {one: one for one in (second.PLAIN, *ways())}, "random", "hard")


def epsilon(training: Training, n_train: int | None) -> float:
    """What private training of the plan's size promises at `DELTA`; NaN of all other."""
    private, usual = training.private, Training()
    steps = (n_train, training.batch_size, training.epochs)
    if private is None or not private.clipped or steps != (10_000, usual.batch_size, usual.epochs):
        return nan
    return EPSILONS.get(private.noise, nan) if private.clip == CLIP else nan


def ways() -> dict[str, Training]:
    """How models are trained, by what it is called; Adam's rate is the usual one (book/benchmarks/private.md)."""
    parts = {
        SAMPLED: Private(clip=CLIP, noise=0.0, clipped=False),
        CLIPPED: Private(clip=CLIP, noise=0.0),
        NOISY: Private(clip=CLIP, noise=NOISES[2], clipped=False),
    }
    noises = {f"private, noise {noise:g}": Private(clip=CLIP, noise=noise) for noise in NOISES}
    return {
        **{way: Training(private=settings) for way, settings in (parts | noises).items()},
        f"label smoothing {SMOOTHED:g}": Training(label_smoothing=SMOOTHED),
        **{f"batches of {size}": Training(batch_size=size) for size in BATCHES},
        **{f"mixup {a:g}": Training(mixup=a) for a in MIXED},
        f"CutMix {PASTED:g}": Training(cutmix=PASTED),
        "random erasing": Training(erasing=ERASED),
        **{f"masked border {width}": Training(border=width) for width in BORDERS},
        f"patience {PATIENCE}": Training(patience=PATIENCE),
        "distillation": Training(distillation=Distillation()),
        "distillation without the letter": Training(distillation=Distillation(stamped=False)),
    }
