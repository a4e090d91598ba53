"""What scores ask of outputs and labels."""

import numpy as np
from numpy.typing import ArrayLike

# How far a row may be from summing to 1. A float16 softmax rounds each probability by up to 5e-4 of itself, a float32
# one by far less; logits, percentages and sigmoid outputs miss by more.
SUM_TOLERANCE = 1e-3


def _as_float64(values: ArrayLike) -> np.ndarray:
    # Duck-typed so that this module works without torch; widened before .numpy(), which does not know bfloat16.
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def _distributions(values: ArrayLike, name: str, dimensions: tuple[int, ...] = (2,)) -> np.ndarray:
    """`values` as a float64 array whose last axis holds probabilities, or a ValueError that names it."""
    array = _as_float64(values)
    _require_images(array, name, dimensions)
    _require_finite(array, name)
    if (array < 0).any():
        raise ValueError(f"{name} holds a negative probability ({array.min():.6g})")
    sums = array.sum(axis=-1)
    worst = sums.flat[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > SUM_TOLERANCE:
        raise ValueError(f"{name} holds a row that sums to {worst:.6g}, not to 1 within {SUM_TOLERANCE:g}")
    return array


def _unique_and_random(p_unique: ArrayLike, p_random: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    p_unique = _distributions(p_unique, "p_unique")
    p_random = _distributions(p_random, "p_random", dimensions=(2, 3))
    _require_same_shape(p_unique, "p_unique", p_random, "p_random")
    return p_unique, p_random


def _log_probabilities(values: ArrayLike, name: str, dimensions: tuple[int, ...] = ()) -> np.ndarray:
    """`values` as a finite float64 array that is not, by oversight, probabilities."""
    array = _as_float64(values)
    _require_images(array, name, dimensions)
    _require_finite(array, name)
    if (array >= 0).all() and (np.abs(array.sum(axis=-1) - 1) <= SUM_TOLERANCE).all():
        raise ValueError(f"{name} holds probabilities; their logarithms are expected")
    return array


def _labels(values: ArrayLike, n_images: int, n_classes: int) -> np.ndarray:
    labels = _as_float64(values)
    if labels.shape != (n_images,):
        raise ValueError(f"labels have shape {labels.shape}, but there are {n_images} images")
    outside = ~np.isin(labels, np.arange(n_classes))
    if outside.any():
        raise ValueError(f"label {labels[outside][0]:g} is not one of the {n_classes} classes")
    return labels.astype(np.int64)


def _require_images(array: np.ndarray, name: str, dimensions: tuple[int, ...]) -> None:
    if dimensions and array.ndim not in dimensions:
        allowed = " or ".join(f"{n}-D" for n in dimensions)
        raise ValueError(f"{name} must be {allowed} (images, classes last), but has shape {array.shape}")
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"{name} holds no images or no classes (shape {array.shape})")


def _require_finite(array: np.ndarray, name: str) -> None:
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite values")


def _require_same_shape(first: np.ndarray, first_name: str, second: np.ndarray, second_name: str) -> None:
    """Same images and classes; `second` may have axes before them."""
    if second.shape[-2:] != first.shape:
        raise ValueError(
            f"images or classes differ: {first_name} has shape {first.shape}, {second_name} {second.shape}"
        )
