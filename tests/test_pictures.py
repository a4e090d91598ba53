"""Pictures of hosts: what is kept is what the data say, and is used only where it has the image."""

from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest

from ufm import features
from ufm.chapters import hosts as hosts_chapter
from ufm.chapters import influence, medical
from ufm.data import datasets
from ufm.data.arrays import DataError
from ufm.evidence import contrasts, planned_as
from ufm.plan.sweep import Sweep
from ufm.protocol import Protocol, Scoring, hosts
from ufm.report import host_pictures
from ufm.study import pictures

PROTOCOL = Protocol(
    "digits",
    400,  # seed s trains on part s mod 3
    scoring=Scoring(ood_set="photo_patches", n_ood=50),
    hosts=("random", "hard"),
    roles=("canary", "placebo"),
    planned=(10, 16),  # two seeds of each part
)


@pytest.fixture(autouse=True)
def records(tmp_path, monkeypatch):
    """Records and runs of the test's own, few seeds, and hard hosts that are simply the first images of each part."""
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "records"))
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "runs"))

    def pool(protocol, part, kind):
        data = datasets.load(protocol.dataset, n_train=protocol.n_train, part=part)
        return pd.DataFrame({"canary_index": data.train_indices[:3]})

    monkeypatch.setattr(hosts, "pool", pool)
    return tmp_path / "records"


def expected_hosts():
    found = set()
    for seed in range(*PROTOCOL.planned):
        data = datasets.load("digits", n_train=400, part=seed % 3)
        found |= {int(data.train_indices[hosts.place(PROTOCOL, host, seed, data)]) for host in PROTOCOL.hosts}
    return sorted(found)


def kept_indices():
    """Numbers of the images in the one set that is kept."""
    [one] = pictures.store().entries()
    return pictures.store().arrays(one)["index"]


def without_data(monkeypatch):
    """Let nothing read image files any more."""

    def load(*arguments, **settings):
        raise AssertionError("image files were read")

    monkeypatch.setattr(datasets, "load", load)


def test_every_evidence_seeds_hosts_are_kept(records, monkeypatch):
    expected, whole = expected_hosts(), datasets.load("digits").train_images
    assert pictures.keep(PROTOCOL) == len(expected)
    [file] = (records / "pictures" / "arrays").iterdir()
    with np.load(file) as kept:
        assert kept["index"].tolist() == expected
        np.testing.assert_array_equal(kept["image"], whole[expected])
    without_data(monkeypatch)
    asked = expected[::-2]  # in another order
    np.testing.assert_array_equal(host_pictures.images(PROTOCOL, np.array(asked)), whole[asked])


def test_images_come_from_the_data_where_nothing_is_kept(records):
    whole = datasets.load("digits").train_images
    np.testing.assert_array_equal(host_pictures.images(PROTOCOL, np.array([5, 2, 5])), whole[[5, 2, 5]])
    assert not list(records.glob("pictures/arrays/*"))


@pytest.mark.parametrize("missing", ["between", "beyond the last"])
def test_an_image_that_is_not_kept_comes_from_the_data(missing):
    pictures.keep(PROTOCOL)
    kept, whole = expected_hosts(), datasets.load("digits").train_images
    other = next(one for one in range(kept[0], len(whole)) if one not in kept) if missing == "between" else 1199
    assert other not in kept
    indices = np.array([kept[1], other, kept[0]])
    np.testing.assert_array_equal(host_pictures.images(PROTOCOL, indices), whole[indices])


def test_what_is_kept_for_other_hosts_is_not_used(monkeypatch):
    pictures.keep(PROTOCOL)
    without_data(monkeypatch)
    with pytest.raises(AssertionError, match="^image files were read$"):
        host_pictures.images(replace(PROTOCOL, position=(2, 2)), kept_indices())
    with pytest.raises(AssertionError, match="^image files were read$"):
        host_pictures.images(replace(PROTOCOL, planned=(10, 17)), kept_indices())


def test_images_are_found_of_whatever_population_they_are_kept_and_none_where_there_are_none(monkeypatch):
    pictures.keep(PROTOCOL)
    kept, whole = expected_hosts(), datasets.load("digits").train_images
    other = replace(PROTOCOL, planned=(0, 1), hosts=("random",))
    lacking = next(one for one in range(len(whole)) if one not in kept)
    with_data = host_pictures.found(other, np.array([kept[1], lacking]))
    np.testing.assert_array_equal(with_data, whole[[kept[1], lacking]])

    def load(*arguments, **settings):
        raise DataError("no files")

    monkeypatch.setattr(datasets, "load", load)
    found = host_pictures.found(other, np.array([kept[1], lacking]))
    np.testing.assert_array_equal(found[0], whole[kept[1]])
    assert found[1] is None


def test_pictures_of_a_sweep_are_of_its_own_seeds_where_these_are_not_planned():
    sweep = Sweep(PROTOCOL, range(11, 15), 4, 0)
    assert pictures.of_sweep(sweep) == PROTOCOL
    for seeds in (range(8, 12), range(15, 17), range(20, 24)):
        assert pictures.of_sweep(replace(sweep, seeds=seeds)) == replace(PROTOCOL, planned=(seeds.start, seeds.stop))


