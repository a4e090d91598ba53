"""What an execution of a notebook says of itself, in a file beside its tables."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel

from ufm.files import checked, read_json, write
from ufm.records import MANIFEST


def with_sweeps(parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters. Raises ValueError where they do not say in what each sweep differs from the first."""
    sweeps = parameters.get("sweeps")
    if not isinstance(sweeps, dict) or not all(isinstance(one, dict) for one in sweeps.values()):
        raise ValueError("no sweeps")
    return parameters


class Manifest(BaseModel):
    """What was asked for and what it stands on; see `ufm.study.runs.Run`."""

    notebook: str
    parameters: Annotated[dict[str, Any], AfterValidator(with_sweeps)]
    profile: str
    dataset: str  # in words
    device: str
    versions: list[dict[str, str]]
    recipe: int
    code: str
    models: list[str]
    seeds: int
    planned: int
    seconds: dict[str, float]  # of training and scoring, by the record of each seed, which other chapters may show too
    date: str
    populations: dict[str, list[str]]  # by table: of which population each row is, where a table has several

    def keep(self, folder: Path) -> None:
        """Write it into the folder of the execution."""
        write(folder / MANIFEST, (json.dumps(self.model_dump(), indent=1) + "\n").encode())


def read(folder: Path) -> Manifest:
    """The manifest of an execution. Raises ValueError, in one line, where there is none or it is damaged."""
    path = folder / MANIFEST
    try:
        content = read_json(path)
        if content is None:
            raise ValueError(f"{path}: there is none, so this is not the folder of an execution")
        return checked(path, content, Manifest)
    except ValueError as error:
        raise ValueError(f"{error}; run the notebook again") from None
