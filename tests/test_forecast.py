"""What is known before anything is trained: what cannot be is refused in one line, and long work says how long."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from ufm.data import datasets
from ufm.data.datasets import load
from ufm.data.on_device import free_memory
from ufm.networks import CNN1, CNN2, MLP
from ufm.plan import method
from ufm.protocol import Protocol, Scoring, hosts
from ufm.study import forecast, runs, seeds
from ufm.study.runs import Run
from ufm.training import batches, evaluate, evaluate_stack, log_probabilities
from ufm.training.batches import Size, at_most, size_of
from ufm.training.stack import Stack


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Nothing is written but here, and nothing may be trained."""
    for name in ("UFM_RECORDS", "UFM_RUNS", "UFM_RUN"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr(seeds, "train", lambda *_, **__: pytest.fail("a model was trained"))


def scored(**changes):
    return {"scoring": replace(tiny.PROTOCOL.scoring, **changes)}


@pytest.mark.parametrize(
    ("changes", "seed", "message"),
    [
        (scored(n_random=999_999_999), 0, "^n_random: about [0-9.]+ GB of memory are needed, .* for random features"),
        (scored(n_ood=1_951), 0, "^n_ood must be 1 to 1950"),
        ({"model": MLP(hidden=(10**9,))}, 0, "^model: about [0-9.]+ GB of memory are needed, .* ask for less"),
        ({"model": CNN2(channels=(10**6, 2))}, 0, "^model: about [0-9.]+ GB"),
        ({}, 1_200, "^seed: 1200 is beyond the last host; digits/400 has hosts for 1200 seeds, from 0 on$"),
        ({"hosts": ("hard",)}, 900_000, "^seed: 900000 is too high; from 900000 on are the seeds of models"),
        ({"measure": "card", "control": True, "n_carriers": 300}, 0, "^n_carriers: only [0-9]+ training images"),
        ({"batch": 7}, 0, "^batch: an epoch has 7 batches, so there is none of number 7$"),
        ({"measure": "nonsense"}, 0, "^measure: 'nonsense' is not one of"),
        ({"n_train": 1_201}, 0, "^n_train must be 1 to 1200"),
    ],
)
def test_what_cannot_be_trained_is_refused(changes, seed, message):
    with pytest.raises(ValueError, match=message) as raised:
        forecast.require(replace(tiny.PROTOCOL, **changes), [seed])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("n_train", "the training images"),
        ("dataset", "the test images"),
        ("n_ood", "the images that models are scored on"),
        ("n_random", "random features"),
        ("model", "models and what they make of a batch"),
    ],
)
def test_what_asks_for_most_of_the_memory_is_named(parameter, words):
    needed = dict.fromkeys(forecast.FOR, 10**9) | {parameter: 5 * 10**9}
    forecast.require_memory(needed, 9 * 10**9)
    with pytest.raises(ValueError, match=f"^{parameter}: about 9.0 GB of memory are needed, most of it for {words}, "):
        forecast.require_memory(needed, 9 * 10**9 - 1)


def test_memory_by_hand():
    protocol = replace(tiny.PROTOCOL, model=MLP(hidden=(16,)), hosts=("random",))  # in float64, measured by `scores`
    weights = 784 * 16 + 16 + 16 * 10 + 10
    outputs = 784 + 16 + 16 + 10  # flattened, hidden, ReLU, logits
    assert forecast.needed(protocol, load("digits", n_train=400)) == {
        "n_train": 8 * 784 * 400,
        "dataset": 8 * 784 * 597,
        "n_ood": (4 + 2 * 8) * 784 * 50,
        "n_random": 50 * (12 * 25 + 8 * 784),
        "model": 8 * (4 * weights + 64 * outputs + 2 * weights + 3 * 20 * 784),
    }


@pytest.mark.parametrize("model", [CNN1(), CNN2()])
def test_a_network_that_the_images_are_too_small_for_is_named(model):
    with pytest.raises(ValueError, match=f"^model: {model.name} cannot be made for images of 3 × 3 pixels$"):
        forecast.size_on(model, (1, 3, 3), 10)


