"""Attacks against plain loops over one image and one network, and against values worked out by hand."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tiny
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ufm.measures import attacks, robust
from ufm.measures.layout import ATTACKS, NORMS, RADII
from ufm.networks import MLP
from ufm.networks.build import build
from ufm.study import seeds

SHAPE, N_CLASSES = (1, 4, 4), 5


def module(seed: int = 0) -> nn.Sequential:
    return build(MLP(hidden=(7, 6)), SHAPE, N_CLASSES, seed=seed, dtype=torch.float64)


def normalised(images: torch.Tensor) -> torch.Tensor:
    return 4 * (images - 0.5)


def network(seed: int = 0):
    """Of images in [0, 1]."""
    return lambda images: module(seed)(normalised(images))


def images(*leading: int, seed: int = 1, low: float = 0.0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(low, 1, size=(*leading, *SHAPE)))


def own_labels(asked, given: torch.Tensor) -> torch.Tensor:
    """What a network says of images, so that all are right."""
    return asked(given).argmax(1)


# A linear network of two classes and two pixels: the first class leads by 3 a + 4 b − 3.


def linear(pixels: torch.Tensor) -> torch.Tensor:
    lead = pixels.flatten(1) @ pixels.new_tensor([3.0, 4.0]) - 3
    return torch.stack([lead, torch.zeros_like(lead)], 1)


def pixels(*values: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 2)


ZERO = torch.zeros(1, dtype=torch.int64)
HALF = pixels((0.5, 0.6))  # leads by 0.9: 0.9 / 7 from the boundary in L∞, 0.9 / 5 in L2
EDGES = {"L∞": 0.9 / 7, "L2": 0.9 / 5}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("side", [-1e-6, 1e-6])
def test_a_label_holds_up_to_the_boundary_and_no_further(norm, side):
    radius = torch.tensor([EDGES[norm] + side], dtype=torch.float64)
    holds = side < 0
    assert attacks.one_step(linear, HALF, ZERO, radius, norm).tolist() == [holds]
    assert attacks.descended(linear, HALF, ZERO, radius, norm, torch.zeros_like(HALF)).tolist() == [holds]
    aside = pixels((0.3, 0.3))  # from where the surface is followed in steps
    assert attacks.descended(linear, HALF, ZERO, radius + 1e-3 * (side > 0), norm, aside).tolist() == [holds]


def test_the_boundary_of_a_linear_network_is_its_lead_over_the_norm_of_its_weights():
    given = pixels((0.5, 0.6), (1.0, 1.0), (0.0, 0.0))
    labels = torch.tensor([0, 0, 1])
    found = attacks.boundary(linear, given, labels)
    np.testing.assert_allclose(found, [0.9 / 5, 4 / 5, 3 / 5], rtol=1e-5)
    distance, way = attacks.nearest(*attacks.jacobian(linear, given), labels)
    np.testing.assert_allclose(distance, [0.9 / 5, 4 / 5, 3 / 5], rtol=1e-12)
    np.testing.assert_allclose(way, np.array([[-0.9, -0.9], [-4, -4], [3, 3]]) * [3, 4] / 25, rtol=1e-12)


def test_an_image_that_is_wrong_is_past_its_boundary_and_one_without_any_never_reaches_it():
    assert attacks.boundary(linear, HALF, torch.tensor([1])).tolist() == [0.0]
    constant = lambda given: torch.stack([given.flatten(1).sum(1) * 0 + 1, given.flatten(1).sum(1) * 0], 1)  # noqa: E731
    assert attacks.boundary(constant, HALF, ZERO).tolist() == [math.inf]
    assert attacks.nearest(*attacks.jacobian(constant, HALF), ZERO)[0].tolist() == [math.inf]
    for norm in NORMS:
        radius = torch.tensor([0.5], dtype=torch.float64)
        assert attacks.descended(constant, HALF, ZERO, radius, norm, torch.zeros_like(HALF)).tolist() == [True]


def test_images_stay_images():
    """At (0.05, 0.9), which leads by 0.75, the first pixel can fall by 0.05 alone: the other has to fall by 0.15."""
    given = pixels((0.05, 0.9))
    for radius, holds in ((0.149, True), (0.151, False)):
        at = torch.tensor([radius], dtype=torch.float64)
        assert attacks.one_step(linear, given, ZERO, at, "L∞").tolist() == [holds]
    moved = attacks.within(given, pixels((-3.0, 0.5)), torch.tensor([0.2], dtype=torch.float64), "L∞")
    np.testing.assert_allclose(moved.flatten(), [-0.05, 0.1], atol=1e-15)
    moved = attacks.within(given, pixels((-3.0, 4.0)), torch.tensor([0.1], dtype=torch.float64), "L2")
    np.testing.assert_allclose(moved.flatten(), [-0.05, 0.08], atol=1e-15)


def test_a_network_that_is_sure_hides_nothing():
    """The cross-entropy of logits a thousandfold has no gradient left; the log-odds have the direction they had."""
    given = HALF.float()
    sure = lambda one: 1000 * linear(one)  # noqa: E731
    x = given.clone().requires_grad_()
    cross_entropy(sure(x), ZERO).backward()
    assert x.grad.abs().max() == 0
    for norm in NORMS:
        for side in (-1e-3, 1e-3):
            radius = torch.tensor([EDGES[norm] + side])
            assert attacks.one_step(sure, given, ZERO, radius, norm).tolist() == [side < 0]
            held = attacks.descended(sure, given, ZERO, radius, norm, torch.zeros_like(given))
            assert held.tolist() == [side < 0]


# Networks with hidden layers


def direction(gradient: torch.Tensor, norm: str) -> torch.Tensor:
    if norm == "L∞":
        return torch.tensor([float(one > 0) - float(one < 0) for one in gradient.flatten()]).double().view(SHAPE)
    length = math.sqrt(float((gradient**2).sum()))
    return gradient / length if length else gradient


def nearer(moved: torch.Tensor, image: torch.Tensor, radius: float, norm: str) -> torch.Tensor:
    """A change within the ball, that leaves an image."""
    flat = moved.flatten().tolist()
    if norm == "L∞":
        flat = [max(-radius, min(radius, one)) for one in flat]
    else:
        length = math.sqrt(sum(one * one for one in flat))
        flat = [one * min(1, radius / length) if length else one for one in flat]
    flat = [max(0, min(1, of + one)) - of for of, one in zip(image.flatten().tolist(), flat, strict=True)]
    return torch.tensor(flat, dtype=torch.float64).view(SHAPE)


def path(asked, image, label, radius, norm, start) -> tuple[list[torch.Tensor], bool]:
    """The images at which PGD of the cross-entropy asks a network, and whether all have the label."""
    points, moved = [], nearer(start, image, radius, norm)
    for _ in range(attacks.STEPS + 1):
        x = (image + moved).clone().requires_grad_()
        points.append(x.detach())
        logits = asked(x[None])
        if int(logits.argmax()) != int(label):
            return points, False
        cross_entropy(logits, label[None]).backward()
        stride = attacks.STRIDE * radius / attacks.STEPS
        moved = nearer(moved + stride * direction(x.grad, norm), image, radius, norm)
    return points, True


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pgd_is_a_plain_loop_over_images(norm, seed):
    given, starts, asked = images(12, low=0.2), images(12, seed=4) - 0.5, network(seed)
    labels, radii = own_labels(asked, given), torch.tensor([0.02, 0.05, 0.1, 0.2, 0.3, 0.6] * 2, dtype=torch.float64)
    seen: list[torch.Tensor] = []

    def heard(x):
        seen.append(x.detach())
        return asked(x)

    found = attacks.descended(heard, given, labels, radii, norm, starts)
    paths = [path(asked, *of, norm, start) for *of, start in zip(given, labels, radii.tolist(), starts, strict=True)]
    assert found.tolist() == [holds for _, holds in paths]
    assert set(found.tolist()) == {True, False}
    for step, points in enumerate(seen):
        expected = [of[step] for of, _ in paths if len(of) > step]
        np.testing.assert_allclose(points, torch.stack(expected), atol=1e-9)
    assert len(seen) == max(len(of) for of, _ in paths)


@pytest.mark.parametrize("norm", NORMS)
def test_one_step_is_that_of_the_cross_entropy(norm):
    given, asked = images(20, low=0.2), network()
    labels, radii = own_labels(asked, given), torch.tensor([0.05, 0.2] * 10, dtype=torch.float64)
    expected = []
    for image, label, radius in zip(given, labels, radii.tolist(), strict=True):
        x = image.clone().requires_grad_()
        cross_entropy(asked(x[None]), label[None]).backward()
        moved = image + radius * direction(x.grad, norm)
        expected.append(int(asked(moved.clamp(0, 1)[None]).argmax()) == int(label))
    assert attacks.one_step(asked, given, labels, radii, norm).tolist() == expected
    assert set(expected) == {True, False}


def test_a_jacobian_and_a_curvature_are_those_of_autograd():
    given, asked = images(6), network()
    logits, rows = attacks.jacobian(asked, given)
    found = attacks.curvature(logits, rows)
    for n, image in enumerate(given):
        whole = torch.autograd.functional.jacobian(lambda x: asked(x[None])[0], image)
        np.testing.assert_allclose(rows[n], whole.flatten(1), atol=1e-12)
        for label in range(N_CLASSES):  # which makes no difference
            loss = lambda x, label=label: cross_entropy(asked(x.view(1, *SHAPE)), torch.tensor([label]))  # noqa: E731
            hessian = torch.autograd.functional.hessian(loss, image.flatten())
            assert float(found[n]) == pytest.approx(float(torch.linalg.eigvalsh(hessian)[-1]), rel=1e-9)


def test_a_boundary_is_crossed_and_hardly_further_than_the_nearest_one():
    """Of networks of two pixels, whose nearest point of another class is looked for on circles."""
    angles = np.linspace(0, 2 * np.pi, 721)
    round_it = torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)], 1)).view(-1, 1, 1, 2)
    ratios = []
    for seed in range(6):
        two = build(MLP(hidden=(9, 8)), (1, 1, 2), 4, seed=seed, dtype=torch.float64)
        asked = lambda x, two=two: two(normalised(x))  # noqa: E731
        given = torch.from_numpy(np.random.default_rng(seed).uniform(size=(8, 1, 1, 2)))
        labels = own_labels(asked, given)
        for image, label, found in zip(given, labels, attacks.boundary(asked, given, labels).tolist(), strict=True):
            radii = np.linspace(0, 3, 1501)[1:]
            left = [r for r in radii if (asked(image + r * round_it).argmax(1) != label).any()]
            if math.isfinite(found) and left:
                assert found > left[0] - 0.0021  # by which circles are apart
                ratios.append(found / left[0])
    assert len(ratios) > 20
    assert np.median(ratios) < 1.05
    assert max(ratios) < 2


@pytest.mark.parametrize("place", [0, 1])
def test_pgd_begins_at_the_place_that_was_drawn_as_well(place):
    """Where alone this network, which has no gradient, says something else."""
    norm, drawn = NORMS[place], torch.tensor([-0.9, 0.7], dtype=torch.float64).view(1, 1, 1, 1, 2)
    radius = RADII[norm][1]
    short = radius * (1 if norm == "L∞" else 1 / max(1, math.hypot(0.9, 0.7)))
    there = HALF + short * drawn[0]

    def asked(x):
        near = ((x - there).abs() < 1e-9).flatten(1).all(1).double()
        return torch.stack([1 - near, near], 1) + 0 * x.flatten(1).sum(1, keepdim=True)

    found = robust.outcomes(asked, HALF, ZERO, HALF[:, None], drawn)[place, ATTACKS.index("PGD"), :, 0]
    assert found.tolist() == [radius != one for one in RADII[norm]]


# The card

PROTOCOL = replace(tiny.PROTOCOL, hosts=("random",), roles=("canary", "placebo"), measure="robust card")


@pytest.fixture(scope="module")
def few():
    """Few images are attacked here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(robust, "ATTACKED", 20)
        yield


