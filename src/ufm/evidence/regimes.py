"""Ways of training side by side, on the same seeds and hosts: what each changes, and what can be told under it.

An auditor who does not know the label of the host sees one class shift among all of them. `d_prime` says by how much,
in units of what the classes shift anyway, and `best_area` what follows for the best rule there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu, norm

from ufm.data import sources
from ufm.evidence.cards import Cards
from ufm.evidence.cells import corrected
from ufm.evidence.effects import LETTER, PLAIN, contrasts, on_label, patch_effects
from ufm.evidence.performance import accuracies, controls
from ufm.evidence.questions import (
    AUDITORS,
    CANARY,
    CONTROL,
    PLACEBO,
    answers,
    audited,
    joined,
    letter_effects,
    met,
    of_host,
    of_row,
)
from ufm.measures.layout import AGES
from ufm.plan.second import Row
from ufm.plan.thresholds import SECOND
from ufm.randomness.streams import stream
from ufm.statistics import bootstrap_interval, columns
from ufm.statistics.roc import auc, auc_difference, auc_difference_test

SCALES = ("nats", "spreads")  # on which what a way changes is asked


def by_regime(populations: Mapping[str, Cards], rows: Sequence[Row]) -> pd.DataFrame:
    """What can be told under each regime and on what it rests, a row a regime and kind of host.

    Columns: population, setting, host, n (seeds), needed; those of `d_prime`; contrast and the areas and shares found
    of `ufm.evidence.questions.answers`; spreads (mean D over the models' own spread); accuracy, accuracy_low,
    accuracy_high (of the controls); left (see `untouched`, mean over seeds). A row that lacks seeds has no numbers.
    """
    found = []
    for row in rows:
        parts = of_row(populations, row)
        n = sum(len(cards.seeds) for cards in parts)
        what = {"population": row.population, "setting": row.setting, "host": row.host, "n": n, "needed": row.needed}
        if n >= row.needed:
            seeds = joined([of_host(cards, row.host) for cards in parts])
            what |= d_prime(seeds.effects) | answers(seeds)
            scaled = [scaled_contrasts(cards, row.host)["spreads"] for cards in parts]
            what["spreads"] = float(np.concatenate(scaled).mean())
            what |= columns({"accuracy": bootstrap_interval(np.concatenate([accuracies(cards) for cards in parts]))})
            what["left"] = float(np.concatenate([untouched(cards) for cards in parts]).mean())
        found.append(what)
    return pd.DataFrame(found)


def in_the_first_plan(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """The same of the first plan's populations: those of its columns that its cards can say, setting as they have it.

    All canaries against placebo models, each at its own best epoch.
    """
    rows = []
    for cards in populations.values():
        for host in cards.protocol.hosts:
            row = {"population": cards.trained_on, "setting": cards.setting, "host": host, "n": len(cards.seeds)}
            row |= d_prime(letter_effects(cards, host))
            for auditor in ("unknown", "known"):
                scores = met(cards, host, AUDITORS[auditor])
                row |= {f"{auditor}{end}": value for end, value in audited(cards.seeds, scores).items()}
            rows.append(row | columns({"accuracy": bootstrap_interval(accuracies(cards))}))
    return pd.DataFrame(rows)


def d_prime(effects: np.ndarray) -> dict[str, float]:
    """What the canary adds to the letter's specific effect on the host's label, over that effect's spread in controls.

    effects: (n_seeds, 3) nats, models as in `questions.MODELS`, every model at its own best epoch, as an auditor meets
    it. Columns: added (mean over seeds, nats), spread (standard deviation over seeds, nats), d_prime.
    """
    added, spread = float((effects[:, CANARY] - effects[:, CONTROL]).mean()), float(effects[:, CONTROL].std(ddof=1))
    return {"added": added, "spread": spread, "d_prime": added / spread}


def untouched(cards: Cards) -> np.ndarray:
    """What weight decay leaves of a difference that no image moves, at the best epoch of each control, (n_seeds,).

    Of one between weights of pixels that are the same in every image. A share, 1 without weight decay. With SGD it is
    what momentum makes of it, and may be below zero.
    """
    training, protocol = cards.protocol.training, cards.protocol
    n_images = protocol.n_train or sources.source(protocol.dataset).n_train
    steps = controls(cards)["best_epoch"].to_numpy(int) * -(-n_images // training.batch_size)
    if training.optimiser is None:
        return (1 - training.learning_rate * training.weight_decay) ** steps.astype(float)
    rate, momentum, decay = (
        training.optimiser.learning_rate,
        training.optimiser.momentum,
        training.optimiser.weight_decay,
    )
    step = np.array([[1 - rate * decay, -rate * momentum], [decay, momentum]])  # of weight and velocity
    return np.array([np.linalg.matrix_power(step, int(n))[0, 0] for n in steps])


def told_apart(
    pairs: Mapping[tuple[str, str], tuple[Cards, Cards]], hosts: Sequence[str], auditor: str = "unknown"
) -> pd.DataFrame:
    """What a regime changes of the area of one of `questions.AUDITORS`, by (population, regime): with it and without.

    A row a pair and kind of host. Columns: population, setting, host, n, with_it, without (areas), estimate, low, high
    (their difference), p (bootstrap over the seeds of both), p_holm (over the rows). Pairs that lack seeds have no p.

    Raises ValueError: the two of a pair are not of the same seeds.
    """
    rows = []
    for (population, setting), two in pairs.items():
        for host in hosts:
            row: dict[str, object] = {
                "population": population,
                "setting": setting,
                "host": host,
                "n": len(two[0].seeds),
            }
            if all(cards.complete for cards in two):
                require_same_seeds(f"{population}, {setting}", *two)
                scores = [met(cards, host, AUDITORS[auditor])[:, [CANARY, PLACEBO]] for cards in two]
                seeds, positive = np.repeat(two[0].seeds, 2), np.tile([True, False], len(two[0].seeds))
                both = (scores[0].ravel(), scores[1].ravel(), positive, seeds)
                row |= {"with_it": auc(both[0], positive), "without": auc(both[1], positive)}
                row |= asdict(auc_difference(*both)) | {"p": auc_difference_test(*both)}
            rows.append(row)
    table = pd.DataFrame(rows)
    p = table.get("p", pd.Series(np.nan, table.index, dtype=float))
    return table.assign(p_holm=corrected(p, planned=True))


def best_area(d_prime: float, n_classes: int = 10, *, n_draws: int = 100_000) -> float:
    """Area under the ROC curve that no rule can pass which does not know the label of the host.

    Classes shift independently and normally with spread 1; in a canary one of them, each with equal chance, by d_prime
    more. The likelihood ratio is the mean over classes of exp(d′x − d′²/2), and no rule has a larger area (Neyman and
    Pearson, Philosophical Transactions of the Royal Society A 231, 1933). By Monte Carlo over n_draws models of each
    kind, the same draws for every d_prime. In [0, 1].

    Raises ValueError: d_prime is not finite.
    """
    if not np.isfinite(d_prime):
        raise ValueError(f"d_prime: must be finite, not {d_prime}")
    others, canaries = draws(n_classes, n_draws)
    canaries = canaries + d_prime * np.eye(1, n_classes)  # whose first class stands for any
    ratios = [log_ratio(d_prime, shifts) for shifts in (canaries, others)]
    return float(mannwhitneyu(*ratios, method="asymptotic").statistic / n_draws**2)


def log_ratio(d_prime: float, shifts: np.ndarray) -> np.ndarray:
    """Logarithm (n_draws,) of the likelihood ratio of shifts (n_draws, n_classes), but for a constant.

    As `scipy.special.logsumexp` has it, in a fifth of the time.
    """
    exponents = d_prime * shifts
    largest = exponents.max(1, keepdims=True)
    return np.log(np.exp(exponents - largest).sum(1)) + largest[:, 0]


@cache
def draws(n_classes: int, n_draws: int) -> np.ndarray:
    """How the classes of models of each kind shift that know no letter, (2, n_draws, n_classes)."""
    return stream("best area", seed=n_classes).standard_normal((2, n_draws, n_classes))


def known_area(d_prime: float) -> float:
    """The same for a rule that knows the label: Φ(d′ / √2)."""
    return float(norm.cdf(d_prime / np.sqrt(2)))


def scaled_contrasts(cards: Cards, host: str) -> dict[str, np.ndarray]:
    """D (n_seeds,) on both `SCALES`, of equal-age cards at the control's best epoch, of others at each model's own.

    In nats, and over the mean of the two models' own spreads over permutations at that age.
    """
    own = [cards.model(role, host) for role in ("canary", "placebo")]
    if "ood_null" in cards.arrays:
        nats = contrasts(cards, host, epoch="control")
        spreads = on_label(cards.arrays["ood_null"], cards.label(host))[:, :, 1]
    else:
        nats = contrasts(cards, host)
        spreads = on_label(patch_effects(cards)[:, :, cards.permutations], cards.label(host)).std(2, ddof=1)
    return {"nats": nats, "spreads": nats / spreads[:, own].mean(1)}


def require_same_seeds(pair: str, with_it: Cards, without: Cards) -> None:
    """Raises ValueError: models with and without a way are not of the same seeds."""
    if not np.array_equal(with_it.seeds, without.seeds):
        raise ValueError(f"{pair}: seeds with it are not those without")


def learnt(cards: Cards, host: str) -> tuple[np.ndarray, np.ndarray]:
    """Which canaries learnt the letter, and which placebo models "learnt" one that they never saw, (n_seeds,) each.

    The host gains a nat more from the letter in the canary than in the placebo model of its seed, or the other way
    round; both at the control's best epoch.
    """
    fits = cards.fits[:, :, AGES.index("control"), cards.protocol.hosts.index(host)]
    gain = fits[..., LETTER] - fits[..., PLAIN]
    more = gain[:, cards.model("canary", host)] - gain[:, cards.model("placebo", host)]
    return more >= SECOND.learnt, -more >= SECOND.learnt
