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
from ufm.evidence.ways import IS_THERE, Prevents, prevention
from ufm.plan.second import COMPARED, USUAL_DECAY
from ufm.plan.thresholds import SECOND, THRESHOLDS
from ufm.report.figures import COLOURS, WIDTH, closed, probabilities
from ufm.report.texts import number, size_of, with_interval

WAITS = "no answer yet, not all its models are trained"
# Where the plan's words change.
LARGE, LEAST = (f"×{number(exp(nats), 2)}" for nats in (SECOND.large, SECOND.smallest))
THERE = {
    There.LARGE: "yes, large",
    There.SMALL: "yes, small",
    There.SIZE_OPEN: "yes, small or large",
    There.NOT: f"below {LEAST}, if at all",
    There.UNDECIDED: "not shown",
    There.OPEN: WAITS,
}
SMALL_IF_THERE = "not shown, and small if there"
TOLD = {
    Told.MOSTLY: "most are",
    Told.SOMETIMES: "better than chance",
    Told.NOT: "hardly, if at all",
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
    Varies.UNDECIDED: "neither is shown",
    Varies.OPEN: WAITS,
}
RANDOM, HARD = "host drawn at random", "host that is hard to fit"
OWN, HARD_OWN, CNNS = f"MLPs, {RANDOM}, as in the released code", f"MLPs, {HARD}", f"CNNs, {RANDOM}"
PAPER, OURS = "by the paper's score M", "by this book's score"
TIMES = (
    "Does the mark bring its host's label more in a model trained with it than in one trained with its pixels in "
    "another order, and how many times?"
)
FOUND_OF = (
    "Can an auditor who has the mark tell from one model's outputs, without the label? Area under the ROC curve, one "
    f"half by chance, and share of marked models found, {number(100 * THRESHOLDS.false_positive_rate, 0)} % by chance"
)
NOTE = (  # below the table, plain text
    "Times, in C1 and C6: on images unlike those of training, the label's probability over the geometric mean of all "
    "classes, of either mark in the model trained with it beside the other model, with a 95 % interval over seeds. "
    f"Small, large: that of the mean lies below, above {LARGE}. Of two classes, as of X-rays, odds rise by its square. "
    f"Better than chance: the p of the area is below {SECOND.level} after correction over the lines asked together, "
    "and its interval lies above one half. Hardly, if at all: that interval lies below "
    f"{number(SECOND.smallest_area, 1)}. Prevented: there without the way, and shown to be below {LEAST} with it. "
    "Harm to patients was not measured."
)
INFLUENCE = "How many times does it raise an image's influence on its own loss, and its rank by what share of all?"
SPREAD = "On one host, is the standard deviation over seeds more or less than a quarter of the mean, this book's line?"
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
    own, hard, xrays = found.get("C1"), found.get("C1, hard hosts"), found.get("C6")
    by_the_paper, by_this_book = ({f"{OWN}, {score}": own, f"{HARD_OWN}, {score}": hard} for score in (PAPER, OURS))
    by_host = {f"chest X-rays, {words}": on(xrays, host) for words, host in HOSTS}
    pairs, prevent = prevented(found)
    how_many = f"Of {pairs} pairs of a usual way and a data set, in how many is it there all the same, or prevented?"
    said = {
        ("C1", TIMES): asked(memorised, {OWN: own, HARD_OWN: hard, CNNS: found.get("C1, CNNs")}),
        ("C2", FOUND_OF): asked(told_by_the_paper, by_the_paper) | asked(told, by_this_book | decayed(found)),
        ("C3", how_many): prevent,
        ("C4", INFLUENCE): influential(ranks),
        ("C5", SPREAD): varies(spread),
        ("C6", TIMES): asked(memorised, by_host),
        ("C6", FOUND_OF): asked(told, {f"{where}, {OURS}": rows for where, rows in by_host.items()}),
    }
    return [Answer(*asks, where, text) for asks, of in said.items() for where, text in of.items()]


