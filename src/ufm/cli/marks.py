"""Marks of one's own: draw them, stamp them."""

import re
from pathlib import Path
from typing import Annotated

import typer

NAME = "registry.json"
PRIVATE = 0o600  # of a file that holds a secret


def new(
    n: Annotated[int, typer.Option(help="how many marks")],
    out: Annotated[Path, typer.Option(help="a new folder for the registry")],
    size: Annotated[str, typer.Option(help="height and width in pixels")] = "5x5",
    family: Annotated[str, typer.Option(help="noise, letters or permutations")] = "noise",
    of: Annotated[str, typer.Option(help="whose pixels are rearranged: a letter, a text or a PNG file")] = "",
    position: Annotated[str, typer.Option(help="row,column of a mark's top-left pixel, from 0")] = "1,1",
    all_planted: Annotated[bool, typer.Option(help="plant every mark, without a coin that keeps half back")] = False,
) -> None:
    """Draw marks by a secret, before training. Keep the registry to yourself; publish its seal."""
    from ufm import marks
    from ufm.files import write

    path = out / NAME
    if path.exists():
        raise ValueError(f"{path}: is there already; name another folder, no registry is overwritten")
    settings = {
        "family": family,
        "of": of,
        "size": pair(size, "x", "size"),
        "position": pair(position, ",", "position"),
    }
    registry = marks.new(n, **settings, flipped=not all_planted)
    write(path, registry.to_json().encode("utf-8"), mode=PRIVATE)
    coins = "" if all_planted else ", each for an image of its own, on which a coin says whether it is planted"
    print(f"{path}: {n} marks{coins}\nseal: {registry.seal}")


def stamp(
    images: Annotated[list[Path], typer.Argument(help="image files, PNG, JPEG or DICOM, which stay as they are")],
    registry: Annotated[Path, typer.Option(help="the file that `ufm mark new` wrote")],
    out: Annotated[Path, typer.Option(help="a folder for the marked copies")],
    label: Annotated[int | None, typer.Option(help="the label of these images in training, from 0")] = None,
) -> None:
    """Give a mark to each image, a different one to every one, and stamp those that the coin plants.

    All copies are to be handed over, those without a mark too. Choose all images before any is stamped.
    """
    from ufm import marks
    from ufm.files import locked, write
    from ufm.marks.images import plant

    marks.read(registry)  # before a folder is made where there is none
    with locked(registry.parent, tell=True):  # lest another process plants the same marks
        after, copies = plant(marks.read(registry), images, out, label=label)
        write(registry, after.to_json().encode("utf-8"), mode=PRIVATE)
        for path, content in copies.items():
            write(path, content)
    back = len({path.name for path in copies} & {one.image for one in after.kept_back})
    unmarked = f", {back} as they were, by their coins: hand over all of them" if back else ""
    print(f"{len(copies) - back} images marked under {out}{unmarked}; {len(after.left())} marks are left")


def pair(text: str, between: str, name: str) -> tuple[int, int]:
    """Two whole numbers from text such as "5x5"."""
    found = re.fullmatch(rf"(\d+){between}(\d+)", text)
    if not found:
        raise ValueError(f"{name}: {text!r} is not of the form 5{between}5")
    return int(found[1]), int(found[2])
