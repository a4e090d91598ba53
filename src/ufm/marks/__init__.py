"""Marks of one's own, drawn by a secret and sealed before training."""

from ufm.marks.families import FAMILIES, drawn
from ufm.marks.registry import Planted, Registry, RegistryError, new, read

__all__ = ["FAMILIES", "Planted", "Registry", "RegistryError", "drawn", "new", "read"]
