"""At which learning rate networks of small MNIST learn to bear perturbed statistics while they are fine-tuned by AdvBN:
that of its authors, and larger ones.

Of the controls of pilot seeds, on the images that early stopping watches, in batches as they are trained on: the loss as
they are, that with the worst statistics of each batch, and accuracy; before fine-tuning, after it, and of models that
are trained so from scratch. Nothing is stamped, and no score is looked at.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/adv_bn.py > book/benchmarks/adv-bn.md
"""

import sys
from dataclasses import replace

import numpy as np
import torch

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.plan import second
from ufm.protocol import AdvBN
from ufm.study.seeds import experiments
from ufm.training import Stack, evaluate, train
from ufm.training.adv_bn import cut, fine_tuned, on_worst_statistics
from ufm.training.evaluation import cross_entropies

SEEDS = (500, 501)  # pilot seeds
RATES = (1e-3, 1e-2, 1e-1)
USUAL, SCRATCH = AdvBN(), AdvBN(epochs=0)


def main() -> None:
    plain = replace(second.small_population("paper", "mnist"), hosts=())
    found: dict[str, list[tuple[float, float, float]]] = {}
    for seed in SEEDS:
        data = datasets.load(plain.dataset, n_train=plain.n_train, part=seed % plain.n_parts)
        on_device = to_device(data)

        def trained(adv_bn, seed=seed, data=data, on_device=on_device):
            training = replace(plain.training, adv_bn=adv_bn)
            return train(experiments(replace(plain, training=training), seed, data), on_device, show=False)[0]

        before = trained(None)
        models = {"plain": before.model}
        for steps in (0, USUAL.steps):
            for rate in RATES:
                way = replace(USUAL, steps=steps, optimiser=replace(USUAL.optimiser, learning_rate=rate))
                training = replace(plain.training, adv_bn=way)
                experiment = replace(before.experiment, protocol=replace(plain, training=training))
                name = "AdvBN, fine-tuned" if steps else "fine-tuned alone"
                [models[f"{name} | {rate:g}"]] = fine_tuned([(before.model, experiment)], on_device)
        models["AdvBN from scratch"] = trained(SCRATCH).model
        for name, model in models.items():
            found.setdefault(name, []).append(losses(model, on_device, plain.training.batch_size))
        print(f"seed {seed}", file=sys.stderr, flush=True)
    print("| models | learning rate | loss | loss, perturbed | sum | accuracy |\n|---|---|---|---|---|---|")
    for name, values in found.items():
        loss, perturbed, accuracy = np.mean(values, 0)
        way = name if "|" in name else f"{name} | –"
        print(f"| {way} | {loss:.4f} | {perturbed:.4f} | {loss + perturbed:.4f} | {accuracy:.4f} |")


def losses(model, data, size: int) -> tuple[float, float, float]:
    """Mean loss of a model on watched images, the same with the worst statistics of each batch, and accuracy."""
    loss, accuracy = evaluate(model, data.stopping_images, data.stopping_labels)
    stack, both = Stack([model], torch.zeros(1, dtype=torch.int64)), []
    for images, labels in zip(data.stopping_images.split(size), data.stopping_labels.split(size), strict=True):
        both.append(on_worst_statistics(cross_entropies, USUAL, cut(model), stack, images, labels, 0).detach())
    return loss, float(torch.cat(both, 1).mean()) - loss, accuracy


if __name__ == "__main__":
    main()
