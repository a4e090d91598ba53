"""The registry of a lot of marks: the secret that gives them, its seal, and what was stamped on which image.

The seal is a hash of secret and settings. Published before training, it shows later that neither was chosen afterwards.
"""

import json
import secrets as system
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from ufm.marks.families import bits, drawn

SCHEMA = "ufm marks 1"


class RegistryError(ValueError):
    """A registry is not what it was, or not whole."""


@dataclass(frozen=True)
class Planted:
    """One mark on one image."""

    mark: int  # which of the registry's, from 0
    image: str  # name of the file
    label: int | None = None  # that the image has in training, where it is said


@dataclass(frozen=True)
class Registry:
    """A lot of marks. All that is drawn, also the marks that were never used, follows from the secret."""

    secret: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    n: int  # marks of the lot
    family: str = "noise"
    size: tuple[int, int] = (5, 5)  # height and width
    of: str = ""  # the feature whose pixels are rearranged, of permutations
    position: tuple[int, int] = (1, 1)  # row and column of a mark's top-left pixel, on every image
    flipped: bool = True  # a coin says of each mark whether it is planted
    planted: tuple[Planted, ...] = ()

    @property
    def seal(self) -> str:
        """64 hexadecimal digits of the secret and of every setting, but for what was planted since."""
        return digest({name: value for name, value in asdict(self).items() if name != "planted"})

    def marks(self) -> np.ndarray:
        """The marks of the lot, (n, 1, h, w) float32 in [0, 1]."""
        return self.draws(0)

    def unused(self, n: int) -> np.ndarray:
        """n marks of the same family that are not of the lot and so were never stamped, (n, 1, h, w)."""
        return self.draws(n)[self.n :]

    def draws(self, beyond: int) -> np.ndarray:
        """The marks of the lot and so many beyond them."""
        return drawn(self.secret, self.n + beyond, family=self.family, size=self.size, of=self.of)

    def to_plant(self) -> np.ndarray:
        """Which marks of the lot (n,) are to be planted: by coin, or all."""
        if not self.flipped:
            return np.ones(self.n, bool)
        return bits(self.secret, "coins", self.n) % 2 == 1

    def with_planted(self, planted: Planted) -> "Registry":
        """The registry with one more mark on an image.

        Raises RegistryError: no such mark, one that the coin keeps back, one that was planted already, or an image that
        has one already.
        """
        if not 0 <= planted.mark < self.n:
            raise RegistryError(f"mark: {planted.mark} is not one of the {self.n} of the registry, from 0")
        if not self.to_plant()[planted.mark]:
            raise RegistryError(f"mark: the coin keeps mark {planted.mark} back, so it must not be stamped on anything")
        for one in self.planted:
            if one.mark == planted.mark:
                raise RegistryError(f"mark: {planted.mark} was planted already, on {one.image}: a mark is unique")
            if one.image == planted.image:
                raise RegistryError(f"image: {planted.image} has a mark already, number {one.mark}")
        return replace(self, planted=(*self.planted, planted))

    def to_json(self) -> str:
        """The registry as text, secret included: whoever has it knows every mark."""
        content = {"schema": SCHEMA} | asdict(self) | {"seal": self.seal}
        return json.dumps(content | {"whole": digest(content)}, indent=1) + "\n"

    @staticmethod
    def from_json(text: str) -> "Registry":
        """Read a registry. Raises RegistryError for another file, or one that was changed since it was written."""
        try:
            content = json.loads(text)
            if not isinstance(content, dict) or content.get("schema") != SCHEMA:
                raise RegistryError(f"is no registry of marks: its schema is not {SCHEMA!r}")
            whole = content.pop("whole")
            if digest(content) != whole:
                raise RegistryError("was changed since it was written")
            registry = TypeAdapter(Registry).validate_json(json.dumps(content), strict=True)
        except (KeyError, RecursionError, json.JSONDecodeError, ValidationError) as error:
            raise RegistryError("is no whole registry of marks") from error
        if registry.seal != content["seal"]:
            raise RegistryError("has another seal than its secret and settings give")
        again = replace(registry, planted=())
        for one in registry.planted:
            again = again.with_planted(one)  # which refuses what could not have been planted
        return registry


def new(n: int, **settings: Any) -> Registry:
    """A registry of n marks by a secret that the operating system draws; settings as the fields of `Registry`.

    Raises ValueError: what `drawn` refuses.
    """
    registry = Registry(system.token_hex(32), n, **settings)
    registry.marks()
    return registry


def read(path: Path) -> Registry:
    """The registry in a file. Raises RegistryError, naming the file, where it is none or was changed."""
    try:
        return Registry.from_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise RegistryError(f"{path}: is no registry of marks, for it is no text") from error
    except RegistryError as error:
        raise RegistryError(f"{path}: {error}") from error


def digest(content: dict[str, Any]) -> str:
    """64 hexadecimal digits of what JSON can hold, by SHA-256 of its text with sorted names."""
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
