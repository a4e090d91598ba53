"""Whether stacks of models are worth their code: a step of training against `torch.func.vmap` and a loop over models.

All three take the same step: the loss of a batch that all models see, its gradients, Adam. They take turns, and what
counts is the ratio within a turn, on a CPU of processor time, so that others on the machine disturb it little.

    OMP_NUM_THREADS=1 python benchmarks/vmap.py > book/benchmarks/vmap.md
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from types import SimpleNamespace

import torch
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from ufm.networks import CNN2, MLP
from ufm.networks.build import build
from ufm.records.provenance import device_name, versions
from ufm.training import Adam, Stack, train_epoch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SETTINGS = {"learning_rate": 3e-4, "epsilon": 1e-7}
BATCH, TURNS = 128, 5
CLOCK = time.process_time if DEVICE == "cpu" else time.perf_counter
NAMES = {"mlp": "MLPs", "cnn2": "CNN-2"}
# Architecture, image shape, members, steps a turn.
CASES = [(MLP(), (1, 28, 28), 5, 10), (MLP(), (1, 28, 28), 20, 5), (CNN2(), (3, 32, 32), 5, 1)]


def main() -> None:
    where = f"{device_name(DEVICE)}; torch {versions()['torch']}; {datetime.now(UTC):%Y-%m-%d}"
    print(f"{where}. {'Processor time' if DEVICE == 'cpu' else 'Time'} of a step of training,")
    print(f"{BATCH} images for all models, over that of the stack: median of {TURNS} turns, lowest and highest.\n")
    print("| models | stack, seconds a step | loop over models | `torch.func.vmap` |")
    print("|---|---|---|---|")
    for model, shape, n_members, n_steps in CASES:
        images = torch.randn(BATCH, *shape, device=DEVICE)
        labels = torch.randint(0, 10, (BATCH,), device=DEVICE)
        ways = [way(model, shape, n_members, images, labels) for way in (of_stack, of_loop, of_vmap)]
        first = [step() for step in ways]  # warms up, and shows that all do the same
        for losses in first[1:]:
            torch.testing.assert_close(losses, first[0], rtol=1e-4, atol=1e-4)
        turns = [[seconds(step, n_steps) for step in ways] for _ in range(TURNS)]
        ratios = (spread([turn[place] / turn[0] for turn in turns]) for place in (1, 2))
        own = median(turn[0] for turn in turns)
        print(f"| {n_members} {NAMES[model.name]} | {own:.3g} | {' | '.join(ratios)} |", flush=True)


def spread(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def seconds(step: Callable, n_steps: int) -> float:
    """Of a step, in the mean of a few."""
    started = CLOCK()
    for _ in range(n_steps):
        step()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return (CLOCK() - started) / n_steps


def networks(model, shape, n_members: int) -> list[torch.nn.Sequential]:
    return [build(model, shape, 10, seed=seed, device=DEVICE) for seed in range(n_members)]


def of_stack(model, shape, n_members: int, images, labels) -> Callable:
    """A step of the members of a stack; like the others it returns each model's loss before."""
    stack = Stack(networks(model, shape, n_members), torch.arange(n_members, device=DEVICE))
    optimiser = Adam(stack, **SETTINGS)
    return lambda: torch.tensor(train_epoch(stack, optimiser, [(0, images, labels)]), device=DEVICE)


def of_loop(model, shape, n_members: int, images, labels) -> Callable:
    """A step of one model after the other, as torch's tutorials have it."""
    modules = networks(model, shape, n_members)
    optimisers = [torch.optim.Adam(module.parameters(), lr=3e-4, eps=1e-7, fused=True) for module in modules]

    def step() -> torch.Tensor:
        losses = []
        for module, optimiser in zip(modules, optimisers, strict=True):
            optimiser.zero_grad()
            loss = cross_entropy(module(images), labels)
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
        return torch.stack(losses)

    return step


def of_vmap(model, shape, n_members: int, images, labels) -> Callable:
    """A step of all models by torch's own transformation of one, under the stack's optimiser."""
    modules = networks(model, shape, n_members)
    parameters, _ = stack_module_state(modules)
    parameters = {name: values.detach() for name, values in parameters.items()}
    gradients = {name: torch.zeros_like(values) for name, values in parameters.items()}
    members = SimpleNamespace(parameters=parameters, gradients=gradients)
    optimiser = Adam(members, **SETTINGS)

    def loss(own: dict[str, torch.Tensor]) -> torch.Tensor:
        return cross_entropy(functional_call(modules[0], own, (images,)), labels)

    def step() -> torch.Tensor:
        members.gradients, losses = vmap(grad_and_value(loss))(parameters)
        optimiser.step()
        return losses

    return step


if __name__ == "__main__":
    main()
