"""Which weight decay a practitioner would choose: the one with the lowest loss on images that early stopping watches.

Controls of pilot seeds at the small size, for each value of the weight decay; mean over seeds of the lowest stopping
loss, of the training loss at that epoch and of that epoch. Nothing is stamped, and no score is looked at.

    .venv/bin/python benchmarks/weight_decay.py > book/benchmarks/weight-decay.md
    .venv/bin/python benchmarks/weight_decay.py 10 30    # rows of these values alone
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from ufm.data.datasets import load
from ufm.data.on_device import to_device
from ufm.networks import MLP, Model
from ufm.plan import profiles
from ufm.protocol import Training
from ufm.study.seeds import experiments
from ufm.training import train

DATASETS = ("mnist", "fashion_mnist")
VALUES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
SEEDS = range(500, 504)  # pilot seeds


def stopping_losses(
    ways: Mapping[Any, Training],
    seeds: Sequence[int],
    *,
    model: Model | None = None,
    datasets: Sequence[str] = DATASETS,
) -> pd.DataFrame:
    """Rows of data set, value and what the controls of those seeds reach, trained in each way, by its value."""
    rows = []
    for dataset in datasets:
        plain = replace(profiles.PROFILES["paper"], dataset=dataset, n_train=10_000, model=model or MLP(), hosts=())
        for seed in seeds:
            data = load(dataset, n_train=plain.n_train, part=seed % plain.n_parts)
            on_device = to_device(data)
            for value, training in ways.items():
                protocol = replace(plain, training=training)
                [trained] = train(experiments(protocol, seed, data), on_device, show=False)
                best = trained.history[trained.best_epoch - 1]
                rows.append({"dataset": dataset, "value": value, "best epoch": trained.best_epoch} | best)
            print(f"{dataset}, seed {seed}", file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def show(name: str, rows: pd.DataFrame, *, what: str = "data set") -> None:
    """Print the means over seeds as a table."""
    means = rows.groupby(["dataset", "value"], sort=False).mean()
    print(f"| {what} | {name} | stopping loss | training loss | best epoch |\n|---|---|---|---|---|")
    for (dataset, value), row in means.iterrows():
        numbers = f"{row['stopping_loss']:.4f} | {row['train_loss']:.4f} | {row['best epoch']:.1f}"
        print(f"| {dataset} | {value:g} | {numbers} |")


def main(values: tuple[float, ...]) -> None:
    show("weight decay", stopping_losses({value: Training(weight_decay=value) for value in values}, SEEDS))


if __name__ == "__main__":
    main(tuple(map(float, sys.argv[1:])) or VALUES)
