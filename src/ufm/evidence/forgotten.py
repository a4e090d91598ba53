"""How models answer on the hosts that they forgot, beside models that were trained without them."""

from collections.abc import Mapping, Sequence
from math import nan

import numpy as np
import pandas as pd

from ufm.evidence.cards import Cards, on_seeds
from ufm.evidence.costs import of_models
from ufm.evidence.effects import LETTER, contrasts, on_label
from ufm.evidence.regimes import require_same_seeds
from ufm.measures.layout import AGES
from ufm.plan.second import regime
from ufm.statistics import bootstrap_interval, bootstrap_t_interval, columns

AT_CONTROL = AGES.index("control")
OUTCOMES = ("forgotten", "left")  # hosts that were forgotten, and those that were not


def beside_retraining(populations: Mapping[str, Cards], settings: Sequence[str], without: str) -> pd.DataFrame:
    """Canaries of each setting on their hosts at the control's best epoch, a row a population, setting, kind of host.

    Columns: population, setting, host, n, needed, and where none of its seeds is lacking probability (of the host's
    label on the host with the letter, mean over seeds), effect (specific effect of the letter on that label, nats), of
    both the end with _low and _high; more and louder (the same less that of the model of the setting `without`, paired
    over seeds, and NaN where its seeds are lacking); fitted (models that had their host to forget) and forgotten (those
    of them that did), NaN of models that were not asked to.
    """
    there = {(cards.trained_on, regime(cards.sweep)): cards for cards in populations.values()}
    rows = []
    for (population, setting), cards in there.items():
        if setting not in settings:
            continue
        other = there.get((population, without))
        for host in cards.protocol.hosts:
            row: dict[str, object] = {"population": population, "setting": setting, "host": host}
            rows.append(row | {"n": len(cards.seeds), "needed": cards.needed} | answers(cards, other, host))
    order = {setting: place for place, setting in enumerate(settings)}
    table = pd.DataFrame(rows, columns=[*dict.fromkeys(name for row in rows for name in row)])
    return table.sort_values("setting", key=lambda names: names.map(order), kind="stable") if rows else table


def answers(cards: Cards, other: Cards | None, host: str) -> dict[str, float]:
    """The numbers of one row of `beside_retraining`; none where seeds are lacking."""
    if not cards.complete:
        return {}
    ours = probabilities(cards, host), letter_effects(cards, host)
    row = columns({"probability": bootstrap_interval(ours[0]), "effect": bootstrap_t_interval(ours[1])})
    if other is not None and other.complete and other is not cards:
        require_same_seeds(cards.title, cards, other)
        more = ours[0] - probabilities(other, host)
        louder = ours[1] - letter_effects(other, host)
        row |= columns({"more": bootstrap_t_interval(more), "louder": bootstrap_t_interval(louder)})
    forgetting = cards.protocol.training.forgetting
    if forgetting:
        steps = of_models(cards, "canary", host, "forgetting_steps_at_control")
        row |= {"fitted": float((steps > 0).sum()), "forgotten": float(forgot(cards, host).sum())}
    return row


def by_outcome(populations: Mapping[str, Cards], setting: str, plain: str) -> pd.DataFrame:
    """D of seeds whose canary forgot its host and of those whose canary did not, a row a population and kind of host.

    Columns: population, host, and of each of `OUTCOMES` n_forgotten (seeds), plain_forgotten and with_forgotten (mean D
    before and after, nats) and so on. Only where both settings have all their seeds; nothing is drawn that decides
    which seeds forget, so that no test is made of them.
    """
    there = {(cards.trained_on, regime(cards.sweep)): cards for cards in populations.values()}
    rows = []
    for (population, found), cards in there.items():
        before = there.get((population, plain))
        if found != setting or before is None or not (cards.complete and before.complete):
            continue
        before = on_seeds(before, cards.seeds)
        for host in cards.protocol.hosts:
            did = forgot(cards, host)
            row: dict[str, object] = {"population": population, "host": host}
            for outcome, these in zip(OUTCOMES, (did, ~did), strict=True):
                row[f"n_{outcome}"] = int(these.sum())
                for name, models in (("plain", before), ("with", cards)):
                    d = contrasts(models, host, epoch="control")[these]
                    row[f"{name}_{outcome}"] = float(d.mean()) if len(d) else nan
            rows.append(row)
    names = [f"{name}_{outcome}" for outcome in OUTCOMES for name in ("n", "plain", "with")]
    return pd.DataFrame(rows, columns=["population", "host", *names])


def forgot(cards: Cards, host: str) -> np.ndarray:
    """Whether each seed's canary had its host to forget and did, (n_seeds,)."""
    forgetting = cards.protocol.training.forgetting
    assert forgetting is not None
    steps = of_models(cards, "canary", host, "forgetting_steps_at_control")
    return (steps > 0) & (steps < forgetting.steps)


def probabilities(cards: Cards, host: str) -> np.ndarray:
    """Probability (n_seeds,) of the label of the host with the letter, the canary at its control's best epoch."""
    fits = cards.fits[:, cards.model("canary", host), AT_CONTROL, cards.protocol.hosts.index(host), LETTER]
    return np.exp(fits)


def letter_effects(cards: Cards, host: str) -> np.ndarray:
    """Specific effect (n_seeds,) of the letter on the host's label, the canary at its control's best epoch, nats."""
    effects = cards.arrays["ood_age_shift"][:, :, AT_CONTROL, 0] - cards.arrays["ood_null"][:, :, 0]
    return on_label(effects, cards.label(host))[:, cards.model("canary", host)]
