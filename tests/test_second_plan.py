"""The second plan's populations are those of its page."""

import re
from dataclasses import replace

import pytest

from ufm import paths
from ufm.networks import CNN1, CNN2, MLP
from ufm.plan import attacked, fourth, many_marks, pretraining, registry, same_hosts, scaling, second, third
from ufm.protocol import SGD, Training, hosts

SWEEPS = second.sweeps("paper")
LATER = {}  # on these seeds and hosts
for plan in (many_marks, third, scaling, fourth, attacked, pretraining):
    LATER |= plan.sweeps("paper")
FIRST = {name: sweep for name, sweep in registry.sweeps().items() if name not in SWEEPS and name not in LATER}


def places(sweep, kind):
    """Which entries of the permutation, of each part, a sweep takes its hosts of a kind from."""
    n = {"random": 60_000, "hard": 50 if sweep.protocol.n_train else 200}[kind]
    return {(seed % sweep.protocol.n_parts, seed // sweep.protocol.n_parts % n) for seed in sweep.seeds}


def test_every_model_is_measured_at_equal_age_beside_a_control():
    for name, sweep in SWEEPS.items():
        protocol = sweep.protocol
        assert (protocol.measure, protocol.control, protocol.roles) == ("equal-age card", True, ("canary", "placebo"))
        assert sweep.setting.startswith("second plan, ")
        assert re.fullmatch(r"[a-z0-9_]+(-[a-z0-9]+)*", name)


def test_seeds_are_new():
    used = {seed for sweep in FIRST.values() for seed in sweep.seeds}
    assert not used & {seed for sweep in SWEEPS.values() for seed in sweep.seeds}
    assert max(seed for sweep in SWEEPS.values() for seed in sweep.seeds) < hosts.FIRST_SEED


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_hard_hosts_are_ones_that_no_seed_of_the_first_plan_had(dataset):
    for size in ("full", "small"):
        ours = [one for name, one in FIRST.items() if name.startswith(f"{dataset}-{size}")]
        before = set().union(*(places(one, "hard") for one in ours if "hard" in one.protocol.hosts))
        assert before
        for name, sweep in SWEEPS.items():
            if name.startswith(f"{dataset}-{size}") and sweep.protocol.hosts[-1] == "hard":
                assert not before & places(sweep, "hard"), name
                assert len(places(sweep, "hard")) == len(sweep.seeds)


@pytest.mark.parametrize(("dataset", "n"), [("mnist", 200), ("fashion_mnist", 96)])
def test_the_papers_own_setting(dataset, n):
    both, random = (SWEEPS[f"{dataset}-full-second-plan-{hosts}"] for hosts in ("both-hosts", "random-hosts"))
    assert (both.protocol.hosts, random.protocol.hosts) == (("random", "hard"), ("random",))
    assert replace(both.protocol, hosts=("random",)) == random.protocol
    assert (both.protocol.n_train, both.protocol.model, both.protocol.training) == (None, MLP(), Training())
    assert both.protocol.scoring.n_ood == 50_000
    assert [*both.seeds, *random.seeds] == list(range(4100, 4100 + n))
    assert len(both.seeds) == 40


@pytest.mark.parametrize(("dataset", "decays"), [("mnist", (0.3, 1, 2, 3, 10)), ("fashion_mnist", (1, 3, 10))])
def test_regimes_change_one_thing_of_plain_models(dataset, decays):
    ours = {
        sweep.setting.removeprefix("second plan, "): sweep
        for name, sweep in SWEEPS.items()
        if name.startswith(f"{dataset}-small") and "same hosts" not in sweep.setting
    }
    plain = ours.pop("plain")
    assert (plain.protocol.n_train, plain.protocol.training, plain.protocol.model) == (10_000, Training(), MLP())
    expected = {f"weight decay {one:g}": {"training": Training(weight_decay=one)} for one in decays}
    expected |= {
        "batch norm": {"model": MLP(batch_norm=True)},
        "dropout": {"model": MLP(dropout=True)},
        "augmentation": {"model": MLP(augmentation=True)},
        "dropout + augmentation": {"model": MLP(dropout=True, augmentation=True)},
        "SGD": {"training": Training(optimiser=SGD(second.SGD_RATES[dataset], 0.9, 5e-4))},
        "to the end": {"training": Training(early_stopping="none")},
    }
    assert {regime: sweep.protocol for regime, sweep in ours.items()} == {
        regime: replace(plain.protocol, **changes) for regime, changes in expected.items()
    }
    assert {sweep.seeds for sweep in (plain, *ours.values())} == {range(4800, 4824)}


def test_every_seed_has_the_hosts_of_part_two_and_is_trained_twice():
    usual, other = (SWEEPS[f"mnist-small-second-plan-same-hosts{end}"] for end in ("", "-another-rounding"))
    assert usual.protocol.hosts == same_hosts.HOSTS["paper"]
    assert {seed % usual.protocol.n_parts for seed in usual.seeds} == {2}
    assert (len(usual.seeds), usual.seeds) == (30, other.seeds)
    assert usual.protocol.one_placebo
    assert other.protocol == replace(usual.protocol, rounding=1)


def test_x_rays_stop_on_their_validation_split():
    names = ("mlp-letter", "mlp-name", "cnn-1-letter", "cnn-1-name")
    ours = [SWEEPS[f"pneumoniamnist-second-plan-{one}"] for one in names]
    assert [one.protocol.feature for one in ours] == ["A", "J. DOE"] * 2
    assert [one.protocol.model for one in ours] == [MLP(), MLP(), CNN1(), CNN1()]
    assert [len(one.seeds) for one in ours] == [50, 50, 20, 20]
    assert {one.protocol.training for one in ours} == {Training(early_stopping="validation")}


def test_networks_on_cifar_10_wait_for_a_gpu():
    for end, model in (("cnn-1", CNN1()), ("cnn-2", CNN2())):
        sweep = SWEEPS[f"cifar10-full-second-plan-{end}"]
        assert (sweep.needed, len(sweep.seeds), sweep.protocol.model) == (0, 100, model)
        assert (sweep.protocol.training, sweep.protocol.n_train) == (Training(batch_size=512), None)
        assert sweep.protocol.scoring.ood_set == "mnist"


def test_the_page_names_the_same_seeds():
    text = (paths.BOOK / "second-plan.md").read_text(encoding="utf-8")
    for sweep in SWEEPS.values():
        assert f"{sweep.seeds[0]}" in text or sweep.seeds[0] == 4140
    ends = {4100: (4299, 4195, 4149, 4119, 4199), 4800: (4823,), 5000: (5174,)}
    for first, of in ends.items():
        assert all(f"{first} to {last}" in text for last in of)
