"""FALCO: each image by a plain loop, what models are given, and what it does not go with."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from torch.nn import functional as f

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.protocol import Distillation, Falco, Forgetting, Protocol, Training
from ufm.study import forecast, seeds
from ufm.training import anonymiser, anonymising, as_handed_over, as_stamped, stamped_images, train

SETTINGS = Falco(0.3, fakes=200, steps=8)
PROTOCOL = replace(
    tiny.PROTOCOL,
    training=replace(tiny.PROTOCOL.training, falco=SETTINGS),
    roles=("canary", "placebo"),
    measure="compact card",
)


@pytest.fixture(scope="module")
def parts():
    return [datasets.load("digits", n_train=400, part=part) for part in (1, 2)]


@pytest.fixture(scope="module")
def made(parts):
    return anonymiser(SETTINGS, parts[1], device=torch.device("cpu"), dtype=torch.float64)


@pytest.fixture(scope="module")
def images(parts):
    return torch.tensor(parts[0].train_images[:7]).double() / 255


def by_hand(made, image, settings):
    """One image (1, H, W), its code moved by gradients of what is written out here, and Adam's equations."""
    weights = {name: dict(one.named_parameters()) for name, one in (("e", made.encoder), ("d", made.decoder))}
    read = dict(made.classifier.named_parameters())

    def hidden(x, of):
        return torch.relu(x.flatten() @ of["1.weight"].T + of["1.bias"])

    def last(x, of):
        return hidden(x, of) @ of["3.weight"].T + of["3.bias"]

    def identity(x):
        return last(x, weights["e"])[: anonymising.CODE]

    def generated(code):
        return torch.sigmoid(last(code, weights["d"]))

    own, attributes = identity(image), hidden(image, read)
    like = [torch.dot(attributes, other) / attributes.norm() / other.norm() for other in made.attributes]
    code = made.codes[int(torch.stack(like).argmax())].clone()
    first, second = torch.zeros_like(code), torch.zeros_like(code)
    for step in range(1, settings.steps + 1):
        code.requires_grad_()
        found = generated(code)
        cosine = torch.dot(identity(found), own) / identity(found).norm() / own.norm()
        moved = (hidden(found, read) - attributes).abs().sum()
        loss = settings.identity * (cosine - settings.margin).abs() + settings.attributes * moved
        [gradient] = torch.autograd.grad(loss, [code])
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        rate = settings.learning_rate * 0.8 ** sum(step > int(share * settings.steps) for share in (0.75, 0.9))
        corrected = first / (1 - 0.9**step), second / (1 - 0.999**step)
        code = (code - rate * corrected[0] / (corrected[1].sqrt() + 1e-8)).detach()
    return generated(code).view_as(image)


@pytest.mark.parametrize("margin", [0.0, 0.9])
def test_each_image_is_replaced_as_by_hand(made, images, margin):
    settings = replace(SETTINGS, margin=margin)
    found = replace(made, settings=settings)(images)
    for one, expected in zip(found, images, strict=True):
        torch.testing.assert_close(one, by_hand(made, expected, settings), rtol=0, atol=1e-10)


def test_an_image_is_replaced_alike_whatever_stands_beside_it(made, images):
    torch.testing.assert_close(made(images)[3:4], made(images[3:4]), rtol=0, atol=1e-12)


def test_the_networks_know_their_part(made, parts, images):
    """Images are generated that look like these, and what moves a code is measured by networks that tell them apart."""
    images = torch.tensor(parts[1].train_images).double() / 255
    again = made.decoder(made.identity(images)).view_as(images)
    mean = ((images - images.mean(0)) ** 2).mean()
    assert ((again - images) ** 2).mean() < 0.8 * mean
    near = f.normalize(made.attributes_of(images)) @ f.normalize(made.attributes_of(images)).T - 2 * torch.eye(
        len(images)
    )
    labels = torch.tensor(parts[1].train_labels)
    assert (labels[near.argmax(1)] == labels).double().mean() > 0.7
    other = anonymiser(SETTINGS, parts[1], device=torch.device("cpu"), dtype=torch.float64)
    torch.testing.assert_close(other.attributes, made.attributes, rtol=0, atol=0)


def test_a_higher_margin_stays_nearer(made, images):
    identity = made.identity(images)
    cosines = []
    for margin in (0.0, 0.9):
        found = replace(made, settings=replace(SETTINGS, margin=margin, steps=200, attributes=0.0))(images)
        cosines.append(f.cosine_similarity(made.identity(found), identity).mean())
    assert cosines[1] > cosines[0] + 0.2


