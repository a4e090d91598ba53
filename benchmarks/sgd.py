"""Which learning rate of SGD a practitioner would choose: the one with the lowest loss on images that early stopping
watches, momentum 0.9 and weight decay 5e-4.

Controls of pilot seeds at the small size, for each value; mean over seeds of the lowest stopping loss, of the training
loss at that epoch and of that epoch. Nothing is stamped, and no score is looked at.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/sgd.py > book/benchmarks/sgd.md
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/sgd.py 0.001 0.003    # rows of these values alone
"""

import sys
from dataclasses import replace

from weight_decay import SEEDS, show, stopping_losses

from ufm.protocol import SGD, Training

VALUES = (0.001, 0.003, 0.01, 0.03, 0.1)  # 0.3 diverges on MNIST


def main(values: tuple[float, ...]) -> None:
    plain = Training()
    ways = {value: replace(plain, optimiser=SGD(learning_rate=value)) for value in values}
    show("learning rate", stopping_losses(ways, SEEDS))


if __name__ == "__main__":
    main(tuple(map(float, sys.argv[1:])) or VALUES)
