"""The second plan's words once more from the committed records alone, in plain NumPy and SciPy.

Nothing here uses the library's evidence, detectors or statistics; only what it says is compared with. Families are
looked at when all their rows have their seeds.
"""

import json
import os
import re
from collections import Counter
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_claims import holm, sign_flips

ROOT = Path(__file__).parents[1]
RECORDS = Path(os.environ.get("UFM_RECORDS") or ROOT / "book" / "records")
PLAN = "-second-plan-"
MLPS = {"mnist": 200, "fashion_mnist": 96}
TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
WAYS = ("plain", "batch-norm", "dropout", "augmentation", "dropout-augmentation", "weight-decay-3", "to-the-end")
XRAYS = {"mlp-letter": 50, "mlp-name": 50, "cnn-1-letter": 20, "cnn-1-name": 20}
# By family its rows: host, seeds that are needed, and the sweeps that have them.
FAMILIES = {
    "C1": {
        name: ("random", n, [f"{name}-full{PLAN}both-hosts", f"{name}-full{PLAN}random-hosts"])
        for name, n in MLPS.items()
    },
    "C1, hard hosts": {name: ("hard", 40, [f"{name}-full{PLAN}both-hosts"]) for name in MLPS},
    "C3": {
        f"{name}, {way}, {host}": (host, 24, [f"{name}-small{PLAN}{way}"])
        for way in WAYS
        for name in MLPS
        for host in ("random", "hard")
    },
    "C6": {
        f"{name}, {host}": (host, n, [f"pneumoniamnist{PLAN}{name}"])
        for name, n in XRAYS.items()
        for host in ("random", "hard")
    },
}
BEST, CONTROLS = 0, 2  # of a card's ages: the own best epoch, that of the seed's control


@cache
def seeds_of(sweep, host):
    """What the seeds of a sweep say of one kind of host, in their order: a dictionary a seed."""
    folder = RECORDS / sweep
    if not (folder / "manifest.json").exists():
        return []
    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    models, found = pd.read_csv(folder / "models.csv", dtype={"host": str}).groupby("record"), []
    for record in sorted(entries, key=lambda one: entries[one]["seed"]):
        rows = models.get_group(record)
        kinds = list(dict.fromkeys(rows["host"].dropna()))
        kind, places = kinds.index(host), [0, 1 + 2 * kinds.index(host), 2 + 2 * kinds.index(host)]
        assert rows["role"].iloc[places].tolist() == ["control", "canary", "placebo"]
        with np.load(folder / "arrays" / f"{record}.npz") as card:
            [own] = np.flatnonzero(card["host_kind"] == kind)
            label, own_feature = int(card["host_label"][own]), 1 + kind
            assert label == int(rows["canary_label"].iloc[places[1]])
            aged = card["ood_age_shift"].astype(float)[places][:, CONTROLS, :, label]
            fits = card["host_log_probability"].astype(float)[places][:, CONTROLS, own, :2]
            permutations = slice(1 + len(kinds), None)
            found.append(
                {
                    "seed": entries[record]["seed"],
                    "d": ((aged[1, 0] - aged[2, 0]) + (aged[2, own_feature] - aged[1, own_feature])) / 2,
                    "spread": card["ood_null"].astype(float)[places[1:], 1, label].mean(),
                    "probability": np.exp(fits),
                    "gain": np.subtract(*(fits[1:, 1] - fits[1:, 0])),
                    "unknown": default(card, permutations)[places],
                    "known": label_known(card, permutations)[places, label],
                }
            )
    return found


def standardised(values, permutations):
    """The letter's value in standard deviations over permutations; values: (model, feature, …)."""
    null = values[:, permutations]
    return (values[:, 0] - null.mean(1)) / null.std(1, ddof=1)


def label_known(card, permutations):
    """The shift of every class on the black image + 0.3 OOD images, (model, class)."""
    black, ood = (standardised(card[name].astype(float), permutations) for name in ("black_shift", "ood_shift"))
    return black + 0.3 * ood


def default(card, permutations):
    """The default detector's score of every model."""
    kl = np.log(np.maximum(card["ood_kl_mean"].astype(float), 1e-7))
    return label_known(card, permutations).max(-1) + 0.5 * standardised(kl, permutations)


