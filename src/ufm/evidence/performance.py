"""How well detectors tell canaries from models that never saw the letter, on populations."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from math import nan

import numpy as np
import pandas as pd

from ufm.evidence import detectors
from ufm.evidence.answers import of_cards
from ufm.evidence.cards import Cards
from ufm.evidence.controls import innocent
from ufm.evidence.detectors import Detector, compared, cross_fitted
from ufm.evidence.effects import contrasts, learnt
from ufm.measures.layout import subsets
from ufm.plan.thresholds import THRESHOLDS
from ufm.statistics import bootstrap_interval, columns, share_interval
from ufm.statistics.roc import (
    auc,
    auc_interval,
    exchange_test,
    share_interval_over_seeds,
    threshold,
    true_positive_rate_interval,
)

NO_NUMBER = {"estimate": nan, "low": nan, "high": nan}  # where too few models are there to say anything
PERMUTATIONS = (5, 10, 20, 50, 100)  # of which power is shown


def with_learnt(populations: Mapping[str, Cards], host: str) -> dict[str, Cards]:
    """The populations in which at least two canaries learnt the letter; else there is nothing to detect.

    Raises ValueError where there is none.
    """
    detectable = {name: cards for name, cards in populations.items() if learnt(cards, host).sum() >= 2}
    if not detectable:
        raise ValueError("n_seeds: fewer than two canaries learnt the letter, so nothing can be detected; ask for more")
    return detectable


def scores(detector: Detector, cards: Cards, host: str) -> np.ndarray:
    """Scores (n_seeds, n_models), each seed's from what was learnt on the other folds."""
    return cross_fitted(detector, cards, host, np.ones(len(cards.seeds), bool))


def areas(cards: Cards, host: str, some: tuple[Detector, ...] = detectors.DETECTORS) -> pd.DataFrame:
    """Every detector on a population, best first: areas with intervals, and what is found at 5 % false positives.

    Columns: detector, knows; estimate, low, high, n for canaries that learnt the letter; all, all_low, all_high for all
    canaries; controls and placebos, the areas for learnt canaries against each alone; found, found_low, found_high, the
    share of learnt canaries found at a false-positive rate of 5 %. NaN where too few canaries learnt the letter to say.
    """
    has_learnt, rows = learnt(cards, host), []
    canary, placebo = cards.model("canary", host), cards.model("placebo", host)
    for detector in some:
        values = scores(detector, cards, host)
        row = {"detector": detector.name, "knows": detector.knows} | area(values, cards, host, has_learnt)
        row |= {
            f"all{end}": number for end, number in ends(area(values, cards, host, np.ones_like(has_learnt))).items()
        }
        if has_learnt.any():
            three = values[has_learnt][:, [canary, 0, placebo]]
            row |= {"controls": between(three[:, 0], three[:, 1]), "placebos": between(three[:, 0], three[:, 2])}
        if 2 * has_learnt.sum() >= 1 / THRESHOLDS.false_positive_rate:  # else no threshold is exceeded by so few
            learnt_models = compared(values, cards, host, has_learnt)
            share = asdict(
                true_positive_rate_interval(*learnt_models, false_positive_rate=THRESHOLDS.false_positive_rate)
            )
            row |= {f"found{end}": number for end, number in ends(share).items()}
        rows.append(row)
    names = ["controls", "placebos", "found", "found_low", "found_high"]
    table = pd.DataFrame(rows)
    table = table.reindex(columns=[*(name for name in table if name not in names), *names])
    return table.sort_values("estimate", ascending=False, ignore_index=True)


def area(values: np.ndarray, cards: Cards, host: str, which: np.ndarray) -> dict[str, float]:
    """Area of scores (n_seeds, n_models) on the seeds `which`, as columns; NaN for fewer than two seeds."""
    if which.sum() < 2:
        return NO_NUMBER | {"n": int(which.sum())}
    return asdict(auc_interval(*compared(values, cards, host, which)))


def ends(row: dict[str, float]) -> dict[str, float]:
    """An estimate and the ends of its interval, by the ending of their columns' names."""
    return {"": row["estimate"], "_low": row["low"], "_high": row["high"]}


def quality(some: Iterable[Cards], host: str) -> pd.DataFrame:
    """How good models are and how much of the letter shows, a row a population.

    Columns: population, setting, n; accuracy, accuracy_low, accuracy_high and epoch (means of the controls); contrast,
    contrast_low, contrast_high (mean D, nats), and early, early_low, early_high (the same at epoch 10); learnt,
    learnt_low, learnt_high (share of canaries); area, area_low, area_high (default detector, learnt canaries; NaN where
    too few).
    """
    rows = []
    for cards in some:
        intervals = {
            "accuracy": bootstrap_interval(accuracies(cards)),
            "contrast": bootstrap_interval(contrasts(cards, host)),
            "early": bootstrap_interval(contrasts(cards, host, epoch="early")),
            "learnt": share_interval(learnt(cards, host)),
        }
        row = {"population": cards.trained_on, "setting": cards.setting, "n": len(cards.seeds)}
        row |= {"epoch": float(controls(cards)["best_epoch"].mean())} | columns(intervals)
        best = areas(cards, host, (detectors.DEFAULT,)).iloc[0]
        rows.append(row | {f"area{end}": number for end, number in ends(best).items()})
    return pd.DataFrame(rows)


def controls(cards: Cards) -> pd.DataFrame:
    """The controls' rows of the table of models, in the order of the seeds."""
    rows = cards.models[cards.models["role"] == "control"]
    return rows.set_index("seed").loc[cards.seeds]


