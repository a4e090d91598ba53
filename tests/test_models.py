"""Architectures, their variants and their initial weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ufm.networks import CNN1, CNN2, MLP, names
from ufm.networks.build import build
from ufm.randomness.streams import stream

GREY, COLOUR = (1, 28, 28), (3, 32, 32)
KINDS = [MLP(hidden=(16, 8)), CNN1(channels=(2, 3), hidden=(5, 4)), CNN2(channels=(2, 3), hidden=(5,))]


def weights(hidden=(16, 8), *, seed=0, **arguments):
    return build(MLP(hidden=hidden), GREY, 10, seed=seed, **arguments).state_dict()


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("settings", "image_shape", "n_classes", "widths"),
    [
        (MLP(), GREY, 10, [784, 512, 256, 10]),  # the released code's
        (MLP(hidden=(16, 8)), (3, 32, 32), 7, [3072, 16, 8, 7]),
        (MLP(hidden=(5,)), (1, 2, 3), 2, [6, 5, 2]),
    ],
)
def test_widths_and_activations(settings, image_shape, n_classes, widths):
    model = build(settings, image_shape, n_classes, seed=0)
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    assert [linear[0].in_features, *(layer.out_features for layer in linear)] == widths
    assert [type(layer) for layer in model] == [nn.Flatten] + [nn.Linear, nn.ReLU] * (len(widths) - 2) + [nn.Linear]
    assert model(torch.zeros(4, *image_shape)).shape == (4, n_classes)


def layers(model, image_shape, n_classes=10):
    """A line for each layer, in a notation of the test's own."""
    notation = {
        nn.Flatten: lambda _: "flatten",
        nn.ReLU: lambda _: "relu",
        nn.Linear: lambda one: f"linear {one.out_features}",
        nn.Conv2d: lambda one: f"conv {one.out_channels} {'same' if one.padding == (1, 1) else 'valid'}",
        nn.MaxPool2d: lambda one: f"pool {one.kernel_size}",
        nn.Dropout: lambda one: f"dropout {one.p}",
        nn.BatchNorm1d: lambda _: "norm",
        nn.BatchNorm2d: lambda _: "norm",
    }
    network = build(model, image_shape, n_classes, seed=0)
    assert network(torch.rand(2, *image_shape)).shape == (2, n_classes)
    kernels = [one for one in network if isinstance(one, nn.Conv2d)]
    assert {(one.kernel_size, one.stride, one.dilation) for one in kernels} <= {((3, 3), (1, 1), (1, 1))}
    return [notation[type(one)](one) for one in network]


def test_cnn1_is_the_released_codes():
    expected = (
        "conv 32 valid, relu, conv 64 valid, relu, pool 2, flatten, linear 128, relu, linear 128, relu, linear 10"
    )
    assert ", ".join(layers(CNN1(), GREY)) == ", ".join(layers(CNN1(), COLOUR)) == expected
    sizes = {shape: build(CNN1(), shape, 10, seed=0)[6].in_features for shape in (GREY, COLOUR)}
    assert sizes == {GREY: 64 * 12 * 12, COLOUR: 64 * 14 * 14}


def test_cnn2_is_the_released_codes():
    blocks = ["conv 32 same, relu, conv 32 same, relu, pool 2", "conv 64 same, relu, conv 64 same, relu, pool 2"]
    expected = ", ".join([*blocks, "flatten, linear 1024, relu, linear 7"])
    assert ", ".join(layers(CNN2(), GREY, 7)) == ", ".join(layers(CNN2(), COLOUR, 7)) == expected
    sizes = {shape: build(CNN2(), shape, 10, seed=0)[11].in_features for shape in (GREY, COLOUR)}
    assert sizes == {GREY: 64 * 7 * 7, COLOUR: 64 * 8 * 8}


def test_batch_norm_stands_between_every_hidden_layer_and_its_relu():
    for model, image_shape in ((MLP(batch_norm=True), GREY), (CNN2(batch_norm=True), COLOUR)):
        plain, normed = layers(replace(model, batch_norm=False), image_shape), layers(model, image_shape)
        assert [one for one in normed if one != "norm"] == plain
        assert [normed[place - 1] for place, one in enumerate(normed) if one == "relu"] == ["norm"] * plain.count(
            "relu"
        )
        assert normed.count("norm") == plain.count("relu")
        for one in build(model, image_shape, 10, seed=0):
            if isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d):
                assert (one.eps, one.momentum) == (1e-3, 0.01)  # Keras' 1 − 0.99
                assert one.weight.unique().tolist() == [1]
                assert one.bias.unique().tolist() == [0]


def test_dropout_has_the_released_codes_rates_and_places():
    mlp = "flatten, linear 512, relu, dropout 0.5, linear 256, relu, dropout 0.5, linear 10"
    assert ", ".join(layers(MLP(dropout=True), GREY)) == mlp
    found = layers(CNN2(dropout=True), COLOUR)
    places = [place for place, one in enumerate(found) if one.startswith("dropout")]
    assert [found[place] for place in places] == ["dropout 0.2"] * 4 + ["dropout 0.5"]
    assert all(found[place - 2].startswith("conv") for place in places[:4])
    assert found[-2:] == ["dropout 0.5", "linear 10"]
    assert [one for one in found if not one.startswith("dropout")] == layers(CNN2(), COLOUR)


