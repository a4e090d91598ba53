"""What became of each claim, as the second plan (book/second-plan.md) decides it.

A line is a claim in one setting. It answers three questions, each with a short word and its number, and says the same
in a sentence that a rule writes from the values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Any

import pandas as pd

from ufm.evidence import Cards
from ufm.evidence.crossed import Varies
from ufm.evidence.questions import There, Told, answered, asked
from ufm.evidence.ways import Prevents, prevention
from ufm.plan import second
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import SECOND
from ufm.report.answers import Answer
from ufm.report.texts import number, p_text, size_of, span, with_interval
from ufm.statistics import holm

STATEMENTS = {
    "C1": "A feature that occurs once in the training images is memorised.",
    "C2": "The feature and the model's outputs are enough to show it.",
    "C3": "Usual ways to prevent overfitting do not prevent it.",
    "C4": "An image with a unique feature is highly influential.",
    "C5": "Memorisation varies much with the training seed.",
    "C6": "The risk matters for medical images.",
}
OPEN, NOTHING, NOT_SAID = str(There.OPEN), "–", "not said"
REHEARSED = "The method runs; nothing is said about the paper."
HOSTS = {"random": "random hosts", "hard": "hard hosts"}
KNOWN = {"unknown": "an auditor who does not know the host's label", "known": "one who does"}


@dataclass(frozen=True)
class Line:
    """A claim in one setting: what the first table says of it."""

    claim: str
    setting: str
    own: bool  # the paper's own setting
    there: str
    large: str
    told: str
    seeds: str
    sentence: str


def questions(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> dict[str, pd.DataFrame]:
    """The three questions by family of rows, see `ufm.evidence.questions.asked`."""
    return {family: asked(populations, rows) for family, rows in second.families(planned).items()}


def lines(found: Mapping[str, pd.DataFrame], ranks: pd.DataFrame, spread: Mapping[str, Any] | None) -> list[Line]:
    """The verdicts, from the three questions, C4's table and C5's spread; what a profile does not ask has no line."""
    every = [
        *memorised(found, "C1", "the paper's own setting", own=True),
        *memorised(found, "C1, hard hosts", "hard hosts"),
        *memorised(found, "C1, CNNs", "the paper's own setting, CNNs", own=True),
        *memorised(found, "C1, CNNs, hard hosts", "CNNs, hard hosts"),
        *told(found, "C1", "the paper's own setting, plain training", own=True),
        *told(found, "C1, hard hosts", "hard hosts, plain training"),
        *told_with_decay(found),
        *prevented(found),
    ]
    if len(ranks):
        every.append(influential(ranks))
    if spread is not None:
        every.append(varies(spread))
    for host, words in HOSTS.items():
        every += memorised(found, "C6", f"chest X-rays, {words}", host=host)
    return every


def said(every: Sequence[Line], profile: str) -> list[Line]:
    """The lines as a profile says them: the embedded one says no word of the paper's claims."""
    return rehearsed(every) if profile == "embedded" else list(every)


def rehearsed(every: Sequence[Line]) -> list[Line]:
    """The lines without the words: small models on other images say nothing of the paper's claims."""
    return [
        replace(one, setting=f"stands in for: {one.setting}", there=NOT_SAID, told=NOT_SAID, sentence=REHEARSED)
        for one in every
    ]


def memorised(
    found: Mapping[str, pd.DataFrame], family: str, setting: str, *, own: bool = False, host: str = ""
) -> list[Line]:
    """The line of a family of rows, or of those on one kind of host, that asks whether a feature is memorised."""
    rows = of_host(found.get(family, pd.DataFrame()), host)
    if not rows:
        return []
    return [
        Line(
            family[:2],
            setting,
            own,
            listed(rows, lambda row: row["there"]),
            listed(rows, how_large),
            listed(rows, lambda row: how_told(row, "unknown")),
            listed(rows, seeds_of),
            " ".join(sentence(row) for row in rows),
        )
    ]


def told(found: Mapping[str, pd.DataFrame], family: str, setting: str, *, own: bool = False) -> list[Line]:
    """C2's line on a family of rows of C1: what can be told from the outputs."""
    rows = of_host(found.get(family, pd.DataFrame()))
    return [told_line(rows, setting, own=own)] if rows else []


