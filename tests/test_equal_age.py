"""Models at equal age: each as it was after the best epoch of its seed's control, beside its own best epoch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain import assert_close, plain, varied

from ufm import evidence, training
from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.evidence import contrasts
from ufm.measures import cards
from ufm.measures.layout import AGES
from ufm.networks import MLP
from ufm.plan.sweep import Sweep
from ufm.protocol import Protocol, Scoring, Training
from ufm.statistics import sign_flip_test
from ufm.study import seeds
from ufm.training import loop, train

# So high a learning rate that the siblings of a seed stop at different epochs, before the last.
SETTINGS = Training(learning_rate=0.02, batch_size=64, epochs=30, patience=2, precision="float64")
PROTOCOL = Protocol(
    "digits",
    400,
    MLP(hidden=(16, 8)),
    SETTINGS,
    Scoring(ood_set="photo_patches", n_ood=40, n_effect=20),
    hosts=("random", "1"),
    roles=("canary", "placebo"),
    measure="equal-age card",
)
SEEDS = (1, 4, 7)  # all of part 1


@pytest.fixture(scope="module")
def data():
    return datasets.load("digits", n_train=400, part=1)


@pytest.fixture(scope="module")
def double(data):
    return to_device(data, precision="float64")


@pytest.fixture(scope="module")
def families(data):
    """The experiments of some seeds, of each the control first."""
    hosts = ("random", str(data.train_indices[5]))
    return [seeds.experiments(replace(PROTOCOL, hosts=hosts), seed, data) for seed in SEEDS]


@pytest.fixture(scope="module")
def trained(families, double):
    """The same, trained together."""
    every = iter(train([one for family in families for one in family], double, at_control=True, show=False))
    return [[next(every) for _ in family] for family in families]


def test_ages_differ_and_siblings_wait_for_their_control(trained):
    own = [one.best_epoch for family in trained for one in family]
    assert len(set(own)) > 2
    assert any(one.best_epoch != family[0].best_epoch for family in trained for one in family)
    for family in trained:
        stopped = [one.best_epoch + SETTINGS.patience for one in family]
        assert max(stopped) < SETTINGS.epochs
        assert [len(one.history) for one in family] == [max(own, stopped[0]) for own in stopped]


def test_a_model_at_its_controls_best_epoch_equals_a_plain_loop_stopped_there(trained, data):
    for family in trained:
        epoch = family[0].best_epoch
        for one in family:
            there = varied(one.experiment, training=replace(SETTINGS, epochs=epoch, early_stopping="none"))
            expected = plain(there, data)
            assert len(expected.weights) == epoch
            assert_close(one.at_control.state_dict(), expected.weights[-1], 1e-10)


def test_the_own_best_epoch_is_what_it_is_without_waiting(trained, families, double):
    for family, experiments in zip(trained, families, strict=True):
        for one, alone in zip(family, train(experiments, double, show=False), strict=True):
            assert alone.at_control is None
            assert one.best_epoch == alone.best_epoch
            assert_close(one.model.state_dict(), alone.model.state_dict(), 1e-10)
            assert len(one.history) >= len(alone.history)
    control = trained[0][0]
    assert_close(control.at_control.state_dict(), control.model.state_dict(), 0)


@pytest.mark.parametrize("size", [1, 7, 11])
def test_a_seed_is_never_parted_where_memory_is_short(size, families, trained, double, monkeypatch):
    together = []

    def spied(experiments, *rest):
        together.append([one.seed for one in experiments])
        return training_stack(experiments, *rest)

    training_stack = loop.train_stack
    monkeypatch.setattr(loop, "train_stack", spied)
    monkeypatch.setattr(loop, "stack_size", lambda *_: size)
    order = [family[place] for place in range(5) for family in families]  # seeds are mixed
    found = train(order, double, at_control=True, show=False)
    expected = {7: 3, 1: 3, 11: 2}[size]
    assert len(together) == expected
    assert all(len(one) == 5 * len(set(one)) for one in together)
    for one in found:
        [same] = [other for family in trained for other in family if other.experiment == one.experiment]
        assert_close(one.at_control.state_dict(), same.at_control.state_dict(), 1e-10)


def test_trained_to_the_end_all_ages_are_the_last_epoch(families, double):
    experiments = [varied(one, training=replace(SETTINGS, epochs=3, early_stopping="none")) for one in families[0]]
    for one in train(experiments, double, at_control=True, show=False):
        assert one.best_epoch == 3
        assert_close(one.at_control.state_dict(), one.model.state_dict(), 0)


def test_a_seed_without_a_control_or_with_two_is_refused(families, double):
    with pytest.raises(ValueError, match="^control: seed 1 has none"):
        train(families[0][1:], double, at_control=True)
    with pytest.raises(ValueError, match="^control: seed 1 has several"):
        train([families[0][0], *families[0]], double, at_control=True)
    with pytest.raises(ValueError, match="^control: an equal-age card needs one"):
        seeds.finish(replace(PROTOCOL, control=False), [1])


# The card


@pytest.fixture(scope="module")
def card(trained, double):
    ood = datasets.ood_images("photo_patches", shape=(1, 28, 28), n=40)
    protocol = replace(PROTOCOL, hosts=tuple(one.experiment.host for one in trained[0][1::2]))
    again = train([one.experiment for one in trained[0]], double, snapshots=[1, 3], at_control=True, show=False)
    return protocol, again, cards.equal_age_card(protocol, again, double, ood).arrays, ood


def test_a_card_has_the_effects_of_every_age(card, double):
    protocol, again, arrays, ood = card
    images = torch.tensor(ood.images[:20], dtype=torch.float64)
    stamps = [again[1].experiment.pixels(), *(again[place].experiment.pixels() for place in (2, 4))]
    assert protocol.training.same_age == 3
    untrained = [training.network(one.experiment, double) for one in again]
    models = {
        "best": [one.model for one in again],
        "early": [one.snapshots[3] for one in again],
        "control": [one.at_control for one in again],
        "first": [one.snapshots[1] for one in again],
        "initial": untrained,
    }
    for number, age in enumerate(AGES):
        for place, model in enumerate(models[age]):
            with torch.no_grad():
                clean = model(double.normalise(images)).log_softmax(1)
                for feature, pixels in enumerate(stamps):
                    stamped = images.clone()
                    stamped[:, 0, 1:6, 1:6] = torch.tensor(pixels, dtype=torch.float64)
                    shift = (model(double.normalise(stamped)).log_softmax(1) - clean).mean(0)
                    expected = shift - shift.mean()
                    np.testing.assert_allclose(
                        arrays["ood_age_shift"][place, number, feature], expected, atol=2e-3, rtol=2e-3
                    )
    assert arrays["host_log_probability"].shape == (5, 5, 2, 3)
    assert arrays["ood_null"].shape == (5, 2, 10)


def test_a_compact_card_is_the_part_that_detectors_ask_for(card, double):
    protocol, again, arrays, ood = card
    compact = cards.equal_age_card(replace(protocol, measure="compact card"), again, double, ood).arrays
    others = {f"{kind}_age_shift" for kind in ("test", "dim", "black")} | {"test_shift"}
    assert compact.keys() == arrays.keys() - others
    for name, values in compact.items():
        np.testing.assert_array_equal(values, arrays[name])


def test_the_best_age_is_that_of_the_short_list(card):
    _, _, arrays, _ = card
    for kind in ("ood", "test", "black"):
        np.testing.assert_array_equal(arrays[f"{kind}_age_shift"][:, 0], arrays[f"{kind}_shift"][:, :3])
    control = arrays["ood_shift"][0, 3:].astype(float)  # whose best epoch is its own
    np.testing.assert_allclose(arrays["ood_null"][0], [control.mean(0), control.std(0, ddof=1)], atol=2e-3)


def test_seeds_that_are_trained_together_have_the_cards_that_each_has_alone():
    protocol = replace(PROTOCOL, hosts=("random",))
    together = seeds.finish(protocol, list(SEEDS))
    for seed, (entry, measured) in zip(SEEDS, together, strict=True):
        [(alone, expected)] = seeds.finish(protocol, [seed])
        assert (entry["seed"], entry["identity"], entry["models"]) == (seed, alone["identity"], alone["models"])
        assert measured.arrays.keys() == expected.arrays.keys()
        for name, values in expected.arrays.items():
            np.testing.assert_allclose(
                measured.arrays[name].astype(float), values.astype(float), rtol=2e-3, atol=2e-3, err_msg=name
            )


# D of a null in which age moves every response


def null_cards(rng, n_seeds, *, age):
    """Equal-age cards of models that memorised nothing: a feature's response grows with the age of the model.

    Ages of siblings differ, as early stopping has it; at the control's best epoch they are one. age: how much of the
    response an epoch adds.
    """
    response = rng.normal(0, 0.3, (n_seeds, 1, 3, 10)) + rng.exponential(0.2, (n_seeds, 1, 3, 10))
    epochs = rng.integers(5, 20, (n_seeds, 3, 1, 1))
    ages = {"best": epochs, "control": np.broadcast_to(epochs[:, :1], epochs.shape)}
    shift = np.zeros((n_seeds, 3, len(AGES), 3, 10))
    for name, at in ages.items():
        values = response * (1 + age * at)
        noise = rng.normal(0, 0.02, values.shape)
        shift[:, :, AGES.index(name)] = values + noise - (values + noise).mean(-1, keepdims=True)
    protocol = replace(PROTOCOL, hosts=("random",))
    none = np.zeros((n_seeds, 1), int)
    labels = rng.integers(10, size=(n_seeds, 1))
    arrays = {"ood_age_shift": shift, "ood_shift": shift[:, :, 0]}
    sweep, fits = Sweep(protocol, range(n_seeds), n_seeds, 0), np.zeros((n_seeds, 3, 5, 1, 3))
    return evidence.Cards(sweep, np.arange(n_seeds), labels, none, fits, arrays, [], None)


def test_the_equal_age_contrast_rejects_at_its_level_whatever_age_does():
    rng, p = np.random.default_rng(0), {"best": [], "control": []}
    spread = {"best": [], "control": []}
    for _ in range(400):
        made = null_cards(rng, 20, age=0.1)
        for epoch in p:
            d = contrasts(made, "random", epoch=epoch)
            p[epoch].append(sign_flip_test(d, n_flips=399))
            spread[epoch].append(d.std())
    for values in p.values():  # both are exact; five in a hundred of 400 tests, and no more than chance allows
        assert 0.02 <= np.mean(np.array(values) <= 0.05) <= 0.08
    assert np.mean(spread["control"]) < 0.5 * np.mean(spread["best"])  # but one is much sharper


def test_what_is_memorised_shows_at_every_age():
    made = null_cards(np.random.default_rng(1), 50, age=0.1)
    shift = made.arrays["ood_age_shift"]
    for seed, label in enumerate(made.labels[:, 0]):
        shift[seed, 1, :, 0, label] += 0.2  # the canary's letter
        shift[seed, 2, :, 1, label] += 0.2  # the placebo's own
    for epoch in ("best", "control"):
        assert contrasts(made, "random", epoch=epoch).mean() == pytest.approx(0.2, abs=0.1)
    assert contrasts(made, "random", epoch="initial") == pytest.approx(np.full(50, 0.2))
