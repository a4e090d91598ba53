"""What was found, a line a claim and setting in plain words, and one picture: for those who read nothing else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence.crossed import Varies
from ufm.evidence.questions import There, Told, answered
from ufm.evidence.ways import Prevents, prevention
from ufm.plan.second import COMPARED
from ufm.plan.thresholds import THRESHOLDS
from ufm.report.figures import COLOURS, WIDTH, closed, probabilities
from ufm.report.texts import number, size_of, with_interval

# The two sizes on which the plan's words stand are a tenth and a fiftieth of a nat, and so, nearly, of the odds.
WAITS = "no answer yet, not all its models are trained"
THERE = {
    There.LARGE: "yes, by more than a tenth",
    There.SMALL: "yes, by less than a tenth",
    There.SIZE_OPEN: "yes, whether by a tenth is open",
    There.NOT: "by less than a fiftieth, if at all",
    There.UNDECIDED: "neither shown nor excluded",
    There.OPEN: WAITS,
}
TOLD = {
    Told.MOSTLY: "most are",
    Told.SOMETIMES: "better than chance",
    Told.NOT: "not shown to be better than chance",
    Told.UNDECIDED: "undecided",
    Told.OPEN: WAITS,
}
PREVENTS = {
    Prevents.NOT: "there all the same",
    Prevents.ON_HOST: "left on its image alone",
    Prevents.PREVENTS: "prevented",
    Prevents.UNDECIDED: "undecided",
    Prevents.OPEN: "not trained yet",
}
VARIES = {
    Varies.MORE: "yes, more",
    Varies.LESS: "no, less",
    Varies.UNDECIDED: "neither more nor less is shown",
    Varies.OPEN: WAITS,
}
RANDOM, HARD = "image drawn at random", "image that is hard to fit"
OWN, HARD_OWN, CNNS = f"MLPs, {RANDOM}, as in the released code", f"MLPs, {HARD}", "CNNs"
BY_THE_PAPER = f"MLPs, {RANDOM}, by the paper's score M"
ODDS = (
    "Stamped on other images, does the mark raise the odds of its training image's label more in a model that was "
    "trained with it than in one that was trained with its pixels in another order, and how many times (95 % interval)?"
)
HOSTS = ((RANDOM, "random"), (HARD, "hard"))  # in words, and as the plan has them
ALT = (  # of the picture
    "Two panels, a row a data set and kind of host: probabilities of the host's label with and without the letter in "
    "canaries, placebo models and controls, and the share of canaries found."
)


@dataclass(frozen=True)
class Answer:
    """What was found of a claim in one setting."""

    claim: str
    question: str
    where: str
    found: str


def answers(found: Mapping[str, pd.DataFrame], ranks: pd.DataFrame, spread: Mapping[str, Any] | None) -> list[Answer]:
    """A line a claim and setting, from the three questions by family, C4's table and C5's spread.

    What a profile does not ask has no answer.
    """
    chance = number(100 * THRESHOLDS.false_positive_rate, 0)
    found_of = (
        "Can it be told from the outputs of one model, without the label? Share of marked models found, where chance "
        f"is {chance} %, by a score of this project where no other is named"
    )
    own, hard, xrays = found.get("C1"), found.get("C1, hard hosts"), found.get("C6")
    by_host = {f"chest X-rays, {words}": on(xrays, host) for words, host in HOSTS}
    pairs, prevent = prevented(found)
    how_many = f"Of {pairs} pairs of a usual way and a data set, in how many is it there all the same?"
    said = {
        ("C1", ODDS): asked(memorised, {OWN: own, HARD_OWN: hard, CNNS: found.get("C1, CNNs")}),
        ("C2", found_of): asked(told, {OWN: own, HARD_OWN: hard}) | asked(told_by_the_paper, {BY_THE_PAPER: own}),
        ("C3", how_many): prevent,
        ("C4", "How many times as large as without the letter is its influence on its own loss?"): influential(ranks),
        ("C5", "Is the standard deviation over seeds more than a quarter of the mean?"): varies(spread),
        ("C6", ODDS): asked(memorised, by_host),
        ("C6", found_of): asked(told, by_host),
    }
    return [Answer(*asks, where, text) for asks, of in said.items() for where, text in of.items()]


def asked(say: Callable[[Mapping[str, Any]], str], where: Mapping[str, pd.DataFrame | None]) -> dict[str, str]:
    """What is said of the rows of each table that has any."""
    return {words: listed(rows, say) for words, rows in where.items() if rows is not None and len(rows)}


def on(table: pd.DataFrame | None, host: str) -> pd.DataFrame | None:
    """The rows on one kind of host."""
    return None if table is None else table[table["host"] == host]


def listed(rows: pd.DataFrame, say: Callable[[Mapping[str, Any]], str]) -> str:
    """What is said of each row after its name, once where it is the same of several; of a single row without it."""
    by_text: dict[str, list[str]] = {}
    for row in rows.to_dict("records"):
        name = row["setting"].replace(", ", " with a ") or row["population"].partition(",")[0]
        by_text.setdefault(say(row), []).append(name)
    if len(rows) == 1:
        return next(iter(by_text))
    return "; ".join(f"{joined(names)}: {text}" for text, names in by_text.items())


def joined(names: Sequence[str]) -> str:
    """Names in a row of words: a, b and c."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def memorised(row: Mapping[str, Any]) -> str:
    """Whether it is there, in plain words, and by what the odds are multiplied."""
    word = There(row["there"])
    if word == There.OPEN:
        return THERE[word]
    ends = ("contrast", "contrast_low", "contrast_high")
    return f"{THERE[word]}, ×{with_interval({end: exp(row[end]) for end in ends}, end='contrast')}"


