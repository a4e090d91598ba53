"""Mixup, CutMix, random erasing, masked borders and distillation against a plain loop; what is drawn for them."""

import math
from dataclasses import replace

import numpy as np
import plain as by_hand
import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.networks import CNN2, MLP
from ufm.plan import third
from ufm.protocol import Distillation, Erasing, Private, Protocol, Training
from ufm.randomness import counters
from ufm.study import seeds
from ufm.training import Feed, stamped_images, train
from ufm.training.distillation import outputs, teacher
from ufm.training.erasing import ATTEMPTS, N_DRAWS, erase
from ufm.training.evaluation import LEFT_OUT, counted, cross_entropies
from ufm.training.mixing import box, drawn, mix

WAYS = {
    "mixup": {"mixup": 0.4},
    "CutMix": {"cutmix": 1.0},
    "random erasing": {"erasing": Erasing(area=(0.1, 0.9))},
    "masked border": {"border": 2},
    "distillation": {"distillation": Distillation(temperature=3.0)},
    "distillation without the letter": {
        "distillation": Distillation(stamped=False),
        "shuffle": True,
        "early_stopping": "half",
        "patience": 1,
        "learning_rate": 0.02,
        "epochs": 8,
    },
    "all at once": {"mixup": 1.0, "erasing": Erasing(), "border": 1, "label_smoothing": 0.2, "shuffle": True},
}


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits", n_train=300)


def experiments(data, of_seeds=(1, 2), **training) -> list:
    """Control, canary and placebo of each seed."""
    usual = {"learning_rate": 1e-3, "batch_size": 64, "epochs": 3, "early_stopping": "none", "precision": "float64"}
    model, own, roles = MLP(hidden=(20,)), Training(**(usual | training)), ("control", "canary", "placebo")
    return [by_hand.member(data, role, model, own, seed=seed, at=7) for seed in of_seeds for role in roles]


def on_device(data, **training):
    return to_device(data, precision="float64", border=training.get("border", 0))


# Against a plain loop


@pytest.mark.parametrize("of_seeds", [(1,), (1, 2)], ids=["one seed", "two seeds"])
@pytest.mark.parametrize("way", WAYS)
def test_a_stack_is_what_a_plain_loop_gives(way, of_seeds, digits):
    planned = experiments(digits, of_seeds, **WAYS[way])
    plain = by_hand.plain(replace(planned[1], protocol=experiments(digits)[1].protocol), digits)
    for experiment, trained in zip(planned, train(planned, on_device(digits, **WAYS[way]), show=False), strict=True):
        expected = by_hand.plain(experiment, digits)
        assert trained.best_epoch == expected.best_epoch
        by_hand.assert_close(trained.model.state_dict(), expected.weights[expected.best_epoch - 1], 1e-11)
        assert by_hand.deviation(expected.weights[-1], plain.weights[-1]) > 1e-3  # the way does something
        for name in ("train_loss", "stopping_loss"):
            found = [past[name] for past in trained.history]
            assert found == pytest.approx(getattr(expected, name), rel=1e-6 if name == "train_loss" else 1e-11)


def test_augmentation_comes_first(digits):
    model, training = MLP(hidden=(20,), augmentation=True), WAYS["all at once"]
    planned = [by_hand.varied(one, model=model) for one in experiments(digits, **training)]
    for experiment, trained in zip(planned, train(planned, on_device(digits, **training), show=False), strict=True):
        by_hand.assert_close(trained.model.state_dict(), by_hand.plain(experiment, digits).weights[-1], 1e-11)


@pytest.mark.parametrize("way", WAYS)
def test_members_of_a_seed_share_draws_and_are_as_if_alone(way, digits):
    planned, data = experiments(digits, **WAYS[way]), on_device(digits, **WAYS[way])
    together = train([*planned, planned[0]], data, show=False)
    by_hand.assert_close(together[0].model.state_dict(), together[-1].model.state_dict(), 1e-12)
    for experiment, trained in zip(planned[1::2], together[1::2], strict=False):
        [alone] = train([experiment], data, show=False)
        by_hand.assert_close(trained.model.state_dict(), alone.model.state_dict(), 1e-11)
    seen, batches = Feed(planned, data), 0
    for _, images, _ in seen.epoch(2, [0, 1, 2]):  # of one seed: they differ in what the host has a share in
        other = (images != images[0]).flatten(2).any(2).sum(1) if images.dim() == 5 else torch.zeros(3)
        assert other[0] == 0
        assert other.max() <= 2  # the host, and whom it is mixed into
        batches += bool(other.any())
    assert batches <= 1
    for _, images, _ in seen.epoch(1, [0, 3]):  # controls of two seeds draw apart
        drawn_apart = {"mixup", "cutmix", "erasing", "shuffle"} & WAYS[way].keys()
        assert (images.dim() == 5) == bool(drawn_apart)
        assert images.dim() == 4 or not torch.equal(images[0], images[1])


