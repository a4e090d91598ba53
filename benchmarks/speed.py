"""How fast populations train and are scored, each figure a ratio measured in the same run.

The floor is what the device cannot do without: the needed matrix products at its measured peak (forward, gradients of
weights and, but for the first layer, of inputs), and Adam's traffic at its measured bandwidth; their sum on a CPU, the
larger of the two on a GPU, where they overlap. Images are noise of the right shape, so no data file is needed.

On a GPU stacks of 100 CNN-2 are timed in coarser products too, each over the floor of its own precision; records are
made in float32. CUDA graphs are left: they would have to be captured anew whenever members leave a stack.

    make bench    # writes book/benchmarks/speed.md, on a GPU speed-gpu.md
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import torch
from torch import nn
from torch.nn.functional import conv2d, cross_entropy

from ufm.device import float32
from ufm.measures.patched import Patched
from ufm.networks import CNN1, CNN2, MLP
from ufm.networks.build import build
from ufm.records.provenance import device_name, versions
from ufm.training import Adam, Stack, train_epoch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MLP_SHAPE, COLOUR_SHAPE = (1, 28, 28), (3, 32, 32)
# Architecture, image shape, batch size, numbers of members, images an epoch.
CASES = {
    "MLP": (MLP(), MLP_SHAPE, 128, (1, 5, 10, 100) if DEVICE == "cpu" else (1, 10, 100, 1000), 10_000),
    "CNN-1": (CNN1(), COLOUR_SHAPE, 128, (1, 5), 512),
    "CNN-2": (CNN2(), COLOUR_SHAPE, 128, (1, 5) if DEVICE == "cpu" else (1, 10, 100), 512),
}
PRECISIONS = ("float32",) if DEVICE == "cpu" else ("float32", "TF32", "bfloat16")  # of products; weights are float32
SIDE = 2048 if DEVICE == "cpu" else 8192  # of the matrices that show the peak
CONVOLVED = 5 if DEVICE == "cpu" else 100  # members of one convolution
REPEATS = 3
float32()  # as whatever trains has it


def main() -> None:
    peaks, bandwidth = {precision: matrix_peak(precision) for precision in PRECISIONS}, copy_bandwidth()
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    reached = ", ".join(f"{peak / 1e9:.0f} GFLOP/s in {precision}" for precision, peak in peaks.items())
    print(f"{device_name(DEVICE)}; torch {versions()['torch']}; {date}. Matrix products of {SIDE}³ reach")
    print(f"{reached}, copies {bandwidth / 1e9:.1f} GB/s (read and written).\n")
    print(
        "| training | members | a model, an epoch of 10 000 images | over the floor | eager loop over this | memory |"
    )
    print("|---|---|---|---|---|---|")
    seconds = {}
    for name, (model, shape, batch, counts, _) in CASES.items():
        floor = floor_seconds(model, shape, batch, peaks["float32"], bandwidth)
        eager = alone("eager", name, 1)
        once = eager["seconds"]
        print(f"| {name}, eager loop | 1 | {once:.3g} s | {once / floor:.2f} | 1 | {memory(eager)} |")
        for n in counts:
            found = alone("stack", name, n)
            seconds[name, n] = found["seconds"]
            ratios = f"{found['seconds'] / floor:.2f} | {once / found['seconds']:.2f}"
            print(f"| {name}, stack | {n} | {found['seconds']:.3g} s | {ratios} | {memory(found)} |", flush=True)
    for precision in PRECISIONS[1:]:  # beside the last row
        floor = floor_seconds(model, shape, batch, peaks[precision], bandwidth)
        found = alone("stack", name, n, precision)
        ratios = f"{found['seconds'] / floor:.2f} | {once / found['seconds']:.2f}"
        how = f"{name}, stack, {precision}"
        print(f"| {how} | {n} | {found['seconds']:.3g} s | {ratios} | {memory(found)} |", flush=True)
    epoch = 6 * seconds["MLP", 5 if DEVICE == "cpu" else 100]
    score, card = score_seconds(), card_seconds()
    print("\n| scoring one MLP | seconds | beside |")
    print("|---|---|---|")
    print(f"| the paper's score, 3 × 50 000 images | {score:.3g} | {score / epoch:.2f} of an epoch of 60 000 images |")
    training = 30 * seconds["MLP", 5 if DEVICE == "cpu" else 100]
    print(f"| the rest of its card | {card:.3g} | {card / training:.2f} of 30 epochs of 10 000 images |")
    print(f"\n| a convolution of CNN-2, {CONVOLVED} members, there and back | seconds | over member by member |")
    print("|---|---|---|")
    for precision in PRECISIONS:
        found = convolution_seconds(precision)
        for how, one in found.items():
            which = f", {precision}" if len(PRECISIONS) > 1 else ""
            print(f"| {how}{which} | {one:.3g} | {one / found['member by member']:.2f} |", flush=True)


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Take products of float32 in this precision."""
    coarse = precision == "TF32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = coarse  # of cuDNN torch allows it unasked
    with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        yield


def matrix_peak(precision: str = "float32") -> float:
    """FLOP a second of the best of several large products."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.randn(SIDE, SIDE, device=DEVICE, dtype=dtype) for _ in range(2))
    with products_in(precision):
        return 2 * SIDE**3 / best(lambda: a @ b, 10)


def copy_bandwidth() -> float:
    """Bytes a second, read and written, of copying more than any cache holds."""
    a = torch.randn(50_000_000 if DEVICE == "cpu" else 500_000_000, device=DEVICE)
    b = torch.empty_like(a)
    return 2 * a.numel() * 4 / best(lambda: b.copy_(a), 5)


def best(work, repeats: int) -> float:
    """Seconds of the quickest of several calls."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times)


