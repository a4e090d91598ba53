"""C6: the same of medical images, with a letter or a name."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ufm import features
from ufm.evidence import Cards
from ufm.evidence.questions import asked
from ufm.plan import second
from ufm.plan.sweep import Sweep
from ufm.report.by_population import by_way
from ufm.report.host_pictures import images
from ufm.report.texts import with_interval


def questions(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """The three questions of C6's rows."""
    return asked(populations, second.families(planned).get("C6", []))


def in_words(questions: pd.DataFrame) -> str:
    """For the text: which rows came out how."""
    named = {
        word: "; ".join(f"{row['setting']}, {row['host']} hosts" for row in rows.to_dict("records"))
        for word, rows in questions.groupby("there", sort=False)
    }
    return ". ".join(f"{word[0].upper()}{word[1:]}: {rows}" for word, rows in named.items()) or "Nothing is asked here"


def printed_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """C6's cells as the book prints them: by network and feature, and by kind of host."""
    return by_way(cells, "network, feature").assign(hosts=cells["host"])


def on_hosts(cells: pd.DataFrame, host: str) -> str:
    """For the text: the mean contrasts of the cells of a kind of host, with intervals."""
    rows = cells[cells["host"] == host]
    return "; ".join(with_interval(row, digits=3) for row in rows.to_dict("records")) or "not recorded"


def listed(quality: pd.DataFrame, name: str) -> str:
    """For the text: a column of `ufm.evidence.performance.quality` with its intervals, a population after the other."""
    return "; ".join(with_interval(row, end=name) for row in quality.to_dict("records"))


def counts_learnt(quality: pd.DataFrame) -> str:
    """For the text: how many canaries learnt the feature, a population after the other."""
    return ", ".join(str(round(row["learnt"] * row["n"])) for row in quality.to_dict("records"))


def as_trained(
    populations: Mapping[str, Cards], *, n: int = 8, data_root: str | Path | None = None
) -> dict[str, list[tuple[np.ndarray, str]]]:
    """Hosts of the first n seeds as their canaries have them: images (C, H, W), each with its label; a row a setting.

    Of populations on several kinds of host the last kind.
    """
    rows = {}
    for cards in populations.values():
        plain = images(cards.protocol, cards.indices[:n, -1], data_root=data_root)
        stamped = features.insert(plain, cards.protocol.unique, position=cards.protocol.position)
        rows[cards.setting] = list(zip(stamped, map(str, cards.labels[:n, -1]), strict=True))
    return rows
