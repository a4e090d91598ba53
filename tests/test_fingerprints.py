"""Fingerprints: records that were made before a field was added are found again, and no others."""

import hashlib
import json
from dataclasses import dataclass, fields, is_dataclass, replace
from types import SimpleNamespace

import pandas as pd
import pytest
from plain import varied

from ufm import paths
from ufm.networks import CNN1, CNN2, MLP
from ufm.plan import registry
from ufm.plan.populations import population
from ufm.protocol import (
    SGD,
    AdvBN,
    Distillation,
    Erasing,
    Experiment,
    Falco,
    Forgetting,
    Lot,
    Pretraining,
    Private,
    Protocol,
    Recall,
    Scoring,
    Tasks,
    Training,
    VisualMixer,
    hosts,
)
from ufm.protocol.experiments import STAMPING, TRAINED
from ufm.records.fingerprints import added, digest, settings
from ufm.study import seeds

RECORDS = paths.BOOK / "records"
ADDED = [
    (Protocol, "roles", ("canary", "placebo")),
    (Protocol, "planned", (0, 8)),
    (Protocol, "control", False),
    (Protocol, "magnified", 2),
    (Protocol, "brightness", 0.5),
    (Protocol, "n_carriers", 2),
    (Protocol, "batch", 3),
    (Protocol, "twice", True),
    (Protocol, "one_placebo", True),
    (Protocol, "rounding", 1),
    (Protocol, "lot", Lot(3)),
    (Training, "private", Private(clip=0.5)),
    (Protocol, "found_by", MLP(hidden=(8,))),
    (Protocol, "found_at", 0.01),
    (Training, "label_smoothing", 0.1),
    (Training, "label_noise", 0.1),
    (Training, "mixup", 0.2),
    (Training, "cutmix", 1.0),
    (Training, "erasing", Erasing(0.25)),
    (Training, "distillation", Distillation(stamped=False)),
    (Training, "border", 3),
    (Training, "forgetting", Forgetting(importance=0.0)),
    (Training, "without_hosts", True),
    (Protocol, "aside", 7),
    (Protocol, "enlarged", 2),
    (Training, "visual_mixer", VisualMixer(box=4, entropy=(1.0, 2.0), pieces=((4,) * 4,) * 3)),
    (Training, "adv_bn", AdvBN(epochs=0)),
    (Training, "tasks", Tasks(recall=Recall(stride=2.0))),
    (Training, "falco", Falco(0.9)),
    (Training, "pretrained", Pretraining(frozen=True)),
    (Scoring, "inputs", "raw"),
    (Training, "weight_decay", 0.1),
    (Training, "shuffle", True),
    (Training, "optimiser", SGD()),
    *((kind, name, True) for kind in (MLP, CNN2) for name in ("batch_norm", "dropout", "augmentation")),
]


def entries(notebook):
    return json.loads((RECORDS / notebook / "manifest.json").read_text(encoding="utf-8"))


def with_field(protocol, kind, name, value):
    """The protocol with one field of its own, of its training or of its model changed."""
    if kind is Protocol:
        return replace(protocol, **{name: value})
    part = {Training: "training", Scoring: "scoring"}.get(kind, "model")
    return replace(protocol, **{part: replace(getattr(protocol, part), **{name: value})})


def test_a_fingerprint_is_a_digest_of_canonical_json():
    expected = hashlib.sha256(b'{"a":[1,null],"b":"x"}').hexdigest()[:16]
    assert digest({"b": "x", "a": (1, None)}) == digest({"a": [1, None], "b": "x"}) == expected


# Records of before


def test_the_first_seed_of_the_book_has_the_fingerprint_that_it_always_had():
    assert Protocol("mnist").fingerprint(0) == "09abb4a18644b72a"


def test_the_recorded_seeds_of_a_population_are_found():
    found = {population("mnist").fingerprint(seed): seed for seed in range(1000, 1040)}
    assert found.items() <= {one: entry["seed"] for one, entry in entries("mnist-full").items()}.items()


@pytest.mark.parametrize("sweep", sorted(path.parent.name for path in RECORDS.glob("*/models.csv")))
def test_the_recorded_models_of_every_sweep_are_found(sweep, monkeypatch):
    protocol = registry.sweeps()[sweep].protocol
    for seed, rows in pd.read_csv(RECORDS / sweep / "models.csv", dtype={"host": str}).groupby("seed"):
        stamped = pd.DataFrame({"canary_index": 0, "canary_label": 0}, list(protocol.hosts))  # of no feature
        if protocol.roles:
            stamped = rows[rows["role"] != "control"].drop_duplicates("host").set_index("host")
        data = SimpleNamespace(
            part=int(rows["part"].iloc[0]),
            train_indices=stamped["canary_index"].to_numpy(int),
            train_labels=stamped["canary_label"].to_numpy(int),
        )
        monkeypatch.setattr(hosts, "place", lambda _, host, *others, stamped=stamped: stamped.index.get_loc(host))
        found = [experiment.fingerprint() for experiment in seeds.experiments(protocol, int(seed), data)]
        assert found == rows["fingerprint"].tolist()


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_the_recorded_hard_hosts_are_found(dataset):
    where = [(None, 0), *((10_000, part) for part in range(6))]
    found = {hosts.fingerprint(Protocol(dataset, n_train), part): part for n_train, part in where}
    assert len(found) == 7
    assert found.keys() <= entries("hosts").keys()
    rows = pd.read_csv(RECORDS / "hosts" / "pools.csv")
    ours = rows[rows["record"].isin(found)]
    assert set(ours["dataset"]) == {dataset}
    assert (ours["part"] == ours["record"].map(found)).all()


