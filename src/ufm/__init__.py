"""Measuring the unintended memorisation of unique features in neural networks."""

from importlib.metadata import version

__version__ = version("ufm")
