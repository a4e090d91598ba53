"""Which learning rate of Adam a practitioner would choose for private training: the one with the lowest loss on images
that early stopping watches, at a noise of middling privacy. The clipping norm is a usual one, 1: Adam's steps do not
depend on the scale of gradients.

The control of a pilot seed at the small size, for each rate: the lowest stopping loss, the training loss at that epoch
and that epoch. Nothing is stamped, and no score is looked at.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/private.py > book/benchmarks/private.md
"""

from weight_decay import SEEDS, show, stopping_losses

from ufm.protocol import Private, Training

RATES, NOISE = (1e-4, 3e-4, 1e-3), 0.857


def main() -> None:
    ways = {rate: Training(private=Private(learning_rate=rate, clip=1.0, noise=NOISE)) for rate in RATES}
    show("learning rate", stopping_losses(ways, SEEDS[:1]))


if __name__ == "__main__":
    main()
