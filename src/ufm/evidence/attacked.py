"""How robust models of a way are beside plain ones of the same seeds, from robust cards (book/fourth-plan.md)."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import nan

import numpy as np
import pandas as pd

from ufm.evidence.cards import Cards
from ufm.evidence.cells import corrected
from ufm.evidence.regimes import require_same_seeds, scaled_contrasts
from ufm.measures.layout import ATTACKS, NORMS, RADII
from ufm.plan.second import regime
from ufm.plan.thresholds import ATTACKED
from ufm.statistics import bootstrap_interval, bootstrap_t_interval, columns, sign_flip_test

NAMES = {"L∞": "linf", "L2": "l2"}  # of columns
AT = {"L∞": RADII["L∞"].index(ATTACKED.linf), "L2": RADII["L2"].index(ATTACKED.l2)}  # places of the radii of the words


class Robust(StrEnum):
    """How robust a way leaves models."""

    MORE = "more robust"
    LESS = "less robust"
    OPPOSITE = "norms disagree"
    ONE_NORM = "one norm alone"
    NOTHING = "no change shown"
    FAIL = "attacks fail"
    OPEN = "waits for seeds"


def clean(cards: Cards) -> np.ndarray:
    """Which images (n_seeds, n_models, n_images) are classified right as they are."""
    return cards.arrays["attack_clean"]


def withstood(cards: Cards) -> np.ndarray:
    """Which images models classify right and withstand, (n_seeds, n_models, n_norms, n_radii, n_images).

    Their label holds under every attack of the norm at the radius and at all smaller ones.
    """
    held = cards.arrays["attack_right"].all(3)
    return np.logical_and.accumulate(held, axis=3) & clean(cards)[:, :, None, None]


def robust_accuracies(cards: Cards) -> np.ndarray:
    """Share of all images that models withstand, mean over a seed's models, (n_seeds, n_norms, n_radii)."""
    return withstood(cards).mean((1, 4))