def test_models_are_trained_on_what_stands_in_the_place_of_images(parts, made):
    data, plain = (to_device(parts[0], precision="float64", replaced=one) for one in (made, None))
    images = torch.tensor(parts[0].train_images).double() / 255
    torch.testing.assert_close(data.train_images, data.normalise(made(images)), rtol=0, atol=1e-10)
    for name in ("stopping_images", "reported_images"):
        torch.testing.assert_close(getattr(data, name), getattr(plain, name), rtol=0, atol=0)
    canary = seeds.experiments(PROTOCOL, 1, parts[0])[1]
    [(place, handed_over)] = as_handed_over(canary, data).items()
    expected = images[place].clone()
    expected[:, 1:6, 1:6] = torch.from_numpy(PROTOCOL.unique)
    torch.testing.assert_close(handed_over, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(as_stamped(canary, data)[place], made(expected[None])[0], rtol=0, atol=1e-10)
    given = data.normalise(made(expected[None])[0])
    torch.testing.assert_close(stamped_images(canary, data)[place], given, rtol=0, atol=1e-10)
    with pytest.raises(ValueError, match=r"^falco: the data on the device have other training images than are asked"):
        train([canary], plain, show=False)


def test_a_card_has_the_hosts_pictures(parts):
    [(_, measured)] = seeds.finish(PROTOCOL, [1])
    data = seeds.anonymised(PROTOCOL, 1, "cpu", None)
    for place, one in enumerate(seeds.experiments(PROTOCOL, 1, parts[0])):
        for name, images in (("handed_over", as_handed_over(one, data)), ("given", as_stamped(one, data))):
            kept = measured.arrays[f"image_{name}"]
            expected = [image.numpy() * 255 for image in images.values()] or [np.zeros((1, 28, 28))]
            assert (kept.dtype, kept.shape) == (np.uint8, (3, 1, 28, 28))
            np.testing.assert_allclose(kept[place], expected[0], atol=0.5 + 1e-9)
    assert measured.arrays["image_given"][1].any()
    [(_, usual)] = seeds.finish(replace(PROTOCOL, training=replace(PROTOCOL.training, falco=None)), [1])
    assert set(measured.arrays) - set(usual.arrays) == {"image_handed_over", "image_given"}


@pytest.fixture
def asked(monkeypatch):
    """Settings and part of the networks that are trained, and how many images each of them replaces at a time."""
    asked, replaced = [], []

    def networks(settings, public, **_):
        asked.append((settings, public.part))
        return lambda images: replaced.append(len(images)) or images.clone()

    monkeypatch.setattr(seeds, "anonymiser", networks)
    seeds.anonymised.cache_clear()
    yield asked, replaced
    seeds.anonymised.cache_clear()


def test_networks_are_of_the_next_part(asked):
    for part in (0, 1, 2, 2):
        seeds.anonymised(PROTOCOL, part, "cpu", None)
    assert asked[0] == [(SETTINGS, 1), (SETTINGS, 2), (SETTINGS, 0)]


def test_seeds_of_a_part_share_its_images(asked, parts):
    """Networks are trained, and all training images replaced, once; then the stamped ones alone."""
    for seed in (1, 4, 7):
        seeds.finish(PROTOCOL, [seed])
    assert asked[0] == [(SETTINGS, 2)]
    assert [n for n in asked[1] if n > 1] == [len(parts[1].train_images)]


def test_what_it_does_not_go_with_is_refused():
    for name, value in (("forgetting", Forgetting()), ("distillation", Distillation()), ("border", 2)):
        with pytest.raises(ValueError, match=f"^falco: does not go with {name}; leave one of the two out$"):
            Training(falco=Falco(), **{name: value})
    for changes, message in (
        ({"margin": 1.1}, r"^margin: must lie in \[-1, 1\], got 1.1$"),
        ({"fakes": 0}, "^fakes: must be above zero, got 0$"),
        ({"learning_rate": 0.0}, "^learning_rate: must be above zero, got 0.0$"),
        ({"steps": -1}, "^steps: cannot be negative, got -1$"),
        ({"steps": 1.5}, "^steps: must be a whole number, got 1.5$"),
        ({"attributes": -0.1}, "^attributes: cannot be negative, got -0.1$"),
        ({"identity": -0.1}, "^identity: cannot be negative, got -0.1$"),
    ):
        with pytest.raises(ValueError, match=message):
            Falco(**changes)
    whole = Protocol("digits", None, PROTOCOL.model, PROTOCOL.training, PROTOCOL.scoring)
    with pytest.raises(ValueError, match=r"^falco: its networks are trained on another part of the data set; ask for"):
        forecast.require(whole, [0])
