"""Whether a word of the second plan hangs on a choice: the same question under other reasonable ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ufm.evidence import Cards, contrasts
from ufm.evidence.cells import corrected
from ufm.evidence.questions import (
    AUDITORS,
    CANARY,
    CONTROL,
    IS_THERE,
    PLACEBO,
    audited,
    joined,
    of_host,
    of_row,
    there,
    told,
)
from ufm.evidence.regimes import scaled_contrasts
from ufm.plan import second
from ufm.plan.second import Row
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import SECOND
from ufm.report.figures import COLOURS, WIDTH, closed
from ufm.report.texts import REHEARSED, number, with_interval
from ufm.statistics import bootstrap_t_interval, columns, mean_interval, sign_flip_test

PLANNED = "as planned"
KNOWS = {"unknown": "label unknown", "known": "label known", "paper": "paper's score M"}
AGAINST = {"placebo models": PLACEBO, "controls": CONTROL}


@dataclass(frozen=True)
class Choice:
    """Another way to ask whether a feature is there."""

    name: str
    values: Callable[[Cards, str], np.ndarray]  # one a seed, of a kind of host
    interval: Callable = bootstrap_t_interval
    nats: bool = True  # whether sizes can be compared with the plan's


def measured(cards: Cards, host: str, *, images: str = "ood", epoch: str = "control") -> np.ndarray:
    """D (n_seeds,) on images of a kind at an age."""
    return contrasts(cards, host, images, epoch)


def in_spreads(cards: Cards, host: str) -> np.ndarray:
    """D (n_seeds,) over the models' own spread."""
    return scaled_contrasts(cards, host)["spreads"]


CHOICES = (
    Choice(PLANNED, measured),
    Choice("each at its own best epoch", partial(measured, epoch="best")),
    Choice("at epoch 10", partial(measured, epoch="early")),
    Choice("test images", partial(measured, images="test")),
    Choice("OOD images at 0.3", partial(measured, images="dim")),
    Choice("black image", partial(measured, images="black")),
    Choice("own spreads", in_spreads, nats=False),
    Choice("Student's interval", measured, mean_interval),
)


