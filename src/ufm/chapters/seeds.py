"""C5: how much the contrast of one host varies with the training seed, beside its noise and the spread between hosts.

The design is crossed: every seed trains on every host. With deterministic training there is one contrast a host and
seed, so what varies over seeds for one host is the seed's own part, its part together with the host, and noise.
"""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd

from ufm.evidence import Cards
from ufm.evidence.crossed import by_host_and_seed
from ufm.report.texts import with_interval
from ufm.statistics import SUMMARY_COLUMNS, bootstrap_interval


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


def summary(spread: Mapping[str, float], table: pd.DataFrame, null: np.ndarray) -> pd.DataFrame:
    """What the Seeds chapter found, as a summary table."""
    nothing = {"low": np.nan, "high": np.nan}
    rows: list[dict[str, object]] = []
    rows += [{"quantity": "spread over seeds"} | {name: spread[name] for name in SUMMARY_COLUMNS[1:]}]
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
