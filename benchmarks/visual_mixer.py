"""Which learning rate of Adam a practitioner would choose where pixels are shuffled within boxes: the one with the
lowest loss on shuffled images that early stopping watches. VisualMixer's own, 0.1, is that of a convolutional network.

The control of a pilot seed at the small size, for each rate: the lowest stopping loss, the training loss at that epoch
and that epoch. Nothing is stamped, and no score is looked at.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/visual_mixer.py > book/benchmarks/visual-mixer.md
"""

from weight_decay import SEEDS, show, stopping_losses

from ufm.protocol import Training, VisualMixer

RATES, BOXES = (3e-4, 1e-3, 3e-3, 0.1), VisualMixer(4, ((1, 2, 4, 4), (2, 4, 4, 4), (4, 4, 4, 4)))


def main() -> None:
    ways = {rate: Training(learning_rate=rate, visual_mixer=BOXES) for rate in RATES}
    show("learning rate", stopping_losses(ways, SEEDS[:1]))


if __name__ == "__main__":
    main()
