"""Hard hosts: what is ranked, on which models, how it is kept, and which of them a seed has."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from ufm.data.datasets import load
from ufm.data.on_device import to_device
from ufm.measures import pools
from ufm.networks import CNN1, MLP
from ufm.protocol import Experiment, Protocol, Scoring, Training, hosts
from ufm.records import executed
from ufm.study.seeds import experiments
from ufm.training import train

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
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "runs"))
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
    pool = pools.ranked({"loss": losses}, data, "hard").head(4)
    assert pool["canary_index"].tolist() == data.train_indices[[5, 9, 3, 7]].tolist()
    assert pool["canary_label"].tolist() == data.train_labels[[5, 9, 3, 7]].tolist()
    assert pool["loss"].tolist() == [3, 1.5, 1, 1]
    assert pool["rank"].tolist() == [1, 2, 3, 4]


def test_middling_by_hand():
    data = load("digits", n_train=400, part=1)
    losses = np.full((1, 400), 9.0)
    losses[0, [5, 9, 3, 7]] = 1.5, 0.9, 1.01, 0
    pool = pools.ranked({"loss": losses}, data, "middling").head(4)
    assert pool["canary_index"].tolist() == data.train_indices[[3, 9, 5, 7]].tolist()
    assert pool["loss"].tolist() == [1.01, 0.9, 1.5, 0]


@pytest.mark.parametrize(("kind", "places"), [("influential", [9, 5, 3, 0]), ("uninfluential", [7, 8, 0, 1])])
def test_hosts_by_influence_by_hand(kind, places):
    data = load("digits", n_train=400, part=1)
    influences, losses = np.full((2, 400), 2.0), np.arange(800.0).reshape(2, 400)
    influences[:, [5, 9, 3, 7, 8]] = [[5, 2, 3, 1, 1], [1, 9, 2.5, 0, 2]]  # means 3, 5.5, 2.75, 0.5, 1.5
    pool = pools.ranked({"loss": losses, "self-influence": influences}, data, kind)
    assert pool["canary_index"].tolist() == data.train_indices[places].tolist()
    assert pool["loss"].tolist() == [200 + place for place in places]


def test_a_small_training_set_has_the_pool_of_a_part(monkeypatch):
    data, losses = load("digits"), np.arange(1200.0)[None]
    assert len(pools.ranked({"loss": losses}, data, "hard")) == 50
    monkeypatch.setattr(pools, "FULL", 1200)
    assert len(pools.ranked({"loss": losses}, data, "hard")) == 200


def test_image_losses_against_the_definition():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3, dtype=torch.float64))
    images, labels = torch.randn(9, 1, 2, 2, dtype=torch.float64), torch.arange(9) % 3
    logits = (images.flatten(1) @ model[1].weight.T + model[1].bias).detach().numpy()
    expected = np.log(np.exp(logits).sum(1)) - logits[np.arange(9), labels]
    np.testing.assert_allclose(pools.image_losses(model, images, labels), expected, rtol=1e-12)


def clean_losses(part):
    """The mean loss of each image of a part in three models trained one after the other."""
    training = replace(PROTOCOL.training, early_stopping="half")
    data = to_device(load("digits", n_train=400, part=part), precision="float64")
    losses = []
    for seed in hosts.clean_seeds(3, part):
        [one] = train([Experiment(Protocol("digits", 400, PROTOCOL.model, training), seed, part, "control")], data)
        losses.append(pools.image_losses(one.model, data.train_images, data.train_labels))
    return np.mean(losses, axis=0)


def test_the_pool_is_what_three_clean_models_find_hardest(records):
    pools.find(PROTOCOL)
    for part in range(3):
        found, mean = hosts.pool(PROTOCOL, part), clean_losses(part)
        indices = load("digits", n_train=400, part=part).train_indices
        np.testing.assert_allclose(found["loss"], np.sort(mean)[::-1][:50], rtol=1e-9)
        assert found["canary_index"].tolist() == indices[np.argsort(-mean)[:50]].tolist()

    before = (records / "pools.csv").read_bytes()
    pools.find(PROTOCOL)
    assert (records / "pools.csv").read_bytes() == before  # what is there is not found again


def test_hard_hosts_are_drawn_from_the_pool_without_replacement_and_then_again(records):
    pools.find(PROTOCOL)
    data, pool = load("digits", n_train=400, part=2), hosts.pool(PROTOCOL, 2)
    drawn = [hosts.place(PROTOCOL, "hard", seed, data) for seed in range(2, 182, 3)]  # 60 of this part
    indices = data.train_indices[drawn].tolist()
    assert sorted(indices[:50]) == sorted(pool["canary_index"])
    assert indices[50:] == indices[:10]
    assert indices[:50] != pool["canary_index"].tolist()  # at random, not by how hard they are
    labels = pool.set_index("canary_index")["canary_label"]
    assert data.train_labels[drawn].tolist() == labels[indices].tolist()


def test_hosts_may_be_those_of_another_network(records):
    pools.find(PROTOCOL)
    wide = replace(PROTOCOL, model=MLP(hidden=(32, 16)))
    assert hosts.fingerprint(wide, 2) != hosts.fingerprint(PROTOCOL, 2)
    same = replace(wide, found_by=PROTOCOL.model)
    data = load("digits", n_train=400, part=2)
    assert hosts.pool(same, 2).equals(hosts.pool(PROTOCOL, 2))
    assert hosts.place(same, "hard", 2, data) == hosts.place(PROTOCOL, "hard", 2, data)
    [control, *_] = experiments(same, 2, data)
    assert control.identity() == experiments(replace(wide, hosts=()), 2, data)[0].identity()
    other = replace(wide, found_by=CNN1(hidden=(16, 8)))
    assert len({one.fingerprint(2) for one in (wide, same, other)}) == 3
    faster = replace(PROTOCOL, training=replace(PROTOCOL.training, learning_rate=0.1))
    assert hosts.fingerprint(faster, 2) != hosts.fingerprint(PROTOCOL, 2)
    same = replace(faster, found_at=PROTOCOL.training.learning_rate)
    assert hosts.fingerprint(same, 2) == hosts.fingerprint(PROTOCOL, 2)
    assert len({one.fingerprint(2) for one in (faster, same, PROTOCOL)}) == 3
    with pytest.raises(ValueError, match="^found_at: must be above zero, got 0$"):
        replace(PROTOCOL, found_at=0)
    with pytest.raises(ValueError, match="^found_by: 'mlp' is not one of cnn1"):
        replace(wide, found_by="mlp")


def test_middling_hosts_have_a_pool_of_their_own(records):
    pools.find(PROTOCOL, kind="middling")
    data, mean = load("digits", n_train=400, part=2), clean_losses(2)
    nearest = data.train_indices[np.argsort(np.abs(mean - 1))[:50]].tolist()
    assert hosts.pool(PROTOCOL, 2, "middling")["canary_index"].tolist() == nearest
    drawn = [hosts.place(PROTOCOL, "middling", seed, data) for seed in range(2, 152, 3)]
    assert sorted(data.train_indices[drawn]) == sorted(nearest)
    assert not records.exists()  # the hard ones' folder
    with pytest.raises(ValueError, match="^hosts: no hard hosts of digits part 2"):
        hosts.place(PROTOCOL, "hard", 2, data)


def test_hard_hosts_of_another_model_are_those_of_the_whole_mlp(records):
    pools.find(PROTOCOL)
    data, other = load("digits", n_train=400, part=2), replace(PROTOCOL, model=CNN1(channels=(2, 2), hidden=(4, 4)))
    with pytest.raises(ValueError, match="^hosts: no hard hosts of digits part 2; run ufm hosts digits --n-train 400$"):
        hosts.place(other, "hard", 2, data)


def test_hard_hosts_of_a_seed_are_the_same_for_every_role_and_variant(records):
    pools.find(PROTOCOL)
    data = load("digits", n_train=400, part=1)
    protocol = replace(PROTOCOL, hosts=("random", "hard"), roles=("canary", "placebo"))
    control, canary, placebo, hard_canary, hard_placebo = experiments(protocol, 4, data)
    assert hard_canary.canary_index == data.train_indices[hosts.place(protocol, "hard", 4, data)]
    assert (hard_canary.canary_index, hard_canary.host) == (hard_placebo.canary_index, "hard")
    assert (canary.canary_index, canary.host) == (placebo.canary_index, "random")
    assert canary.canary_index == data.train_indices[hosts.place(protocol, "random", 4, data)]
    assert [one.role for one in (control, hard_canary, hard_placebo)] == ["control", "canary", "placebo"]
    variant = replace(protocol, model=replace(protocol.model, dropout=True, augmentation=True))
    assert [one.canary_index for one in experiments(variant, 4, data)] == [
        one.canary_index for one in experiments(protocol, 4, data)
    ]
    with pytest.raises(ValueError, match="^seed: 5 belongs to part 2 of digits/400, not to part 1$"):
        hosts.place(protocol, "hard", 5, data)


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


def test_a_host_can_be_one_image_for_every_seed():
    data = load("digits", n_train=400, part=1)
    index = str(data.train_indices[17])
    assert hosts.places(PROTOCOL, index, [1, 4, 7], data) == [17, 17, 17]
    protocol = replace(PROTOCOL, hosts=(index, str(data.train_indices[3])), roles=("canary", "placebo"))
    planned = experiments(protocol, 4, data)
    assert [one.canary_index for one in planned[1:]] == list(data.train_indices[[17, 17, 3, 3]])
    assert planned[2].pixels().tolist() != planned[4].pixels().tolist()  # each host has its own placebo feature


def test_a_host_can_be_the_first_of_its_kind_for_every_seed(records):
    pools.find(PROTOCOL)
    data = load("digits", n_train=400, part=2)
    for kind in ("hard", "random"):
        ours = [hosts.place(PROTOCOL, kind, seed, data) for seed in (2, 5, 8)]
        assert [hosts.places(PROTOCOL, f"{kind} {n}", [2, 14], data) for n in range(3)] == [[one] * 2 for one in ours]
    assert hosts.places(PROTOCOL, "place 7", [2, 14], data) == [7, 7]
    with pytest.raises(ValueError, match="^seed: 400 is beyond the last host"):
        hosts.places(PROTOCOL, "place 400", [2], data)
    assert hosts.pooled(replace(PROTOCOL, hosts=("random", "hard 1", "middling", "hard 0", "7", "place 3"))) == [
        "hard",
        "middling",
    ]


def test_an_image_of_another_part_is_no_host():
    data = load("digits", n_train=400, part=1)
    other = str(load("digits", n_train=400, part=0).train_indices[0])
    with pytest.raises(ValueError, match=f"^hosts: image {other} is not among the 400 training images$"):
        hosts.place(PROTOCOL, other, 1, data)


@pytest.mark.parametrize("host", ["easy", "-3", "1.5", "", "easy 1", "hard one", "hard -1", "place"])
def test_a_kind_of_host_that_is_not_known_is_named(host):
    with pytest.raises(
        ValueError,
        match=f"^hosts: {host!r} is not one of random, hard, middling, influential, uninfluential, nor the number",
    ):
        replace(PROTOCOL, hosts=(host,))


def test_processes_that_need_the_same_hard_hosts_find_them_once(records, monkeypatch):
    """Each begins with another part and waits for what the other one is at."""
    found, begun = [], threading.Barrier(2)
    finish = pools.finish

    def finish_slowly(protocol, part, **where):
        begun.wait(timeout=60)
        found.append(part)
        return finish(protocol, part, **where)

    monkeypatch.setattr(pools, "finish", finish_slowly)
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(pools.ensure, PROTOCOL, [0, 2]) for _ in range(2)]
        for one in waiting:
            one.result(timeout=60)
            assert len(hosts.pool(PROTOCOL, 0)) == len(hosts.pool(PROTOCOL, 2)) == 50
    assert sorted(found) == [0, 2]
    assert not records.exists()  # what the book keeps is left alone


def test_a_pool_that_another_process_is_at_is_waited_for(records, monkeypatch):
    store, one = executed("hosts"), hosts.fingerprint(PROTOCOL, 1)
    entry, measured = pools.finish(PROTOCOL, 1)
    monkeypatch.setattr(pools, "finish", lambda *_, **__: pytest.fail("it was found twice"))
    with ThreadPoolExecutor(1) as threads:
        with store.claim(one) as ours:
            assert ours
            waiting = threads.submit(pools.ensure, PROTOCOL, [1])
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.5)
            store.add(one, entry, measured)
        waiting.result(timeout=60)
    assert hosts.pool(PROTOCOL, 1)["canary_index"].tolist() == measured.tables["pools"]["canary_index"].tolist()
