"""What stands in the place of anonymised images, by margin and by how much attributes weigh: how like its image it is
to a network that tells images apart (cosine), and how many still have their label to one that was trained on other
images, which of the images as they are gives so many theirs. The images are those of a small training set, the first
thousand; nothing is stamped and no model is trained on any of it.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/falco.py > book/benchmarks/falco.md
"""

from dataclasses import replace

import torch
from torch.nn import functional as f

from ufm.data import datasets
from ufm.data.on_device import floats
from ufm.protocol import Falco
from ufm.training import anonymiser

MARGINS, WEIGHTS, N_IMAGES = (0.0, 0.9), (0.1, 0.03, 0.01), 1_000


def main() -> None:
    own, public = (datasets.load("mnist", n_train=10_000, part=part) for part in (0, 1))
    made = anonymiser(Falco(), public, device=torch.device("cpu"), dtype=torch.float32)
    images = floats(own.train_images[:N_IMAGES], torch.device("cpu"), torch.float32)
    labels = torch.tensor(own.train_labels[:N_IMAGES])

    def has_label(shown: torch.Tensor) -> float:
        return float((made.classifier(shown).argmax(1) == labels).double().mean())

    print("| margin | weight of attributes | cosine | label | label as they are |")
    print("|---|---|---|---|---|")
    for margin in MARGINS:
        for weight in WEIGHTS:
            shown = replace(made, settings=Falco(margin, attributes=weight))(images)
            cosine = float(f.cosine_similarity(made.identity(shown), made.identity(images)).mean())
            print(f"| {margin:g} | {weight:g} | {cosine:.2f} | {has_label(shown):.3f} | {has_label(images):.3f} |")


if __name__ == "__main__":
    main()
