"""C2: whether the feature and a model's outputs are enough to show what it memorised."""

from collections.abc import Mapping
from math import isnan, nan

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence import Cards, detectors, on_seeds
from ufm.evidence.performance import accuracies
from ufm.evidence.questions import AUDITORS, CANARY, CONTROL, MODELS, PLACEBO, enough, flagged, met
from ufm.evidence.regimes import best_area, known_area, told_apart
from ufm.plan import second
from ufm.plan.populations import EVIDENCE
from ufm.plan.thresholds import THRESHOLDS
from ufm.report.by_population import Quantities, interval_of, joined, wide
from ufm.report.figures import COLOURS, HOST_COLOURS, LINES, TITLE, WIDTH, closed, in_lines, panels, waiting
from ufm.report.texts import key, number, p_text, size_of, span, with_interval
from ufm.statistics.roc import auc, threshold

IMAGES = {
    "ood": "OOD images",
    "dim": "OOD images at 0.3 of their contrast",
    "black": "black image",
    "test": "test images",
}
AREAS = {"unknown": "label unknown", "known": "label known"}  # by the auditor
MARKERS = "osD^vP*X"  # of populations


def decay_tests(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """Weight decay 3 less plain, the area with the label unknown: see `ufm.evidence.regimes.told_apart`."""
    settings = {
        (cards.trained_on, second.regime(cards.sweep)): cards
        for cards in populations.values()
        if second.regime(cards.sweep) in (second.PLAIN, second.USUAL_DECAY)
    }
    pairs = {
        (population, regime): (cards, settings[population, second.PLAIN])
        for (population, regime), cards in settings.items()
        if regime == second.USUAL_DECAY and (population, second.PLAIN) in settings
    }
    return told_apart(pairs, ("random", "hard"))


def decays(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of regimes that differ in weight decay alone, by what it leaves of a difference that no image moves."""
    if "left" not in table:  # no row has all its seeds
        return table.head(0)
    decayed = table["setting"].str.startswith(second.DECAY)
    of_dose = decayed | (table["setting"] == second.PLAIN)
    beside = table["population"].isin(table.loc[decayed, "population"])
    return table[of_dose & beside & table["left"].notna()].sort_values("left", ascending=False)


def doses(populations: Mapping[str, Cards]) -> dict[str, dict[float, Cards]]:
    """The cards of models that differ in weight decay alone, by population and dose, on the seeds that all doses have.

    Of each data set and size those of the second plan that are complete; where these are of one dose and the first plan
    has more, those of the first plan, which the population's name then says. Where any has two doses, those that have
    one are left out.
    """
    found: dict[str, tuple[dict[float, Cards], dict[float, Cards]]] = {}  # of the second plan, of the first
    for cards in populations.values():
        of_second = second.regime(cards.sweep)
        regime = of_second or cards.setting or second.PLAIN
        if cards.complete and (regime == second.PLAIN or regime.startswith(second.DECAY.strip())):
            by_plan = found.setdefault(cards.trained_on, ({}, {}))
            by_plan[not of_second][cards.protocol.training.weight_decay] = cards
    chosen: dict[str, dict[float, Cards]] = {}
    for trained_on, (ours, first) in found.items():
        is_first = len(ours) < min(2, len(first))
        chosen[f"{trained_on}, first plan" if is_first else trained_on] = first if is_first else ours
    most = max(map(len, chosen.values()), default=0)
    shown: dict[str, dict[float, Cards]] = {}
    for title, by_dose in chosen.items():
        if len(by_dose) >= min(2, most):
            shared = set.intersection(*(set(cards.seeds.tolist()) for cards in by_dose.values()))
            shown[title] = {dose: on_seeds(by_dose[dose], shared) for dose in sorted(by_dose)}
    return shown


def scored(populations: Mapping[str, Mapping[float, Cards]]) -> pd.DataFrame:
    """What the default detector says of each model of `doses`, a row a population, kind of host, dose and seed.

    Columns: population, host, dose, seed, accuracy (of the control), and of each of `questions.MODELS` its score and
    whether it lies above the threshold that the other folds set for 5 % false alarms, canary and canary_flagged and so
    on; nothing is flagged where the other folds are too few.
    """
    tables = []
    for population, by_dose in populations.items():
        kinds = set.intersection(*(set(cards.protocol.hosts) for cards in by_dose.values()))
        for host in (one for one in HOST_COLOURS if one in kinds):
            for dose, cards in by_dose.items():
                scores = met(cards, host, AUDITORS["unknown"])
                table = pd.DataFrame(scores, columns=list(MODELS))
                flags = np.zeros(scores.shape, bool)
                if enough(cards.seeds):
                    found, innocent = flagged(cards.seeds, scores)
                    flags[:, CANARY], flags[:, [CONTROL, PLACEBO]] = found, innocent
                for place, model in enumerate(MODELS):
                    table[f"{model}_flagged"] = flags[:, place]
                what = {"population": population, "host": host, "dose": dose, "seed": cards.seeds}
                tables.append(table.assign(accuracy=accuracies(cards), **what))
    columns = ["population", "host", "dose", "seed", "accuracy", *MODELS, *(f"{model}_flagged" for model in MODELS)]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def told_by_dose(table: pd.DataFrame) -> pd.DataFrame:
    """What scores tell, a row a population, kind of host and dose of `scored`.

    Columns: population, host, dose, n (seeds), area (canaries against placebo models), found (share of canaries
    flagged), false (of innocent models), accuracy, limit (the score that one innocent model in twenty exceeds); NaN
    where the seeds are too few for a threshold.
    """
    rows = []
    for (population, host, dose), seeds in table.groupby(["population", "host", "dose"], sort=False):
        pairs, of_canaries = seeds[["canary", "placebo"]].to_numpy().ravel(), np.tile([True, False], len(seeds))
        row = {"population": population, "host": host, "dose": dose, "n": len(seeds), "area": auc(pairs, of_canaries)}
        row |= {"accuracy": seeds["accuracy"].mean(), "found": nan, "false": nan, "limit": nan}
        if enough(seeds["seed"].to_numpy()):
            row["found"] = seeds["canary_flagged"].mean()
            row["false"] = seeds[["control_flagged", "placebo_flagged"]].to_numpy().mean()
            innocent = seeds[["control", "placebo"]].to_numpy().ravel()
            row["limit"] = threshold(innocent, false_positive_rate=THRESHOLDS.false_positive_rate)
        rows.append(row)
    return pd.DataFrame(rows)


def doses_shown(told: pd.DataFrame) -> str:
    """For the text: of which populations and doses the scores are shown, "MNIST, 10 000 images: 0, 3"."""
    doses = told.groupby("population", sort=False)["dose"].unique() if len(told) else {}
    said = (f"{title}: {', '.join(f'{dose:g}' for dose in of)}" for title, of in doses.items())
    return "; ".join(said) or "none yet"


def quantities(table: pd.DataFrame) -> Quantities:
    """What the chapter found, by regime, kind of host and population."""
    found: dict[str, dict] = {}
    for row in table.dropna(subset=["d_prime"]).to_dict("records") if "d_prime" in table else []:
        for end, words in {"unknown": "area", "known": "area, label known", "unknown_found": "found"}.items():
            name = f"{words}, {row['setting']}, {row['host']} hosts"
            found.setdefault(name, {})[row["population"]] = interval_of(row, end)
    return found


def texts(table: pd.DataFrame) -> dict[str, str]:
    """For the text: what can be told of plain models and of those with weight decay 3, by size, over data sets.

    Sizes are "full" and "small", which is said to be so many images as `part`.
    """
    sizes = table["population"].map(size_of)
    is_full = sizes == "full"
    said = {"part": " or ".join(sizes[~is_full].unique()) or "not yet known"}
    for size, rows in (("full", table[is_full]), ("small", table[~is_full])):
        found = quantities(rows)
        for regime in (second.PLAIN, second.USUAL_DECAY):
            for host in ("random", "hard"):
                for name in (f"{what}, {regime}, {host} hosts" for what in ("area", "area, label known", "found")):
                    values = [row["estimate"] for row in found.get(name, {}).values()]
                    said[key(f"{name}, {size}")] = span(values) if values else "not yet known"
    return said


def chosen(cards: Cards, host: str) -> str:
    """For the text: the default's place among the label-free statistics, on the seeds it was chosen on and others."""
    on = np.isin(cards.seeds, EVIDENCE)
    if not on.any():
        return "The seeds on which it was chosen are not among those shown here"
    parts = [f"on the {on.sum()} seeds on which it was chosen it comes {place(cards, host, on)}"]
    if not on.all():
        parts.append(f"on the other {(~on).sum()} {place(cards, host, ~on)}, on all {place(cards, host, on | ~on)}")
    return "; ".join(parts).capitalize()


def place(cards: Cards, host: str, among: np.ndarray) -> str:
    """Place and area of the default among the label-free statistics on the seeds `among`, "3rd (area 0.80)"."""
    areas = {one.name: detectors.area(one, cards, host, among) for one in detectors.LABEL_FREE}
    own = areas[detectors.DEFAULT.name]
    rank = 1 + sum(area > own for area in areas.values())
    ending = {1: "st", 2: "nd", 3: "rd"}.get(rank % 10 if rank > 20 else rank, "th")
    return f"{rank}{ending} (area {number(own, 2)})"


def guessed(tables: Mapping[str, pd.DataFrame], models: str, *, images: str = "black") -> str:
    """How often the guessed label is right on images of a kind, over populations, "0.29 to 0.73"."""
    rows = joined(tables)
    return span(rows.loc[(rows["images"] == images) & (rows["models"] == models), "estimate"])


def printed_regimes(table: pd.DataFrame) -> pd.DataFrame:
    """`ufm.evidence.regimes.by_regime` as the book prints it; a row that lacks seeds says how many."""
    rows = []
    for row in table.to_dict("records"):
        there = not isnan(row.get("d_prime", nan))
        what = {"population": row["population"], "trained": row["setting"], "hosts": row["host"]}
        what["seeds"] = row["n"] if there else f"{row['n']} of {row['needed']}"
        numbers = {
            "d′": lambda row: number(row["d_prime"], 2),
            "label unknown": lambda row: with_interval(row, end="unknown"),
            "label known": lambda row: with_interval(row, end="known"),
            "found": lambda row: with_interval(row, end="unknown_found"),
            "innocent, flagged": lambda row: number(row["unknown_false"], 2),
            "accuracy": lambda row: number(row["accuracy"], 3),
        }
        rows.append(what | {name: text(row) if there else "–" for name, text in numbers.items()})
    return pd.DataFrame(rows)


def printed_first_plan(table: pd.DataFrame) -> pd.DataFrame:
    """`ufm.evidence.regimes.in_the_first_plan` as the book prints it."""
    every = table.assign(setting=table["setting"].replace("", second.PLAIN), needed=table["n"])
    return printed_regimes(every)


def printed_decay_tests(table: pd.DataFrame) -> pd.DataFrame:
    """`decay_tests` as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "hosts": row["host"],
            "seeds": row["n"],
            "plain": number(row["without"], 2),
            second.USUAL_DECAY: number(row["with_it"], 2),
            "difference": with_interval(row),
            "p": p_text(row["p_holm"]),
        }
        for row in table.dropna(subset=["p_holm"]).to_dict("records")
    ]
    return pd.DataFrame(rows)


def noise_texts(before: pd.DataFrame) -> dict[str, str]:
    """For the text, of the first plan's hard hosts: what canaries add and its spread in controls, plain and decayed."""
    hard = before[before["host"] == "hard"].set_index(["population", "setting"])
    both = [population for population, setting in hard.index if setting == "weight decay"]
    texts = {}
    for setting, name in (("", "plain"), ("weight decay", "decayed")):
        rows = [hard.loc[(population, setting)] for population in both if (population, setting) in hard.index]
        for column in ("added", "spread"):
            said = "; ".join(f"{number(row[column], 3)} ({row.name[0].partition(',')[0]})" for row in rows)
            texts[f"{column}_{name}"] = said or "not recorded"
    return texts


def printed_tried(areas: pd.DataFrame) -> pd.DataFrame:
    """Every detector on one population, best first."""
    rows = [
        {
            "statistic": row["detector"],
            "knows also": row["knows"] or "–",
            "area, learnt": with_interval(row),
            "all": with_interval(row, end="all"),
            "found at 5 %": with_interval(row, end="found"),
        }
        for row in areas.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_guesses(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How often the guessed label is right, a row a kind of images and of models, a column a population."""
    named = {
        population: table.assign(guess=table["images"].map(IMAGES) + ", " + table["models"])
        for population, table in tables.items()
    }
    return wide(named, "guess")


def drawn_regimes(table: pd.DataFrame, first: pd.DataFrame) -> Figure:
    """Area against d′, a point a population, regime and kind of host, with the curve of the best rule given d′.

    Label unknown on the left, known on the right; plain models hollow; `first`, of the first plan, small, no intervals.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.8), sharey=True, layout="constrained")
    table, first = (one.dropna(subset=["d_prime"]) if "d_prime" in one else one.head(0) for one in (table, first))
    reached = pd.concat([one["d_prime"] for one in (table, first) if len(one)] or [pd.Series([0.0])])
    low, top = min(0.0, reached.min()) - 0.1, max(3.0, 1.05 * reached.max())
    along = np.linspace(0, top, 40)
    curves = {"unknown": [best_area(one) for one in along], "known": [known_area(one) for one in along]}
    populations = list(dict.fromkeys([*table["population"], *first["population"]]))
    for axis, (auditor, curve) in zip(axes, curves.items(), strict=True):
        axis.plot(along, curve, color="0.4", linewidth=1)
        axis.axhline(0.5, color="0.4", linewidth=0.8, linestyle=":")
        for rows, size in ((first, 12), (table, 30)):
            for row in rows.to_dict("records"):
                colour, marker = HOST_COLOURS[row["host"]], MARKERS[populations.index(row["population"]) % len(MARKERS)]
                face = "white" if row["setting"] in ("", second.PLAIN) else colour
                if size == 30:
                    ends = [row[f"{auditor}_low"], row[f"{auditor}_high"]]
                    axis.plot([row["d_prime"]] * 2, ends, color=colour, linewidth=0.6)
                axis.scatter(
                    row["d_prime"], row[auditor], size, facecolors=face, edgecolors=colour, marker=marker, zorder=2
                )
        axis.set(xlabel="d′", title=AREAS[auditor], xlim=(low, top))
    axes[0].set_ylabel("area under the ROC curve")
    marks = [plt.Line2D([], [], linestyle="", color=colour, marker="o") for colour in HOST_COLOURS.values()]
    marks += [
        plt.Line2D([], [], linestyle="", color="0.4", marker=MARKERS[n % len(MARKERS)]) for n in range(len(populations))
    ]
    marks += [plt.Line2D([], [], linestyle="", color="0.4", marker="o", markerfacecolor="white")]
    names = [*(f"{host} hosts" for host in HOST_COLOURS), *populations, "plain models"]
    figure.legend(marks, names, loc="outside lower center", ncols=3, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def drawn_dose(table: pd.DataFrame) -> Figure:
    """Area, accuracy and mean D against what weight decay leaves of a difference that no image moves."""
    if table.empty:
        return waiting()
    populations = list(dict.fromkeys(table["population"]))
    areas = [(auditor, f"area, {words}") for auditor, words in AREAS.items()]
    lines = [*areas, ("contrast", "mean D (nats)"), ("accuracy", "accuracy")]
    size = (WIDTH, 1.7 * len(lines) + 0.8)
    figure, axes = plt.subplots(
        len(lines),
        len(populations),
        figsize=size,
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for column, population in enumerate(populations):
        for line, (end, words) in enumerate(lines):
            axis = axes[line, column]
            for host, colour in HOST_COLOURS.items():
                rows = table[(table["population"] == population) & (table["host"] == host)]
                own = "0.3" if end == "accuracy" else colour
                ends = [rows[f"{end}_low"].fillna(rows[end]), rows[f"{end}_high"].fillna(rows[end])]
                axis.fill_between(rows["left"], *ends, color=own, alpha=0.12, linewidth=0)
                axis.plot(rows["left"], rows[end], color=own, marker="o", markersize=3.5, label=f"{host} hosts")
            axis.set_xscale("log")
            axis.set_ylabel(words if column == 0 else "", fontsize="small")
        axes[0, column].set_title(in_lines(population, TITLE))
        axes[-1, column].set_xlabel("share left of what no image moves")
    axes[0, 0].invert_xaxis()  # all share it
    for axis in axes[:2].flat:
        axis.axhline(0.5, color="0.4", linewidth=0.8, linestyle=":")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def drawn_scores(table: pd.DataFrame) -> Figure:
    """The scores of canaries and of innocent models by dose, see `scored`, a panel a population and kind of host."""
    groups = {f"{population}, {host} hosts": rows for (population, host), rows in split(table)}
    figure, axes = panels(list(groups) or [""], height=2.6)
    if not groups:
        axes[0].axis("off")
        axes[0].text(0.5, 0.5, "Nothing is recorded yet.", ha="center")
    for axis, rows in zip(axes, groups.values(), strict=False):
        doses = list(rows["dose"].unique())
        for model, offset in (("canary", -0.2), ("control", 0.1), ("placebo", 0.25)):
            heights = rows["dose"].map(doses.index) + offset
            colour, marker = (COLOURS["canary"], "o") if model == "canary" else (COLOURS["control"], "xv"[offset > 0.2])
            axis.scatter(rows[model], heights, 10, color=colour, marker=marker, linewidths=0.6, alpha=0.7, label=model)
        names = [f"{dose:g}" if dose else "none" for dose in doses]
        axis.set(yticks=range(len(doses)), yticklabels=names, xlabel="score of the default detector")
        axis.set(ylabel="weight decay", ylim=(len(doses) - 0.4, -0.6))
        axis.legend(loc="best", fontsize="small")
    sns.despine(figure)
    return closed(figure)


def split(table: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """The rows of each population and kind of host."""
    return list(table.groupby(["population", "host"], sort=False)) if len(table) else []


def drawn_power(images: Mapping[str, pd.DataFrame], permutations: Mapping[str, pd.DataFrame]) -> Figure:
    """Areas against the number of OOD images (paper's score) and of permutations (default detector)."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3), sharey=True, layout="constrained")
    contents = ((images, "n_images", "OOD images"), (permutations, "n_permutations", "permutations"))
    for axis, (tables, column, words) in zip(axes, contents, strict=True):
        for (name, table), (colour, line) in zip(tables.items(), LINES, strict=False):
            axis.plot(table[column], table["estimate"], line, color=colour, marker="o", markersize=3, label=name)
            axis.fill_between(table[column], table["low"], table["high"], color=colour, alpha=0.12, linewidth=0)
        axis.axhline(0.5, color="0.4", linewidth=0.8)
        axis.set(xscale="log", xlabel=words)
    axes[0].set(ylabel="area, all canaries", title="paper's score M")
    axes[1].set_title("default detector")
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(figure)
    return closed(figure)
