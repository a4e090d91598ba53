"""Training task after task, and what a network recalls of those before, against one image and one pixel at a time."""

import re
from dataclasses import replace
from math import log

import numpy as np
import plain as by_hand
import pytest
import tiny
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.measures.registry import measure_of
from ufm.networks import CNN1, MLP
from ufm.networks.build import build
from ufm.protocol import SGD, Recall, Tasks, Training, task_of
from ufm.study import seeds
from ufm.training import Stack, capacity, log_probabilities, train
from ufm.training.recall import disagreement, past, recalled, roughness
from ufm.training.tasks import standardised

SLOW = SGD(learning_rate=0.05, momentum=0.0, weight_decay=0.0)


@pytest.fixture(scope="module")
def digits():
    return by_hand.first(datasets.load("digits", n_train=100), 60, 40)


def experiments(data, of_seeds=(1, 2), *, dropout=False, **tasks) -> list:
    """Control, canary and placebo of each seed, with a host in the second of five tasks."""
    [at, *_] = [place for place, label in enumerate(data.train_labels) if label in (2, 3)]
    settings = Tasks(**({"batch_size": 4} | tasks))
    training = Training(epochs=2, early_stopping="none", precision="float64", tasks=settings)
    roles = ("control", "canary", "placebo")
    return [
        by_hand.member(data, role, MLP(hidden=(20,)), training, seed=seed, at=at) for seed in of_seeds for role in roles
    ]


def on_device(data):
    return to_device(data, precision="float64")


# As plainly as can be


def recalled_by_hand(new, old, images, labels, data, settings):
    """Recalled images of one network; losses are written out as sums over images, classes and pixels."""
    x, n = images.clone(), len(images)
    present = sorted(set(labels.tolist()))
    for _ in range(settings.steps):
        x = x.detach().requires_grad_()
        given = torch.stack([(x[:, c] - data.mean[c]) / data.std[c] for c in range(x.shape[1])], 1)
        p, q = old(given).softmax(1), new(given).softmax(1)
        loss = torch.zeros((), dtype=x.dtype)
        for i in range(n):
            for k in range(p.shape[1]):
                m = (p[i, k] + q[i, k]) / 2
                loss = loss - (m * (m / p[i, k]).log() + m * (m / q[i, k]).log()) / (2 * n)
            for k in present:
                loss = loss + (p[i, k].log() + 0.1 * q[i, k].log()) / (n * len(present))
            loss = loss - 0.1 * p[i].max().log() / n
            for of_axis in (x[i, :, 1:] - x[i, :, :-1], x[i, :, :, 1:] - x[i, :, :, :-1]):
                loss = loss + 2 * (of_axis**2).sum() / (of_axis.numel() * n)
            loss = loss + x[i].square().sum().sqrt() / (x[i].numel() * n)
        for k in range(p.shape[1]):
            mean = sum(p[i, k] for i in range(n)) / n
            loss = loss + 16 * mean * mean.log()
        loss.backward()
        x = x.detach() - settings.stride * x.grad
    return x