def told(row: Mapping[str, Any], auditor: str = "unknown") -> str:
    """Whether one of `questions.AUDITORS` can tell it from the outputs of one model, with the share found."""
    word = Told(row[f"{auditor}_told"])
    if word == Told.OPEN:
        return TOLD[word]
    return f"{TOLD[word]} ({number(100 * row[f'{auditor}_found'], 0)} %)"


def told_by_the_paper(row: Mapping[str, Any]) -> str:
    """The same of the paper's score."""
    return told(row, "paper")


def on_images(population: str, words: str) -> str:
    """What an answer is of: how many training images there were, and other words."""
    return f"on {size_of(population)}, {words}"


def prevented(found: Mapping[str, pd.DataFrame]) -> tuple[int, dict[str, str]]:
    """How many pairs of a usual way and a data set there are, and how many do not prevent it, by kind of host."""
    if "C3" not in found:
        return 0, {}
    table, counts = prevention(found["C3"], COMPARED), {}
    for words_of, host in HOSTS:
        where = on_images(table["population"].iloc[0], words_of)
        words = table.loc[table["host"] == host, "prevents"]
        if (words == Prevents.OPEN).all():
            counts[where] = WAITS
        else:
            there = {text: int((words == word).sum()) for word, text in PREVENTS.items()}
            shown = [Prevents.NOT, Prevents.PREVENTS]  # also where there are none
            counts[where] = "; ".join(
                f"{text}: {there[text]}" for word, text in PREVENTS.items() if there[text] or word in shown
            )
    return len(table[["population", "way"]].drop_duplicates()), counts


def influential(ranks: pd.DataFrame) -> dict[str, str]:
    """By what the letter multiplies an image's self-influence, beside the placebo, on images drawn at random."""
    for row in ranks.to_dict("records"):
        if row["setting"] == "random hosts":
            ratio, other = (with_interval(row, digits=1, end=name) for name in ("ratio", "placebo_ratio"))
            where = on_images(row["population"], RANDOM)
            return {where: f"{ratio} times; {other} times with its pixels in another order, which occur once too"}
    return {}


def varies(spread: Mapping[str, Any] | None) -> dict[str, str]:
    """C5 in plain words."""
    if spread is None:
        return {}
    word = Varies(spread["varies"])
    share = "" if word == Varies.OPEN else f": {with_interval(spread)} of the mean"
    return {"on one image": f"{VARIES[word]}{share}"}


def picture(found: Mapping[str, pd.DataFrame]) -> Figure:
    """What the letter does to the label of its image, and how many models with it are found, of C1's answered rows.

    On the left the mean probability of the host's label without the letter (hollow) and with it, of canary, placebo
    model and control; on the right the share of canaries found, with its interval, and a line where chance is.
    """
    asked = [found[family] for family in ("C1", "C1, hard hosts") if family in found]
    rows = [row for table in asked for row in answered(table).to_dict("records")]
    rows.sort(key=lambda row: row["population"], reverse=True)
    size = (WIDTH, 1.5 + 0.7 * max(len(rows), 1))
    figure, (left, right) = plt.subplots(
        1, 2, figsize=size, sharey=True, layout="constrained", gridspec_kw={"width_ratios": (3, 2)}
    )
    probabilities(left, rows)
    for place, row in enumerate(rows):
        ends = [100 * row[f"unknown_found_{end}"] for end in ("low", "high")]
        right.plot(ends, [place] * 2, color=COLOURS["canary"], linewidth=1.6)
        right.scatter(100 * row["unknown_found"], place, 30, color=COLOURS["canary"], zorder=2)
    right.axvline(100 * THRESHOLDS.false_positive_rate, color="0.4", linewidth=0.8, linestyle=":")
    names = [f"{row['population'].partition(',')[0]},\n{row['host']} host" for row in rows]
    left.set(yticks=range(len(rows)), yticklabels=names, xlim=(-0.03, 1.03), ylim=(max(len(rows), 1) - 0.5, -0.5))
    left.set_xlabel("probability of the label")
    right.set(xlabel="found (%)", xlim=(0, 100))
    if rows:
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    sns.despine(figure)
    return closed(figure)
