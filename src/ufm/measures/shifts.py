"""How a model's outputs move when features are stamped on images of several kinds."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ufm import scores
from ufm.data.datasets import ImageSet
from ufm.data.on_device import DeviceData
from ufm.measures.layout import N_SHORT
from ufm.measures.patched import Patched
from ufm.measures.response import Response
from ufm.protocol import Protocol

CONTRAST = 0.3  # of the images on which a model is less sure


@dataclass(frozen=True, eq=False)
class Kind:
    """Images of a kind on which shifts are measured."""

    images: torch.Tensor  # (n_images, C, H, W) in [0, 1]
    labels: torch.Tensor | None  # (n_images,), where shifts are kept by label too


def kinds(protocol: Protocol, data: DeviceData, ood: ImageSet) -> dict[str, Kind]:
    """The kinds of images of a card by name: OOD, reported test images, OOD at low contrast, one black image."""
    n, device = protocol.scoring.n_effect, data.train_images.device
    first = data.floats(ood.images[:n])
    labels = torch.tensor(ood.labels[:n], device=device)
    mean = first.mean((1, 2, 3), keepdim=True)
    spread = spaced(len(data.reported), n)
    return {
        "ood": Kind(first, labels),
        "test": Kind(data.floats(data.dataset.test_images[data.reported[spread]]), data.reported_labels[spread]),
        "dim": Kind(mean + CONTRAST * (first - mean), labels),
        "black": Kind(torch.zeros_like(first[:1]), None),
    }


def spaced(n_images: int, n: int) -> np.ndarray:
    """Places of n images, or of all where there are fewer, evenly among n_images.

    Not the first ones, since the first half of MNIST's test images is easier than the second.
    """
    n = min(n, n_images)
    return np.arange(n) * n_images // n


def patched(protocol: Protocol, model: nn.Sequential, images: torch.Tensor, data: DeviceData) -> Patched:
    """The model on images (n_images, C, H, W) in [0, 1] of which a rectangle of the feature's size changes."""
    normalise = data.normalise if protocol.scoring.inputs == "normalised" else lambda batch: batch
    return Patched(model, images, normalise=normalise, position=protocol.position, shape=protocol.unique.shape)


def kl_divergence(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """`ufm.scores.kl_divergence` over the last axis of log-probabilities; leading axes broadcast."""
    floor = float(np.log(scores.CLIP))
    return (log_p.exp().clamp(scores.CLIP) * (log_p.clamp(floor) - log_q.clamp(floor))).sum(-1)


def mean_shift(images: Response, stamped: torch.Tensor) -> torch.Tensor:
    """Patch effect (n_features, n_classes) in nats: mean shift of the centred log-probability by each feature."""
    # Centred logits are centred log-probabilities, and centring commutes with the mean.
    shift = images.logits(stamped).mean(1, dtype=torch.float64) - images.clean.mean(0, dtype=torch.float64)
    return shift - shift.mean(-1, keepdim=True)


def shifts(
    images: Response, stamped: torch.Tensor, n_own: int, labels: torch.Tensor | None = None
) -> dict[str, np.ndarray]:
    """What a card keeps of one model on images of a kind, float16, each (n_features, …), by the name that it has there.

    stamped: features (n_features, 1 or C, h, w), of which the first `n_own` are kept by label too, where `labels`
    (n_images,) are known.
    """
    log_clean = images.clean.log_softmax(-1)
    p_clean, n_short = log_clean.exp(), n_own + N_SHORT
    found: dict[str, list[torch.Tensor]] = {}
    for start in range(0, len(stamped), 8):  # so many that a processor's cache holds them
        logits = images.logits(stamped[start : start + 8])
        log_p = logits.log_softmax(-1)
        shift = (logits - images.clean).double()
        shift = shift - shift.mean(-1, keepdim=True)
        kl = kl_divergence(log_clean, log_p)
        found.setdefault("shift", []).append(shift.mean(1))
        found.setdefault("kl_mean", []).append(kl.mean(1, dtype=torch.float64))
        found.setdefault("kl_sd", []).append(kl.double().std(1, correction=0))
        gain = (log_p.exp() - p_clean).double()
        found.setdefault("probability", []).append(gain.mean(1))
        if start < n_own and labels is not None:
            by_label = (labels[:, None] == torch.arange(log_clean.shape[-1], device=labels.device)).double()
            weights = (by_label / by_label.sum(0).clamp(min=1)).T  # (n_labels, n_images)
            found.setdefault("shift_by_label", []).append(weights @ shift[: n_own - start])
            found.setdefault("probability_by_label", []).append(weights @ gain[: n_own - start])
    joined = {name: half(torch.cat(parts)) for name, parts in found.items()}
    return joined | {"probability": joined["probability"][:n_short]}


def half(values: torch.Tensor) -> np.ndarray:
    """As float16, half a thousandth of precision, which is all that a shift needs."""
    return values.cpu().numpy().astype(np.float16)
