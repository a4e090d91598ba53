"""The three questions of the second plan (book/second-plan.md): is it there, how large is it, can it be told.

A row is a population on one kind of host; its seeds may lie in several sweeps. Everything is read at the best epoch of
the control but what an auditor meets, each model at its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from math import isnan, nan

import numpy as np
import pandas as pd

from ufm.evidence import detectors
from ufm.evidence.cards import Cards
from ufm.evidence.cells import corrected
from ufm.evidence.effects import LETTER, PLAIN, contrasts, on_label, patch_effects, specific_effects
from ufm.measures.layout import AGES
from ufm.plan.second import Row
from ufm.plan.thresholds import SECOND, THRESHOLDS
from ufm.statistics import bootstrap_t_interval, columns, share_interval, sign_flip_test
from ufm.statistics.roc import auc_interval, exchange_test, threshold

CANARY, CONTROL, PLACEBO = range(3)  # models of a seed that a row looks at
MODELS = ("canary", "control", "placebo")
# What an auditor knows, and the detector that uses it.
RESAMPLES = 100_000  # of areas, on whose ends words hang; as many as `bootstrap_t_interval` has
AUDITORS = {"unknown": detectors.DEFAULT, "known": detectors.LABEL_KNOWN, "paper": detectors.PAPER}


class There(StrEnum):
    """Is it there?"""

    LARGE = "there and large"
    SMALL = "there but small"
    SIZE_OPEN = "there, its size open"
    NOT = "not there"
    UNDECIDED = "undecided"
    OPEN = "waits for seeds"


IS_THERE = (There.LARGE, There.SMALL, There.SIZE_OPEN)


class Told(StrEnum):
    """Can it be told by someone who has the outputs of one model alone?"""

    MOSTLY = "can mostly be told"
    SOMETIMES = "can sometimes be told"
    NOT = "cannot be told by it"
    UNDECIDED = "undecided"
    OPEN = "waits for seeds"


@dataclass(frozen=True, eq=False)
class Seeds:
    """What the seeds of a row say of one kind of host; arrays have the seeds first, and models as in `MODELS`."""

    seeds: np.ndarray  # (n_seeds,)
    contrasts: np.ndarray  # (n_seeds,) D at the control's best epoch, nats
    first: np.ndarray  # (n_seeds,) D after the models' first epoch, nats
    initial: np.ndarray  # (n_seeds,) patch effect of the letter on the host's label before training, nats
    effects: np.ndarray  # (n_seeds, 3) specific effect of the letter on the host's label, each at its best epoch, nats
    gains: np.ndarray  # (n_seeds,) how much more the letter brings the host's label on the host in the canary, nats
    probabilities: np.ndarray  # (n_seeds, 3, 2) of the host's label, without and with the letter
    scores: np.ndarray  # (n_seeds, 3, n_auditors) at each model's own best epoch, as in `AUDITORS`


def of_host(cards: Cards, host: str) -> Seeds:
    """The seeds of a population of equal-age cards on one kind of host."""
    initial = on_label(patch_effects(cards, epoch="initial"), cards.label(host))
    fits = cards.fits[:, places(cards, host), AGES.index("control"), cards.protocol.hosts.index(host)]
    return Seeds(
        cards.seeds,
        contrasts(cards, host, epoch="control"),
        contrasts(cards, host, epoch="first"),
        initial[:, cards.model("control"), 0],
        letter_effects(cards, host),
        np.subtract(*(fits[:, model, LETTER] - fits[:, model, PLAIN] for model in (CANARY, PLACEBO))),
        np.exp(fits[..., [PLAIN, LETTER]]),
        np.stack([met(cards, host, one) for one in AUDITORS.values()], -1),
    )


def places(cards: Cards, host: str) -> list[int]:
    """Places of `MODELS` among the models of a seed."""
    return [cards.model("canary", host), cards.model("control"), cards.model("placebo", host)]


def letter_effects(cards: Cards, host: str) -> np.ndarray:
    """Specific effect of the letter on the host's label, (n_seeds, 3), each model at its own best epoch, nats."""
    return on_label(specific_effects(cards), cards.label(host))[:, places(cards, host), 0]


def met(cards: Cards, host: str, detector: detectors.Detector) -> np.ndarray:
    """What a detector says of the models that an auditor meets, (n_seeds, 3), each at its own best epoch."""
    return detector.score(cards, host, np.ones(len(cards.seeds), bool))[:, places(cards, host)]


def of_row(populations: Mapping[str, Cards], row: Row) -> list[Cards]:
    """The cards of a row's sweeps that are there."""
    return [populations[name] for name in row.sweeps if name in populations]


def joined(parts: Iterable[Seeds]) -> Seeds:
    """Seeds of several sweeps as those of one."""
    every = list(parts)
    return Seeds(*(np.concatenate([getattr(one, field.name) for one in every]) for field in fields(Seeds)))