def told_with_decay(found: Mapping[str, pd.DataFrame]) -> list[Line]:
    """C2's lines on models of a part of the images that were trained with weight decay, a line a kind of host."""
    every = []
    for host, words in HOSTS.items():
        rows = [row for row in of_host(found.get("C3", pd.DataFrame()), host) if row["setting"] == second.USUAL_DECAY]
        if rows:
            size = size_of(rows[0]["population"])
            every.append(told_line(rows, f"{words}, {second.USUAL_DECAY}, {size}", own=False))
    return every


def told_line(rows: Sequence[Mapping], setting: str, *, own: bool) -> Line:
    """A line of C2."""
    waits = all(row["unknown_told"] == Told.OPEN for row in rows)
    return Line(
        "C2",
        setting,
        own,
        OPEN if waits else NOTHING,
        listed(rows, how_well),
        listed(rows, lambda row: how_told(row, "unknown")),
        listed(rows, seeds_of),
        " ".join(told_sentence(row) for row in rows),
    )


def prevented(found: Mapping[str, pd.DataFrame]) -> list[Line]:
    """C3's lines, one a kind of host."""
    if "C3" not in found:
        return []
    table, every = prevention(found["C3"], second.COMPARED), []
    for host, hosts in HOSTS.items():
        rows = table[table["host"] == host]
        if rows.empty:
            continue
        sets = ", ".join(population.partition(",")[0] for population in rows["population"].unique())
        asked_of = f"{rows['way'].nunique()} ways, {sets}, {hosts}, {size_of(rows['population'].iloc[0])}"
        trained = seeds_of_all(rows)
        if (rows["prevents"] == Prevents.OPEN).all():
            said = f"{hosts.capitalize()}: not all seeds are trained yet."
            every.append(Line("C3", asked_of, False, OPEN, NOTHING, NOTHING, trained, said))
            continue
        by_word = list(rows.groupby("prevents", sort=False))
        counts = "; ".join(f"{word}: {names(of)}" for word, of in by_word)
        contrasts = span(rows["contrast"].dropna(), digits=3)
        found_of = span(100 * rows["unknown_found"].dropna(), digits=0)
        every.append(
            Line(
                "C3",
                asked_of,
                False,
                ", ".join(f"{len(of)} of {len(rows)}: {word}" for word, of in by_word),
                f"{contrasts} nats",
                f"{found_of} % found",
                trained,
                f"{hosts.capitalize()}: {counts}.",
            )
        )
    return every


def influential(table: pd.DataFrame) -> Line:
    """C4's line: rank and ratio, with the letter beside the placebo."""

    def of_groups(name: str, digits: int, sign: str = "") -> str:
        rows = table.to_dict("records")
        both = [[sign + number(row[end], digits) for end in (name, f"placebo_{name}")] for row in rows]
        named = zip(table["setting"], both, strict=True)
        return "; ".join(f"{setting}: {letter} (placebo {other})" for setting, (letter, other) in named)

    parts = [
        f"{row['setting'].capitalize()} rise by {with_interval(row, digits=4, end='rise')} of the ranks with the "
        f"letter and by {with_interval(row, digits=4, end='placebo_rise')} with the placebo; their self-influence is "
        f"{with_interval(row, end='ratio')} and {with_interval(row, end='placebo_ratio')} times that without."
        for row in table.to_dict("records")
    ]
    return Line(
        "C4",
        f"{size_of(table['population'].iloc[0])}, models of the first plan",
        False,
        f"rank: {of_groups('rise', 3)}",
        f"self-influence: {of_groups('ratio', 1, '×')}",
        NOTHING,
        "; ".join(f"{row['setting']}: {row['n']}" for row in table.to_dict("records")),
        " ".join(parts),
    )


def varies(spread: Mapping[str, Any]) -> Line:
    """C5's line."""
    word = str(spread["varies"])
    setting = ", ".join(filter(None, ("the same hosts for every seed", size_of(str(spread["population"])))))
    if word == Varies.OPEN:
        return Line("C5", setting, False, OPEN, NOTHING, NOTHING, str(spread["n"]), "Not all seeds are trained yet.")
    share = with_interval(spread)
    said = {
        Varies.MORE: "varies over seeds by more than a quarter of its mean",
        Varies.LESS: "varies over seeds by less than a quarter of its mean",
        Varies.UNDECIDED: "may vary over seeds by more or by less than a quarter of its mean",
    }
    text = f"On one host D {said[Varies(word)]}: the standard deviation is {share} of the mean, rounding taken off."
    return Line("C5", setting, False, word, f"{share} of the mean", NOTHING, str(spread["n"]), text)


def of_host(table: pd.DataFrame, host: str = "") -> list[dict]:
    """The rows of a table of questions, or those on one kind of host."""
    return [row for row in table.to_dict("records") if host in ("", row["host"])]