def rows_of(family):
    """The rows of a family, and what it lacks in words."""
    rows = {}
    for name, (host, n, sweeps) in FAMILIES[family].items():
        seeds = sorted((one for sweep in sweeps for one in seeds_of(sweep, host)), key=lambda one: one["seed"])
        if len(seeds) < n:
            return {}, f"{family}: {name} has {len(seeds)} of {n} seeds, so that nothing is decided yet"
        assert len({one["seed"] for one in seeds}) == n
        rows[name] = {key: np.array([one[key] for one in seeds]) for key in seeds[0]}
    return rows, ""


def complete(family):
    """The rows of a family, or a skip where seeds are missing."""
    rows, lacking = rows_of(family)
    if lacking:
        pytest.skip(lacking)
    return rows


def bootstrap_t(values, *, n=10_000):
    """The interval of a mean whose quantiles stand in for Student's."""
    drawn = np.random.default_rng(7).choice(values, (n, len(values)))
    error = values.std(ddof=1) / np.sqrt(len(values))
    t = (drawn.mean(1) - values.mean()) / (drawn.std(1, ddof=1) / np.sqrt(len(values)))
    low, high = np.quantile(t, [0.975, 0.025])
    return values.mean() - low * error, values.mean() - high * error


def there(p, mean, low, high):
    if p < 0.05 and mean > 0:
        return "there and large" if low > 0.1 else "there but small" if high < 0.1 else "there, its size open"
    return "not there" if high < 0.02 else "undecided"


def clear(p, low, high, lines=(0.0, 0.02, 0.1)):
    """Whether p and the ends of an interval lie far enough from the lines on which words stand."""
    near = 0.1 * (high - low)
    return abs(p - 0.05) > 0.005 and all(abs(end - line) > near for end in (low, high) for line in lines)


def area(canaries, others):
    return ((canaries[:, None] > others).mean() + (canaries[:, None] >= others).mean()) / 2


def area_interval(canaries, others):
    def of(drawn):
        return area(canaries[drawn], others[drawn])

    every = np.arange(len(canaries))
    found = stats.bootstrap((every,), of, n_resamples=3000, method="BCa", random_state=7, vectorized=False)
    return tuple(map(float, found.confidence_interval))


def exchanged(canaries, others, *, n=10_000):
    """The p of exchanging within each seed which of its two models is the canary."""
    rng, observed, larger = np.random.default_rng(7), abs(area(canaries, others) - 0.5), 1
    for _ in range(n):
        swap = rng.random(len(canaries)) < 0.5
        larger += abs(area(np.where(swap, others, canaries), np.where(swap, canaries, others)) - 0.5) >= observed - 1e-9
    return larger / (n + 1)


def found(seeds, control, canary, placebo):
    """Share of canaries above the 95th percentile of the innocent models of the other folds, and of innocent ones."""
    fold, flags, false = seeds % 10, [], []
    for one in np.unique(fold):
        innocent = np.sort(np.concatenate([control[fold != one], placebo[fold != one]]))[::-1]
        limit = innocent[int(np.floor(len(innocent) * 0.05 + 1e-9))]
        flags += (canary[fold == one] > limit).tolist()
        false += (np.concatenate([control[fold == one], placebo[fold == one]]) > limit).tolist()
    return np.array(flags), np.mean(false)


def told(p, low, high, found_low):
    if p < 0.05 and low > 0.5:
        return "can mostly be told" if found_low > 0.5 else "can sometimes be told"
    return "cannot be told by it" if high < 0.6 else "undecided"


@pytest.fixture(scope="module")
def library():
    """What the library says of the same records, by family."""
    from ufm import evidence
    from ufm.chapters.verdicts import questions
    from ufm.study.runs import Run

    run = Run("verdicts", {"profile": "paper", "train": False})
    return questions(evidence.of(run.recorded()), run.sweeps)


