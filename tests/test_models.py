"""Architectures and their initial weights."""

import numpy as np
import pytest
import torch
from torch import nn

from ufm.models import MLP, build

GREY = (1, 28, 28)


def weights(hidden=(16, 8), *, seed=0, **arguments):
    return build(MLP(hidden), GREY, 10, seed=seed, **arguments).state_dict()


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


@pytest.mark.parametrize("hidden", [(), (0,), (512, 0), (-1, 4)])
def test_every_layer_needs_a_unit(hidden):
    with pytest.raises(ValueError, match="^hidden: every layer needs at least one unit") as caught:
        MLP(hidden=hidden)
    assert "\n" not in str(caught.value)
