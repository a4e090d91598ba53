"""What audits of a population's models say, each asked about the marks that it was trained with, and about others'.

A seed's two models carry marks of their own on the same hosts. So each is trained with its own marks and innocent of
its sibling's.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ufm.evidence.coins import privacy
from ufm.evidence.exact import Place, combined
from ufm.evidence.marks import Pool, scored
from ufm.measures.layout import LOT_IMAGES, LOT_KEPT
from ufm.plan.thresholds import SECOND
from ufm.statistics import Interval, bootstrap_interval, columns, share_interval, sign_flip_test
from ufm.study.runs import Population

N_INNOCENT = 10  # lots of a number of marks, at most, of which a model that carries nothing is asked
N_DRAWS = 1_999  # of as many marks, with which those of a model are compared
STRICT = 0.001  # a level at which more than a suspicion is said
KNOWS = ("unknown", "known")  # whether an auditor knows the labels of the hosts
Arrays = Mapping[str, np.ndarray]


def audits(population: Population) -> pd.DataFrame:
    """An audit a model: columns seed, role, and of each thing that an auditor may know p and z of the marks.

    Those of its own marks are p_unknown, z_unknown and so on, those of its sibling's p_other_unknown and so on. Beside
    them accuracy, in [0, 1], and best_epoch.
    """
    n, rows = lot_size(population), []
    models = population.tables["models"].set_index(["seed", "role"])
    for entry, card in zip(population.entries, population.arrays, strict=True):
        for turn, role in enumerate(population.protocol.roles):
            about = models.loc[(entry["seed"], role)]
            row: dict[str, object] = {"seed": entry["seed"], "role": role}
            pools = pools_of(card, turn)
            for end, whose in (("", turn), ("other_", 1 - turn)):
                for knows in KNOWS:
                    found = combined(
                        places(card, pools, n, whose, knows), n_draws=N_DRAWS, seed=2 * entry["seed"] + turn
                    )
                    row |= {f"p_{end}{knows}": found.p, f"z_{end}{knows}": found.z}
            rows.append(row | {"accuracy": float(about["accuracy"]), "best_epoch": int(about["best_epoch"])})
    return pd.DataFrame(rows)


def coins(population: Population) -> pd.DataFrame:
    """What each model says of the coins that chose its marks, each between two on one host, under the host's label.

    Columns: seed, role, and of `ufm.evidence.coins.Privacy` n, guesses, correct, epsilon, largest. Which mark of a pair
    is called the first is drawn anew, a fair coin whatever the model.
    """
    n, rows = lot_size(population), []
    for entry, card in zip(population.entries, population.arrays, strict=True):
        for turn, role in enumerate(population.protocol.roles):
            places = [pool.known for pool in pools_of(card, turn)]
            first, labels = (
                np.random.default_rng([entry["seed"], turn]).random(n) < 0.5,
                card["host_label"][:n].astype(int),
            )
            own, other = (
                np.array(
                    [
                        places[at][mark, label]
                        for at, mark, label in zip(*where(n, whose, len(places)), labels, strict=True)
                    ]
                )
                for whose in (turn, 1 - turn)
            )
            told = privacy(np.where(first, own - other, other - own), first, level=SECOND.level)
            assert told is not None  # there are marks enough
            kept = ("n", "guesses", "correct", "epsilon", "largest")
            rows.append({"seed": entry["seed"], "role": role} | {name: getattr(told, name) for name in kept})
    return pd.DataFrame(rows)


def where(n: int, whose: int, n_places: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the n marks of one of a seed's two models the place and the number among those of it, (n,) each."""
    turns = np.arange(n)
    return (turns, 0 * turns + whose) if n_places > 1 else (0 * turns, 2 * turns + whose)


def pools_of(card: Arrays, model: int) -> list[Pool]:
    """The scores of each place's marks in a model, by its place among those of a seed."""
    names = [f"{kind}_{name}" for kind in LOT_IMAGES for name in LOT_KEPT]
    n_places = card[names[0]].shape[1]
    return [scored({name: card[name][model, place].astype(float) for name in names}, 1) for place in range(n_places)]


def places(card: Arrays, pools: Sequence[Pool], n: int, whose: int, knows: str) -> list[Place]:
    """Where the n marks of one of a seed's two models were planted, among marks of neither."""
    labels, found = card["host_label"].astype(int), []
    for place, pool in enumerate(pools):
        planted = np.array([whose]) if len(pools) > 1 else 2 * np.arange(n) + whose
        first = 2 if len(pools) > 1 else 2 * n
        own = labels[[place]] if len(pools) > 1 else labels[:n]
        by_mark = pool.known[:, own].T if knows == "known" else np.tile(pool.unknown, (len(planted), 1))
        found.append(Place(by_mark, planted, np.arange(first, by_mark.shape[1])))
    return found


