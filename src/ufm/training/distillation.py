"""Distillation (Hinton et al. 2015, arXiv 1503.02531): who teaches a model, and what it is taught."""

from dataclasses import replace

import torch

from ufm.data.on_device import DeviceData
from ufm.protocol import Distillation, Experiment
from ufm.training.evaluation import log_probabilities
from ufm.training.feed import stamped_images
from ufm.training.trained import Trained


def teacher(student: Experiment) -> Experiment:
    """The experiment of the model that teaches a student."""
    training = replace(student.protocol.training, distillation=None)
    return replace(student, protocol=replace(student.protocol, training=training))


def outputs(teachers: list[Trained], data: DeviceData, settings: Distillation) -> torch.Tensor:
    """The teachers' probabilities (n_teachers, n_images, n_classes) for their students' training images, softened."""
    found = []
    for one in teachers:
        images = data.train_images.clone()
        for place, image in (stamped_images(one.experiment, data) if settings.stamped else {}).items():
            images[place] = image
        found.append((log_probabilities(one.model, images) / settings.temperature).softmax(1))
    return torch.stack(found)
