"""Training: one experiment, seeded, on images that stay on the device."""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ufm import features
from ufm.datasets import Dataset
from ufm.experiments import Experiment, Protocol, check
from ufm.models import build
from ufm.optimiser import Adam
from ufm.progress import progress


@dataclass(frozen=True, eq=False)
class DeviceData:
    """A data set on its device: normalised images (N, C, H, W) and labels (N,) of each split."""

    data: Dataset
    train_images: torch.Tensor
    train_labels: torch.Tensor
    stopping_images: torch.Tensor  # what early stopping watches
    stopping_labels: torch.Tensor
    reported_images: torch.Tensor  # what accuracy and test-image effects are reported on
    reported_labels: torch.Tensor
    reported: np.ndarray  # places of the reported images in the test split
    early_stopping: str  # what it watches, "half" or "released"

    def floats(self, images: np.ndarray) -> torch.Tensor:
        """Images (…, C, H, W), uint8 or in [0, 1], beside the training images as floats in [0, 1]."""
        return floats(images, self.train_images.device, self.train_images.dtype)

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Images in [0, 1] less the training images' mean, over their standard deviation, per channel."""
        return normalise(images, self.data)


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model with the weights of its best epoch and how it came there."""

    model: nn.Module
    experiment: Experiment
    best_epoch: int  # counted from 1
    history: list[dict[str, float]]  # one entry an epoch: epoch, train_loss, stopping_loss, stopping_accuracy


def to_device(
    data: Dataset, *, device: str = "cpu", precision: str = "float32", early_stopping: str = "half"
) -> DeviceData:
    """Move a data set to where it is trained on.

    Early stopping watches one half of the test split and everything is reported on the other; "released" is the
    behaviour of the released code, the whole test split for both.
    """
    device_ = torch.device(device)
    if device_.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device: {device!r} is not there; use cpu")
    everything = np.arange(len(data.test_labels))
    stopping, reported = (everything, everything) if early_stopping == "released" else data.halves()

    def images(array: np.ndarray) -> torch.Tensor:
        return normalise(floats(array, device_, getattr(torch, precision)), data)

    def labels(array: np.ndarray) -> torch.Tensor:
        return torch.tensor(array, device=device_)

    return DeviceData(
        data,
        images(data.train_images),
        labels(data.train_labels),
        images(data.test_images[stopping]),
        labels(data.test_labels[stopping]),
        images(data.test_images[reported]),
        labels(data.test_labels[reported]),
        reported,
        "released" if early_stopping == "released" else "half",
    )


def floats(images: np.ndarray, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Images, uint8 or in [0, 1], as floats in [0, 1]."""
    tensor = torch.tensor(images, device=device).to(dtype)
    return tensor / 255 if images.dtype == np.uint8 else tensor


def normalise(images: torch.Tensor, data: Dataset) -> torch.Tensor:
    """Images (…, C, H, W) in [0, 1] less the data set's mean, over its standard deviation, per channel."""
    mean, std = (images.new_tensor(values).view(-1, 1, 1) for values in (data.mean, data.std))
    return (images - mean) / std


