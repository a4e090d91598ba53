"""The README's table of results, written from the records so that no number in it is typed."""

import re

import pandas as pd

from ufm import evidence, paths
from ufm.chapters import verdicts
from ufm.evidence import crossed, influential
from ufm.files import write
from ufm.progress import duration
from ufm.study.runs import NotYetRun, Run
from ufm.study.verification import lost

BEGIN, END = "<!-- results: written by `make readme` -->", "<!-- end of results -->"


def results() -> str:
    """What became of each claim, in Markdown: a line of provenance and the first table of the page Verdicts.

    Raises ValueError where records are gone or too few.
    """
    for fault in lost():
        raise ValueError(fault)
    run = Run("verdicts", {"profile": "paper", "train": False})
    populations = run.recorded()
    try:
        cards = evidence.of(populations)
    except NotYetRun as error:
        raise ValueError(f"README.md: {error}") from None
    found = verdicts.questions(cards, run.sweeps)
    lines = verdicts.lines(found, influential.ranks_and_ratios(cards), crossed.spread(cards))
    entries = [entry for one in populations.values() for entry in one.entries]
    devices = " and ".join(dict.fromkeys(entry["device"] for entry in entries))
    title = (
        f"{len(entries)} seeds with {sum(len(entry['models']) for entry in entries)} models, "
        f"{duration(sum(entry['seconds'] for entry in entries))} of training and scoring, added up over "
        f"processes ({devices}). Intervals are 95 % intervals over seeds; a line whose models are not all trained "
        "*waits for seeds*:"
    )
    return f"{title}\n\n{markdown(verdicts.printed(lines))}"


def markdown(table: pd.DataFrame) -> str:
    """A table of texts in Markdown."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def update(text: str) -> str:
    """A README with its results renewed; a ValueError where it has no place for them."""
    pattern = re.compile(f"({re.escape(BEGIN)}\n).*?(\n{re.escape(END)})", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"README.md: no lines {BEGIN} and {END}")
    return pattern.sub(lambda match: f"{match[1]}\n{results()}\n{match[2]}", text)


def renew() -> None:
    """Rewrite the results in README.md."""
    readme = paths.of_project(paths.ROOT / "README.md")
    write(readme, update(readme.read_text(encoding="utf-8")).encode())
