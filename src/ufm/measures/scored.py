"""From the trained models of one seed to the tables that are kept of it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ufm import features, scores
from ufm.data.datasets import ImageSet
from ufm.data.folders import called
from ufm.data.on_device import DeviceData
from ufm.data.sources import source
from ufm.networks import names
from ufm.protocol import Experiment, Protocol
from ufm.records import Measured
from ufm.training import Trained, evaluate, log_probabilities, stamped_images

SCORING_INPUTS = {"": "normalised", "_raw": "raw"}  # a column's suffix → what the model is given


@dataclass(frozen=True, eq=False)
class Probe:
    """Images in [0, 1] to which a model's outputs are compared: clean, with the feature, with random features."""

    clean: torch.Tensor  # (n_images, C, H, W)
    unique: torch.Tensor  # (n_images, C, H, W)
    random: list[torch.Tensor]  # each (n_images, C, H, W), with a fresh random feature on every image


def probe(protocol: Protocol, images: np.ndarray, seed: int, data: DeviceData, *, n_random: int = 1) -> Probe:
    """Stamp images (n_images, C, H, W); the random features are the seed's, the same for all its models."""
    clean, unique = data.floats(images), protocol.unique
    drawn = features.random_features(len(images) * n_random, shape=unique.shape, seed=seed, scope=data.data.scope)
    return Probe(
        clean,
        features.insert(clean, unique, position=protocol.position),
        [features.insert(clean, batch, position=protocol.position) for batch in np.split(drawn, n_random)],
    )


def outputs(trained: Trained, images: Probe, data: DeviceData, inputs: str = "normalised") -> tuple[np.ndarray, ...]:
    """p_clean (n_images, n_classes), p_unique (n_images, n_classes), p_random (n_random, n_images, n_classes)."""

    def probabilities(batch: torch.Tensor) -> np.ndarray:
        seen = data.normalise(batch) if inputs == "normalised" else batch
        return log_probabilities(trained.model, seen).exp().cpu().numpy()

    return (
        probabilities(images.clean),
        probabilities(images.unique),
        np.stack([probabilities(r) for r in images.random]),
    )


def score_seed(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """A row per model, and a row of scores per model and host: the control is scored for each host of its seed."""
    hosts = [one.experiment for one in trained if one.experiment.host]
    seed = trained[0].experiment.seed
    ood_probe = probe(protocol, ood.images, seed, data, n_random=protocol.scoring.n_random)
    test_probe = probe(protocol, data.data.test_images[data.reported], seed, data)
    rows = []
    for one in trained:
        for host in hosts:
            if one.experiment in (host, trained[0].experiment):
                rows.append(
                    identity(one.experiment, host)
                    | {"ood_set": ood.name, "n_ood": len(ood.images)}
                    | ood_scores(one, ood_probe, ood.labels, host, data)
                    | test_scores(one, test_probe, host, data)
                    | effects(protocol, one, ood_probe.clean, host, data, suffix="")
                    | effects(protocol, one, test_probe.clean, host, data, suffix="_test")
                    | host_fit(one, host, data)
                )
    models = [model_row(one, data) for one in trained]
    # Objects, lest a missing canary_index turn the column's whole numbers into floats.
    return Measured({"models": pd.DataFrame(models, dtype=object), "scores": pd.DataFrame(rows, dtype=object)})


def identity(experiment: Experiment, host: Experiment) -> dict[str, object]:
    """The columns that say which model a row is about, and under which host it is seen."""
    return {
        "fingerprint": experiment.fingerprint(),
        "dataset": called(experiment.protocol.dataset),
        "n_train": experiment.protocol.n_train or source(experiment.protocol.dataset).n_train,
        **names(experiment.protocol.model),
        "seed": experiment.seed,
        "part": experiment.part,
        "role": experiment.role,
        "host": host.host,
        "canary_index": host.canary_index,
        "canary_label": host.canary_label,
        "feature": host.feature,
    }


def model_row(trained: Trained, data: DeviceData) -> dict[str, object]:
    """One model: who it is, when training stopped, how well it does on the reported test images."""
    loss, accuracy = evaluate(trained.model, data.reported_images, data.reported_labels)
    best = trained.history[trained.best_epoch - 1]
    return {
        **identity(trained.experiment, trained.experiment),
        "epochs": len(trained.history),
        "best_epoch": trained.best_epoch,
        "train_loss": best["train_loss"],
        "stopping_loss": best["stopping_loss"],
        "loss": loss,
        "accuracy": accuracy,
    }


def ood_scores(
    trained: Trained, images: Probe, labels: np.ndarray, host: Experiment, data: DeviceData
) -> dict[str, float]:
    """The published scores on OOD images, for normalised and for raw scoring inputs."""
    assert host.canary_label is not None  # no control is a host
    row: dict[str, float] = {}
    for suffix, inputs in SCORING_INPUTS.items():
        p_clean, p_unique, p_random = outputs(trained, images, data, inputs)
        ours = labels < p_clean.shape[1]  # OOD images may be of more classes
        known = scores.label_known_score(p_unique[ours], p_random[:, ours], labels[ours], host.canary_label)
        row |= {
            f"memorisation_score{suffix}": scores.memorisation_score(p_clean, p_unique, p_random),
            f"kl_unique{suffix}": float(scores.kl_divergence(p_clean, p_unique).mean()),
            f"label_known_score{suffix}": known,
            f"label_guess{suffix}": scores.label_guess(p_unique, p_random),
            f"label_guess_score{suffix}": scores.label_guess_score(p_unique, p_random),
        }
    return row


def test_scores(trained: Trained, images: Probe, host: Experiment, data: DeviceData) -> dict[str, float]:
    """The label-known score on test images that early stopping did not see, whose labels mean something."""
    assert host.canary_label is not None  # no control is a host
    _, p_unique, p_random = outputs(trained, images, data)
    labels = data.reported_labels.cpu().numpy()
    return {"label_known_score_test": scores.label_known_score(p_unique, p_random, labels, host.canary_label)}


def effects(
    protocol: Protocol, trained: Trained, images: torch.Tensor, host: Experiment, data: DeviceData, *, suffix: str
) -> dict[str, float]:
    """Patch and specific effect of the feature on the host's label, in nats, on the first images (n, C, H, W)."""
    images = images[: protocol.scoring.n_effect]
    feature = protocol.unique

    def log_p(batch: torch.Tensor) -> np.ndarray:
        return log_probabilities(trained.model, data.normalise(batch)).double().cpu().numpy()

    def with_pixels(pixels: np.ndarray) -> np.ndarray:
        return log_p(features.insert(images, pixels, position=protocol.position))

    clean, unique, n = log_p(images), with_pixels(feature), protocol.scoring.n_permutations
    permuted = np.stack([with_pixels(one) for one in features.permutations(feature, n, magnified=protocol.magnified)])
    return {
        f"patch_effect{suffix}": float(scores.patch_effect(clean, unique)[host.canary_label]),
        f"specific_effect{suffix}": float(scores.specific_effect(clean, unique, permuted)[host.canary_label]),
    }


def host_fit(trained: Trained, host: Experiment, data: DeviceData) -> dict[str, float]:
    """Log-probability of the host's label on the host, plain and with the feature: was the feature needed to fit it?"""
    place, image = next(iter(stamped_images(host, data).items()))
    log_p = log_probabilities(trained.model, torch.stack([data.train_images[place], image]))[:, host.canary_label]
    return {"host_log_probability": float(log_p[0]), "host_log_probability_feature": float(log_p[1])}
