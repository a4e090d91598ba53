"""The third plan: what prevents memorisation, on the second plan's seeds and hosts (book/third-plan.md)."""

from dataclasses import replace

from ufm.plan import second
from ufm.plan.sweep import Sweep, sweep_name
from ufm.protocol import Private, Training

PLACE = {"embedded": 13, "paper": 13}
TITLE = "third plan"
SEEDS = second.SMALL["paper"][:20]  # whose plain models are the second plan's
CLIP, DELTA = 1.0, 1e-5  # of private training
# Multipliers of the noise: for epsilon 1, 3, 10 and 30 by Opacus' accountant (`benchmarks/private.py`), then downwards
# to where what noise does ends.
NOISES = (4.375, 1.748, 0.857, 0.579, 0.1, 0.03, 0.01)
DATASETS = ("mnist", "fashion_mnist")
SAMPLED, CLIPPED, NOISY = "drawn images", "clipping alone", "noise alone"  # the parts of private training
SMOOTHED, BATCHES = 0.1, (512, 2048)


def sweeps(profile: str) -> dict[str, Sweep]:
    """All of them, by the name of their folder of records. Not embedded: no chapter shows them yet."""
    if profile == "embedded":
        return {}
    return {
        sweep_name(f"{dataset}-small", f"{TITLE}, {way}"): Sweep(
            replace(second.small_population(profile, dataset), training=training),
            SEEDS,
            len(SEEDS),
            26,
            f"{TITLE}, {way}",
        )
        for dataset in DATASETS
        for way, training in ways().items()
    }


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
    }