@pytest.mark.parametrize("family", FAMILIES)
def test_whether_it_is_there_and_how_large(library, family):
    rows, theirs = complete(family), library[family].to_dict("records")
    p = holm({name: sign_flips(row["d"]) for name, row in rows.items()})
    for (name, row), said in zip(rows.items(), theirs, strict=True):
        low, high = bootstrap_t(row["d"])
        assert said["n"] == len(row["d"]), name
        assert said["contrast"] == pytest.approx(row["d"].mean(), abs=1e-12)
        assert said["contrast_low"] == pytest.approx(low, abs=0.1 * (high - low))
        assert said["contrast_high"] == pytest.approx(high, abs=0.1 * (high - low))
        assert said["p_holm"] == pytest.approx(p[name], abs=0.002 + 0.1 * p[name])
        if clear(p[name], low, high):  # else other random numbers may say another word
            assert said["there"] == there(p[name], row["d"].mean(), low, high), name
        assert said["gain"] == pytest.approx(row["gain"].mean(), abs=1e-9)
        two = np.array([said["gain_p"], sign_flips(row["gain"])])  # of other draws, as many
        assert abs(two[0] - two[1]) < 1e-4 + 4 * np.sqrt(2 * two.max() / 100_000)
        probability = row["probability"].mean(0)
        for place, model in enumerate(("control", "canary", "placebo")):
            assert said[f"{model}_without"] == pytest.approx(probability[place, 0], abs=1e-9)
            assert said[f"{model}_with"] == pytest.approx(probability[place, 1], abs=1e-9)


@pytest.mark.parametrize("auditor", ["unknown", "known"])
@pytest.mark.parametrize("family", FAMILIES)
def test_whether_it_can_be_told(library, family, auditor):
    rows, theirs = complete(family), library[family].to_dict("records")
    scores = {name: row[auditor].T for name, row in rows.items()}
    p = holm({name: said[f"{auditor}_p"] for name, said in zip(rows, theirs, strict=True)})
    for (name, row), said in zip(rows.items(), theirs, strict=True):
        control, canary, placebo = scores[name]
        two = np.array([said[f"{auditor}_p"], exchanged(canary, placebo)])  # of other draws, as many
        assert abs(two[0] - two[1]) < 4 * np.sqrt(2 * two.max() / 10_000), name
        low, high = area_interval(canary, placebo)
        flags, false = found(row["seed"], control, canary, placebo)
        ends = stats.binomtest(int(flags.sum()), len(flags)).proportion_ci(method="exact")
        assert said[auditor] == pytest.approx(area(canary, placebo), abs=1e-12), name
        assert said[f"{auditor}_p_holm"] == pytest.approx(p[name], abs=1e-12)
        assert said[f"{auditor}_found"] == pytest.approx(flags.mean(), abs=1e-12)
        assert said[f"{auditor}_false"] == pytest.approx(false, abs=1e-12)
        assert said[f"{auditor}_found_low"] == pytest.approx(ends.low)
        if np.isfinite(low):  # resamples that all agree have no interval, and the estimate stands for its ends
            assert said[f"{auditor}_low"] == pytest.approx(low, abs=0.15 * (high - low) + 1e-9)
            assert said[f"{auditor}_high"] == pytest.approx(high, abs=0.15 * (high - low) + 1e-9)
            if clear(p[name], low, high, (0.5, 0.6)):
                assert said[f"{auditor}_told"] == told(p[name], low, high, ends.low), name


WITHOUT = {way: "to-the-end" if way == "plain" else "plain" for way in WAYS[:-1]}  # by way, what it is compared with


def asked(rows):
    """p, mean and interval of some rows: Holm's correction counts each."""
    p = holm({name: sign_flips(row["d"]) for name, row in rows.items()})
    return {name: (p[name], row["d"].mean(), *bootstrap_t(row["d"])) for name, row in rows.items()}


def prevents(with_it, without, gains):
    """gains: what the letter brings on the host itself, in each seed's canary less in its placebo model."""
    if not without.startswith("there"):
        return "undecided"
    if with_it.startswith("there"):
        return "does not prevent it"
    if with_it != "not there":
        return "undecided"
    on_host = gains.mean() > 0 and sign_flips(gains) < 0.05
    return "leaves it on its host alone" if on_host else "prevents it"


def test_what_each_way_prevents(library):
    from ufm.evidence.ways import prevention
    from ufm.plan.second import COMPARED

    every = complete("C3")
    answers = asked(every)
    theirs = prevention(library["C3"], COMPARED).set_index(["population", "way", "host"])
    assert len(theirs) == len(WITHOUT) * len(MLPS) * 2
    for (name, title), (way, other), host in product(TITLES.items(), WITHOUT.items(), ("random", "hard")):
        two = [answers[f"{name}, {one}, {host}"] for one in (way, other)]
        if all(clear(p, low, high) for p, _, low, high in two):
            said = theirs.loc[(f"{title}, 10 000 images", "early stopping" if way == "plain" else in_words(way), host)]
            assert said["prevents"] == prevents(
                *(there(*one) for one in two), every[f"{name}, {way}, {host}"]["gain"]
            ), (name, way, host)


