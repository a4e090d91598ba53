"""What other measures of memorisation say of canaries, controls and placebo models (book/other-measures-plan.md).

A measure is computed of the models of `ufm.evidence.questions.MODELS`, in this order, each at its own best epoch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import permutations
from math import nan

import numpy as np
import pandas as pd
from scipy import stats

from ufm.evidence import detectors, stamped
from ufm.evidence.cards import Cards
from ufm.evidence.detectors import Detector
from ufm.evidence.effects import on_label, specific_effects
from ufm.evidence.performance import between
from ufm.evidence.questions import CANARY, CONTROL, PLACEBO, enough, flagged, places
from ufm.plan.thresholds import OTHERS
from ufm.scores.membership import expected_exposure, exposure
from ufm.statistics import Interval, columns, correlation_interval, share_interval
from ufm.statistics.roc import auc_interval

N_RESAMPLES = 2000  # of a rank correlation, of which there are two a row


@dataclass(frozen=True)
class Measure:
    """A measure of memorisation and its usual rule."""

    name: str
    knows: str  # what it needs beside the letter and the model's outputs
    values: Callable[[Cards, str], np.ndarray]  # of a kind of host, (n_seeds, n_models)
    limit: Callable[[Cards], float] | None  # above which its rule says memorised; None: one that other seeds set
    # Share of innocent models above it on a kind of host, where the rule promises one.
    nominal: Callable[[Cards, str], float] = lambda cards, host: nan


def of_letters(cards: Cards) -> slice:
    """Places of the other letters among the features."""
    return slice(cards.random_features.stop, None)


def of_random(cards: Cards) -> slice:
    """Places of the random marks."""
    return cards.random_features


def exposed(others: Callable[[Cards], slice], *, known: bool, name: str) -> Measure:
    """Exposure of the letter among other features, by the specific effect on OOD images."""

    def values(cards: Cards, host: str) -> np.ndarray:
        effects = specific_effects(cards)
        answer = on_label(effects, cards.label(host)) if known else effects.max(-1)
        return exposure(answer[..., 0], answer[..., others(cards)])

    def candidates(cards: Cards) -> int:
        return 1 + len(range(*others(cards).indices(cards.arrays["ood_shift"].shape[2])))

    def limit(cards: Cards) -> float:
        return expected_exposure(candidates(cards))

    def nominal(cards: Cards, host: str) -> float:
        n = candidates(cards)
        ranks = np.log2(n) - np.log2(np.arange(1, n + 1))
        return float((ranks > limit(cards)).mean())

    return Measure(name, "label" if known else "", values, limit, nominal)


def follow_up(images: str, *, known: bool, name: str, knows: str) -> Measure:
    """The follow-up's score: mean p(letter) − p(clean) of the host's label, or the largest, on images of that label.

    Hartley et al., Scientific Reports 13, 21366 (2023).
    """

    def values(cards: Cards, host: str) -> np.ndarray:
        by_label = np.diagonal(cards.arrays[f"{images}_probability_by_label"][:, :, 0], axis1=-2, axis2=-1)
        return on_label(by_label, cards.label(host)) if known else by_label.max(-1)

    return Measure(name, knows, values, lambda cards: 0.0)


def detector(one: Detector, name: str, limit: Callable[[Cards], float] | None = None) -> Measure:
    """A detector of this book, or a published score that is one."""
    nominal = OTHERS.false_positive_rate if limit is None else nan

    def values(cards: Cards, host: str) -> np.ndarray:
        return one.score(cards, host, np.ones(len(cards.seeds), bool))

    return Measure(name, one.knows, values, limit, lambda cards, host: nominal)


def dominant(cards: Cards, host: str) -> float:
    """Share of seeds whose host reaches more than 95 % of the others if each place among them is as likely."""
    shares = [
        (np.arange(n + 1) > (1 - OTHERS.false_positive_rate) * n).mean()
        for n in stamped.others_asked(cards, host).sum(1)
    ]
    return float(np.mean(shares))


SHADOWS = "label, host and other models"
RATE = OTHERS.false_positive_rate
MEASURES = (
    exposed(of_letters, known=True, name="exposure, letters, label"),
    exposed(of_letters, known=False, name="exposure, letters"),
    exposed(of_random, known=True, name="exposure, marks, label"),
    exposed(of_random, known=False, name="exposure, marks"),
    Measure("counterfactual, log p", SHADOWS, lambda *of: stamped.counterfactual(*of, log=True), lambda cards: 0.0),
    Measure(
        "counterfactual, p",
        SHADOWS,
        lambda *of: stamped.counterfactual(*of, log=False),
        lambda cards: OTHERS.counterfactual,
    ),
    Measure("LiRA", SHADOWS, stamped.lira, lambda cards: float(stats.norm.isf(RATE)), lambda cards, host: RATE),
    Measure("RMIA", SHADOWS, stamped.rmia, lambda cards: 1 - RATE, dominant),
    follow_up("test", known=True, name="follow-up, test, label", knows="label, test images"),
    follow_up("test", known=False, name="follow-up, test", knows="test images"),
    follow_up("ood", known=True, name="follow-up, OOD, label", knows="label"),
    follow_up("ood", known=False, name="follow-up, OOD", knows=""),
    detector(detectors.LABEL_KNOWN, "this book's, label"),
    detector(detectors.DEFAULT, "this book's default"),
    detector(detectors.PAPER, "paper's score M", lambda cards: 0.0),
)


def halves(cards: Cards, host: str, canary: int, placebo: int) -> tuple[np.ndarray, np.ndarray]:
    """The halves (n_seeds,) of D, which is their mean, in nats on OOD images, for two models of a seed.

    e_L(canary) − e_L(placebo model) and e_P(placebo model) − e_P(canary), specific effects on the host's label; canary,
    placebo: places among the models of a seed, of those two or of others that stand for them.
    """
    effects = on_label(specific_effects(cards), cards.label(host))
    letter, feature = effects[:, :, 0], effects[:, :, cards.placebo(host)]
    return letter[:, canary] - letter[:, placebo], feature[:, placebo] - feature[:, canary]


def correlated(first: np.ndarray, second: np.ndarray) -> Interval:
    """Spearman's rank correlation over seeds with its 95 % bootstrap interval."""
    return correlation_interval(first, second, ranks=True, n_resamples=N_RESAMPLES)


