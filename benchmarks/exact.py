"""Whether p-values of models that never saw a mark are uniform: exact ones, and those by permuting a letter's pixels.

Networks of 16 and 8 units on 400 embedded digits, ten epochs, each trained without any mark. Each is asked about six
marks of a registry of its own, among 40 draws that were not used, and about the letter A among 100 permutations of its
own pixels, by the same detectors, all in the middle of the images: in their corners, which are black, the weights stay
what they were drawn, and any pixel can stand for another. A uniform p-value is at most 0.05 in 5 % of the models.

Models 0 to 3999 were looked at before, in two halves. The table is of the next ones, which were asked once:

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/exact.py 4000 4000 > book/benchmarks/exact.md
"""

import sys
import time
from dataclasses import replace

import numpy as np
import torch
from scipy import stats

from ufm import features
from ufm.auditing import Place, combined, mark_p_values
from ufm.auditing.pools import moved
from ufm.data.datasets import load, ood_images
from ufm.data.on_device import to_device
from ufm.evidence.marks import KINDS, scored
from ufm.marks import Registry
from ufm.measures.shifts import patched
from ufm.networks import MLP
from ufm.protocol import Protocol, Scoring, Training
from ufm.statistics import permutation_p_value
from ufm.study import seeds
from ufm.training import train

PROTOCOL = Protocol(
    "digits",
    400,
    MLP(hidden=(16, 8)),
    Training(learning_rate=1e-3, batch_size=64, epochs=10, early_stopping="none", precision="float64"),
    Scoring(ood_set="photo_patches", n_ood=50, n_effect=20),
    position=(11, 11),
)
N_PLANTED, N_UNUSED, N_DRAWS = 6, 40, 999
AT_ONCE = 100  # models of a stack
SEED = 1_000_000  # of the draws, which are not those of the labels
LETTER = features.feature("A")
PERMUTED = np.concatenate([LETTER[None, None], features.permutations(LETTER, features.FIXED)])


def main(first: int, n_models: int) -> None:
    begun, end = time.monotonic(), first + n_models
    found = np.array(
        [one for start in range(first, end, AT_ONCE) for one in p_values(start, min(AT_ONCE, end - start))]
    )
    print(f"{n_models} models, trained and asked in {time.monotonic() - begun:.0f} s.\n")
    print("| p-value of | label | models with p at most 0.05 | at most 0.01 | Kolmogorov–Smirnov p against uniform |")
    print("|---|---|---|---|---|")
    for place, (name, label, steps) in enumerate(COLUMNS):
        p = found[:, place]
        within = np.random.default_rng(place).random(n_models) / steps  # p is a multiple of 1 / steps
        uniform = stats.kstest(p - within, "uniform").pvalue
        shares = " | ".join(
            f"{100 * (p <= level + 1e-9).mean():.1f} %" if 1 / steps <= level else "cannot be" for level in (0.05, 0.01)
        )
        print(f"| {name} | {label} | {shares} | {uniform:.2g} |")


MARK, SEVERAL, GIVEN = "one mark, its rank", "six marks together", "the letter A among permutations of its pixels"
COLUMNS = [
    (name, label, steps)
    for name, steps in ((MARK, 1 + N_UNUSED), (SEVERAL, 1 + N_DRAWS), (GIVEN, 1 + features.FIXED))
    for label in ("unknown", "known")
]


def p_values(start: int, n: int) -> list[list[float]]:
    """p-values of so many models, as in `COLUMNS`."""
    data = to_device(load("digits", n_train=PROTOCOL.n_train, part=0), precision="float64")
    ood = data.floats(ood_images("photo_patches").images[: PROTOCOL.scoring.n_effect])
    images = dict(zip(KINDS, (ood, torch.zeros_like(ood[:1])), strict=True))
    control = seeds.experiments(PROTOCOL, 0, data.dataset)[0]  # which has no host, so that no seed lacks one
    plans = [replace(control, seed=PROTOCOL.n_parts * number) for number in range(start, start + n)]
    return [of_model(trained.model, number, images, data) for number, trained in enumerate(train(plans, data), start)]


def of_model(model, number: int, images: dict, data) -> list[float]:
    """The p-values of one model."""
    registry = Registry(f"{number:064x}", N_PLANTED, flipped=False)
    label = np.random.default_rng(number).integers(data.dataset.n_classes, size=N_PLANTED)
    pools = [np.concatenate([registry.marks(), registry.unused(N_UNUSED)]), PERMUTED]
    arrays: dict[str, np.ndarray] = {}
    with torch.inference_mode():
        for kind, some in images.items():
            every = torch.as_tensor(np.concatenate(pools), dtype=some.dtype)
            answers = moved(patched(PROTOCOL, model, some, data), every)
            arrays |= {f"{kind}_{name}": values for name, values in answers.items()}
    size = len(pools[0])
    own, letter = (
        scored({name: values[part] for name, values in arrays.items()}, len(images["ood"]))
        for part in (slice(size), slice(size, None))
    )
    planted, unused = np.arange(N_PLANTED), np.arange(N_PLANTED, size)
    places = [
        Place(np.tile(own.unknown, (N_PLANTED, 1)), planted, unused),
        Place(own.known[:, label].T, planted, unused),
    ]
    found = [float(mark_p_values(place)[0]) for place in places]
    found += [combined([place], n_draws=N_DRAWS, seed=SEED + number).p for place in places]
    scores = (letter.unknown, letter.known[:, label[0]])
    return found + [float(permutation_p_value(one[0], one[1:])) for one in scores]


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
