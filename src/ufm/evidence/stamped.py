"""How models fit the stamped hosts of other seeds: LiRA, RMIA and counterfactual memorisation, from cards.

Asked about is a host with the letter on it. Its *out-models* are the models of other seeds of the same part of the
training set but those that had anything stamped on the same image: they were trained on the host as it is.
"""

import numpy as np

from ufm.evidence.cards import Cards
from ufm.evidence.effects import LETTER, roles
from ufm.scores.membership import dominating, logit, out_mean, over_mean, standardised_by


def log_probabilities(cards: Cards, host: str) -> np.ndarray:
    """Of the label of each seed's host with the letter in every model, at its best epoch, (n_seeds, n_models, n_seeds).

    The last axis counts the seeds whose hosts they are. NaN for hosts of other parts, and for hosts that are not on a
    seed's card.
    """
    kind, places = cards.protocol.hosts.index(host), {seed: place for place, seed in enumerate(cards.seeds.tolist())}
    values = np.full((*cards.fits.shape[:2], len(cards.seeds)), np.nan)
    for of_seed, card in zip(values, cards.planned, strict=True):
        for row in np.flatnonzero(card["host_kind"] == kind):
            place = places.get(int(card["host_seed"][row]))
            if place is not None:
                of_seed[:, place] = card["host_log_probability"][:, 0, row, LETTER]
    return values


def outside(cards: Cards, host: str) -> np.ndarray:
    """Which models (n_seeds, n_models, n_seeds) are out-models of which seed's host, as far as they are on its part."""
    hosts = cards.protocol.hosts
    stamped = [np.full(len(cards.seeds), -1)] * cards.protocol.control
    stamped += [cards.indices[:, hosts.index(of)] for _, of in roles(cards.protocol) if of]
    images = cards.indices[:, hosts.index(host)]
    on_another = np.stack(stamped, 1)[:, :, None] != images
    return on_another & ~np.eye(len(cards.seeds), dtype=bool)[:, None]


def out_models(values: np.ndarray, cards: Cards, host: str) -> np.ndarray:
    """values (n_seeds, n_models, n_seeds) of each host's out-models, else NaN: (n_seeds, 1, n_seeds · n_models)."""
    kept = np.where(outside(cards, host), values, np.nan)
    return np.moveaxis(kept, -1, 0).reshape(values.shape[-1], 1, -1)


def others_asked(cards: Cards, host: str) -> np.ndarray:
    """Which seeds' hosts RMIA compares that of each seed with, (n_seeds, n_seeds): other images of the same part."""
    images = cards.indices[:, cards.protocol.hosts.index(host)]
    there = ~np.isnan(log_probabilities(cards, host)).any(1)
    return there & (images != images[:, None])


def own(values: np.ndarray) -> np.ndarray:
    """values (n_seeds, n_models, n_seeds) of each seed's own host, (n_seeds, n_models)."""
    return np.moveaxis(np.diagonal(values, axis1=0, axis2=2), -1, 0)


def counterfactual(cards: Cards, host: str, *, log: bool) -> np.ndarray:
    """Counterfactual memorisation of the stamped host by each model of its seed, (n_seeds, n_models).

    The model's log-probability (nats; `log`) or probability of the host's label less its mean over the out-models:
    Feldman and Zhang (NeurIPS 2020), with one model that was trained on it in the place of a mean over many.
    """
    values = log_probabilities(cards, host)
    values = values if log else np.exp(values)
    return own(values) - out_mean(out_models(values, cards, host))[1]


def lira(cards: Cards, host: str) -> np.ndarray:
    """LiRA offline of the stamped host by each model of its seed, (n_seeds, n_models), in standard deviations."""
    confidence = logit(log_probabilities(cards, host))
    return standardised_by(own(confidence), out_models(confidence, cards, host))


def rmia(cards: Cards, host: str) -> np.ndarray:
    """RMIA offline of the stamped host by each model of its seed, (n_seeds, n_models), share from 0 to 1.

    In the place of population images it has the other seeds' hosts of the part, with the letter: other images, on which
    the model had nothing stamped. No model of the seed in question is among their reference models.
    """
    p, out = np.exp(log_probabilities(cards, host)), outside(cards, host)
    asked = others_asked(cards, host)
    own_ratio = over_mean(own(p), out_models(p, cards, host))
    scores = np.empty(own_ratio.shape)
    for place, of_seed in enumerate(p):
        reference = np.where(out, p, np.nan)
        reference[place] = np.nan
        ratios = over_mean(of_seed, np.moveaxis(reference, -1, 0).reshape(1, p.shape[-1], -1))
        scores[place] = dominating(own_ratio[place], np.where(out[place] & asked[place], ratios, np.nan))
    return scores