def accuracies(cards: Cards) -> np.ndarray:
    """Accuracy (n_seeds,) of the controls on test images that early stopping did not see."""
    return controls(cards)["accuracy"].to_numpy(float)


def between(canaries: np.ndarray, others: np.ndarray) -> float:
    """Area of canaries against others."""
    return auc(np.concatenate([canaries, others]), np.repeat([True, False], [len(canaries), len(others)]))


def evidence(detector: Detector, cards: Cards, host: str) -> dict[str, float]:
    """A detector's area for learnt canaries with its interval and the exchange test's p: the plan's C2."""
    values = compared(scores(detector, cards, host), cards, host, learnt(cards, host))
    return asdict(auc_interval(*values)) | {"p": exchange_test(*values)}


def false_positive_rate(detector: Detector, cards: Cards, host: str, judge: Cards | None = None) -> dict[str, float]:
    """How often a threshold that should flag one innocent model in twenty does, with its interval over seeds.

    It is set on the innocent models of nine folds and judged on those of the tenth, in turn; or, with `judge`, set on
    all seeds of `cards` and judged on the other population. With the share of its canaries that are flagged: `found`.
    """
    values = scores(detector, cards, host)
    if judge is None:
        judge, judged, fold = cards, values, detectors.folds(cards)
        limits = np.empty(len(cards.seeds))
        for held_out in np.unique(fold):
            limits[fold == held_out] = threshold(
                values[fold != held_out][:, innocent(cards)].ravel(), false_positive_rate=THRESHOLDS.false_positive_rate
            )
    else:
        judged = scores(detector, judge, host)
        limit = threshold(values[:, innocent(cards)].ravel(), false_positive_rate=THRESHOLDS.false_positive_rate)
        limits = np.full(len(judge.seeds), limit)
    flags = judged > limits[:, None]
    places = innocent(judge)
    rate = share_interval_over_seeds(flags[:, places].ravel(), np.repeat(judge.seeds, len(places)))
    has_learnt = learnt(judge, host)
    flagged = flags[has_learnt, judge.model("canary", host)]
    return asdict(rate) | {
        "found": float(flagged.mean()) if has_learnt.any() else np.nan,
        "n_learnt": int(has_learnt.sum()),
    }


def thresholds(populations: Mapping[str, Cards], host: str) -> pd.DataFrame:
    """`false_positive_rate` of the default detector, a row a population.

    Columns: population; estimate, low, high, n, found, n_learnt with a threshold set on other seeds; carried,
    carried_low, carried_high and carried_found with one set on the first population, NaN for that one itself.
    """
    rows, first = [], next(iter(populations.values()))
    for cards in populations.values():
        row = {"population": cards.title} | false_positive_rate(detectors.DEFAULT, cards, host)
        carried = NO_NUMBER | {"found": nan}
        if cards is not first:
            carried = false_positive_rate(detectors.DEFAULT, first, host, cards)
        row |= {f"carried{end}": number for end, number in ends(carried).items()}
        rows.append(row | {"carried_found": carried["found"]})
    return pd.DataFrame(rows)


def by_images(cards: Cards, host: str) -> pd.DataFrame:
    """The paper's score M on more and more OOD images: columns n_images, estimate, low, high, n (area)."""
    rows = []
    for place, n_images in enumerate(subsets(cards.protocol.scoring.n_ood)):
        values = cards.arrays["score_memorisation"][:, :, 0, place]
        rows.append({"n_images": n_images} | area(values, cards, host, np.ones(len(cards.seeds), bool)))
    return pd.DataFrame(rows)


def by_permutations(cards: Cards, host: str) -> pd.DataFrame:
    """The default detector with fewer permutations: columns n_permutations, estimate, low, high, n (area)."""
    rows = []
    for n in PERMUTATIONS:
        values = scores(detectors.DEFAULT, replace(cards, n_permutations=n), host)
        rows.append({"n_permutations": n} | area(values, cards, host, np.ones(len(cards.seeds), bool)))
    return pd.DataFrame(rows)


def guesses(cards: Cards, host: str) -> pd.DataFrame:
    """How often the most-moved class is the host's label, by images: columns images, models, estimate, low, high, n.

    Models: canaries, and the controls and placebos, for which it is chance.
    """
    rows: list[dict] = []
    canary, placebo = cards.model("canary", host), cards.model("placebo", host)
    for images in ("ood", "dim", "black", "test"):
        right = of_cards(cards).shifts(images).argmax(-1) == cards.label(host)[:, None]
        groups = {
            "canaries": (right[:, canary], cards.seeds),
            "never saw the letter": (right[:, [0, placebo]].ravel(), np.repeat(cards.seeds, 2)),
        }
        for models, group in groups.items():
            rows.append({"images": images, "models": models} | asdict(share_interval_over_seeds(*group)))
    return pd.DataFrame(rows)


def share_learnt(cards: Cards, host: str) -> dict[str, float]:
    """Share of canaries that learnt the letter, one a seed, with its exact interval."""
    return asdict(share_interval(learnt(cards, host)))


def nested_area(cards: Cards, host: str) -> dict[str, float]:
    """Area for learnt canaries when each tenth of the seeds is judged by what the others choose, label-free."""
    if learnt(cards, host).sum() < 2 * THRESHOLDS.n_folds:  # else a fold's choice stands on too few
        return NO_NUMBER | {"n": int(learnt(cards, host).sum())}
    values, _ = detectors.nested(detectors.LABEL_FREE, cards, host)
    return area(values, cards, host, learnt(cards, host))
