"""At which learning rate L2UL forgets hosts of small MNIST within its steps: that of its authors, and larger ones.

Of the canary and placebo models of pilot seeds, each at its control's best epoch: how many classified their host as its
label, how many of these forgot it, in how many steps, and what that cost in accuracy. No effect of a letter is looked
at.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/forgetting.py > book/benchmarks/forgetting.md
"""

from dataclasses import replace

import numpy as np

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.plan import second
from ufm.protocol import Forgetting
from ufm.study.seeds import experiments
from ufm.training import Trained, evaluate, train
from ufm.training.forgetting import forgotten

SEEDS = (500, 501)  # pilot seeds
RATES = (1e-3, 1e-2, 1e-1)
WAYS = {"ascent alone": Forgetting(adversarial=0, importance=0.0), "L2UL": Forgetting()}


def main() -> None:
    print("| way | learning rate | hosts | fitted | forgotten | steps, median | change of accuracy, median |")
    print("|---|---|---|---|---|---|---|")
    plain = second.small_population("paper", "mnist")
    trained, on_device = {}, {}
    for seed in SEEDS:
        data = datasets.load(plain.dataset, n_train=plain.n_train, part=seed % plain.n_parts)
        on_device[seed] = to_device(data)
        trained[seed] = train(experiments(plain, seed, data), on_device[seed], at_control=True, show=False)[1:]
    for name, way in WAYS.items():
        for rate in RATES:
            rated = replace(way, optimiser=replace(way.optimiser, learning_rate=rate))
            rows = [row for seed in SEEDS for row in after(rated, trained[seed], on_device[seed])]
            for host in plain.hosts:
                ours = [row for row in rows if row[0] == host and row[1] > 0]
                done = [row for row in ours if row[1] < way.steps]
                steps, costs = (np.median([row[place] for row in done]) if done else np.nan for place in (1, 2))
                n = sum(row[0] == host for row in rows)
                print(f"| {name} | {rate:g} | {host} | {len(ours)} of {n} | {len(done)} | {steps:.0f} | {costs:.4f} |")


def after(way: Forgetting, trained: list[Trained], data) -> list[tuple[str, int, float]]:
    """Kind of host, steps and change of accuracy of each model that forgets its host in a way."""
    models = []
    for one in trained:
        protocol = one.experiment.protocol
        protocol = replace(protocol, training=replace(protocol.training, forgetting=way))
        models.append((one.at_control, replace(one.experiment, protocol=protocol)))
    return [
        (one.experiment.host, steps, accuracy(model, data) - accuracy(one.at_control, data))
        for one, (model, steps) in zip(trained, forgotten(models, data), strict=True)
    ]


def accuracy(model, data) -> float:
    """On the reported test images."""
    return evaluate(model, data.reported_images, data.reported_labels)[1]


if __name__ == "__main__":
    main()
