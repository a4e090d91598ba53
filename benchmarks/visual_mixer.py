"""What VisualMixer's settings come to at the small size: the learning rate of Adam, and how finely boxes are cut.

Which rate a practitioner would choose: the one with the lowest loss on shuffled images that early stopping watches.
VisualMixer's own, 0.1, is that of a convolutional network. The control of a pilot seed, for each rate: the lowest
stopping loss, the training loss at that epoch and that epoch. Nothing is stamped, and no score is looked at. Then the
share of boxes of the training images that are cut into pieces of each size; nothing is trained.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/visual_mixer.py > book/benchmarks/visual-mixer.md
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/visual_mixer.py pieces > book/benchmarks/visual-mixer-pieces.md
"""

import sys

import torch
from weight_decay import DATASETS, SEEDS, show, stopping_losses

from ufm.data.datasets import load
from ufm.data.on_device import to_device
from ufm.protocol import Training, VisualMixer
from ufm.training.visual_mixer import pieces_of

RATES, BOXES = (3e-4, 1e-3, 3e-3, 0.1), VisualMixer(4, ((1, 2, 4, 4), (2, 4, 4, 4), (4, 4, 4, 4)))
N_TRAIN, N_PARTS = 10_000, 6


def main() -> None:
    if sys.argv[1:] == ["pieces"]:
        print("| data set | single pixels | pieces of 2 × 2 | left whole |\n|---|---|---|---|")
        for dataset in DATASETS:
            print(f"| {dataset} | {' | '.join(f'{100 * share:.1f} %' for share in shares(dataset))} |")
        return
    ways = {rate: Training(learning_rate=rate, visual_mixer=BOXES) for rate in RATES}
    show("learning rate", stopping_losses(ways, SEEDS[:1]))


def shares(dataset: str) -> list[float]:
    """Of all boxes of 4 of the training images the shares that are cut into pixels, into pieces of 2 × 2, and left."""
    cut = []
    for part in range(N_PARTS):
        data = load(dataset, n_train=N_TRAIN, part=part)
        on_device = to_device(data)
        images = on_device.normalise(on_device.floats(data.train_images))
        cut.append(pieces_of(images, BOXES, data))
    return [float((torch.cat(cut) == n).float().mean()) for n in (4, 2, 1)]


if __name__ == "__main__":
    main()