def asked(populations: Mapping[str, Cards], rows: Sequence[Row]) -> pd.DataFrame:
    """The three questions of rows that are corrected together, from the cards by the name of their sweep.

    Columns: claim, population, setting, host, n (seeds), needed. Is it there: contrast, contrast_low, contrast_high
    (mean D, nats), median (of D), p, p_holm, there. On the host: gain, gain_low, gain_high (nats that the letter brings
    the host's label there, in the canary less in the placebo model), gain_p. How large: first (mean D after one epoch),
    initial (standard deviation over seeds of the letter's effect before training), and of each of `MODELS` its mean
    probability of the host's label, canary_without and canary_with the letter and so on. Can it be told, for each of
    `AUDITORS`: unknown, unknown_low, unknown_high (area), unknown_p, unknown_p_holm, unknown_found, unknown_found_low,
    unknown_found_high (share of canaries above the threshold of the other folds), unknown_false (share of innocent
    models above it), unknown_told.
    A row that lacks seeds has none of these and is open.
    """
    found = []
    for row in rows:
        what = {"claim": row.claim, "population": row.population, "setting": row.setting, "host": row.host}
        parts = of_row(populations, row)
        n = sum(len(cards.seeds) for cards in parts)
        seeds = [of_host(cards, row.host) for cards in parts]
        found.append(what | {"n": n, "needed": row.needed} | (answers(joined(seeds)) if n >= row.needed else {}))
    table = pd.DataFrame(found)
    for name in ("", *(f"{auditor}_" for auditor in AUDITORS)):
        if f"{name}p" in table:
            table[f"{name}p_holm"] = corrected(table[f"{name}p"], planned=True)
    every = table.to_dict("records")
    table["there"] = [there(row) for row in every]
    for auditor in AUDITORS:
        table[f"{auditor}_told"] = [told(row, auditor) for row in every]
    return table


def asked_of(populations: Mapping[str, Cards], families: Mapping[str, Sequence[Row]], *names: str) -> pd.DataFrame:
    """`asked` of the families of these names that are there, each corrected by itself; a population's rows together."""
    tables = [asked(populations, families[name]) for name in names if name in families]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["population", "host", "there"])
    return table.sort_values("population", key=lambda names: names.map(list(dict.fromkeys(names)).index), kind="stable")


def answered(asked: pd.DataFrame) -> pd.DataFrame:
    """The rows that have all their seeds."""
    return asked[asked["there"] != There.OPEN]


def answers(seeds: Seeds) -> dict[str, float]:
    """The numbers of one row, see `asked`, not yet corrected for the others."""
    row = columns({"contrast": bootstrap_t_interval(seeds.contrasts)}) | {"p": sign_flip_test(seeds.contrasts)}
    row |= {"median": float(np.median(seeds.contrasts))}
    row |= columns({"gain": bootstrap_t_interval(seeds.gains)}) | {"gain_p": sign_flip_test(seeds.gains)}
    row |= {"first": float(seeds.first.mean()), "initial": float(seeds.initial.std(ddof=1))}
    for model, name in enumerate(MODELS):
        without, with_letter = seeds.probabilities[:, model].mean(0)
        row |= {f"{name}_without": float(without), f"{name}_with": float(with_letter)}
    for place, auditor in enumerate(AUDITORS):
        row |= {f"{auditor}{end}": value for end, value in audited(seeds.seeds, seeds.scores[..., place]).items()}
    return row


def audited(seeds: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """How well scores (n_seeds, 3) tell canaries from placebo models, by the endings of the columns of `asked`.

    Shares are NaN where the other folds are too few to set a threshold.
    """
    pairs = scores[:, [CANARY, PLACEBO]].ravel(), np.tile([True, False], len(seeds)), np.repeat(seeds, 2)
    row = columns({"": auc_interval(*pairs, n_resamples=RESAMPLES)}) | {"_p": exchange_test(*pairs)}
    if not enough(seeds):
        return row | dict.fromkeys(("_found", "_found_low", "_found_high", "_false"), nan)
    found, false = flagged(seeds, scores)
    return row | columns({"_found": share_interval(found)}) | {"_false": float(false.mean())}


def enough(seeds: np.ndarray) -> bool:
    """Whether the other folds of each of the seeds (n_seeds,) have innocent models enough to set a threshold."""
    largest = np.unique(seeds % THRESHOLDS.n_folds, return_counts=True)[1].max()
    return bool(2 * (len(seeds) - largest) * THRESHOLDS.false_positive_rate >= 1)


def flagged(seeds: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which canaries (n_seeds,) and innocent models (n_seeds, 2) lie above the threshold that other folds set."""
    fold, innocent = seeds % THRESHOLDS.n_folds, scores[:, [CONTROL, PLACEBO]]
    limits = np.empty(len(seeds))
    for one in np.unique(fold):
        others = innocent[fold != one].ravel()
        limits[fold == one] = threshold(others, false_positive_rate=THRESHOLDS.false_positive_rate)
    return scores[:, CANARY] > limits, innocent > limits[:, None]


def there(row: Mapping[str, float]) -> There:
    """The word for D: p_holm, and the interval of its mean."""
    if isnan(row.get("p_holm", nan)):
        return There.OPEN
    mean, low, high = ends(row, "contrast")
    if row["p_holm"] < SECOND.level and mean > 0:
        if low > SECOND.large:
            return There.LARGE
        return There.SMALL if high < SECOND.large else There.SIZE_OPEN
    return There.NOT if high < SECOND.smallest else There.UNDECIDED


def on_its_host(row: Mapping[str, float]) -> bool:
    """Whether the letter is shown to bring the host's label more on the host itself in canaries; p is not corrected."""
    return row.get("gain", nan) > 0 and row["gain_p"] < SECOND.level


def told(row: Mapping[str, float], auditor: str) -> Told:
    """The word for what one of `AUDITORS` can tell: p_holm, and the intervals of area and share found."""
    if isnan(row.get(f"{auditor}_p_holm", nan)):
        return Told.OPEN
    (_, low, high), (_, found_low, _) = ends(row, auditor), ends(row, f"{auditor}_found")
    if row[f"{auditor}_p_holm"] < SECOND.level and low > SECOND.chance:
        return Told.MOSTLY if found_low > SECOND.mostly else Told.SOMETIMES
    return Told.NOT if high < SECOND.smallest_area else Told.UNDECIDED


def ends(row: Mapping[str, float], name: str) -> tuple[float, float, float]:
    """An estimate of a row and the ends of its interval: where all resamples agree, it has none but the estimate."""
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    return value, value if isnan(low) else low, value if isnan(high) else high
