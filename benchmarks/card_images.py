"""How many images a card needs: at which number do twice as many no longer move a shift by a tenth of its spread?

For each kind of images and number n: root mean square, over the five models of a pilot seed, over classes and over the
letter and the placebo features, of the change in the specific effect from n to 2 n images, as a share of the spread
(standard deviation) of the patch effect over 50 permutations.

    .venv/bin/python benchmarks/card_images.py mnist 500
"""

import sys
from dataclasses import replace

import numpy as np
import torch

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.measures import layout, shifts
from ufm.plan import profiles
from ufm.study import seeds
from ufm.training import train

COUNTS = (125, 250, 500, 1_000, 2_000, 4_000)


def main(dataset: str, seed: int) -> None:
    protocol = replace(profiles.PROFILES["paper"], dataset=dataset, n_train=10_000, hosts=("random", "hard"))
    protocol = replace(protocol, roles=("canary", "placebo"))
    protocol = replace(protocol, scoring=replace(protocol.scoring, n_effect=COUNTS[-1]))
    data = datasets.load(dataset, n_train=protocol.n_train, part=seed % protocol.n_parts)
    on_device = to_device(data)
    ood = datasets.ood_images(protocol.scoring.ood_set, n=COUNTS[-1])
    models = train(seeds.experiments(protocol, seed, data), on_device)
    n_own = 1 + len(protocol.hosts)
    stamped = on_device.floats(layout.feature_list(protocol, seed, data.scope)[: n_own + layout.N_SHORT])
    print(f"{dataset}, 10 000 training images, seed {seed}: change from n to 2 n images, as a share of the spread\n")
    print("| images | " + " | ".join(f"{n}" for n in COUNTS[:-1]) + " |")
    print("|---|" + "---|" * (len(COUNTS) - 1))
    for name, kind in shifts.kinds(protocol, on_device, ood).items():
        if kind.labels is None:
            continue
        shares = []
        for one in models:
            images = {n: kind.images[:: COUNTS[-1] // n] for n in COUNTS}  # nested, each spread over all
            effects = {n: specific(protocol, one.model, images[n], stamped, n_own, on_device) for n in COUNTS}
            spread = effects[COUNTS[-1]][1]
            shares.append([(effects[2 * n][0] - effects[n][0]) / spread for n in COUNTS[:-1]])
        rms = np.sqrt((np.array(shares) ** 2).mean((0, 2, 3)))
        print(f"| {name} | " + " | ".join(f"{share:.3f}" for share in rms) + " |", flush=True)


def specific(protocol, model, images: torch.Tensor, stamped: torch.Tensor, n_own: int, data) -> tuple:
    """Specific effects (n_own, n_classes), and the spread (n_classes,) of the patch effect over permutations."""
    shift = shifts.mean_shift(shifts.patched(protocol, model, images, data), stamped).numpy()
    return shift[:n_own] - shift[n_own:].mean(0), shift[n_own:].std(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
