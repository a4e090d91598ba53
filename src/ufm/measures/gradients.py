"""A batch computed from its gradient (Wang, Lee and Lei 2023, arXiv 2212.03714): no model is trained for it.

The network has one wide hidden layer of rectified units with Gaussian weights w and a common bias b. The gradient of a
unit's output weight is the sum over the batch of residual r times activation max(0, w·x + b). For images x of norm 1
the means over units of its products with the Hermite tensors of w are, by Stein's lemma, φ(b) Σ r x⊗x and
−b φ(b) Σ r x⊗x⊗x, with φ the standard normal density: without a bias the second of them vanishes. The images are the
components of that tensor, found by power iteration once the matrix has made them orthonormal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, pi, sqrt

import numpy as np
from scipy.linalg import eigh
from scipy.special import log_softmax

from ufm.randomness.streams import stream

AT_ONCE = 4_096  # hidden units
STARTS, ITERATIONS = 20, 200  # of power iteration


@dataclass(frozen=True)
class Wide:
    """A network of one hidden layer of random weights, float32."""

    weights: np.ndarray  # (n_units, n_pixels), standard normal
    outputs: np.ndarray  # (n_units, n_classes), normal of variance 1 / n_units
    bias: float = -1.0  # of every hidden unit

    def __post_init__(self):
        if not self.bias:
            raise ValueError("bias: at 0 the third moment of rectified units vanishes; choose another")

    def activations(self, images: np.ndarray) -> np.ndarray:
        """Those of the hidden units, (n_units, n_images), for images (n_images, n_pixels)."""
        return np.maximum(self.weights @ images.T.astype(np.float32) + np.float32(self.bias), 0)


def wide(n_units: int, n_pixels: int, n_classes: int, *, bias: float = -1.0, seed: int, scope: str) -> Wide:
    """The network of a seed; its first m of n units are those of any other n >= m, but for the outputs' size."""
    weights = stream("wide layer", seed=seed, scope=scope).standard_normal((n_units, n_pixels), np.float32)
    outputs = stream("outputs of a wide layer", seed=seed, scope=scope).standard_normal((n_units, n_classes))
    return Wide(weights, (outputs / sqrt(n_units)).astype(np.float32), bias)


def gradient(network: Wide, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Gradient of the batch's mean cross-entropy by the output weights, (n_units, n_classes).

    images: (n_images, n_pixels); labels: (n_images,).
    """
    activations = network.activations(images)
    residuals = np.exp(log_softmax(activations.T @ network.outputs, axis=1))
    residuals[np.arange(len(labels)), labels] -= 1
    return activations @ (residuals / len(labels)).astype(np.float32)


def of_absent_classes(gradient: np.ndarray) -> np.ndarray:
    """The gradient (n_units, n_classes) summed over the classes of which the batch has no image, (n_units,).

    There all residuals are probabilities, so above zero, and activations are none below: a class's sum over units is
    above zero, and below where the batch has images of it.
    """
    return gradient[:, gradient.sum(0) > 0].sum(1)


def without_linear_part(network: Wide, values: np.ndarray) -> np.ndarray:
    """A gradient (n_units,) less its mean and what is linear in the weights: neither moment has any of it but noise."""
    values = values - values.mean()
    return values - network.weights @ (values @ network.weights / len(values))


def second_moment(network: Wide, values: np.ndarray) -> np.ndarray:
    """Estimate of Σ r x⊗x over the batch, (n_pixels, n_pixels), from a gradient (n_units,)."""
    total = np.zeros((network.weights.shape[1],) * 2)
    for start in range(0, len(values), AT_ONCE):
        some, w = values[start : start + AT_ONCE], network.weights[start : start + AT_ONCE]
        total += (w * some[:, None]).T @ w
    total -= values.sum(dtype=float) * np.eye(len(total))
    return total / (len(values) * density(network.bias))


def third_moment(network: Wide, values: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Estimate of Σ r (Bᵀx)⊗(Bᵀx)⊗(Bᵀx) over the batch, (rank,) * 3, in a basis B (n_pixels, rank).

    The tensor of the pixels themselves is never made: weights are taken into the basis first.
    """
    inner, rank = basis.T @ basis, basis.shape[1]
    total, first = np.zeros((rank,) * 3), np.zeros(rank)
    for start in range(0, len(values), AT_ONCE):
        some = values[start : start + AT_ONCE].astype(float)
        y = network.weights[start : start + AT_ONCE] @ basis
        total += np.einsum("i,ia,ib,ic->abc", some, y, y, y, optimize=True)
        first += some @ y
    for one in ("a,bc->abc", "b,ac->abc", "c,ab->abc"):
        total -= np.einsum(one, first, inner)
    return total / (len(values) * -network.bias * density(network.bias))


def from_moments(second: np.ndarray, third: Callable[[np.ndarray], np.ndarray], rank: int) -> np.ndarray:
    """The `rank` images x of norm 1 (rank, n_pixels) whose moments Σ r x⊗x and, in a basis, Σ r x⊗x⊗x these are.

    second: (n_pixels, n_pixels); third: the other in a basis (n_pixels, rank), see `third_moment`. All r above zero.
    """
    size = len(second)
    found, vectors = eigh(second, subset_by_index=(size - rank, size - 1))
    scales = np.sqrt(np.abs(found))  # of noise alone they may be below zero
    images = components(third(vectors / scales)) @ (vectors * scales).T
    return images / np.linalg.norm(images, axis=1, keepdims=True)


def components(tensor: np.ndarray) -> np.ndarray:
    """Orthonormal u (rank, rank), a row each, of a symmetric tensor Σ λ u⊗u⊗u with λ > 0, the largest λ first.

    Power iteration u ← T(·, u, u) from several starts, then deflation (Anandkumar et al. 2014, JMLR 15).
    """
    left, found = tensor.copy(), []
    starts = stream("power iteration").standard_normal((STARTS, len(tensor)))
    for _ in range(len(tensor)):
        u = starts
        for _ in range(ITERATIONS):
            u = np.einsum("abc,nb,nc->na", left, u, u, optimize=True)
            u = u / np.linalg.norm(u, axis=1, keepdims=True)
        values = np.einsum("abc,na,nb,nc->n", left, u, u, u, optimize=True)
        best = int(values.argmax())
        found.append(u[best])
        left = left - values[best] * np.einsum("a,b,c->abc", *[u[best]] * 3)
    return np.stack(found)


def reconstructed(network: Wide, gradient: np.ndarray, n_images: int) -> np.ndarray:
    """The images of a batch up to their norm, (n_images, n_pixels), in no order, from its gradient and the network.

    gradient: (n_units, n_classes), see `gradient`. The images had norm 1, and some class has no image in the batch.
    """
    values = without_linear_part(network, of_absent_classes(gradient))
    second = second_moment(network, values)
    return from_moments(second, lambda basis: third_moment(network, values, basis), n_images)


def density(z: float) -> float:
    """That of the standard normal distribution."""
    return exp(-z * z / 2) / sqrt(2 * pi)