def train(experiment: Experiment, data: DeviceData, *, show: bool = True) -> Trained:
    """Train one model; early stopping keeps the weights of the epoch with the lowest stopping loss.

    Batches are taken in file order (no shuffling, as in the released code). Raises ValueError, naming the field, for
    an experiment that does not fit the data.
    """
    check(experiment, data.data)
    settings = experiment.training
    for name, there in (("precision", str(data.train_images.dtype)), ("early_stopping", data.early_stopping)):
        if getattr(settings, name) != there.removeprefix("torch.") and getattr(settings, name) != "none":
            raise ValueError(
                f"{name}: {getattr(settings, name)} is asked for, but the data on the device are for {there}"
            )
    model = build(
        experiment.model,
        data.data.train_images.shape[1:],
        data.data.n_classes,
        seed=experiment.seed,
        scope=data.data.scope,
        device=str(data.train_images.device),
        dtype=data.train_images.dtype,
    )
    optimiser = Adam(list(model.parameters()), learning_rate=settings.learning_rate, epsilon=settings.epsilon)
    host = stamped_host(experiment, data)
    history: list[dict[str, float]] = []
    best_epoch, best_weights = 0, {}
    epochs = progress(range(1, settings.epochs + 1), f"{experiment.role}, seed {experiment.seed}", show=show)
    for epoch in epochs:
        train_loss = train_epoch(model, optimiser, data.train_images, data.train_labels, settings.batch_size, host)
        stopping_loss, stopping_accuracy = evaluate(model, data.stopping_images, data.stopping_labels)
        if not math.isfinite(stopping_loss):
            raise ValueError(f"learning_rate: training of seed {experiment.seed} diverged in epoch {epoch}")
        history.append(
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "stopping_loss": stopping_loss,
                "stopping_accuracy": stopping_accuracy,
            }
        )
        lowest = stopping_loss < min((past["stopping_loss"] for past in history[:-1]), default=float("inf"))
        if lowest or settings.early_stopping == "none":
            best_epoch = epoch
            best_weights = {name: weight.clone() for name, weight in model.state_dict().items()}
        elif epoch - best_epoch >= settings.patience:
            break
    epochs.close()
    model.load_state_dict(best_weights)
    return Trained(model.eval(), experiment, best_epoch, history)


def train_epoch(
    model: nn.Module,
    optimiser: Adam,
    images: torch.Tensor,
    labels: torch.Tensor,
    batch_size: int,
    host: tuple[int, torch.Tensor] | None = None,
) -> float:
    """One pass over the images in file order, the host's place taken by its stamped image; the mean loss in nats."""
    model.train()
    total = images.new_zeros(())
    for start in range(0, len(labels), batch_size):
        batch, targets = images[start : start + batch_size], labels[start : start + batch_size]
        if host is not None and start <= host[0] < start + batch_size:
            batch = batch.clone()
            batch[host[0] - start] = host[1]
        loss = cross_entropy(model(batch), targets)
        loss.backward()
        optimiser.step()
        total += loss.detach() * len(targets)
    return float(total / len(labels))


def estimate(protocol: Protocol, image_shape: tuple[int, int, int], n_images: int, *, device: str = "cpu") -> float:
    """Seconds that one model takes at most on this device: all its epochs, from a few measured steps on noise."""
    settings, steps = protocol.training, 10
    dtype = getattr(torch, settings.precision)
    model = build(protocol.model, image_shape, 10, seed=0, device=device, dtype=dtype)
    optimiser = Adam(list(model.parameters()), learning_rate=settings.learning_rate, epsilon=settings.epsilon)
    images = torch.rand(steps * settings.batch_size, *image_shape, device=device, dtype=dtype)
    labels = torch.zeros(len(images), device=device, dtype=torch.int64)
    seconds = []
    for _ in range(2):  # the first pass warms up
        started = time.perf_counter()
        train_epoch(model, optimiser, images, labels, settings.batch_size)
        seconds.append(time.perf_counter() - started)
    return seconds[-1] / len(images) * n_images * settings.epochs


def stamped_host(experiment: Experiment, data: DeviceData) -> tuple[int, torch.Tensor] | None:
    """The host's place among the training images, and it normalised (C, H, W) with the feature; None without one."""
    if not experiment.host:
        return None
    place = int(np.searchsorted(data.data.train_indices, experiment.canary_index))
    image = data.floats(data.data.train_images[place])
    # Stamped before normalisation, on the [0, 1] image.
    return place, data.normalise(
        features.insert(image, features.letter(experiment.feature), position=experiment.position)
    )


@torch.inference_mode()
def evaluate(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Mean cross-entropy in nats and accuracy in [0, 1] on normalised images."""
    model.eval()
    logits = model(images)
    return float(cross_entropy(logits, labels)), float((logits.argmax(1) == labels).double().mean())


@torch.inference_mode()
def log_probabilities(model: nn.Module, images: torch.Tensor, *, batch_size: int = 8192) -> torch.Tensor:
    """Unclipped log-softmax (n_images, n_classes) of normalised images (n_images, C, H, W)."""
    model.eval()
    return torch.cat([model(batch).log_softmax(1) for batch in images.split(batch_size)])
