"""From cards to effects: what a population's cards say of each seed.

Arrays have the seeds first, then the models of a seed in the order of its card: the control, then on each kind of host
one of every stamped role. Effects are in nats.
"""

import numpy as np
import pandas as pd

from ufm import scores
from ufm.evidence.cards import Cards
from ufm.measures.layout import AGES
from ufm.plan.thresholds import THRESHOLDS
from ufm.protocol import Protocol

PLAIN, LETTER, PLACEBO = range(3)  # versions of a host
ELSEWHERE = ("one pixel on", "top right", "centre", "bottom right")  # places of `ufm.measures.layout.elsewhere`


def patch_effects(cards: Cards, images: str = "ood", epoch: str = "best") -> np.ndarray:
    """Patch effect of each feature on each class, (n_seeds, n_models, n_features, n_classes), see `ufm.scores`.

    images: "ood", "test", "dim" or "black"; epoch: "best", or "early" with the short list of features, or of an
    equal-age card any of its ages, with the letter and the placebo features alone.
    """
    if epoch != "best" and f"{images}_age_shift" in cards.arrays:
        return cards.arrays[f"{images}_age_shift"][:, :, AGES.index(epoch)]
    return cards.arrays[f"{images}_shift" if epoch == "best" else f"{images}_early_shift"]


def specific_effects(cards: Cards, images: str = "ood", epoch: str = "best") -> np.ndarray:
    """Specific effect, of the same shape: the patch effect less its mean over permutations of the letter's pixels."""
    return specific(cards, patch_effects(cards, images, epoch))


def specific(cards: Cards, effects: np.ndarray) -> np.ndarray:
    """Patch effects (n_seeds, n_models, n_features, n_classes) less their mean over the permutations."""
    return effects - effects[:, :, cards.permutations].mean(2, keepdims=True)


