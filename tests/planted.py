"""Populations whose cards are made up, so that it is known what was memorised."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ufm import evidence
from ufm.evidence import ways
from ufm.measures.layout import AGES, ATTACKS, RADII, SHORT, SUBSETS
from ufm.plan import fourth, populations, second
from ufm.plan.sweep import Sweep
from ufm.study.runs import Population

N_CLASSES = 10
PROTOCOL = populations.population("mnist", 10_000)
N_FEATURES = 158
N_SHORT = 53
KINDS = ("ood", "dim", "black", "test")
TITLES = ("first", "second", "third", "fourth")


@dataclass(frozen=True)
class Titled(Sweep):
    """A sweep whose images are called as the test likes."""

    trained_on: str = ""


def population(
    n_seeds=24,
    *,
    effect=0.0,
    random_effect=0.0,
    share_learnt=1.0,
    n_images=50,
    first_seed=1000,
    rng=0,
    title="",
    setting="",
    needed=0,
):
    """A population whose canaries and placebos raise the label of their host by `effect` when their feature is stamped.

    Without effects all models of a seed are exchangeable: their shifts are the seed's own and a little noise.
    """
    rng = np.random.default_rng(rng)
    protocol = replace(PROTOCOL, scoring=replace(PROTOCOL.scoring, n_ood=n_images))
    entries, arrays = [], []
    for number in range(n_seeds):
        seed = first_seed + number
        labels = rng.integers(N_CLASSES, size=2)
        learnt = rng.random() < share_learnt
        planted = np.zeros((5, N_FEATURES, N_CLASSES))
        for kind, size in enumerate((random_effect, effect)):
            # Canary and placebo of a kind of host: models 1, 2 and 3, 4; the placebo's feature is 1 + kind.
            planted[1 + 2 * kind, 0, labels[kind]] = size
            planted[2 + 2 * kind, 1 + kind, labels[kind]] = size
        card = {}
        for images in KINDS:
            noise = rng.normal(0, 0.2, (1, N_FEATURES, N_CLASSES)) + rng.normal(0, 0.05, (5, N_FEATURES, N_CLASSES))
            shift = noise + planted
            card[f"{images}_shift"] = (shift - shift.mean(-1, keepdims=True)).astype(np.float16)
            card[f"{images}_early_shift"] = card[f"{images}_shift"][:, :N_SHORT]
            card[f"{images}_kl_mean"] = (np.abs(shift).sum(-1) / 10).astype(np.float16)
            card[f"{images}_probability"] = (card[f"{images}_shift"][:, :N_SHORT] / 10).astype(np.float16)
            card[f"{images}_probability_by_label"] = np.repeat(card[f"{images}_probability"][:, :3, None], N_CLASSES, 2)
        n_subsets = len([n for n in SUBSETS if n < n_images]) + 1
        score = rng.normal(0, 0.1, (1, 2, 1)) + rng.normal(0, 0.02, (5, 2, n_subsets))
        score[3] += effect / 2
        card["score_memorisation"] = score.astype(np.float32)
        card["score_t_p"] = rng.uniform(size=(5, 2, n_subsets))
        card["score_rank_p"] = rng.uniform(size=(5, 2, n_subsets))
        card["score_rank_share"] = rng.uniform(size=(5, 2, n_subsets)).astype(np.float32)
        for name in ("score_label_known", "score_gain_mean"):
            by_label = rng.normal(0, 0.1, (5, 2, N_CLASSES, N_CLASSES))
            by_label[3, :, labels[1], labels[1]] += effect / 2
            card[name] = by_label.astype(np.float16)
        part = [one for one in range(first_seed, first_seed + n_seeds) if one % 6 == seed % 6]
        fits = np.full((5, 2, 2 * len(part), 3), -0.5)
        own = 2 * part.index(seed)
        if learnt:
            fits[3, :, own + 1, 0], fits[3, :, own + 1, 1] = -3, -0.1  # the hard host, plain and with the letter
        card |= {
            "host_log_probability": fits.astype(np.float16),
            "host_seed": np.repeat(part, 2).astype(np.int32),
            "host_kind": np.tile([0, 1], len(part)).astype(np.int8),
            "host_index": (np.repeat(part, 2) * 10 + np.tile([0, 1], len(part))).astype(np.int32),
            "host_label": np.zeros(2 * len(part), np.int8),
            "placebo": np.zeros((2, 5, 5), np.uint8),
            "score_n_images": np.array([n_images]),
        }
        card["host_label"][own : own + 2] = labels
        entries.append({"seed": seed})
        arrays.append(card)
    seeds = range(first_seed, first_seed + n_seeds)
    sweep = Titled(protocol, seeds, needed, 0, setting, trained_on=title)
    return Population(sweep, {"models": models(protocol, entries)}, arrays, entries)


def cards(*arguments, **changes):
    """The same, stacked."""
    return evidence.stack(population(*arguments, **changes))


def models(protocol, entries, accuracy=0.9):
    """A row a model, all of the same accuracy."""
    roles = [("control", ""), *((role, host) for host in protocol.hosts for role in protocol.roles)]
    rows = [
        {"seed": entry["seed"], "role": role, "host": host, "accuracy": accuracy, "best_epoch": 10}
        for entry in entries
        for role, host in roles
    ]
    return pd.DataFrame(rows)


def three(setting, n_seeds=12, *, host="hard", accuracy=0.8, **changes):
    """Short cards, stacked: control, canary and placebo of the hard hosts, which get the name of a kind of host."""
    whole = population(n_seeds, setting=setting, needed=n_seeds, **changes)
    of_hard, short = [0, 3, 4], []
    features = [0, *range(2, N_SHORT)]  # the letter, the hard host's placebo feature, fifty permutations
    for card in whole.arrays:
        own = np.flatnonzero(card["host_kind"] == 1)
        kept = {name: card[name][of_hard][:, features] for name in SHORT}
        kept["host_log_probability"] = card["host_log_probability"][of_hard][:, :, own]
        kept |= {name: card[name][own] for name in ("host_seed", "host_index", "host_label")}
        short.append(kept | {"host_kind": np.zeros(len(own), np.int8)})
    protocol = replace(whole.protocol, hosts=(host,), measure="short card")
    sweep, rows = replace(whole.sweep, protocol=protocol), models(protocol, whole.entries, accuracy)
    return evidence.stack(Population(sweep, {"models": rows}, short, whole.entries))


def each(populations, function, *arguments):
    """What a function makes of each of some populations, by title."""
    return evidence.each(function, dict(zip(TITLES, populations, strict=False)), *arguments)


def settings(populations):
    """What `figures.by_setting` is drawn from."""
    rng, seeds, rows = np.random.default_rng(3), {}, []
    for title in TITLES[: len(populations)]:
        values = rng.normal(0.2, 0.1, (2, 9))
        seeds[title] = pd.DataFrame({"setting": ["plain"] * 9 + ["dropout"] * 9, "contrast": values.ravel()})
        for setting, mean in zip(("plain", "dropout"), values.mean(1), strict=True):
            row = {"population": title, "setting": setting}
            for name, estimate in (("contrast", mean), ("accuracy", 0.9 + mean / 10)):
                row |= {name: estimate, f"{name}_low": estimate - 0.01, f"{name}_high": estimate + 0.01}
            rows.append(row)
    return [seeds, pd.DataFrame(rows)]


def questions(populations):
    """Rows as those of `ufm.evidence.questions.asked`, random and hard hosts of each population."""
    rows = [
        {"population": cards.title, "setting": "", "host": host, "contrast": mean, "first": mean / 2}
        | {"contrast_low": mean - 0.05, "contrast_high": mean + 0.1, "n": 24, "needed": 24, "initial": 0.2}
        | {f"{model}_{end}": mean for model in ("canary", "placebo", "control") for end in ("with", "without")}
        for place, cards in enumerate(populations)
        for mean, host in ((0.05 * place, "random"), (0.05 * place + 0.1, "hard"))
    ]
    return pd.DataFrame(rows)


def equal_age(*arguments, by_age=None, **changes):
    """Equal-age cards, stacked: as `cards`, and at each age effects times what `by_age` has of it, 1 if absent."""
    whole = population(*arguments, **changes)
    protocol = replace(whole.protocol, measure="equal-age card")
    own = 1 + len(protocol.hosts)
    aged = []
    for card in whole.arrays:
        factors = np.array([(by_age or {}).get(age, 1.0) for age in AGES])[:, None, None]
        kept = {name: card[name][:, :N_SHORT] for name in (*(f"{kind}_shift" for kind in KINDS), "ood_kl_mean")}
        kept |= {f"{kind}_age_shift": card[f"{kind}_shift"][:, None, :own] * factors for kind in KINDS}
        kept["ood_null"] = np.ones((5, 2, N_CLASSES))
        kept |= {name: card[name] for name in card if name.startswith(("host_", "score_n", "score_memo"))}
        kept["host_log_probability"] = np.repeat(card["host_log_probability"][:, :1], len(AGES), 1)
        aged.append(kept)
    return evidence.stack(replace(whole, sweep=replace(whole.sweep, protocol=protocol), arrays=aged))


def regime(name, effect, n_seeds=24, *, title="MNIST, 10 000 images", rng=0, **changes):
    """Equal-age cards of a regime, the same effect on both kinds of host, all their seeds needed."""
    named = {"title": title, "setting": f"second plan, {name}", "needed": n_seeds, "rng": rng}
    return equal_age(n_seeds, effect=effect, random_effect=effect, **(named | changes))


def by_way(populations):
    """Questions and ways of as many data sets as populations, as `ufm.evidence.ways` finds them."""
    every = {
        f"{one.title}, {name}": regime(name, effect, 12, title=one.title)
        for name, effect in (("plain", 0.5), ("dropout", 0.2))
        for one in populations
    }
    rows = second.families({name: cards.sweep for name, cards in every.items()})["C3"]
    asked = ways.questions(every, rows)
    return [asked, ways.ways(every, asked, second.COMPARED)]


def keyed(title="MNIST, 10 000 images", n_seeds=12, *, effects=(1.0, 0.5, 0.0), accuracies=(0.95, 0.9, 0.1)):
    """Cards of models that read patches, and of NeuraCrypt's, by the name of a sweep.

    Effects and accuracies of patches as they are, of codes with the key, and of codes without it.
    """
    found, everything = {}, dict(zip((fourth.PATCHES, fourth.ENCODED, "another key"), effects, strict=True))
    for way, effect in everything.items():
        own = {
            "title": title,
            "setting": f"fourth plan, {way}",
            "rng": min(len(found), 1),
        }  # both keys: the same labels
        cards = regime(way, effect, n_seeds, **own, needed=n_seeds)
        left_out = ("test_", "dim_", "black_age")  # as on compact cards
        arrays = {name: cards.arrays[name] for name in cards.arrays if not name.startswith(left_out)}
        rows = cards.models.assign(accuracy=accuracies[len(found)], epochs=20)
        found[f"{title}, {way}"] = replace(cards, arrays=arrays, models=rows)
    _, encoded, keyless = found
    ends = ("_shift", "_kl_mean", "_null")
    other = {f"keyless_{name}": values for name, values in found.pop(keyless).arrays.items() if name.endswith(ends)}
    other["keyless_accuracy"] = np.full((n_seeds, 5), accuracies[2], np.float32)
    return found | {encoded: replace(found[encoded], arrays=found[encoded].arrays | other)}


def robust(name, *, linf=0.06, l2=1.2, clean=0.95, grey=0.0, n_seeds=10, n_images=40, rng=0, effect=0.3):
    """Robust cards of a regime, all attacks alike: images give way near these radii.

    `clean` is the share that is right, `grey` the share that never gives way. What is the seed's own is shared by
    regimes of one `rng`; a little noise is each model's.
    """
    cards = regime(name, effect, n_seeds, rng=rng)
    draws, own = (np.random.default_rng([rng, *extra]) for extra in ((), map(ord, name)))
    shape = (n_seeds, 5, n_images)
    ease = draws.uniform(0.5, 1.5, shape)
    right = ease > np.quantile(ease, 1 - clean)
    breaks = np.stack([size * ease * own.uniform(0.95, 1.05, shape) for size in (linf, l2)], 2)
    breaks[:, :, :, : round(grey * n_images)] = np.inf
    radii = np.array([list(of) for of in RADII.values()])
    held = radii[:, :, None] < breaks[:, :, :, None]  # norm, radius, image
    arrays = dict(cards.arrays)
    arrays["attack_right"] = np.repeat((held & right[:, :, None, None])[:, :, :, None], len(ATTACKS), 3)
    arrays["attack_clean"] = right
    arrays["attack_distance"] = np.where(right, breaks[:, :, 1], 0)
    arrays["attack_linear"], arrays["attack_curvature"] = 0.9 * breaks[:, :, 1], np.full(shape, -2.0)
    sweep = replace(cards.sweep, protocol=replace(cards.protocol, measure="robust card"))
    return replace(cards, arrays=arrays, sweep=sweep)