def test_free_memory_counts_what_the_system_only_keeps_files_in(tmp_path, monkeypatch):
    told = tmp_path / "meminfo"
    told.write_text(
        "MemTotal: 9000 kB\nMemFree:   100 kB\nMemAvailable:   700 kB\nHugePages_Total:  0\n", encoding="utf-8"
    )
    monkeypatch.setattr("ufm.data.on_device.MEMORY", told)
    assert free_memory(torch.device("cpu")) == 700 * 1024
    monkeypatch.setattr("ufm.data.on_device.MEMORY", tmp_path / "nowhere")
    assert free_memory(torch.device("cpu")) > 10**6


@pytest.fixture
def asked(monkeypatch):
    """What a fake estimate was asked for: it says that a model takes a second for a thousand images."""
    calls = []

    def estimate(protocol, shape, n_images, device):
        calls.append((protocol.model, protocol.training.precision, shape, n_images))
        return n_images / 1_000

    monkeypatch.setattr(forecast, "estimate", estimate)
    return calls


def test_time_counts_evaluation_and_the_models_that_find_hosts(asked):
    protocol = replace(tiny.PROTOCOL, hosts=("random", "hard"), roles=("canary", "placebo"), measure="card")
    data = load("digits", n_train=400)
    one = 0.4 + 99 / 1_000  # 597 test images, half of them evaluated
    # 3 models for each of 2 parts, 5 models for each of 3 seeds.
    assert forecast.seconds(protocol, [0, 1, 3], data, device="cpu") == pytest.approx((2 * 3 + 3 * 5) * one)
    assert {shape for _, _, shape, _ in asked} == {(1, 28, 28)}


@pytest.mark.parametrize(("seconds", "said"), [(59, ""), (61, "method: 4 models are to be trained, in at most ")])
def test_what_takes_long_says_so_before(monkeypatch, capfd, seconds, said):
    monkeypatch.setattr(forecast, "seconds", lambda *_, **__: seconds)
    monkeypatch.setattr(Run, "complete", lambda *_: None)
    monkeypatch.setattr(method, "shown", lambda profile: tuple(method.sweeps(profile)))  # two models a seed
    with pytest.raises(runs.NotYetRun):
        Run("method", {"profile": "embedded", "n_seeds": 2}).populations()
    _, errors = capfd.readouterr()
    assert errors.startswith(said)
    assert bool(errors) == bool(said)
    if said:
        assert errors == f"{said}61 s and at least 0.1 GB of memory, about; scoring comes on top\n"


@pytest.mark.parametrize(
    ("notebook", "changes", "message"),
    [
        ("controls", {"n_seeds": 7}, "^n_seeds: evidence needs at least 8 seeds$"),
        ("first-plan", {"n_seeds": 1}, "^n_seeds: evidence needs at least 8 seeds$"),
        (
            "controls",
            {"n_seeds": 99_999_999_999},
            "^n_seeds: the last seed 99999999998 is beyond the last host; .*; ask for",
        ),
        ("controls", {"n_seeds": 10**30}, "^n_seeds: the last seed 9{30} is beyond the last host"),
        ("when", {"n_seeds": 99_999_999_999}, "^n_seeds: the last seed 99999999998 is too high"),
        ("method", {"seed": 10**12}, "^seed: 1000000000000 is beyond the last host"),
    ],
)
def test_seeds_that_cannot_be_shown_are_refused_at_once(notebook, changes, message):
    with pytest.raises(ValueError, match=message):
        Run(notebook, {"profile": "embedded", **changes})


def test_all_sweeps_are_looked_at_before_the_first_is_trained(monkeypatch):
    run = Run("as-released", {"profile": "embedded"})
    name, last = list(run.sweeps.items())[-1]
    run.sweeps[name] = replace(last, protocol=replace(last.protocol, n_carriers=1_000))
    monkeypatch.setattr(Run, "complete", lambda *_: pytest.fail("a sweep was begun"))
    with pytest.raises(ValueError, match="^n_carriers: only "):
        run.populations()


