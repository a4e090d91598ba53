"""Entropy and Jensen–Shannon distance of outputs."""

import numpy as np

from ufm.scores import published


def entropy(p: np.ndarray) -> np.ndarray:
    """Shannon entropy (n_images,) in nats of p (n_images, n_classes), clipped as the scores are."""
    p = np.clip(p, published.CLIP, 1)
    return -(p * np.log(p)).sum(-1)


def js_distance(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen–Shannon distance (n_images,), the square root of the divergence in nats, of rows (n_images, n_classes)."""
    p, q = (np.clip(probabilities, published.CLIP, 1) for probabilities in (p, q))
    middle = (p + q) / 2
    divergence = ((p * np.log(p / middle)).sum(-1) + (q * np.log(q / middle)).sum(-1)) / 2
    return np.sqrt(np.maximum(divergence, 0))
