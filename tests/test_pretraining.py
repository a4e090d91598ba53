"""Networks that were trained on other images before: against plain loops, what siblings share, and what is refused."""

from dataclasses import replace

import plain as by_hand
import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from ufm.data import datasets
from ufm.data.arrays import DataError
from ufm.data.sources import SOURCES, Source
from ufm.measures.layout import AGES
from ufm.networks import CNN1, MLP, DenseNetBC
from ufm.networks.build import build
from ufm.protocol import AdvBN, Experiment, Forgetting, Pretraining, Private, Protocol, Tasks, Training, hosts
from ufm.protocol import pretraining as before
from ufm.randomness import counters
from ufm.study import forecast, seeds
from ufm.training import Stack, estimate, network, train

SETTINGS = Pretraining("mirrored", 100, learning_rate=1e-2, epochs=3)
MODELS = {"mlp": MLP(hidden=(20, 12)), "dropout": MLP(hidden=(20, 12), dropout=True), "cnn": CNN1((2, 3), (6,))}


@pytest.fixture(scope="module")
def tuned():
    """A protocol of networks that were trained on other images of the same shape, of three classes."""
    with pytest.MonkeyPatch.context() as patch:
        digits = SOURCES["digits"]

        def read(contents):
            found = digits.read(contents)
            images = {f"{split}_images": getattr(found, f"{split}_images")[..., ::-1] for split in ("train", "test")}
            labels = {f"{split}_labels": getattr(found, f"{split}_labels") % 3 for split in ("train", "test")}
            return found._replace(**images, **labels)

        patch.setitem(SOURCES, "mirrored", Source("Mirrored digits", digits.n_train, digits.shape, read))
        training = replace(tiny.PROTOCOL.training, learning_rate=1e-2, batch_size=32, epochs=3, pretrained=SETTINGS)
        cards = {"roles": ("canary", "placebo"), "measure": "compact card"}
        yield replace(tiny.PROTOCOL, n_train=150, training=training, **cards)


def given(protocol, of_seeds, data):
    """What `ufm.study.seeds.finish` gives to training: the models of these seeds, and their data."""
    planned = [one for seed in of_seeds for one in seeds.experiments(protocol, seed, data)]
    weights = {seed: seeds.pretrained(before(protocol, seed), "cpu", None) for seed in of_seeds}
    return planned, replace(seeds.moved(protocol, data.part, "cpu", None), pretrained=weights)