def floor_seconds(model, shape, batch: int, peak: float, bandwidth: float) -> float:
    """Seconds that an epoch of 10 000 images of one model cannot do without."""
    network, flop, first = build(model, shape, 10, seed=0), 0, True
    x = torch.zeros(1, *shape)
    with torch.no_grad():
        for layer in network:
            y = layer(x)
            if isinstance(layer, nn.Linear | nn.Conv2d):
                product = 2 * layer.weight.numel() * (y[0, 0].numel() if isinstance(layer, nn.Conv2d) else 1)
                flop += product * (2 if first else 3)
                first = False
            x = y
    n_weights = sum(one.numel() for one in network.parameters())
    # Weight, gradient and two moments are read, all but the gradient written.
    products, traffic = 10_000 * flop / peak, 10_000 / batch * 7 * 4 * n_weights / bandwidth
    return products + traffic if DEVICE == "cpu" else max(products, traffic)


def alone(how: str, name: str, n_members: int, precision: str = "float32") -> dict:
    """Seconds and peak memory of one case, in a process of its own."""
    command = [sys.executable, __file__, how, name, str(n_members), precision]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout)


def case(how: str, name: str, n_members: int, precision: str) -> dict:
    model, shape, batch, _, n_images = CASES[name]
    if n_members > 20 and DEVICE == "cpu":
        n_images //= 8
    images, labels = torch.randn(n_images, *shape, device=DEVICE), torch.randint(0, 10, (n_images,), device=DEVICE)
    batches = [
        (step, images[start : start + batch], labels[start : start + batch])
        for step, start in enumerate(range(0, n_images, batch))
    ]
    modules = [build(model, shape, 10, seed=seed, device=DEVICE) for seed in range(n_members)]
    if how == "eager":
        [module] = modules
        optimiser = torch.optim.Adam(module.parameters(), lr=3e-4, eps=1e-7)

        def epoch() -> None:
            for _, some, targets in batches:
                optimiser.zero_grad()
                cross_entropy(module(some), targets).backward()
                optimiser.step()
    else:
        stack = Stack(modules, torch.arange(n_members, device=DEVICE))
        optimiser = Adam(stack, learning_rate=3e-4, epsilon=1e-7)

        def epoch() -> None:
            train_epoch(stack, optimiser, batches)

    with products_in(precision):
        used = best(epoch, REPEATS)
    if DEVICE == "cuda":
        most = torch.cuda.max_memory_allocated()
    else:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": used / n_members * 10_000 / n_images, "memory": most}


def memory(found: dict) -> str:
    return f"{found['memory'] / 1e9:.1f} GB"


def patches(n: int, *own: int) -> torch.Tensor:
    return (torch.rand(n, *own, 1, 5, 5, device=DEVICE) < 0.5).float()


def score_seconds() -> float:
    """The three outputs on 50 000 images, clean, with the letter and with a random feature each."""
    network, images = build(MLP(), MLP_SHAPE, 10, seed=0, device=DEVICE), torch.rand(50_000, 1, 28, 28, device=DEVICE)
    letter, random = patches(1), patches(1, 50_000)

    def score() -> None:
        for start in range(0, 50_000, 5_000):
            few = Patched(network, images[start : start + 5_000], normalise=lambda batch: (batch - 0.13) / 0.31)
            few.logits(letter).softmax(-1)
            few.logits(random[:, start : start + 5_000]).softmax(-1)

    return best(score, 2)


def card_seconds() -> float:
    """158 features on three kinds of 500 images at the best epoch, 53 at epoch 10."""
    network, images = build(MLP(), MLP_SHAPE, 10, seed=0, device=DEVICE), torch.rand(500, 1, 28, 28, device=DEVICE)

    def card() -> None:
        for _ in range(3):
            few = Patched(network, images, normalise=lambda batch: (batch - 0.13) / 0.31)
            for n in (158, 53):
                few.logits(patches(n)).log_softmax(-1)

    return best(card, 2)


def convolution_seconds(precision: str) -> dict[str, float]:
    """The second convolution of CNN-2, with gradients: one by one, and as one in groups, by what comes last."""
    weight = torch.randn(CONVOLVED, 32, 32, 3, 3, device=DEVICE, requires_grad=True)
    images = [
        torch.randn(128, 32, 32, 32, device=DEVICE).contiguous(memory_format=torch.channels_last).requires_grad_()
        for _ in range(CONVOLVED)
    ]
    joined = torch.cat([one.detach() for one in images], 1)

    def one_by_one() -> None:
        for member, one in enumerate(images):
            conv2d(one, weight[member], padding=1).sum().backward()

    def grouped(given: torch.Tensor) -> None:
        conv2d(given, weight.flatten(0, 1), padding=1, groups=CONVOLVED).sum().backward()

    found = {}
    with products_in(precision):
        found["member by member"] = best(one_by_one, REPEATS)
        for name, last in (("channels", torch.channels_last), ("columns", torch.contiguous_format)):
            given = joined.contiguous(memory_format=last).requires_grad_()
            found[f"in groups, {name} last"] = best(lambda given=given: grouped(given), REPEATS)
    return found


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(case(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])))
    else:
        main()
