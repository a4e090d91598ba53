"""What statistics ask of their values."""

import numpy as np
from numpy.typing import ArrayLike

# Resamples drawn at a time: all 100 000 flips of 200 seeds would fill 0.6 GB.
BATCH = 1000
# Fewer random draws cannot reach p = 1 / (1 + n) = 0.05.
FEWEST_DRAWS = 19


def finite_sample(values: ArrayLike, name: str, *, per: str = "seed") -> np.ndarray:
    """`values` as a finite float64 array (n,), one value a seed (or what `per` says); anything else is a ValueError."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except TypeError as error:  # pandas' NA, None and other objects
        raise ValueError(f"{name} must be numbers, none missing") from error
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, one value a {per}, but has shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite values")
    return array


def require_draws(n_draws: int, name: str) -> None:
    """Raises ValueError where p = 1 / (1 + n_draws) cannot reach 0.05."""
    if n_draws < FEWEST_DRAWS:
        raise ValueError(f"fewer than {FEWEST_DRAWS} {name} cannot reach p = 0.05, and here are {n_draws}")


def _p_values(values: ArrayLike) -> np.ndarray:
    p_values = finite_sample(values, "p_values", per="test")
    if len(p_values) == 0 or p_values.min() < 0 or p_values.max() > 1:
        raise ValueError("p_values must be one or more numbers in [0, 1]")
    return p_values


def require_confidence(confidence: float) -> None:
    """Raises ValueError unless 0 < confidence < 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not be {confidence}")