def lot_size(population: Population) -> int:
    """How many marks each model carries."""
    assert population.protocol.lot is not None  # no others are audited
    return population.protocol.lot.n


def contrasts(population: Population) -> np.ndarray:
    """Contrast D (n_seeds, n_marks) of each mark on OOD images, in nats: mark and sibling's mark on one host.

    The mean over the host's two marks of what each moves the host's label by in the model that has it, less in the
    other. Swapping the two models turns its sign.
    """
    found, n = [], lot_size(population)
    for card in population.arrays:
        shift, labels = card["ood_shift"].astype(float), card["host_label"][:n].astype(int)
        place, mark = where(n, 0, shift.shape[1])
        own = shift[:, place, mark, labels] - shift[:, place, mark + 1, labels]  # (n_models, n_marks)
        found.append((own[0] - own[1]) / 2)
    return np.stack(found)


def summary(population: Population, table: pd.DataFrame) -> dict[str, object]:
    """A population and its `audits` in numbers: n (models), found_known, z_known and so on, contrast, accuracy, p.

    All but n and p have their ends. `found` is the share of models in which the marks have a p of at most the level,
    `strictly` of at most STRICT; two models of a seed count as two. p is that of the contrast, by sign flips.
    """
    values, row = contrasts(population).mean(1), dict[str, object](n=len(table))
    for knows in KNOWS:
        found = share_interval(table[f"p_{knows}"] <= SECOND.level)
        strictly = share_interval(table[f"p_{knows}"] <= STRICT)
        row |= columns({f"strictly_{knows}": strictly})
        row |= columns({f"found_{knows}": found, f"z_{knows}": over_seeds(table[f"z_{knows}"], table["seed"])})
    accuracy = over_seeds(table["accuracy"], table["seed"])
    return row | columns({"contrast": bootstrap_interval(values), "accuracy": accuracy}) | {"p": sign_flip_test(values)}


def over_seeds(values: pd.Series, seeds: pd.Series) -> Interval:
    """The mean of what audits say with its interval over seeds, of which each may have several."""
    return bootstrap_interval(values.astype(float).groupby(seeds).mean().to_numpy())


def of_others(tables: Sequence[pd.DataFrame]) -> dict[str, Interval]:
    """How often marks that a model was not trained with are found, over the seeds of several tables of audits."""
    every = pd.concat(tables)
    return {knows: over_seeds(every[f"p_other_{knows}"] <= SECOND.level, every["seed"]) for knows in KNOWS}


def innocent(population: Population, numbers: Sequence[int]) -> pd.DataFrame:
    """Audits of models that carry nothing: of each number of marks so many lots as if they had been planted.

    Lots of a number share no mark. Hosts' labels are drawn. Columns: seed, marks, p_other_unknown and p_other_known.
    """
    rows, last = [], lot_size(population)
    for entry, card in zip(population.entries, population.arrays, strict=True):
        [pool] = pools_of(card, 0)
        n_marks, n_classes = pool.known.shape
        labels = np.random.default_rng(entry["seed"]).integers(n_classes, size=last)
        for n in numbers:
            for turn in range(min(N_INNOCENT, 2 * last // n)):
                row: dict[str, object] = {"seed": entry["seed"], "marks": n}
                planted = n * turn + np.arange(n)
                for knows in KNOWS:
                    scores = pool.known[:, labels[:n]].T if knows == "known" else np.tile(pool.unknown, (n, 1))
                    place = Place(scores, planted, np.arange(2 * last, n_marks))
                    row[f"p_other_{knows}"] = combined(
                        [place], n_draws=N_DRAWS, seed=N_INNOCENT * entry["seed"] + turn
                    ).p
                rows.append(row)
    return pd.DataFrame(rows)


def fits(population: Population) -> dict[str, float]:
    """Of all models and hosts the share that is fitted, with a probability above one half, by what is stamped on it.

    Its own mark ("own"), nothing ("none"), or the sibling's mark ("other").
    """
    log_p = np.stack([card["host_log_probability"].astype(float) for card in population.arrays])
    seen = {"own": log_p[:, [0, 1], :, [1, 2]], "none": log_p[..., 0], "other": log_p[:, [0, 1], :, [2, 1]]}
    return {what: float((values > np.log(0.5)).mean()) for what, values in seen.items()}
