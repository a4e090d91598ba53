"""From the trained models of one seed to the tables that are kept of it."""

import numpy as np
import pandas as pd
import torch

from ufm import features, scores
from ufm.data.datasets import ImageSet
from ufm.data.folders import called
from ufm.data.on_device import DeviceData
from ufm.data.sources import source
from ufm.measures.response import BlackBox
from ufm.networks import names
from ufm.protocol import Experiment, Protocol
from ufm.records import Measured
from ufm.training import Trained, as_asked, evaluate, log_probabilities, stamped_images

SCORING_INPUTS = {"": "normalised", "_raw": "raw"}  # a column's suffix → what the model is given
FORGETTING = ("forgetting_steps", "forgetting_steps_at_control")  # columns of `Trained.forgetting`
BATCH = 8_192  # images that a model is asked at once


def response(trained: Trained, images: torch.Tensor, data: DeviceData, inputs: str = "normalised") -> BlackBox:
    """The model as it answers on images (n_images, C, H, W) in [0, 1], asked whole images as its user would."""
    protocol = trained.experiment.protocol
    seen = data.normalise if inputs == "normalised" else lambda batch: batch
    return BlackBox(
        lambda batch: log_probabilities(trained.model, seen(batch)),
        images,
        gives="logits",
        position=protocol.position,
        shape=protocol.unique.shape,
        batch_size=BATCH,
    )


def random_features(protocol: Protocol, n_images: int, seed: int, data: DeviceData, *, n_random: int = 1) -> np.ndarray:
    """Random features (n_random, n_images, 1, h, w), a fresh one on every image, the same for all models of a seed."""
    shape = protocol.unique.shape
    drawn = features.random_features(n_images * n_random, shape=shape, seed=seed, scope=data.dataset.scope)
    return drawn.reshape(n_random, n_images, 1, *shape)


def outputs(answers: BlackBox, unique: np.ndarray, random: np.ndarray) -> tuple[np.ndarray, ...]:
    """p_clean (n_images, n_classes), p_unique (n_images, n_classes), p_random (n_random, n_images, n_classes).

    unique: the feature (h, w); random: features (n_random, n_images, 1, h, w).
    """

    def probabilities(log_p: torch.Tensor) -> np.ndarray:
        return log_p.to(answers.images.dtype).exp().cpu().numpy()

    def with_pixels(pixels: np.ndarray) -> np.ndarray:
        return probabilities(answers.logits(torch.from_numpy(pixels)))

    return probabilities(answers.clean), with_pixels(unique[None, None])[0], with_pixels(random)


def score_seed(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """A row per model, and a row of scores per model and host: the control is scored for each host of its seed."""
    control, seed = trained[0].experiment, trained[0].experiment.seed
    hosts = [model.experiment for model in trained if model.experiment.host]
    on_ood, on_test = data.floats(ood.images), data.floats(data.dataset.test_images[data.reported])
    random = random_features(protocol, len(on_ood), seed, data, n_random=protocol.scoring.n_random)
    random_test = random_features(protocol, len(on_test), seed, data)
    rows = []
    for model in trained:
        ours = {
            suffix: outputs(response(model, on_ood, data, inputs), protocol.unique, random)
            for suffix, inputs in SCORING_INPUTS.items()
        }
        ours_test = outputs(response(model, on_test, data), protocol.unique, random_test)
        for host in hosts:
            if model.experiment in (host, control):
                rows.append(
                    identity(model.experiment, host)
                    | {"ood_set": ood.name, "n_ood": len(ood.images)}
                    | ood_scores(ours, ood.labels, host)
                    | test_scores(ours_test, data.reported_labels.cpu().numpy(), host)
                    | effects(model, on_ood, host, data, suffix="")
                    | effects(model, on_test, host, data, suffix="_test")
                    | host_fit(model, host, data)
                )
    models = [model_row(model, data) for model in trained]
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
    asked = as_asked(data.reported_images, trained.experiment.protocol.training.visual_mixer, data.dataset)
    loss, accuracy = evaluate(trained.model, asked, data.reported_labels)
    best = trained.history[trained.best_epoch - 1]
    steps = dict(zip(FORGETTING, trained.forgetting, strict=True))
    return {
        **identity(trained.experiment, trained.experiment),
        "epochs": len(trained.history),
        "best_epoch": trained.best_epoch,
        "train_loss": best["train_loss"],
        "stopping_loss": best["stopping_loss"],
        "loss": loss,
        "accuracy": accuracy,
        **(steps if trained.experiment.protocol.training.forgetting else {}),
    }


def ood_scores(ours: dict[str, tuple[np.ndarray, ...]], labels: np.ndarray, host: Experiment) -> dict[str, float]:
    """The published scores on OOD images, from a model's `outputs` by the suffix of the scoring inputs."""
    assert host.canary_label is not None  # no control is a host
    row: dict[str, float] = {}
    for suffix, (p_clean, p_unique, p_random) in ours.items():
        named = labels < p_clean.shape[1]  # OOD images may be of more classes
        known = scores.label_known_score(p_unique[named], p_random[:, named], labels[named], host.canary_label)
        row |= {
            f"memorisation_score{suffix}": scores.memorisation_score(p_clean, p_unique, p_random),
            f"kl_unique{suffix}": float(scores.kl_divergence(p_clean, p_unique).mean()),
            f"label_known_score{suffix}": known,
            f"label_guess{suffix}": scores.label_guess(p_unique, p_random),
            f"label_guess_score{suffix}": scores.label_guess_score(p_unique, p_random),
        }
    return row


def test_scores(ours: tuple[np.ndarray, ...], labels: np.ndarray, host: Experiment) -> dict[str, float]:
    """The label-known score on test images that early stopping did not see, whose labels mean something."""
    assert host.canary_label is not None  # no control is a host
    _, p_unique, p_random = ours
    return {"label_known_score_test": scores.label_known_score(p_unique, p_random, labels, host.canary_label)}


def effects(
    trained: Trained, images: torch.Tensor, host: Experiment, data: DeviceData, *, suffix: str
) -> dict[str, float]:
    """Patch and specific effect of the feature on the host's label, in nats, on the first images (n, C, H, W)."""
    protocol = trained.experiment.protocol
    feature, n_permutations = protocol.unique, protocol.scoring.n_permutations
    permutations = features.permutations(feature, n_permutations, magnified=protocol.magnified)
    answers = response(trained, images[: protocol.scoring.n_effect], data)
    stamped = np.concatenate([feature[None, None], permutations])
    clean, (unique, *permuted) = (
        answers.clean.numpy(force=True),
        answers.logits(torch.from_numpy(stamped)).numpy(force=True),
    )
    return {
        f"patch_effect{suffix}": float(scores.patch_effect(clean, unique)[host.canary_label]),
        f"specific_effect{suffix}": float(scores.specific_effect(clean, unique, np.stack(permuted))[host.canary_label]),
    }


def host_fit(trained: Trained, host: Experiment, data: DeviceData) -> dict[str, float]:
    """Log-probability of the host's label on the host, plain and with the feature: was the feature needed to fit it?"""
    place, image = next(iter(stamped_images(host, data).items()))
    log_p = log_probabilities(trained.model, torch.stack([data.train_images[place], image]))[:, host.canary_label]
    return {"host_log_probability": float(log_p[0]), "host_log_probability_feature": float(log_p[1])}
