"""The README's table of results, written from the records so that no number in it is typed."""

import io
import re

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ufm import evidence, paths
from ufm.chapters import verdicts
from ufm.evidence import crossed, influential
from ufm.files import write
from ufm.progress import duration
from ufm.report import answers
from ufm.study.runs import NotYetRun, Run
from ufm.study.verification import lost

BEGIN, END = "<!-- results: written by `make readme` -->", "<!-- end of results -->"
PICTURE = paths.BOOK / "answers.svg"
CAPTION = (
    "Left: the mean probability of the host's label, asked with the host itself, without the letter (hollow) and with "
    "it (filled), in models trained with the letter (canary), with its pixels in another order (placebo) and with "
    "neither (control). Right: the share of canaries that an outsider finds from the outputs of one model, with 95 % "
    "intervals; the dotted line is chance."
)


def results() -> tuple[str, bytes]:
    """What became of each claim, in Markdown, and the picture of it, an SVG file.

    An answer a claim with what its words mean, the picture, and in a fold the first table of the page Verdicts.

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
    stands_on = found, influential.ranks_and_ratios(cards), crossed.spread(cards)
    entries = [entry for one in populations.values() for entry in one.entries]
    devices = " and ".join(dict.fromkeys(entry["device"] for entry in entries))
    made = (
        f"{len(entries)} seeds with {len({model for entry in entries for model in entry['models']})} models, "
        f"{duration(sum(entry['seconds'] for entry in entries))} of training and scoring, added up over "
        f"processes ({devices}). Intervals are 95 % intervals over seeds; a line whose models are not all trained "
        "*waits for seeds*:"
    )
    short = markdown(verdicts.printed_answers(answers.answers(*stands_on), run.profile))
    picture = f"![{answers.ALT}]({PICTURE.relative_to(paths.ROOT)})"
    long = markdown(verdicts.printed(verdicts.lines(*stands_on)))
    fold = f"<details>\n<summary>Claim by claim, with numbers</summary>\n\n{made}\n\n{long}\n\n</details>"
    return f"{short}\n\n{answers.NOTE}\n\n{picture}\n\n{CAPTION}\n\n{fold}", drawing(answers.picture(found))


def drawing(figure: Figure) -> bytes:
    """A figure as an SVG file on white, the same bytes for the same figure."""
    written = io.BytesIO()
    with plt.rc_context({"svg.hashsalt": "ufm", "svg.fonttype": "path"}):
        figure.savefig(written, format="svg", facecolor="white", metadata={"Date": None})
    return written.getvalue()


def markdown(table: pd.DataFrame) -> str:
    """A table of texts in Markdown."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def update(text: str) -> tuple[str, bytes]:
    """A README with its results renewed, and its picture; a ValueError where it has no place for them."""
    pattern = re.compile(f"({re.escape(BEGIN)}\n).*?(\n{re.escape(END)})", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"README.md: no lines {BEGIN} and {END}")
    words, picture = results()
    return pattern.sub(lambda match: f"{match[1]}\n{words}\n{match[2]}", text), picture


def renew() -> None:
    """Rewrite the results in README.md and their picture."""
    readme = paths.of_project(paths.ROOT / "README.md")
    words, picture = update(readme.read_text(encoding="utf-8"))
    write(PICTURE, picture)
    write(readme, words.encode())
