"""A network, a kind of feature and a data set of somebody else's: registered from here, used like the book's own."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from ufm.data import datasets, sources
from ufm.data.arrays import Arrays
from ufm.data.sources import SOURCES, Source
from ufm.discovery import discover
from ufm.features import KINDS, Kind, feature, letter
from ufm.networks import MLP, MODELS, Model, architecture
from ufm.protocol import Protocol, Scoring, Training, hosts
from ufm.randomness.streams import stream
from ufm.study.parameters import shown
from ufm.study.seeds import finish


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    """The toys in the registries, for one test; the class of the network."""
    for registry, name in ((MODELS, "one layer"), (KINDS, "noise"), (SOURCES, "stripes")):
        monkeypatch.setitem(registry, name, None)  # what is put there now is gone afterwards
        del registry[name]

    @architecture
    @dataclass(frozen=True)
    class OneLayer(Model):
        width: int = 6

        name = "one layer"

        def layers(self, image_shape, n_classes):
            from torch import nn

            return nn.Sequential(
                nn.Flatten(),
                nn.Linear(int(np.prod(image_shape)), self.width),
                nn.ReLU(),
                nn.Linear(self.width, n_classes),
            )

    def noise(name):
        return stream("noise", seed=int(name.removeprefix("noise:"))).random((4, 3), dtype=np.float32)

    def stripes(contents):
        """Two classes: rows that are lit, columns that are lit."""
        draws, labels = np.random.default_rng(0), np.arange(60) % 2
        images = draws.integers(0, 99, (60, 1, 8, 8), dtype=np.uint8)
        images[labels == 0, :, ::2] += 100
        images[labels == 1, :, :, ::2] += 100
        return Arrays(images[:40], labels[:40], images[40:], labels[40:])

    KINDS["noise"] = Kind(lambda name: name.startswith("noise:"), noise)
    SOURCES["stripes"] = Source("Stripes", 40, (1, 8, 8), stripes)
    yield OneLayer
    for cached in (sources.checksum, sources.read, datasets._load, datasets._ood_images):
        cached.cache_clear()


@pytest.fixture
def protocol(toys):
    """All three toys in one."""
    training = Training(learning_rate=0.01, batch_size=8, epochs=3, early_stopping="none", precision="float64")
    scoring = Scoring("photo_patches", n_ood=50, n_effect=10, n_permutations=3)
    return Protocol("stripes", 20, toys(), training, scoring, feature="noise:7", planned=(0, 2))


@pytest.mark.parametrize(
    "changes",
    [{"measure": "scores"}, {"measure": "card", "roles": ("canary", "placebo")}, {"measure": "influence card"}],
    ids=lambda changes: changes["measure"],
)
def test_a_seed_is_trained_and_measured_with_all_three(protocol, changes):
    protocol = replace(protocol, **changes)
    [(entry, measured)] = finish(protocol, [1])
    models = measured.tables["models"]
    assert models["role"].tolist() == ["control", *protocol.roles]
    assert set(models["model"]) == {"one layer"}
    assert set(models["dataset"]) == {"stripes"}
    assert (entry["identity"]["model"], entry["identity"]["protocol"]["feature"]) == ("one layer", "noise:7")
    assert entry["identity"]["protocol"]["model"] == {"width": 6}
    assert (models["accuracy"] == 1).all()  # what the toys are of can be learnt
    assert models["train_loss"].nunique() == len(models)  # the feature was stamped


def test_each_is_known_by_its_name(protocol, toys):
    found = shown("controls", "embedded", model="one layer", dataset="stripes", n_train=20, feature="noise:7")
    assert {(one.protocol.model, one.protocol.dataset) for one in found.values()} == {(toys(), "stripes")}
    assert hosts.clean(protocol).model == MLP()
    data = datasets.load("stripes", n_train=20, part=1)
    assert (data.train_images.shape, data.n_classes, data.n_parts) == ((20, 1, 8, 8), 2, 2)


def test_a_kind_draws_the_names_that_it_answers_to(protocol):
    assert protocol.unique.shape == (4, 3)
    assert len({feature(name).tobytes() for name in ("noise:7", "noise:8", "noise")}) == 3
    assert feature("noise").shape != (4, 3)  # a text
    np.testing.assert_array_equal(feature("A"), letter("A"))


def test_pixels_that_changed_are_another_feature(protocol):
    before = protocol.fingerprint(1)
    KINDS["noise"] = Kind(lambda name: name.startswith("noise:"), lambda name: np.full((4, 3), 0.5, np.float32))
    assert protocol.fingerprint(1) != before


def test_two_architectures_of_one_name_are_refused(toys):
    with pytest.raises(ValueError, match="^model: there is an architecture called one layer already$"):
        architecture(toys)


def test_a_room_finds_files_that_nothing_else_names(tmp_path, monkeypatch):
    room = tmp_path / "toy_room"
    room.mkdir()
    register = "from toy_room.registry import KINDS\nKINDS.append(__name__)\n"
    init = "from ufm.discovery import discover\ndiscover(__name__, but=('slow',))\n"
    files = {"__init__": init, "registry": "KINDS = []\n", "b": register, "a": register, "slow": register}
    for name, text in files.items():
        (room / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    from toy_room.registry import KINDS as found

    assert found == ["toy_room.a", "toy_room.b"]
    discover("toy_room")
    assert found == ["toy_room.a", "toy_room.b", "toy_room.slow"]
