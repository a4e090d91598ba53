"""Which learning rate of Adam and which clipping norm a practitioner would choose for private training: those with the
lowest loss on images that early stopping watches, at a noise of middling privacy.

Controls of two pilot seeds at the small size, for each pair of values; mean over seeds of the lowest stopping loss, of
the training loss at that epoch and of that epoch. Nothing is stamped, and no score is looked at.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/private.py > book/benchmarks/private.md
"""

from itertools import product

from weight_decay import SEEDS, stopping_losses

from ufm.protocol import Private, Training

RATES, NORMS, NOISE, EPOCHS = (3e-4, 1e-3, 3e-3), (0.3, 1.0), 0.7, 40


def main() -> None:
    ways = {
        (rate, norm): Training(learning_rate=rate, epochs=EPOCHS, private=Private(clip=norm, noise=NOISE))
        for rate, norm in product(RATES, NORMS)
    }
    means = stopping_losses(ways, SEEDS[:2]).groupby(["dataset", "value"], sort=False).mean()
    print("| data set | learning rate | clipping norm | stopping loss | training loss | best epoch |")
    print("|---|---|---|---|---|---|")
    for (dataset, (rate, norm)), row in means.iterrows():
        numbers = f"{row['stopping_loss']:.4f} | {row['train_loss']:.4f} | {row['best epoch']:.1f}"
        print(f"| {dataset} | {rate:g} | {norm:g} | {numbers} |")


if __name__ == "__main__":
    main()
