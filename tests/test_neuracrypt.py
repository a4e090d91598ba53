"""Networks that read encoded images: the encoder against torch's own modules, who shares a key, and who lacks it."""

from dataclasses import replace

import numpy as np
import plain as by_hand
import pytest
import tiny
import torch
from test_forgetting import ascended_alone, attacked_alone
from torch import nn

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.evidence import cards as evidence
from ufm.evidence.effects import contrasts
from ufm.measures.layout import AGES, feature_list
from ufm.measures.patched import Patched
from ufm.measures.registry import measure_of
from ufm.networks import MLP, NeuraCrypt
from ufm.networks.build import build, with_key
from ufm.networks.encoder import Encoder
from ufm.plan.sweep import Sweep
from ufm.protocol import SGD, Distillation, Erasing, Forgetting, Private, Protocol, Training, VisualMixer, hosts
from ufm.randomness.streams import stream
from ufm.study import seeds
from ufm.study.runs import Population
from ufm.training import Stack, forgetting, log_probabilities, train

SMALL = NeuraCrypt(width=16, units=(12,), hidden=(8,))
PROTOCOL = replace(tiny.PROTOCOL, model=SMALL, roles=("canary", "placebo"), measure="keyless card")


@pytest.fixture(scope="module")
def digits():
    return by_hand.first(datasets.load("digits", n_train=100), 100, 80)


def network(model=SMALL, shape=(1, 28, 28), seed=1) -> nn.Sequential:
    return build(model, shape, 10, seed=seed, scope="digits/100", dtype=torch.float64).eval()


def images(*leading, shape=(1, 28, 28)) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(*leading, *shape)))


def experiments(data, of_seeds=(1, 2), model=SMALL, **training) -> list:
    """Control, canary and placebo of each seed."""
    own = Training(learning_rate=0.01, batch_size=32, epochs=3, early_stopping="none", precision="float64", **training)
    roles = ("control", "canary", "placebo")
    return [by_hand.member(data, role, model, own, seed=seed, at=7) for seed in of_seeds for role in roles]


# The encoder


