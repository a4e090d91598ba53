import string
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ufm.features import FIXED, insert, letter, permutations, placebo, random_features

A = [[0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1]]


def test_the_letter_a_is_the_papers():
    assert letter("A").tolist() == A
    assert letter("A").sum() == 12


def test_letters_are_distinct_and_binary():
    every = [letter(name) for name in string.ascii_uppercase]
    assert {(one.shape, one.dtype.name) for one in every} == {((5, 5), "float32")}
    assert set(np.unique(every)) == {0, 1}
    assert len({one.tobytes() for one in every}) == 26


@pytest.mark.parametrize("name", ["a", "AB", "", "É", 1])
def test_no_such_letter(name):
    with pytest.raises(ValueError, match="choose one capital from A to Z"):
        letter(name)


def test_insert_by_hand():
    stamped = insert(np.full((1, 3, 4), 100, np.uint8), np.array([[1, 0], [0.5, 1]]), position=(1, 1))
    assert stamped.tolist() == [[[100, 100, 100, 100], [100, 255, 0, 100], [100, 128, 255, 100]]]


def test_the_default_position_is_row_1_column_1():
    stamped = insert(np.zeros((1, 28, 28), np.float32), letter("A"))
    assert stamped[0, 1:6, 1:6].tolist() == A
    assert stamped.sum() == 12


def naive_insert(images, features, row, column):
    """One pixel after another, for float images (N, C, H, W) and features (N, C, h, w)."""
    stamped = images.copy()
    for n, c, i, j in np.ndindex(*features.shape):
        stamped[n, c, row + i, column + j] = features[n, c, i, j]
    return stamped


@pytest.mark.parametrize(
    "shape", [(5, 4), (1, 5, 4), (3, 5, 4), (1, 1, 5, 4), (2, 1, 5, 4), (2, 3, 5, 4), (1, 3, 5, 4)]
)
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_insert_agrees_with_a_naive_loop(shape, kind):
    draws = np.random.default_rng(0)
    images, feature = draws.random((2, 3, 9, 8)), draws.random(shape)
    expected = naive_insert(images, np.broadcast_to(feature, (2, 3, 5, 4)), 3, 4)
    np.testing.assert_array_equal(insert(kind(images), kind(feature), position=(3, 4)), expected)


@given(
    arrays(np.uint8, (2, 1, 7, 7)),
    arrays(np.float32, (5, 5), elements=st.floats(0, 1, width=32)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_insert_is_pure_and_its_kinds_agree(images, feature, position):
    before = images.copy(), feature.copy()
    stamped = insert(images, feature, position=position)
    assert (images == before[0]).all()
    assert (feature == before[1]).all()
    assert not np.shares_memory(stamped, images)
    outside = np.ones(images.shape, bool)
    outside[..., position[0] : position[0] + 5, position[1] : position[1] + 5] = False
    assert (stamped[outside] == images[outside]).all()

    tensor = torch.from_numpy(images.copy())
    assert (insert(tensor, feature, position=position).numpy() == stamped).all()
    assert (tensor.numpy() == images).all()
    floats = insert(images / np.float32(255), feature, position=position)
    assert np.abs(floats * 255 - stamped).max() <= 0.501  # rounded to a whole level
    assert (insert(stamped, feature, position=position) == stamped).all()


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
def test_insert_keeps_type_dtype_and_shape(dtype):
    image = np.zeros((1, 28, 28), dtype)
    stamped, tensor = insert(image, letter("A")), insert(torch.from_numpy(image), letter("A"))
    assert isinstance(stamped, np.ndarray)
    assert stamped.dtype == dtype
    assert stamped.shape == image.shape
    assert isinstance(tensor, torch.Tensor)
    assert str(tensor.dtype) == f"torch.{dtype}"
    assert tensor.shape == image.shape


@pytest.mark.filterwarnings("error")
def test_insert_takes_read_only_arrays():
    feature, image = letter("A"), np.zeros((1, 28, 28), np.uint8)
    feature.flags.writeable = image.flags.writeable = False
    assert insert(image, feature).sum() == 12 * 255
    assert insert(torch.zeros(1, 28, 28), feature).sum() == 12


def test_each_image_gets_its_own_feature():
    fresh = random_features(4, seed=1)
    stamped = insert(np.zeros((4, 3, 28, 28), np.float32), fresh)
    assert (stamped[:, :, 1:6, 1:6] == fresh).all()


ONE, GREY, COLOUR = np.ones((5, 5)), np.zeros((1, 28, 28), np.float32), np.zeros((4, 3, 28, 28), np.float32)


@pytest.mark.parametrize(
    ("images", "feature", "position", "message"),
    [
        (GREY, ONE, (24, 1), "rows 24 to 28 and columns 1 to 5 of an image of 28 x 28"),
        (GREY, ONE, (1, 24), "rows 1 to 5 and columns 24 to 28 of an image of 28 x 28 pixels, itself 5 x 5"),
        (GREY, ONE, (-1, 1), "rows -1 to 3"),
        (GREY, ONE, (1, -1), "columns -1 to 3"),
        (GREY, np.ones((0, 5)), (1, 1), "not empty"),
        (GREY, np.ones(5), (1, 1), r"must be of shape \(h, w\)"),
        (GREY[0], ONE, (1, 1), r"must be \(C, H, W\) or \(N, C, H, W\)"),
        (np.zeros((2, 28, 28)), ONE, (1, 1), "1 or 3 channels"),
        (np.zeros((1, 1, 1, 28, 28)), ONE, (1, 1), r"must be \(C, H, W\)"),
        (COLOUR, np.ones((2, 5, 5)), (1, 1), "feature has 2 channels and the images 3"),
        (GREY, np.ones((3, 5, 5)), (1, 1), "feature has 3 channels and the images 1"),
        (COLOUR, np.ones((3, 1, 5, 5)), (1, 1), "batch of features"),
        (GREY, np.ones((1, 1, 5, 5)), (1, 1), "batch of features"),
        (GREY, ONE * 1.01, (1, 1), r"must lie in \[0, 1\]"),
        (GREY, ONE * -0.01, (1, 1), r"must lie in \[0, 1\]"),
        (GREY, ONE * np.nan, (1, 1), "transparent everywhere"),
        (GREY, np.array([[np.nan, 1.01]]), (1, 1), r"must lie in \[0, 1\]"),
        (GREY, np.array([[np.nan, -0.01]]), (1, 1), r"must lie in \[0, 1\]"),
        (GREY.astype(int), ONE, (1, 1), "uint8 or floating"),
        (GREY.tolist(), ONE, (1, 1), "NumPy array or a torch tensor, not list"),
    ],
)
def test_insert_says_in_one_line_what_is_wrong(images, feature, position, message):
    for one in [images, torch.from_numpy(images)] if isinstance(images, np.ndarray) else [images]:
        with pytest.raises(ValueError, match=message) as caught:
            insert(one, feature, position=position)
        assert "\n" not in str(caught.value)


def test_features_do_without_torch():
    code = "import sys, numpy as np; from ufm.features import *; insert(np.zeros((1, 9, 9)), letter('A')); "
    subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"], check=True)


def test_random_features_are_bernoulli_and_fresh():
    features = random_features(2000, seed=3)
    assert features.shape == (2000, 1, 5, 5)
    assert features.dtype == np.float32
    assert set(np.unique(features)) == {0, 1}
    # Ink 12.5 with standard deviation 2.5: each bound is five standard errors and more.
    ink = features.sum(axis=(1, 2, 3))
    assert abs(ink.mean() - 12.5) < 0.3
    assert abs(ink.std() - 2.5) < 0.25
    assert np.abs(features.mean(axis=0) - 0.5).max() < 0.06
    assert len(np.unique(features.reshape(2000, -1), axis=0)) == 2000


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5))
def test_the_first_of_many_are_the_few(few, more, seed):
    n = few + more
    assert (random_features(n, shape=(2, 3), seed=seed)[:few] == random_features(few, shape=(2, 3), seed=seed)).all()
    pixels = np.arange(6).reshape(2, 3)
    assert (permutations(pixels, n, seed=seed)[:few] == permutations(pixels, few, seed=seed)).all()


