"""The null: what published scores say of models that never saw the letter."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from ufm.evidence.answers import of_cards
from ufm.evidence.cards import Cards
from ufm.evidence.effects import on_label, patch_effects, roles
from ufm.measures.layout import INPUTS, subsets
from ufm.plan.thresholds import THRESHOLDS
from ufm.statistics import Interval, columns, correlation_interval, permutation_p_value
from ufm.statistics.roc import auc, auc_interval, share_interval_over_seeds


def innocent(cards: Cards) -> list[int]:
    """Places of a seed's models that never saw the letter: the control and the placebos."""
    return [cards.model("control"), *(cards.model("placebo", host) for host in cards.protocol.hosts)]


def scores_by_role(cards: Cards) -> pd.DataFrame:
    """Published scores in nats, a row a model: columns seed, role, host, memorisation, memorisation_raw, label_known.

    The label-known score is under the label of the model's host, a control's under that of its seed's hard host.
    """
    published, known = cards.arrays["score_memorisation"][..., -1], cards.arrays["score_label_known"][:, :, 0]
    rows = [
        pd.DataFrame(
            {
                "seed": cards.seeds,
                "role": role,
                "host": host,
                "memorisation": published[:, model, 0],
                "memorisation_raw": published[:, model, 1],
                "label_known": on_label(on_label(known[:, model], label), label),
            }
        )
        for model, (role, host) in enumerate(roles(cards.protocol))
        for label in [cards.label(host or cards.protocol.hosts[-1])]
    ]
    return pd.concat(rows, ignore_index=True)


def decisions(cards: Cards, inputs: str) -> dict[str, np.ndarray]:
    """What each published rule decides, by name: (n_seeds, n_models, n_subsets) of true = memorised.

    The tests are two-sided at 5 % and must point towards memorisation. inputs: "normalised" or "raw".
    """
    of = INPUTS.index(inputs)
    arrays = {name: cards.arrays[f"score_{name}"][:, :, of] for name in ("memorisation", "t_p", "rank_p", "rank_share")}
    score = arrays["memorisation"]
    return {
        "M > 0": score > 0,
        "t-test": (arrays["t_p"] < THRESHOLDS.published_level) & (score > 0),
        "Mann–Whitney": (arrays["rank_p"] < THRESHOLDS.published_level) & (arrays["rank_share"] > 0.5),
    }


def false_positive_rates(cards: Cards) -> pd.DataFrame:
    """How often each published rule calls a model that never saw the letter memorised, with intervals over seeds.

    Columns: rule, inputs, n_images, estimate, low, high, n (seeds).
    """
    rows, sizes = [], subsets(cards.protocol.scoring.n_ood)
    seeds = np.repeat(cards.seeds, len(innocent(cards)))
    for inputs in INPUTS:
        for rule, decided in decisions(cards, inputs).items():
            for place, n_images in enumerate(sizes):
                flags = decided[:, innocent(cards), place].ravel()
                rows.append(
                    {"rule": rule, "inputs": inputs, "n_images": n_images}
                    | asdict(share_interval_over_seeds(flags, seeds))
                )
    return pd.DataFrame(rows)


def permutation_p(cards: Cards) -> dict[str, np.ndarray]:
    """Permutation p-values (n_seeds, n_models) of the letter among the permutations of its pixels, by statistic.

    Of its mean KL divergence on OOD images, and of its largest standardised shift on the black image.
    """
    kl, effects = cards.arrays["ood_kl_mean"], patch_effects(cards, "black")
    null = effects[:, :, cards.permutations]
    moved = ((null - null.mean(2, keepdims=True)) / null.std(2, ddof=1, keepdims=True)).max(-1)
    return {
        "KL divergence, OOD images": permutation_p_value(kl[:, :, 0], kl[:, :, cards.permutations]),
        "most-moved class, black image": permutation_p_value(of_cards(cards).shifts("black").max(-1), moved),
    }


def permutation_p_values(cards: Cards) -> pd.DataFrame:
    """`permutation_p` of models that never saw the letter, which is uniform where pixels are exchangeable.

    Columns: seed, role, statistic, p.
    """
    names = ("control", *("placebo" for _ in cards.protocol.hosts))
    tables = [
        pd.DataFrame({"seed": cards.seeds, "role": role, "statistic": name, "p": p[:, model]})
        for name, p in permutation_p(cards).items()
        for role, model in zip(names, innocent(cards), strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def label_check(cards: Cards, host: str) -> Interval:
    """Does a host's label favour a control? Area for controls under it against the same controls under drawn labels.

    One half where it does not. Only then can a control stand for what a canary's label-known score would be without
    memorisation.
    """
    shifts = of_cards(cards).shifts("ood")[:, cards.model("control")]
    drawn = np.random.default_rng(0).integers(shifts.shape[-1], size=len(cards.seeds))
    values = np.concatenate([on_label(shifts, cards.label(host)), on_label(shifts, drawn)])
    positive = np.repeat([True, False], len(cards.seeds))
    return auc_interval(values, positive, np.tile(cards.seeds, 2))


def shared_initialisation(cards: Cards, host: str) -> pd.DataFrame:
    """How alike the scores M of models of one seed are: correlation over seeds, and share that outscores the control.

    Columns: pair, n; correlation, correlation_low, correlation_high; area, ½ where the second scores like the first.
    """
    score = cards.arrays["score_memorisation"][:, :, 0, -1]
    rows = []
    for role in cards.protocol.roles:
        sibling = score[:, cards.model(role, host)]
        correlation = columns({"correlation": correlation_interval(score[:, 0], sibling)})
        area = auc(np.concatenate([sibling, score[:, 0]]), np.repeat([True, False], len(sibling)))
        rows.append({"pair": f"control and {role}", "n": len(sibling)} | correlation | {"area": area})
    return pd.DataFrame(rows)
