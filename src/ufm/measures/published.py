"""The published scores of a model on all out-of-distribution images."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from scipy.stats import mannwhitneyu, ttest_rel
from torch import nn

from ufm import scores
from ufm.data.on_device import DeviceData
from ufm.measures.layout import INPUTS, subsets
from ufm.measures.shifts import patched
from ufm.protocol import Protocol
from ufm.scores.divergences import entropy, js_distance
from ufm.training import at_most

IMAGES_AT_ONCE = 5_000  # for the published score


def published(
    protocol: Protocol,
    model: nn.Sequential,
    images: torch.Tensor,
    random: torch.Tensor,
    labels: np.ndarray,
    data: DeviceData,
    score: Callable[..., dict[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """The published scores on all OOD images, for normalised and for raw scoring inputs along the first axis.

    images: (n_images, C, H, W) in [0, 1]; random: (n_images, 1, h, w), a fresh random feature for each. score:
    `statistics`, or `paper_scores` where no more is kept.
    """
    unique, size = data.floats(protocol.unique[None, None]), at_most(model, images, IMAGES_AT_ONCE)
    found: dict[str, list[np.ndarray]] = {}
    for inputs in INPUTS:
        given, parts = replace(protocol, scoring=replace(protocol.scoring, inputs=inputs)), []
        for batch, own in zip(images.split(size), random.split(size), strict=True):
            few = patched(given, model, batch, data)
            three = torch.cat([few.clean[None], few.logits(unique), few.logits(own[None])])
            parts.append(three.softmax(-1).double().cpu().numpy())
        p_clean, p_unique, p_random = np.concatenate(parts, axis=1)
        for name, values in score(p_clean, p_unique, p_random, labels).items():
            found.setdefault(name, []).append(values)
    return {name: np.stack(values) for name, values in found.items()}


def statistics(
    p_clean: np.ndarray, p_unique: np.ndarray, p_random: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """The published scores and rules, from outputs (n_images, n_classes)."""
    kl_unique, kl_random = scores.kl_divergence(p_clean, p_unique), scores.kl_divergence(p_clean, p_random)
    rules = []
    for n in subsets(len(labels)):
        t_test = ttest_rel(kl_unique[:n], kl_random[:n])
        ranks = mannwhitneyu(kl_unique[:n], kl_random[:n])
        rules.append((t_test.statistic, t_test.pvalue, ranks.statistic / n**2, ranks.pvalue))
    t_statistic, t_p, rank_share, rank_p = np.array(rules).T
    n_classes = p_clean.shape[1]
    by_label = (labels[:, None] == np.arange(n_classes)).astype(float)
    counts = by_label.sum(0)[:, None]

    def mean_by_label(values: np.ndarray) -> np.ndarray:
        return by_label.T @ values / np.maximum(counts, 1)

    logs = [np.log(np.clip(p, scores.CLIP, 1)) for p in (p_unique, p_random)]
    gain = p_unique - p_clean
    return {
        **paper_scores(p_clean, p_unique, p_random, labels),
        "kl_unique": np.float32(kl_unique.mean()),
        "kl_random": np.float32(kl_random.mean()),
        "t_statistic": t_statistic.astype("f4"),
        "t_p": t_p,
        "rank_share": rank_share.astype("f4"),
        "rank_p": rank_p,
        "label_known": mean_by_label(logs[0] - logs[1]).astype("f2"),
        "gain_mean": mean_by_label(gain).astype("f2"),
        "gain_sd": np.sqrt(np.maximum(mean_by_label(gain**2) - mean_by_label(gain) ** 2, 0)).astype("f2"),
        "guess": (p_unique - p_random).mean(0).astype("f4"),
        "entropy": np.array([entropy(p).mean() for p in (p_clean, p_unique, p_random)], "f4"),
        "js_distance": np.array([js_distance(p_clean, p).mean() for p in (p_unique, p_random)], "f4"),
    }


def paper_scores(
    p_clean: np.ndarray, p_unique: np.ndarray, p_random: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """The paper's score M on nested subsets, (n_subsets,), from outputs (n_images, n_classes)."""
    kl_unique, kl_random = scores.kl_divergence(p_clean, p_unique), scores.kl_divergence(p_clean, p_random)
    return {"memorisation": np.array([kl_unique[:n].mean() - kl_random[:n].mean() for n in subsets(len(labels))], "f4")}
