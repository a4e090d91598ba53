"""Self-influence against gradients that autograd finds for one image after the other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain import training_images
from torch import nn
from torch.nn.functional import cross_entropy

from ufm.data.datasets import load
from ufm.data.on_device import to_device
from ufm.measures import cards, pools
from ufm.measures.influence import checkpoints, self_influence, squared_gradient_norms, squares
from ufm.networks import CNN1, CNN2, MLP
from ufm.networks.build import build
from ufm.plan import influence as plan
from ufm.plan.populations import population
from ufm.protocol import Experiment, Protocol, Scoring, Training, hosts
from ufm.study import seeds
from ufm.training import Trained, train

PROTOCOL = Protocol(
    dataset="digits",
    n_train=400,
    model=MLP(hidden=(16, 8)),
    training=Training(learning_rate=3e-3, batch_size=64, epochs=4, early_stopping="none", precision="float64"),
    scoring=Scoring(ood_set="photo_patches", n_ood=50, n_effect=20),
    roles=("canary", "placebo"),
    measure="influence card",
)
NETWORKS = {
    "MLP": (MLP(hidden=(7, 6)), (1, 4, 5)),
    "MLP, batch norm, dropout": (MLP(hidden=(7, 6), batch_norm=True, dropout=True), (1, 4, 5)),
    "CNN-1": (CNN1(channels=(3, 4), hidden=(6, 5)), (3, 9, 8)),
    "CNN-2": (CNN2(channels=(3, 4), hidden=(6,)), (3, 8, 9)),
    "CNN-2, batch norm, dropout": (CNN2(channels=(3, 4), hidden=(6,), batch_norm=True, dropout=True), (3, 8, 9)),
}


@pytest.fixture(autouse=True)
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path))
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "runs"))
    return tmp_path


# The plain way


def norms(model, images, labels):
    """Squared gradient norms, one image after the other."""
    model.eval()
    found = []
    for image, label in zip(images, labels, strict=True):
        loss = cross_entropy(model(image[None]), label[None])
        found.append(sum(float((one**2).sum()) for one in torch.autograd.grad(loss, list(model.parameters()))))
    return np.array(found)


def summed(trained, images, labels):
    """Self-influence, where there are no more than ten epochs up to the last checkpoint: all of them."""
    losses = [epoch["train_loss"] for epoch in trained.history]
    enough = 0.05 * losses[0] + 0.95 * min(losses)
    last = next(epoch["epoch"] for epoch, loss in zip(trained.history, losses, strict=True) if loss <= enough)
    assert last <= 10
    return sum(norms(trained.snapshots[epoch], images, labels) for epoch in range(1, last + 1)), last


def control(data, *, seed=1, **changes):
    training = replace(PROTOCOL.training, **changes)
    one = Experiment(Protocol("digits", 400, PROTOCOL.model, training), seed, data.dataset.part, "control")
    [trained] = train([one], data, snapshots=range(1, training.epochs + 1))
    return trained


@pytest.fixture(scope="module")
def data():
    return to_device(load("digits", n_train=400, part=1), precision="float64")


# Gradients


@pytest.mark.parametrize("name", NETWORKS)
def test_squared_norms_against_autograd(name):
    settings, shape = NETWORKS[name]
    model = build(settings, shape, 4, seed=0, dtype=torch.float64)
    torch.manual_seed(0)
    with torch.no_grad():  # biases are not zero and norms not at their start
        for key, values in model.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                values.copy_(torch.rand(values.shape) if "running_var" in key else torch.randn(values.shape) / 2)
    images, labels = torch.randn(13, *shape, dtype=torch.float64), torch.arange(13) % 4
    expected = norms(model, images, labels)
    model.train()  # which is not how it is to be evaluated
    before = {key: values.clone() for key, values in model.state_dict().items()}
    for batch_size in (1, 5, 500):
        found = squared_gradient_norms(model, images, labels, batch_size=batch_size)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert all(torch.equal(values, before[key]) for key, values in model.state_dict().items())
    assert all(one.grad is None for one in model.parameters())
    assert not images.requires_grad


def test_float32_keeps_how_far_from_sure_a_model_is():
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].bias.copy_(torch.tensor([20.0, 0.0]))
    found = squared_gradient_norms(model, torch.full((1, 1, 1, 1), 2.0), torch.tensor([0]))
    # The other class has e⁻²⁰ and the right one lacks as much; the input is 2, the bias counts as an input of 1.
    assert found == pytest.approx(2 * np.exp(-40) * (2**2 + 1), rel=1e-5, abs=0)


def test_squares_of_tiny_numbers_do_not_vanish():
    assert squares(torch.tensor([[3e-30, 4e-30], [1, 2]])).tolist() == pytest.approx([25e-60, 5], rel=1e-6, abs=0)


def test_a_layer_that_is_not_known_is_named():
    model = nn.Sequential(nn.Flatten(), nn.LayerNorm(4))
    with pytest.raises(TypeError, match="^the gradient norm of a LayerNorm is not known$"):
        squared_gradient_norms(model, torch.randn(2, 1, 2, 2), torch.tensor([0, 1]))


# Checkpoints


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([0.7], [1]),
        ([2.0, 1.0], [1, 2]),
        ([1.0, 2.0, 3.0], [1]),  # never falls
        ([1.0, 1.0], [1]),
        ([10.0, 5.0, 0.4, 0.0], [1, 2, 3]),  # 96 % of the fall
        ([10.0, 5.0, 0.6, 0.0], [1, 2, 3, 4]),  # 94 %
        ([20.0, 1.0, 0.0], [1, 2]),  # 95 %
        ([4.0, 2.0, 1.14, 1.0, 1.5, 2.5], [1, 2, 3]),  # rises at the end
        ([4.0, 2.0, 1.14, 3.0, 1.0], [1, 2, 3]),  # and in between
        (list(range(20, 0, -1)), [1, 3, 5, 7, 9, 12, 14, 16, 18, 20]),
        ([*range(19, 0, -1), 0.5], [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]),
        (list(range(11, 0, -1)), [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]),
    ],
)
def test_checkpoints_by_hand(losses, expected):
    history = [{"epoch": number, "train_loss": loss} for number, loss in enumerate(losses, 1)]
    assert checkpoints(history) == expected


def test_as_many_checkpoints_as_asked_for():
    history = [{"epoch": number, "train_loss": 1 / number**3} for number in range(1, 8)]
    assert checkpoints(history, 2) == [1, 3]
    assert checkpoints(history, 3) == [1, 2, 3]
    history = [{"epoch": number, "train_loss": 10 - number} for number in range(1, 8)]
    assert checkpoints(history, 3) == [1, 4, 7]


# Self-influence


def test_self_influence_is_the_sum_over_the_checkpoints(data):
    trained, images, labels = control(data), data.train_images[:20], data.train_labels[:20]
    expected, _ = summed(trained, images, labels)
    np.testing.assert_allclose(self_influence(trained, images, labels), expected, rtol=1e-10)


def test_self_influence_of_a_long_training_takes_ten_checkpoints(data):
    trained, images, labels = control(data, epochs=25, learning_rate=2e-4), data.train_images[:3], data.train_labels[:3]
    epochs = checkpoints(trained.history)
    assert len(epochs) == 10 < epochs[-1]
    expected = sum(norms(trained.snapshots[epoch], images, labels) for epoch in epochs)
    np.testing.assert_allclose(self_influence(trained, images, labels), expected, rtol=1e-10)


def test_an_epoch_without_a_snapshot_is_named(data):
    trained = control(data)
    last = checkpoints(trained.history)[-1]
    one = Trained(
        trained.model,
        trained.experiment,
        trained.best_epoch,
        trained.history,
        {epoch: model for epoch, model in trained.snapshots.items() if epoch != last},
    )
    with pytest.raises(ValueError, match=f"^snapshots: the model after epoch {last} was not kept; .* epochs 1, 2, "):
        self_influence(one, data.train_images, data.train_labels)


# The card


def test_hosts_in_short_by_hand():
    found = cards.of_hosts(np.array([1.0, 2.0, 2.0, 5.0, 0.0]), np.array([1, 3, 4]))
    assert found["host"].tolist() == [2, 5, 0]
    assert found["rank"].tolist() == [2.5 / 4, 1, 0]  # the tie counts half
    assert found["quantiles"][[0, 25, 50, 75, 100]].tolist() == [0, 1, 2, 2, 5]
    assert {values.dtype for values in found.values()} == {np.dtype("f4")}


def test_the_card_against_models_trained_again():
    protocol = replace(PROTOCOL, hosts=("random", "influential"))
    protocol = replace(protocol, training=replace(protocol.training, early_stopping="half", patience=1))
    pools.find(protocol, [1], kind="influential")
    [(entry, measured)] = seeds.finish(protocol, [4])
    card = measured.arrays
    assert card["influence_epochs"].dtype == np.int16

    data = to_device(load("digits", n_train=400, part=1), precision="float64")
    planned = seeds.experiments(protocol, 4, data.dataset)
    assert [one.role for one in planned] == ["control", "canary", "placebo", "canary", "placebo"]
    own = [int(np.flatnonzero(data.dataset.train_indices == planned[place].canary_index)[0]) for place in (1, 3)]
    assert own[0] != own[1]
    for place, one in enumerate(train(planned, data, snapshots=range(1, 5))):
        influences, last = summed(one, training_images(one.experiment, data.dataset), data.train_labels)
        assert card["influence_epochs"][place].tolist() == [*range(1, last + 1), *[0] * (10 - last)]
        np.testing.assert_allclose(card["influence_host"][place], influences[own], rtol=1e-6)
        for host, at in enumerate(own):
            others = np.delete(influences, at)
            assert card["influence_rank"][place, host] == pytest.approx((others < influences[at]).mean(), abs=1e-6)
        np.testing.assert_allclose(
            card["influence_quantiles"][place], [np.percentile(influences, one) for one in range(101)], rtol=1e-6
        )


def test_the_card_has_all_of_a_short_one():
    [(_, measured)], [(_, short)] = (
        seeds.finish(replace(PROTOCOL, measure=measure), [4]) for measure in ("influence card", "short card")
    )
    added = {f"influence_{name}": (3, n) for name, n in (("host", 1), ("rank", 1), ("quantiles", 101), ("epochs", 10))}
    assert {name: measured.arrays[name].shape for name in measured.arrays.keys() - short.arrays.keys()} == added
    for name, values in short.arrays.items():
        np.testing.assert_array_equal(measured.arrays[name], values)
    assert measured.tables["models"].equals(short.tables["models"])


# Hosts


def test_influential_hosts_are_those_of_most_and_least_in_three_clean_models(records):
    protocol = replace(PROTOCOL, training=replace(PROTOCOL.training, epochs=2))
    data = to_device(load("digits", n_train=400, part=2), precision="float64")
    influences, losses = [], []
    for seed in hosts.clean_seeds(3, 2):
        training = replace(protocol.training, early_stopping="half")
        experiment = Experiment(Protocol("digits", 400, protocol.model, training), seed, 2, "control")
        [one] = train([experiment], data, snapshots=[1, 2])
        influences.append(summed(one, data.train_images, data.train_labels)[0])
        logits = one.model(data.train_images)
        losses.append(cross_entropy(logits, data.train_labels, reduction="none").detach().numpy())
    order = np.argsort(np.mean(influences, axis=0))
    for kind, expected in (("influential", order[::-1][:4]), ("uninfluential", order[:4])):
        pools.find(protocol, [2], kind=kind)
        found = hosts.pool(protocol, 2, kind)
        assert found["canary_index"].tolist() == data.dataset.train_indices[expected].tolist()
        assert found["canary_label"].tolist() == data.dataset.train_labels[expected].tolist()
        np.testing.assert_allclose(found["loss"], np.mean(losses, axis=0)[expected], rtol=1e-9)
        assert (records / f"hosts-{kind}" / "pools.csv").exists()
        drawn = data.dataset.train_indices[hosts.places(protocol, kind, list(range(2, 14, 3)), data.dataset)]
        assert sorted(drawn) == sorted(found["canary_index"])


def test_pools_by_influence_have_fingerprints_of_their_own():
    assert len({hosts.fingerprint(PROTOCOL, 0, kind) for kind in hosts.POOLS}) == len(hosts.POOLS) == 4
    assert all(hosts.POOLS[kind].sizes == {"full": 24, "part": 4} for kind in ("influential", "uninfluential"))


# The sweeps


def test_the_plan_of_the_chapter():
    ours = list(plan.sweeps("paper").values())
    assert [(one.seeds, one.protocol.hosts) for one in ours] == [
        (range(3000, 3024), ("influential",)),
        (range(3024, 3048), ("uninfluential",)),
        (range(3048, 3108), ("random",)),
    ]
    for one in ours:
        changes = {"hosts": one.protocol.hosts, "planned": (one.seeds.start, one.seeds.stop)}
        assert one.protocol == replace(population("mnist", 10_000), measure="influence card", **changes)
        assert (one.protocol.n_models, one.needed) == (3, len(one.seeds))
    for one in ours[:2]:  # every seed has a host of its own among the four of its part
        assert len({(seed % 6, seed // 6 % 4) for seed in one.seeds}) == len(one.seeds)


def test_the_embedded_sweeps_have_hosts_of_their_own():
    for sweep in plan.sweeps("embedded").values():
        n_parts = sweep.protocol.n_parts
        assert len({(seed % n_parts, seed // n_parts % 4) for seed in sweep.seeds}) == len(sweep.seeds) == 8
