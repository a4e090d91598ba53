"""Ways of training side by side, on the same seeds and hosts: what each changes, and what can be told under it.

An auditor who does not know the label of the host sees one class shift among all of them. `d_prime` says by how much,
in units of what the classes shift anyway, and `best_area` what follows for the best rule there is.
"""

from collections.abc import Mapping
from enum import StrEnum

import numpy as np
import pandas as pd
from scipy.special import logsumexp
from scipy.stats import mannwhitneyu, norm

from ufm.evidence.cards import Cards
from ufm.evidence.cells import corrected
from ufm.evidence.effects import LETTER, PLAIN, contrasts, on_label, patch_effects, specific_effects
from ufm.measures.layout import AGES
from ufm.plan.thresholds import SECOND
from ufm.randomness.streams import stream
from ufm.statistics import bootstrap_t_interval, columns, sign_flip_test

SCALES = ("nats", "spreads")  # on which what a way changes is asked


class Change(StrEnum):
    """What a way does to memorisation."""

    RAISES = "raises"
    REDUCES = "reduces"
    OPPOSITE = "scales disagree"
    ONE_SCALE = "one scale alone"
    NOTHING = "no change shown"
    OPEN = "open"  # seeds are missing


def d_prime(cards: Cards, host: str) -> dict[str, float]:
    """What the canary adds to the letter's specific effect on the host's label, over that effect's spread in controls.

    Columns: added (mean over seeds, nats), spread (standard deviation over seeds, nats), d_prime; every model at its
    own best epoch, as an auditor meets it.
    """
    effects = on_label(specific_effects(cards), cards.label(host))[:, :, 0]
    canary, control = effects[:, cards.model("canary", host)], effects[:, cards.model("control")]
    added, spread = float((canary - control).mean()), float(control.std(ddof=1))
    return {"added": added, "spread": spread, "d_prime": added / spread}


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
    others, canaries = stream("best area", seed=n_classes).standard_normal((2, n_draws, n_classes))
    canaries[:, 0] += d_prime
    ratios = [logsumexp(d_prime * shifts, axis=1) for shifts in (canaries, others)]
    return float(mannwhitneyu(*ratios, method="asymptotic").statistic / n_draws**2)


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


def changes(pairs: Mapping[tuple[str, str, str], tuple[Cards, Cards]]) -> pd.DataFrame:
    """What each way changes, paired over seeds: a row a way with and without it, by (population, way, kind of host).

    Columns: population, way, host, n, and for each of `SCALES` its mean difference with interval and p after Holm over
    the rows: nats, nats_low, nats_high, nats_p, nats_p_holm, spreads and so on; change. Pairs that lack seeds are open.

    Raises ValueError: the two of a pair are not of the same seeds.
    """
    rows = []
    for (population, way, host), (with_it, without) in pairs.items():
        row: dict[str, object] = {"population": population, "way": way, "host": host, "n": len(with_it.seeds)}
        if with_it.complete and without.complete:
            if not np.array_equal(with_it.seeds, without.seeds):
                raise ValueError(f"{population}, {way}: seeds with it are not those without")
            one, other = scaled_contrasts(with_it, host), scaled_contrasts(without, host)
            for scale in SCALES:
                difference = one[scale] - other[scale]
                row |= columns({scale: bootstrap_t_interval(difference)})
                row |= {f"{scale}_p": sign_flip_test(difference)}
        rows.append(row)
    table = pd.DataFrame(rows)
    for scale in SCALES:
        p = table.get(f"{scale}_p", pd.Series(np.nan, table.index))
        table[f"{scale}_p_holm"] = corrected(p)
    return table.assign(change=[change(row) for row in table.to_dict("records")])


def change(row: Mapping[str, float]) -> Change:
    """The word for a row of `changes`: a scale says something where its corrected p is below the level."""
    return word({scale: (row[scale], row[f"{scale}_p_holm"]) for scale in SCALES if scale in row})


def word(found: Mapping[str, tuple[float, float]]) -> Change:
    """The word for the mean difference and corrected p of each of `SCALES`; without p of both it is open."""
    if len(found) < len(SCALES) or any(np.isnan(p) for _, p in found.values()):
        return Change.OPEN
    signs = [int(np.sign(mean)) * (p < SECOND.level) for mean, p in found.values()]
    if signs[0] == signs[1]:
        return {1: Change.RAISES, -1: Change.REDUCES, 0: Change.NOTHING}[signs[0]]
    return Change.OPPOSITE if signs[0] == -signs[1] else Change.ONE_SCALE


def learnt(cards: Cards, host: str) -> tuple[np.ndarray, np.ndarray]:
    """Which canaries learnt the letter, and which placebo models "learnt" one that they never saw, (n_seeds,) each.

    The host gains a nat more from the letter in the canary than in the placebo model of its seed, or the other way
    round; both at the control's best epoch.
    """
    fits = cards.fits[:, :, AGES.index("control"), cards.protocol.hosts.index(host)]
    gain = fits[..., LETTER] - fits[..., PLAIN]
    more = gain[:, cards.model("canary", host)] - gain[:, cards.model("placebo", host)]
    return more >= SECOND.learnt, -more >= SECOND.learnt
