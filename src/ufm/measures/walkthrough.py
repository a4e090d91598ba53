"""The score of one seed step by step: pictures, outputs and how the score settles, as the Method chapter shows them."""

import numpy as np
import pandas as pd
import torch

from ufm import features, scores
from ufm.data.datasets import ImageSet
from ufm.data.on_device import DeviceData
from ufm.measures.scored import outputs, random_features, response, score_seed
from ufm.protocol import Protocol
from ufm.records import Measured
from ufm.training import Trained

EXAMPLES = 6  # OOD images shown with the model's outputs on them
KEPT = 1_000  # images whose own KL divergences are kept


def walk_through(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """All that `score_seed` keeps, and of control and canary the examples, each image's KL and the settling score."""
    images, seed = data.floats(ood.images), trained[0].experiment.seed
    random = random_features(protocol, len(images), seed, data, n_random=protocol.scoring.n_random)
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in ("examples", "divergences", "settling")}
    for model in trained:
        p_clean, p_unique, p_random = outputs(response(model, images, data), protocol.unique, random)
        role = model.experiment.role
        tables["examples"].append(example_outputs(role, p_clean, p_unique, p_random[0]))
        kl_unique = scores.kl_divergence(p_clean, p_unique)
        kl_random = np.stack([scores.kl_divergence(p_clean, p) for p in p_random])
        tables["divergences"].append(
            pd.DataFrame({"role": role, "kl_unique": kl_unique[:KEPT], "kl_random": kl_random[0, :KEPT]})
        )
        tables["settling"].append(settling(role, kl_unique, kl_random))
    scored = score_seed(protocol, trained, data, ood)
    joined = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    return Measured(scored.tables | joined, pictures(protocol, trained, images, random[0], data))


def example_outputs(role: str, p_clean: np.ndarray, p_unique: np.ndarray, p_random: np.ndarray) -> pd.DataFrame:
    """A row per example image, version of it and class: the probability."""
    versions = {"clean": p_clean, "unique": p_unique, "random": p_random}
    return pd.DataFrame(
        [
            {"role": role, "image": image, "version": version, "class": label, "probability": float(p[image, label])}
            for image in range(min(EXAMPLES, len(p_clean)))
            for version, p in versions.items()
            for label in range(p.shape[1])
        ]
    )


def settling(role: str, kl_unique: np.ndarray, kl_random: np.ndarray) -> pd.DataFrame:
    """The score on the first n OOD images with the first r random features each, for nested n and r.

    kl_unique has shape (n_images,), kl_random (n_random, n_images); the last n is all images.
    """
    n_images, n_random = len(kl_unique), len(kl_random)
    counts = [n for n in (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000) if n < n_images] + [n_images]
    return pd.DataFrame(
        [
            {
                "role": role,
                "n_images": n,
                "n_random": r,
                "memorisation_score": float(kl_unique[:n].mean() - kl_random[:r, :n].mean()),
            }
            for n in counts
            for r in sorted({1, min(3, n_random), n_random})
        ]
    )


def pictures(
    protocol: Protocol, trained: list[Trained], images: torch.Tensor, random: np.ndarray, data: DeviceData
) -> dict[str, np.ndarray]:
    """The host with and without the feature and the example images, uint8 (…, C, H, W)."""
    host = next(model.experiment for model in trained if model.experiment.host)
    plain, few = data.dataset.train_images[data.dataset.place_of(host.canary_index)], images[:EXAMPLES]
    with_unique = features.insert(few, protocol.unique, position=protocol.position)
    with_random = features.insert(few, random[: len(few)], position=protocol.position)
    return {
        "host": plain,
        "host_with_feature": features.insert(plain, protocol.unique, position=protocol.position),
        **{
            f"examples_{name}": (batch * 255).round().byte().cpu().numpy()
            for name, batch in (("clean", few), ("unique", with_unique), ("random", with_random))
        },
    }
