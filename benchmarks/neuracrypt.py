"""Which learning rate of Adam a practitioner would choose for networks that read patches, as they are and encoded with
a key: the one with the lowest loss on images that early stopping watches, within thirty epochs.

The control of a pilot seed of small MNIST, for each rate: the lowest stopping loss, the training loss at that epoch and
that epoch. Nothing is stamped, and no score is looked at.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/neuracrypt.py > book/benchmarks/neuracrypt.md
"""

import pandas as pd
from weight_decay import SEEDS, show, stopping_losses

from ufm.networks import NeuraCrypt
from ufm.protocol import Training

RATES, EPOCHS = (3e-2, 1e-2, 3e-3, 3e-4), 30
READERS = {"patches as they are": NeuraCrypt(encoded=False), "NeuraCrypt": NeuraCrypt()}


def main() -> None:
    ways = {rate: Training(learning_rate=rate, epochs=EPOCHS) for rate in RATES}
    rows = []
    for name, model in READERS.items():
        rows.append(stopping_losses(ways, SEEDS[:1], model=model, datasets=("mnist",)).assign(dataset=name))
    show("learning rate", pd.concat(rows), what="network")


if __name__ == "__main__":
    main()
