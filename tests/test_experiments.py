"""Fingerprints of experiments and protocols, random hosts, and what is refused before it is trained."""

import copy
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from plain import varied

from ufm import features
from ufm.data import sources
from ufm.data.datasets import load
from ufm.measures import layout
from ufm.networks import CNN1, CNN2, MLP
from ufm.protocol import SGD, Experiment, Pretraining, Protocol, Scoring, Training, check, experiments, hosts
from ufm.study import seeds

PROTOCOL = Protocol(dataset="digits", n_train=400, scoring=Scoring(ood_set="photo_patches"))
MODELS = [MLP(), CNN1(), CNN2()]
CANARY = Experiment(PROTOCOL, 1, 1, "canary", "random", 17, 3)
# Fields that do not say how one is trained.
UNTRAINED = {"scoring", "hosts", "measure", "roles", "planned", "control", "found_by", "found_at"}


@pytest.fixture(scope="module")
def part():
    """The training part of seed 1."""
    return load("digits", n_train=400, part=1)


@pytest.fixture
def same_data(monkeypatch):
    """Every data set has the same checksum, so that a fingerprint can change by its settings alone."""
    monkeypatch.setattr(experiments, "checksum", lambda name: "0123456789abcdef")


def places(settings, path=()):
    """The paths to every field of a dataclass and of the dataclasses in it."""
    paths = []
    for one in fields(settings):
        value = getattr(settings, one.name)
        paths += places(value, (*path, one.name)) if is_dataclass(value) else [(*path, one.name)]
    return paths


def changed(settings, path):
    """A copy with another value in one field; validation is passed over, so that any other value will do."""
    name, *rest = path
    value, clone = getattr(settings, name), copy.copy(settings)
    if rest:
        value = changed(value, rest)
    elif name == "found_by":
        value = MLP(hidden=(7, 5))
    elif name == "pretrained":
        value = Pretraining()
    elif value is None:
        value = 1
    elif isinstance(value, bool):
        value = not value
    elif isinstance(value, int | float):
        value += 1
    elif isinstance(value, str):
        value += "'"
    elif isinstance(value, tuple):
        value += value[-1:]
    else:
        raise TypeError(f"{'.'.join(path)}: this test knows no other {type(value).__name__}; teach it one")
    object.__setattr__(clone, name, value)
    return clone


# Fingerprints


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_fingerprint_of_a_seed_changes_with_every_field(model, same_data):
    protocol = replace(PROTOCOL, model=model)
    paths = places(protocol)
    found = {path: changed(protocol, path).fingerprint(1) for path in paths}
    assert len({protocol.fingerprint(1), *found.values()}) == 1 + len(paths)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_fingerprint_of_a_model_changes_with_every_field(model, same_data):
    canary = varied(CANARY, model=model)
    found = {path: changed(canary, path).fingerprint() for path in places(canary)}
    untrained = {path for path in found if path[:1] == ("protocol",) and path[1] in UNTRAINED}
    assert {found[path] for path in untrained} == {canary.fingerprint()}
    assert len(set(found.values())) == 1 + len(found.keys() - untrained)


def test_every_settings_class_is_reached():
    parts = {(), ("model",), ("training",), ("scoring",)}
    assert {path[:-1] for path in places(PROTOCOL)} == parts
    assert {path[:-1] for path in places(CANARY)} == {(), *(("protocol", *path) for path in parts)}


def test_no_two_seeds_share_a_fingerprint(same_data):
    assert len({PROTOCOL.fingerprint(seed) for seed in range(100)}) == 100


@pytest.mark.parametrize("fingerprint", [lambda: PROTOCOL.fingerprint(1), CANARY.fingerprint])
def test_fingerprints_change_with_the_recipe_and_nothing_else(fingerprint, monkeypatch):
    before = fingerprint()
    monkeypatch.setattr(experiments, "RECIPE", experiments.RECIPE + 1)
    assert fingerprint() != before
    monkeypatch.undo()
    assert fingerprint() == before


