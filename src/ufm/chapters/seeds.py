"""C5: how much the contrast of one host varies with the training seed, beside its noise and the spread between hosts.

The design is crossed: every seed trains on every host. With deterministic training there is one contrast a host and
seed, so what varies over seeds for one host is the seed's own part, its part together with the host, and noise.
"""

from collections.abc import Mapping
from dataclasses import asdict

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence import Cards
from ufm.evidence.crossed import Varies, by_host_and_seed, spread, twice
from ufm.first_plan.seeds import reading
from ufm.report.figures import COLOURS, WIDTH, closed
from ufm.report.texts import REHEARSED, number, with_interval
from ufm.statistics import SUMMARY_COLUMNS, bootstrap_interval

WAITING = "Not all seeds of the second plan are trained yet."
PARTS = {"seed": "seed, alike for all hosts", "host": "host", "rest": "seed with the host, and noise"}


def printed_spread(populations: Mapping[str, Cards], profile: str) -> pd.DataFrame:
    """C5 of the second plan as a profile's book prints it, with the hosts as they are, which decides, and drawn too."""
    rows = []
    for words, hosts_vary in (("the hosts as they are", False), ("hosts drawn too", True)):
        row = spread(populations, hosts_vary=hosts_vary)
        there = row["varies"] != Varies.OPEN
        word = REHEARSED if there and profile == "embedded" else row["varies"]
        said = word if not hosts_vary or not there else "–"
        share = with_interval(row) if there else "–"
        rows.append(
            {"resamples draw seeds, and": words, "seeds": row["n"], "share of the mean": share, "D varies": said}
        )
    return pd.DataFrame(rows)


def twice_texts(populations: Mapping[str, Cards], profile: str) -> dict[str, str]:
    """For the text: mean D, the noise of rounding in one D and how alike roundings are; and C5's share and word."""
    both, row = twice(populations), spread(populations)
    if row["varies"] == Varies.OPEN:
        return dict.fromkeys(("twice_said", "share_said"), WAITING)
    first, other = (by_host_and_seed(cards, "control") for cards in both)
    within = [values - values.mean(0) for values in (first, other)]
    mean, rounding = (first + other).mean() / 2, (first - other).std(ddof=1) / np.sqrt(2)
    alike = np.corrcoef(*(values.ravel() for values in within))[0, 1]
    return {
        "twice_said": f"The mean of D is {number(mean, 3)} nats. Rounding alone makes one D vary with a standard "
        f"deviation of {number(rounding, 3)} nats, and over seeds the two roundings correlate by {number(alike, 2)}.",
        "share_said": f"The standard deviation over seeds of one host's D, rounding taken off, is {with_interval(row)} "
        f"of the mean. In the second plan's words it varies: {REHEARSED if profile == 'embedded' else row['varies']}.",
    }


def reading_said(found: Mapping[str, float], profile: str) -> str:
    """For the text: the first plan's share of the mean, and its word."""
    word = REHEARSED if profile == "embedded" else str(reading(found))
    return f"{with_interval(found, digits=3)} of the mean; in its words: {word}"


