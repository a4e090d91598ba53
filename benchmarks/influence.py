"""How fast self-influence is: squared gradient norms of single images, beside a loop that asks autograd for each.

The floor is the needed matrix products (forward, and gradients of the inputs of all layers but the first) at the
machine's measured peak in the same run. The loop is timed on 200 images. Images are noise of the right shape.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/influence.py > book/benchmarks/influence.md
"""

from datetime import UTC, datetime

import numpy as np
import torch
from speed import DEVICE, MLP_SHAPE, SIDE, best, matrix_peak
from torch import nn
from torch.nn.functional import cross_entropy

from ufm.measures.influence import squared_gradient_norms
from ufm.networks import MLP
from ufm.networks.build import build
from ufm.records.provenance import device_name, versions

N_IMAGES, N_LOOP, REPEATS = 10_000, 200, 5


def main() -> None:
    network = build(MLP(), MLP_SHAPE, 10, seed=0, device=DEVICE)
    images = torch.randn(N_IMAGES, *MLP_SHAPE, device=DEVICE)
    labels = torch.randint(0, 10, (N_IMAGES,), device=DEVICE)
    few = images[:N_LOOP], labels[:N_LOOP]
    np.testing.assert_allclose(squared_gradient_norms(network, *few), loop(network, *few), rtol=1e-4)
    peak = matrix_peak()
    ours = best(lambda: squared_gradient_norms(network, images, labels), REPEATS)
    plain = best(lambda: loop(network, *few), REPEATS) * N_IMAGES / N_LOOP
    floor = N_IMAGES * products(network) / peak
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    print(f"{device_name(DEVICE)}; torch {versions()['torch']}; {date}. Matrix products of {SIDE}³ reach")
    print(f"{peak / 1e9:.0f} GFLOP/s. The loop is timed on {N_LOOP} images and scaled.\n")
    print("| MLP, 10 000 images | seconds | over the floor | loop over this |")
    print("|---|---|---|---|")
    for name, seconds in (("autograd, an image at a time", plain), ("this library", ours), ("floor", floor)):
        print(f"| {name} | {seconds:.2f} | {seconds / floor:.2f} | {plain / seconds:.1f} |")


def loop(network: nn.Sequential, images: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Squared gradient norms (n_images,), one image after the other."""
    weights, found = list(network.eval().parameters()), []
    for image, label in zip(images.split(1), labels.split(1), strict=True):
        gradients = torch.autograd.grad(cross_entropy(network(image), label), weights)
        found.append(sum(float(one.square().sum()) for one in gradients))
    return np.array(found)


def products(network: nn.Sequential) -> int:
    """FLOP that an image cannot do without."""
    linear = [layer.weight.numel() for layer in network if isinstance(layer, nn.Linear)]
    return 2 * (2 * sum(linear) - linear[0])


if __name__ == "__main__":
    main()
