"""Augmentation against a plain version of it, one image after the other."""

import numpy as np
import pytest
import torch
from plain import augmented

from ufm.data.datasets import load
from ufm.data.embedded import photo_patches
from ufm.data.on_device import to_device
from ufm.training.augmentation import augment

NEXT_TO_1 = 1 - 2**-24  # the largest number that is drawn


def images(n, shape=(3, 8, 9)):
    return torch.tensor(np.random.default_rng(0).random((n, *shape)))


def draws(*shape):
    return torch.tensor(np.random.default_rng(1).random((*shape, 4)), dtype=torch.float32)


def unchanged(contrast=0.5, row=0.0, column=0.0, mirror=1.0):
    """Draws of one image; the contrast stays as it is and nothing is mirrored."""
    return torch.tensor([[contrast, row, column, mirror]], dtype=torch.float64)


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 8, 9), (1, 2, 2)])
def test_equals_a_plain_version(shape, flip):
    given, drawn = images(40, shape), draws(40)
    expected = torch.stack([augmented(*one, flip=flip) for one in zip(given, drawn, strict=True)])
    np.testing.assert_allclose(augment(given, drawn, flip=flip), expected, rtol=0, atol=1e-12)
    single = augment(given.float(), drawn, flip=flip)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("draw", "factor"), [(0.0, 0.8), (0.5, 1.0), (NEXT_TO_1, 1.2)])
def test_contrast_is_about_each_channels_mean(draw, factor):
    given = images(1)
    mean = given.mean((2, 3), keepdim=True)
    expected = augment((given - mean) * factor + mean, unchanged(), flip=True)
    np.testing.assert_allclose(augment(given, unchanged(contrast=draw), flip=True), expected, rtol=0, atol=1e-7)
    flat = torch.full((1, 3, 8, 9), 0.3, dtype=torch.float64)
    np.testing.assert_allclose(augment(flat, unchanged(contrast=draw), flip=True), flat, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("row", "top"), [(0.0, 0), (0.499, 0), (0.5, 1), (NEXT_TO_1, 1)])
@pytest.mark.parametrize(("column", "left"), [(0.0, 0), (0.499, 0), (0.5, 1), (NEXT_TO_1, 1)])
def test_the_crop_leaves_away_one_row_and_one_column(row, top, column, left):
    given = images(1)
    found = augment(given, unchanged(row=row, column=column), flip=False)
    for name, at, size in (("row", top, 8), ("column", left, 9)):
        # Output i lies at (i + 1/2) (n − 1) / n − 1/2 of the n − 1 that are left; beyond their ends the last serves.
        centre = ((np.arange(size) + 0.5) * (size - 1) / size - 0.5).clip(0, size - 2)
        before = np.floor(centre).astype(int)
        after = np.minimum(before + 1, size - 2)
        share = torch.tensor(centre - before)
        if name == "row":
            given = given[:, :, at + before] * (1 - share)[:, None] + given[:, :, at + after] * share[:, None]
        else:
            given = given[..., at + before] * (1 - share) + given[..., at + after] * share
    np.testing.assert_allclose(found, given, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("mirror", "mirrored"), [(0.0, True), (0.499, True), (0.5, False), (NEXT_TO_1, False)])
def test_half_of_the_images_are_mirrored_where_asked(mirror, mirrored):
    given, drawn = images(1), unchanged(mirror=mirror)
    plain = augment(given, drawn, flip=False)
    assert torch.equal(augment(given, drawn, flip=True), plain.flip(-1) if mirrored else plain)


@pytest.mark.parametrize("flip", [True, False])
def test_it_commutes_with_normalisation(flip):
    patches = torch.tensor(photo_patches()[0][:20] / 255)
    mean, std = (
        torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in ((0.4, 0.5, 0.1), (0.2, 0.3, 0.4))
    )
    drawn = draws(20)
    expected = (augment(patches, drawn, flip=flip) - mean) / std
    np.testing.assert_allclose(augment((patches - mean) / std, drawn, flip=flip), expected, rtol=0, atol=1e-12)


def test_images_of_all_members_or_of_each_and_draws_of_one_seed_or_of_several():
    shared, own, drawn = images(5), images(15).view(3, 5, 3, 8, 9), draws(3, 5)
    for given, draw in ((shared, drawn), (own, drawn), (own, drawn[0])):
        expected = [
            augment(given if given.dim() == 4 else given[m], draw if draw.dim() == 2 else draw[m], flip=True)
            for m in range(3)
        ]
        np.testing.assert_allclose(augment(given, draw, flip=True), torch.stack(expected), rtol=0, atol=1e-14)
    assert augment(shared, drawn[0], flip=True).shape == shared.shape


def test_images_stay_as_they_were_and_outputs_are_of_their_size():
    data = to_device(load("digits", n_train=400, part=1))
    before = data.train_images.clone()
    found = augment(data.train_images, draws(400), flip=True)
    assert torch.equal(data.train_images, before)
    assert (found.shape, found.dtype) == (before.shape, before.dtype)
