"""Anonymised images, as the book prints and shows them."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ufm.evidence import Cards
from ufm.plan.second import regime
from ufm.report.by_way import there
from ufm.report.figures import closed, show, waiting
from ufm.report.texts import REHEARSED, with_interval

SHOWN = {"left": "left of the letter", "moved": "pictures differ by"}
SHOWN_SEEDS = 5  # the first ones
NOT_RECORDED = "Not recorded yet"


def printed_pictures(table: pd.DataFrame) -> pd.DataFrame:
    """What is left in pictures (`ufm.evidence.anonymised.in_pictures`), as the book prints it."""
    rows = [
        {"population": row["population"], "models": row["setting"], "hosts": row["host"]}
        | {words: there(row, name, 2) for name, words in SHOWN.items()}
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=["population", "models", "hosts", *SHOWN.values()])


def texts(table: pd.DataFrame, profile: str) -> dict[str, str]:
    """For the text: what is left of the letter in each way's pictures."""
    if profile == "embedded":
        return {"left": REHEARSED.capitalize()}
    said = [
        f"{row['setting']}, {row['host']} hosts: {with_interval(row, end='left')}"
        for row in (table.dropna(subset=["left"]) if "left" in table else table.iloc[:0]).to_dict("records")
    ]
    return {"left": "; ".join(said) or NOT_RECORDED}


def drawn_pictures(populations: Mapping[str, Cards], settings: Sequence[str]) -> Figure:
    """Hosts of the first seeds with the letter, and what each way gives in their place, a column a seed.

    The hosts are those of the last kind.
    """
    ways = {regime(one.sweep): one for one in populations.values() if regime(one.sweep) in settings and one.complete}
    if not ways:
        return waiting()
    first = next(iter(ways.values()))
    shown = {"handed over": first.arrays["image_handed_over"]}
    shown |= {way: cards.arrays["image_given"] for way, cards in ways.items()}
    n, canary = min(SHOWN_SEEDS, len(first.seeds)), first.model("canary", first.protocol.hosts[-1])
    size = 1.2 * n + 1.6, 1.2 * len(shown)
    figure, axes = plt.subplots(len(shown), n, figsize=size, layout="constrained", squeeze=False)
    for row, (name, images) in zip(axes, shown.items(), strict=True):
        for axis, image in zip(row, images[:n, canary], strict=True):
            show(axis, image)
        row[0].set_ylabel(name.replace(", ", ",\n"), rotation=0, ha="right", va="center")
    return closed(figure)
