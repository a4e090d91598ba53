"""What models that learn their classes task after task keep of a letter, and whether it is in what they recall."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from math import isnan, nan

import numpy as np
import pandas as pd

from ufm import scores
from ufm.data.folders import called
from ufm.evidence.cards import Cards
from ufm.evidence.cells import corrected
from ufm.evidence.effects import LETTER, contrasts_of_specific
from ufm.plan.second import regime
from ufm.plan.thresholds import SECOND
from ufm.protocol import placebo, task_of
from ufm.statistics import bootstrap_interval, bootstrap_t_interval, columns, sign_flip_test

FEWEST = 6  # hosts of a row: of five no sign-flip test shows anything, and intervals of three or four say nothing


class Course(StrEnum):
    """Is it forgotten over tasks?"""

    FADES = "fades, in nats"
    GROWS = "grows, in nats"
    NOTHING = "no change shown"
    OPEN = "waits for seeds"


class Recalled(StrEnum):
    """Does what is recalled go with what was stamped?"""

    WITH = "goes with it"
    AGAINST = "goes against it"
    NOT = "not shown"
    OPEN = "waits for seeds"


def own_tasks(cards: Cards, host: str) -> np.ndarray:
    """The task (n_seeds,) of a seed's host, from 0."""
    return task_of(cards.label(host), cards.n_classes, n_tasks(cards))


def n_tasks(cards: Cards) -> int:
    """In how many tasks the models learn."""
    tasks = cards.protocol.training.tasks
    assert tasks is not None  # nothing else has a task card
    return tasks.n


def contrasts_after(cards: Cards, host: str) -> np.ndarray:
    """D (n_seeds, n_tasks) after each task."""
    shifts = np.moveaxis(cards.arrays["task_shift"], 2, 0)
    return np.stack([contrasts_of_specific(cards, host, after) for after in shifts], 1)


def probabilities_after(cards: Cards, host: str) -> np.ndarray:
    """Probability (n_seeds, n_tasks) of the host's label on the host with the letter in the canary, after each task."""
    kind = cards.protocol.hosts.index(host)
    return np.exp(cards.arrays["task_host_log_probability"][:, cards.model("canary", host), :, kind, LETTER])


def later(values: np.ndarray, own: np.ndarray) -> np.ndarray:
    """values (n_seeds, n_tasks) by how many tasks later than the host's own it is, NaN where there are no more."""
    found = np.full(values.shape, nan)
    for seed, task in enumerate(own):
        found[seed, : values.shape[1] - task] = values[seed, task:]
    return found


def in_tasks(populations: Mapping[str, Cards], settings: Sequence[str]) -> list[tuple[str, str, Cards]]:
    """Population, setting and cards of those that learn in tasks, in the order of the settings."""
    there = [(cards.trained_on, regime(cards.sweep), cards) for cards in populations.values()]
    return [one for setting in settings for one in there if one[1] == setting]


def by_task(populations: Mapping[str, Cards], settings: Sequence[str]) -> pd.DataFrame:
    """D and how the host is fitted, a row a population, setting, kind of host and number of tasks after the host's own.

    Columns: population, setting, host, later, n (seeds that have as many later tasks), contrast (mean D, nats) and
    probability (of the host's label on the host with the letter, canaries), each with its low and high end. Fewer than
    `FEWEST` seeds have no row, nor have sweeps that lack seeds.
    """
    rows = []
    for population, setting, cards in in_tasks(populations, settings):
        for host in cards.protocol.hosts if cards.complete else ():
            own = own_tasks(cards, host)
            both = [later(of(cards, host), own) for of in (contrasts_after, probabilities_after)]
            for place in range(n_tasks(cards)):
                contrasts, fits = (values[:, place][~np.isnan(values[:, place])] for values in both)
                if len(contrasts) >= FEWEST:
                    row = {"population": population, "setting": setting, "host": host, "later": place}
                    found = {"contrast": bootstrap_t_interval(contrasts), "probability": bootstrap_interval(fits)}
                    rows.append(row | {"n": len(contrasts)} | columns(found))
    names = ["population", "setting", "host", "later", "n"]
    return pd.DataFrame(rows, columns=None if rows else [*names, "contrast", "contrast_low", "contrast_high"])