def test_images_that_are_all_alike_are_refused(monkeypatch):
    grey = np.full((4, 3, 2, 2), 9, np.uint8)
    assert datasets._normalisation(grey)[1] == (0, 0, 0)
    arrays = datasets.sources.read("digits", datasets.sources.data_root())
    alike = arrays._replace(train_images=np.full_like(arrays.train_images, 9))
    datasets._load.cache_clear()
    monkeypatch.setattr(datasets.sources, "read", lambda *_: alike)
    with pytest.raises(datasets.DataError, match="^dataset: all pixels of the training images of digits are alike"):
        load("digits", n_train=400)
    datasets._load.cache_clear()


def test_normalisation_is_mean_and_spread_of_each_channel():
    images = np.random.default_rng(0).integers(0, 256, (2_345, 3, 4, 5), dtype=np.uint8)
    images[:, 1] //= 7
    mean, std = datasets._normalisation(images)
    np.testing.assert_allclose(mean, (images / 255).mean((0, 2, 3)), atol=5.1e-5)
    np.testing.assert_allclose(std, (images / 255).std((0, 2, 3)), atol=5.1e-5)


# Clean models


@pytest.mark.parametrize(
    ("model", "dataset", "expected", "precision"),
    [
        (MLP(), "cifar10", CNN2(), "float32"),
        (MLP(hidden=(64, 32)), "photographs", CNN2(channels=(4, 8), hidden=(128,)), "float32"),
        (MLP(hidden=(64, 32), dropout=True), "digits", MLP(hidden=(64, 32)), "float64"),
        (CNN1(channels=(8, 16), hidden=(32, 32)), "photographs", CNN2(channels=(8, 16)), "float32"),
    ],
)
def test_clean_models_are_as_wide_as_those_that_they_find_hosts_for(model, dataset, expected, precision):
    protocol = Protocol(dataset, 400, model, replace(tiny.PROTOCOL.training, precision="float64"), Scoring("mnist"))
    found = hosts.clean(protocol)
    assert (found.model, found.training.precision) == (expected, precision)


# Batches that memory allows


@pytest.fixture
def memory(monkeypatch):
    """A function that says how many bytes are free from now on."""
    return lambda free: monkeypatch.setattr(batches, "free_memory", lambda device: free)


def test_the_size_of_a_network_by_hand():
    network = CNN2(channels=(2, 3), hidden=(4,)).layers((3, 8, 8), 5)
    weights = (3 * 2 + 2 * 2 + 2 * 3 + 3 * 3) * 9 + 2 * 2 + 2 * 3 + 12 * 4 + 4 + 4 * 5 + 5
    outputs = 4 * 2 * 64 + 2 * 16 + 4 * 3 * 16 + 3 * 4 + 12 + 4 + 4 + 5
    assert size_of(network, torch.zeros(1, 3, 8, 8)) == Size(weights, outputs, 3 * 64)


@pytest.mark.parametrize(("free", "n"), [(10**12, 50), (48 * 40, 10), (48 * 4, 1), (0, 1)])
def test_a_batch_takes_a_quarter_of_the_free_memory_at_most(memory, free, n):
    images = torch.zeros(50, 1, 2, 2)  # the largest output: 4 numbers of 4 bytes, held three times
    memory(free)
    assert at_most(MLP(hidden=(3,)).layers((1, 2, 2), 2), images, 50) == n


def test_what_is_evaluated_in_smaller_batches_is_the_same(memory):
    torch.manual_seed(0)
    networks = [CNN2(channels=(2, 2), hidden=(4,)).layers((3, 8, 8), 5).double() for _ in range(2)]
    images, labels = torch.rand(40, 3, 8, 8, dtype=torch.float64), torch.arange(40) % 5
    stack = Stack(networks, torch.zeros(2, dtype=torch.int64))

    def everything():
        return (
            np.array(evaluate_stack(stack, images, labels)),
            np.array(evaluate(networks[0], images, labels)),
            log_probabilities(networks[0], images).numpy(),
        )

    whole = everything()
    memory(3 * 8 * 192 * 4 * 7)  # seven images of one network at once
    for one, other in zip(everything(), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