def in_words(way):
    """A way as the pages call it."""
    return {"dropout-augmentation": "dropout + augmentation"}.get(way, way.replace("-", " "))


def test_what_each_way_changes_on_both_scales(library):
    from ufm import evidence
    from ufm.chapters import regularisers
    from ufm.study.runs import Run

    rows = complete("C3")
    run = Run("regularisers", {"profile": "paper", "train": False})
    cards = evidence.of(run.recorded())
    theirs = regularisers.became(cards, regularisers.asked(cards, run.sweeps)).set_index(["population", "way", "host"])
    every = {}
    for (name, title), (way, other), host in product(TITLES.items(), WITHOUT.items(), ("random", "hard")):
        one, two = (rows[f"{name}, {regime}, {host}"] for regime in (way, other))
        assert (one["seed"] == two["seed"]).all()
        called = "early stopping" if way == "plain" else in_words(way)
        every[f"{title}, 10 000 images", called, host] = {
            "nats": one["d"] - two["d"],
            "spreads": one["d"] / one["spread"] - two["d"] / two["spread"],
        }
    assert len(every) == 24
    p = {scale: holm({key: sign_flips(of[scale]) for key, of in every.items()}) for scale in ("nats", "spreads")}
    for key, of in every.items():
        said, signs = theirs.loc[key], []
        for scale, values in of.items():
            low, high = bootstrap_t(values)
            assert said[scale] == pytest.approx(values.mean(), abs=1e-9), key
            assert said[f"{scale}_low"] == pytest.approx(low, abs=0.1 * (high - low))
            assert said[f"{scale}_high"] == pytest.approx(high, abs=0.1 * (high - low))
            assert said[f"{scale}_p_holm"] == pytest.approx(p[scale][key], abs=0.003 + 0.15 * p[scale][key])
            signs.append(int(np.sign(values.mean())) * (p[scale][key] < 0.05))
        if all(abs(p[scale][key] - 0.05) > 0.01 for scale in p):
            assert said["change"] == change(*signs), key


def change(nats, spreads):
    if nats == spreads:
        return {1: "raises", -1: "reduces", 0: "no change shown"}[nats]
    return "scales disagree" if nats == -spreads else "one scale alone"


ROUNDINGS = [f"mnist-small{PLAN}same-hosts", f"mnist-small{PLAN}same-hosts-another-rounding"]


def both_roundings():
    """D of every rounding, seed and host (2, 30, 10), or a skip where seeds are missing."""
    values = []
    for sweep in ROUNDINGS:
        models = RECORDS / sweep / "models.csv"
        hosts = pd.read_csv(models, dtype={"host": str})["host"].dropna().unique() if models.exists() else []
        of_hosts = [seeds_of(sweep, host) for host in hosts]
        n = min(map(len, of_hosts), default=0)
        if (len(of_hosts), n) != (10, 30):
            pytest.skip(f"C5: {sweep} has {n} of 30 seeds, so that nothing is decided yet")
        values.append([[one["d"] for one in seeds] for seeds in of_hosts])
    return np.swapaxes(values, 1, 2)


def share(values):
    """The spread over seeds of one host, of two roundings (2, n_seeds, n_hosts), as a share of the mean."""
    first, other = values - values.mean(1, keepdims=True)
    variance = (first * other).sum(0) / (values.shape[1] - 1)
    return np.sqrt(max(variance.mean(), 0)) / values.mean()


def share_of_pairs(values, counts):
    """The same of a resample that has each seed so many times: a seed that it has twice makes no pair with itself."""
    one, other = np.triu_indices(len(counts), 1)
    weights = counts[one] * counts[other]
    (first, second), mean = values[:, one] - values[:, other], (counts[:, None] * values.mean(0)).sum(0) / counts.sum()
    covariance = (weights[:, None] * first * second).sum(0) / (2 * weights.sum())
    return np.sqrt(max(covariance.mean(), 0)) / mean.mean()


