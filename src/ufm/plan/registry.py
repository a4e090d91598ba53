"""All that the plan says, found in the files of this room, so that a chapter's own file is all that adds it.

A file trains sweeps if it has `sweeps(profile)`, and `PLACE`: where these stand among those of other files, by profile.
It is a chapter's if it has `shown(profile)`: names of the sweeps that the notebook of the same name shows, in order.
Images of hosts are kept with the records of the sweeps that it has in `PICTURED`: a function of the profile.
Of each sweep it shows the first seed alone if it says `ONE_SEED`. Records of no sweep that it shows are in `BESIDE`.
A claim of the first plan is judged on what it has in `DECIDING`: by the claim's name, a function of the profile.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from ufm import plan
from ufm.plan.profiles import known
from ufm.plan.sweep import Sweep


def files() -> list[ModuleType]:
    """The modules of this room."""
    return [import_module(f"{plan.__name__}.{file.name}") for file in iter_modules(plan.__path__)]


def sweeps(profile: str = "paper") -> dict[str, Sweep]:
    """All that a profile trains, by the name of its folder of records. Raises ValueError for an unknown profile."""
    known(profile)
    with_sweeps = sorted((file for file in files() if hasattr(file, "PLACE")), key=lambda file: file.PLACE[profile])
    return {name: sweep for file in with_sweeps for name, sweep in file.sweeps(profile).items()}


def chapters() -> dict[str, ModuleType]:
    """The file of each chapter, by the name of its notebook."""
    by_notebook = {file.__name__.rpartition(".")[2].replace("_", "-"): file for file in files()}
    return {notebook: file for notebook, file in by_notebook.items() if hasattr(file, "shown")}


def chapter(notebook: str, profile: str) -> tuple[str, ...]:
    """Names of the sweeps that a notebook shows; a ValueError lists the known notebooks or profiles."""
    by_notebook = chapters()
    if notebook not in by_notebook:
        raise ValueError(f"no notebook {notebook!r}; known: {', '.join(by_notebook)}")
    return by_notebook[notebook].shown(known(profile))


def pictured(profile: str = "paper") -> list[str]:
    """Names of the sweeps of which images of the hosts are kept with the records."""
    named = (name for file in files() if hasattr(file, "PICTURED") for name in file.PICTURED(known(profile)))
    return list(dict.fromkeys(named))


def of_one_seed(notebook: str) -> bool:
    """Whether a notebook shows the first seed of each of its sweeps, and no statistic over seeds."""
    return getattr(chapters().get(notebook), "ONE_SEED", False)


def beside(notebook: str) -> tuple[str, ...]:
    """Names of the folders of records, of no sweep, that a notebook shows."""
    return getattr(chapters().get(notebook), "BESIDE", ())


def deciding() -> dict[str, Callable[[str], Iterable[str]]]:
    """By claim, in their order, what gives the names of the sweeps on which its verdict stands, from the profile."""
    by_claim = {claim: names for file in files() for claim, names in getattr(file, "DECIDING", {}).items()}
    return {claim: by_claim[claim] for claim in sorted(by_claim, key=rank)}


def rank(claim: str) -> tuple[int, str]:
    """The place of a claim among others: by its number, such as 1 of "C1, CNNs", then by its name."""
    return int(claim.partition(",")[0].removeprefix("C")), claim