def in_tasks_by_hand(experiment, data):
    """One model, batch after batch, by torch's own optimiser: its weights after each task, and what it recalls."""
    settings = experiment.protocol.training.tasks
    images, labels = by_hand.training_images(experiment, data), torch.tensor(data.train_labels)
    network = build(
        experiment.protocol.model, images.shape[1:], 10, seed=experiment.seed, scope=data.scope, dtype=torch.float64
    )
    old = build(experiment.protocol.model, images.shape[1:], 10, seed=0, dtype=torch.float64)
    optimiser = torch.optim.SGD(network.parameters(), lr=settings.optimiser.learning_rate)
    weights, found = [], []
    for task in range(settings.n):
        old.load_state_dict(network.state_dict())
        ours = [place for place, label in enumerate(labels.tolist()) if label // (10 // settings.n) == task]
        found.append([])
        for _ in range(settings.passes):
            for start in range(0, len(ours), settings.batch_size):
                now = ours[start : start + settings.batch_size]
                optimiser.zero_grad()
                cross_entropy(network(images[now]), labels[now]).backward()
                optimiser.step()
                if settings.recall is None or task == 0:
                    continue
                pixels = torch.stack(
                    [images[now][:, c] * data.std[c] + data.mean[c] for c in range(images.shape[1])], 1
                )
                x = recalled_by_hand(network, old, pixels, labels[now], data, settings.recall)
                found[-1].append(x)
                given = by_hand.as_given(x.numpy(), experiment, data)
                optimiser.zero_grad()
                with torch.no_grad():
                    kept, distilled = old(given).softmax(1), old(images[now]).softmax(1)
                loss = -(kept * network(given).log_softmax(1)).sum(1).mean()
                loss = loss + nn.KLDivLoss(reduction="batchmean")(network(images[now]).log_softmax(1), distilled)
                loss.backward()
                optimiser.step()
        weights.append({name: values.clone() for name, values in network.state_dict().items()})
    return weights, found


def test_recalled_images_equal_those_of_a_plain_loop(digits):
    torch.manual_seed(0)
    pairs = [
        [build(MLP(hidden=(6,)), (1, 28, 28), 10, seed=seed, dtype=torch.float64) for seed in two]
        for two in ((0, 1), (2, 3))
    ]
    new, old = ([pair[place] for pair in pairs] for place in (0, 1))
    images = torch.rand(2, 3, 1, 28, 28, dtype=torch.float64)
    labels, settings = torch.tensor([3, 2, 3]), Recall(steps=3, stride=2.0)
    stacks = [Stack(ones, torch.zeros(2, dtype=torch.int64)) for ones in (new, old)]
    found = recalled(stacks[0], past(stacks[1]), images, labels, on_device(digits), settings)
    for place in range(2):
        expected = recalled_by_hand(new[place], old[place], images[place], labels, digits, settings)
        torch.testing.assert_close(found[place], expected, rtol=1e-9, atol=1e-9)
        assert (expected - images[place]).abs().max() > 0.1


@pytest.mark.parametrize("recall", [None, Recall(steps=2, stride=1.0)], ids=["no recall", "recall"])
@pytest.mark.parametrize("of_seeds", [(1,), (1, 2)], ids=["one seed", "two seeds"])
def test_a_stack_is_what_a_plain_loop_gives(recall, of_seeds, digits):
    few = by_hand.first(digits, 24, 40)
    planned = experiments(few, of_seeds, recall=recall, passes=2, optimiser=replace(SLOW, learning_rate=0.01))
    for experiment, trained in zip(
        planned, train(planned, on_device(few), snapshots=range(1, 6), show=False), strict=True
    ):
        weights, found = in_tasks_by_hand(experiment, few)
        for task, expected in enumerate(weights, 1):
            by_hand.assert_close(trained.snapshots[task].state_dict(), expected, 1e-9)
        by_hand.assert_close(trained.model.state_dict(), weights[-1], 1e-9)
        if recall is None:
            assert trained.recalled is None
            continue
        for task, batches in enumerate(found):
            patches = [one[0, 1:6, 1:6].numpy() for batch in batches for one in batch]
            mean = np.mean([(p - p.mean()) / p.std() for p in patches], 0) if patches else np.zeros((5, 5))
            np.testing.assert_allclose(trained.recalled.patches[task], mean, atol=1e-6)
            last = batches[-1][0] if batches else np.zeros((1, 28, 28))
            np.testing.assert_allclose(trained.recalled.images[task], last, atol=1e-8)


# What is learnt when


def test_a_task_knows_no_image_of_another(digits):
    """Images of later tasks are others, and nothing changes before."""
    planned = experiments(digits, (1,))
    other = replace(digits, train_images=digits.train_images.copy())
    other.train_images[digits.train_labels >= 4] = 0
    for one, changed in zip(
        *(train(planned, on_device(data), snapshots=range(1, 6), show=False) for data in (digits, other)), strict=True
    ):
        for task in (1, 2):
            by_hand.assert_close(one.snapshots[task].state_dict(), changed.snapshots[task].state_dict(), 0)
        assert by_hand.deviation(one.snapshots[3].state_dict(), changed.snapshots[3].state_dict()) > 1e-4


@pytest.mark.parametrize("recall", [None, Recall(steps=2, stride=1.0)])
def test_models_of_a_seed_are_one_until_the_task_of_their_host(recall, digits):
    control, canary, placebo = train(
        experiments(digits, (1,), recall=recall), on_device(digits), snapshots=range(1, 6), at_control=True, show=False
    )
    first = control.snapshots[1].state_dict()
    for one in (canary, placebo):
        by_hand.assert_close(first, one.snapshots[1].state_dict(), 0)
        assert by_hand.deviation(control.snapshots[2].state_dict(), one.snapshots[2].state_dict()) > 1e-6
        by_hand.assert_close(one.model.state_dict(), one.snapshots[5].state_dict(), 0)
        by_hand.assert_close(one.model.state_dict(), one.at_control.state_dict(), 0)
        assert one.best_epoch == len(one.history) == 5
    assert by_hand.deviation(canary.model.state_dict(), placebo.model.state_dict()) > 1e-6


def test_one_task_is_plain_training(digits):
    """Of all classes at once, as a stack without tasks is trained by the same optimiser."""
    planned = experiments(digits, (1,), n=1, passes=3, batch_size=7)
    usual = Training(epochs=3, batch_size=7, early_stopping="none", precision="float64", optimiser=SLOW)
    same = [by_hand.varied(one, training=usual) for one in planned]
    for one, other in zip(*(train(every, on_device(digits), show=False) for every in (planned, same)), strict=True):
        by_hand.assert_close(one.model.state_dict(), other.model.state_dict(), 1e-12)
        assert len(one.history) == 1
        assert one.history[-1]["stopping_loss"] == pytest.approx(other.history[-1]["stopping_loss"])


def test_classes_are_split_in_their_order():
    assert task_of(torch.arange(10), 10, 5).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert task_of(torch.arange(10), 10, 1).tolist() == [0] * 10
    assert task_of(torch.arange(2), 2, 5).tolist() == [0, 2]  # of fewer classes than tasks some have none


def test_tasks_without_classes_change_nothing(digits):
    control = experiments(digits, (1,))[:1]
    two = replace(digits, train_labels=digits.train_labels % 2, test_labels=digits.test_labels % 2)
    [one] = train(control, on_device(two), snapshots=range(1, 6), show=False)
    assert len(one.history) == 5


# By hand


def test_what_images_descend_by_hand():
    old = torch.tensor([[[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]], dtype=torch.float64).log()
    new = torch.tensor([[[0.25, 0.25, 0.5], [0.25, 0.5, 0.25]]], dtype=torch.float64).log()
    divergence = (2 * 0.375 * log(0.375 / 0.5) + 2 * 0.375 * log(0.375 / 0.25)) / 2 / 2  # the second image has none
    old_present, new_present = (log(0.25) + log(0.5)) / 2, (log(0.25) + log(0.5)) / 2
    mean = [0.375, 0.375, 0.25]
    expected = 1 - divergence + old_present + 0.1 * new_present + 16 * sum(m * log(m) for m in mean) - 0.1 * log(0.5)
    assert float(disagreement(old, new, torch.tensor([1]))) == pytest.approx(expected)
    image = torch.zeros(1, 1, 1, 2, 3, dtype=torch.float64)
    image[..., 0, 0], image[..., 1, 2] = 3.0, 4.0
    assert float(roughness(image)) == pytest.approx(2 * ((9 + 16) / 3 + (9 + 16) / 4) + 5 / 6)


def test_a_certain_network_has_a_gradient():
    """Where probabilities are zero in their precision."""
    logits = torch.tensor([[[200.0, 0.0, 0.0]]]).requires_grad_()
    disagreement(logits.log_softmax(-1), logits.flip(-1).log_softmax(-1), torch.tensor([0])).sum().backward()
    assert logits.grad.isfinite().all()


def test_patches_are_standardised():
    patches = torch.tensor(np.random.default_rng(1).random((4, 5, 5)))
    letter = torch.tensor(by_hand.LETTER)
    found = (standardised(patches) * standardised(letter)).mean((1, 2))
    expected = [np.corrcoef(one.numpy().ravel(), by_hand.LETTER.ravel())[0, 1] for one in patches]
    np.testing.assert_allclose(found, expected)
    assert standardised(torch.ones(5, 5)).abs().max() == 0


# What is refused

REFUSED = [
    (lambda: Recall(steps=0), "steps: must be above zero, got 0"),
    (lambda: Recall(stride=0.0), "stride: must be above zero, got 0.0"),
    (lambda: Tasks(n=0), "n: must be above zero, got 0"),
    (lambda: Tasks(passes=1.5), "passes: must be a whole number, got 1.5"),
    (lambda: Tasks(batch_size=0), "batch_size: must be above zero, got 0"),
    (lambda: Tasks(n=1, recall=Recall()), "recall: in one task nothing was learnt before it"),
    (lambda: Training(tasks=Tasks(), shuffle=True), "tasks: do not go with shuffle; leave one of the two out"),
    (lambda: Training(tasks=Tasks(), border=2), "tasks: do not go with border; leave one of the two out"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


def test_what_does_not_go_with_tasks_is_refused(digits):
    one = experiments(digits, (1,))[1]
    for model in (CNN1(), MLP(batch_norm=True), MLP(dropout=True)):
        with pytest.raises(ValueError, match=r"^tasks: are learnt by plain MLPs, not by (cnn1|mlp) \("):
            by_hand.varied(one, model=model)
    with pytest.raises(ValueError, match="^batch: images that are learnt task after task are in batches of their task"):
        by_hand.varied(one, batch=1)


def test_a_model_that_diverges_is_named(digits):
    with pytest.raises(ValueError, match="^learning_rate: training of seed 1 diverged in task"):
        train(experiments(digits, (1,), optimiser=replace(SLOW, learning_rate=1e200)), on_device(digits), show=False)


# What is kept


def test_a_task_card_is_a_compact_one_and_what_is_left_after_every_task(monkeypatch):
    trainings = []

    def kept(experiments, data, **arguments):
        trainings.append((train(experiments, data, **arguments), data))
        return trainings[-1][0]

    monkeypatch.setattr(seeds, "train", kept)
    recall = Tasks(batch_size=20, recall=Recall(steps=1, stride=1.0))
    protocol = replace(
        tiny.PROTOCOL, roles=("canary", "placebo"), training=replace(tiny.PROTOCOL.training, tasks=recall)
    )
    found = {}
    for seed in range(6):  # until a host has later tasks, and one has none
        [(_, measured)] = seeds.finish(replace(protocol, measure="task card"), [seed])
        trained, data = trainings[-1]
        task = trained[1].experiment.canary_label // 2
        found.setdefault(task == 4, (measured.arrays, trained, data, seed))
        for place, one in enumerate(trained):
            image = measured.arrays["recalled_image"][place]
            if place and task < 4:
                np.testing.assert_allclose(image, one.recalled.images[task + 1], atol=2e-3, rtol=1e-3)
                assert np.ptp(image) > 0
            else:
                assert not image.any()
    arrays, trained, data, seed = found[False]
    assert arrays["task_shift"].shape == (3, 5, 2, 10)
    given = data.floats(datasets.ood_images("photo_patches", n=50).images[:20])
    host = data.floats(data.dataset.train_images[data.dataset.place_of(trained[1].experiment.canary_index)])
    for place, one in enumerate(trained):
        np.testing.assert_allclose(arrays["recalled_patch"][place], one.recalled.patches, atol=2e-3)
        for task in range(1, 6):
            shifts, fits = [], []
            for pixels in (by_hand.LETTER, trained[2].experiment.pixels()):
                stamped, on_host = given.clone(), host.clone()
                stamped[..., 1:6, 1:6] = on_host[..., 1:6, 1:6] = torch.from_numpy(pixels)
                log_p = [log_probabilities(one.snapshots[task], data.normalise(x)) for x in (stamped, given)]
                shifts.append((log_p[0] - log_p[1]).mean(0))
                own = log_probabilities(one.snapshots[task], data.normalise(on_host[None]))
                fits.append(own[0, trained[1].experiment.canary_label])
            for shift, kept_shift in zip(shifts, arrays["task_shift"][place, task - 1], strict=True):
                np.testing.assert_allclose(
                    kept_shift, shift - shift.mean(), atol=2e-3 * max(1, float(shift.abs().max()))
                )
            np.testing.assert_allclose(arrays["task_host_log_probability"][place, task - 1, 0, 1:], fits, rtol=2e-3)
        accuracies = [past["stopping_accuracy"] for past in one.history]
        np.testing.assert_allclose(arrays["history"][place, :, 2], accuracies, rtol=1e-6)
    [(_, compact)] = seeds.finish(replace(protocol, measure="compact card"), [seed])
    more = {"task_shift", "task_host_log_probability", "history", "recalled_patch", "recalled_image"}
    assert set(arrays) == set(compact.arrays) | more


def test_a_task_card_is_of_nothing_else():
    with pytest.raises(ValueError, match="^tasks: a task card is of models that learn in tasks; say in how many$"):
        measure_of("task card").check(replace(tiny.PROTOCOL, measure="task card"))


def test_time_is_that_of_all_passes_through_network_and_past(monkeypatch):
    monkeypatch.setattr(capacity, "seconds_an_image", lambda model, shape, n_models, step, device: step.batch_size)
    recall = Tasks(passes=3, batch_size=2, recall=Recall(steps=4))
    for tasks, each in ((recall, 1 + 2 * 4 + 2), (replace(recall, recall=None), 1)):
        protocol = replace(tiny.PROTOCOL, training=replace(tiny.PROTOCOL.training, tasks=tasks))
        assert capacity.estimate(protocol, (1, 28, 28), 100) == 2 * 100 * 3 * each
