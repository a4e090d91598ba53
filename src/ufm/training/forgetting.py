"""Forgetting: trained models are moved until they misclassify their hosts, see `ufm.protocol.Forgetting`.

Models answer as they are evaluated, without dropout and with running statistics. Chance is that of a seed and an image,
so that the models of a seed that forget one image share it.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import nn

from ufm.data.on_device import DeviceData, blackened
from ufm.protocol import Experiment, Forgetting, Training, to_forget
from ufm.randomness.streams import stream
from ufm.training.evaluation import cross_entropies
from ufm.training.feed import as_stamped
from ufm.training.members import keys
from ufm.training.optimiser import of_settings
from ufm.training.stack import Stack
from ufm.training.trained import State, Trained, at_both_epochs, loaded

SMALLEST = 1e-6  # what a gradient's norm is divided by, at least
Forgotten = tuple[nn.Sequential, int]  # a model, and in how many steps it forgot its hosts


def forget(trained: list[Trained], data: DeviceData) -> list[Trained]:
    """The models at their best epoch, and at their control's, after they forgot their hosts; others are of training."""
    found = []
    for one, ((model, steps), later) in zip(
        trained, at_both_epochs(trained, partial(forgotten, data=data)), strict=True
    ):
        at_control, later_steps = later or (None, 0)
        found.append(replace(one, model=model, at_control=at_control, forgetting=(steps, later_steps)))
    return found


def forgotten(models: list[tuple[nn.Sequential, Experiment]], data: DeviceData) -> list[Forgotten]:
    """Models of one architecture after they forgot their hosts; those that have as many are one stack."""
    by_number: dict[int, list[int]] = {}
    for place, (_, experiment) in enumerate(models):
        by_number.setdefault(len(to_forget(experiment, data.dataset)), []).append(place)
    found: dict[int, Forgotten] = {}
    for places in by_number.values():
        modules, experiments = zip(*(models[place] for place in places), strict=True)
        found |= zip(places, forgotten_together(list(modules), list(experiments), data), strict=True)
    return [found[place] for place in range(len(models))]


def forgotten_together(models: list[nn.Sequential], experiments: list[Experiment], data: DeviceData) -> list[Forgotten]:
    """Models of one architecture with as many hosts, as one stack: each after it forgot, and in how many steps."""
    settings = settings_of(experiments[0])
    hosts, labels = together([own_hosts(one, data) for one in experiments])
    stack, given, answers = Stack(models, keys("dropout", experiments, data)), data.normalise(hosts), labels
    if settings.adversarial:
        starts, targets = together([drawn(one, data) for one in experiments])
        images = hosts.repeat_interleave(settings.adversarial, 1)
        adversarial = attacked(stack, images, targets, starts, data, settings)
        given = torch.cat([given, data.normalise(adversarial)], 1)
        answers = torch.cat([answers, targets], 1)
    found = ascended(stack, given, answers, hosts.shape[1], experiments[0].protocol.training)
    return [(loaded(models[0], state), steps) for state, steps in found]


def ascended(
    stack: Stack, given: torch.Tensor, answers: torch.Tensor, n_hosts: int, training: Training
) -> list[tuple[State, int]]:
    """Weights of the members of a stack that forgot, and in how many steps each did. The stack is used up.

    Args:
        stack: trained models.
        given: (n_members, n_images, C, H, W), normalised: the hosts of each, then adversarial images.
        answers: (n_members, n_images), labels: those of the hosts are to be left, the others kept.
        n_hosts: how many images are hosts.
        training: settings that say how hosts are forgotten.

    Raises:
        ValueError: models diverge.
    """
    settings = training.forgetting
    assert settings is not None
    optimiser = of_settings(settings.optimiser, stack, training)
    held = unimportance(stack, given[:, :n_hosts]) if settings.importance else {}
    first = {name: values.detach().clone() for name, values in stack.parameters.items()}
    members = list(range(len(stack)))
    found: list[tuple[State, int]] = [({}, 0)] * len(stack)
    for step in range(settings.steps + 1):
        with torch.no_grad():
            logits = stack.logits(given[:, :n_hosts])
        if not logits.isfinite().all():
            raise ValueError(f"learning_rate: at {settings.optimiser.learning_rate} models diverged while they forgot")
        right = logits.argmax(2) == answers[:, :n_hosts]
        staying = [
            place for place, any_right in enumerate(right.any(1).tolist()) if any_right and step < settings.steps
        ]
        for place in set(range(len(members))) - set(staying):
            found[members[place]] = stack.state(place), step
        if len(staying) < len(members):
            members = [members[place] for place in staying]
            if not members:
                break
            kept = torch.tensor(staying, device=stack.device)
            optimiser.keep(kept)
            given, answers, right = given[kept], answers[kept], right[kept]
            held, first = ({name: values[kept] for name, values in of.items()} for of in (held, first))
        empty(stack)
        losses = cross_entropies(stack.logits(given), answers)
        optimiser.backward(torch.cat([losses[:, :n_hosts] * -right.to(losses), losses[:, n_hosts:]], 1))
        with torch.no_grad():
            for name, share in held.items():
                stack.gradients[name] += settings.importance * share * (stack.parameters[name] - first[name])
        optimiser.step()
    return found


