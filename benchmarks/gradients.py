"""How well batches are computed from their gradients, with and without what is linear in the weights.

Of plain batches of pilot seeds, on which nothing is stamped: the mean over images of the greatest cosine with any of
what is computed. No letter is looked at.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/gradients.py > book/benchmarks/gradients.md
"""

from itertools import product

import numpy as np

from ufm.data import datasets
from ufm.measures.gradients import (
    from_moments,
    gradient,
    of_absent_classes,
    second_moment,
    third_moment,
    wide,
    without_linear_part,
)
from ufm.plan.gradients import PLANS
from ufm.randomness.streams import stream
from ufm.study.gradients import of_norm_one, reduced

SEEDS = (500, 501)  # pilot seeds


def main() -> None:
    plan = PLANS["paper"]
    print("| pixels | images in the batch | hidden units | mean cosine | without what is linear |")
    print("|---|---|---|---|---|")
    for size, units in product(plan.sizes, plan.units):
        found = {n: [cosines(size, n, units, seed) for seed in SEEDS] for n in plan.batches}
        for n, both in found.items():
            as_they_are, without = np.mean(both, axis=0)
            print(f"| {size} × {size} | {n} | {units:,} | {as_they_are:.2f} | {without:.2f} |".replace(",", " "))


def cosines(size: int, n: int, units: int, seed: int) -> tuple[float, float]:
    """Mean over a batch of the greatest cosine, of moments of the gradient as it is and of what is left of it."""
    plan = PLANS["paper"]
    data = datasets.load(plan.dataset, n_train=plan.n_train, part=seed % 6)
    places = stream("pilot batch", seed=seed).permutation(plan.n_train)[:n]
    images = of_norm_one(reduced(data.train_images[places, 0] / np.float32(255), size))
    network = wide(units, size * size, data.n_classes, bias=plan.bias, seed=seed, scope=f"{data.scope}/{size}")
    values = of_absent_classes(gradient(network, images, data.train_labels[places]))

    def cosine(values: np.ndarray) -> float:
        second = second_moment(network, values)
        found = from_moments(second, lambda basis: third_moment(network, values, basis), n)
        return float((images @ found.T).max(1).mean())

    return cosine(values), cosine(without_linear_part(network, values))


if __name__ == "__main__":
    main()