def test_hard_hosts_are_the_same_for_every_variant_and_measure():
    one = hosts.fingerprint(Protocol("mnist", 10_000), 2)
    for changes in (
        {"model": MLP(dropout=True, batch_norm=True, augmentation=True)},
        {"model": CNN1()},
        {"model": CNN2()},
        {"training": Training(weight_decay=0.1, shuffle=True, early_stopping="none")},
        {"training": Training(optimiser=SGD(), batch_size=512)},
        {"training": Training(mixup=0.2, erasing=Erasing(), border=3, patience=1)},
        {"training": Training(cutmix=1.0, label_smoothing=0.1)},
        {"training": Training(distillation=Distillation())},
        {"training": Training(learning_rate=0.01), "found_at": 3e-4},
        {"training": Training(tasks=Tasks(recall=Recall()))},
        {"training": Training(visual_mixer=VisualMixer(7, ((7,) * 4,) * 3)), "aside": 8},
        {"training": Training(adv_bn=AdvBN())},
        {"training": Training(pretrained=Pretraining())},
        {"scoring": Scoring(n_effect=5), "measure": "card", "roles": ("placebo",), "planned": (0, 1)},
        {"hosts": ("random", "hard"), "feature": "B", "position": (3, 3)},
        {"enlarged": 3},
    ):
        assert hosts.fingerprint(replace(Protocol("mnist", 10_000), **changes), 2) == one
    colour = hosts.fingerprint(Protocol("cifar10", scoring=Scoring("mnist")), 0)
    for model in (CNN1(), CNN2(dropout=True)):
        assert hosts.fingerprint(Protocol("cifar10", model=model, scoring=Scoring("mnist")), 0) == colour
    assert hosts.clean(Protocol("cifar10", scoring=Scoring("mnist"))).model == CNN2()
    narrow = Protocol("cifar10", model=CNN1(channels=(8, 16)), scoring=Scoring("mnist"))
    assert hosts.clean(narrow).model == CNN2(channels=(8, 16))


# Added fields


@pytest.mark.parametrize(("kind", "name", "value"), ADDED, ids=lambda value: str(getattr(value, "__name__", value)))
def test_an_added_field_changes_the_fingerprint_unless_it_is_at_its_default(kind, name, value):
    protocol = Protocol("mnist", model=kind() if kind in (MLP, CNN2) else MLP(), batch=0 if name == "twice" else None)
    [default] = [one.default for one in fields(kind) if one.name == name]
    assert with_field(protocol, kind, name, default).fingerprint(0) == protocol.fingerprint(0)
    assert with_field(protocol, kind, name, value).fingerprint(0) != protocol.fingerprint(0)
    assert f'"{name}":' in json.dumps(settings(with_field(protocol, kind, name, value)))
    assert f'"{name}":' not in json.dumps(settings(protocol))


def test_every_added_field_is_tested():
    kinds = [Protocol, Training, Scoring, MLP, CNN2]
    there = {(kind, one.name) for kind in kinds for one in fields(kind) if one.metadata.get("added")}
    assert there == {(kind, name) for kind, name, _ in ADDED}
    control, canary = (Experiment(Protocol("mnist"), 0, 0, role) for role in ("control", "canary"))
    changed = {name: value for kind, name, value in ADDED if kind is Protocol and name in (*TRAINED, *STAMPING)}
    for experiment, names in ((canary, [*changed]), (control, [name for name in changed if name in TRAINED])):
        first = varied(experiment, batch=0)  # without which none is there twice
        variants = [varied(first if name == "twice" else experiment, **{name: changed[name]}) for name in names]
        assert len({one.fingerprint() for one in (experiment, *variants)}) == 1 + len(names)


def test_settings_are_plain_all_the_way_down():
    @dataclass(frozen=True)
    class Inner:
        old: int = 1
        new: int = added(2)

    @dataclass(frozen=True)
    class Outer:
        inner: Inner
        several: tuple
        new: tuple = added((1, 2))

    assert settings(Outer(Inner(), (Inner(new=3), 4))) == {
        "inner": {"old": 1},
        "several": [{"old": 1, "new": 3}, 4],
    }
    assert settings(Outer(Inner(5, 6), (), (1, 3))) == {"inner": {"old": 5, "new": 6}, "several": [], "new": [1, 3]}
    found = settings(Protocol("mnist"))
    assert json.loads(json.dumps(found)) == found
    assert not any(is_dataclass(one) for one in found.values())
