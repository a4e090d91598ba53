"""DenseNet-BC, ResNet-18 and DenseNet-121: as published, and members of stacks, patches and influence like others."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain import assert_close, member, photographs, plain
from torch import nn
from torch.nn.functional import cross_entropy

from ufm.data.on_device import to_device
from ufm.measures.influence import squared_gradient_norms
from ufm.measures.patched import Patched
from ufm.networks import CNN2, DenseNet121, DenseNetBC, ResNet18
from ufm.networks.build import build
from ufm.protocol import Protocol, Scoring, Training, hosts
from ufm.training import stack_size, train

SMALL = DenseNetBC(depth=10, growth=4)
ALL = [SMALL, ResNet18(), DenseNet121()]
STEPS = Training(1e-3, batch_size=8, epochs=2, early_stopping="none", precision="float64")


def weights(network):
    return sum(one.numel() for one in network.parameters())


def changed(network):
    """The network with biases and running statistics that are not those of the beginning."""
    draws = torch.Generator().manual_seed(0)
    for name, values in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            values += 0.1 * torch.rand(values.shape, generator=draws, dtype=values.dtype)
    return network.eval()


def test_sizes_are_the_published_ones():
    # 0.8 million weights (Huang et al., table 2); torchvision gives 11 689 512 with 1000 classes and 512 features.
    assert weights(build(DenseNetBC(), (3, 32, 32), 10, seed=0)) == 769_162
    assert weights(build(ResNet18(), (3, 224, 224), 1000, seed=0)) == 11_689_512
    found = build(DenseNet121(), (3, 224, 224), 4, seed=0)
    assert weights(found[0]) == 7_978_856 - 1025 * 1000  # torchvision's, without its last layer
    head = [type(layer) for layer in found[1:]]
    block = [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout]
    assert head == [nn.Flatten, *block, *block, nn.Linear]
    assert [one.out_features for one in found if isinstance(one, nn.Linear)] == [2048, 512, 4]
    assert {one.p for one in found if isinstance(one, nn.Dropout)} == {0.2}


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("model", ALL, ids=lambda model: model.name)
def test_grey_and_colour_images_of_any_size_have_logits(model, n_channels):
    for size in (32, 45):
        network = build(model, (n_channels, size, size), 7, seed=0).eval()
        assert network(torch.rand(2, n_channels, size, size)).shape == (2, 7)


def test_weights_are_the_seeds_and_glorot_uniform():
    one, same, other = (build(ResNet18(), (1, 32, 32), 3, seed=seed) for seed in (1, 1, 2))
    kernels = [layer.weight for layer in one.modules() if isinstance(layer, nn.Conv2d)]
    for kernel in kernels:
        n_out, n_in, *size = kernel.shape
        limit = (6 / ((n_in + n_out) * size[0] * size[1])) ** 0.5
        assert 0.9 * limit < kernel.abs().max() <= limit
    assert all(torch.equal(*pair) for pair in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(kernels[0], next(other.parameters()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ResNet18(dropout=True), "^variant: resnet18 has no variant dropout, only plain$"),
        (lambda: DenseNetBC(batch_norm=True), "^variant: densenet_bc has no variant batch norm, only plain$"),
        (lambda: DenseNetBC(depth=99), "^depth: must be 6 n [+] 4 with growth at least 1, got 99 and 12$"),
        (lambda: DenseNetBC(growth=0), "^depth: must be"),
        (
            lambda: build(DenseNet121(), (1, 28, 28), 2, seed=0),
            "^model: densenet121 needs images of 32 × 32 pixels or more",
        ),
    ],
)
def test_what_was_not_published_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.name)
def test_members_of_a_stack_equal_a_plain_loop(model):
    images, settings = photographs(16, 20), STEPS if model is SMALL else replace(STEPS, epochs=1)
    experiments = [
        member(images, "canary", model, settings, at=4),
        member(images, "placebo", model, settings, seed=4, host="hard", at=15),
    ]
    for one in train(experiments, to_device(images, precision="float64")):
        expected = plain(one.experiment, images)
        assert_close(one.model.state_dict(), expected.weights[-1], 1e-8)
        assert [past["train_loss"] for past in one.history] == pytest.approx(expected.train_loss, rel=1e-8)


def test_members_that_stop_leave_the_others_as_they_are():
    images = photographs(40, 40)
    settings = replace(STEPS, learning_rate=0.02, epochs=12, batch_size=16, patience=1, early_stopping="half")
    experiments = [member(images, "control", SMALL, settings, seed=seed) for seed in (1, 4, 7)]
    trained = train(experiments, to_device(images, precision="float64"))
    assert len({len(one.history) for one in trained}) > 1
    for one in trained:
        expected = plain(one.experiment, images)
        assert len(one.history) == len(expected.weights)
        assert_close(one.model.state_dict(), expected.weights[one.best_epoch - 1], 1e-6)


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.name)
def test_patches_equal_the_whole_network(model):
    network = changed(build(model, (1, 32, 32), 5, seed=0, dtype=torch.float64))
    draws = np.random.default_rng(0)
    images, patches = torch.tensor(draws.random((3, 1, 32, 32))), torch.tensor(draws.random((2, 1, 5, 5)))
    few = Patched(network, images, normalise=lambda batch: (batch - 0.4) / 0.2, position=(7, 20))
    for patch, found in zip(patches, few.logits(patches), strict=True):
        stamped = images.clone()
        stamped[:, :, 7:12, 20:25] = patch
        with torch.no_grad():
            np.testing.assert_allclose(found, network((stamped - 0.4) / 0.2), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("model", ALL[:2], ids=lambda model: model.name)
def test_squared_gradient_norms_against_autograd(model):
    network = changed(build(model, (1, 32, 32), 4, seed=0, dtype=torch.float64))
    images, labels = torch.randn(5, 1, 32, 32, dtype=torch.float64), torch.arange(5) % 4
    expected = []
    for image, label in zip(images, labels, strict=True):
        loss = cross_entropy(network(image[None]), label[None])
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        expected.append(sum(float((one**2).sum()) for one in gradients))
    found = squared_gradient_norms(network, images, labels, batch_size=3)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_memory_counts_what_is_inside_a_trunk():
    data = to_device(photographs(10, 20))
    experiment = member(data.dataset, "control", SMALL, replace(STEPS, precision="float32"))
    shallow = member(data.dataset, "control", CNN2(channels=(4,), hidden=(4,)), replace(STEPS, precision="float32"))
    assert stack_size(experiment, data) < stack_size(shallow, data)


@pytest.mark.parametrize("model", [SMALL, CNN2(channels=(4,), hidden=(4,), batch_norm=True)], ids=lambda one: one.name)
def test_a_last_batch_of_one_image_is_refused(model):
    data = to_device(photographs(9, 20), precision="float64")
    message = "^batch_size: of 9 images in batches of 8 one is left alone, which batch norm cannot have$"
    with pytest.raises(ValueError, match=message):
        train([member(data.dataset, "control", model, STEPS)], data, show=False)


def test_pools_of_large_images_are_found_by_the_network_itself():
    found = [hosts.clean(Protocol("cifar10", model=model, scoring=Scoring("mnist"))).model for model in ALL]
    assert found == [CNN2(), ResNet18(), DenseNet121()]
