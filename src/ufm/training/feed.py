"""Batches for the members of a stack, each with its own stamped host, shuffling and augmentation."""

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch

from ufm import features
from ufm.data.on_device import DeviceData, blackened
from ufm.protocol import Experiment, carried, carriers, exchanged, to_forget
from ufm.protocol.labels import drawn_anew
from ufm.randomness import counters
from ufm.randomness.streams import stream
from ufm.training import erasing
from ufm.training.augmentation import N_DRAWS, augment
from ufm.training.evaluation import LEFT_OUT
from ufm.training.members import keys
from ufm.training.mixing import drawn, mix
from ufm.training.visual_mixer import shuffled

T = TypeVar("T")
AUGMENTATION_LAYER, SAMPLING_LAYER = counters.LAYERS - 1, counters.LAYERS - 2  # no network has as many layers
ERASING_LAYER, NOISE_LAYER = counters.LAYERS - 3, counters.LAYERS - 4
BOXES_LAYER = counters.LAYERS - 5


class Feed:
    """Batches for the members of a stack, each with its own stamped host, shuffling and augmentation."""

    def __init__(self, experiments: list[Experiment], data: DeviceData, taught: torch.Tensor | None = None):
        """taught: weights of the classes (n_members, n_images, n_classes) that are learnt in the place of labels."""
        self.experiments, self.data, self.taught = experiments, data, taught
        self.stamped = [given_images(experiment, data) for experiment in experiments]
        self.relabelled = [relabelled(experiment, data) for experiment in experiments]
        self.keys = keys("augmentation", experiments, data)
        self.sampling_keys, self.erasing_keys = keys("sampling", experiments, data), keys("erasing", experiments, data)
        self.mixing_keys, self.boxes_keys = keys("mixing", experiments, data), keys("visual mixer", experiments, data)

    def epoch(self, epoch: int, members: list[int]) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Of each batch the step (from 0), the images and the labels.

        Images are (n, C, H, W) and labels (n,) where all members have the same, else (n_members, n, ...) each; weights
        of the classes (…, n, n_classes) in the place of labels where these are mixed or taught.
        """
        images, labels, protocol = self.data.train_images, self.data.train_labels, self.experiments[0].protocol
        if protocol.training.private:
            yield from self.sampled(epoch, members)
            return
        size, n_images = protocol.training.batch_size, len(labels)
        first_step = (epoch - 1) * math.ceil(n_images / size)
        stamped, relabelled = by_place(self.stamped, members), by_place(self.relabelled, members)
        order = None
        if protocol.training.shuffle or any(self.experiments[member].batch is not None for member in members):
            order = torch.stack([self.order(self.experiments[member], epoch) for member in members])
            stamped, relabelled = in_order(stamped, order), in_order(relabelled, order)
        taught = None if self.taught is None else self.taught[members]
        if taught is not None and order is not None:
            taught = taught.take_along_dim(order[..., None], 1)
        stamped_in, relabelled_in = in_batches(stamped, size), in_batches(relabelled, size)
        for number, start in enumerate(range(0, n_images, size)):
            now = slice(start, start + size) if order is None else order[:, start : start + size]
            batch, targets, step = images[now], labels[now], first_step + number
            here, others = stamped_in.get(number, []), relabelled_in.get(number, [])
            if here and order is None:
                batch = batch.repeat(len(members), 1, 1, 1, 1)
            for place, at, image in here:
                batch[place, at - start] = image
            if others and order is None:
                targets = targets.repeat(len(members), 1)
            if others:
                places, ats, anew = torch.tensor(others, device=targets.device).T
                targets[places, ats - start] = anew
            if taught is not None:
                targets = taught[:, start : start + size]
            yield step, *self.changed(batch, targets, step, members)

    def sampled(self, epoch: int, members: list[int]) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """The same of steps that take each image with the probability of one batch, drawn for each seed.

        There are as many images as the largest batch has, at least one; what a smaller one lacks has the label
        `LEFT_OUT`.
        """
        images, labels, protocol = self.data.train_images, self.data.train_labels, self.experiments[0].protocol
        n_images = len(labels)
        n_steps, rate = math.ceil(n_images / protocol.training.batch_size), protocol.training.batch_size / n_images
        different, which = self.sampling_keys[members].unique(return_inverse=True)
        stamped, relabelled = by_place(self.stamped, members), by_place(self.relabelled, members)
        for step in range((epoch - 1) * n_steps, epoch * n_steps):
            taken = counters.uniforms(different, step=step, layer=SAMPLING_LAYER, n=n_images) < rate
            largest = max(1, int(taken.sum(1).max()))
            order = taken.int().argsort(descending=True, stable=True)[:, :largest]  # in file order
            there = taken.gather(1, order)
            batch, targets = images[order], labels[order].masked_fill(~there, LEFT_OUT)
            here = [one for one in stamped if taken[which[one[0]], one[1]]]
            others = [one for one in relabelled if taken[which[one[0]], one[1]]]
            if len(different) == 1 and not here and not others:
                batch, targets = batch[0], targets[0]
            else:
                batch, targets = batch[which], targets[which]
            for place, at, image in here:
                batch[place, order[which[place]] == at] = image
            for place, at, label in others:
                targets[place, order[which[place]] == at] = label
            yield step, *self.changed(batch, targets, step, members)

    def changed(
        self, batch: torch.Tensor, targets: torch.Tensor, step: int, members: list[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch and its labels after all that a step changes at random."""
        protocol = self.experiments[0].protocol
        if protocol.model.augmentation:
            batch = self.augmented(batch, step, members)
        if protocol.training.erasing:
            batch = self.erased(batch, step, members)
        if protocol.training.visual_mixer:
            batch = self.in_boxes(batch, step, members)
        if protocol.training.mixup or protocol.training.cutmix:
            batch, targets = self.mixed(batch, targets, step, members)
        return batch, targets

    def augmented(self, batch: torch.Tensor, step: int, members: list[int]) -> torch.Tensor:
        """The batch augmented by each member's own draws, which members of one seed share."""
        shape = batch.shape[-4], N_DRAWS
        draws = uniforms(self.keys[members], shape, step=step, layer=AUGMENTATION_LAYER)
        return augment(batch, draws, flip=self.experiments[0].protocol.model.flip)

    def in_boxes(self, batch: torch.Tensor, step: int, members: list[int]) -> torch.Tensor:
        """The batch with pixels shuffled within boxes, by each member's own draws, which members of one seed share."""
        settings = self.experiments[0].protocol.training.visual_mixer
        assert settings is not None  # only then is anything shuffled
        draws = uniforms(self.boxes_keys[members], batch.shape[-4:], step=step, layer=BOXES_LAYER)
        return shuffled(batch, draws, settings, self.data.dataset)

    def erased(self, batch: torch.Tensor, step: int, members: list[int]) -> torch.Tensor:
        """The batch with rectangles of noise, by each member's own draws, which members of one seed share."""
        settings = self.experiments[0].protocol.training.erasing
        assert settings is not None  # only then is anything erased
        shape, own = batch.shape[-4:], self.erasing_keys[members]
        draws = uniforms(own, (shape[0], erasing.N_DRAWS), step=step, layer=ERASING_LAYER)
        noise = uniforms(own, shape, step=step, layer=NOISE_LAYER)
        return erasing.erase(batch, draws, self.data.normalise(noise.to(batch.dtype)), settings)

    def mixed(
        self, batch: torch.Tensor, labels: torch.Tensor, step: int, members: list[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch mixed, and its labels, by each member's own draws, which members of one seed share."""
        different, which = self.mixing_keys[members].unique(return_inverse=True)
        training, n, shape = self.experiments[0].protocol.training, batch.shape[-4], batch.shape[-2:]
        every = [drawn(counters.generator(key, step=step), training, n, *shape) for key in different.tolist()]
        kept, partners = (torch.from_numpy(np.stack(of_all)).to(batch.device) for of_all in zip(*every, strict=True))
        own = 0 if len(different) == 1 else which
        return mix(batch, labels, kept[own], partners[own], self.data.dataset.n_classes)

    def order(self, experiment: Experiment, epoch: int) -> torch.Tensor:
        """The order in which a model sees the images of an epoch, (n_images,): places in the file."""
        order = np.arange(len(self.data.train_labels))
        if experiment.protocol.training.shuffle:
            draws = stream("order", seed=experiment.seed, scope=f"{self.data.dataset.scope}/epoch {epoch}")
            order = draws.permutation(len(order))
        elif experiment.batch is not None:
            host, partner = carriers(experiment, self.data.dataset)[0], exchanged(experiment, self.data.dataset)
            order[[host, partner]] = host if experiment.protocol.twice else order[[partner, host]]
        return torch.from_numpy(order).to(self.data.train_images.device)


def uniforms(keys: torch.Tensor, shape: Sequence[int], *, step: int, layer: int) -> torch.Tensor:
    """Uniform on [0, 1) by the keys (n_members,): as `shape` where all are the same, else (n_members, …)."""
    different, which = keys.unique(return_inverse=True)
    draws = counters.uniforms(different, step=step, layer=layer, n=math.prod(shape)).view(-1, *shape)
    return draws[0] if len(different) == 1 else draws[which]


Hosts = list[tuple[int, int, T]]  # place of a member, where in its epoch the host is, and what it sees there


def by_place(of_members: list[dict[int, T]], members: list[int]) -> Hosts:
    """What members see of their hosts, by the hosts' place in the file."""
    return [(place, at, one) for place, member in enumerate(members) for at, one in of_members[member].items()]


def in_order(hosts: Hosts, order: torch.Tensor) -> Hosts:
    """The same by where in a member's own order (n_members, n_images) the hosts are."""
    return [(place, int(position), one) for place, at, one in hosts for position in (order[place] == at).nonzero()]


def in_batches(hosts: Hosts, size: int) -> dict[int, Hosts]:
    """The same by the number of the batch that they are in."""
    found: dict[int, Hosts] = {}
    for host in hosts:
        found.setdefault(host[1] // size, []).append(host)
    return found


def relabelled(experiment: Experiment, data: DeviceData) -> dict[int, int]:
    """The labels under which images are trained, by place, where these are not their own; `LEFT_OUT` without hosts.

    Of label noise, which the models of a seed share, what carries something is exempt.
    """
    dataset, share = data.dataset, experiment.protocol.training.label_noise
    own = dataset.train_labels
    labels = drawn_anew(own, share, n_classes=dataset.n_classes, seed=experiment.seed, scope=dataset.scope)
    labels |= {one.place: one.label for one in carried(experiment, dataset)}
    if experiment.protocol.training.without_hosts:
        labels |= dict.fromkeys(to_forget(experiment, dataset), LEFT_OUT)
    return {place: label for place, label in labels.items() if label != own[place]}


def given_images(experiment: Experiment, data: DeviceData) -> dict[int, torch.Tensor]:
    """What a model is trained with of the images that carry its feature, as `stamped_images`."""
    distillation = experiment.protocol.training.distillation
    return {} if distillation and not distillation.stamped else stamped_images(experiment, data)


def stamped_images(experiment: Experiment, data: DeviceData) -> dict[int, torch.Tensor]:
    """What a model sees of the images that carry its feature: normalised (C, H, W), by place, the host first."""
    # Stamped before normalisation, on the [0, 1] image.
    return {place: data.normalise(image) for place, image in as_stamped(experiment, data).items()}


def as_stamped(experiment: Experiment, data: DeviceData) -> dict[int, torch.Tensor]:
    """The same before they are normalised, in [0, 1]."""
    replaced = data.replaced or (lambda images: images)
    return {place: replaced(image[None])[0] for place, image in as_handed_over(experiment, data).items()}


def as_handed_over(experiment: Experiment, data: DeviceData) -> dict[int, torch.Tensor]:
    """The same before anything stands in their place."""
    stamped = {}
    for one in carried(experiment, data.dataset):
        image = data.floats(data.dataset.train_images[one.place])
        plain = torch.zeros_like(image) if one.black else image
        stamped[one.place] = blackened(features.insert(plain, one.pixels, position=one.position), data.border)
    return stamped
