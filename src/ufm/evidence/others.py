"""What other measures of memorisation say of canaries, controls and placebo models (book/other-measures-plan.md).

A measure is computed of the models of `ufm.evidence.questions.MODELS`, in this order, each at its own best epoch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd
from scipy import stats

from ufm.evidence import detectors, stamped
from ufm.evidence.cards import Cards
from ufm.evidence.detectors import Detector
from ufm.evidence.effects import contrasts, on_label, specific_effects
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


def halves(cards: Cards, host: str) -> np.ndarray:
    """The two halves of D and the letter half of innocent models, (3, n_seeds), in nats, OOD images.

    e_L(canary) − e_L(placebo model), e_P(placebo model) − e_P(canary), and e_L(control) − e_L(placebo model), specific
    effects on the host's label. D is the mean of the first two.
    """
    effects = on_label(specific_effects(cards), cards.label(host))
    letter, placebo = (effects[:, places(cards, host), feature] for feature in (0, cards.placebo(host)))
    return np.stack(
        [
            letter[:, CANARY] - letter[:, PLACEBO],
            placebo[:, PLACEBO] - placebo[:, CANARY],
            letter[:, CONTROL] - letter[:, PLACEBO],
        ]
    )


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


def of_measure(measure: Measure, cards: Cards, host: str) -> dict[str, float]:
    """The numbers of one measure on one kind of host, see `cells`; none where it has no values or all are equal."""
    values = measure.values(cards, host)[:, places(cards, host)]
    if not np.isfinite(values).all() or np.ptp(values) == 0:
        return {}
    _, placebo_half, innocent_half = halves(cards, host)
    excess = values[:, CANARY] - values[:, PLACEBO]
    positive, seeds = np.tile([True, False, False], len(values)), np.repeat(cards.seeds, 3)
    row = columns(
        {
            "area": auc_interval(values.ravel(), positive, seeds),
            "correlation": correlated(excess, contrasts(cards, host)),
            "placebo_half": correlated(excess, placebo_half),
        }
    )
    row["against_controls"], row["against_placebos"] = (
        between(values[:, CANARY], values[:, other]) for other in (CONTROL, PLACEBO)
    )
    innocent = values[:, CONTROL] - values[:, PLACEBO]
    row["innocent"] = float(stats.spearmanr(innocent, innocent_half).statistic) if np.ptp(innocent) else nan
    flags = above(measure, values, cards)
    for place, name in ((CANARY, "found"), (CONTROL, "false_controls"), (PLACEBO, "false_placebos")):
        row |= columns(
            {name: share_interval(flags[:, place]) if not np.isnan(flags).any() else Interval(nan, nan, nan, 0)}
        )
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
            letter_half, placebo_half, _ = halves(cards, host)
            of_host = {"population": cards.title, "host": host}
            agree = columns({"halves": correlated(letter_half, placebo_half)})
            for measure in MEASURES:
                about = {"measure": measure.name, "knows": measure.knows, "n": len(cards.seeds)}
                rows.append(of_host | about | agree | of_measure(measure, cards, host))
    return pd.DataFrame(rows)
