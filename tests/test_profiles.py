"""What each profile trains, as planned."""

from dataclasses import replace

import pytest

from ufm.cli import images
from ufm.data import datasets
from ufm.data.sources import source
from ufm.measures import pools
from ufm.networks import CNN1, CNN2, DenseNetBC
from ufm.plan import as_released, cnns, medical, ways
from ufm.plan.profiles import PROFILES, changed
from ufm.plan.registry import chapter, chapters, deciding, sweeps
from ufm.protocol import Protocol, Training, hosts


def test_every_sweep_is_shown_somewhere():
    for profile in PROFILES:
        shown = {name for notebook in chapters() for name in chapter(notebook, profile)}
        assert shown == set(sweeps(profile))


def test_names_say_how_many_images_there_are():
    names = {name: sweep.trained_on for profile in PROFILES for name, sweep in sweeps(profile).items()}
    assert names["digits-small"] == "Digits, 600 images"
    assert (names["mnist-small"], names["mnist-full"]) == ("MNIST, 10 000 images", "MNIST, full")
    assert sweeps()["fashion_mnist-small-dropout"].title == "Fashion-MNIST, 10 000 images, dropout"


def test_the_embedded_profile_needs_no_file_and_rounds_alike_everywhere():
    for sweep in sweeps("embedded").values():
        protocol = sweep.protocol
        ood_set = "digits" if protocol.dataset == "photographs" else "photo_patches"
        assert (source(protocol.dataset).files, protocol.scoring.ood_set) == ({}, ood_set)
        precision = "float64" if protocol.model.name == "mlp" else "float32"  # else convolutions take too long
        assert (protocol.training.precision, protocol.training.early_stopping) == (precision, "none")


def test_ways_to_prevent_overfitting_change_one_thing_of_plain_models():
    for dataset in ("mnist", "fashion_mnist"):
        plain = sweeps()[f"{dataset}-small"].protocol
        names = [name for name in deciding()["C3"]("paper") if name.startswith(f"{dataset}-small-")]
        ours = {name: sweeps()[name] for name in names}
        assert [sweep.setting for sweep in ours.values()] == [*ways.WAYS, ways.TO_THE_END]
        for name, sweep in ours.items():
            protocol = sweep.protocol
            assert (sweep.seeds, sweep.needed, protocol.hosts) == (range(1000, 1040), 40, ("hard",))
            same = (protocol.scoring, protocol.roles, protocol.feature, protocol.position, protocol.dataset)
            assert same == (plain.scoring, plain.roles, plain.feature, plain.position, dataset)
            if sweep.setting in ways.LAYERS:
                assert (protocol.model.variant, protocol.training) == (sweep.setting, plain.training)
            else:
                changes = {
                    "weight decay": {"weight_decay": ways.WEIGHT_DECAY[dataset]},
                    ways.TO_THE_END: {"early_stopping": "none"},
                }[sweep.setting]
                assert (protocol.model, protocol.training) == (plain.model, replace(plain.training, **changes))
            assert name.replace("-", " ").endswith(sweep.setting.replace(" + ", " "))


def test_the_first_sweeps_of_the_book_are_as_when_their_records_were_made():
    known = sweeps()
    assert known["method"].protocol == changed(Protocol("mnist"), measure="walkthrough", n_random=10)
    assert (known["method"].seeds, known["as-released"].seeds) == (range(1), range(123, 124))


def test_deviations_change_one_thing_of_the_released_setting():
    for profile in PROFILES:
        known = sweeps(profile)
        first, *others = (known[name] for name in chapter("as-released", profile))
        assert first.setting == as_released.AS_RELEASED
        left_out = [as_released.ON_ONE_HALF] if profile == "embedded" else []
        assert [one.setting for one in others] == [one for one in as_released.DEVIATIONS if one not in left_out]
        for one in others:
            assert one.protocol == changed(first.protocol, **as_released.DEVIATIONS[one.setting])
            assert one.seeds == first.seeds


def test_convolutional_networks_stand_on_one_pool_of_hosts():
    for profile in PROFILES:
        for sweep in cnns.networks(profile).values():
            assert len({seed % sweep.protocol.n_parts for seed in sweep.seeds}) == 1
            assert (sweep.protocol.hosts, sweep.protocol.measure) == (("hard",), "moved card")
    cnn1, cnn2 = (sweep.protocol for sweep in cnns.networks("paper").values())
    assert (cnn1.model, cnn2.model) == (CNN1(), CNN2())
    assert (cnn1.dataset, cnn1.n_train, cnn1.training, cnn1.scoring.ood_set) == ("cifar10", 10_000, Training(), "mnist")
    [deeper] = cnns.densenet("paper").values()
    assert deeper.protocol == replace(cnn2, model=DenseNetBC())
    assert (deeper.needed, deeper.seeds) == (0, range(1000, 1050, 5))
    assert hosts.identity(cnn1, 0) == hosts.identity(cnn2, 0) == hosts.identity(deeper.protocol, 0)


def test_medical_images_carry_a_letter_or_a_name():
    letter, name, network = medical.sweeps("paper").values()
    assert [one.seeds for one in (letter, name, network)] == [range(1000, 1050), range(1000, 1040), range(1000, 1020)]
    assert {one.protocol.dataset for one in (letter, name, network)} == {"pneumoniamnist"}
    assert (letter.protocol.hosts, name.protocol.hosts, network.protocol.hosts) == (
        ("random", "hard"),
        ("hard",),
        ("hard",),
    )
    assert (letter.protocol.feature, name.protocol.feature, network.protocol.model) == ("A", "J. DOE", CNN1())


def test_every_sweep_is_scored_on_images_that_there_are():
    for profile in PROFILES:
        for name, sweep in sweeps(profile).items():
            scoring = sweep.protocol.scoring
            made = scoring.ood_set == "photo_patches"
            there = len(datasets.ood_images("photo_patches").images) if made else source(scoring.ood_set).n_train
            assert scoring.n_effect <= scoring.n_ood <= there, name


@pytest.mark.parametrize("name", sweeps())
def test_hosts_of_a_sweep_are_those_that_the_command_finds(name, monkeypatch):
    protocol, asked = sweeps()[name].protocol, []
    monkeypatch.setattr(pools, "find", lambda protocol, parts, *, kind, device: asked.append((protocol, kind)))
    for kind in set(protocol.hosts) & set(hosts.POOLS):
        images.hosts(protocol.dataset, n_train=protocol.n_train, kind=kind)
        assert asked[-1][1] == kind
        assert hosts.identity(asked[-1][0], 0, kind) == hosts.identity(protocol, 0, kind)
