"""Hard hosts: what is ranked, on which models, and how it is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ufm import hosts
from ufm.datasets import load
from ufm.experiments import Experiment, Protocol, Scoring, Training
from ufm.models import MLP
from ufm.training import to_device, train

PROTOCOL = Protocol(
    dataset="digits",
    n_train=400,
    model=MLP(hidden=(16, 8)),
    training=Training(learning_rate=1e-3, batch_size=64, epochs=2, early_stopping="none", precision="float64"),
    scoring=Scoring(ood_set="photo_patches", n_ood=50),
)


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path))
    return tmp_path / "hosts"


def test_clean_seeds_train_on_their_part_and_are_no_one_elses():
    assert hosts.clean_seeds(1, 0) == [900_000, 900_001, 900_002]
    every = [hosts.clean_seeds(6, part) for part in range(6)]
    assert all(seed % 6 == part for part, seeds in enumerate(every) for seed in seeds)
    assert sorted(sum(every, [])) == list(range(900_000, 900_018))


def test_hardest_by_hand():
    data = load("digits", n_train=400, part=1)
    losses = np.zeros((2, 400))
    losses[:, 7], losses[:, 5], losses[0, 9], losses[:, 3] = 1, 3, 3, 1  # means 1, 3, 1.5, 1
    pool = hosts.hardest(losses, data, 4)
    assert pool["canary_index"].tolist() == data.train_indices[[5, 9, 3, 7]].tolist()
    assert pool["canary_label"].tolist() == data.train_labels[[5, 9, 3, 7]].tolist()
    assert pool["loss"].tolist() == [3, 1.5, 1, 1]
    assert pool["rank"].tolist() == [1, 2, 3, 4]


def test_image_losses_against_the_definition():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3, dtype=torch.float64))
    images, labels = torch.randn(9, 1, 2, 2, dtype=torch.float64), torch.arange(9) % 3
    logits = (images.flatten(1) @ model[1].weight.T + model[1].bias).detach().numpy()
    expected = np.log(np.exp(logits).sum(1)) - logits[np.arange(9), labels]
    np.testing.assert_allclose(hosts.image_losses(model, images, labels), expected, rtol=1e-12)


def test_the_pool_is_what_three_clean_models_find_hardest(records):
    hosts.find(PROTOCOL)
    pool = hosts.pool(PROTOCOL, 2)
    data = to_device(load("digits", n_train=400, part=2), precision="float64", early_stopping="none")
    losses = [
        hosts.image_losses(
            train(Experiment("digits", 400, 2, PROTOCOL.model, PROTOCOL.training, seed, "control"), data).model,
            data.train_images,
            data.train_labels,
        )
        for seed in hosts.clean_seeds(3, 2)
    ]
    mean = np.mean(losses, axis=0)
    np.testing.assert_allclose(pool["loss"], np.sort(mean)[::-1][:50], rtol=1e-12)
    assert set(pool["canary_index"]) <= set(data.data.train_indices)
    assert len(hosts.pool(PROTOCOL, 0)) == 50

    before = (records / "pools.csv").read_bytes()
    hosts.find(PROTOCOL)
    assert (records / "pools.csv").read_bytes() == before  # what is there is not found again


def test_pools_go_by_training_and_data_and_not_by_scoring(records):
    one = hosts.fingerprint(PROTOCOL, 0)
    assert hosts.fingerprint(replace(PROTOCOL, scoring=Scoring(ood_set="photo_patches", n_ood=60)), 0) == one
    others = [
        hosts.fingerprint(PROTOCOL, 1),
        hosts.fingerprint(replace(PROTOCOL, n_train=600), 0),
        hosts.fingerprint(replace(PROTOCOL, model=MLP(hidden=(8, 8))), 0),
        hosts.fingerprint(replace(PROTOCOL, training=replace(PROTOCOL.training, epochs=3)), 0),
    ]
    assert len({one, *others}) == 5
    with pytest.raises(ValueError, match="^hosts: no hard hosts of digits part 0; run ufm hosts digits --n-train 400$"):
        hosts.pool(PROTOCOL, 0)
