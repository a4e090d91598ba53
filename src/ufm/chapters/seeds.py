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
from ufm.report.figures import WIDTH, closed
from ufm.report.texts import number, with_interval
from ufm.statistics import SUMMARY_COLUMNS, bootstrap_interval


def printed_spread(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """C5 of the second plan as the book prints it, with the hosts as they are, which decides, and with hosts drawn."""
    rows = []
    for words, hosts_vary in (("the hosts as they are", False), ("hosts drawn too", True)):
        row = spread(populations, hosts_vary=hosts_vary)
        there = row["varies"] != Varies.OPEN
        said = row["varies"] if not hosts_vary or not there else "–"
        share = with_interval(row) if there else "–"
        rows.append(
            {"resamples draw seeds, and": words, "seeds": row["n"], "share of the mean": share, "D varies": said}
        )
    return pd.DataFrame(rows)


def twice_texts(populations: Mapping[str, Cards]) -> dict[str, str]:
    """For the text: C5's word and share, mean D and the noise of rounding in one D (nats), how alike roundings are."""
    both, row = twice(populations), spread(populations)
    if row["varies"] == Varies.OPEN:
        return dict.fromkeys(("share", "twice_mean", "rounding", "alike"), "not recorded") | {"varies": "not known yet"}
    first, other = (by_host_and_seed(cards, "control") for cards in both)
    within = [values - values.mean(0) for values in (first, other)]
    return {
        "varies": row["varies"],
        "share": with_interval(row),
        "twice_mean": number((first + other).mean() / 2, 3),
        "rounding": number((first - other).std(ddof=1) / np.sqrt(2), 3),
        "alike": number(np.corrcoef(*(values.ravel() for values in within))[0, 1], 2),
    }


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
    figure, axis = plt.subplots(figsize=(WIDTH, 4.4), layout="constrained")
    if table.empty:
        axis.axis("off")
        axis.text(0.5, 0.5, "Not all seeds are trained yet.", ha="center")
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
    """Each seed's contrast by host, by the population's title: columns seed, setting (image and label), contrast."""
    values, names = by_host_and_seed(cards), names_of_hosts(cards)
    rows = {"seed": np.repeat(cards.seeds, len(names)), "setting": names * len(cards.seeds), "contrast": values.ravel()}
    return {
        cards.trained_on: pd.DataFrame(rows).sort_values(
            "setting", key=lambda column: column.map(names.index), kind="stable"
        )
    }


def means(cards: Cards) -> pd.DataFrame:
    """A row a host: columns population, setting, contrast, contrast_low, contrast_high (mean over seeds, nats), sd."""
    rows = []
    for name, values in zip(names_of_hosts(cards), by_host_and_seed(cards).T, strict=True):
        mean = bootstrap_interval(values)
        row = {"population": cards.trained_on, "setting": name, "contrast": mean.estimate, "contrast_low": mean.low}
        rows.append(row | {"contrast_high": mean.high, "sd": float(values.std(ddof=1))})
    return pd.DataFrame(rows)


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


def printed_components(table: pd.DataFrame) -> pd.DataFrame:
    """Variance components as the book prints them."""
    what = {"seed": "seed, alike for all hosts", "host": "host", "rest": "seed together with the host, and noise"}
    rows = [
        {"varies with": what[row["component"]], "standard deviation, nats": with_interval(row, digits=3)}
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)