def test_private_training_can_erase(digits):
    planned = experiments(digits, erasing=Erasing(), private=Private(noise=0.0))
    together = train(planned, on_device(digits), show=False)
    [alone] = train(planned[4:5], on_device(digits), show=False)  # batches are of other sizes then
    by_hand.assert_close(together[4].model.state_dict(), alone.model.state_dict(), 1e-11)


# Two labels at once


def test_weights_of_two_classes_cost_what_two_labels_do():
    draws = np.random.default_rng(0)
    logits = torch.tensor(draws.normal(size=(3, 8, 5)))
    one, other = (torch.tensor(draws.integers(5, size=8)) for _ in range(2))
    images, weights = mix(
        torch.tensor(draws.normal(size=(8, 1, 4, 4))),
        one,
        torch.full((4, 4), 0.3, dtype=torch.float64),
        torch.arange(8).roll(1),
        5,
    )
    for smoothing in (0.0, 0.2):
        found = cross_entropies(logits, weights, smoothing)
        assert found.shape == (3, 8)
        for member in range(3):
            both = [
                cross_entropy(logits[member], labels, reduction="none", label_smoothing=smoothing)
                for labels in (one, one.roll(1))
            ]
            np.testing.assert_allclose(found[member], 0.3 * both[0] + 0.7 * both[1], atol=1e-14)
            own = cross_entropies(logits, torch.stack([weights] * 3), smoothing)
            np.testing.assert_array_equal(own, found)
    assert int(counted(weights)) == int(counted(other)) == 8
    assert counted(torch.tensor([[1, LEFT_OUT], [1, 1]])).tolist() == [1, 2]
    assert counted(torch.stack([weights, weights * (torch.arange(8) < 3)[:, None]])).tolist() == [8, 3]


# What is drawn


def steps(training, n=4000, shape=(28, 28)):
    """What so many steps draw for four images: the share that stays at each pixel, and the partners."""
    return zip(*(drawn(counters.generator(-5, step=step), training, 4, *shape) for step in range(n)), strict=True)


def test_mixup_draws_its_share_from_a_beta_distribution_once_a_step():
    for a in (0.2, 1.0, 8.0):
        kept, partners = steps(Training(mixup=a))
        shares = np.array([one[0, 0] for one in kept])
        assert all((one == share).all() for one, share in zip(kept, shares, strict=True))
        assert shares.mean() == pytest.approx(0.5, abs=0.03)
        assert shares.var() == pytest.approx(1 / (4 * (2 * a + 1)), rel=0.08)  # of Beta(a, a)
        assert abs(np.corrcoef(shares[:-1], shares[1:])[0, 1]) < 0.06
        orders = np.unique(np.array(partners), axis=0, return_counts=True)[1]
        assert len(orders) == math.factorial(4)
        assert orders.min() > 4000 / 24 * 0.65


