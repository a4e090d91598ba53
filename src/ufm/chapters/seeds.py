"""C5: how much the contrast of one host varies with the training seed, beside its noise and the spread between hosts.

The design is crossed: every seed trains on every host. With deterministic training there is one contrast a host and
seed, so what varies over seeds for one host is the seed's own part, its part together with the host, and noise.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from enum import StrEnum
from functools import partial

import numpy as np
import pandas as pd

from ufm.evidence import Cards, clean_losses, contrasts, plain
from ufm.evidence.claims import Claim, Outcome, Result
from ufm.plan.seeds import SAME_HOSTS
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import THRESHOLDS
from ufm.protocol import is_fixed
from ufm.report.texts import with_interval
from ufm.statistics import SUMMARY_COLUMNS, bootstrap_interval, variance

CLAIM = Claim(
    "C5",
    "Memorisation varies much with the training seed.",
    "seeds",
    "how far the effect of C1 on one image varies from seed to seed, as a share of its mean",
)


class Reading(StrEnum):
    """Of a spread over seeds as a share of the mean."""

    VARIES = "varies by more than a quarter"
    NOT_MORE = "not shown to vary by more than a quarter"


def result(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> Result | None:
    """C5, one set of seeds on the same hosts."""
    cards = crossed(populations)
    if cards is None:
        return None
    row = variance.relative_spread(by_host_and_seed(cards), noise(populations))
    table = pd.DataFrame([{"population": cards.trained_on, "verdict": reading(row)} | row])
    agree = int((table["verdict"] == Reading.VARIES).sum())
    asked = sum(sweep.setting == SAME_HOSTS for sweep in planned.values())
    return Result(table, partial(varies, table), agree, 1, asked, "sets", "of the mean", len(cards.seeds))


def varies(table: pd.DataFrame, p_corrected: float) -> Outcome:
    """C5's outcome from the spread over seeds as a share of the mean, and the claim's corrected p."""
    if (table["low"] > THRESHOLDS.smallest_share).all() and p_corrected < THRESHOLDS.level:
        return Outcome.HOLDS
    return Outcome.DOES_NOT_HOLD if (table["high"] < THRESHOLDS.smallest_share).all() else Outcome.UNDECIDED


def crossed(populations: Mapping[str, Cards]) -> Cards | None:
    """The population in which every seed trains on the same hosts; None where there is none."""
    every = (cards for cards in populations.values() if all(map(is_fixed, cards.protocol.hosts)))
    return next(every, None)


def by_host_and_seed(cards: Cards) -> np.ndarray:
    """Contrast (n_seeds, n_hosts) in nats."""
    return np.stack([contrasts(cards, host) for host in cards.protocol.hosts], axis=1)


def noise(populations: Mapping[str, Cards]) -> np.ndarray:
    """Contrasts (n,) on hosts that need no letter, one a seed: random hosts that clean models fit without it.

    Of the population beside the crossed one, on as many permutations.
    """
    same_hosts = crossed(populations)
    if same_hosts is None:
        return np.zeros(0)
    for cards in plain(populations).values():
        if cards.trained_on == same_hosts.trained_on:
            losses = clean_losses(cards)[:, cards.protocol.hosts.index("random")]
            as_many = replace(cards, n_permutations=same_hosts.n_permutations)
            return contrasts(as_many, "random")[losses < THRESHOLDS.needs_no_letter]
    return np.zeros(0)


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


def reading(spread: Mapping[str, float]) -> Reading:
    """Whether a relative spread is shown to be more than what matters."""
    return Reading.VARIES if spread["low"] > THRESHOLDS.smallest_share else Reading.NOT_MORE


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
