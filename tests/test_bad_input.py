"""What cannot be trained is refused before anything is, by a ValueError of one line that names the field."""

from dataclasses import replace

import pytest
import tiny
from plain import varied

from ufm.data.datasets import load
from ufm.data.on_device import to_device
from ufm.device import resolve
from ufm.plan.sweep import Sweep
from ufm.study import reproduce, seeds
from ufm.study.reproduce import complete
from ufm.training import loop, train


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Records of the test's own, and nothing may be trained."""
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "records"))
    monkeypatch.setattr(loop, "train_stack", lambda *_: pytest.fail("a model was trained"))


def small_images(data, size):
    """The data set's images cut to (size, size) pixels."""
    cut = {name: getattr(data, name)[..., :size, :size] for name in ("train_images", "test_images")}
    return replace(data, **cut)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"canary_index": 1200}, "canary_index: 1200 is not among"),
        ({"canary_label": 10}, "canary_label: 10 is not the label"),
        ({"canary_label": -1}, "canary_label: -1 is not the label"),
        ({"position": (24, 24)}, "feature would cover rows 24 to 28"),
        ({"feature": "a"}, "feature: 'a' is no letter A to Z"),
        ({"feature": "a.png"}, "feature: there is no file a.png"),
        ({"feature": "J.\tDOE"}, r"feature: 'J.\\tDOE' cannot be written, the font has no '\\t'"),
        ({"feature": "JOHN DOE"}, "feature would cover rows .* columns 1 to 42 .* 28 x 28 pixels, itself 10 x 42"),
        ({"role": "twin"}, "role: 'twin'"),
        ({"host": ""}, "host: ''"),
    ],
)
def test_a_wrong_experiment_is_refused_among_right_ones(changes, message):
    data = load("digits", n_train=400, part=1)
    control, canary = seeds.experiments(tiny.PROTOCOL, 1, data)
    with pytest.raises(ValueError, match=f"^{message}") as raised:
        train([control, canary, varied(canary, **changes)], to_device(data, precision="float64"))
    assert "\n" not in str(raised.value)


def test_a_feature_larger_than_the_image_is_refused():
    data = small_images(load("digits", n_train=400, part=1), 4)
    canary = seeds.experiments(tiny.PROTOCOL, 1, data)[1]
    with pytest.raises(ValueError, match="^feature would cover rows 0 to 4 .* of an image of 4 x 4 pixels"):
        train([varied(canary, position=(0, 0))], to_device(data, precision="float64"))


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ({"dataset": "nonsense"}, "'nonsense'.* digits, photographs, .*, mnist, fashion_mnist, cifar10"),
        ({"model": "transformer"}, "^model: 'transformer' .*cnn1, cnn2, .*mlp"),
        ({"measure": "nonsense"}, "^measure: 'nonsense' .*scores, walkthrough, card"),
        ({"n_train": 1201}, "^n_train must be 1 to 1200 for digits, not 1201"),
        ({"n_train": 0}, "^n_train must be 1 to 1200 for digits, not 0"),
        ({"feature": "é"}, "^feature: 'é' is no letter A to Z"),
        ({"feature": "nonsense"}, "^feature would cover .* of an image of 28 x 28 pixels, itself .* position or size"),
        ({"position": (30, 1)}, "^feature would cover rows 30 to 34"),
        ({"scoring": replace(tiny.PROTOCOL.scoring, ood_set="nonsense")}, "'nonsense'"),
        ({"scoring": replace(tiny.PROTOCOL.scoring, n_ood=10**6)}, "must be 1 to 1950 for photo_patches"),
    ],
)
def test_a_sweep_that_cannot_be_trained_is_refused(monkeypatch, tmp_path, protocol, message):
    def begin():
        tiny.install(monkeypatch, {"wrong": Sweep(replace(tiny.PROTOCOL, **protocol), range(2), 2, 0)})
        complete(["wrong"])

    with pytest.raises(ValueError, match=message) as raised:
        begin()
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.rglob("*.json"))


def test_every_sweep_is_looked_at_before_the_first_is_trained(monkeypatch, tmp_path):
    wrong = Sweep(replace(tiny.PROTOCOL, n_carriers=300), range(2), 2, 1)
    tiny.install(monkeypatch, {"right": tiny.SWEEPS["scores"], "wrong": wrong})
    with pytest.raises(ValueError, match="^n_carriers: only "):
        complete()
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("seed", [3600, 10**9])
def test_a_seed_beyond_the_last_host_is_named(seed):
    with pytest.raises(ValueError, match=f"^seed: {seed} is beyond the last host"):
        seeds.finish(replace(tiny.PROTOCOL, n_train=None), [seed])


@pytest.mark.parametrize("device", ["tpu", "", "meta", "cudax", "gpu:0"])
def test_an_unknown_device_is_named(device):
    with pytest.raises(ValueError, match=f"^device: '{device}' is not one of auto, cpu, cuda$"):
        resolve(device)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7", "cuda:one", "cuda:"])
def test_a_missing_gpu_is_named(monkeypatch, device):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match=f"^device: '{device}' is not there; use cpu$"):
        resolve(device)


@pytest.mark.parametrize("device", ["cuda:2", "cuda:one", "cuda:-1"])
def test_a_gpu_that_is_not_there_beside_others_is_named(monkeypatch, device):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(ValueError, match=f"^device: '{device}' "):
        resolve(device)


def test_a_device_that_is_not_there_is_named_before_a_sweep_begins(monkeypatch, tmp_path):
    tiny.install(monkeypatch)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="^device: 'cuda' is not there; use cpu$"):
        complete(["scores"], device="cuda")
    assert not list(tmp_path.rglob("*.json"))


def test_records_that_cannot_be_written_are_named_before_anything_is_trained(monkeypatch, tmp_path):
    tiny.install(monkeypatch)
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "file" / "records"))
    monkeypatch.setattr(reproduce, "finish", lambda *_, **__: pytest.fail("a seed was trained"))
    with pytest.raises((ValueError, OSError), match=str(tmp_path / "file")) as raised:
        complete(["scores"])
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