def attacked(
    stack: Stack,
    images: torch.Tensor,
    targets: torch.Tensor,
    starts: torch.Tensor,
    data: DeviceData,
    settings: Forgetting,
) -> torch.Tensor:
    """Images that each member takes for targets: projected gradient descent in a ball of the L2 norm.

    Madry et al. 2018 (arXiv 1706.06083). As in AdverTorch, an image begins at another one, moved into the ball; after
    each step it is moved into the range of pixels, then into the ball.

    Args:
        stack: trained models.
        images: (n_members, n, C, H, W) in [0, 1].
        targets: (n_members, n) labels.
        starts: (n_members, n, C, H, W) in [0, 1], where each begins.
        data: how models are given images.
        settings: radius, stride and iterations.
    """
    moved = into_ball(starts - images, settings.radius)
    for _ in range(settings.iterations):
        x = (images + moved).requires_grad_()
        losses = cross_entropies(stack.logits(data.normalise(x)), targets)
        [gradient] = torch.autograd.grad(losses.sum(), x)
        moved = moved - settings.stride * gradient / norms(gradient).clamp(min=SMALLEST)
        moved = into_ball((images + moved).clamp(0, 1) - images, settings.radius)
    return images + moved


def into_ball(moved: torch.Tensor, radius: float | torch.Tensor) -> torch.Tensor:
    """Differences (…, C, H, W) scaled down to the L2 norm `radius`, one or (…, 1, 1, 1), where theirs is larger."""
    return moved * (radius / norms(moved).clamp(min=radius))


def norms(images: torch.Tensor) -> torch.Tensor:
    """L2 norms (…, 1, 1, 1) of images (…, C, H, W)."""
    return images.flatten(-3).norm(dim=-1)[..., None, None, None]


def unimportance(stack: Stack, hosts: torch.Tensor) -> dict[str, torch.Tensor]:
    """How little a member's answers on its hosts hang on each of its weights, by name: in [0, 1] within a tensor.

    Importance is that of memory aware synapses (Aljundi et al. 2018) as L2UL takes it: the size of the gradient of the
    mean L2 norm of the logits, which is scaled to [0, 1] within each tensor and turned round. Where all are alike, all
    are 1.

    hosts: (n_members, n_hosts, C, H, W), normalised.
    """
    empty(stack)
    stack.logits(hosts).norm(dim=2).mean(1).sum().backward()
    found = {}
    for name, gradient in stack.gradients.items():
        size = gradient.abs()
        every = size.flatten(1)
        low, high = (ends.view(-1, *[1] * (size.dim() - 1)) for ends in (every.amin(1), every.amax(1)))
        found[name] = torch.where(high > low, (high - size) / (high - low), 1.0)
    return found


def empty(stack: Stack) -> None:
    """Leave nothing in the buffers of gradients, to which some layers add theirs."""
    for gradient in stack.gradients.values():
        gradient.zero_()


def settings_of(experiment: Experiment) -> Forgetting:
    """How a model forgets."""
    settings = experiment.protocol.training.forgetting
    assert settings is not None  # else nothing is forgotten
    return settings


def own_hosts(experiment: Experiment, data: DeviceData) -> tuple[torch.Tensor, torch.Tensor]:
    """The images (n, C, H, W) in [0, 1] that a model is to forget, as it was trained on them, and their labels (n,)."""
    labels = to_forget(experiment, data.dataset)
    plain = {place: data.floats(data.dataset.train_images[place]) for place in labels}
    images = [blackened(image, data.border) for image in (plain | as_stamped(experiment, data)).values()]
    return torch.stack(images), torch.tensor(list(labels.values()), device=data.train_images.device)


def drawn(experiment: Experiment, data: DeviceData) -> tuple[torch.Tensor, torch.Tensor]:
    """Where adversarial images of a model's hosts begin, (n, C, H, W) uniform in [0, 1], and at which labels they aim.

    Those of the first host first. Labels (n,) are drawn uniformly among those that are not the host's.
    """
    n, n_classes = settings_of(experiment).adversarial, data.dataset.n_classes
    starts, targets = [], []
    for place, label in to_forget(experiment, data.dataset).items():
        draws = stream("adversarial images", seed=experiment.seed, scope=f"{data.dataset.scope}/{place}")
        targets.append((label + draws.integers(1, n_classes, n)) % n_classes)
        starts.append(draws.random((n, *data.dataset.train_images.shape[1:])))
    return data.floats(np.concatenate(starts)), torch.tensor(np.concatenate(targets), device=data.train_images.device)


def together(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels of several models, each stacked."""
    images, labels = zip(*pairs, strict=True)
    return torch.stack(images), torch.stack(labels)
