"""Rooms that find their own files, so that a new kind of what they hold is a new file and no line elsewhere."""

import sys
from importlib import import_module
from pkgutil import iter_modules


def discover(package: str, *, but: tuple[str, ...] = ()) -> None:
    """Import every file of a package, in the order of their names: each registers what it adds.

    Args:
        package: the name of the package, `__name__` in its `__init__`.
        but: names of files that add nothing and are slow to import.
    """
    for file in iter_modules(sys.modules[package].__path__):
        if file.name not in but:
            import_module(f"{package}.{file.name}")