def listed(rows: Sequence[Mapping], say: Callable[[Mapping], str]) -> str:
    """What is said of each row, after its name where there are several; once where it is the same of all."""
    texts = [say(row) for row in rows]
    if len(set(texts)) == 1:
        return texts[0]
    return "; ".join(f"{short(row, rows)}: {text}" for row, text in zip(rows, texts, strict=True))


def short(row: Mapping, rows: Sequence[Mapping]) -> str:
    """What sets a row apart from the others of its line."""
    if len({one["population"] for one in rows}) > 1:
        parts = [row["population"].partition(",")[0]]
        return ", ".join([*parts, row["setting"]] if len({one["setting"] for one in rows}) > 1 else parts)
    return row["setting"] or row["population"]


def names(rows: pd.DataFrame) -> str:
    """The ways of some rows of C3, with the data sets where not all of them are there."""
    parts = []
    every = rows["population"].unique()
    for way, of_way in rows.groupby("way", sort=False):
        sets = [population.partition(",")[0] for population in of_way["population"]]
        parts.append(way if len(sets) == len(every) > 1 else f"{way} ({', '.join(sets)})")
    return ", ".join(parts)


def seeds_of(row: Mapping) -> str:
    """How many seeds a row has, and how many it needs where these are more."""
    return str(row["n"]) if row["n"] >= row["needed"] else f"{row['n']} of {row['needed']}"


def seeds_of_all(rows: pd.DataFrame) -> str:
    """How many seeds rows of equal need have: those that have all, then those that wait."""
    needed, waiting = rows["needed"].max(), rows.loc[rows["n"] < rows["needed"], "n"]
    waits = f"{' to '.join(map(str, sorted({waiting.min(), waiting.max()})))} of {needed}" if len(waiting) else ""
    return "; waiting: ".join(filter(None, (str(needed) if len(waiting) < len(rows) else "", waits)))


def how_large(row: Mapping[str, float]) -> str:
    """D of a row as text."""
    return NOTHING if row["there"] == There.OPEN else f"{with_interval(row, digits=3, end='contrast')} nats"


def how_well(row: Mapping[str, Any]) -> str:
    """The area of a row with the label unknown, as text."""
    return NOTHING if row["unknown_told"] == Told.OPEN else f"area {with_interval(row, end='unknown')}"


def how_told(row: Mapping[str, float], auditor: str) -> str:
    """What an auditor finds, as text."""
    word = row[f"{auditor}_told"]
    return NOTHING if word == Told.OPEN else f"{word}, {number(100 * row[f'{auditor}_found'], 0)} % found"


def called(row: Mapping) -> str:
    """A row in words, at the beginning of a sentence."""
    return f"{', '.join(part for part in (row['population'], row['setting']) if part)}, {HOSTS[row['host']]}"


def sentence(row: Mapping[str, Any]) -> str:
    """Whether the feature is memorised in a row, in words."""
    word = There(row["there"])
    if word == There.OPEN:
        return f"{called(row)}: {row['n']} of {row['needed']} seeds are trained, and nothing is said before all are."
    large, nothing = number(SECOND.large, 1), number(SECOND.smallest, 2)
    said = {
        There.LARGE: f"on average over seeds the feature is memorised by more than {large} nats",
        There.SMALL: f"on average over seeds the feature is memorised, by less than {large} nats",
        There.SIZE_OPEN: f"on average over seeds the feature is memorised, by more or by less than {large} nats",
        There.NOT: f"if anything is memorised, it is on average less than {nothing} nats",
        There.UNDECIDED: f"{row['n']} seeds neither show that the feature is memorised nor exclude {nothing} nats",
    }
    models = ("canary", "placebo", "control")
    p = {model: [number(row[f"{model}_{end}"], 3) for end in ("with", "without")] for model in models}
    return (
        f"{called(row)}: {said[word]} ({with_interval(row, digits=3, end='contrast')}, p {p_text(row['p_holm'])}). "
        f"The canary gives its host's label a probability of {p['canary'][0]} with the feature and {p['canary'][1]} "
        f"without, the placebo model {p['placebo'][0]} and {p['placebo'][1]}, the control {p['control'][0]} and "
        f"{p['control'][1]}."
    )


def in_words(found: Mapping[str, pd.DataFrame], family: str) -> str:
    """For other pages: the sentences of a family of rows."""
    return " ".join(sentence(row) for row in of_host(found.get(family, pd.DataFrame()))) or "Not asked here."