def test_no_layer_stands_twice_in_a_network():
    everything = {"batch_norm": True, "dropout": True}
    for model in (MLP(hidden=(8, 8, 8), **everything), CNN2(channels=(4, 4, 4), hidden=(8, 8), **everything)):
        network = list(build(model, COLOUR, 10, seed=0))
        assert len({id(one) for one in network}) == len(network)


def test_variants_have_names_and_cnn1_has_none():
    assert names(MLP()) == {"model": "mlp", "variant": "plain"}
    assert names(CNN2(dropout=True, augmentation=True)) == {"model": "cnn2", "variant": "dropout + augmentation"}
    assert MLP(batch_norm=True).variant == "batch norm"
    assert names(CNN1()) == {"model": "cnn1", "variant": "plain"}
    for name in ("batch_norm", "dropout", "augmentation"):
        with pytest.raises(ValueError, match="^variant: cnn1 has no variant .*, only plain$"):
            CNN1(**{name: True})
    assert (MLP().flip, CNN2().flip) == (False, True)


@pytest.mark.parametrize("variant", [{}, {"batch_norm": True, "dropout": True}], ids=["plain", "regularised"])
@pytest.mark.parametrize("image_shape", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.name)
def test_weights_are_drawn_layer_after_layer_whatever_the_variant(model, image_shape, variant):
    model = model if model.name == "cnn1" else replace(model, **variant)
    draws = stream("initialisation", seed=5, scope="digits/400")
    for layer in build(model, image_shape, 10, seed=5, scope="digits/400", dtype=torch.float64):
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        n_out, n_in, area = (*layer.weight.shape[:2], layer.weight[0, 0].numel())
        limit = (6 / (n_in * area + n_out * area)) ** 0.5
        expected = [draws.uniform(-limit, limit, size=layer.weight[0].numel()) for _ in range(n_out)]
        np.testing.assert_array_equal(layer.weight.detach().flatten(1), expected)
        assert (layer.bias == 0).all()


def test_weights_are_glorot_uniform_and_biases_zero():
    for name, values in weights((512, 256)).items():
        if name.endswith("bias"):
            assert (values == 0).all()
            continue
        n_out, n_in = values.shape
        limit = np.sqrt(6 / (n_in + n_out))
        assert values.abs().max() <= limit
        assert (values.min(), values.max()) == (pytest.approx(-limit, rel=0.01), pytest.approx(limit, rel=0.01))
        # Of n uniform draws the mean is off by limit / √(3n); the standard deviation is limit / √3.
        assert abs(values.mean()) < 4 * limit / np.sqrt(3 * values.numel())
        assert values.std() == pytest.approx(limit / np.sqrt(3), rel=0.03)


def test_layers_are_not_copies_of_each_other():
    model = weights((10, 10, 10))
    assert not torch.equal(model["3.weight"], model["5.weight"])


def test_equal_seeds_agree_whatever_else_was_drawn():
    expected = weights(seed=3, scope="digits/400")
    torch.manual_seed(1)
    np.random.default_rng(3).random(10)
    assert equal(weights(seed=3, scope="digits/400"), expected)


@pytest.mark.parametrize(
    "other", [{"seed": 4, "scope": "digits/400"}, {"seed": 3, "scope": "digits/full"}, {"seed": 3}]
)
def test_seeds_and_scopes_differ(other):
    one, two = weights(seed=3, scope="digits/400"), weights(**other)
    assert not any(torch.equal(one[name], two[name]) for name in one if name.endswith("weight"))


def test_single_precision_rounds_the_draws_of_double():
    single, double = weights(seed=3), weights(seed=3, dtype=torch.float64)
    assert {values.dtype for values in single.values()} == {torch.float32}
    assert {values.dtype for values in double.values()} == {torch.float64}
    assert equal({name: values.float() for name, values in double.items()}, single)
    assert any((values.double() != double[name]).any() for name, values in single.items())


@pytest.mark.parametrize(
    ("kind", "field"), [(MLP, "hidden"), *((kind, field) for kind in (CNN1, CNN2) for field in ("channels", "hidden"))]
)
@pytest.mark.parametrize("values", [(), (0,), (512, 0), (-1, 4)])
def test_every_layer_needs_a_unit(kind, field, values):
    with pytest.raises(ValueError, match=f"^{field}: every layer needs at least one unit") as caught:
        kind(**{field: values})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_another_rounding_moves_every_weight_to_a_number_next_to_it(dtype):
    made = {"seed": 3, "scope": "digits/400", "dtype": dtype}
    usual, other, third = (build(MLP(hidden=(16, 8)), (1, 8, 8), 5, rounding=one, **made) for one in (0, 1, 2))
    moved = []
    for (name, one), after in zip(usual.named_parameters(), other.parameters(), strict=True):
        if "bias" in name:
            assert torch.equal(one, after)
            continue
        infinity = torch.full_like(one, torch.inf)
        up, down = torch.nextafter(one, infinity), torch.nextafter(one, -infinity)
        assert ((after == up) | (after == down)).all()
        moved.append((after == up).double().mean())
    assert np.mean(moved) == pytest.approx(0.5, abs=0.05)
    again = build(MLP(hidden=(16, 8)), (1, 8, 8), 5, rounding=1, **made)
    assert all(map(torch.equal, other.parameters(), again.parameters()))
    assert not torch.equal(next(iter(other.parameters())), next(iter(third.parameters())))
