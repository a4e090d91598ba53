"""What counts as how much: the numbers by which cells, claims and detectors are judged."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Each with its unit and meaning, and in brackets the section of the plan (book/plan.md) that fixed it."""

    level: float = 0.05  # probability: a corrected p below it tells an effect from none [C1, Verdict on a cell]
    smallest_contrast: float = 0.02  # nats: the smallest contrast D that matters [C1, Smallest effect that matters]

    # nats that the host gains more from the feature in the model that had it than in the control: at least so many, and
    # the model learnt it [C2, Primary quantity]
    learnt: float = 1.0
    fewest_learnt: int = 20  # canaries that learnt, below which a set is undecided [C2, Test, interval and verdict]
    smallest_area: float = 0.6  # area under the ROC curve: the smallest that matters [C2, Test, interval and verdict]
    n_folds: int = 10  # folds over seeds; a seed is in that of its number modulo so many [C2, Which statistic]
    false_positive_rate: float = 0.05  # share of innocent models that a threshold flags [C2, A threshold]

    highly_influential: float = 0.95  # rank share from which on a host is highly influential [C4, Test and verdict]
    smallest_rise: float = 0.05  # of the rank share: the smallest that matters [C4, Test and verdict]

    # nats: the loss under clean models below which a host is fitted without any letter [C5, Primary quantity]
    needs_no_letter: float = 0.01
    smallest_share: float = 0.25  # of the mean contrast: the smallest spread over seeds that matters [C5, Verdict]

    # Of the pages alone; the plan decides nothing by them.
    published_level: float = 0.05  # probability: the level of the published tests
    fewest_seeds: int = 8  # seeds of a population, below which nothing is shown of it
    many_cells: int = 8  # cells; where there are more, all alike, the page does not name each


THRESHOLDS = Thresholds()


@dataclass(frozen=True)
class SecondPlan:
    """The same of the second plan (book/second-plan.md)."""

    level: float = 0.05  # probability: a corrected p below it tells an effect from none
    large: float = 0.1  # nats: an interval of D above it is large, one below it small [Three questions]
    smallest: float = 0.02  # nats: an interval of D below it says that there is nothing [Three questions]
    chance: float = 0.5  # area of a detector that tells nothing [Three questions]
    smallest_area: float = 0.6  # an interval of the area below it says that a detector cannot tell [Three questions]
    mostly: float = 0.5  # share of canaries found [Three questions]
    learnt: float = 1.0  # nats that the host gains more from the letter in canary than in placebo model [Learnt]


SECOND = SecondPlan()


@dataclass(frozen=True)
class OtherMeasures:
    """The same of the plan of other measures (book/other-measures-plan.md)."""

    agrees: float = 0.3  # Spearman's rank correlation: an interval above it agrees, one below it does not [Words]
    counterfactual: float = 0.25  # probability by which an example counts as memorised [What is compared]
    false_positive_rate: float = 0.05  # at which LiRA, RMIA and this book's detectors are asked [What is compared]


OTHERS = OtherMeasures()


@dataclass(frozen=True)
class AttackedModels:
    """The same of attacked private models (book/fourth-plan.md)."""

    level: float = 0.05  # probability: a corrected p below it tells a change from none
    linf: float = 0.05  # the radius in L∞ at which words are said, pixels in [0, 1]
    l2: float = 1.0  # and in L2
    left: float = 0.2  # share of images that withstand the largest radius of L∞ beyond which attacks fail


ATTACKED = AttackedModels()


def require_seeds(n: int) -> None:
    """Raise a ValueError where a population of so many seeds would not be shown."""
    if n < THRESHOLDS.fewest_seeds:
        raise ValueError(f"n_seeds: evidence needs at least {THRESHOLDS.fewest_seeds} seeds")