def test_settings_of_training_do_not_matter(monkeypatch):
    pictures.keep(PROTOCOL)
    indices = kept_indices()
    without_data(monkeypatch)
    other = replace(PROTOCOL, training=replace(PROTOCOL.training, epochs=3), scoring=Scoring("photo_patches", 60))
    assert len(host_pictures.images(other, indices)) == len(indices)


def test_keeping_again_changes_nothing(records):
    pictures.keep(PROTOCOL)
    before = {path: path.read_bytes() for path in records.rglob("*") if path.is_file()}
    pictures.keep(PROTOCOL)
    assert {path: path.read_bytes() for path in records.rglob("*") if path.is_file()} == before


def test_lit_share_by_hand():
    height, width = features.letter("A").shape
    images = np.zeros((4, 1, 28, 28), np.uint8)
    images[0, 0, 1, 1] = 1  # the first pixel under the letter, however dark
    images[:3, 0, height, width] = 255  # the last
    images[:, 0, 0, 0] = 255  # not under it
    images[:, 0, 1 + height, 1 + width] = 255
    share = pictures.lit_share(PROTOCOL, images)
    expected = np.zeros((height, width))
    expected[0, 0], expected[-1, -1] = 0.25, 0.75
    np.testing.assert_array_equal(share, expected)
    moved = pictures.lit_share(replace(PROTOCOL, position=(0, 0)), images)
    assert (moved[0, 0], moved[1, 1]) == (1, 0.25)


def test_a_pixel_is_lit_where_any_colour_is():
    images = np.zeros((2, 3, 28, 28), np.uint8)
    images[0, 0, 1, 1] = images[1, 2, 1, 1] = images[1, 1, 1, 1] = 9
    assert pictures.lit_share(PROTOCOL, images)[0, 0] == 1


def test_lit_is_that_of_all_training_images_kept_or_not(monkeypatch):
    cards = planted_on_digits(3)
    from_data = host_pictures.lit(cards)
    np.testing.assert_array_equal(from_data, pictures.lit_share(PROTOCOL, datasets.load("digits").train_images))
    pictures.keep(cards.protocol)
    without_data(monkeypatch)
    np.testing.assert_array_equal(host_pictures.lit(cards), from_data)


def planted_on_digits(n_seeds, **changes):
    cards = planted.cards(n_seeds, title="Digits", **changes)
    indices = np.random.default_rng(5).permutation(1200)[: 2 * n_seeds].reshape(n_seeds, 2)
    return replace(planned_as(cards, protocol=PROTOCOL), indices=indices)


def test_extremes_are_the_largest_then_the_smallest_contrasts():
    cards, whole = planted_on_digits(8, effect=0.5), datasets.load("digits").train_images
    found = hosts_chapter.extremes({"digits-small": cards}, n=2)
    assert [title.split(", ")[0] for title in found] == ["Digits"] * 2
    hard, random = found.values()
    assert ["hard" in title for title in found] == [True, False]
    for kind, host, row in ((1, "hard", hard), (0, "random", random)):
        values = contrasts(cards, host)
        order = np.argsort(-values)[[0, 1, -2, -1]]
        for seed, (image, words) in zip(order, row, strict=True):
            np.testing.assert_array_equal(image, whole[cards.indices[seed, kind]])
            label, value = words.split(": ")
            assert int(label) == cards.labels[seed, kind]
            assert float(value.replace("−", "-")) == pytest.approx(values[seed], abs=0.00501)
            assert "-" not in words


def test_every_population_has_a_row_a_kind_of_host():
    one, two = planted_on_digits(3), planned_as(planted_on_digits(3, rng=1), trained_on="Others")
    found = hosts_chapter.extremes({"one": one, "two": two})
    assert len(found) == 4
    assert all({image.shape for image, _ in row} == {(1, 28, 28)} for row in found.values())


def test_hosts_as_trained_have_the_feature_where_it_was_and_nothing_else():
    protocol = replace(PROTOCOL, feature="L", position=(2, 3), hosts=("random", "hard"))
    index = np.array([[5, 7], [6, 8], [9, 3]])
    cards = planned_as(planted.cards(3, setting="a name"), protocol=replace(protocol, n_train=None))
    cards = replace(cards, indices=index, labels=index % 3)
    [(title, row)] = medical.as_trained({"one": cards}, n=2).items()
    whole = datasets.load("digits").train_images
    expected = whole[[7, 8]].copy()
    expected[:, :, 2:7, 3:8] = features.letter("L") * 255
    assert title == "a name"
    np.testing.assert_array_equal([image for image, _ in row], expected)
    assert [word for _, word in row] == ["1", "2"]


def test_hosts_of_a_population_are_shown_with_their_labels():
    cards, whole = planted_on_digits(5), datasets.load("digits").train_images
    found = influence.hosts_of({"digits": planned_as(cards, setting="")}, n=3)
    assert list(found) == ["random hosts", "hard hosts"]
    for kind, row in enumerate(found.values()):
        assert [word for _, word in row] == [str(label) for label in cards.labels[:3, kind]]
        for (image, _), index in zip(row, cards.indices[:3, kind], strict=True):
            np.testing.assert_array_equal(image, whole[index])