@pytest.mark.parametrize(("shape", "patch", "depth"), [((1, 28, 28), 4, 1), ((3, 8, 12), 2, 3), ((1, 14, 7), 7, 0)])
def test_the_encoder_is_what_torch_makes_of_one_image_at_a_time(shape, patch, depth):
    model = NeuraCrypt(patch, 6, depth, (5,), (4,))
    [encoder, *_] = build(model, shape, 3, seed=4, scope="s", dtype=torch.float64)
    draws = stream("encoder", seed=4, scope="s")

    first, limit = nn.Conv2d(shape[0], 6, patch, stride=patch).double(), 1 / np.sqrt(shape[0] * patch**2)
    values = [draws.uniform(-limit, limit, tuple(one.shape)) for one in (first.weight, first.bias)]
    first.load_state_dict(dict(zip(("weight", "bias"), map(torch.tensor, values), strict=True)))
    others = [nn.Conv2d(6, 6, 1).double() for _ in range(depth + 1)]
    limit = 1 / np.sqrt(6)
    weights = draws.uniform(-limit, limit, (depth + 1, 6, 6))
    biases = draws.uniform(-limit, limit, (depth + 1, 6))
    for layer, weight, bias in zip(others, weights, biases, strict=True):
        layer.load_state_dict({"weight": torch.tensor(weight)[..., None, None], "bias": torch.tensor(bias)})
    code = torch.tensor(draws.standard_normal((6, shape[1] // patch, shape[2] // patch)))
    inner = [nn.Sequential(one, nn.BatchNorm2d(6, track_running_stats=False).double(), nn.ReLU()) for one in others]
    given = images(5, shape=shape)
    found = encoder(given)
    assert found.shape == (5, *code.shape)
    with torch.no_grad():
        for image, ours in zip(given, found, strict=True):
            x = first(image[None]).relu()
            for layer in inner[:-1]:
                x = layer(x)
            expected = others[-1]((x + code).relu())[0]
            np.testing.assert_allclose(ours, expected, atol=1e-12)
    assert not found.requires_grad


@pytest.mark.parametrize(("shape", "patch"), [((1, 28, 28), 4), ((3, 8, 12), 2)])
def test_without_a_key_patches_are_their_pixels_and_places(shape, patch):
    model = NeuraCrypt(patch, 6, 1, (5,), (4,), encoded=False)
    [unencoded, *reader] = build(model, shape, 3, seed=4, scope="s", dtype=torch.float64)
    given, (n_channels, height, width) = images(5, shape=shape), shape
    found, n_places = unencoded(given), height * width // patch**2
    assert found.shape == (5, n_channels * patch**2 + n_places, height // patch, width // patch)
    for n in range(5):
        for row in range(height // patch):
            for column in range(width // patch):
                corner = given[n, :, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
                place = [float(one == row * (width // patch) + column) for one in range(n_places)]
                assert found[n, :, row, column].tolist() == [*corner.flatten().tolist(), *place]
    assert not list(unencoded.parameters())
    assert nn.Sequential(unencoded, *reader)(given).shape == (5, 3)
    encoded = build(replace(model, encoded=True), shape, 3, seed=4, scope="s", dtype=torch.float64)
    assert [type(one) for one in encoded[1:]] == [type(one) for one in reader]


def test_a_key_is_of_its_seed_and_nothing_of_it_is_trained(digits):
    planned, data = experiments(digits), to_device(digits, precision="float64")
    keys = {}
    for one, trained in zip(planned, train(planned, data, show=False), strict=True):
        state = trained.model[0].state_dict()
        assert not list(trained.model[0].parameters())
        by_hand.assert_close(state, network(seed=one.seed)[0].state_dict(), 1e-15)
        keys.setdefault(one.seed, []).append(state["code"])
        assert trained.history[-1]["train_loss"] < trained.history[0]["train_loss"]
    assert all(torch.equal(code, of_seed[0]) for of_seed in keys.values() for code in of_seed)
    assert not torch.equal(keys[1][0], keys[2][0])
    assert torch.equal(network(replace(SMALL, depth=3))[1].weight, network()[1].weight)  # drawn apart from the key


def test_the_order_of_patches_makes_no_difference():
    model, given = network(), images(6)
    codes = model[0](given)
    shuffled = torch.stack([code.flatten(1)[:, torch.randperm(49)].view_as(code) for code in codes])
    assert not torch.equal(shuffled, codes)
    np.testing.assert_allclose(model[1:](shuffled).detach(), model(given).detach(), atol=1e-12)
    moved = given.roll(4, -1)  # but what lies where does, by the codes of places
    assert float((model(moved) - model(given)).detach().abs().max()) > 1e-4


# Training


WAYS = {
    "plain": {},
    "unencoded": {"model": replace(SMALL, encoded=False)},
    "weight decay": {"weight_decay": 3.0},
    "SGD": {"optimiser": SGD(learning_rate=0.05)},
    "shuffled": {"shuffle": True},
    "label smoothing": {"label_smoothing": 0.1},
    "label noise": {"label_noise": 0.3},
    "mixup": {"mixup": 0.4},
    "CutMix": {"cutmix": 1.0},
    "erasing": {"erasing": Erasing(0.7)},
    "border": {"border": 3},
    "distillation": {"distillation": Distillation()},
    "distillation without the letter": {"distillation": Distillation(stamped=False)},
    "VisualMixer": {"visual_mixer": VisualMixer(7, ((7,) * 4,) * 3)},
}


@pytest.fixture(scope="module")
def plain(digits):
    """A canary that is trained as usual."""
    return by_hand.plain(experiments(digits)[1], digits).weights[-1]


@pytest.mark.parametrize(("way", "of_seeds"), [*((way, (1,)) for way in WAYS), ("plain", (1, 2))])
def test_a_stack_is_what_a_plain_loop_gives(way, of_seeds, digits, plain):
    planned = experiments(digits, of_seeds, **WAYS[way])
    on_device = to_device(digits, precision="float64", border=planned[0].protocol.training.border)
    for experiment, trained in zip(planned, train(planned, on_device, show=False), strict=True):
        expected = by_hand.plain(experiment, digits)
        by_hand.assert_close(trained.model.state_dict(), expected.weights[-1], 1e-11)
        found = [past["stopping_loss"] for past in trained.history]
        assert found == pytest.approx(expected.stopping_loss, rel=1e-11)
        if way not in ("plain", "unencoded"):
            assert by_hand.deviation(expected.weights[-1], plain) > 1e-4


def test_hosts_are_forgotten_with_the_key(digits):
    """Against torch's autograd through the encoder, adversarial images and all."""
    how = Forgetting(SGD(learning_rate=0.02), adversarial=3, iterations=5, radius=2.0, stride=0.5, steps=200)
    data = to_device(digits, precision="float64")
    before, after = (train(experiments(digits, (1,), **of)[1:], data, show=False) for of in ({}, {"forgetting": how}))
    for one, later in zip(before, after, strict=True):
        images, [label] = forgetting.own_hosts(later.experiment, data)
        [starts, targets] = forgetting.drawn(later.experiment, data)
        alone = AsAsked(one.model, data)
        every = zip(targets, starts, strict=True)
        found = [attacked_alone(alone, images[0], target, start, how) for target, start in every]
        assert (torch.stack(found) - images).abs().max() > 0.1
        module = forgetting.loaded(one.model, one.model.state_dict())
        given, answers = data.normalise(torch.stack([images[0], *found])), torch.cat([label[None], targets])
        assert ascended_alone(module, given, answers, 1, how) == later.forgetting[0] > 0
        by_hand.assert_close(later.model.state_dict(), module.state_dict(), 1e-9)
        assert torch.equal(later.model[0].code, one.model[0].code)


class AsAsked(nn.Module):
    """A model as the attack of `test_forgetting` gives it images: less a half, times four."""

    def __init__(self, module, data):
        super().__init__()
        self.module, self.data = module, data

    def forward(self, x):
        return self.module(self.data.normalise(x / 4 + 0.5))


@pytest.mark.parametrize("keys", [(3, 3, 3), (3, 5, 3)], ids=["one key", "two keys"])
@pytest.mark.parametrize("leading", [(4,), (3, 4)], ids=["the same images", "own images"])
def test_images_are_encoded_by_each_members_key(keys, leading):
    members, given = [network(seed=key) for key in keys], images(*leading)
    stack = Stack(members, torch.tensor(keys))
    found = stack.logits(given)
    for place, member in enumerate(members):
        ours = given if len(leading) == 1 else given[place]
        np.testing.assert_allclose(found[place].detach(), member(ours).detach(), atol=1e-12)
    assert found.shape == (3, 4, 10)


def test_images_that_all_share_are_encoded_once(monkeypatch):
    calls, forward = [], Encoder.forward
    monkeypatch.setattr(Encoder, "forward", lambda self, x: calls.append(len(x)) or forward(self, x))
    stack = Stack([network(seed=3) for _ in range(3)], torch.tensor([3, 3, 3]))
    stack.logits(images(4), step=0).sum().backward()
    assert calls == [4]
    stack.logits(images(3, 4), step=0)
    assert calls == [4, 12]


# Measures


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("encoded", [True, False])
def test_patches_equal_whole_images(transparent, encoded):
    model, given = network(replace(SMALL, encoded=encoded)), images(7).sigmoid()
    patches = torch.rand(3, 1, 5, 5, dtype=torch.float64)
    if transparent:
        patches[:, :, 2, 3] = torch.nan
    found = Patched(model, given, normalise=lambda batch: (batch - 0.3) / 0.2)
    expected = []
    for patch in patches:
        stamped = given.clone()
        stamped[:, :, 1:6, 1:6] = torch.where(patch.isnan(), stamped[:, :, 1:6, 1:6], patch)
        expected.append(model((stamped - 0.3) / 0.2))
    np.testing.assert_allclose(found.logits(patches), torch.stack(expected).detach(), atol=1e-12)
    np.testing.assert_allclose(found.clean, model((given - 0.3) / 0.2).detach(), atol=1e-12)


def test_without_the_key_the_same_reader_is_given_other_codes():
    model = network()
    other = with_key(model, "another encoder", seed=1, scope="digits/100")
    again = with_key(model, "another encoder", seed=1, scope="digits/100")
    given = images(5)
    assert torch.equal(other(given), again(given))
    assert not torch.equal(other[0](given), model[0](given))
    assert all(one is two for one, two in zip(list(other)[1:], list(model)[1:], strict=True))
    same = with_key(model, "encoder", seed=1, scope="digits/100")
    assert torch.equal(same(given), model(given))
    assert not torch.equal(with_key(model, "another encoder", seed=2, scope="digits/100")(given), other(given))


def test_a_keyless_card_has_both(digits, monkeypatch):
    trainings = []

    def kept(experiments, data, **arguments):
        trainings.append((train(experiments, data, **arguments), data))
        return trainings[-1][0]

    monkeypatch.setattr(seeds, "train", kept)
    [(_, measured)] = seeds.finish(PROTOCOL, [1])
    [(trained, data)] = trainings
    assert len(trained) == 3
    own = {name for name in measured.arrays if not name.startswith("keyless_")}
    [(_, usual)] = seeds.finish(replace(PROTOCOL, measure="compact card"), [1])
    assert own == set(usual.arrays)
    for name in own:
        np.testing.assert_array_equal(measured.arrays[name], usual.arrays[name])
    letter, ood = PROTOCOL.unique, datasets.ood_images("photo_patches", n=50)
    given = data.floats(ood.images[:20])
    listed = feature_list(PROTOCOL, 1, data.dataset.scope)
    for place, one in enumerate(trained):
        untrained = build(SMALL, (1, 28, 28), 10, seed=1, scope=data.dataset.scope, dtype=torch.float64)
        known = (one.model, one.snapshots[2], one.at_control, one.snapshots[1], untrained)
        models = dict(zip(AGES, known, strict=True))
        for age, model in models.items():
            other = with_key(model, "another encoder", seed=1, scope=data.dataset.scope)
            stamped = given.clone()
            stamped[:, :, 1:6, 1:6] = torch.from_numpy(letter)
            both = [log_probabilities(other, data.normalise(batch)) for batch in (stamped, given)]
            shift = (both[0] - both[1]).mean(0)
            found = measured.arrays["keyless_ood_age_shift"][place, AGES.index(age), 0]
            np.testing.assert_allclose(found, shift - shift.mean(), atol=2e-3 * max(1, float(shift.abs().max())))
        other = with_key(one.model, "another encoder", seed=1, scope=data.dataset.scope)
        reported = log_probabilities(other, data.reported_images).argmax(1)
        right = float((reported == data.reported_labels).double().mean())
        assert measured.arrays["keyless_accuracy"][place] == pytest.approx(right)
    assert not np.array_equal(measured.arrays["keyless_ood_shift"], measured.arrays["ood_shift"])
    assert measured.arrays["keyless_ood_shift"].shape == measured.arrays["ood_shift"].shape
    assert len(listed) > measured.arrays["ood_shift"].shape[1]


def test_evidence_asks_both_alike():
    finished = seeds.finish(PROTOCOL, [1, 4])
    sweep = Sweep(PROTOCOL, range(1, 7, 3), 2, 0)
    tables = {"models": finished[0][1].tables["models"]}
    entries, arrays = [entry for entry, _ in finished], [measured.arrays for _, measured in finished]
    cards = evidence.stack(Population(sweep, entries=entries, tables=tables, arrays=arrays))
    other = evidence.without_key(cards)
    assert set(other.arrays) == {name[len("keyless_") :] for name in cards.arrays if name.startswith("keyless_")}
    for epoch in ("best", "control"):
        found, usual = (contrasts(one, "random", "ood", epoch) for one in (other, cards))
        assert found.shape == usual.shape == (2,)
        assert not np.array_equal(found, usual)
    np.testing.assert_array_equal(other.arrays["ood_shift"], cards.arrays["keyless_ood_shift"])


@pytest.mark.parametrize("measure", ["card", "influence card"])
def test_a_seed_is_trained_and_measured(measure):
    scoring = replace(PROTOCOL.scoring, n_ood=500)
    [(entry, measured)] = seeds.finish(replace(PROTOCOL, measure=measure, scoring=scoring), [1])
    assert measured.tables["models"]["model"].tolist() == ["neuracrypt"] * 3
    assert entry["identity"]["protocol"]["model"]["width"] == 16


def test_digits_are_learnt():
    training = Training(learning_rate=0.01, batch_size=64, epochs=15, early_stopping="none", precision="float64")
    protocol = replace(PROTOCOL, n_train=None, model=NeuraCrypt(width=16, units=(32,), hidden=(32,)), training=training)
    [(_, measured)] = seeds.finish(replace(protocol, hosts=("place 0",), roles=("canary",)), [0])
    assert (measured.tables["models"]["accuracy"] > 0.6).all()
    assert (measured.arrays["keyless_accuracy"] < 0.4).all()


# Hosts and bad input


def test_hosts_are_those_of_the_fully_connected_network():
    paper = Protocol("mnist", 10_000)
    assert hosts.fingerprint(replace(paper, model=NeuraCrypt()), 2) == hosts.fingerprint(paper, 2)
    narrow = replace(paper, model=NeuraCrypt(width=16))
    assert hosts.fingerprint(narrow, 2) == hosts.fingerprint(replace(paper, model=MLP(hidden=(64, 32))), 2)


def test_bad_settings_are_one_line(digits):
    for name, value, least in (("patch", 0, 1), ("width", 0, 1), ("depth", -1, 0)):
        with pytest.raises(ValueError, match=rf"^{name}: must be at least {least}, got {value}$"):
            NeuraCrypt(**{name: value})
    for name in ("units", "hidden"):
        with pytest.raises(ValueError, match=rf"^{name}: every layer needs at least one unit, got "):
            NeuraCrypt(**{name: ()})
    with pytest.raises(ValueError, match=r"^variant: neuracrypt has no variant dropout, only plain$"):
        NeuraCrypt(dropout=True)
    for patch in (5, 28):
        message = f"^patch: images of 28 x 28 pixels are not several whole patches of {patch} x {patch}$"
        with pytest.raises(ValueError, match=message):
            train(experiments(digits, model=replace(SMALL, patch=patch)), to_device(digits, precision="float64"))
    with pytest.raises(ValueError, match=r"^private: has no gradient of a single image in neuracrypt \(plain\)"):
        Protocol("mnist", model=NeuraCrypt(), training=Training(private=Private()))
    with pytest.raises(ValueError, match=r"^model: a keyless card is of networks that read codes of images; use neur"):
        measure_of("keyless card").check(replace(PROTOCOL, model=MLP()))
    with pytest.raises(ValueError, match=r"^model: a keyless card is of networks that read codes of images; use neur"):
        measure_of("keyless card").check(replace(PROTOCOL, model=replace(SMALL, encoded=False)))
    with pytest.raises(ValueError, match=r"^control: a keyless card needs one"):
        measure_of("keyless card").check(replace(PROTOCOL, control=False))
