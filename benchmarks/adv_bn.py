"""At which learning rate networks of small MNIST learn to bear perturbed statistics while they are fine-tuned by AdvBN:
that of its authors, and larger ones.

Of the control of a pilot seed, on the images that early stopping watches, in batches as they are trained on: the loss
as they are, that with the worst statistics of each batch, and accuracy; before fine-tuning, after it, and of models
that are trained so from scratch. Nothing is stamped, and no score is looked at.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/adv_bn.py > book/benchmarks/adv-bn.md
"""

from dataclasses import replace

import torch
from torch import nn

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.plan import second
from ufm.protocol import AdvBN, Experiment
from ufm.study.seeds import experiments
from ufm.training import Stack, evaluate, train
from ufm.training.adv_bn import cut, fine_tuned, on_worst_statistics
from ufm.training.evaluation import cross_entropies

SEED = 500  # a pilot seed
RATES = (1e-3, 1e-2, 1e-1)
USUAL, SCRATCH = AdvBN(), AdvBN(epochs=0)


def main() -> None:
    plain = replace(second.small_population("paper", "mnist"), hosts=())
    data = datasets.load(plain.dataset, n_train=plain.n_train, part=SEED % plain.n_parts)
    on_device = to_device(data)

    def planned(adv_bn: AdvBN | None) -> list[Experiment]:
        return experiments(replace(plain, training=replace(plain.training, adv_bn=adv_bn)), SEED, data)

    def show(name: str, rate: str, model: nn.Sequential) -> None:
        loss, perturbed, accuracy = losses(model, on_device, plain.training.batch_size)
        numbers = f"{loss:.4f} | {perturbed:.4f} | {loss + perturbed:.4f} | {accuracy:.4f}"
        print(f"| {name} | {rate} | {numbers} |", flush=True)

    print("| models | learning rate | loss | loss, perturbed | sum | accuracy |\n|---|---|---|---|---|---|")
    [before] = train(planned(None), on_device, show=False)
    show("plain", "–", before.model)
    for rate in RATES:
        way = replace(USUAL, optimiser=replace(USUAL.optimiser, learning_rate=rate))
        [model] = fine_tuned([(before.model, *planned(way))], on_device)
        show("AdvBN, fine-tuned", f"{rate:g}", model)
    [scratch] = train(planned(SCRATCH), on_device, show=False)
    show("AdvBN from scratch", "–", scratch.model)


def losses(model, data, size: int) -> tuple[float, float, float]:
    """Mean loss of a model on watched images, the same with the worst statistics of each batch, and accuracy."""
    loss, accuracy = evaluate(model, data.stopping_images, data.stopping_labels)
    stack, both = Stack([model], torch.zeros(1, dtype=torch.int64)), []
    for images, labels in zip(data.stopping_images.split(size), data.stopping_labels.split(size), strict=True):
        both.append(on_worst_statistics(cross_entropies, USUAL, cut(model), stack, images, labels, 0).detach())
    return loss, float(torch.cat(both, 1).mean()) - loss, accuracy


if __name__ == "__main__":
    main()
