"""How robust models are: attacks of several radii, how far the boundary is, and how curved the loss.

After Tursynbek et al. (2020, arXiv 2012.07828), who asked it of privately trained networks.
"""

from functools import partial

import numpy as np
import torch
from torch import nn

from ufm.data.datasets import ImageSet
from ufm.data.on_device import DeviceData
from ufm.measures import attacks
from ufm.measures.attacks import Network
from ufm.measures.cards import equal_age_card
from ufm.measures.layout import ATTACKED, ATTACKS, NORMS, RADII
from ufm.measures.shifts import half, spaced
from ufm.protocol import Protocol
from ufm.randomness.streams import stream
from ufm.records import Measured
from ufm.training import Trained

N_STARTS = 1  # of projected gradient descent in a place that is drawn, beside the one at the image itself

FLATTEST = 1e-12  # nats over squared pixels: less curvature than that is kept as that


def robust_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """A compact card, and how the models, each at its own best epoch, hold reported test images that are attacked."""
    card = equal_age_card(protocol, trained, data, ood)
    seed, places = trained[0].experiment.seed, spaced(len(data.reported), ATTACKED)
    images = data.floats(data.dataset.test_images[data.reported[places]])
    labels = data.reported_labels[places]
    others = of_other_classes(images, labels, data)
    draws = stream("attacks", seed=seed, scope=data.dataset.scope).uniform(-1, 1, (N_STARTS, *images.shape))
    drawn = torch.from_numpy(draws).to(images)
    arrays: dict[str, list[np.ndarray]] = {}
    for one in trained:
        network = partial(asked, one.model, data)
        arrays.setdefault("attack_right", []).append(outcomes(network, images, labels, others, drawn))
        for name, values in geometry(network, images, labels).items():
            arrays.setdefault(f"attack_{name}", []).append(values)
    return Measured(card.tables, {**card.arrays, **{name: np.stack(values) for name, values in arrays.items()}})


def asked(model: nn.Sequential, data: DeviceData, images: torch.Tensor) -> torch.Tensor:
    """Logits (n, n_classes) of images (n, C, H, W) in [0, 1]."""
    return model(data.normalise(images))


def of_other_classes(images: torch.Tensor, labels: torch.Tensor, data: DeviceData) -> torch.Tensor:
    """For each image (n, C, H, W) the nearest training image of each other class, in the L2 norm, in [0, 1].

    (n, n_classes − 1, C, H, W); a class without training images has the first image of all.
    """
    every = data.floats(data.dataset.train_images)
    given = torch.tensor(data.dataset.train_labels, device=labels.device)
    distances = torch.cdist(images.flatten(1), every.flatten(1))
    places = [torch.where(given == one, distances, torch.inf).argmin(1) for one in range(data.dataset.n_classes)]
    classes = torch.arange(data.dataset.n_classes, device=labels.device)
    other = (classes != labels[:, None]).nonzero()[:, 1].view(len(labels), -1)
    return every[torch.stack(places, 1).gather(1, other)]


def outcomes(
    network: Network, images: torch.Tensor, labels: torch.Tensor, others: torch.Tensor, drawn: torch.Tensor
) -> np.ndarray:
    """Which labels hold, (n_norms, n_attacks, n_radii, n), under each of `ATTACKS` at each of `RADII`.

    drawn: (N_STARTS, n, C, H, W), uniform on [-1, 1].
    """
    found = []
    for norm in NORMS:
        n_radii = len(RADII[norm])
        radii = torch.tensor(RADII[norm], device=images.device, dtype=images.dtype).repeat_interleave(len(images))
        x, y, every = images.repeat(n_radii, 1, 1, 1), labels.repeat(n_radii), others.repeat(n_radii, 1, 1, 1, 1)
        moved = drawn.repeat(1, n_radii, 1, 1, 1) * radii[:, None, None, None]
        noise = attacks.steepest(moved[-1], norm) * radii[:, None, None, None]
        held = {
            "noise": attacks.classified(network, (x + noise).clamp(0, 1), y),
            "other images": attacks.pulled(network, x, y, radii, norm, every),
            "one step": attacks.one_step(network, x, y, radii, norm),
            "PGD": attacks.descended(network, x, y, radii, norm, torch.zeros_like(x)),
        }
        for start in moved:
            left = held["PGD"].nonzero()[:, 0]
            held["PGD"][left] = attacks.descended(network, x[left], y[left], radii[left], norm, start[left])
        found.append(torch.stack([held[attack] for attack in ATTACKS]).view(len(ATTACKS), n_radii, -1))
    return torch.stack(found).cpu().numpy()


def geometry(network: Network, images: torch.Tensor, labels: torch.Tensor) -> dict[str, np.ndarray]:
    """What is known of the network around each image (n,), by name.

    clean: whether its label is right; linear and distance: how far the boundary is were the network linear, and as
    DeepFool finds it, in the L2 norm of pixels; curvature: base-10 logarithm of the largest eigenvalue of the Hessian
    of the cross-entropy by pixels, in nats.
    """
    logits, rows = attacks.jacobian(network, images)
    linear, _ = attacks.nearest(logits, rows, labels)
    return {
        "clean": attacks.classified(network, images, labels).cpu().numpy(),
        "linear": half(linear),
        "distance": half(attacks.boundary(network, images, labels)),
        "curvature": half(attacks.curvature(logits, rows).clamp(min=FLATTEST).log10()),
    }
