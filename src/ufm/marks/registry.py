"""The registry of a lot of marks: the secret that gives them, its seal, and to which image each was given.

The seal is a hash of secret and settings. Published before training, it shows later that neither was chosen afterwards.
A mark is given to an image first, then a coin says whether it is stamped there or the image stays as it was: so each
coin decides about one image and no other, as bounds on ε need. In registries of the former schema a coin that kept a
mark back moved those after it to other images.
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

SCHEMA, FORMER = "ufm marks 2", "ufm marks 1"
SINCE = ("planted", "kept_back", "by_image")  # what is no part of the seal


class RegistryError(ValueError):
    """A registry is not what it was, or not whole."""


@dataclass(frozen=True)
class Planted:
    """One mark and its image."""

    mark: int  # which of the registry's, from 0
    image: str  # name of the file
    label: int | None = None  # under which the image is handed over, where it is said


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
    kept_back: tuple[Planted, ...] = ()  # those whose image the coin says to hand over as it was
    by_image: bool = True  # whether every mark was given to its image before its coin was looked at

    @property
    def seal(self) -> str:
        """64 hexadecimal digits of the secret and of every setting, but for what was planted since."""
        return digest({name: value for name, value in asdict(self).items() if name not in SINCE})

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

    def given(self) -> list[Planted]:
        """The marks that were given to images, stamped or not, in their order."""
        return sorted((*self.planted, *self.kept_back), key=lambda one: one.mark)

    def left(self) -> list[int]:
        """The marks that can yet be given to images, in order: all, or where coins were looked at those they plant."""
        among = range(self.n) if self.by_image else np.flatnonzero(self.to_plant()).tolist()
        used = {one.mark for one in self.given()}
        return [mark for mark in among if mark not in used]

    def no_bound(self) -> str:
        """Why coins say nothing of differential privacy, in words; empty where each decided about one image alone."""
        if not self.flipped:
            return "no coin was thrown, every mark was to be planted"
        if not self.by_image or [one.mark for one in self.given()] != list(range(len(self.given()))):
            return "marks were given to images by their coins, so that one coin decided about several images"
        return ""

    def with_next(self, image: str, label: int | None = None) -> "Registry":
        """The registry with its next mark given to an image, of which the coin then says whether it is planted there.

        Raises RegistryError: no mark is left, or the image has one already.
        """
        left = self.left()
        if not left:
            raise RegistryError(f"mark: none of the {self.n} of the registry is left")
        one = Planted(left[0], image, label)
        self.require_free(one)
        if self.to_plant()[one.mark]:
            return replace(self, planted=(*self.planted, one))
        return replace(self, kept_back=(*self.kept_back, one))

    def with_planted(self, planted: Planted) -> "Registry":
        """The registry with one more mark on an image, of those that the coins plant.

        Where it is not the next one, coins were looked at, so that they no longer decide about one image each.

        Raises RegistryError: no such mark, one that the coin keeps back, one that was given to an image already, or an
        image that has one already.
        """
        self.require_free(planted)
        if not self.to_plant()[planted.mark]:
            raise RegistryError(f"mark: the coin keeps mark {planted.mark} back, so it must not be stamped on anything")
        by_image = self.by_image and planted.mark == self.left()[0]
        return replace(self, planted=(*self.planted, planted), by_image=by_image)

    def require_free(self, given: Planted) -> None:
        """Raise a RegistryError: there is no such mark, or it or the image was used already."""
        if not 0 <= given.mark < self.n:
            raise RegistryError(f"mark: {given.mark} is not one of the {self.n} of the registry, from 0")
        for one in self.given():
            if one.mark == given.mark:
                raise RegistryError(f"mark: {given.mark} was given to {one.image} already: a mark is unique")
            if one.image == given.image:
                raise RegistryError(f"image: {given.image} has a mark already, number {one.mark}")

    def to_json(self) -> str:
        """The registry as text, secret included: whoever has it knows every mark."""
        content = {"schema": SCHEMA} | asdict(self) | {"seal": self.seal}
        return json.dumps(content | {"whole": digest(content)}, indent=1) + "\n"

    @staticmethod
    def from_json(text: str) -> "Registry":
        """Read a registry. Raises RegistryError for another file, or one that was changed since it was written."""
        try:
            content = json.loads(text)
            if not isinstance(content, dict) or content.get("schema") not in (SCHEMA, FORMER):
                raise RegistryError(f"is no registry of marks: its schema is not {SCHEMA!r}")
            whole = content.pop("whole")
            if digest(content) != whole:
                raise RegistryError("was changed since it was written")
            if content["schema"] == FORMER:
                content |= {"kept_back": [], "by_image": not content["planted"]}
            registry = TypeAdapter(Registry).validate_json(json.dumps(content), strict=True)
        except (KeyError, RecursionError, json.JSONDecodeError, ValidationError) as error:
            raise RegistryError("is no whole registry of marks") from error
        if registry.seal != content["seal"]:
            raise RegistryError("has another seal than its secret and settings give")
        again = replace(registry, planted=(), kept_back=())
        for one in registry.planted:
            again = again.with_planted(one)  # which refuses what could not have been planted
        for one in registry.kept_back:
            again.require_free(one)
            again = replace(again, kept_back=(*again.kept_back, one))
        if registry.to_plant()[[one.mark for one in registry.kept_back]].any():
            raise RegistryError("keeps a mark back that the coin plants")
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