def on_label(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """values (n_seeds, …, n_classes) at each seed's label (n_seeds,): (n_seeds, …)."""
    return np.stack([of_seed[..., label] for of_seed, label in zip(values, labels, strict=True)])


def contrasts(cards: Cards, host: str, images: str = "ood", epoch: str = "best") -> np.ndarray:
    """Contrast D (n_seeds,) of a kind of host, one number a seed (`ufm.scores.contrast`)."""
    aged = cards.arrays.get(f"{images}_age_shift")
    if aged is not None:  # permutations cancel in a contrast, so that it needs none of them
        return contrasts_of_specific(cards, host, aged[:, :, AGES.index(epoch)])
    return contrasts_of(cards, host, patch_effects(cards, images, epoch))


def contrasts_of(cards: Cards, host: str, effects: np.ndarray) -> np.ndarray:
    """Contrast D (n_seeds,) from patch effects (n_seeds, n_models, n_features, n_classes)."""
    return contrasts_of_specific(cards, host, specific(cards, effects))


def contrasts_of_specific(cards: Cards, host: str, effects: np.ndarray) -> np.ndarray:
    """Contrast D (n_seeds,) from specific effects (n_seeds, n_models, n_features, n_classes), the letter's first."""
    on_host_label = on_label(effects, cards.label(host))
    canary, placebo = cards.model("canary", host), cards.model("placebo", host)
    contrast = scores.contrast(
        letter_on_canary=on_host_label[:, canary, 0],
        letter_on_placebo=on_host_label[:, placebo, 0],
        placebo_on_placebo=on_host_label[:, placebo, cards.placebo(host)],
        placebo_on_canary=on_host_label[:, canary, cards.placebo(host)],
    )
    return np.asarray(contrast)


def moved_contrasts(cards: Cards, host: str) -> dict[str, np.ndarray]:
    """Contrast (n_seeds,) with the features where they were in training and elsewhere, by place in words."""
    places = dict(zip(ELSEWHERE, np.moveaxis(cards.arrays["ood_moved_shift"], 2, 0), strict=True))
    moved = {place: contrasts_of(cards, host, effects) for place, effects in places.items()}
    return {"as in training": contrasts(cards, host)} | moved


def roles(protocol: Protocol) -> list[tuple[str, str]]:
    """Role and kind of host of each model of a seed, in the order of its card; a control has no host."""
    stamped = [(role, host) for host in protocol.hosts for role in protocol.roles]
    return [("control", ""), *stamped] if protocol.control else stamped


def curves(cards: Cards) -> pd.DataFrame:
    """The models' histories: columns seed, role, host, epoch, train_loss, stopping_loss (nats), stopping_accuracy."""
    tables = []
    for seed, models in zip(cards.seeds, cards.histories, strict=True):
        for (role, host), history in zip(roles(cards.protocol), models, strict=True):
            table = pd.DataFrame(history, columns=["train_loss", "stopping_loss", "stopping_accuracy"]).dropna()
            who = {"seed": seed, "role": role, "host": host, "epoch": np.arange(1, len(table) + 1)}
            tables.append(table.assign(**who))
    return pd.concat(tables, ignore_index=True)


def gains(cards: Cards, host: str, role: str = "canary", epoch: str = "best") -> np.ndarray:
    """What the host's log-probability gains from the feature, model less control, (n_seeds,) in nats.

    The feature is the one that the model had on this host, the letter or the seed's placebo feature.
    """
    version = LETTER if role == "canary" else PLACEBO
    fits = cards.fits[:, :, AGES.index(epoch), cards.protocol.hosts.index(host)]
    gain = fits[..., version] - fits[..., PLAIN]
    return gain[:, cards.model(role, host)] - gain[:, cards.model("control")]


def learnt(cards: Cards, host: str, role: str = "canary") -> np.ndarray:
    """Which models (n_seeds,) learnt their feature: the host gains at least a nat more from it than in the control."""
    return gains(cards, host, role) >= THRESHOLDS.learnt


def clean_losses(cards: Cards) -> np.ndarray:
    """Loss (n_seeds, n_hosts) in nats of each seed's hosts under models that never saw anything stamped on them.

    The mean over the controls of the other seeds that train on the same part, at their best epoch; NaN where there is
    none.
    """
    control = cards.model("control")
    fits = pd.DataFrame(
        {
            "of": np.repeat(cards.seeds, [len(plan["host_seed"]) for plan in cards.planned]),
            "seed": np.concatenate([plan["host_seed"] for plan in cards.planned]),
            "kind": np.concatenate([plan["host_kind"] for plan in cards.planned]),
            "loss": -np.concatenate([plan["host_log_probability"][control, 0, :, PLAIN] for plan in cards.planned]),
        }
    ).astype({"loss": float})
    means = fits[fits["of"] != fits["seed"]].groupby(["seed", "kind"])["loss"].mean()
    return means.unstack().reindex(index=cards.seeds, columns=range(cards.labels.shape[1])).to_numpy()


def by_host(cards: Cards) -> pd.DataFrame:
    """A row a seed and kind of host: what was stamped on, how hard it is, and what was memorised.

    Columns: seed, host, canary_index, canary_label, clean_loss, gain (of the letter on the host, canary less control),
    learnt, contrast (D on OOD images), contrast_test (on test images), effect (specific effect of the letter on the
    host's label, canary less control, OOD images).
    """
    losses, tables = clean_losses(cards), []
    for kind, host in enumerate(cards.protocol.hosts):
        effects = on_label(specific_effects(cards), cards.label(host))[:, :, 0]
        columns = {
            "seed": cards.seeds,
            "host": host,
            "canary_index": cards.indices[:, kind],
            "canary_label": cards.labels[:, kind],
            "clean_loss": losses[:, kind],
            "gain": gains(cards, host),
            "learnt": learnt(cards, host),
            "contrast": contrasts(cards, host),
            "contrast_test": contrasts(cards, host, "test"),
            "effect": effects[:, cards.model("canary", host)] - effects[:, cards.model("control")],
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)
