"""Which way the convolutions of a stack are taken fastest, as the paper's networks are trained: batches of 512 images.

One member after the other or all as one in groups, by what lies last in memory, in float32 or in TF32, with cuDNN's
heuristics or its choice by trial. Seconds are those of an epoch of 50 000 images of one model, from a few steps; the
floor is that of `speed.py`, of the precision used. Images are noise, so no data file is needed.

    python benchmarks/convolutions.py    # writes a table, for a GPU
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product

import torch
from speed import COLOUR_SHAPE, DEVICE, copy_bandwidth, floor_seconds, matrix_peak, products_in

from ufm.networks import CNN1, CNN2
from ufm.networks.build import build
from ufm.records.provenance import device_name, versions
from ufm.training import Adam, Stack, layers, operations, train_epoch

BATCH, STEPS, REPEATS, N_IMAGES = (512, 4, 2, 50_000) if DEVICE == "cuda" else (64, 1, 1, 50_000)
CASES = {"CNN-1": (CNN1(), 20), "CNN-2": (CNN2(), 10)} if DEVICE == "cuda" else {"CNN-1": (CNN1(), 2)}
PRECISIONS = ("float32", "TF32")
LAST = {"channels": torch.channels_last, "columns": torch.contiguous_format}


def main() -> None:
    print(f"{device_name(DEVICE)}; torch {versions()['torch']}; {datetime.now(UTC):%Y-%m-%d}.\n")
    print("| network | members | precision | taken | last in memory | chosen | a model, an epoch | over the floor |")
    print("|---|---|---|---|---|---|---|---|")
    peaks, bandwidth = {precision: matrix_peak(precision) for precision in PRECISIONS}, copy_bandwidth()
    for network, precision, taken, last, chosen, seconds in rows():
        model, n_members = CASES[network]
        floor = 5 * floor_seconds(model, COLOUR_SHAPE, BATCH, peaks[precision], bandwidth)
        words = f"{network} | {n_members} | {precision} | {taken} | {last} | {chosen}"
        print(f"| {words} | {seconds:.3g} s | {seconds / floor:.2f} |", flush=True)


def rows() -> Iterator[tuple[str, str, str, str, str, float]]:
    """Every way, and the seconds of an epoch of one model."""
    for network, (model, n_members) in CASES.items():
        images = torch.randn(STEPS * BATCH, *COLOUR_SHAPE, device=DEVICE)
        labels = torch.randint(0, 10, (len(images),), device=DEVICE)
        batches = [
            (step, images[step * BATCH : (step + 1) * BATCH], labels[step * BATCH : (step + 1) * BATCH])
            for step in range(STEPS)
        ]
        modules = [build(model, COLOUR_SHAPE, 10, seed=seed, device=DEVICE) for seed in range(n_members)]
        for precision, grouped, last, trial in product(PRECISIONS, (True, False), LAST, (False, True)):
            layers.GROUPED[DEVICE], operations.LAST[DEVICE] = grouped, LAST[last]
            torch.backends.cudnn.benchmark = trial
            stack = Stack(modules, torch.arange(n_members, device=DEVICE))
            optimiser = Adam(stack, learning_rate=3e-4, epsilon=1e-7)
            with products_in(precision):
                train_epoch(stack, optimiser, batches[:1])
                used = min(seconds(stack, optimiser, batches) for _ in range(REPEATS))
            a_model = used / n_members * N_IMAGES / len(images)
            taken, chosen = "in groups" if grouped else "one by one", "by trial" if trial else "at once"
            yield network, precision, taken, last, chosen, a_model


def seconds(stack: Stack, optimiser: Adam, batches: list) -> float:
    started = time.perf_counter()
    train_epoch(stack, optimiser, batches)
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