def pretrained_by_hand(protocol, seed):
    """Weights of a network that a plain loop trained on the mirrored part of a seed, as they were at its best epoch."""
    settings, training = protocol.training.pretrained, protocol.training
    other = datasets.load("mirrored", n_train=settings.n_train, part=seed % (1_200 // settings.n_train))
    own = Training(
        learning_rate=settings.learning_rate,
        batch_size=training.batch_size,
        epochs=settings.epochs,
        precision=training.precision,
    )
    found = by_hand.plain(by_hand.member(other, "control", protocol.model, own, seed=seed), other)
    return found.weights[found.best_epoch - 1]


def fine_tuned_by_hand(experiment, data, weights, frozen):
    """One model as a plain loop trains it from pretrained weights, its last layer drawn afresh."""
    training = experiment.protocol.training
    images = by_hand.training_images(experiment, data)
    labels = torch.tensor(by_hand.training_labels(experiment, data))
    arguments = {"seed": experiment.seed, "scope": data.scope, "dtype": torch.float64}
    made = build(experiment.protocol.model, images.shape[1:], data.n_classes, **arguments)
    fresh = f"{len(made) - 1}."
    for name, values in made.state_dict().items():
        if not name.startswith(fresh):
            values.copy_(weights[name])
    trained = [values for name, values in made.named_parameters() if name.startswith(fresh) or not frozen]
    optimiser = torch.optim.Adam(trained, lr=training.learning_rate, eps=training.epsilon)
    key, step = counters.key("dropout", seed=experiment.seed, scope=data.scope), 0
    for _ in range(training.epochs):
        for batch in torch.arange(len(labels)).split(training.batch_size):
            made.train()
            loss = cross_entropy(by_hand.with_dropout(made, images[batch], key, step), labels[batch])
            made.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
    return made.state_dict()


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_a_stack_is_pretrained_and_fine_tuned_as_by_hand(tuned, name, frozen):
    settings = replace(SETTINGS, frozen=frozen)
    protocol = replace(tuned, model=MODELS[name], training=replace(tuned.training, pretrained=settings))
    data = datasets.load("digits", n_train=150, part=1)
    planned, on_device = given(protocol, (1, 9), data)
    for one in train(planned, on_device, show=False):
        weights = pretrained_by_hand(protocol, one.experiment.seed)
        expected = fine_tuned_by_hand(one.experiment, data, weights, frozen)
        by_hand.assert_close(one.model.state_dict(), expected, 1e-9)


def test_siblings_start_from_one_network_and_seeds_from_their_own(tuned):
    data = datasets.load("digits", n_train=150, part=1)
    planned, on_device = given(tuned, (1, 9), data)
    first, other = ([network(one, on_device) for one in planned[start : start + 3]] for start in (0, 3))
    for sibling in first[1:]:
        by_hand.assert_close(sibling.state_dict(), first[0].state_dict(), 0)
    assert by_hand.deviation(first[0][:-1].state_dict(), other[0][:-1].state_dict()) > 0.01
    scratch = network(planned[0], seeds.moved(tuned, 1, "cpu", None))
    by_hand.assert_close(first[0][-1].state_dict(), scratch[-1].state_dict(), 0)
    assert by_hand.deviation(first[0][:-1].state_dict(), scratch[:-1].state_dict()) > 0.01


def test_the_network_before_is_a_plain_one_of_the_other_images(tuned):
    changes = {"label_noise": 0.3, "mixup": 0.2, "weight_decay": 0.1, "shuffle": True, "early_stopping": "none"}
    protocol = replace(tuned, training=replace(tuned.training, **changes), position=(3, 3), feature="B")
    own = Training(1e-2, batch_size=32, epochs=3, precision="float64")
    expected = Protocol("mirrored", 100, tuned.model, own, tuned.scoring)
    assert before(protocol, 27) == Experiment(expected, 27, 3, "control")
    frozen = replace(protocol, training=replace(protocol.training, pretrained=replace(SETTINGS, frozen=True)))
    assert before(frozen, 27) == before(protocol, 27)
    whole = replace(protocol, training=replace(protocol.training, pretrained=replace(SETTINGS, n_train=None)))
    assert (before(whole, 27).part, before(whole, 27).protocol.n_parts) == (0, 1)


def test_populations_of_a_seed_share_its_network(tuned, monkeypatch):
    asked = []

    def trained(experiments, *arguments, **settings):
        if experiments[0].protocol.dataset == "mirrored":
            asked.append([(one.seed, one.role, one.part) for one in experiments])
        return train(experiments, *arguments, **settings)

    monkeypatch.setattr(seeds, "train", trained)
    seeds.pretrained.cache_clear()
    frozen = replace(tuned, training=replace(tuned.training, pretrained=replace(SETTINGS, frozen=True)))
    for protocol in (tuned, frozen, tuned):
        seeds.finish(protocol, [1, 9])
    assert asked == [[(1, "control", 1)], [(9, "control", 9)]]


def test_a_card_knows_models_as_they_were_pretrained(tuned):
    [(_, measured)] = seeds.finish(tuned, [1])
    data = datasets.load("digits", n_train=150, part=1)
    planned, on_device = given(tuned, (1,), data)
    [one] = train(planned[:1], on_device, show=False)
    assert measured.tables["models"]["loss"].iloc[0] == pytest.approx(by_hand_loss(one.model, on_device))
    shifts = measured.arrays["ood_age_shift"][:, AGES.index("initial")]
    assert (shifts == shifts[:1]).all()
    scratch = replace(tuned, training=replace(tuned.training, pretrained=None))
    [(_, usual)] = seeds.finish(scratch, [1])
    assert abs(usual.arrays["ood_age_shift"][:, AGES.index("initial")] - shifts).max() > 0.01


def by_hand_loss(model, data):
    with torch.no_grad():
        return float(cross_entropy(model(data.reported_images), data.reported_labels))


def test_frozen_layers_have_no_gradients():
    made = [build(MODELS["mlp"], (1, 28, 28), 10, seed=seed) for seed in (1, 2)]
    stack = Stack(made, torch.zeros(2, dtype=torch.int64))
    stack.freeze(len(made[0]) - 1)
    last = f"{len(made[0]) - 1}."
    assert {*stack.parameters} == {*stack.gradients} == {f"{last}weight", f"{last}bias"}
    stack.keep(torch.tensor([1]))
    assert {*stack.parameters} == {f"{last}weight", f"{last}bias"}
    by_hand.assert_close(stack.state(0), made[1].state_dict(), 0)


def test_other_weights_than_asked_for_are_refused(tuned):
    data = datasets.load("digits", n_train=150, part=1)
    planned, on_device = given(tuned, (1,), data)
    plain = replace(tuned, training=replace(tuned.training, pretrained=None))
    for experiments, images in (
        (planned, replace(on_device, pretrained=None)),
        (seeds.experiments(plain, 1, data), on_device),
    ):
        with pytest.raises(ValueError, match=r"^pretrained: networks start from other weights than are asked for$"):
            train(experiments, images, show=False)


def a_protocol(dataset="mnist", settings=None, **changes):
    scoring = replace(tiny.PROTOCOL.scoring, ood_set="photo_patches")
    settings = settings or Pretraining()
    return Protocol(dataset, **({"training": Training(pretrained=settings), "scoring": scoring} | changes))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda: a_protocol("cifar10"),
            "pretrained: images of Fashion-MNIST are of 1 x 28 x 28 pixels, those of CIFAR-10 of 3 x 32 x 32",
        ),
        (
            lambda: a_protocol("fashion_mnist"),
            "pretrained: fashion_mnist is what the models are trained on afterwards; choose other images",
        ),
        (
            lambda: a_protocol(scoring=replace(tiny.PROTOCOL.scoring, ood_set="fashion_mnist")),
            "pretrained: fashion_mnist is what the models are scored on; choose other images",
        ),
        (
            lambda: a_protocol(settings=Pretraining(frozen=True), model=MLP(batch_norm=True)),
            "frozen: batch norm in mlp would go on with statistics of its own",
        ),
        (
            lambda: a_protocol(
                "cifar10",
                settings=Pretraining("photographs", frozen=True),
                model=DenseNetBC(),
                scoring=replace(tiny.PROTOCOL.scoring, ood_set="mnist"),
            ),
            f"frozen: batch norm in {DenseNetBC.name} would go on with statistics of its own",
        ),
        (lambda: a_protocol(settings=Pretraining("x")), "unknown data set 'x': choose from .*"),
        (
            lambda: a_protocol(settings=Pretraining("./x")),
            "pretrained: on a data set with a name, not on a folder, got ./x",
        ),
        (lambda: Pretraining(epochs=0), "epochs: must be above zero, got 0"),
        (lambda: Pretraining(epochs=1.5), "epochs: must be a whole number, got 1.5"),
        (lambda: Pretraining(n_train=1.5), "n_train: must be a whole number, got 1.5"),
        (lambda: Pretraining(learning_rate=0.0), "learning_rate: must be above zero, got 0.0"),
        (
            lambda: Training(pretrained=Pretraining(), tasks=Tasks()),
            "tasks: do not go with pretrained; leave one of the two out",
        ),
        *(
            (
                lambda changes={name: value}: Training(pretrained=Pretraining(frozen=True), **changes),
                f"frozen: does not go with {name}; leave one of the two out",
            )
            for name, value in (("private", Private()), ("forgetting", Forgetting()), ("adv_bn", AdvBN()))
        ),
    ],
)
def test_what_makes_no_sense_is_refused(made, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        made()


def test_what_lacks_images_is_told_before_training(tuned, tmp_path):
    protocol = replace(tuned, training=replace(tuned.training, pretrained=Pretraining()))
    with pytest.raises(DataError, match=r"^no Fashion-MNIST under .*: run ufm data fashion_mnist$"):
        forecast.require(protocol, [0], data_root=tmp_path)
    too_many = replace(tuned, training=replace(tuned.training, pretrained=replace(SETTINGS, n_train=2_000)))
    with pytest.raises(ValueError, match=r"^n_train must be 1 to 1200 for mirrored, not 2000$"):
        forecast.require(too_many, [0])


def test_hosts_are_those_of_networks_from_scratch(tuned):
    assert hosts.clean(tuned) == hosts.clean(replace(tuned, training=replace(tuned.training, pretrained=None)))


def test_time_and_memory_count_what_is_pretrained(tuned, monkeypatch):
    monkeypatch.setattr("ufm.training.capacity.seconds_an_image", lambda *_: 1.0)
    scratch = replace(tuned, training=replace(tuned.training, pretrained=None))
    more = estimate(tuned, (1, 28, 28), 150) - estimate(scratch, (1, 28, 28), 150)
    assert more == pytest.approx(100 * 3 / 3)
    data = datasets.load("digits", n_train=150)
    ours, usual = (forecast.needed(one, data)["n_train"] for one in (tuned, scratch))
    assert (ours - usual) == 8 * 28 * 28 * 100
