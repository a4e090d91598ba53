"""Features by name: letters, texts and PNG files, from their pixels to the effects of models trained with them."""

import hashlib
import json
import os
import string
import struct
import zlib
from dataclasses import replace
from math import comb
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from scipy.special import log_softmax

from ufm import features, paths
from ufm.data.datasets import load, ood_images
from ufm.data.on_device import to_device
from ufm.features import FIXED, feature, insert, letter, permutations, placebo, require_placebo, written
from ufm.features.draws import arrangements
from ufm.measures import cards, layout
from ufm.measures.scored import score_seed
from ufm.networks.build import build
from ufm.plan import registry
from ufm.protocol import Protocol
from ufm.records import Records
from ufm.report import host_pictures
from ufm.study import pictures, seeds
from ufm.study.runs import Run
from ufm.training import stamped_images, train

J_DOE = """
...........................
..#.......####...###..####.
..#.......#...#.#...#.#....
..#.......#...#.#...#.#....
..#.......#...#.#...#.####.
..#.......#...#.#...#.#....
..#.#.....####...###..####.
..#........................
.##........................
...........................
"""
NAN = np.nan
HOLED = np.array([[NAN, 1, 0.2, NAN, 1, 0], [0.6, NAN, 1, 1, 0, 0.4]], np.float32)
SEED = 4


def save(path, pixels):
    """A feature (h, w), NaN where transparent, as a PNG file; its name."""
    grey, alpha = np.rint(np.nan_to_num(pixels, nan=0.5) * 255), np.where(np.isnan(pixels), 100, 200)
    Image.fromarray(np.stack([grey, alpha], -1).astype(np.uint8)).save(path)
    return str(path)


@pytest.fixture
def holed(tmp_path):
    """The name of a PNG file of HOLED."""
    return save(tmp_path / "holed.png", HOLED)


@pytest.fixture(params=["text", "picture"])
def named(request, holed):
    """The name of a feature that is no letter, and its pixels."""
    return ("J. DOE", drawing(J_DOE)) if request.param == "text" else (holed, HOLED)


def drawing(rows):
    return np.array([[float(pixel == "#") for pixel in row] for row in rows.split()])


# Names


def test_a_capital_is_that_letter():
    for name in string.ascii_uppercase:
        np.testing.assert_array_equal(feature(name), letter(name))


def test_a_text_by_hand():
    found = feature("J. DOE")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, drawing(J_DOE))
    stamped = insert(np.full((1, 28, 28), 90, np.uint8), found)  # as wide as it may be at column 1
    np.testing.assert_array_equal(stamped[0, 1:11, 1:], 255 * drawing(J_DOE))


@pytest.mark.parametrize("text", ["AB", "id", "J. DOE", "DOE, JANE", "gjpqy", "Ångström", "Ž.", "1904-05-13", "Я и"])
def test_texts_are_white_on_black_cut_to_their_ink_and_a_margin(text):
    found = feature(text)
    assert set(np.unique(found)) == {0, 1}
    frame = np.ones(found.shape, bool)
    frame[1:-1, 1:-1] = False
    assert not found[frame].any()
    assert all(edge.any() for edge in (found[1], found[-2], found[:, 1], found[:, -2]))
    assert 5 <= len(found) <= 13
    assert found.shape[1] > len(feature(text[0] * 2)) / 2


def test_texts_differ_and_no_caller_can_change_another_ones():
    every = [feature(text) for text in ("J. DOE", "J. DOF", "j. doe", "J.DOE", "DOE, J.")]
    assert len({one.tobytes() for one in every}) == 5
    every[0][:] = 0.5
    assert feature("J. DOE").max() == 1
    with pytest.raises(ValueError, match="read-only"):
        written("J. DOE")[0] = 1


def test_a_picture_by_hand(holed, tmp_path):
    found = feature(holed)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, HOLED)
    upper = tmp_path / "UPPER.PNG"
    upper.write_bytes((tmp_path / "holed.png").read_bytes())
    np.testing.assert_array_equal(feature(str(upper)), HOLED)