def test_cutmix_pastes_a_box_and_weighs_labels_by_its_area():
    training = Training(cutmix=1.0)
    for step in range(300):
        draws = counters.generator(-5, step=step)
        draws.permutation(4)
        share, row, column = draws.beta(1.0, 1.0), draws.integers(28), draws.integers(20)
        kept, _ = drawn(counters.generator(-5, step=step), training, 4, 28, 20)
        expected = np.ones((28, 20))
        for y in range(28):
            for x in range(20):  # as the released code: halves of the sides' whole numbers to both sides of the centre
                half = [int(size * math.sqrt(1 - share)) // 2 for size in (28, 20)]
                if row - half[0] <= y < row + half[0] and column - half[1] <= x < column + half[1]:
                    expected[y, x] = 0
        np.testing.assert_array_equal(kept, expected)
    kept, _ = steps(training)
    inside = 1 - np.array(kept)
    # Boxes in the middle of an image have the area that was drawn, uniform for Beta(1, 1); at its edges they are cut.
    assert inside[:, 14, 14].mean() > inside[:, 0, 14].mean() > inside[:, 0, 0].mean() > 0
    assert inside[:, 0, 14].mean() == pytest.approx(inside[:, 27, 14].mean(), abs=0.05)
    images, labels = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 28, 28), torch.tensor([0, 1, 2, 3])
    for one, partners in zip(*steps(training, 50), strict=True):
        mixed, weights = mix(images, labels, torch.from_numpy(one), torch.from_numpy(partners), 4)
        for place, partner in enumerate(partners):
            area = float((mixed[place] == partner).double().mean()) if partner != place else 0.0
            assert float(weights[place, partner]) == pytest.approx(area if partner != place else 1.0)
            assert float(weights[place].sum()) == pytest.approx(1)
            assert set(mixed[place].unique().tolist()) <= {float(place), float(partner)}


@pytest.mark.parametrize(
    ("share", "centre", "expected"),
    [
        (0.0, (4, 4), (range(8), range(8))),  # nothing is left
        (1.0, (4, 4), (range(0), range(0))),  # all is
        (0.75, (0, 7), (range(2), range(5, 8))),  # half of the sides, in a corner
        (0.75, (7, 0), (range(5, 8), range(2))),
        (0.0, (0, 7), (range(4), range(3, 8))),
    ],
)
def test_boxes_are_cut_off_at_the_edges(share, centre, expected):
    rows, columns = box(share, centre, 8, 8)
    assert (list(range(8))[rows], list(range(8))[columns]) == tuple(map(list, expected))


# Random erasing


def some(n, shape=(1, 28, 28)):
    draws = np.random.default_rng(3)
    images, noise = (torch.tensor(draws.random((n, *shape))) for _ in range(2))
    return images, torch.tensor(draws.random((n, N_DRAWS)), dtype=torch.float32), noise


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 12, 20)])
@pytest.mark.parametrize("settings", [Erasing(), Erasing(0.9, (0.3, 0.99), 0.1)], ids=["usual", "large"])
def test_erasing_equals_a_plain_version(settings, shape):
    images, draws, noise = some(200, shape)
    found = erase(images, draws, noise, settings)
    expected = torch.stack([by_hand.erased(*one, settings) for one in zip(images, draws, noise, strict=True)])
    np.testing.assert_array_equal(found, expected)
    own = torch.stack([images, images]), torch.stack([draws, draws.flip(0)]), torch.stack([noise, noise])
    np.testing.assert_array_equal(erase(*own, settings)[0], found)
    np.testing.assert_array_equal(erase(images, *own[1:], settings), erase(*own, settings))


def test_rectangles_have_the_shares_that_are_asked_for():
    settings = Erasing()
    n = 4000
    images, draws, _ = some(n)
    found = erase(torch.zeros_like(images), draws, torch.ones_like(images), settings)[:, 0]
    areas = found.mean((1, 2))
    assert float((areas > 0).double().mean()) == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / n))
    areas, rows, columns = areas[areas > 0], found.any(2).sum(1), found.any(1).sum(1)
    assert float(areas.min()) > 0.02 * 0.8
    assert float(areas.max()) < 0.4 * 1.05
    assert float(areas.mean()) == pytest.approx(0.21, abs=0.01)
    ratios = (rows / columns)[rows > 0]
    assert float(ratios.min()) > 0.3 * 0.8
    assert float(ratios.max()) < 1.25 / 0.3
    assert rows.max() < 28
    assert columns.max() < 28
    assert all(torch.equal(one, one.any(1)[:, None] & one.any(0)) for one in found.bool()[:200])
    # Of the 28 - h + 1 places for h rows one is at the top and one at the bottom.
    for extent, edges in ((rows, (found[:, 0], found[:, -1])), (columns, (found[:, :, 0], found[:, :, -1]))):
        expected = float((extent > 0).double().div(29 - extent).mean())
        for edge in edges:
            assert float(edge.any(1).double().mean()) == pytest.approx(expected, rel=0.2)