def presence(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """Whether a feature is there under each of `CHOICES`: a row a row of the plan that has its seeds, and choice.

    Columns: family, population, setting, host, choice, n, contrast, contrast_low, contrast_high, p, p_holm (over the
    family, under the choice), word. On a scale that is not nats the word is "there" or "not shown".
    """
    tables = [
        of_choice(populations, rows, choice).assign(family=family)
        for family, rows in second.families(planned).items()
        for choice in CHOICES
    ]
    whole = [table for table in tables if len(table)]
    return pd.concat(whole, ignore_index=True) if whole else pd.DataFrame(columns=["family", "choice", "word"])


def of_choice(populations: Mapping[str, Cards], rows: Sequence[Row], choice: Choice) -> pd.DataFrame:
    """The rows of a family under a choice; none while one of them lacks seeds, since they are corrected together."""
    found = []
    for row in rows:
        parts = of_row(populations, row)
        if sum(len(cards.seeds) for cards in parts) < row.needed:
            return pd.DataFrame()
        values = np.concatenate([choice.values(cards, row.host) for cards in parts])
        what = {"population": row.population, "setting": row.setting, "host": row.host, "choice": choice.name}
        numbers = columns({"contrast": choice.interval(values)}) | {"p": sign_flip_test(values)}
        found.append(what | {"n": len(values)} | numbers)
    table = pd.DataFrame(found)
    table["p_holm"] = corrected(table["p"])
    return table.assign(word=[word(row, choice) for row in table.to_dict("records")])


def word(row: Mapping[str, float], choice: Choice) -> str:
    """The plan's word, or on another scale whether the effect is there at all."""
    said = there(row)
    if choice.nats:
        return said
    return "there" if said in IS_THERE else "not shown"


def detection(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """Whether it can be told, by each auditor and against whom: a row a row of the plan that has its seeds.

    Columns: family, population, setting, host, auditor, against, n, area, area_low, area_high, p, p_holm (over the
    family), word.
    """
    tables = []
    for family, rows in second.families(planned).items():
        parts = [of_row(populations, row) for row in rows]
        if any(sum(len(one.seeds) for one in some) < row.needed for some, row in zip(parts, rows, strict=True)):
            continue
        seeds = [joined([of_host(one, row.host) for one in some]) for some, row in zip(parts, rows, strict=True)]
        for place, auditor in enumerate(AUDITORS):
            for against in AGAINST:
                table = of_auditor(rows, [(ours.seeds, ours.scores[..., place]) for ours in seeds], against)
                tables.append(table.assign(family=family, auditor=auditor))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["family", "auditor", "word"])


def of_auditor(rows: Sequence[Row], scored: Sequence[tuple[np.ndarray, np.ndarray]], against: str) -> pd.DataFrame:
    """The rows of a family by one auditor, from the seeds (n_seeds,) and scores (n_seeds, 3) of each row."""
    others = AGAINST[against]
    rest = CONTROL if others == PLACEBO else PLACEBO
    found = []
    for row, (seeds, scores) in zip(rows, scored, strict=True):
        what = {"population": row.population, "setting": row.setting, "host": row.host, "against": against}
        numbers = audited(seeds, scores[:, [CANARY, rest, others]])  # the last is whom canaries are told from
        found.append(what | {"n": len(seeds)} | {f"area{end}": value for end, value in numbers.items()})
    table = pd.DataFrame(found)
    table["area_p_holm"] = corrected(table["area_p"])
    return table.assign(word=[told(row, "area") for row in table.to_dict("records")])


def hanging(table: pd.DataFrame) -> pd.DataFrame:
    """Of each row the plan's word and the choices under which it is another one: columns what, planned, other, stays.

    On another scale only whether the effect is there can differ. stays: under how many of the other choices it does.
    """
    rows = []
    keys = ["family", "population", "setting", "host"]
    for what, choices in table.groupby(keys, sort=False) if len(table) else []:
        words = choices.set_index("choice")["word"]
        planned = words[PLANNED]
        others = words.drop(PLANNED)
        same = {name: alike(planned, said) for name, said in others.items()}
        differing = [f"{name}: {others[name]}" for name, is_same in same.items() if not is_same]
        row = {"what": ", ".join(part for part in what[1:3] if part) + f", {what[3]} hosts"}
        rows.append(row | {"planned": planned, "other": "; ".join(differing), "stays": sum(same.values())})
    return pd.DataFrame(rows, columns=["what", "planned", "other", "stays"])


def alike(planned: str, said: str) -> bool:
    """Whether another choice says the same as the plan's; one on another scale says only whether it is there."""
    if said in ("there", "not shown"):
        return (planned in IS_THERE) == (said == "there")
    return planned == said


def printed_presence(table: pd.DataFrame, profile: str) -> pd.DataFrame:
    """`hanging` as a profile's book prints it; the embedded one's says no word."""
    n, rehearsed = len(CHOICES) - 1, profile == "embedded"
    rows = [
        {
            "row": row["what"],
            "is it there?": REHEARSED if rehearsed else row["planned"],
            "the same under": f"{row['stays']} of {n} others",
            "and else": "–" if rehearsed or not row["other"] else row["other"],
        }
        for row in hanging(table).to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Mean D under each choice of what is measured, a column a choice, as the book prints it."""
    rows, choices = [], [choice.name for choice in CHOICES if choice.interval is bootstrap_t_interval]
    for what, of in table.groupby(["population", "setting", "host"], sort=False) if len(table) else []:
        by_choice = of.drop_duplicates("choice").set_index("choice")
        name = ", ".join(part for part in what[:2] if part) + f", {what[2]} hosts"
        rows.append({"row": name} | {choice: number(by_choice.loc[choice, "contrast"], 3) for choice in choices})
    return pd.DataFrame(rows)


def printed_detection(table: pd.DataFrame, profile: str) -> pd.DataFrame:
    """`detection` as a profile's book prints it: a row a row of the plan, a column an auditor and against whom."""
    rows = []
    for what, of in table.groupby(["population", "setting", "host"], sort=False) if len(table) else []:
        name = ", ".join(part for part in what[:2] if part) + f", {what[2]} hosts"
        row = {"row": name}
        for one in of.to_dict("records"):
            area = with_interval(one, end="area")
            row[f"{KNOWS[one['auditor']]}, against {one['against']}"] = (
                area if profile == "embedded" else f"{area}, {one['word']}"
            )
        rows.append(row)
    return pd.DataFrame(rows)


def counted(table: pd.DataFrame) -> str:
    """For the text: of how many rows the word stays under every choice."""
    rows = hanging(table)
    steady = int((rows["stays"] == len(CHOICES) - 1).sum())
    return f"{steady} of {len(rows)}"


def unshaken(table: pd.DataFrame) -> str:
    """For the text: of how many rows it is there, or is not shown, whatever is chosen."""
    rows = table.assign(is_there=table["word"].isin([*IS_THERE, "there"]))
    keys = ["family", "population", "setting", "host"]
    agree = rows.groupby(keys)["is_there"].nunique() == 1 if len(rows) else pd.Series(dtype=bool)
    return f"{int(agree.sum())} of {len(agree)}"


def still_open(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> str:
    """For the text: the families of which a row lacks seeds, so that they are not on the page."""
    lacking = [
        family
        for family, rows in second.families(planned).items()
        if any(sum(len(cards.seeds) for cards in of_row(populations, row)) < row.needed for row in rows)
    ]
    return "; ".join(lacking) or "none"


def drawn_choices(table: pd.DataFrame) -> Figure:
    """Mean D in nats with its interval under each choice, a row a row of the plan; filled: as planned."""
    names = [choice.name for choice in CHOICES if choice.nats and choice.interval is bootstrap_t_interval]
    groups = list(table.groupby(["population", "setting", "host"], sort=False)) if len(table) else []
    figure, axis = plt.subplots(figsize=(WIDTH, 1.4 + 0.75 * max(len(groups), 1)), layout="constrained")
    for place, (_, of) in enumerate(groups):
        rows = of.drop_duplicates("choice").set_index("choice")
        for among, (name, marker) in enumerate(zip(names, "os^vDPX", strict=False)):
            row, height = rows.loc[name], place + 0.12 * (among - (len(names) - 1) / 2)
            axis.plot([row["contrast_low"], row["contrast_high"]], [height] * 2, color="0.4", linewidth=1)
            face = COLOURS["canary"] if name == PLANNED else "white"
            label = name if place == 0 else "_"
            axis.scatter(
                *(row["contrast"], height, 22),
                facecolors=face,
                edgecolors="black",
                marker=marker,
                label=label,
                zorder=2,
            )
    axis.axvline(0, color="0.4", linewidth=0.8)
    axis.set(xlabel="mean contrast D (nats)")
    name_rows(figure, axis, [what for what, _ in groups])
    return closed(figure)


def drawn_detection(table: pd.DataFrame) -> Figure:
    """Areas with their intervals, a row a row of the plan, by auditor; filled against placebo models, as planned.

    The solid line is at one half, where nothing is told, the dotted one at the smallest area that matters.
    """
    groups = list(table.groupby(["population", "setting", "host"], sort=False)) if len(table) else []
    figure, axis = plt.subplots(figsize=(WIDTH, 1.4 + 0.75 * max(len(groups), 1)), layout="constrained")
    looks = dict(zip(KNOWS, zip(("#0072B2", "#D55E00", "#000000"), "os^", strict=True), strict=True))
    for place, (_, of) in enumerate(groups):
        for one in of.to_dict("records"):
            colour, marker = looks[one["auditor"]]
            among = 2 * list(KNOWS).index(one["auditor"]) + list(AGAINST).index(one["against"])
            height = place + 0.12 * (among - 2.5)
            axis.plot([one["area_low"], one["area_high"]], [height] * 2, color=colour, linewidth=1.2)
            axis.scatter(
                *(one["area"], height, 24),
                facecolors=colour if one["against"] == next(iter(AGAINST)) else "white",
                edgecolors=colour,
                marker=marker,
                label=f"{KNOWS[one['auditor']]}, against {one['against']}" if place == 0 else "_",
                zorder=2,
            )
    axis.axvline(SECOND.chance, color="0.4", linewidth=0.8, zorder=0)
    axis.axvline(SECOND.smallest_area, color="0.4", linewidth=0.8, linestyle=":", zorder=0)
    axis.set(xlabel="area under the ROC curve")
    name_rows(figure, axis, [what for what, _ in groups], n_columns=2)
    return closed(figure)


def name_rows(figure: Figure, axis: Axes, rows: Sequence[Sequence[str]], *, n_columns: int = 3) -> None:
    """The names of the plan's rows at the figure's left, and a legend beneath."""
    labels = [f"{', '.join(part for part in what[:2] if part)}, {what[2]} hosts" for what in rows]
    axis.set(yticks=range(len(labels)), yticklabels=labels)
    axis.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    if labels:
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=n_columns, fontsize="small")
    sns.despine(figure)
