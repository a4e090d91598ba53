"""A data set on the device where models are trained: normalised images, which never leave it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ufm.data.datasets import Dataset
from ufm.device import float32, resolve

MEMORY = Path("/proc/meminfo")  # where Linux says how much memory is free


@dataclass(frozen=True, eq=False)
class DeviceData:
    """A data set on its device: normalised images (N, C, H, W) and labels (N,) of each split."""

    dataset: Dataset
    train_images: torch.Tensor
    train_labels: torch.Tensor
    stopping_images: torch.Tensor  # what early stopping watches
    stopping_labels: torch.Tensor
    reported_images: torch.Tensor  # what accuracy and test-image effects are reported on
    reported_labels: torch.Tensor
    reported: np.ndarray  # places of the reported images in the test split
    early_stopping: str  # what it watches: "half", "released" or "validation"
    border: int = 0  # rows and columns at each edge that are black in all of these images
    replaced: Callable[[torch.Tensor], torch.Tensor] | None = None  # what stands in the place of training images
    # Weights of all layers but the last that networks start from, by seed; none where they start as they are drawn.
    pretrained: Mapping[int, Mapping[str, torch.Tensor]] | None = None

    def floats(self, images: np.ndarray) -> torch.Tensor:
        """Images (…, C, H, W), uint8 or in [0, 1], beside the training images as floats in [0, 1]."""
        return floats(images, self.train_images.device, self.train_images.dtype)

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Images in [0, 1] less the training images' mean, over their standard deviation, per channel."""
        return normalise(images, self.dataset)


def to_device(
    data: Dataset,
    *,
    device: str = "cpu",
    precision: str = "float32",
    early_stopping: str = "half",
    border: int = 0,
    replaced: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> DeviceData:
    """Move a data set to where it is trained on.

    Early stopping watches one half of the test split and everything is reported on the other; "released" is the
    behaviour of the released code, the whole test split for both. With "validation" it watches the validation split,
    and everything is reported on the whole test split. A `border` of so many rows and columns at each edge is made
    black in the images of all splits. Training images (n, C, H, W) in [0, 1] are as `replaced` makes them.
    """
    device_ = torch.device(resolve(device))
    float32()
    everything, halves = np.arange(len(data.test_labels)), data.halves()
    stopping = halves[0] if early_stopping in ("half", "none") else everything
    reported = halves[1] if early_stopping in ("half", "none") else everything
    watched = data.test_images[stopping], data.test_labels[stopping]
    if early_stopping == "validation":
        watched = data.validation_images, data.validation_labels

    def images(array: np.ndarray, replaced: Callable[[torch.Tensor], torch.Tensor] | None = None) -> torch.Tensor:
        values = blackened(floats(array, device_, getattr(torch, precision)), border)
        values = values if replaced is None else replaced(values)
        mean, std = channels(data, values)
        return values.sub_(mean).div_(std)  # as `normalise` does, without a copy of them all

    def labels(array: np.ndarray) -> torch.Tensor:
        return torch.tensor(array, device=device_)

    return DeviceData(
        data,
        images(data.train_images, replaced),
        labels(data.train_labels),
        images(watched[0]),
        labels(watched[1]),
        images(data.test_images[reported]),
        labels(data.test_labels[reported]),
        reported,
        "half" if early_stopping == "none" else early_stopping,
        border,
        replaced,
    )


def floats(images: np.ndarray, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Images, uint8 or in [0, 1], as floats in [0, 1]."""
    tensor = torch.tensor(images, device=device).to(dtype)
    return tensor.div_(255) if images.dtype == np.uint8 else tensor


def blackened(images: torch.Tensor, border: int) -> torch.Tensor:
    """Images (…, H, W) in [0, 1] with so many rows and columns at each edge black; they are changed in place."""
    inner = torch.zeros(images.shape[-2:], dtype=torch.bool, device=images.device)
    inner[border : inner.shape[0] - border, border : inner.shape[1] - border] = True
    return images.masked_fill_(~inner, 0) if border else images


def normalise(images: torch.Tensor, data: Dataset) -> torch.Tensor:
    """Images (…, C, H, W) in [0, 1] less the data set's mean, over its standard deviation, per channel."""
    mean, std = channels(data, images)
    return (images - mean) / std


def channels(data: Dataset, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of the data set's channels, (C, 1, 1) each, beside images."""
    mean, std = (images.new_tensor(values).view(-1, 1, 1) for values in (data.mean, data.std))
    return mean, std


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; those that the system only keeps files in are free."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if MEMORY.exists():
        lines = dict(line.split(":") for line in MEMORY.read_text(encoding="ascii").splitlines())
        return int(lines["MemAvailable"].removesuffix("kB")) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
