"""How far rounding moves a model in float32: each model of a pilot seed trained in its stack of five, and alone.

A stack multiplies larger matrices, in another order of additions; training amplifies the difference. The table sets
what that does beside what tells two seeds apart.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/rounding.py mnist 500 501 502
"""

import sys

import numpy as np

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.measures.cards import full_card
from ufm.plan.populations import population
from ufm.records import Measured
from ufm.study import seeds
from ufm.training import train


def main(dataset: str, numbers: list[int]) -> None:
    protocol = population(dataset, 10_000)
    together, alone = zip(*(cards(protocol, seed) for seed in numbers), strict=True)
    print(f"{dataset}, 10 000 training images, seeds {', '.join(map(str, numbers))}, {5 * len(numbers)} models\n")
    print("| quantity | alone less stacked, root mean square | spread over seeds, standard deviation |")
    print("|---|---|---|")
    for name in quantities(together[0]):
        ours, theirs = (np.array([quantities(one)[name] for one in those]) for those in (together, alone))
        moved, spread = np.sqrt(((theirs - ours) ** 2).mean()), ours.std(0, ddof=1).mean()
        print(f"| {name} | {moved:.4f} | {spread:.4f} |")


def cards(protocol, seed: int) -> tuple[Measured, Measured]:
    """The seed's card from its stack, and from models that were trained one by one."""
    data = to_device(datasets.load(protocol.dataset, n_train=protocol.n_train, part=seed % protocol.n_parts))
    ood = datasets.ood_images(protocol.scoring.ood_set)
    planned, at = seeds.experiments(protocol, seed, data.dataset), [protocol.training.same_age]
    stacked = train(planned, data, snapshots=at)
    single = [model for one in planned for model in train([one], data, snapshots=at)]
    return tuple(full_card(protocol, models, data, ood) for models in (stacked, single))


def quantities(card: Measured) -> dict[str, np.ndarray]:
    """What is compared, an array each."""
    models, arrays = card.tables["models"], {name: np.float64(values) for name, values in card.arrays.items()}
    label = models["canary_label"].tolist()
    contrasts = {}
    for epoch, n_permutations in {"best": 100, "early": 50}.items():
        shift = arrays["ood_shift" if epoch == "best" else "ood_early_shift"]
        effect = shift[:, :3] - shift[:, 3 : 3 + n_permutations].mean(1, keepdims=True)
        for number, host in enumerate(("random", "hard")):
            canary, placebo = 1 + 2 * number, 2 + 2 * number
            on = effect[[canary, placebo]][:, [0, 1 + number], label[canary]]
            contrasts[f"D, {host} host, {epoch} epoch"] = (on[0, 0] - on[1, 0] + on[1, 1] - on[0, 1]) / 2
    return contrasts | {
        "patch effects, OOD images, best epoch": arrays["ood_shift"],
        "patch effects, OOD images, epoch 10": arrays["ood_early_shift"],
        "paper's score M": arrays["score_memorisation"][:, 0, -1],
        "best epoch": np.float64(models["best_epoch"].tolist()),
        "accuracy": np.float64(models["accuracy"].tolist()),
    }


if __name__ == "__main__":
    main(sys.argv[1], [int(seed) for seed in sys.argv[2:]])