def over_tasks(populations: Mapping[str, Cards], settings: Sequence[str]) -> pd.DataFrame:
    """Is it forgotten over tasks: a row a population, setting and kind of host, of hosts that have a later task.

    Columns: population, setting, host, n (such hosts), and where no seed is lacking own and last (mean D after the
    host's task and after the last, nats), change (the second less the first), fits and fits_last (probability of the
    host's label on the host with the letter, canaries), each with its low and high end, own_p (of own, not corrected),
    p and p_holm (of the change, over the rows); course.
    """

    def found(cards: Cards, host: str, own: np.ndarray, some: np.ndarray) -> dict[str, float]:
        both = (of(cards, host)[some] for of in (contrasts_after, probabilities_after))
        (first, last), fits = ((one[np.arange(len(one)), own[some]], one[:, -1]) for one in both)
        values = {"own": first, "last": last, "change": last - first}
        row = columns({name: bootstrap_t_interval(of) for name, of in values.items()})
        row |= columns({name: bootstrap_interval(of) for name, of in zip(("fits", "fits_last"), fits, strict=True)})
        return row | {"own_p": sign_flip_test(first), "p": sign_flip_test(last - first)}

    table = with_later_tasks(populations, settings, found)
    return table.assign(course=[course(row) for row in table.to_dict("records")])


def with_later_tasks(
    populations: Mapping[str, Cards],
    settings: Sequence[str],
    found: Callable[[Cards, str, np.ndarray, np.ndarray], dict[str, float]],
) -> pd.DataFrame:
    """What is found, a row a population, setting and kind of host, of which all seeds are there and `FEWEST` go on.

    found: the columns of a row, p among them, by cards, kind of host, its task and whether it has a later one
    (n_seeds,). Other columns: population, setting, host, n (hosts that have a later task), p_holm over the rows.
    """
    rows = []
    for population, setting, cards in in_tasks(populations, settings):
        for host in cards.protocol.hosts:
            own = own_tasks(cards, host)
            some = own < n_tasks(cards) - 1
            row = {"population": population, "setting": setting, "host": host, "n": int(some.sum())}
            rows.append(row | (found(cards, host, own, some) if cards.complete and some.sum() >= FEWEST else {}))
    table = pd.DataFrame(rows, columns=None if rows else ["population", "setting", "host", "n"])
    p = table.get("p", pd.Series(nan, table.index, dtype=float))
    return table.assign(p_holm=corrected(p, planned=True))


def course(row: Mapping[str, float]) -> Course:
    """The word for a row of `over_tasks`."""
    words = {1: Course.GROWS, -1: Course.FADES, 0: Course.NOTHING}
    return Course.OPEN if isnan(row["p_holm"]) else words[shown(row["change"], row["p_holm"])]


def shown(mean: float, p_holm: float) -> int:
    """The sign of a mean that is shown to differ from zero, else 0."""
    return int(np.sign(mean)) * (p_holm < SECOND.level)


def recalls(populations: Mapping[str, Cards], settings: Sequence[str]) -> pd.DataFrame:
    """Does what is recalled right after the host's task go with the letter: a row a population, setting, kind of host.

    Columns: population, setting, host, n (hosts that have a later task), and where no seed is lacking letter and
    control (mean correlation of recalled images with the letter where features are stamped, in canaries and in
    controls), recalled (R, see book/fourth-plan.md), each with its low and high end, p and p_holm (of R, over the
    rows); word.
    """

    def found(cards: Cards, host: str, own: np.ndarray, some: np.ndarray) -> dict[str, float]:
        letter, other = (correlations(cards, host, stamped)[some] for stamped in ("canary", "placebo"))
        canary, placebos = cards.model("canary", host), cards.model("placebo", host)
        more = np.asarray(
            scores.contrast(
                letter_on_canary=letter[:, canary],
                letter_on_placebo=letter[:, placebos],
                placebo_on_placebo=other[:, placebos],
                placebo_on_canary=other[:, canary],
            )
        )
        values = {"letter": letter[:, canary], "control": letter[:, cards.model("control")], "recalled": more}
        return columns({name: bootstrap_t_interval(of) for name, of in values.items()}) | {"p": sign_flip_test(more)}

    table = with_later_tasks(populations, settings, found)
    return table.assign(word=[word(row) for row in table.to_dict("records")])


def word(row: Mapping[str, float]) -> Recalled:
    """The word for a row of `recalls`."""
    words = {1: Recalled.WITH, -1: Recalled.AGAINST, 0: Recalled.NOT}
    return Recalled.OPEN if isnan(row["p_holm"]) else words[shown(row["recalled"], row["p_holm"])]


def correlations(cards: Cards, host: str, role: str) -> np.ndarray:
    """Mean correlation (n_seeds, n_models) of images that are recalled right after the host's task with what is
    stamped in a role on that host. NaN where no task is left.
    """
    protocol = cards.protocol
    unique, scope = protocol.unique, f"{called(protocol.dataset)}/{protocol.n_train or 'full'}"
    found = np.full(cards.arrays["recalled_patch"].shape[:2], nan)
    for place, (seed, task) in enumerate(zip(cards.seeds.tolist(), own_tasks(cards, host), strict=True)):
        feature = unique if role == "canary" else placebo(protocol, unique, seed, host, scope)
        if task + 1 < n_tasks(cards):
            patches = cards.arrays["recalled_patch"][place, :, task + 1]
            found[place] = (patches * (feature - feature.mean()) / feature.std()).mean((-1, -2))
    return found
