"""Whether the attacks of the plan of the neighbours find what there is to find: more steps, more starts.

Of reported test images that plain controls of pilot seeds classify right, the share that projected gradient descent
leaves at each radius, by its steps and by how many places it begins at beside the image itself. No effect of a letter
is looked at, and no other way of training.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/attacks.py > book/benchmarks/attacks.md
"""

from functools import partial

import numpy as np
import torch

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.measures import attacks
from ufm.measures.layout import ATTACKED, ATTACKS, RADII
from ufm.measures.robust import asked, of_other_classes, outcomes
from ufm.measures.shifts import spaced
from ufm.plan import second
from ufm.study.seeds import experiments
from ufm.training import train

SEEDS = (500, 501)  # pilot seeds
TRIED = ((10, 1), (attacks.STEPS, 1), (100, 1), (100, 5))  # steps, starts


def main() -> None:
    plain, shares = second.small_population("paper", "mnist"), {one: [] for one in TRIED}
    for seed in SEEDS:
        data = datasets.load(plain.dataset, n_train=plain.n_train, part=seed % plain.n_parts)
        on_device = to_device(data)
        [control] = train(experiments(plain, seed, data)[:1], on_device, show=False)
        network, places = partial(asked, control.model, on_device), spaced(len(on_device.reported), ATTACKED)
        images = on_device.floats(data.test_images[on_device.reported[places]])
        labels = on_device.reported_labels[places]
        right, others = attacks.classified(network, images, labels).numpy(), of_other_classes(images, labels, on_device)
        draws = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (5, *images.shape))).to(images)
        for steps, starts in TRIED:
            attacks.STEPS = steps
            held = outcomes(network, images, labels, others, draws[:starts])
            shares[steps, starts].append(held[:, ATTACKS.index("PGD")][..., right].mean(-1))
    radii = [f"{norm} {radius:g}" for norm, of_norm in RADII.items() for radius in of_norm]
    print(f"| steps | starts | {' | '.join(radii)} |\n|{'---|' * (2 + len(radii))}")
    for (steps, starts), found in shares.items():
        print(f"| {steps} | {starts} | {' | '.join(f'{share:.3f}' for share in np.mean(found, 0).ravel())} |")


if __name__ == "__main__":
    main()