def both_roundings(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """Every seed and host: columns setting (image and label), first and other (D under the two roundings, nats).

    No rows while seeds are missing.
    """
    if spread(populations)["varies"] == Varies.OPEN:
        return pd.DataFrame(columns=["setting", "first", "other"])
    both = twice(populations)
    first, other = (by_host_and_seed(cards, "control").ravel() for cards in both)
    names = names_of_hosts(both[0]) * len(both[0].seeds)
    return pd.DataFrame({"setting": names, "first": first, "other": other})


def drawn_twice(table: pd.DataFrame) -> Figure:
    """D of every seed and host under one rounding against the other, a colour and marker a host."""
    figure, axis = plt.subplots(figsize=(WIDTH, 0.8 if table.empty else 4.4), layout="constrained")
    if table.empty:
        axis.axis("off")
        axis.text(0.5, 0.5, WAITING, ha="center", va="center")
        return closed(figure)
    names = list(dict.fromkeys(table["setting"]))
    for place, (name, colour) in enumerate(zip(names, sns.color_palette("colorblind", len(names)), strict=True)):
        rows = table[table["setting"] == name]
        axis.scatter(rows["first"], rows["other"], 18, color=colour, marker="osD^vP*Xph"[place % 10], label=name)
    ends = [table[["first", "other"]].min(axis=None), table[["first", "other"]].max(axis=None)]
    axis.plot(ends, ends, color="0.4", linewidth=0.8)
    axis.set(xlabel="contrast D under one rounding (nats)", ylabel="under another (nats)")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def points(cards: Cards) -> dict[str, pd.DataFrame]:
    """Each seed's contrast by host, by the population's title: columns seed, setting (image and label), contrast.

    The host of the highest mean comes first.
    """
    values, names = by_host_and_seed(cards), names_of_hosts(cards)
    order = list(means(cards)["setting"])
    rows = {"seed": np.repeat(cards.seeds, len(names)), "setting": names * len(cards.seeds), "contrast": values.ravel()}
    return {
        cards.trained_on: pd.DataFrame(rows).sort_values(
            "setting", key=lambda column: column.map(order.index), kind="stable"
        )
    }


def means(cards: Cards) -> pd.DataFrame:
    """A row a host, the highest mean first.

    Columns: population, setting, contrast, contrast_low, contrast_high (mean over seeds, nats), sd.
    """
    rows = []
    for name, values in zip(names_of_hosts(cards), by_host_and_seed(cards).T, strict=True):
        mean = bootstrap_interval(values)
        row = {"population": cards.trained_on, "setting": name, "contrast": mean.estimate, "contrast_low": mean.low}
        rows.append(row | {"contrast_high": mean.high, "sd": float(values.std(ddof=1))})
    return pd.DataFrame(rows).sort_values("contrast", ascending=False, kind="stable", ignore_index=True)


def names_of_hosts(cards: Cards) -> list[str]:
    """Such as "image 29096, label 6"."""
    return [f"image {index}, label {label}" for index, label in zip(cards.indices[0], cards.labels[0], strict=True)]


def summary(found: Mapping[str, float], table: pd.DataFrame, null: np.ndarray) -> pd.DataFrame:
    """What the Seeds chapter found, as a summary table."""
    nothing = {"low": np.nan, "high": np.nan}
    rows: list[dict[str, object]] = []
    rows += [{"quantity": "spread over seeds"} | {name: found[name] for name in SUMMARY_COLUMNS[1:]}]
    rows += [
        {"quantity": f"sd, {row['component']}"} | {name: row[name] for name in SUMMARY_COLUMNS[1:]}
        for row in table.to_dict("records")
    ]
    noise = float(null.std(ddof=1)) if len(null) > 1 else np.nan
    rows += [{"quantity": "sd, noise", "estimate": noise, "n": len(null)} | nothing]
    mean = asdict(bootstrap_interval(null)) if len(null) > 1 else {"estimate": np.nan, "n": len(null)} | nothing
    return pd.DataFrame([*rows, {"quantity": "mean, noise"} | mean])[list(SUMMARY_COLUMNS)]


def drawn_components(table: pd.DataFrame, null: np.ndarray) -> Figure:
    """Variance components as bars of their standard deviations, with intervals, and that of the noise (n,) in grey."""
    names = [PARTS[component] for component in table["component"]]
    figure, axis = plt.subplots(figsize=(WIDTH, 2.2), layout="constrained")
    axis.barh(names, table["estimate"], 0.6, color=COLOURS["control"])
    axis.hlines(names, table["low"], table["high"], color="black", linewidth=1.6)
    if len(null) > 1:
        axis.barh(["hosts that need no letter"], [null.std(ddof=1)], 0.6, color="0.7")
    axis.invert_yaxis()
    axis.set(xlabel="standard deviation of D (nats)")
    sns.despine(figure)
    return closed(figure)


def printed_components(table: pd.DataFrame) -> pd.DataFrame:
    """Variance components as the book prints them."""
    rows = [
        {"varies with": PARTS[row["component"]], "standard deviation, nats": with_interval(row, digits=3)}
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)
