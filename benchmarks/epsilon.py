"""Which epsilon each noise of the third plan's private training has, at delta 1e-5: of its last epoch, an upper bound.

By Opacus' accountants, of which the first (Gopi et al. 2021) is tighter than that of Rényi divergences (Mironov et al.
2019). Neighbours differ by one image that is added or removed; images are drawn for each step apart.

    .venv/bin/python benchmarks/epsilon.py > book/benchmarks/epsilon.md
"""

import math
import warnings

from opacus.accountants import PRVAccountant, RDPAccountant

from ufm.plan import second, third
from ufm.protocol import Training

LEAST = 0.3  # of less noise the first accountant's grid would not fit into memory


def main() -> None:
    n_images, size = second.N_SMALL["paper"], Training().batch_size
    n_steps = Training().epochs * math.ceil(n_images / size)
    print(f"{n_steps} steps that draw {size} of {n_images} images in the mean, delta {third.DELTA:g}.\n")
    print("| noise | epsilon | by Rényi divergences |\n|---|---|---|")
    for noise in third.NOISES:
        by_divergences = epsilon(RDPAccountant(), noise, size / n_images, n_steps)
        found = epsilon(PRVAccountant(), noise, size / n_images, n_steps) if noise > LEAST else by_divergences
        print(f"| {noise:g} | {found:.3g} | {by_divergences:.3g} |", flush=True)


def epsilon(accountant, noise: float, rate: float, n_steps: int) -> float:
    accountant.history = [(noise, rate, n_steps)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of orders that would be a little better
        return accountant.get_epsilon(delta=third.DELTA)


if __name__ == "__main__":
    main()
