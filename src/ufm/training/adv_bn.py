"""AdvBN (Shu et al. 2021, arXiv 2009.08965): training on the worst statistics of a batch, see `ufm.protocol.AdvBN`.

What is perturbed are the features of a network's first hidden layer, behind its ReLU. As in the released code, ascent
begins at factors of one, asks the network as it is evaluated, and sees features above zero alone; the learning rate
falls to a tenth after half of the epochs. Weights learn from perturbed features as they do from others, factors given.
"""

from copy import copy, deepcopy
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from ufm.data.on_device import DeviceData
from ufm.protocol import AdvBN, Experiment
from ufm.training.epoch import Loss, train_epoch
from ufm.training.evaluation import cross_entropies
from ufm.training.feed import Feed
from ufm.training.layers import Images, together
from ufm.training.members import keys
from ufm.training.optimiser import of_sgd
from ufm.training.stack import Stack
from ufm.training.trained import Trained, at_both_epochs, loaded

DECAY = 0.1  # what the learning rate is multiplied by after half of the epochs of fine-tuning


def cut(network: nn.Sequential) -> int:
    """How many layers of a network lie before the features that are perturbed: up to its first ReLU, and that too."""
    for place, layer in enumerate(network, 1):
        if isinstance(layer, nn.ReLU):
            return place
    raise ValueError("adv_bn: a network without a ReLU has no features that could be perturbed")


def on_worst_statistics(
    loss: Loss, settings: AdvBN, start: int, stack: Stack, images: torch.Tensor, targets: torch.Tensor, step: int
) -> torch.Tensor:
    """Each image's loss on features as they are plus that on perturbed ones, (n_members, n).

    Args:
        loss: of logits and targets, as `cross_entropies`.
        settings: how features are perturbed.
        start: layers of the stack before the features, 0 where it is given features.
        stack: the models.
        images: (n, C, H, W), the same for all members, or (n_members, n, …).
        targets: labels or weights of the classes, as `cross_entropies` takes them.
        step: of the training, from 0.
    """
    x: Images = images
    for layer in stack.layers[:start]:
        x = layer.forward(stack, x, step)
    features = together(x)
    scale, shift = worst(loss, settings, start, stack, features.detach(), targets)
    x = torch.cat([features, renormalised(features, scale, shift)], 1)
    for layer in stack.layers[start:]:
        x = layer.forward(stack, x, step)
    clean, perturbed = together(x).chunk(2, 1)
    return loss(clean, targets) + loss(perturbed, targets)


def worst(
    loss: Loss, settings: AdvBN, start: int, stack: Stack, features: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Factors (n_members, 1, units, …) of the standard deviations and of the means of features, with a high loss."""
    asked = copy(stack)  # of its weights no gradient is wanted
    asked.parameters = {name: values.detach() for name, values in stack.parameters.items()}
    scale, shift = (torch.ones_like(statistic(features)) for _ in range(2))
    for _ in range(settings.steps):
        factors = scale.requires_grad_(), shift.requires_grad_()
        x: Images = renormalised(features, *factors)
        for layer in stack.layers[start:]:
            x = layer.forward(asked, x, None)
        gradients = torch.autograd.grad(loss(together(x), targets).mean(1).sum(), factors)
        scale, shift = (
            (factor.detach() + settings.stride * gradient.sign()).clamp(1 - settings.radius, 1 + settings.radius)
            for factor, gradient in zip(factors, gradients, strict=True)
        )
    return scale, shift


def renormalised(features: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Features (n_members, n, units, …) with the standard deviation and mean of each unit multiplied, above zero."""
    mean = statistic(features)
    return ((features - mean) * scale + mean * shift).relu()


def statistic(features: torch.Tensor) -> torch.Tensor:
    """Means (n_members, 1, units, …) of features over images, and over the places of a channel."""
    return features.mean([1, *range(3, features.dim())], keepdim=True)


def fine_tune(trained: list[Trained], data: DeviceData) -> list[Trained]:
    """Models as they were at their best epoch, and at their control's, fine-tuned; all others are of training."""
    both = at_both_epochs(trained, partial(fine_tuned, data=data))
    return [
        replace(one, model=model, at_control=at_control) for one, (model, at_control) in zip(trained, both, strict=True)
    ]


def fine_tuned(models: list[tuple[nn.Sequential, Experiment]], data: DeviceData) -> list[nn.Sequential]:
    """Models of one architecture and way of training after the layers behind their first hidden one were trained on.

    Batches and what is drawn for them are those that would follow the last epoch of training. Raises a ValueError where
    a model diverges.
    """
    if not models:
        return []
    modules, experiments = [module for module, _ in models], [experiment for _, experiment in models]
    training, n = experiments[0].protocol.training, cut(modules[0])
    settings = training.adv_bn
    assert settings is not None  # else nothing is fine-tuned
    dropout = keys("dropout", experiments, data)
    frozen, head = (
        Stack([nn.Sequential(*module[part]) for module in modules], dropout) for part in (slice(n), slice(n, None))
    )
    optimiser, feed = of_sgd(settings.optimiser, head, training), Feed(experiments, data)
    loss = partial(cross_entropies, smoothing=training.label_smoothing)

    def features(epoch: int):
        for step, images, targets in feed.epoch(training.epochs + epoch, list(range(len(models)))):
            with torch.no_grad():
                given = frozen.logits(images)
            yield step, given, targets

    for epoch in range(1, settings.epochs + 1):
        if epoch == settings.epochs // 2 + 1:
            optimiser.learning_rate *= DECAY
        losses = train_epoch(head, optimiser, features(epoch), partial(on_worst_statistics, loss, settings, 0))
        if not torch.tensor(losses).isfinite().all():
            rate = settings.optimiser.learning_rate
            raise ValueError(f"learning_rate: at {rate} models diverged while they were fine-tuned")
    return [
        nn.Sequential(*deepcopy(modules[place][:n]), *loaded(head.template, head.state(place))).eval()
        for place in range(len(models))
    ]
