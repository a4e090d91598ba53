"""The parameters that notebooks may have: one table of names, types, defaults and help, for all chapters.

A notebook's `parameters` cell declares those of its chapter as plain variables, in this order and in these words, so
that papermill sets them and a reader changes them in place.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

OWN = "…"  # in a help: here each chapter has its own words


@dataclass(frozen=True)
class Parameter:
    """A parameter of a notebook."""

    name: str
    types: tuple[str, ...]  # such as ("int", "None")
    default: object
    help: str

    def value(self, text: str) -> object:
        """The typed value that a text stands for; a ValueError says what was expected."""
        for kind in sorted(self.types, key=list(READERS).index):
            try:
                return READERS[kind](text)
            except ValueError:
                continue
        raise self.refusal(text)

    def checked(self, value: object) -> object:
        """The value; a ValueError says what was expected where it is of another type."""
        kind = "None" if value is None else type(value).__name__
        if kind in self.types or (kind == "int" and "float" in self.types):
            return value
        raise self.refusal(value)

    def refusal(self, value: object) -> ValueError:
        """What is wrong with a value that is of another type."""
        return ValueError(f"{self.name} takes {' or '.join(self.types)}, not {value!r}")

    def declared_by(self, cell: "Parameter") -> bool:
        """Whether a notebook declares this one: all is equal, but for a chapter's own words in the help."""
        words = re.escape(self.help).replace(OWN, ".+")
        same = (cell.name, cell.types, cell.default) == (self.name, self.types, self.default)
        return same and re.fullmatch(words, cell.help) is not None


def boolean(text: str) -> bool:
    """True or False, in either case."""
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def nothing(text: str) -> None:
    """None."""
    if text != "None":
        raise ValueError(text)


def words(text: str) -> str:
    """The text itself, which UTF-8 must have: bytes of a command line that are none are no text."""
    text.encode()
    return text


# What reads a type's values, the strictest first.
READERS: dict[str, Callable[[str], object]] = {
    "int": int,
    "float": float,
    "bool": boolean,
    "None": nothing,
    "str": words,
}


PARAMETERS = {
    name: Parameter(name, tuple(types.split("|")), default, help)
    for name, types, default, help in (
        (
            "profile",
            "str",
            "embedded",
            "embedded: small images and models, in seconds; paper: the full-size experiment",
        ),
        ("dataset", "str|None", None, f"{OWN}; None: the profile's"),
        ("n_train", "int|None", None, f"training images, of one of the equal parts; None: {OWN}"),
        ("model", "str|None", None, f"{OWN}; None: the profile's"),
        (
            "variant",
            "str|None",
            None,
            "plain, batch norm, dropout, augmentation, or several as dropout + augmentation; None: the profile's",
        ),
        ("n_seeds", "int|None", None, f"seeds, {OWN}; None: the profile's"),
        ("seed", "int|None", None, f"the {OWN}; None: as planned"),
        (
            "feature",
            "str|None",
            None,
            "what is stamped: a letter A to Z, a text such as J. DOE, or a PNG file; None: the profile's",
        ),
        ("row", "int|None", None, "row of the top-left pixel of what is stamped, from 0; None: the profile's"),
        ("column", "int|None", None, "its column; None: the profile's"),
        ("ood_set", "str|None", None, f"{OWN}; None: the profile's"),
        ("n_ood", "int|None", None, "how many OOD images; None: the profile's"),
        ("n_random", "int|None", None, "random features for every OOD image; None: the chapter's ten"),
        ("device", "str", "auto", "cpu, cuda, or auto: a GPU where there is one"),
        ("data_root", "str|None", None, "folder of the image files; None: the variable UFM_DATA, else data/"),
        ("fresh", "bool", False, "True: train anew instead of using the book's records"),
        ("train", "bool", True, "False: show what is recorded and train nothing"),
    )
}
DEFAULTS = {name: one.default for name, one in PARAMETERS.items()}


def given(variables: Mapping[str, object]) -> dict[str, object]:
    """The parameters among a notebook's variables, its `globals()`; a ValueError names one of a wrong type."""
    return {name: one.checked(variables[name]) for name, one in PARAMETERS.items() if name in variables}