def texts(found: Mapping[str, pd.DataFrame], spread: Mapping[str, Any], profile: str) -> dict[str, str]:
    """For the text of this page and of others."""
    corrected = over_claims(found, spread)
    words = {"in_words_C1": "C1", "in_words_C1_hard": "C1, hard hosts"}
    embedded = profile == "embedded"
    return {
        **{name: REHEARSED if embedded else in_words(found, family) for name, family in words.items()},
        "p_over_claims": "; ".join(f"{claim}: {p_text(p)}" for claim, p in corrected.items()) or "none yet",
        "smallest": str(SECOND.smallest),
        "large": str(SECOND.large),
        "smallest_area": str(SECOND.smallest_area),
    }


def joined(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The families' tables one below the other, with a first column `family`."""
    return pd.concat([table.assign(family=family) for family, table in found.items()], ignore_index=True)


def told_sentence(row: Mapping[str, float]) -> str:
    """What can be told in a row, in words, without the label and with it."""
    if row["unknown_told"] == Told.OPEN:
        return f"{called(row)}: {row['n']} of {row['needed']} seeds are trained."
    parts = [
        f"{KNOWN[auditor]}: area {with_interval(row, end=auditor)}, {number(100 * row[f'{auditor}_found'], 0)} % of "
        f"the canaries found and {number(100 * row[f'{auditor}_false'], 0)} % of innocent models flagged "
        f"({row[f'{auditor}_told']})"
        for auditor in KNOWN
    ]
    return f"{called(row)}. {'; '.join(parts).capitalize()}."


def over_claims(found: Mapping[str, pd.DataFrame], spread: Mapping[str, Any] | None) -> dict[str, float]:
    """The plan's one number a claim, corrected after Holm over the claims; of those that have all their rows."""
    raw = {
        "C1": largest(found, "C1", "p"),
        "C2": largest(found, "C1", "unknown_p"),
        "C3": largest(found, "C3", "p"),
        "C5": float(spread["p"]) if spread is not None else nan,
        "C6": largest(found, "C6", "p"),
    }
    corrected = holm([1.0 if isnan(p) else p for p in raw.values()])  # a claim that lacks seeds counts
    return {claim: p for (claim, one), p in zip(raw.items(), corrected, strict=True) if not isnan(one)}


def largest(found: Mapping[str, pd.DataFrame], family: str, name: str) -> float:
    """The largest p of a family; NaN where a row lacks seeds."""
    table = found.get(family, pd.DataFrame())
    return float(table[name].max(skipna=False)) if name in table else nan


def printed(every: Sequence[Line]) -> pd.DataFrame:
    """The verdicts as the book prints them; the first line of a claim has its statement."""
    rows, before = [], ""
    for one in every:
        statement = "" if one.claim == before else f"{one.claim} {STATEMENTS[one.claim]}"
        answers = {"is it there?": one.there, "how large?": one.large, "can it be told? (5 % is chance)": one.told}
        rows.append({"claim": statement, "setting": one.setting} | answers | {"seeds": one.seeds})
        before = one.claim
    return pd.DataFrame(rows)


def printed_answers(answers: Sequence[Answer], profile: str) -> pd.DataFrame:
    """Claims and what was found of them as the front page prints it; the embedded profile says nothing of them."""
    rows: list[dict[str, str]] = []
    claim = question = ""
    for one in answers:
        claimed = f"{one.claim} {STATEMENTS[one.claim]}" if one.claim != claim else one.claim
        says = f"{claimed} {one.question}"
        says = "" if (one.claim, one.question) == (claim, question) else says
        found = REHEARSED if profile == "embedded" else one.found
        rows.append({"the paper says, and what is asked": says, "where": one.where, "found here": found})
        claim, question = one.claim, one.question
    return pd.DataFrame(rows)


def printed_sentences(every: Sequence[Line]) -> pd.DataFrame:
    """The same in words."""
    return pd.DataFrame([{"": one.claim, "setting": one.setting, "in words": one.sentence} for one in every])


def table(every: Sequence[Line]) -> pd.DataFrame:
    """The verdicts as they are kept beside the page."""
    return pd.DataFrame([vars(one) | {"statement": STATEMENTS[one.claim]} for one in every])


def rows(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The rows of C1 and C6 that have their seeds, as `ufm.report.figures.contrast_rows` draws them."""
    some = [answered(table) for family, table in found.items() if family != "C3"]
    return pd.concat(some, ignore_index=True) if some else pd.DataFrame()
