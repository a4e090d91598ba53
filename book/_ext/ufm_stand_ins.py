"""Sphinx extension of this book: the library is documented without the packages that only train.

Sphinx imports every module that it documents. Its own stand-ins, `autodoc_mock_imports`, are no classes, so that
`torch.Tensor | None` fails and a function is never done registering for a kind of layer.
"""

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec

PACKAGES = ("distributed", "torch", "torchvision")


class Named(type):
    """What is known of a class is its name; whatever it is asked for is another one."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(cls, name, named(name, repr(cls)))
        return getattr(cls, name)

    def __repr__(cls):
        return f"{cls.__module__}.{cls.__qualname__}"


class Thing:
    """What a call of such a class gives, which as a decorator leaves a function as it is."""

    def __init__(self, *_, **__):
        """Takes anything."""

    def __call__(self, function):
        return function


def named(name, place):
    """A class of this name in a module or class of that one."""
    return Named(name, (Thing,), {"__module__": place})


class StandIns(MetaPathFinder, Loader):
    """Finds modules that consist of such classes."""

    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in PACKAGES else None

    def exec_module(self, module):
        def found(name):
            if name.startswith("__"):
                raise AttributeError(name)
            setattr(module, name, named(name, module.__name__))
            return getattr(module, name)

        module.__getattr__ = found


def setup(app):
    """Called by Sphinx."""
    sys.meta_path.insert(0, StandIns())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