def test_half_of_full_alpha_is_where_transparency_ends(tmp_path):
    pixels = np.array([[[51, 0], [51, 127], [51, 128], [51, 255]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "alpha.png")
    np.testing.assert_allclose(feature(str(tmp_path / "alpha.png")), [[NAN, NAN, 0.2, 0.2]])


@pytest.mark.parametrize(
    ("image", "how", "expected"),
    [
        (np.array([[0, 51, 255]], np.uint8), {}, [[0, 0.2, 1]]),
        (np.array([[0, 51, 255]], np.uint8), {"transparency": 51}, [[0, NAN, 1]]),
        (np.array([[0, 13107, 65535]], np.uint16), {}, [[0, 0.2, 1]]),  # 16 bits of grey
        (np.array([[False, True]]), {}, [[0, 1]]),
        (np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8), {}, [[0.299, 0.587, 0.114]]),  # ITU-R BT.601
        (np.array([[[9, 9, 9, 90], [102, 102, 102, 255]]], np.uint8), {}, [[NAN, 0.4]]),
    ],
    ids=["grey", "a level for transparent", "16 bits", "black and white", "colour", "colour and alpha"],
)
def test_pictures_of_every_kind(image, how, expected, tmp_path):
    Image.fromarray(image).save(tmp_path / "one.png", **how)
    np.testing.assert_allclose(feature(str(tmp_path / "one.png")), expected, atol=1 / 510)


def test_a_palette(tmp_path):
    image = Image.new("P", (3, 1))
    image.putdata([0, 1, 2])
    image.putpalette([0, 0, 0, 102, 102, 102, 255, 255, 255])
    image.save(tmp_path / "palette.png", transparency=2)
    np.testing.assert_allclose(feature(str(tmp_path / "palette.png")), [[0, 0.4, NAN]])


@pytest.mark.parametrize("name", ["", "a", "é", "1", ".", 1, None])
def test_no_such_name(name):
    with pytest.raises(ValueError, match=f"^feature: {name!r} is no letter A to Z, and no PNG file or text") as error:
        feature(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["J\nDOE", "J\tDOE", "名前", "J. 漢", "\x00\x00", "🚀🚀", "🚀🚁", "🇦🇹", "J. \ue123", "J. \udcfc", "J. \u0378"],
)
def test_what_the_font_does_not_have_is_named(text):
    with pytest.raises(ValueError, match="^feature: .* cannot be written, the font has no '") as error:
        feature(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("unseen", ["\u200d", "\ufe0f", "\u200b", "\ufeff", "\xa0", "\u202e"])
def test_what_would_be_drawn_as_a_text_without_it_is_named(unseen):
    text = f"J.{unseen} DOE"
    with pytest.raises(
        ValueError, match=r"^feature: .* cannot be written, the font (draws nothing for|has no) '"
    ) as error:
        feature(text)
    assert repr(unseen) in str(error.value)


def test_characters_of_names_are_drawn():
    """Capitals of Latin, Greek and Cyrillic, digits, and what stands between them."""
    for character in "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÜÉÈÑÇŠŽŁØÅ0123456789ΑΒΓΔΘЖЯИ.,-'":
        assert feature(f"{character}{character}").any()


def test_a_text_without_ink():
    with pytest.raises(ValueError, match="^feature: '  ' leaves no ink$"):
        feature("  ")


def deep(path, largest):
    Image.fromarray(np.array([[0, 9, largest]], np.uint16)).save(path)


def animated(path, largest):
    images = [Image.fromarray(np.full((2, 2), value, np.uint8)) for value in (9, 99, largest)]
    images[0].save(path, save_all=True, append_images=images[1:])


def fifo(path, largest):
    os.mkfifo(path)


def colour_of_16_bits(path, largest):
    """One pixel, written by hand, for Pillow writes no such file."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(struct.pack(">B3H", 0, 9, 99, largest)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))


@pytest.mark.parametrize(
    ("make", "largest", "message"),
    [
        (deep, 4095, "uses 12 of its 16 bits, so its white is unknown: save it in 8 bits"),
        (deep, 255, "uses 8 of its 16 bits, so its white is unknown: save it in 8 bits"),
        (animated, 200, "holds 3 pictures: save the one that is meant"),
        (fifo, 0, "is no regular file"),
        (colour_of_16_bits, 4095, "has pixels of the kind RGB in 16 bits: save it in 8 bits, or in 16 as a grey PNG"),
    ],
)
def test_a_picture_of_which_something_would_be_lost_is_refused(tmp_path, make, largest, message):
    make(tmp_path / "mark.png", largest)
    with pytest.raises(ValueError, match=f"^feature: .*mark.png {message}$"):
        feature(str(tmp_path / "mark.png"))


def test_a_picture_is_turned_as_it_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(np.array([[0, 51, 255]], np.uint8)).save(tmp_path / "one.png", exif=exif)
    np.testing.assert_allclose(feature(str(tmp_path / "one.png")), [[0], [0.2], [1]])


def damaged(content):
    """A PNG file cut off at every byte, and with each of its bytes changed."""
    for place in range(len(content)):
        yield content[:place]
        for change in (0x01, 0x41):
            yield content[:place] + bytes([content[place] ^ change]) + content[place + 1 :]


def test_files_that_are_no_picture_are_named(tmp_path, holed):
    path, whole = tmp_path / "no.png", (tmp_path / "holed.png").read_bytes()
    (tmp_path / "folder.png").mkdir()
    contents, refused = list(damaged(whole)), 0
    for content in contents:
        path.write_bytes(content)
        try:
            feature(str(path))
        except ValueError as error:
            assert str(error) in (  # noqa: PT017
                f"feature: {path} is no PNG image that can be read",
                f"feature: {path} is transparent everywhere",
            )
            refused += 1
    assert refused > len(contents) / 2
    path.write_text("J. DOE", encoding="utf-8")
    with pytest.raises(ValueError, match="^feature: .*no.png is no PNG image that can be read$"):
        feature(str(path))
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path, format="JPEG")
    with pytest.raises(ValueError, match="^feature: .*no.png is no PNG image that can be read$"):
        feature(str(path))
    with pytest.raises(ValueError, match="^feature: .*folder.png is no regular file$"):
        feature(str(tmp_path / "folder.png"))
    with pytest.raises(ValueError, match="^feature: there is no file .*nothing.png$"):
        feature(str(tmp_path / "nothing.png"))
    with pytest.raises(ValueError, match="^feature: .*clear.png is transparent everywhere$"):
        feature(save(tmp_path / "clear.png", np.full((3, 3), NAN)))


@pytest.mark.parametrize("text", ["JANE DOE", "An identifier"])
def test_a_text_that_does_not_fit_says_how_wide_it_is(text):
    height, width = feature(text).shape
    message = (
        f"columns 1 to {width} of an image of 28 x 28 pixels, itself {height} x {width}: change its position or size$"
    )
    with pytest.raises(ValueError, match=message) as error:
        insert(np.zeros((1, 28, 28), np.uint8), feature(text))
    assert "\n" not in str(error.value)


# Transparency


def stamp(images, pixels, position=(1, 1)):
    """One pixel after another, NaN left out; images (N, C, H, W) in [0, 1]."""
    images = np.array(images, dtype=np.float64)
    for i, j in np.ndindex(*pixels.shape):
        if pixels[i, j] == pixels[i, j]:
            images[:, :, position[0] + i, position[1] + j] = pixels[i, j]
    return images


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_an_image_keeps_its_pixels_under_transparent_ones(kind, n_channels):
    images = np.random.default_rng(0).integers(0, 256, (4, n_channels, 9, 10), dtype=np.uint8)
    expected = stamp(images, HOLED * 255, (3, 2))
    given = kind(images.copy())
    found = insert(given, kind(HOLED.copy()), position=(3, 2))
    assert found.dtype == given.dtype
    np.testing.assert_array_equal(np.asarray(found), np.rint(expected))
    np.testing.assert_array_equal(np.asarray(given), images)
    for dtype, tolerance in (("float16", 1e-3), ("float32", 1e-7), ("float64", 1e-7)):
        floats = images.astype(dtype) / np.dtype(dtype).type(255)
        found = np.asarray(insert(kind(floats), HOLED, position=(3, 2)))
        assert found.dtype == dtype
        np.testing.assert_allclose(found, stamp(floats, HOLED, (3, 2)), rtol=0, atol=tolerance)
        own = stamp(np.zeros((4, n_channels, 9, 10)), np.where(np.isnan(HOLED), 1, 0), (3, 2)) == 1
        np.testing.assert_array_equal(found[own], floats[own])


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_each_image_may_have_its_own_holes(kind):
    images, draws = np.random.default_rng(0).random((3, 1, 9, 9)), np.random.default_rng(1)
    each = np.where(draws.random((3, 1, 4, 5)) < 0.5, NAN, draws.random((3, 1, 4, 5)))
    found = insert(kind(images), kind(each))
    for n in range(3):
        np.testing.assert_array_equal(found[n : n + 1], stamp(images[n : n + 1], each[n, 0]))


def test_permutations_and_placebos_keep_ink_and_holes():
    sorted_pixels = np.sort(HOLED.ravel())  # NaN last
    drawn = [*permutations(HOLED, 20)[:, 0], *(placebo(HOLED, seed=seed, host="hard") for seed in range(20))]
    for one in drawn:
        assert one.shape == HOLED.shape
        np.testing.assert_array_equal(np.sort(one.ravel()), sorted_pixels)
    assert len({np.isnan(one).tobytes() for one in drawn}) > 20


def test_a_placebo_with_holes_is_neither_the_feature_nor_a_fixed_permutation():
    one_hole = np.ones((11, 11), dtype=np.float32)  # of 121 arrangements most are taken
    one_hole[5, 5] = NAN
    taken = {np.isnan(one).tobytes() for one in [one_hole, *permutations(one_hole, FIXED)[:, 0]]}
    assert all(np.isnan(placebo(one_hole, seed=seed, host="hard")).tobytes() not in taken for seed in range(50))
    with pytest.raises(ValueError, match="^feature: too few arrangements"):
        placebo(np.array([[1, NAN]]), seed=0, host="hard")


# Fingerprints


def test_letters_have_the_fingerprints_that_they_always_had():
    recorded = json.loads((paths.BOOK / "records" / "mnist-small" / "manifest.json").read_text(encoding="utf-8"))
    found = registry.sweeps()["mnist-small"].protocol
    assert recorded[found.fingerprint(1000)]["seed"] == 1000
    for name in string.ascii_uppercase:
        assert "pixels" not in replace(found, feature=name).identity(1000)


def test_the_identity_of_other_features_has_a_digest_of_their_pixels(named):
    name, pixels = named
    found = replace(tiny.PROTOCOL, feature=name).identity(1)
    content = f"<f4{pixels.shape}".encode() + pixels.astype("<f4").tobytes()
    assert found.pop("pixels") == hashlib.sha256(content).hexdigest()[:16]
    assert found["protocol"].pop("feature") == name
    expected = tiny.PROTOCOL.identity(1)
    del expected["protocol"]["feature"]
    assert found == expected


def test_fingerprints_change_with_what_a_file_holds(holed):
    protocol, data = replace(tiny.PROTOCOL, feature=holed), load("digits", n_train=400, part=1)

    def fingerprints():
        return [protocol.fingerprint(1), *(one.fingerprint() for one in seeds.experiments(protocol, 1, data))]

    before = fingerprints()
    changed = HOLED.copy()
    changed[0, 2] = NAN
    save(holed, changed)
    after = fingerprints()
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True, False]  # not the control
    save(holed, HOLED)
    assert fingerprints() == before


# Cards


def test_the_features_of_a_card(named):
    name, pixels = named
    protocol = replace(tiny.PROTOCOL, feature=name)
    found = layout.feature_list(protocol, SEED, "digits/400")
    others = np.zeros((26 if len(pixels) >= 5 else 0, *pixels.shape))
    for number in range(len(others)):
        others[number, :5, :5] = letter(string.ascii_uppercase[number])
    random = features.random_features(30, shape=pixels.shape, seed=0, scope="card")[:, 0]
    own = placebo(pixels.astype(np.float32), seed=SEED, host="random", scope="digits/400")
    expected = [pixels, own, *permutations(pixels, 100)[:, 0], *random, *others]
    np.testing.assert_array_equal(found[:, 0], expected)
    assert found.dtype == np.float32


@pytest.mark.parametrize(("shape", "n_others"), [((5, 5), 26), ((6, 4), 0), ((4, 6), 0), ((5, 7), 26)])
def test_letters_are_among_the_features_where_they_have_room(shape, n_others, tmp_path):
    name = save(tmp_path / "mark.png", np.linspace(0, 1, shape[0] * shape[1]).reshape(shape))
    found = layout.feature_list(replace(tiny.PROTOCOL, feature=name), SEED, "digits/400")
    assert found.shape == (1 + 1 + 100 + 30 + n_others, 1, *shape)


def outputs(network, images, data):
    """Log-probabilities (n_images, n_classes) for images in [0, 1]."""
    with torch.no_grad():
        return log_softmax(network(torch.tensor((images - data.mean[0]) / data.std[0])).numpy(), axis=1)


def centred(log_p):
    return log_p - log_p.mean(axis=1, keepdims=True)


def assert_half(found, expected):
    """Equal but for the rounding to float16, eleven binary digits."""
    np.testing.assert_allclose(found.astype(float), expected, rtol=6e-4, atol=1e-6)


SHORT = replace(tiny.PROTOCOL, measure="short card", roles=("canary", "placebo"))


def networks(protocol, folder, seed):
    """The trained networks of a finished seed, from its weights."""
    states = torch.load(folder / f"{protocol.fingerprint(seed)}.pt")
    made = [build(protocol.model, (1, 28, 28), 10, seed=0, dtype=torch.float64) for _ in states]
    for one, state in zip(made, states, strict=True):
        one.load_state_dict(state)
    return [one.eval() for one in made]


def test_effects_of_a_finished_seed(named, tmp_path):
    name, pixels = named
    protocol = replace(SHORT, feature=name)
    [(entry, measured)] = seeds.finish(protocol, [SEED], weights=tmp_path)
    assert len(entry["identity"]["pixels"]) == 16
    assert measured.tables["models"]["feature"].tolist() == ["", name, name]
    data, given = load("digits", n_train=400, part=1), ood_images("photo_patches", n=20).images.astype(np.float64)
    own = placebo(pixels.astype(np.float32), seed=SEED, host="random", scope="digits/400")
    permuted = permutations(pixels.astype(np.float32), 50)[:, 0]
    card, [place] = measured.arrays, np.flatnonzero(measured.arrays["host_seed"] == SEED)
    host, label = load("digits").train_images[card["host_index"][place]] / 255, card["host_label"][place]
    for m, network in enumerate(networks(protocol, tmp_path, SEED)):
        clean = centred(outputs(network, given, data))
        patch = [
            (centred(outputs(network, stamp(given, one), data)) - clean).mean(0) for one in (pixels, own, *permuted)
        ]
        specific = np.array(patch) - np.mean(patch[2:], axis=0)
        found = card["ood_shift"][m].astype(float)
        assert_half(found, patch)
        np.testing.assert_allclose(found - found[2:].mean(0), specific, rtol=0, atol=1e-3)
        versions = np.concatenate([host[None], stamp([host], pixels), stamp([host], own)])
        expected = outputs(network, versions, data)[:, label]
        assert_half(card["host_log_probability"][m, 0, place], expected)


def test_the_stamped_hosts_are_what_is_trained_on(named):
    name, pixels = named
    data = to_device(load("digits", n_train=400, part=1), precision="float64")
    control, canary, other = seeds.experiments(replace(SHORT, feature=name), SEED, data.dataset)
    own = placebo(pixels.astype(np.float32), seed=SEED, host="random", scope="digits/400")
    assert stamped_images(control, data) == {}
    for one, what in ((canary, pixels), (other, own)):
        [(place, image)] = stamped_images(one, data).items()
        plain = stamp(data.dataset.train_images[place : place + 1] / 255, what)
        np.testing.assert_allclose(image, (plain[0] - data.dataset.mean[0]) / data.dataset.std[0], rtol=0, atol=1e-6)


def test_a_full_card_keeps_placebos_with_their_greys_and_holes(named, tmp_path):
    name, pixels = named
    protocol = replace(SHORT, measure="card", feature=name)
    [(entry, measured)] = seeds.finish(protocol, [SEED])
    own = placebo(pixels.astype(np.float32), seed=SEED, host="random", scope="digits/400")
    assert measured.arrays["placebo"].dtype == np.float16
    np.testing.assert_array_equal(measured.arrays["placebo"][0], own.astype(np.float16))
    n_features = 1 + 1 + 100 + 30 + (26 if len(pixels) >= 5 else 0)
    assert measured.arrays["test_shift"].shape == (3, n_features, 10)
    assert all(np.isfinite(values).all() for key, values in measured.arrays.items() if key != "placebo")
    store = Records(tmp_path / "records")
    store.add(protocol.fingerprint(SEED), entry, measured)
    kept = store.arrays(protocol.fingerprint(SEED))
    np.testing.assert_array_equal(kept["placebo"], measured.arrays["placebo"])


def test_scores_of_a_finished_seed(named, tmp_path):
    name, pixels = named
    protocol = replace(tiny.PROTOCOL, measure="walkthrough", feature=name)
    [(_, measured)] = seeds.finish(protocol, [SEED], weights=tmp_path)
    data, given = load("digits", n_train=400, part=1), ood_images("photo_patches", n=20).images.astype(np.float64)
    permuted = permutations(pixels.astype(np.float32), 2)[:, 0]
    rows = measured.tables["scores"].to_dict("records")
    for row, network in zip(rows, networks(protocol, tmp_path, SEED), strict=True):
        clean, label = centred(outputs(network, given, data)), row["canary_label"]
        patch = [(centred(outputs(network, stamp(given, one), data)) - clean).mean(0) for one in (pixels, *permuted)]
        assert row["patch_effect"] == pytest.approx(patch[0][label], abs=1e-6)
        assert row["specific_effect"] == pytest.approx((patch[0] - np.mean(patch[1:], axis=0))[label], abs=1e-6)
    shown = measured.arrays
    expected = stamp(shown["host"][None], 255 * pixels)[0]
    np.testing.assert_array_equal(shown["host_with_feature"], np.rint(expected))


def test_how_often_pixels_under_it_are_lit(named, monkeypatch, tmp_path):
    name, pixels = named
    height, width = pixels.shape
    images, protocol = load("digits").train_images, replace(tiny.PROTOCOL, feature=name)
    expected = (images[:, 0, 1 : 1 + height, 1 : 1 + width] > 0).mean(0)
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path))
    pictures.keep(tiny.PROTOCOL)  # of the letter, which is of another size
    np.testing.assert_allclose(host_pictures.lit(SimpleNamespace(protocol=protocol)), expected)
    assert host_pictures.lit(SimpleNamespace(protocol=tiny.PROTOCOL)).shape == (5, 5)


# Fewer classes than OOD images have


def test_labels_that_are_no_class_are_left_out():
    """Of two classes, on OOD images of ten."""
    digits = load("digits", n_train=400, part=1)
    two = replace(digits, train_labels=digits.train_labels % 2, test_labels=digits.test_labels % 2)
    data, ood = to_device(two, precision="float64"), ood_images("photo_patches", n=50)
    assert set(ood.labels) == set(range(10))
    protocol = replace(tiny.PROTOCOL, measure="card", roles=("canary", "placebo"), planned=(0, 0))
    trained = train(seeds.experiments(protocol, SEED, two), data, snapshots=[2])
    card = cards.full_card(protocol, trained, data, ood).arrays
    assert card["ood_shift_by_label"].shape == (3, 2, 2, 2)
    assert card["score_label_known"].shape == (3, 2, 2, 2)
    row = score_seed(replace(protocol, roles=("canary",)), trained[:2], data, ood).tables["scores"].iloc[0]
    everything, first = ood.images.astype(np.float64), ood.labels[:20]
    random = features.random_features(50, seed=SEED, scope="digits/400").astype(np.float64)
    for m, one in enumerate(trained):
        clean, unique, other = (
            outputs(one.model, images, two)
            for images in (
                everything,
                stamp(everything, letter("A")),
                np.concatenate([stamp(everything[n : n + 1], random[n, 0]) for n in range(50)]),
            )
        )
        for label in range(2):
            shift = (centred(unique) - centred(clean))[:20][first == label].mean(0)
            assert_half(card["ood_shift_by_label"][m, 0, label], shift)
            known = (unique - other)[ood.labels == label].mean(0)
            assert_half(card["score_label_known"][m, 0, label], known)
            if m == 0 and label == row["canary_label"]:
                assert row["label_known_score"] == pytest.approx(known[label], abs=1e-5)


def test_a_seed_of_the_chest_x_rays(real_data):
    root = real_data("pneumoniamnist")
    real_data("cifar10")
    protocol = Protocol(
        "pneumoniamnist",
        400,
        tiny.PROTOCOL.model,
        tiny.PROTOCOL.training,
        replace(tiny.PROTOCOL.scoring, ood_set="cifar10"),
        feature="J. DOE",
        measure="card",
        roles=("canary", "placebo"),
        planned=(0, 0),
    )
    [(_, measured)] = seeds.finish(protocol, [SEED], data_root=root)
    assert measured.arrays["ood_shift"].shape == (3, 158, 2)
    shift = measured.arrays["ood_shift"].astype(float)
    np.testing.assert_allclose(shift[..., 0], -shift[..., 1], atol=1e-3)  # centred, of two classes
    assert measured.tables["models"]["accuracy"].between(0.3, 1).all()
    assert set(measured.tables["models"]["canary_label"][1:]) <= {0, 1}


# Features without a placebo


@pytest.mark.parametrize("pixels", [np.full((5, 5), 255), np.zeros((1, 1)), np.eye(2) * 255, np.full((3, 4), 90)])
def test_a_picture_whose_permutations_are_itself_is_refused(tmp_path, pixels):
    path = tmp_path / "flat.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"^feature: the pixels of .*flat\.png' have \d+ arrangements") as error:
        Run("controls", {"profile": "embedded", "feature": str(path)})
    assert "\n" not in str(error.value)


def test_arrangements_are_counted():
    assert arrangements(letter("A")) == comb(25, 12)
    assert arrangements(np.array([[0.0, 0.5], [1.0, np.nan]])) == 24
    assert arrangements(np.array([[np.nan, np.nan], [1.0, 1.0]])) == 6


def test_a_black_square_is_a_letter_that_was_dimmed():
    np.testing.assert_array_equal(feature("A", brightness=0.0), np.zeros((5, 5)))
    require_placebo("A")