def among(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean over the images that are counted, then over the models: (n_seeds,) of two (n_seeds, n_models, n_images)."""
    n = counted.sum(-1)
    return np.where(n > 0, np.where(counted, values, 0).sum(-1) / np.maximum(n, 1), nan).mean(1)


def shares(cards: Cards, counted: np.ndarray) -> dict[str, np.ndarray]:
    """Share of the images counted that models withstand at the radius of the words, (n_seeds,) by norm."""
    held = withstood(cards)
    return {norm: among(held[:, :, place, AT[norm]], counted) for place, norm in enumerate(NORMS)}


def left(cards: Cards) -> np.ndarray:
    """Share (n_seeds,) of images classified right that models withstand at the largest radius of L∞.

    There a grey image is near every image, so that no more than those of one class can be withstood.
    """
    return among(withstood(cards)[:, :, NORMS.index("L∞"), -1], clean(cards))


def hidden(cards: Cards) -> np.ndarray:
    """Share (n_seeds,) of images classified right that PGD leaves and other images take, at the radii of the words.

    The mean of both norms.
    """
    right = cards.arrays["attack_right"]
    pgd, others = (right[:, :, :, ATTACKS.index(attack)] for attack in ("PGD", "other images"))
    missed = [pgd[:, :, place, AT[norm]] & ~others[:, :, place, AT[norm]] for place, norm in enumerate(NORMS)]
    return np.mean([among(one, clean(cards)) for one in missed], 0)


def medians(cards: Cards) -> dict[str, np.ndarray]:
    """Medians over the images classified right, mean over a seed's models, (n_seeds,) by name.

    distance: L2 to the boundary, pixels; flat: that were the network linear, over it; curvature: base-10 logarithm.
    """
    right = clean(cards)
    distance, linear, curvature = (cards.arrays[f"attack_{name}"] for name in ("distance", "linear", "curvature"))
    known = right & (distance > 0) & np.isfinite(distance)
    ratio = np.divide(linear, distance, out=np.full(linear.shape, nan), where=known)
    found = {"distance": distance, "flat": ratio, "curvature": curvature}
    return {name: np.nanmedian(np.where(right, of, nan), -1).mean(1) for name, of in found.items()}


def table(populations: Mapping[str, Cards], ways: Sequence[str], plain: str) -> pd.DataFrame:
    """A row of plain models and of each way, as far as there are robust cards of it.

    Columns: way, n (seeds), needed; where none of its seeds is lacking, each with its end _low and _high, random and
    hard (mean D in nats), accuracy, linf and l2 (share of all images that are withstood at the radius of the words),
    those of `medians`, left and hidden; and of ways beside plain models linf_more, l2_more (the shares of images that
    both classify right, less those of plain models, paired by seed, role and image), with linf_p, linf_p_holm and so on
    (sign flips over seeds, Holm over the ways of a norm), distance_more, left_plain (left, of plain models); change.

    Raises ValueError: models of a way are not of the same seeds as the plain ones.
    """
    there = {regime(cards.sweep): cards for cards in populations.values()}
    rows = []
    for way in (plain, *ways):
        cards, without = there.get(way), there.get(plain)
        row: dict[str, object] = {"way": way, "n": len(cards.seeds) if cards else 0}
        row["needed"] = cards.needed if cards else nan
        if cards and cards.complete:
            row |= described(cards)
            if way != plain and without and without.complete:
                row |= compared(cards, without)
        rows.append(row)
    found = pd.DataFrame(rows)
    for name in NAMES.values():
        p = found.reindex(columns=[f"{name}_p"])[f"{name}_p"].astype(float)
        found[f"{name}_p_holm"] = corrected(p[1:], planned=True).reindex(found.index)
    return found.assign(change=[change(row) for row in found.to_dict("records")])


def described(cards: Cards) -> dict[str, float]:
    """The numbers of models by themselves."""
    accuracies = robust_accuracies(cards)
    values = {"accuracy": clean(cards).mean((1, 2)), "left": left(cards), "hidden": hidden(cards), **medians(cards)}
    values |= {NAMES[norm]: accuracies[:, place, AT[norm]] for place, norm in enumerate(NORMS)}
    row = columns({name: bootstrap_interval(of) for name, of in values.items() if np.isfinite(of).all()})
    for host in cards.protocol.hosts:
        row |= columns({host: bootstrap_t_interval(scaled_contrasts(cards, host)["nats"])})
    return row


def compared(with_it: Cards, without: Cards) -> dict[str, float]:
    """What a way changes, on images that both of two models classify right, paired over seeds."""
    require_same_seeds(regime(with_it.sweep), with_it, without)
    both = clean(with_it) & clean(without)
    one, other = shares(with_it, both), shares(without, both)
    row: dict[str, float] = {"left_plain": float(left(without).mean())}
    for norm, name in NAMES.items():
        difference = one[norm] - other[norm]
        if np.isfinite(difference).all():
            row |= columns({f"{name}_more": bootstrap_t_interval(difference)})
            row |= {f"{name}_p": sign_flip_test(difference)}
    distances = [np.where(both, cards.arrays["attack_distance"], nan) for cards in (with_it, without)]
    nearer = [np.nanmedian(of, -1).mean(1) for of in distances]
    if np.isfinite(nearer).all():
        row |= columns({"distance_more": bootstrap_t_interval(nearer[0] - nearer[1])})
    return row


def change(row: Mapping[str, float]) -> Robust:
    """The word for a row of `table`; of plain models and of those that lack seeds it is open."""
    p = [row.get(f"{name}_p_holm", nan) for name in NAMES.values()]
    if np.isnan(p).any():
        return Robust.OPEN
    if max(row["left"], row["left_plain"]) > ATTACKED.left:
        return Robust.FAIL
    signs = [
        int(np.sign(row[f"{name}_more"])) * (one < ATTACKED.level) for name, one in zip(NAMES.values(), p, strict=True)
    ]
    if signs[0] == signs[1]:
        return {1: Robust.MORE, -1: Robust.LESS, 0: Robust.NOTHING}[signs[0]]
    return Robust.OPPOSITE if signs[0] == -signs[1] else Robust.ONE_NORM


def curves(populations: Mapping[str, Cards], ways: Sequence[str]) -> pd.DataFrame:
    """Share of all images that are withstood, by radius: columns way, norm, radius, estimate, low, high, n.

    Radius 0 is accuracy. Ways that lack seeds have no rows.
    """
    there, rows = {regime(cards.sweep): cards for cards in populations.values()}, []
    for way in ways:
        cards = there.get(way)
        if cards is None or not cards.complete:
            continue
        accuracies, plain = robust_accuracies(cards), clean(cards).mean((1, 2))
        for place, norm in enumerate(NORMS):
            of_radius = {0.0: plain} | dict(zip(RADII[norm], accuracies[:, place].T, strict=True))
            for radius, values in of_radius.items():
                interval = bootstrap_interval(values)
                ends = {"estimate": interval.estimate, "low": interval.low, "high": interval.high, "n": interval.n}
                rows.append({"way": way, "norm": norm, "radius": radius} | ends)
    return pd.DataFrame(rows, columns=["way", "norm", "radius", "estimate", "low", "high", "n"])