def test_the_letter_is_left_untouched_nine_times_of_ten():
    images, draws, _ = some(10_000)
    of_letter = erase(torch.zeros_like(images), draws, torch.ones_like(images), third.ERASED)[:, 0, 1:6, 1:6]
    assert float(of_letter.flatten(1).any(1).double().mean()) == pytest.approx(0.09, abs=0.01)  # book/third-plan.md


def test_where_no_rectangle_fits_an_image_stays():
    images, draws, noise = some(1)
    draws[0] = 0.999  # as large and as high as can be: higher than the image
    assert torch.equal(erase(images, draws, noise, Erasing(1.0, (0.9, 0.95))), images)
    draws[0, -4:] = torch.tensor([0.0, 0.2, 0.0, 0.0])  # but the last of the attempts
    found = erase(images, draws, noise, Erasing(1.0, (0.5, 0.95)))
    assert not torch.equal(found, images)
    assert torch.equal(found[0, 0, 0, 0], noise[0, 0, 0, 0])
    assert ATTEMPTS == 10


def test_noise_is_uniform_before_normalisation(digits):
    planned, data = experiments(digits, erasing=Erasing(1.0)), on_device(digits)
    values = []
    for epoch in range(1, 6):
        start = 0
        for _, images, _ in Feed(planned, data).epoch(epoch, [0]):
            changed = images != data.train_images[start : start + len(images)]
            values.append(images[changed] * data.dataset.std[0] + data.dataset.mean[0])
            start += len(images)
    found = torch.cat(values).sort().values
    assert float((found - torch.linspace(0, 1, len(found))).abs().max()) < 1.8 / math.sqrt(len(found))


# Masked borders


def test_a_border_is_black_in_training_in_stopping_and_where_accuracy_is_reported(digits):
    lit = replace(digits, train_images=digits.train_images | 1, test_images=digits.test_images | 1)
    data, plain = to_device(lit, border=2), to_device(lit)
    black = -digits.mean[0] / digits.std[0]
    for name in ("train_images", "stopping_images", "reported_images"):
        found, whole = getattr(data, name), getattr(plain, name)
        assert torch.equal(found[..., 2:-2, 2:-2], whole[..., 2:-2, 2:-2])
        outside = torch.ones(28, 28, dtype=torch.bool)
        outside[2:26, 2:26] = False
        np.testing.assert_allclose(found[..., outside], black, atol=1e-6)
    canary = experiments(digits, border=2)[1]
    [(place, image)] = stamped_images(canary, data).items()
    [(_, whole)] = stamped_images(canary, plain).items()
    assert torch.equal(image[..., 2:-2, 2:-2], whole[..., 2:-2, 2:-2])
    assert not torch.equal(image, data.train_images[place])  # rows and columns 2 to 5 of the letter are left
    np.testing.assert_allclose(image[..., outside], black, atol=1e-6)


@pytest.mark.parametrize(("border", "same"), [(6, True), (5, False)])
def test_a_border_that_covers_the_letter_makes_one_model_of_all_roles(border, same, digits):
    planned = experiments(digits, (1,), border=border)
    control, canary, placebo = train(planned, on_device(digits, border=border), show=False)
    assert (by_hand.deviation(control.model.state_dict(), canary.model.state_dict()) < 1e-13) == same
    if same:  # a placebo may be black at the pixel that a border of 5 leaves
        by_hand.assert_close(control.model.state_dict(), placebo.model.state_dict(), 1e-13)


def test_a_seed_is_trained_and_measured_in_each_way():
    five = replace(tiny.PROTOCOL, roles=("canary", "placebo"), measure="equal-age card")
    for training in (*WAYS.values(), {"early_stopping": "half", "patience": 1, "epochs": 9}):
        protocol = replace(five, training=replace(five.training, **training))
        [(entry, measured)] = seeds.finish(protocol, [1])
        assert entry["identity"] == protocol.identity(1)
        assert len(measured.tables["models"]) == protocol.n_models


# Distillation