@pytest.mark.parametrize("name", ["digits", "photo_patches"])
def test_fingerprints_change_with_the_data(name, monkeypatch):
    seed, model = PROTOCOL.fingerprint(1), CANARY.fingerprint()
    monkeypatch.setattr(experiments, "checksum", lambda one: "changed" if one == name else sources.checksum(one))
    assert PROTOCOL.fingerprint(1) != seed
    # A model does not know on which images it will be scored.
    assert (CANARY.fingerprint() != model) == (name == "digits")


@pytest.mark.parametrize("attribute", ["name", "variant"])
def test_fingerprints_change_with_the_architecture(attribute):
    other = type("Other", (MLP,), {attribute: "other"})(hidden=PROTOCOL.model.hidden)
    assert replace(PROTOCOL, model=other).fingerprint(1) != PROTOCOL.fingerprint(1)
    assert varied(CANARY, model=other).fingerprint() != CANARY.fingerprint()


def test_equal_settings_have_equal_fingerprints():
    again = Protocol("digits", 400, MLP(hidden=(512, 256)), Training(), Scoring("photo_patches", 50_000))
    assert again.fingerprint(1) == PROTOCOL.fingerprint(1)
    assert copy.deepcopy(CANARY).fingerprint() == CANARY.fingerprint()


def test_fingerprints_of_downloaded_data_need_no_file(monkeypatch, tmp_path):
    monkeypatch.setenv("UFM_DATA", str(tmp_path / "nowhere"))
    sources.checksum.cache_clear()
    protocol = Protocol(dataset="mnist")
    assert len(protocol.fingerprint(0)) == 16
    assert protocol.fingerprint(0) != replace(protocol, dataset="fashion_mnist").fingerprint(0)
    assert len(varied(CANARY, dataset="mnist").fingerprint()) == 16


# Hosts


def test_hosts_are_drawn_without_replacement_over_seeds():
    for number in range(3):
        part = load("digits", n_train=400, part=number)
        drawn = [hosts.place(PROTOCOL, "random", seed, part) for seed in range(number, 1200, 3)]
        assert sorted(drawn) == list(range(400))


def test_hosts_depend_on_data_set_size_and_part(part):
    drawings = [
        part,
        replace(part, name="other"),
        replace(part, n_train=399),
        load("digits", n_train=400, part=2),
    ]
    drawn = {
        tuple(hosts.place(PROTOCOL, "random", one.n_parts * turn + one.part, one) for turn in range(20))
        for one in drawings
    }
    assert len(drawn) == len(drawings)
    assert [hosts.place(PROTOCOL, "random", 4, part) for _ in range(2)] == [hosts.place(OTHER, "random", 4, part)] * 2


OTHER = replace(PROTOCOL, model=CNN1(), training=Training(epochs=3), feature="B")  # hosts are the same for all


def test_a_seed_has_no_host_in_another_part(part):
    with pytest.raises(ValueError, match="^seed: 2 belongs to part 2 of digits/400, not to part 1$"):
        hosts.place(PROTOCOL, "random", 2, part)


