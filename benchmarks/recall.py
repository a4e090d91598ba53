"""At which stride automatic recall machines keep most of small MNIST: the released code's, and smaller ones.

The control of a pilot seed, task after task, for each stride: accuracy on the images of all classes that early stopping
watches elsewhere, after the last task. Beside it training without recall, and in one task of all classes. Nothing is
stamped, and no score is looked at.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/recall.py > book/benchmarks/recall.md
"""

from dataclasses import replace

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.plan import second
from ufm.protocol import Recall, Tasks
from ufm.study.seeds import experiments
from ufm.training import train

SEED = 500  # a pilot seed
STRIDES = (0.3, 1.0, 3.0, 25.0)
WITHOUT = {"all classes at once": Tasks(n=1), "task after task": Tasks()}


def main() -> None:
    print("| training | accuracy |\n|---|---|")
    plain = replace(second.small_population("paper", "mnist"), hosts=())
    data = datasets.load(plain.dataset, n_train=plain.n_train, part=SEED % plain.n_parts)
    on_device = to_device(data)
    ways = WITHOUT | {f"recall, stride {stride:g}": Tasks(recall=Recall(stride=stride)) for stride in STRIDES}
    for way, tasks in ways.items():
        protocol = replace(plain, training=replace(plain.training, tasks=tasks))
        try:
            [trained] = train(experiments(protocol, SEED, data), on_device, show=False)
            found = f"{trained.history[-1]['stopping_accuracy']:.3f}"
        except ValueError:
            found = "diverged"
        print(f"| {way} | {found} |", flush=True)


if __name__ == "__main__":
    main()