@pytest.mark.parametrize("stamped", [True, False])
def test_students_are_given_what_is_stamped_or_not(stamped, digits):
    planned, data = experiments(digits, (1,), distillation=Distillation(5.0, stamped)), on_device(digits)
    taught = torch.rand(3, 300, 10, dtype=torch.float64)
    start = 0
    for _, images, targets in Feed(planned, data, taught).epoch(1, [0, 2]):
        assert (images.dim() == 5) == (stamped and start == 0)  # the host is in the first batch
        assert torch.equal(targets, taught[[0, 2], start : start + 64])
        start += images.shape[-4]
    teachers = train([teacher(one) for one in planned], data, show=False)
    assert {one.experiment.protocol.training.distillation for one in teachers} == {None}
    of_host = outputs(teachers, data, planned[0].protocol.training.distillation)[:, 7]
    for one, found in zip(teachers, of_host, strict=True):
        image = stamped_images(one.experiment, data).get(7) if stamped else None
        image = data.train_images[7] if image is None else image
        with torch.no_grad():
            np.testing.assert_allclose(found, (one.model(image[None])[0] / 5.0).softmax(0), atol=1e-14)


def test_a_student_comes_near_its_teacher_where_labels_say_nothing(digits):
    wrong = replace(digits, train_labels=(digits.train_labels + 1) % 10)
    planned = experiments(wrong, (1,), distillation=Distillation(2.0), epochs=40)[:1]
    data = on_device(wrong)
    [of_labels], [student] = train([teacher(planned[0])], data, show=False), train(planned, data, show=False)
    answers = [one.model(data.reported_images).argmax(1) for one in (of_labels, student)]
    assert float((answers[0] == answers[1]).double().mean()) > 0.95
    assert float(((data.reported_labels + 1) % 10 == answers[1]).double().mean()) > 0.8


def test_gradients_keep_their_scale_at_any_temperature():
    draws = np.random.default_rng(0)
    logits = torch.tensor(draws.normal(size=(2, 6, 5)), requires_grad=True)
    weights = torch.tensor(draws.random((6, 5))).softmax(1)
    found = cross_entropies(logits, weights, temperature=3.0)
    expected = -9 * (weights * (logits / 3).log_softmax(2)).sum(2)
    np.testing.assert_allclose(found.detach(), expected.detach(), atol=1e-13)
    assert torch.equal(cross_entropies(logits, weights, temperature=1.0), cross_entropies(logits, weights))


# Bad input


def test_bad_settings_are_one_line(digits):
    for name in ("mixup", "cutmix", "border"):
        with pytest.raises(ValueError, match=rf"^{name}: cannot be negative, got -1$"):
            Training(**{name: -1})
    with pytest.raises(ValueError, match=r"^border: must be a whole number, got 1.5$"):
        Training(border=1.5)
    with pytest.raises(ValueError, match=r"^cutmix: images are mixed by mixup; leave one of the two out$"):
        Training(mixup=1.0, cutmix=1.0)
    for name in ("mixup", "cutmix"):
        with pytest.raises(ValueError, match=rf"^{name}: private training clips gradients of single images"):
            Training(private=Private(), **{name: 1.0})
    for name, value in (("probability", 0), ("probability", 1.1), ("ratio", 0), ("ratio", 2)):
        with pytest.raises(ValueError, match=rf"^{name}: must lie in \(0, 1\], got {value}$"):
            Erasing(**{name: value})
    for area in ((0.0, 0.4), (0.4, 0.2), (0.1, 1.0), (0.1,)):
        with pytest.raises(ValueError, match=r"^area: must be two shares in \(0, 1\), the smaller first, got "):
            Erasing(area=area)
    with pytest.raises(ValueError, match=r"^temperature: must be above zero, got 0$"):
        Distillation(temperature=0)
    for name, value in (("private", Private()), ("label_smoothing", 0.1), ("mixup", 1.0), ("cutmix", 1.0)):
        with pytest.raises(ValueError, match=rf"^distillation: does not go with {name}; leave one of the two out$"):
            Training(distillation=Distillation(), **{name: value})
    with pytest.raises(ValueError, match=r"^border: 14 leaves nothing of images of 28 x 28 pixels$"):
        Protocol("mnist", training=Training(border=14))
    Protocol("mnist", training=Training(border=13), model=CNN2())
    with pytest.raises(ValueError, match=r"^border: 2 is asked for, but the data on the device have one of 0$"):
        train(experiments(digits, border=2), on_device(digits))
