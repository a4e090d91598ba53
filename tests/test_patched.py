"""Outputs on images of which a patch changes, against the whole network on images that are stamped."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from ufm import features
from ufm.measures import patched
from ufm.measures.patched import Patched
from ufm.networks import CNN1, CNN2, MLP
from ufm.networks.build import build

MLP_, CNN1_ = MLP(hidden=(9, 7)), CNN1(channels=(2, 3), hidden=(6, 5))
CNN2_ = CNN2(channels=(2, 3), hidden=(6,))
MODELS = {
    "mlp": MLP_,
    "mlp, batch norm": replace(MLP_, batch_norm=True),
    "mlp, dropout": replace(MLP_, dropout=True),
    "cnn1": CNN1_,
    "cnn2": CNN2_,
    "cnn2, batch norm": replace(CNN2_, batch_norm=True),
    "cnn2, dropout": replace(CNN2_, dropout=True),
}
MEAN, STD = (0.4, 0.5, 0.1), (0.2, 0.3, 0.4)


def network(model, image_shape):
    """With biases and running statistics that are not those of the beginning."""
    made, draws = build(model, image_shape, 10, seed=3, dtype=torch.float64), torch.Generator().manual_seed(0)
    for name, values in made.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            values += 0.3 * torch.rand(values.shape, generator=draws, dtype=values.dtype) - 0.15
    return made.eval()


def images(n, image_shape):
    return torch.tensor(np.random.default_rng(0).random((n, *image_shape)))


def normaliser(n_channels):
    mean, std = (torch.tensor(values[:n_channels], dtype=torch.float64).view(-1, 1, 1) for values in (MEAN, STD))
    return lambda batch: (batch - mean) / std


GREY = normaliser(1)


def patches(*shape):
    return torch.tensor(np.random.default_rng(1).random(shape))


def whole(made, given, drawn, position, normalise=GREY):
    """Logits of the whole network, image by image and patch by patch."""
    stamped = [
        features.insert(given, patch if patch.dim() == 4 else patch.expand(len(given), *patch.shape), position=position)
        for patch in drawn
    ]
    with torch.no_grad():
        return torch.stack([made(normalise(one)) for one in stamped])


def assert_equal(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def positions(size, shape):
    """The usual one, the corner, the far corner, and an odd place amid the image, each for rows and columns."""
    far = tuple(size[axis] - shape[axis] for axis in range(2))
    return [(1, 1), (0, 0), far, (0, far[1]), (far[0] // 2 | 1, 3), (far[0] - 1, far[1] - 1), (2, far[1] // 2)]


@pytest.mark.parametrize("shape", [(5, 5), (1, 1), (4, 7), (3, 2)])
@pytest.mark.parametrize("size", [(28, 28), (29, 29), (30, 27), (31, 18)])
@pytest.mark.parametrize("name", ["mlp", "cnn1", "cnn2"])
def test_equals_the_whole_network_wherever_the_patch_lies(name, size, shape):
    image_shape, given = (1, *size), images(2, (1, *size))
    made, drawn = network(MODELS[name], image_shape), patches(2, 1, *shape)
    for position in positions(size, shape):
        few = Patched(made, given, normalise=GREY, position=position, shape=shape)
        assert_equal(few.logits(drawn), whole(made, given, drawn, position))


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_equals_the_whole_network_for_every_model(name, n_channels):
    image_shape, normalise = (n_channels, 28, 28), normaliser(n_channels)
    made, given = network(MODELS[name], image_shape), images(4, image_shape)
    same, own = patches(6, 1, 5, 5), patches(3, 4, 1, 5, 5)
    coloured, own_coloured = patches(6, n_channels, 5, 5), patches(3, 4, n_channels, 5, 5)
    for position in ((1, 1), (23, 23), (8, 13)):
        few = Patched(made, given, normalise=normalise, position=position)
        for drawn in (same, own, coloured, own_coloured):
            assert_equal(few.logits(drawn), whole(made, given, drawn, position, normalise))
        with torch.no_grad():
            assert_equal(few.clean, made(normalise(given)))


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("name", ["mlp", "cnn1", "cnn2"])
def test_images_may_be_given_as_they_are(name, n_channels):
    """Raw scoring inputs; grey patches still stand for all channels."""
    made, given = network(MODELS[name], (n_channels, 28, 28)), images(4, (n_channels, 28, 28))
    few = Patched(made, given, normalise=lambda batch: batch)
    for drawn in (patches(2, 1, 5, 5), patches(2, 4, 1, 5, 5), patches(2, n_channels, 5, 5)):
        assert_equal(few.logits(drawn), whole(made, given, drawn, (1, 1), lambda batch: batch))


@pytest.mark.parametrize("name", ["mlp", "cnn1", "cnn2, batch norm"])
def test_the_images_own_patch_changes_nothing(name):
    made, given = network(MODELS[name], (1, 28, 28)), images(3, (1, 28, 28))
    few = Patched(made, given, normalise=GREY, position=(7, 11), shape=(4, 6))
    assert_equal(few.logits(given[None, :, :, 7:11, 11:17])[0], few.clean)


def with_holes(drawn):
    """Patches of which a third is transparent."""
    holes = torch.tensor(np.random.default_rng(2).random(drawn.shape)) < 1 / 3
    return torch.where(holes, torch.nan, drawn)


def stamped_by_hand(given, drawn, position):
    """Images (n_patches, n_images, C, H, W), pixel by pixel; patches are for all images or (n_patches, n_images, …)."""
    stamped = given.expand(len(drawn), *given.shape).clone()
    for p, n, c, i, j in np.ndindex(*stamped.shape[:3], *drawn.shape[-2:]):
        patch = drawn[p] if drawn.dim() == 4 else drawn[p, n]
        value = patch[c if len(patch) > 1 else 0, i, j]
        if not value.isnan():
            stamped[p, n, c, position[0] + i, position[1] + j] = value
    return stamped


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_a_transparent_pixel_leaves_each_image_its_own(name, n_channels):
    normalise = normaliser(n_channels)
    made, given = network(MODELS[name], (n_channels, 28, 28)), images(3, (n_channels, 28, 28))
    for position, (height, width) in (((1, 1), (4, 7)), ((13, 8), (5, 5))):
        few = Patched(made, given, normalise=normalise, position=position, shape=(height, width))
        for shape in ((4, 1), (4, n_channels), (2, 3, 1), (2, 3, n_channels)):
            drawn = with_holes(patches(*shape, height, width))
            stamped = stamped_by_hand(given, drawn, position)
            with torch.no_grad():
                assert_equal(few.logits(drawn), torch.stack([made(normalise(one)) for one in stamped]))


@pytest.mark.parametrize("name", ["mlp", "cnn2"])
def test_transparent_patches_among_others_are_split_as_memory_needs(name, monkeypatch):
    made, given = network(MODELS[name], (1, 28, 28)), images(3, (1, 28, 28))
    seen = []
    few = Patched(made, given, normalise=lambda batch: seen.append(len(batch)) or batch)
    drawn = patches(5, 1, 5, 5)
    drawn[3] = torch.nan
    drawn[1] = with_holes(drawn[1])
    found = few.logits(drawn)
    assert_equal(found[3], few.clean)
    assert_equal(found[[0, 2, 4]], few.logits(drawn[[0, 2, 4]]))
    monkeypatch.setitem(patched.ROWS, "cpu", 7)
    seen.clear()
    assert_equal(few.logits(drawn), found)
    assert seen == [2, 2, 1]  # of three images each


@pytest.mark.parametrize("name", ["mlp, dropout", "cnn2, dropout"])
def test_a_network_in_training_is_evaluated(name):
    made, given, drawn = network(MODELS[name], (1, 28, 28)).train(), images(3, (1, 28, 28)), patches(2, 1, 5, 5)
    few = Patched(made, given, normalise=GREY)
    assert not made.training
    assert_equal(few.logits(drawn), whole(made, given, drawn, (1, 1)))


@pytest.mark.parametrize("at_once", [1, 7, 8])
def test_how_many_are_computed_at_once_makes_no_difference(at_once, monkeypatch):
    for name, drawn in product(("mlp", "cnn2"), (patches(5, 1, 5, 5), patches(5, 4, 1, 5, 5))):
        made, given = network(MODELS[name], (1, 28, 28)), images(4, (1, 28, 28))
        few = Patched(made, given, normalise=GREY)
        expected = few.logits(drawn)
        with monkeypatch.context() as patch:
            patch.setitem(patched.ROWS, "cpu", at_once)
            assert_equal(few.logits(drawn), expected)


def test_networks_in_single_precision_take_patches_of_any():
    made, given = network(CNN1_, (1, 28, 28)).float(), images(3, (1, 28, 28)).float()
    few = Patched(made, given, normalise=lambda batch: (batch - 0.5) / 0.25)
    drawn = torch.tensor(features.letter("A")[None, None], dtype=torch.uint8)
    found = few.logits(drawn)
    assert found.dtype == torch.float32
    expected = whole(made, given, drawn.float(), (1, 1), lambda batch: (batch - 0.5) / 0.25)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


# Less is computed


def inputs_seen(made, call):
    """The shapes of what each layer is given meanwhile, by its number."""
    seen = {number: [] for number in range(len(made))}
    hooks = [
        layer.register_forward_hook(lambda _, given, __, number=number: seen[number].append(tuple(given[0].shape)))
        for number, layer in enumerate(made)
    ]
    call()
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("name", MODELS)
def test_the_first_linear_layer_sees_the_images_once(name):
    made, given = network(MODELS[name], (1, 28, 28)), images(3, (1, 28, 28))
    flatten = next(number for number, layer in enumerate(made) if isinstance(layer, nn.Flatten))
    made_few = []
    seen = inputs_seen(made, lambda: made_few.append(Patched(made, given, normalise=GREY)))
    assert [one[0] for one in seen[flatten + 1]] == [3]
    later = inputs_seen(made, lambda: made_few[0].logits(patches(20, 1, 5, 5)))
    assert later[flatten] == later[flatten + 1] == []
    assert sum(one[0] for one in later[len(made) - 1]) == 20 * 3  # what comes after sees each


@pytest.mark.parametrize(
    ("model", "position", "sides"),
    [
        (CNN1_, (1, 1), [6, 6, 3]),  # rows 0 to 5 of both convolutions, which do not pad, and 0 to 2 of the pool
        (CNN1_, (12, 12), [7, 9, 5]),  # rows 10 to 16, 8 to 16, 4 to 8
        (CNN2_, (1, 1), [7, 8, 5, 6, 3]),  # rows 0 to 6, 0 to 7; pooled 0 to 3, then 0 to 4, 0 to 5; pooled 0 to 2
        (CNN2_, (12, 12), [7, 9, 7, 9, 5]),  # rows 11 to 17, 10 to 18; 5 to 9, then 4 to 10, 3 to 11; 1 to 5
    ],
    ids=str,
)
def test_before_it_only_what_the_patch_reaches_is_computed(model, position, sides):
    made, given = network(model, (1, 28, 28)), images(3, (1, 28, 28))
    few = Patched(made, given, normalise=GREY, position=position)
    seen = inputs_seen(made, lambda: few.logits(patches(4, 1, 5, 5)))
    flatten = next(number for number, layer in enumerate(made) if isinstance(layer, nn.Flatten))
    relus = [seen[number] for number in range(flatten) if isinstance(made[number], nn.ReLU)]
    assert [one[0] for one in relus] == [
        (12, layer, side, side) for layer, side in zip(WIDTHS[model.name], sides[:-1], strict=True)
    ]
    assert few.columns.shape[0] == 3 * sides[-1] ** 2


WIDTHS = {"cnn1": (2, 3), "cnn2": (2, 2, 3, 3)}


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (nn.LayerNorm(28), "LayerNorm"),
        (nn.Conv2d(1, 1, 3, stride=2), "Conv2d with strides or dil"),
        (nn.Conv2d(1, 1, 3, padding="same"), "Conv2d whose padding is a word"),
        (nn.MaxPool2d((2, 2)), "MaxPool2d of two sizes"),
    ],
)
def test_a_layer_whose_reach_is_not_known_is_named(layer, name):
    made = nn.Sequential(layer, nn.Flatten(), nn.Linear(784, 2))
    with pytest.raises(TypeError, match=f"^how far a patch reaches through a {name}"):
        Patched(made, torch.rand(2, 1, 28, 28), normalise=lambda batch: batch)


def test_kernels_that_are_not_square_reach_as_far_as_they_go():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 2, (3, 5), padding=(0, 2)), nn.Conv2d(2, 2, (2, 1), padding=(1, 0)), nn.Flatten()]
    made = nn.Sequential(*layers, nn.Linear(2 * 27 * 28, 3)).double().eval()
    given, drawn = images(3, (1, 28, 28)), patches(2, 1, 4, 6)
    for position in positions((28, 28), (4, 6)):
        few = Patched(made, given, normalise=GREY, position=position, shape=(4, 6))
        assert_equal(few.logits(drawn), whole(made, given, drawn, position))
