"""Measuring the unintended memorisation of unique features in neural networks.

The names below are what a script of one's own needs: state an experiment, train and measure seeds of it, stamp and
score a model trained elsewhere, and infer from one value a seed. Each is loaded when it is first asked for.
"""

from importlib import import_module
from importlib.metadata import version

__version__ = version("ufm")

HOMES = {
    "MLP": "ufm.networks",
    "Protocol": "ufm.protocol",
    "Scoring": "ufm.protocol",
    "Training": "ufm.protocol",
    "bootstrap_interval": "ufm.statistics",
    "contrast": "ufm.scores",
    "feature": "ufm.features",
    "finish": "ufm.study.seeds",
    "insert": "ufm.features",
    "memorisation_score": "ufm.scores",
    "random_features": "ufm.features",
    "sign_flip_test": "ufm.statistics",
}
__all__ = list(HOMES)


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