@pytest.mark.parametrize(("n_train", "last"), [(None, 1199), (400, 1199), (500, 999)])
def test_a_seed_beyond_the_last_host_is_refused(n_train, last):
    def host(seed):
        data = load("digits", n_train=n_train, part=seed % (1200 // (n_train or 1200)))
        return hosts.place(PROTOCOL, "random", seed, data)

    assert 0 <= host(last) < (n_train or 1200)
    with pytest.raises(ValueError, match=f"^seed: {last + 1} is beyond .* has hosts for {last + 1} seeds, from 0 on$"):
        host(last + 1)


def test_a_seeds_host_is_one_of_its_parts_images():
    full = load("digits")
    for seed in range(30):
        part = load("digits", n_train=400, part=seed % 3)
        control, canary = seeds.experiments(PROTOCOL, seed, part)
        assert canary.canary_index in part.train_indices
        assert canary.canary_label == full.train_labels[canary.canary_index]
        assert (control.role, control.part, control.seed) == ("control", seed % 3, seed)
        check(control, part)
        check(canary, part)


def test_twins_differ_in_what_is_stamped_only(part):
    protocol = replace(PROTOCOL, feature="B", position=(2, 3))
    control, canary = seeds.experiments(protocol, 1, part)
    plain = {"role": "control", "host": "", "canary_index": None, "canary_label": None}
    assert replace(canary, **plain) == control
    assert (control.host, control.canary_index, control.feature) == ("", None, "")
    assert (canary.role, canary.host, canary.feature, canary.protocol.position) == ("canary", "random", "B", (2, 3))
    assert control.protocol == protocol


def test_a_seeds_models_are_the_control_and_each_role_on_each_host(part):
    protocol = replace(PROTOCOL, roles=("canary", "placebo"))
    control, canary, placebo = seeds.experiments(protocol, 1, part)
    assert protocol.n_models == 3
    assert placebo == replace(canary, role="placebo")
    for roles, models in ((("canary",), [control, canary]), (("placebo",), [control, placebo])):
        alone = seeds.experiments(replace(PROTOCOL, roles=roles), 1, part)
        assert [one.fingerprint() for one in alone] == [one.fingerprint() for one in models]
    assert replace(protocol, hosts=("random", "hard")).n_models == 5
    assert len({one.fingerprint() for one in (control, canary, placebo)}) == 3


def test_what_is_stamped_is_the_letter_or_the_seeds_placebo_feature(part):
    _, canary, placebo = seeds.experiments(replace(PROTOCOL, roles=("canary", "placebo"), feature="B"), 1, part)
    letter = features.letter("B")
    assert (canary.pixels() == letter).all()
    expected = features.placebo(letter, seed=1, host="random", scope="digits/400")
    assert (placebo.pixels() == expected).all()
    assert (replace(placebo, host="hard").pixels() != expected).any()
    assert (replace(placebo, seed=4).pixels() != expected).any()
    full = varied(placebo, n_train=None).pixels()
    assert (full == features.placebo(letter, seed=1, host="random", scope="digits/full")).all()


@pytest.mark.parametrize(
    ("early_stopping", "epochs", "patience", "expected"),
    [
        ("half", 100, 10, 10),
        ("half", 8, 10, 8),
        ("half", 100, 3, 4),  # a model whose best epoch is the first ends with the fourth
        ("released", 100, 3, 4),
        ("half", 3, 3, 3),
        ("none", 100, 3, 10),
        ("none", 4, 10, 4),
    ],
)
def test_every_model_reaches_the_epoch_of_the_same_age(early_stopping, epochs, patience, expected):
    assert Training(early_stopping=early_stopping, epochs=epochs, patience=patience).same_age == expected


# Refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"role": "twin"}, "role: 'twin' is not one of control, canary, placebo$"),
        ({"canary_index": 1200}, "canary_index: 1200 is not among the 400 training images"),
        ({"canary_index": -1}, "canary_index: -1 is not among"),
        ({"canary_index": None}, "canary_index: None is not among"),
        ({"canary_index": "another part's"}, r"canary_index: \d+ is not among"),
        ({"canary_label": "wrong"}, r"canary_label: \d is not the label of image \d+, which is \d$"),
        ({"canary_label": None}, "canary_label: None is not the label"),
        ({"feature": "a"}, "feature: 'a' is no letter A to Z"),
        ({"position": (24, 1)}, "feature would cover rows 24 to 28 .* change its position"),
        ({"position": (1, -1)}, "feature would cover .* columns -1 to 3 .* change its position"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(changes, message, part):
    canary = seeds.experiments(PROTOCOL, 1, part)[1]
    if changes == {"canary_index": "another part's"}:
        changes = {"canary_index": int(load("digits", n_train=400, part=2).train_indices[0])}
    if changes == {"canary_label": "wrong"}:
        changes = {"canary_label": (canary.canary_label + 1) % 10}
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        check(varied(canary, **changes), part)
    assert "\n" not in str(caught.value)


def protocol_of(**changes):
    return replace(PROTOCOL, **changes)


@pytest.mark.parametrize(
    ("settings", "field", "value"),
    [
        *((Training, name, 0) for name in ("learning_rate", "epsilon", "batch_size", "epochs", "patience")),
        (Training, "learning_rate", float("nan")),
        (Training, "early_stopping", "test"),
        (Training, "precision", "float16"),
        (Training, "weight_decay", -1e-9),
        (Training, "weight_decay", float("nan")),
        *((Training, name, 1.5) for name in ("batch_size", "epochs", "patience")),
        *((Scoring, name, 0) for name in ("n_ood", "n_effect", "n_permutations", "n_random")),
        (protocol_of, "hosts", ("random", "easy")),
        (protocol_of, "roles", ("control",)),
    ],
)
def test_impossible_settings_are_named_in_one_line(settings, field, value):
    with pytest.raises(ValueError, match=f"^{field}: ") as caught:
        settings(**{field: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("n_train", [None, 400, 700, 1200])
def test_a_protocol_knows_the_parts_without_the_data(n_train):
    assert replace(PROTOCOL, n_train=n_train).n_parts == load("digits", n_train=n_train).n_parts


# One placebo, and another rounding


def test_a_host_has_one_placebo_for_every_seed_if_asked_for():
    first, other = (Experiment(PROTOCOL, seed, 1, "placebo", "7") for seed in (1, 4))
    assert not np.array_equal(first.pixels(), other.pixels())
    shared = [varied(one, one_placebo=True).pixels() for one in (first, other)]
    np.testing.assert_array_equal(*shared)
    assert not np.array_equal(shared[0], varied(first, host="8", one_placebo=True).pixels())
    assert sorted(shared[0].ravel()) == sorted(PROTOCOL.unique.ravel())
    canary = varied(first, role="canary", one_placebo=True)
    np.testing.assert_array_equal(canary.pixels(), PROTOCOL.unique)


def test_what_a_card_takes_for_the_placebo_is_what_was_stamped():
    protocol = Protocol("digits", 400, hosts=("7", "8"), roles=("canary", "placebo"), one_placebo=True)
    data = load("digits", n_train=400, part=1)
    protocol = replace(protocol, hosts=tuple(str(one) for one in data.train_indices[:2]))
    for seed in (1, 4):
        listed = layout.feature_list(protocol, seed, data.scope)
        of_seed = seeds.experiments(protocol, seed, data)
        for number, one in enumerate(of_seed[2::2]):
            np.testing.assert_array_equal(listed[1 + number, 0], one.pixels())


def test_models_of_a_seed_share_another_rounding():
    data = load("digits", n_train=400, part=1)
    protocol = Protocol("digits", 400, hosts=("random",), roles=("canary", "placebo"), rounding=1)
    assert [one.protocol.rounding for one in seeds.experiments(protocol, 1, data)] == [1, 1, 1]
    with pytest.raises(ValueError, match="^rounding: cannot be negative"):
        replace(protocol, rounding=-1)
    with pytest.raises(ValueError, match="^rounding: must be a whole number"):
        replace(protocol, rounding=0.5)


@pytest.mark.parametrize(
    ("name", "value"), [("learning_rate", 0.0), ("momentum", 1.0), ("momentum", -0.1), ("weight_decay", -1.0)]
)
def test_bad_settings_of_sgd_are_named(name, value):
    with pytest.raises(ValueError, match=f"^{name}: "):
        SGD(**{name: value})
    with pytest.raises(ValueError, match="^weight_decay: is that of Adam"):
        Training(weight_decay=0.1, optimiser=SGD())
