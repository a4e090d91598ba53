"""At which learning rate of Adam networks of X-rays that were pretrained on Fashion-MNIST are fine-tuned best, whole or
their last layer alone, and at which networks from scratch are trained best: the one with the lowest loss on the images
of the validation split, which early stopping watches.

Controls of two pilot seeds, for each rate: means of the lowest stopping loss, of the training loss at that epoch and of
that epoch. Nothing is stamped, and no score is looked at.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/pretraining.py > book/benchmarks/pretraining.md
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/pretraining.py "last layer alone"    # rows of these networks alone
"""

import sys
from dataclasses import replace

import pandas as pd
from weight_decay import SEEDS, show

from ufm.data import datasets
from ufm.plan import second
from ufm.plan.sweep import sweep_name
from ufm.protocol import Pretraining, pretraining
from ufm.study.seeds import experiments, moved, pretrained
from ufm.training import train

RATES = (3e-3, 1e-3, 3e-4, 1e-4)
WAYS = {  # what networks are pretrained on, and the rates
    "from scratch": (None, RATES),
    "fine-tuned whole": (Pretraining(), RATES),
    "last layer alone": (Pretraining(frozen=True), (3e-2, 1e-2, 3e-3, 1e-3)),
}


def main(ways: list[str]) -> None:
    xrays = second.medical("paper")[sweep_name("pneumoniamnist", f"{second.TITLE}, MLP, letter")].protocol
    plain, data, rows = replace(xrays, hosts=()), datasets.load(xrays.dataset), []
    images = moved(plain, data.part, "cpu", None)
    for name in ways or WAYS:
        before, rates = WAYS[name]
        for seed in SEEDS[:2]:
            for rate in rates:
                protocol = replace(plain, training=replace(plain.training, pretrained=before, learning_rate=rate))
                weights = {seed: pretrained(pretraining(protocol, seed), "cpu", None)} if before else None
                given = replace(images, pretrained=weights)
                [trained] = train(experiments(protocol, seed, data), given, show=False)
                best = trained.history[trained.best_epoch - 1]
                rows.append({"dataset": name, "value": rate, "best epoch": trained.best_epoch} | best)
                print(name, rows[-1], file=sys.stderr, flush=True)
    show("learning rate", pd.DataFrame(rows), what="networks")


if __name__ == "__main__":
    main(sys.argv[1:])
