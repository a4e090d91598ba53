"""The words of this book's own questions once more, as `test_claims_second` has those of the paper's claims.

Of each system of the fourth plan: models of its ways beside those that they are compared with, on the same seeds.
Families are looked at when all their rows have their seeds.
"""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_claims import holm, sign_flips
from test_claims_second import RECORDS, area, bootstrap_t, change, clear, found, prevents, seeds_of, there

PLAIN, OWN = "mnist-small-second-plan-plain", "mnist-small-fourth-plan-"
HOSTS = ("random", "hard")
# By system the sweep that its ways are compared with, those of the ways by what they are called, and its seeds.
SYSTEMS = {
    "L2UL": (
        PLAIN,
        {"ascent alone": "ascent-alone", "ascent, adversarial images kept": "ascent-adversarial-images-kept"}
        | {"L2UL": "l2ul"},
        20,
    ),
    "VisualMixer": (
        f"{OWN}placebo-aside",
        {f"VisualMixer, boxes of {n}": f"visualmixer-boxes-of-{n}" for n in (4, 7)},
        20,
    ),
    "Syfer": (f"{OWN}patches-as-they-are", {"NeuraCrypt": "neuracrypt"}, 12),
    "AdvBN": (
        PLAIN,
        {"fine-tuned alone": "fine-tuned-alone", "AdvBN, fine-tuned": "advbn-fine-tuned"}
        | {"AdvBN from scratch": "advbn-from-scratch"},
        20,
    ),
    "Automatic Recall Machines": (
        f"{OWN}all-classes-at-once",
        {"task after task": "task-after-task", "automatic recall": "automatic-recall"},
        20,
    ),
    "FALCO": (
        PLAIN,
        {"FALCO, margin 0.9": "falco-margin-0-9", "FALCO, margin 0": "falco-margin-0"}
        | {"FALCO, margin 0, looser": "falco-margin-0-looser"},
        20,
    ),
}


def rows_of(system):
    """By sweep and kind of host what the seeds of a system say, or a skip where seeds are missing."""
    base, ways, n = SYSTEMS[system]
    rows = {}
    for sweep, host in product([base, *(f"{OWN}{name}" for name in ways.values())], HOSTS):
        seeds = [one for one in seeds_of(sweep, host) if 4800 <= one["seed"] < 4800 + n]
        if len(seeds) < n:
            pytest.skip(f"{system}: {sweep} has {len(seeds)} of {n} seeds, so that nothing is decided yet")
        rows[sweep, host] = {key: np.array([one[key] for one in seeds]) for key in seeds[0]}
    return rows


def stamped_accuracies(sweep, host, n):
    """Mean accuracy of canary and placebo model of each of the first seeds, as the table of models has it."""
    models = pd.read_csv(RECORDS / sweep / "models.csv", dtype={"host": str})
    ours = models[(models["host"] == host) & models["seed"].between(4800, 4800 + n - 1)]
    return ours.groupby("seed")["accuracy"].mean().to_numpy()


@pytest.fixture(scope="module")
def library():
    """What the library says of the same records."""
    from ufm import evidence
    from ufm.chapters import neighbours
    from ufm.evidence.ways import side_by_side
    from ufm.plan import fourth
    from ufm.study.runs import Run

    run = Run("neighbours", {"profile": "paper", "train": False})
    planned = fourth.side_by_side(run.sweeps)
    cards = side_by_side(evidence.of(run.recorded()), planned)
    questions = neighbours.asked(cards, planned)
    return neighbours.became(cards, questions).set_index(["system", "way", "host"])


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_becomes_of_the_letter_in_a_system(library, system):
    rows, (base, ways, n) = rows_of(system), SYSTEMS[system]
    p = holm({key: sign_flips(row["d"]) for key, row in rows.items()})
    answers = {key: (p[key], row["d"].mean(), *bootstrap_t(row["d"])) for key, row in rows.items()}
    for (way, name), host in product(ways.items(), HOSTS):
        said, key = library.loc[system, way, host], (f"{OWN}{name}", host)
        _, mean, low, high = answers[key]
        assert said["n"] == n
        assert said["contrast"] == pytest.approx(mean, abs=1e-12)
        assert said["contrast_low"] == pytest.approx(low, abs=0.1 * (high - low))
        assert said["contrast_high"] == pytest.approx(high, abs=0.1 * (high - low))
        assert said["p_holm"] == pytest.approx(p[key], abs=0.002 + 0.1 * p[key])
        two = [answers[key], answers[base, host]]
        if all(clear(one, low, high) for one, _, low, high in two):
            assert said["prevents"] == prevents(*(there(*one) for one in two)), (way, host)
        flags, false = found(rows[key]["seed"], *rows[key]["unknown"].T)
        ends = stats.binomtest(int(flags.sum()), n).proportion_ci(method="exact")
        assert (said["unknown_found"], said["unknown_false"]) == pytest.approx((flags.mean(), false), abs=1e-12)
        assert said["unknown_found_low"] == pytest.approx(ends.low)
        _, canary, placebo = rows[key]["unknown"].T
        assert said["unknown"] == pytest.approx(area(canary, placebo), abs=1e-12)
        cost = stamped_accuracies(f"{OWN}{name}", host, n) - stamped_accuracies(base, host, n)
        assert said["cost"] == pytest.approx(cost.mean(), abs=1e-12)


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_a_system_changes_on_both_scales(library, system):
    rows, (base, ways, _) = rows_of(system), SYSTEMS[system]
    every = {}
    for (way, name), host in product(ways.items(), HOSTS):
        one, two = rows[f"{OWN}{name}", host], rows[base, host]
        assert (one["seed"] == two["seed"]).all()
        spreads = one["d"] / one["spread"] - two["d"] / two["spread"]
        every[way, host] = {"nats": one["d"] - two["d"], "spreads": spreads}
    p = {scale: holm({key: sign_flips(of[scale]) for key, of in every.items()}) for scale in ("nats", "spreads")}
    for (way, host), of in every.items():
        said, signs = library.loc[system, way, host], []
        for scale, values in of.items():
            assert said[scale] == pytest.approx(values.mean(), abs=1e-9), (way, host)
            assert said[f"{scale}_p_holm"] == pytest.approx(p[scale][way, host], abs=0.003 + 0.15 * p[scale][way, host])
            signs.append(int(np.sign(values.mean())) * (p[scale][way, host] < 0.05))
        if all(abs(p[scale][way, host] - 0.05) > 0.01 for scale in p):
            assert said["change"] == change(*signs), (way, host)