def above(measure: Measure, values: np.ndarray, cards: Cards) -> np.ndarray:
    """Which models (n_seeds, 3) a measure's rule calls memorised, 1.0 or 0.0; NaN where seeds set no threshold."""
    if measure.limit is not None:
        return (values > measure.limit(cards)).astype(float)
    if not enough(cards.seeds):
        return np.full(values.shape, nan)
    found, innocent = flagged(cards.seeds, values)
    return np.column_stack([found, innocent]).astype(float)


def usable(values: np.ndarray) -> bool:
    """Whether a measure says anything of models: all have a number, and not all the same."""
    return bool(np.isfinite(values).all() and np.ptp(values) > 0)


def agreement(excess: np.ndarray, of_d: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """Rank correlations of a paired excess (n_seeds,) with D and with its placebo half, from the halves of D."""
    both = {"correlation": (of_d[0] + of_d[1]) / 2, "placebo_half": of_d[1]}
    return columns({name: correlated(excess, values) for name, values in both.items()})


def of_measure(measure: Measure, cards: Cards, host: str) -> dict[str, float]:
    """The numbers of one measure on one kind of host, see `cells`; none where it says nothing."""
    values = measure.values(cards, host)[:, places(cards, host)]
    if not usable(values):
        return {}
    canary, control, placebo = places(cards, host)
    positive, seeds = np.tile([True, False, False], len(values)), np.repeat(cards.seeds, 3)
    row = agreement(values[:, CANARY] - values[:, PLACEBO], halves(cards, host, canary, placebo))
    row |= columns({"area": auc_interval(values.ravel(), positive, seeds)})
    row["against_controls"], row["against_placebos"] = (
        between(values[:, CANARY], values[:, other]) for other in (CONTROL, PLACEBO)
    )
    innocent, (letter_half, _) = values[:, CONTROL] - values[:, PLACEBO], halves(cards, host, control, placebo)
    row["innocent"] = float(stats.spearmanr(innocent, letter_half).statistic) if np.ptp(innocent) else nan
    flags = above(measure, values, cards)
    for place, name in ((CANARY, "found"), (CONTROL, "false_controls"), (PLACEBO, "false_placebos")):
        row |= columns({name: Interval(nan, nan, nan, 0) if np.isnan(flags).any() else share_interval(flags[:, place])})
    return row | {"nominal": measure.nominal(cards, host)}


def cells(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """A row a population, kind of host and measure.

    Columns: population, host, measure, knows, n (seeds); halves, halves_low, halves_high (rank correlation of the two
    halves of D); correlation and placebo_half (of the paired excess with D and with its placebo half) with their ends,
    innocent (of control less placebo model with the letter half of D in which the control stands for the canary); area
    with its ends (canaries against controls and placebo models), against_controls, against_placebos (areas); found,
    false_controls, false_placebos with their ends (shares that the measure's rule calls memorised), nominal (share of
    innocent models that it promises to, NaN where it promises none).
    """
    rows = []
    for cards in populations.values():
        for host in cards.protocol.hosts:
            canary, _, placebo = places(cards, host)
            of_host = {"population": cards.title, "host": host}
            agree = columns({"halves": correlated(*halves(cards, host, canary, placebo))})
            for measure in MEASURES:
                about = {"measure": measure.name, "knows": measure.knows, "n": len(cards.seeds)}
                rows.append(of_host | about | agree | of_measure(measure, cards, host))
    return pd.DataFrame(rows)


def innocent_cells(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """The same of two models that saw neither the letter nor the placebo feature of the host.

    The control stands for the canary and the placebo model of another kind of host for the placebo model. Columns:
    population, host, measure; halves, correlation and placebo_half with their ends.
    """
    rows = []
    for cards in populations.values():
        for host, other in permutations(cards.protocol.hosts, 2):
            pair = cards.model("control"), cards.model("placebo", other)
            of_d = halves(cards, host, *pair)
            agree = columns({"halves": correlated(*of_d)})
            for measure in MEASURES:
                values = measure.values(cards, host)[:, pair]
                numbers = agreement(values[:, 0] - values[:, 1], of_d) if usable(values) else {}
                rows.append({"population": cards.title, "host": host, "measure": measure.name, **agree, **numbers})
    return pd.DataFrame(rows)