def test_how_much_d_varies_with_the_seed():
    from ufm import evidence
    from ufm.evidence import crossed
    from ufm.study.runs import Run

    values = both_roundings()
    said = crossed.spread(evidence.of(Run("seeds", {"profile": "paper", "train": False}).recorded()))
    rng = np.random.default_rng(7)
    drawn = np.array([share_of_pairs(values, rng.multinomial(30, [1 / 30] * 30)) for _ in range(5000)])
    assert share_of_pairs(values, np.ones(30)) == pytest.approx(share(values))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (said["n"], said["estimate"]) == (30, pytest.approx(share(values)))
    assert said["low"] == pytest.approx(low, abs=0.1 * (high - low))
    assert said["high"] == pytest.approx(high, abs=0.1 * (high - low))
    assert said["p"] == pytest.approx((1 + (drawn <= 0.25).sum()) / (len(drawn) + 1), abs=0.02)
    if min(abs(low - 0.25), abs(high - 0.25)) > 0.1 * (high - low):
        word = "by more than a quarter" if low > 0.25 else "by less than a quarter" if high < 0.25 else "undecided"
        assert said["varies"] == word


def test_one_number_a_claim_corrected_over_the_claims(library):
    from ufm.chapters.verdicts import over_claims

    raw = {}
    for claim, family in {"C1": "C1", "C2": "C1", "C3": "C3", "C6": "C6"}.items():
        rows, lacking = rows_of(family)
        if lacking:
            raw[claim] = 1.0  # a claim that lacks seeds counts
        elif claim == "C2":
            raw[claim] = max(exchanged(row["unknown"][:, 1], row["unknown"][:, 2]) for row in rows.values())
        else:
            raw[claim] = max(sign_flips(row["d"]) for row in rows.values())
    ours = holm(raw | {"C5": 1.0})
    for claim, p in over_claims(library, None).items():
        assert p == pytest.approx(ours[claim], abs=0.02), claim
    assert {"C1", "C2"} <= set(over_claims(library, None))


def lines():
    """The README's table of results claim by claim, a list of cells a line."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    between = re.search(r"<summary>Claim by claim.*?</summary>\n(.*?)<!-- end of results -->", text, re.DOTALL)[1]
    rows = [[one.strip() for one in line.strip("|").split("|")] for line in between.splitlines() if line[:1] == "|"]
    claim = ""
    for row in rows[2:]:
        claim = row[0][:2] or claim
        row[0] = claim
    return rows[2:]


def test_the_readme_says_of_c1_what_the_records_say():
    own, hard = (one for one in lines() if one[:2] in (["C1", "the paper's own setting"], ["C1", "hard hosts"]))
    for line, family in ((own, "C1"), (hard, "C1, hard hosts")):
        rows, lacking = rows_of(family)
        if lacking:
            assert "waits for seeds" in line[2]
            continue
        p = holm({name: sign_flips(row["d"]) for name, row in rows.items()})
        words = {name: there(p[name], row["d"].mean(), *bootstrap_t(row["d"])) for name, row in rows.items()}
        if len(set(words.values())) == 1:
            assert line[2] == next(iter(words.values()))
        else:
            assert line[2] == "; ".join(f"{TITLES[name]}: {word}" for name, word in words.items())
        for name, row in rows.items():
            assert re.search(rf"(?<!-){TITLES[name]}: {row['d'].mean():.3f}".replace("-0", "−0"), line[3])


def test_the_readme_says_of_c3_how_many_ways_do_not_prevent_it():
    for line, host in zip((one for one in lines() if one[0] == "C3"), ("random", "hard"), strict=True):
        rows, lacking = rows_of("C3")
        if lacking:
            assert "waits for seeds" in line[2]
            continue
        words = {name: there(*answer) for name, answer in asked(rows).items()}
        counts = Counter(
            prevents(
                words[f"{name}, {way}, {host}"],
                words[f"{name}, {other}, {host}"],
                rows[f"{name}, {way}, {host}"]["gain"],
            )
            for name, (way, other) in product(TITLES, WITHOUT.items())
        )
        said = {word: int(n) for n, word in re.findall(r"(\d+) of 12: ([a-z ]+)", line[2])}
        assert said == dict(counts)


def test_the_readme_has_a_line_for_every_claim():
    assert list(dict.fromkeys(one[0] for one in lines())) == ["C1", "C2", "C3", "C4", "C5", "C6"]