@pytest.fixture(scope="module")
def card(few):
    [(_, measured)] = seeds.finish(PROTOCOL, [1])
    return measured.arrays


def test_a_robust_card_is_a_card_and_what_attacks_leave(card, few):
    [(_, usual)] = seeds.finish(replace(PROTOCOL, measure="compact card"), [1])
    assert {name: card[name].shape for name in card if name.startswith("attack_")} == {
        "attack_right": (3, len(NORMS), len(ATTACKS), 5, 20),
        **{f"attack_{name}": (3, 20) for name in ("clean", "linear", "distance", "curvature")},
    }
    for name in set(card) - {one for one in card if one.startswith("attack_")}:
        np.testing.assert_array_equal(card[name], usual.arrays[name])
    right, clean = card["attack_right"], card["attack_clean"]
    pgd = right[:, :, ATTACKS.index("PGD")]
    assert not (pgd & ~clean[:, None, None]).any()  # the image itself is where it begins
    assert (card["attack_distance"][~clean] == 0).all()
    assert (card["attack_distance"][clean] > 0).all()
    shares = pgd.mean((0, 3))
    assert (np.diff(shares, axis=1) <= 0).all()
    assert shares[:, -1].max() < 0.2


def test_chance_is_that_of_a_seed(card, few):
    both = [measured.arrays for _, measured in seeds.finish(PROTOCOL, [1, 4])]
    for name in card:
        np.testing.assert_array_equal(both[0][name], card[name])
    assert (both[1]["attack_distance"] != card["attack_distance"]).any()