def asked(say: Callable[[Mapping[str, Any]], str], where: Mapping[str, pd.DataFrame | None]) -> dict[str, str]:
    """What is said of the rows of each table that has any."""
    return {words: listed(rows, say) for words, rows in where.items() if rows is not None and len(rows)}


def on(table: pd.DataFrame | None, host: str) -> pd.DataFrame | None:
    """The rows on one kind of host."""
    return None if table is None else table[table["host"] == host]


def decayed(found: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The rows of C3's models with weight decay, by where, on which most can be told."""
    rows = found.get("C3", pd.DataFrame(columns=["setting", "population"]))
    rows = rows[rows["setting"] == USUAL_DECAY].assign(setting="")
    size = size_of(rows["population"].iloc[0]) if len(rows) else ""
    where = f"{USUAL_DECAY}, {size}, {OURS}"
    return {f"MLPs, {words}, {where}": rows[rows["host"] == host] for words, host in HOSTS if size}


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
    """Whether it is there, in plain words, and by what the label's share of probability is multiplied."""
    word = There(row["there"])
    if word == There.OPEN:
        return waits(row)
    ends = ("contrast", "contrast_low", "contrast_high")
    small = word == There.UNDECIDED and row["contrast_high"] < SECOND.large
    said = SMALL_IF_THERE if small else THERE[word]
    times = f"×{with_interval({end: exp(row[end]) for end in ends}, end='contrast')}"
    return f"{said}, {times}, median ×{number(exp(row['median']), 2)}, {row['n']} seeds"


def waits(row: Mapping[str, Any]) -> str:
    """What is said of a row that lacks seeds."""
    return f"no answer yet, {row['n']} of {row['needed']} seeds are trained"


def told(row: Mapping[str, Any], auditor: str = "unknown") -> str:
    """Whether one of `questions.AUDITORS` can tell it from the outputs of one model, with area and share found."""
    word = Told(row[f"{auditor}_told"])
    if word == Told.OPEN:
        return waits(row)
    share = f"{number(100 * row[f'{auditor}_found'], 0)} % found"
    return f"{TOLD[word]}, area {with_interval(row, end=auditor)}, {share}"


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
        rows = table[table["host"] == host]
        words, possible = rows["prevents"], int(rows["versus_there"].isin(IS_THERE).sum())
        if (words == Prevents.OPEN).all():
            counts[where] = WAITS
        else:
            there = {text: int((words == word).sum()) for word, text in PREVENTS.items()}
            shown = [Prevents.NOT, Prevents.PREVENTS]  # also where there are none
            said = [f"{text}: {there[text]}" for word, text in PREVENTS.items() if there[text] or word in shown]
            counts[where] = f"{'; '.join(said)}; there without the way, so that it could be prevented: {possible}"
    return len(table[["population", "way"]].drop_duplicates()), counts


def influential(ranks: pd.DataFrame) -> dict[str, str]:
    """By what the letter multiplies an image's self-influence and moves its rank, beside the placebo, a kind of host.

    Hosts that are drawn at random come first.
    """
    rows = sorted(ranks.to_dict("records"), key=lambda row: row["setting"] != "random hosts")
    found = {}
    for row in rows:
        letter, placebo = (
            f"×{with_interval(row, digits=1, end=f'{of}ratio')}, rank {number(row[f'{of}rise'], 3)}"
            for of in ("", "placebo_")
        )
        words = RANDOM if row["setting"] == "random hosts" else f"of the {row['setting']}"
        found[f"MLPs, {row['population']}, {words}"] = f"{letter}; with its pixels in another order {placebo}"
    return found


def varies(spread: Mapping[str, Any] | None) -> dict[str, str]:
    """C5 in plain words."""
    if spread is None:
        return {}
    word = Varies(spread["varies"])
    share = "" if word == Varies.OPEN else f": {with_interval(spread)} of the mean"
    return {", ".join(filter(None, ("MLPs", spread["population"]))): f"{VARIES[word]}{share}"}


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
