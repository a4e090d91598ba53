"""Enlarged images: what becomes of pixels, that the letter stays as it is, that hosts are the same at every size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain import assert_close, plain
from torch.nn.functional import avg_pool2d

from ufm import features
from ufm.data import datasets
from ufm.data.arrays import DataError, enlarge
from ufm.measures import layout, pools
from ufm.networks import MLP, DenseNet121
from ufm.protocol import Protocol, Scoring, Training, VisualMixer, carriers, hosts
from ufm.report import host_pictures
from ufm.study import forecast, parameters, pictures, seeds
from ufm.study.runs import Run
from ufm.training import stamped_images, train

TRAINING = Training(learning_rate=3e-3, batch_size=64, epochs=2, early_stopping="none", precision="float64")
PROTOCOL = Protocol(
    "digits",
    400,
    MLP(hidden=(16, 8)),
    TRAINING,
    Scoring("photo_patches", n_ood=60, n_effect=20, n_permutations=5),
    hosts=("random", "hard"),
    roles=("canary", "placebo"),
    planned=(0, 0),
    measure="compact card",
)
SEED, TIMES = 4, (1, 2, 3)


@pytest.fixture
def records(tmp_path, monkeypatch):
    """Records of the test's own, with the pool of the seed's part."""
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path))
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "runs"))
    pools.find(PROTOCOL, [SEED % PROTOCOL.n_parts])


def of_size(times, **changes):
    return replace(PROTOCOL, enlarged=times, **changes)


def squares(image, times):
    """An image (C, H, W) of which each pixel is a square, pixel by pixel."""
    n_channels, height, width = image.shape
    found = np.zeros((n_channels, height * times, width * times), image.dtype)
    for channel in range(n_channels):
        for row in range(height * times):
            for column in range(width * times):
                found[channel, row, column] = image[channel, row // times, column // times]
    return found


# Images


@pytest.mark.parametrize("times", TIMES)
def test_each_pixel_becomes_a_square(times):
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 4, 5), dtype=np.uint8)
    found = enlarge(images, times)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, [squares(image, times) for image in images])
    np.testing.assert_array_equal(avg_pool2d(torch.tensor(found).double(), times), images)


def test_a_data_set_is_as_it_was_but_for_its_pixels():
    usual, large = (datasets.load("digits", n_train=400, part=1, enlarged=times) for times in (1, 3))
    for name in ("train_images", "test_images"):
        small, found = getattr(usual, name), getattr(large, name)
        assert found.shape == (*small.shape[:2], 84, 84)
        np.testing.assert_array_equal(found[:2], [squares(image, 3) for image in small[:2]])
        np.testing.assert_array_equal(found[..., 1::3, 2::3], small)
        assert not found.flags.writeable
    for name in ("train_labels", "train_indices", "test_labels"):
        np.testing.assert_array_equal(getattr(usual, name), getattr(large, name))
    assert [usual.scope, usual.mean, usual.std] == [large.scope, large.mean, large.std]
    pixels = datasets.load("digits", enlarged=3).train_images / 255
    assert (pixels.mean(), pixels.std()) == pytest.approx((large.mean[0], large.std[0]), abs=5e-5)
    assert usual.checksum != large.checksum
    assert datasets.load("digits", n_train=400, part=1, enlarged=3) is large
    assert datasets.load("digits", n_train=400, part=1) is usual


def test_ood_images_are_enlarged_as_the_others_are():
    usual, large = (
        datasets.ood_images("photo_patches", shape=(1, 28 * times, 28 * times), n=9, enlarged=times) for times in (1, 2)
    )
    np.testing.assert_array_equal(large.images, [squares(image, 2) for image in usual.images])
    np.testing.assert_array_equal(large.labels, usual.labels)
    resized = datasets.ood_images("photo_patches", shape=(1, 56, 56), n=9)
    assert np.abs(resized.images - large.images).max() > 0.01
    assert len({usual.checksum, large.checksum, resized.checksum}) == 3


def test_the_validation_split_is_enlarged_too(real_data):
    usual, large = (datasets.load("breastmnist", enlarged=times, root=real_data("breastmnist")) for times in (1, 2))
    np.testing.assert_array_equal(large.validation_images[..., ::2, 1::2], usual.validation_images)
    np.testing.assert_array_equal(large.validation_labels, usual.validation_labels)


@pytest.mark.parametrize("times", [0, -1, 1.5, True + 0.5, "2", None])
def test_no_other_number_of_rows_and_columns(times):
    with pytest.raises(ValueError, match=r"^enlarged must be a whole number from 1 on, not "):
        datasets.load("digits", enlarged=times)
    with pytest.raises(ValueError, match=r"^enlarged must be a whole number from 1 on, not "):
        datasets.ood_images("photo_patches", enlarged=times)


def test_a_shape_is_of_whole_squares():
    with pytest.raises(ValueError, match=r"^shape must be of whole squares of 3 x 3 pixels, not \(1, 28, 28\)$"):
        datasets.ood_images("photo_patches", enlarged=3)


# What is trained


@pytest.mark.parametrize(
    ("times", "message"), [(0, "^enlarged: must be at least 1, got 0$"), (1.5, "^enlarged: must be a whole number")]
)
def test_a_wrong_number_is_named(times, message):
    with pytest.raises(ValueError, match=message):
        of_size(times)


def test_siblings_of_all_sizes_have_the_same_hosts_and_marks(records):
    found = []
    for times in TIMES:
        protocol = of_size(times, n_carriers=3)
        assert protocol.image_shape == (1, 28 * times, 28 * times)
        data = seeds.images(protocol, SEED % protocol.n_parts)
        assert data.train_images.shape[1:] == protocol.image_shape == seeds.scored_on(protocol).images.shape[1:]
        members = seeds.experiments(protocol, SEED, data)
        stamped = [(carriers(one, data), one.canary_label, one.pixels().tolist()) for one in members[1:]]
        halves = [half.tolist() for half in data.halves()]
        found.append((stamped, halves, layout.feature_list(protocol, SEED, data.scope).tolist()))
        assert hosts.fingerprint(protocol, 0) == hosts.fingerprint(PROTOCOL, 0)
        assert hosts.clean(protocol) == hosts.clean(replace(PROTOCOL, n_carriers=3))
        assert len({one.fingerprint() for one in members}) == 5
    assert found[0] == found[1] == found[2]
    controls = [seeds.experiments(of_size(times), SEED, seeds.images(PROTOCOL, 1))[0] for times in TIMES]
    assert len({one.fingerprint() for one in controls}) == len({of_size(times).fingerprint(0) for times in TIMES}) == 3


@pytest.mark.parametrize("times", TIMES)
def test_the_letter_is_stamped_as_it_is(times, records):
    protocol = of_size(times)
    data = seeds.moved(protocol, SEED % protocol.n_parts, "cpu", None)
    for one in seeds.experiments(protocol, SEED, data.dataset)[1:]:
        [(place, image)] = stamped_images(one, data).items()
        plain_image = datasets.load("digits", n_train=400, part=SEED % 3).train_images[place]
        expected = squares(plain_image, times) / 255
        expected[0, 1:6, 1:6] = features.letter("A") if one.role == "canary" else one.pixels()
        mean, std = data.dataset.mean[0], data.dataset.std[0]
        np.testing.assert_allclose(image * std + mean, expected, rtol=0, atol=1e-7)
        assert one.pixels().shape == (5, 5)
        assert one.pixels().sum() == 12


def test_models_are_trained_as_a_plain_loop_does(records):
    protocol = of_size(2)
    data = seeds.moved(protocol, SEED % protocol.n_parts, "cpu", None)
    members = seeds.experiments(protocol, SEED, data.dataset)
    for one in train(members, data, show=False):
        weights = plain(one.experiment, data.dataset).weights[-1]
        assert weights["1.weight"].shape == (16, 56 * 56)
        assert_close(one.model.state_dict(), weights, 1e-11)


def test_a_seed_is_measured_from_beginning_to_end(records):
    kept = {times: seeds.finish(of_size(times), [SEED])[0] for times in (1, 3)}
    arrays = {times: measured.arrays for times, (_, measured) in kept.items()}
    assert {name: one.shape for name, one in arrays[1].items()} == {name: one.shape for name, one in arrays[3].items()}
    tables = [measured.tables["models"] for _, measured in kept.values()]
    for name in ("role", "host", "canary_index", "canary_label"):
        assert tables[0][name].equals(tables[1][name])
    assert not np.array_equal(arrays[1]["ood_shift"], arrays[3]["ood_shift"])
    assert [entry["identity"]["protocol"].get("enlarged") for entry, _ in kept.values()] == [None, 3]


# What is known before


def test_memory_and_time_are_those_of_the_larger_images(records, monkeypatch):
    data = {times: seeds.images(of_size(times), 1) for times in TIMES}
    needed = {times: forecast.needed(of_size(times), data[times]) for times in TIMES}
    for name in ("n_train", "dataset", "n_ood"):
        assert [needed[times][name] for times in TIMES] == [needed[1][name] * times**2 for times in TIMES]
    asked = []
    monkeypatch.setattr(forecast, "estimate", lambda protocol, shape, n, device: asked.append(shape) or 1.0)
    monkeypatch.setattr(forecast, "lacking", lambda *given: True)
    forecast.seconds(of_size(3), [SEED], data[3], device="cpu")
    assert sorted(asked) == [(1, 28, 28), (1, 84, 84)]  # hosts are found on images as they are


def test_networks_that_find_hosts_are_made_for_images_as_they_are(records):
    protocol = of_size(2, model=DenseNet121(), training=replace(TRAINING, precision="float32"))
    with pytest.raises(ValueError, match="^model: densenet121 (needs|cannot be made for) images of"):
        forecast.needed(protocol, seeds.images(protocol, 1))


def test_what_fits_into_large_images_does_not_fit_into_small_ones(records):
    changes = {"position": (50, 50), "planned": (0, 1)}
    assert parameters.is_possible(of_size(2, **changes))
    assert not parameters.is_possible(replace(PROTOCOL, **changes))
    mixed = replace(TRAINING, visual_mixer=VisualMixer(box=8))
    assert of_size(2, training=mixed).image_shape[1] % 8 == 0
    assert parameters.has_boxes(of_size(2, training=mixed), "digits")
    with pytest.raises(ValueError, match="^box: images of 28 x 28 pixels are no whole boxes of 8 x 8$"):
        of_size(1, training=mixed)
    assert of_size(2, training=replace(TRAINING, border=14)).image_shape[1] == 56
    with pytest.raises(ValueError, match="^border: 14 leaves nothing of images of 28 x 28 pixels$"):
        of_size(1, training=replace(TRAINING, border=14))
    with pytest.raises(ValueError, match="of an image of 56 x 56 pixels"):
        Run("hosts", {"profile": "embedded", "enlarged": 2, "row": 60, "train": False})


def test_pictures_of_hosts_are_enlarged_and_kept_apart(records):
    usual, large = replace(PROTOCOL, hosts=("random",)), of_size(3, hosts=("random",), position=(31, 40))
    images = datasets.load("digits").train_images
    expected = (enlarge(images[:200], 3)[:, 0, 31:36, 40:45] > 0).mean(0)
    assert expected.max() > 0
    np.testing.assert_array_equal(pictures.lit_share(large, images[:200]), expected)
    assert pictures.identity(large) != pictures.identity(replace(large, enlarged=2))
    assert "enlarged" not in pictures.identity(usual)
    indices = np.array([3, 700])
    for found in (host_pictures.images, host_pictures.found):
        np.testing.assert_array_equal(found(large, indices), enlarge(images[indices], 3))
        np.testing.assert_array_equal(found(usual, indices), images[indices])


def test_damaged_data_are_still_named(tmp_path):
    with pytest.raises(DataError, match="run ufm data mnist"):
        datasets.load("mnist", enlarged=2, root=tmp_path)