def test_others_are_the_nearest_of_their_class_and_outcomes_those_of_single_images():
    from ufm.data import datasets
    from ufm.data.on_device import to_device

    data = datasets.load("digits", n_train=400, part=1)
    on_device = to_device(data, precision="float64", early_stopping="none")
    given = on_device.floats(data.test_images[on_device.reported[:6]])
    labels = on_device.reported_labels[:6]
    others = robust.of_other_classes(given, labels, on_device)
    every = data.train_images / 255 if data.train_images.dtype == np.uint8 else data.train_images
    for n, image in enumerate(given.numpy()):
        classes = [one for one in range(10) if one != int(labels[n])]
        for place, one in enumerate(classes):
            of_class = every[data.train_labels == one]
            nearest = min(of_class, key=lambda other, image=image: ((other - image) ** 2).sum())
            np.testing.assert_allclose(others[n, place], nearest, atol=1e-12)
    two = build(MLP(hidden=(16, 8)), given.shape[1:], 10, seed=3, dtype=torch.float64)
    asked = partial(robust.asked, two, on_device)
    labels = own_labels(asked, given)
    drawn = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, *given.shape)))
    found = robust.outcomes(asked, given, labels, others, drawn)

    def holds(image, label):
        return int(asked(image.clamp(0, 1)[None]).argmax()) == int(label)

    for place, norm in enumerate(NORMS):
        for at, radius in enumerate(RADII[norm]):
            r = torch.tensor([radius], dtype=torch.float64)
            for n, (image, label) in enumerate(zip(given, labels, strict=True)):
                one, y, draw = image[None], label[None], drawn[0, n]
                unit = draw.sign() if norm == "L∞" else draw / draw.norm()
                pulled = []
                for other in others[n]:
                    way = other - image
                    short = way.clamp(-radius, radius) if norm == "L∞" else way * min(1, radius / float(way.norm()))
                    pulled.append(holds(image + short, label))
                starts = (torch.zeros_like(one), radius * draw[None])
                expected = {
                    "noise": holds(image + radius * unit, label),
                    "other images": all(pulled),
                    "one step": bool(attacks.one_step(asked, one, y, r, norm)),
                    "PGD": all(bool(attacks.descended(asked, one, y, r, norm, start)) for start in starts),
                }
                assert found[place, :, at, n].tolist() == [expected[attack] for attack in ATTACKS]
    assert 0 < found.mean() < 1
