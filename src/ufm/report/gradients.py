"""What is computed from gradients, as the book prints and shows it."""

from collections.abc import Mapping
from itertools import islice

import numpy as np
import pandas as pd

from ufm import features
from ufm.plan.gradients import N_PICTURED, Gradients
from ufm.report.figures import COLOURS, Mark
from ufm.report.texts import REHEARSED, by_word, with_interval

STAMPED = {"letter": "the letter, canaries", "mark": "a drawn mark, placebos", "letter_alone": "the letter, controls"}
MARKS: dict[str, Mark] = {
    STAMPED["letter"]: (COLOURS["canary"], "o", True),
    STAMPED["mark"]: (COLOURS["placebo"], "^", True),
    STAMPED["letter_alone"]: (COLOURS["control"], "X", True),
}


def printed(table: pd.DataFrame) -> pd.DataFrame:
    """`ufm.evidence.gradients.cells` as the book prints it."""
    return pd.DataFrame(
        {
            "pixels": f"{row['size']} × {row['size']}",
            "images in the batch": row["batch"],
            "hidden units": spaced(row["units"]),
            "seeds": row["n"],
            "cosine": with_interval(row, end="cosine"),
            "the letter first, canaries": with_interval(row, end="letter"),
            "controls": with_interval(row, end="letter_alone"),
            "a drawn mark first, placebos": with_interval(row, end="mark"),
            "controls ": with_interval(row, end="mark_alone"),
            "read as the letter": with_interval(row, end="read"),
            "controls  ": with_interval(row, end="read_alone"),
            "so the letter is": row["verdict"],
        }
        for row in table.to_dict("records")
    )


def rows(table: pd.DataFrame) -> pd.DataFrame:
    """The shares in which what was stamped ranks first, as `ufm.report.figures.forest` draws them."""
    parts = [
        {
            "panel": f"{row['size']} × {row['size']}, {row['batch']} images",
            "label": f"{spaced(row['units'])} units",
            "kind": kind,
            **dict(
                zip(("estimate", "low", "high"), (row[f"{name}{end}"] for end in ("", "_low", "_high")), strict=True)
            ),
        }
        for row in table.to_dict("records")
        for name, kind in STAMPED.items()
    ]
    return pd.DataFrame(parts, columns=["panel", "label", "kind", "estimate", "low", "high"])


def texts(table: pd.DataFrame, profile: str) -> dict[str, str]:
    """For the text: in which cells each word is said."""
    if table.empty or profile == "embedded":
        return {"legible": "Not recorded yet" if table.empty else REHEARSED.capitalize()}
    units = table.groupby(["verdict", "size", "batch"], sort=False)["units"].agg(
        lambda some: ", ".join(map(spaced, some))
    )
    kinds = units.reset_index()
    names = [
        f"{row['size']} × {row['size']} pixels, batches of {row['batch']} ({row['units']} units)"
        for row in kinds.to_dict("records")
    ]
    return {"legible": by_word(kinds["verdict"], pd.Series(names))}


def images(arrays: Mapping[int, Mapping[str, np.ndarray]], plan: Gradients) -> dict[str, list[tuple[np.ndarray, str]]]:
    """For the first seeds: canaries, and what is computed of the largest batch by width; below, the letter's place.

    Of the largest images. arrays: by seed, see `ufm.study.gradients.finish`. Pictures have no scale of their own: each
    is drawn from nothing to its brightest pixel.
    """
    size, shown = plan.sizes[0], {}
    (top, left), (height, width) = plan.position, features.feature(plan.feature).shape
    for seed, one in islice(arrays.items(), N_PICTURED):
        pictures = [one[f"canary_{size}"], *one[f"reconstructed_{size}"][-1]]
        words = ["canary", *(f"{spaced(units)}: units" for units in plan.units)]
        scaled = [bright(picture) for picture in pictures]
        patches = [bright(picture[top : top + height, left : left + width]) for picture in pictures]
        shown[f"seed {seed}"] = list(zip(scaled, words, strict=True))
        shown[f"seed {seed}, the letter's place"] = [(patch, " ") for patch in patches]
    return shown


def bright(picture: np.ndarray) -> np.ndarray:
    """A picture (h, w) as an image (1, h, w) in [0, 1], black where it is below zero, its brightest pixel white."""
    image = picture.astype(float).clip(min=0)
    return (image / (image.max() or 1))[None]


def spaced(n: int) -> str:
    """A whole number with its thousands apart."""
    return f"{n:,}".replace(",", " ")