@given(arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)), st.integers(0, 5))
def test_permutations_keep_the_ink(feature, seed):
    permuted = permutations(feature, 10, seed=seed)
    assert permuted.shape == (10, 1, 3, 4)
    assert permuted.dtype == feature.dtype
    assert (np.sort(permuted.reshape(10, -1)) == np.sort(feature.ravel())).all()


def test_permutations_are_uniform():
    """Each of three distinct pixels is in each place a third of the time: five standard errors are 0.043."""
    permuted = permutations(np.arange(3).reshape(1, 3), 3000).reshape(3000, 3)
    assert np.abs(np.stack([(permuted == pixel).mean(axis=0) for pixel in range(3)]) - 1 / 3).max() < 0.043


@pytest.mark.parametrize(
    "draw", [lambda **key: random_features(9, **key), lambda **key: permutations(letter("A"), 9, **key)]
)
def test_seeds_and_scopes_differ(draw):
    every = [draw(seed=0, scope="mnist/full"), draw(seed=1, scope="mnist/full"), draw(seed=0, scope="mnist/10000")]
    assert len({one.tobytes() for one in every}) == 3


def test_only_a_plane_is_permuted():
    with pytest.raises(ValueError, match=r"shape \(h, w\)"):
        permutations(np.ones((1, 5, 5)), 3)


def test_a_placebo_has_the_features_ink_and_is_its_own_for_each_seed_and_host():
    drawn = [
        placebo(letter("A"), seed=seed, host=host, scope=scope)
        for seed in range(20)
        for host in ("random", "hard")
        for scope in ("mnist/full", "mnist/10000")
    ]
    assert all(one.shape == (5, 5) and one.sum() == letter("A").sum() for one in drawn)
    assert len({one.tobytes() for one in drawn}) == len(drawn)
    again = placebo(letter("A"), seed=0, host="random", scope="mnist/full")
    np.testing.assert_array_equal(again, drawn[0])


def test_a_placebo_is_neither_the_feature_nor_a_fixed_permutation():
    # One lit pixel of 121: most draws are taken, so leaving any of them out shows.
    feature = np.zeros((11, 11), dtype=np.float32)
    feature[5, 5] = 1
    taken = {one.tobytes() for one in [feature, *permutations(feature, FIXED)[:, 0]]}
    assert all(placebo(feature, seed=seed, host="hard").tobytes() not in taken for seed in range(50))


def test_a_feature_without_other_arrangements_has_no_placebo():
    with pytest.raises(ValueError, match="^feature: too few arrangements"):
        placebo(np.ones((5, 5), dtype=np.float32), seed=0, host="random")
