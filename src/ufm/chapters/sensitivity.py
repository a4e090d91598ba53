"""How the contrast depends on letter, place, size and the other choices of the experiment, one varied at a time."""

from collections.abc import Mapping
from math import isnan

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.data.sources import SOURCES
from ufm.evidence import ELSEWHERE, Cards, contrasts, moved_contrasts
from ufm.plan.sensitivity import SCORED, USUAL, VARIED, varied_in
from ufm.report.by_population import Quantities, interval_of
from ufm.report.figures import COLOURS, WIDTH, closed
from ufm.report.texts import key, number, span, with_interval
from ufm.statistics import bootstrap_interval, columns
from ufm.study.runs import NotYetRun

HOST = "hard"
LETTER = "letter"
MOVED, IMAGES = "moved at test time", SCORED  # what the models of the usual setting tell
# What the usual setting is called beside the variations of each thing.
USUALLY = {
    "letter": "A",
    "place": "corner",
    MOVED: "as in training",
    "size": "5 × 5",
    "brightness": "1",
    "images with the letter": "1",
    "batch of the host": "as in the file",
    IMAGES: "",  # the OOD images of the protocol
    "scoring inputs": "normalised",
}


def points(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """Each seed's contrast D in nats in every setting, on its hard host.

    Columns: population, what (is varied), setting (its value; the usual one comes first), seed, contrast. Raises
    NotYetRun where too few seeds of the usual setting are recorded.
    """
    usual = [cards for cards in populations.values() if cards.setting == USUAL]
    if not usual:
        raise NotYetRun("The usual setting, beside which the others stand, has too few seeds yet.")
    tables = []
    for cards in usual:
        others = [
            other for other in populations.values() if other.trained_on == cards.trained_on and other.setting != USUAL
        ]
        for what, usually in USUALLY.items():
            values = {usually or title(cards.protocol.scoring.ood_set): contrasts(cards, HOST)}
            if what == MOVED:
                values = moved_contrasts(cards, HOST)
            if what == IMAGES:
                values |= {
                    "test images": contrasts(cards, HOST, "test"),
                    "black image": contrasts(cards, HOST, "black"),
                }
            rows = [(setting, cards.seeds, per_seed) for setting, per_seed in values.items()]
            varied = {varied_in(what, value): value for value in VARIED.get(what, ())}
            rows += [
                (varied[other.setting], other.seeds, contrasts(other, HOST))
                for other in others
                if other.setting in varied
            ]
            for setting, seeds, per_seed in rows:
                who = {"population": cards.trained_on, "what": what, "setting": setting}
                tables.append(pd.DataFrame(who | {"seed": seeds, "contrast": per_seed}))
    return pd.concat(tables, ignore_index=True)


def title(images: str) -> str:
    """What a set of OOD images is called."""
    return SOURCES[images].title if images in SOURCES else images.replace("_", " ")


def means(seeds: pd.DataFrame) -> pd.DataFrame:
    """The mean contrast of every setting, and what it changes, paired over seeds: a row a population, what and setting.

    Columns: population, what, setting, n, contrast, contrast_low, contrast_high, change, change_low, change_high (nats,
    95 % bootstrap intervals over seeds; of the usual setting there is no change). seeds: as `points` has them.
    """
    rows = []
    for (population, what), table in seeds.groupby(["population", "what"], sort=False):
        wide = table.pivot(index="seed", columns="setting", values="contrast")
        usual = table["setting"].iloc[0]
        for setting in table["setting"].unique():
            values = {"contrast": bootstrap_interval(wide[setting].dropna())}
            if setting != usual:
                values["change"] = bootstrap_interval((wide[setting] - wide[usual]).dropna())
            row = {"population": population, "what": what, "setting": setting, "n": int(wide[setting].count())}
            rows.append(row | columns(values))
    numbers = [f"{name}{end}" for name in ("contrast", "change") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows).reindex(columns=["population", "what", "setting", "n", *numbers])


def changed(averages: pd.DataFrame) -> pd.Series:
    """Of every setting whether the interval of its change misses zero; of the usual one it does not."""
    return (averages["change_low"] > 0) | (averages["change_high"] < 0)


def drawn_settings(averages: pd.DataFrame) -> Figure:
    """Mean contrast of every setting but the other letters, under what is varied; filled where it is changed.

    The dashed line is at the usual setting, which is the first row.
    """
    several = averages["population"].nunique() > 1
    rows = averages.assign(group=averages["what"], name=averages["setting"], filled=changed(averages))
    if several:
        rows["group"] = averages["population"] + ": " + averages["what"]
    usual = rows[(averages["what"] == LETTER) & averages["change"].isna()]
    usual = usual.assign(name=usual["population"] + ", as usual" if several else "as usual", group="", filled=True)
    others = rows[averages["change"].notna() & (averages["what"] != LETTER)]
    return drawn_rows(pd.concat([usual, others]), beside=None if several else usual["contrast"].iloc[0])


def drawn_letters(averages: pd.DataFrame) -> Figure:
    """Mean contrast of every letter, the highest first; filled where it differs from A, whose mean is dashed."""
    rows = averages[averages["what"] == LETTER].assign(name=averages["setting"], filled=changed(averages))
    several = rows["population"].nunique() > 1
    rows["group"] = rows["population"] if several else ""
    rows = rows.sort_values(["population", "contrast"], ascending=[True, False])
    usual = rows.loc[rows["change"].isna(), "contrast"].iloc[0]
    return drawn_rows(rows, beside=None if several else usual)


def drawn_rows(table: pd.DataFrame, *, beside: float | None = None) -> Figure:
    """Mean contrasts with their intervals, a row each, under the name of its group in bold where that has one.

    Columns: group, name, contrast, contrast_low, contrast_high (nats), filled (whether its mark is). A dashed line is
    at `beside`.
    """
    labels: list[str] = []
    headings: list[int] = []
    figure, axis = plt.subplots(layout="constrained")
    for group, rows in table.groupby("group", sort=False):
        if group:
            headings.append(len(labels))
            labels.append(str(group))
        for row in rows.to_dict("records"):
            axis.plot(
                [row["contrast_low"], row["contrast_high"]], [len(labels)] * 2, color=COLOURS["canary"], linewidth=1.2
            )
            face = COLOURS["canary"] if row["filled"] else "white"
            axis.scatter(
                row["contrast"], len(labels), 24, facecolors=face, edgecolors=COLOURS["canary"], marker="o", zorder=2
            )
            labels.append(row["name"])
    axis.axvline(0, color="0.4", linewidth=0.8, zorder=0)
    if beside is not None:
        axis.axvline(beside, color="0.4", linewidth=0.8, linestyle="--", zorder=0)
    axis.set(yticks=range(len(labels)), yticklabels=labels, xlabel="mean contrast D (nats)")
    axis.set_ylim(max(len(labels), 1) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    for place in headings:
        axis.get_yticklabels()[place].set_fontweight("bold")
    figure.set_size_inches(WIDTH, 0.9 + 0.21 * max(len(labels), 1))
    sns.despine(figure, left=True)
    return closed(figure)


def texts(averages: pd.DataFrame) -> dict[str, str]:
    """For the text: seeds, and of the first population the mean contrast of every setting, such as `place_centre`."""
    asked = {what: tuple(values) for what, values in VARIED.items()}
    asked |= {MOVED: ELSEWHERE, IMAGES: (*asked[IMAGES], "test images", "black image")}
    found = {key(f"{what} {setting}"): "not recorded" for what, values in asked.items() for setting in values}
    first = averages[averages["population"] == averages["population"].iloc[0]]
    found |= {key(f"{row['what']} {row['setting']}"): number(row["contrast"], 3) for row in first.to_dict("records")}
    moved = first.loc[(first["what"] == MOVED) & first["change"].notna(), "contrast"]
    found |= {"contrast_usual": number(first["contrast"].iloc[0], 3), "moved_elsewhere": span(moved, digits=3)}
    return found | {"n": span(averages["n"], digits=0)}


def differing(averages: pd.DataFrame, what: str) -> str:
    """How many settings of one thing differ from the usual one by the interval of their change, "3 of 25"."""
    others = averages[(averages["what"] == what) & averages["change"].notna()]
    return f"{int(changed(others).sum())} of {len(others)}"


def settings_shown(averages: pd.DataFrame) -> int:
    """How many settings there are, the usual one counted once."""
    return 1 + int(averages["change"].notna().sum())


def quantities(averages: pd.DataFrame) -> Quantities:
    """What the Sensitivity chapter found: the contrast by what is varied, of every setting."""
    found: dict[str, dict] = {}
    for row in averages.to_dict("records"):
        name = row["setting"] if row["what"] != "letter" else f"letter {row['setting']}"
        found.setdefault(f"contrast, {row['what']}", {})[f"{row['population']}, {name}"] = interval_of(row, "contrast")
    return found


def printed_means(averages: pd.DataFrame) -> pd.DataFrame:
    """`ufm.chapters.sensitivity.means` as the book prints them."""
    rows = [
        {
            "population": row["population"],
            "varied": row["what"],
            "setting": row["setting"],
            "seeds": row["n"],
            "mean D, nats": with_interval(row, digits=3, end="contrast"),
            "change, nats": "–" if isnan(row["change"]) else with_interval(row, digits=3, end="change"),
        }
        for row in averages.to_dict("records")
    ]
    return pd.DataFrame(rows)
