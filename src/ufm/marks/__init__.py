"""Marks of one's own: drawn by a secret before training, sealed, and stamped on images whose owner one is."""

from ufm.marks.families import FAMILIES, drawn
from ufm.marks.registry import Planted, Registry, RegistryError, new

__all__ = ["FAMILIES", "Planted", "Registry", "RegistryError", "drawn", "new"]
