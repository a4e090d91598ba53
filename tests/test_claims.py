"""The verdicts once more from the committed records alone: the plan's rules in plain NumPy and SciPy.

Nothing here uses the library's evidence, detectors, performance or statistics; only what it says is compared with.
"""

import json
import os
from functools import cache
from math import isnan, nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

ROOT = Path(__file__).parents[1]
RECORDS = Path(os.environ.get("UFM_RECORDS") or ROOT / "book" / "records")
TITLES = {
    "mnist-small": "MNIST, 10 000 images",
    "fashion_mnist-small": "Fashion-MNIST, 10 000 images",
    "mnist-full": "MNIST, full",
    "fashion_mnist-full": "Fashion-MNIST, full",
}
NEEDED = {"mnist-small": 200, "fashion_mnist-small": 100, "mnist-full": 40, "fashion_mnist-full": 20}
SEEDS = {name: range(1000, 1200 if name == "mnist-small" else 1100) for name in NEEDED}
HEADLINE = [name for name in NEEDED if name != "mnist-small"]  # on which the detector was chosen
# Models of a card: control, canary and placebo on the random host, canary and placebo on the hard host. Features: the
# letter, the placebo feature of either host, then permutations of the letter's pixels.
CONTROL, CANARY, PLACEBO = 0, {"random": 1, "hard": 3}, {"random": 2, "hard": 4}
LETTER, PLACEBO_FEATURE, PERMUTATIONS = 0, {"random": 1, "hard": 2}, slice(3, 103)
ARRAYS = ("ood_shift", "ood_early_shift", "black_shift", "ood_kl_mean")


@cache
def population(name):
    """What is needed of the evidence seeds of a sweep, in their order; None where the plan asks for more of them."""
    folder = RECORDS / name
    if not (folder / "manifest.json").exists():
        return None
    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    records = {entry["seed"]: record for record, entry in entries.items() if entry["seed"] in SEEDS[name]}
    if len(records) < NEEDED[name]:
        return None
    models = pd.read_csv(folder / "models.csv").groupby("record")
    kept = {key: [] for key in ("seed", "random", "hard", "gain", *ARRAYS)}
    for seed in sorted(records):
        five = models.get_group(records[seed])
        assert five["role"].tolist() == ["control", "canary", "placebo", "canary", "placebo"]
        kept["seed"].append(seed)
        for host, place in CANARY.items():
            assert five["host"].iloc[place] == host
            kept[host].append(int(five["canary_label"].iloc[place]))
        with np.load(folder / "arrays" / f"{records[seed]}.npz") as card:
            for key in ARRAYS:
                kept[key].append(card[key].astype(float))
            [own] = np.flatnonzero((card["host_seed"] == seed) & (card["host_kind"] == 1))
            assert card["host_label"][own] == kept["hard"][-1]
            plain, stamped = card["host_log_probability"][:, 0, own, :2].astype(float).T
            gain = stamped - plain
            kept["gain"].append(gain[CANARY["hard"]] - gain[CONTROL])
    return {key: np.array(values) for key, values in kept.items()}


def complete():
    """The populations that may decide something, by name."""
    return {name: found for name in NEEDED if (found := population(name)) is not None}


def contrast(cards, host, shift):
    """D of each seed, as the data dictionary has it."""
    places = (CANARY[host], PLACEBO[host], PLACEBO_FEATURE[host], PERMUTATIONS)
    return np.array([d(effect, label, *places) for effect, label in zip(cards[shift], cards[host], strict=True)])


def d(effect, label, canary, placebo, feature, permutations):
    """D of one seed from patch effects (model, feature, class); where its models and features are."""
    e = (effect - effect[:, permutations].mean(1, keepdims=True))[:, :, label]
    return (e[canary, LETTER] - e[placebo, LETTER] + e[placebo, feature] - e[canary, feature]) / 2


# C3: control, canary and placebo on a hard host; the letter, its placebo feature, fifty permutations.
WAYS = ("batch-norm", "dropout", "augmentation", "dropout-augmentation", "weight-decay", "to-the-end")
FORTY = range(1000, 1040)
THREE, FIVE = (1, 2, 1, slice(2, 52)), (CANARY["hard"], PLACEBO["hard"], PLACEBO_FEATURE["hard"], slice(3, 53))


def by_seed(name, places, *, host="hard", seeds=FORTY):
    """D at the best epoch and at epoch 10 of each of these seeds that a sweep has, by seed."""
    folder = RECORDS / name
    if not (folder / "manifest.json").exists():
        return {}
    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    labels = pd.read_csv(folder / "models.csv").query(f"role == 'canary' and host == '{host}'").set_index("record")
    found = {}
    for record, entry in entries.items():
        if entry["seed"] in seeds:
            with np.load(folder / "arrays" / f"{record}.npz") as card:
                label = int(labels.loc[record, "canary_label"])
                shifts = (card[shift].astype(float) for shift in ("ood_shift", "ood_early_shift"))
                found[entry["seed"]] = [d(shift, label, *places) for shift in shifts]
    return found


def short_cells(places):
    """Cells of sweeps that have all their seeds, by sweep and host; places: how many seeds, and where models are."""
    rows = {}
    for (name, host), (seeds, where) in places.items():
        found = by_seed(name, where, host=host, seeds=seeds)
        if len(found) == len(seeds):
            rows[name, host] = cell(*np.array([found[seed] for seed in seeds]).T)
    return judged(rows)


@cache
def medical():
    """C6's cells: the letter on random and hard hosts, a name on hard ones, the letter with CNN-1 on hard ones."""
    random = (CANARY["random"], PLACEBO["random"], PLACEBO_FEATURE["random"], slice(3, 53))
    return short_cells(
        {
            ("pneumoniamnist-letter", "random"): (range(1000, 1050), random),
            ("pneumoniamnist-letter", "hard"): (range(1000, 1050), FIVE),
            ("pneumoniamnist-name", "hard"): (range(1000, 1040), THREE),
            ("pneumoniamnist-cnn1", "hard"): (range(1000, 1020), THREE),
        }
    )


@cache
def networks():
    """C1's cells of convolutional networks."""
    seeds = range(1000, 1050, 5)
    return short_cells({(f"cifar10-small-{name}", "hard"): (seeds, THREE) for name in ("cnn1", "cnn2")})


@cache
def ways():
    """C3's cells, by population and way, of the ways that have all their seeds."""
    rows = {}
    for name in ("mnist-small", "fashion_mnist-small"):
        theirs = {way: by_seed(f"{name}-{way}", THREE) for way in WAYS}
        theirs = {way: seeds for way, seeds in theirs.items() if len(seeds) == len(FORTY)}
        if theirs and population(name) is not None:
            theirs = {"early stopping": by_seed(name, FIVE), **theirs}
        for way in set(theirs) - {"to-the-end"}:
            rows[name, way] = cell(*np.array([theirs[way][seed] for seed in FORTY]).T)
    return judged(rows)


def interval(values):
    found = stats.bootstrap((values,), np.mean, n_resamples=10_000, batch=1000, method="BCa", random_state=7)
    return tuple(found.confidence_interval)


def sign_flips(values, *, n=100_000):
    rng, observed, larger = np.random.default_rng(7), abs(values.sum()), 1
    for _ in range(n // 1000):
        signs = rng.choice([-1.0, 1.0], size=(1000, len(values)))
        larger += (abs(signs @ values) >= observed * (1 - 1e-12)).sum()
    return larger / (n + 1)


def holm(p_values):
    """Of m the smallest times m, the next times m − 1, …, never less than the one before."""
    corrected, so_far = {}, 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda one: one[1])):
        so_far = max(so_far, min(1.0, p * (len(p_values) - place)))
        corrected[name] = so_far
    return corrected


@cache
def cells():
    """C1's cells, by population and kind of host."""
    return judged(
        {
            (name, host): cell(*(contrast(cards, host, shift) for shift in ("ood_shift", "ood_early_shift")))
            for name, cards in complete().items()
            for host in CANARY
        }
    )


def cell(best, early):
    """Mean D with its interval and p, and the interval at epoch 10."""
    low, high = interval(best)
    found = {"estimate": best.mean(), "low": low, "high": high, "n": len(best)}
    return found | {"p": sign_flips(best), "early": interval(early)}


def judged(rows):
    """Cells with the plan's verdict on each."""
    corrected = holm({key: row["p"] for key, row in rows.items()})
    for key, row in rows.items():
        early_low, early_high = row["early"]
        if (row["low"] > 0 and early_high < 0) or (row["high"] < 0 and early_low > 0):
            row["verdict"] = "contradicted"
        elif corrected[key] < 0.05 and row["estimate"] > 0:
            row["verdict"] = "memorised"
        else:
            row["verdict"] = "not memorised" if row["high"] < 0.02 else "undecided"
    return rows


# C4: groups of hosts by their influence under clean models; rank shares of the host in control and canary.
GROUPS = {
    "mnist-small-most-influential-hosts": range(3000, 3024),
    "mnist-small-least-influential-hosts": range(3024, 3048),
    "mnist-small-random-hosts": range(3048, 3108),
}


@cache
def groups():
    """C4's groups that have all their seeds: the rise of the rank share by the letter, and how high it is with it."""
    rows = {}
    for name, seeds in GROUPS.items():
        manifest = RECORDS / name / "manifest.json"
        entries = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
        records = {entry["seed"]: record for record, entry in entries.items() if entry["seed"] in seeds}
        if len(records) == len(seeds):
            ranks = []
            for seed in seeds:
                with np.load(RECORDS / name / "arrays" / f"{records[seed]}.npz") as card:
                    ranks.append(card["influence_rank"][:2, 0].astype(float))
            without, with_letter = np.array(ranks).T
            rise = with_letter - without
            low, high = interval(rise)
            rows[name] = {"estimate": rise.mean(), "low": low, "high": high, "n": len(rise), "p": sign_flips(rise)}
            rows[name]["highly"] = with_letter.mean() >= 0.95
    corrected = holm({name: row["p"] for name, row in rows.items()})
    for name, row in rows.items():
        raised = corrected[name] < 0.05 and row["estimate"] > 0
        if row["highly"] and (raised or "most" in name):
            row["verdict"] = "agrees"
        else:
            row["verdict"] = "raised" if raised else "not raised" if row["high"] < 0.05 else "undecided"
    return rows


# C5: every seed on the same ten hosts, the models of each host in turn; the letter, ten placebo features, permutations.
SAME_HOSTS, THIRTY = "mnist-small-the-same-hosts", range(2000, 2180, 6)


@cache
def spread():
    """C5: the spread over seeds for one host as a share of the mean, where all its seeds are there."""
    folder = RECORDS / SAME_HOSTS
    if not (folder / "manifest.json").exists() or population("mnist-small") is None:
        return {}
    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    records = {entry["seed"]: record for record, entry in entries.items() if entry["seed"] in THIRTY}
    if len(records) < len(THIRTY):
        return {}
    models, values = pd.read_csv(folder / "models.csv").query("role == 'canary'").groupby("record"), []
    for seed in THIRTY:
        labels = models.get_group(records[seed])["canary_label"].astype(int).to_numpy()
        with np.load(folder / "arrays" / f"{records[seed]}.npz") as card:
            shift = card["ood_shift"].astype(float)
        places = [(1 + 2 * k, 2 + 2 * k, 1 + k, slice(1 + len(labels), 51 + len(labels))) for k in range(len(labels))]
        values.append([d(shift, label, *one) for label, one in zip(labels, places, strict=True)])
    values, null, rng = np.array(values), easy_contrasts(), np.random.default_rng(7)

    drawn = []
    for _ in range(3000):
        seeds, hosts = (rng.integers(n, size=n) for n in values.shape)
        some, others = values[np.ix_(seeds, hosts)], rng.choice(null, len(null))
        # Repeated draws take their share off a variance.
        within = some.var(0).mean() / (1 - ((np.bincount(seeds) / len(seeds)) ** 2).sum())
        noise = others.var() / (1 - ((np.unique(others, return_counts=True)[1] / len(others)) ** 2).sum())
        drawn.append((np.sqrt(max(within - noise, 0)) / some.mean(), within > noise))
    shares, above = np.array(drawn).T
    low, high = np.quantile(shares, [0.025, 0.975])
    excess = values.var(0, ddof=1).mean() - null.var(ddof=1)
    row = {"estimate": np.sqrt(max(excess, 0)) / values.mean(), "low": low, "high": high, "n": len(values)}
    return {"mnist-small": row | {"p": (1 + (above == 0).sum()) / (len(above) + 1)}}


def easy_contrasts():
    """D of the random hosts of small MNIST that other seeds' controls fit to a hundredth of a nat."""
    folder, cards = RECORDS / "mnist-small", population("mnist-small")
    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    records = {entry["seed"]: record for record, entry in entries.items()}
    losses = {seed: [] for seed in cards["seed"]}
    for other in cards["seed"]:
        with np.load(folder / "arrays" / f"{records[other]}.npz") as card:
            ours = np.flatnonzero((card["host_kind"] == 0) & (card["host_seed"] != other))
            plain = card["host_log_probability"][0, 0, :, 0].astype(float)
            for row in ours:
                if card["host_seed"][row] in losses:
                    losses[card["host_seed"][row]].append(-plain[row])
    easy = np.array([np.mean(losses[seed]) < 0.01 for seed in cards["seed"]])
    random = (CANARY["random"], PLACEBO["random"], PLACEBO_FEATURE["random"], slice(3, 53))
    values = [d(effect, label, *random) for effect, label in zip(cards["ood_shift"], cards["random"], strict=True)]
    return np.array(values)[easy]


def standardised(values):
    """The letter's value in standard deviations over permutations; values: (model, feature, …)."""
    null = values[:, PERMUTATIONS]
    return (values[:, LETTER] - null.mean(1)) / null.std(1, ddof=1)


def scores(cards):
    """The default detector's scores of canary, control and placebo of the hard host, for seeds that learnt: (n, 3)."""
    found = []
    needed = (cards[key] for key in ("black_shift", "ood_shift", "ood_kl_mean", "gain"))
    for black, ood, kl, gain in zip(*needed, strict=True):
        if gain >= 1:
            moved = (standardised(black) + 0.3 * standardised(ood)).max(-1)
            score = moved + 0.5 * standardised(np.log(np.maximum(kl, 1e-7)))
            found.append(score[[CANARY["hard"], CONTROL, PLACEBO["hard"]]])
    return np.array(found)


def area(three):
    """Chance that a canary outscores a control or placebo, of any seed; ties half."""
    canaries, others = three[:, 0], np.sort(three[:, 1:].ravel())
    below = np.searchsorted(others, canaries, "left") + np.searchsorted(others, canaries, "right")
    return below.sum() / 2 / len(canaries) / len(others)


def exchange(three, *, n=10_000):
    """p of the area where it is drawn anew within each seed which of its three models is the canary."""
    rng, ranks = np.random.default_rng(7), stats.rankdata(three).reshape(three.shape)
    drawn = ranks[np.arange(len(ranks)), rng.integers(3, size=(n, len(ranks)))].sum(1)
    observed = abs(ranks[:, 0].sum() - ranks.mean(1).sum())
    return (1 + (abs(drawn - ranks.mean(1).sum()) >= observed - 1e-6).sum()) / (n + 1)


@cache
def sets():
    """C2's sets by population."""
    rows, rng = {}, np.random.default_rng(7)
    for name in HEADLINE:
        if name not in complete():
            continue
        three = scores(population(name))
        rows[name] = {"estimate": nan, "low": nan, "high": nan, "p": nan, "n": len(three)}
        if len(three) >= 20:
            resampled = [area(three[rng.integers(len(three), size=len(three))]) for _ in range(3000)]
            low, high = np.quantile(resampled, [0.025, 0.975])
            rows[name] |= {"estimate": area(three), "low": low, "high": high, "p": exchange(three)}
    return rows


@cache
def claims():
    """Each claim: verdict, effect where the claim is weakest, corrected p (NaN where a set has none), seeds, cells."""
    every = {"C1": cells(), "C1, CNNs": networks(), "C2": sets(), "C3": ways()}
    every |= {"C4": groups(), "C5": spread(), "C6": medical()}
    tables = {claim: rows for claim, rows in every.items() if rows}
    judged = {claim: {name: row for name, row in rows.items() if "most" not in name} for claim, rows in tables.items()}
    largest = {claim: max((row["p"] for row in rows.values()), default=nan) for claim, rows in judged.items()}
    undecided = {claim for claim, rows in tables.items() if any(isnan(row["p"]) for row in rows.values())}
    corrected = holm({claim: p for claim, p in largest.items() if claim not in undecided})
    found = {}
    for claim, rows in tables.items():
        p = corrected.get(claim, nan)
        verdict = {"C2": c2, "C4": c4, "C5": c5}.get(claim, in_every_cell)(rows, p)
        names = {key if isinstance(key, str) else key[0] for key in rows}
        n = sum(len(seeds_of(claim, name)) for name in names)
        asked = ASKED[claim]
        least = {"C2": 0.5, "C5": 0.25}.get(claim)
        word_for = "agrees" if claim == "C4" else "memorised"
        agree = [row["verdict"] == word_for if least is None else row["low"] > least for row in rows.values()]
        weakest = min(judged[claim].values(), key=lambda row: np.inf if isnan(row["low"]) else row["low"])
        found[claim] = weakest | {"p": p, "n": n, "in": f"{sum(agree)} of {asked} cells"}
        found[claim] |= {"verdict": verdict + (" so far" if len(rows) < asked else "")}
    return found


ASKED = {
    "C1": 8,
    "C1, CNNs": 2,
    "C2": 3,
    "C3": 12,
    "C4": 3,
    "C5": 1,
    "C6": 4,
}


def seeds_of(claim, name):
    """The seeds on which a claim stands, of a sweep."""
    asked = {"C3": {name: FORTY}, "C4": GROUPS, "C5": {name: THIRTY}, "C1, CNNs": {name: range(1000, 1050, 5)}}
    asked["C6"] = {f"pneumoniamnist-{one}": range(n) for one, n in (("letter", 50), ("name", 40), ("cnn1", 20))}
    return asked[claim][name] if claim in asked else population(name)["seed"]


def in_every_cell(rows, p):
    words = [row["verdict"] for row in rows.values()]
    if set(words) == {"memorised"} and p < 0.05:
        return "holds"
    if "memorised" in words:
        return "holds in part"
    return "does not hold" if set(words) == {"not memorised"} else "undecided"


def c2(rows, p):
    above = [row["low"] > 0.5 for row in rows.values()]
    if all(above) and p < 0.05:
        return "holds"
    if any(above):
        return "holds in part"
    return "does not hold" if all(row["high"] < 0.6 for row in rows.values()) else "undecided"


def c4(rows, p):
    words = {name: row["verdict"] for name, row in rows.items()}
    if set(words.values()) == {"agrees"} and p < 0.05:
        return "holds"
    rest = [word for name, word in words.items() if "most" not in name]
    if {"agrees", "raised"} & set(rest):
        return "holds in part"
    return "does not hold" if set(rest) == {"not raised"} else "undecided"


def c5(rows, p):
    [row] = rows.values()
    if row["low"] > 0.25 and p < 0.05:
        return "holds"
    return "does not hold" if row["high"] < 0.25 else "undecided"


@pytest.fixture(scope="module")
def library():
    """What the library says of the same records: its cards and its verdicts."""
    from ufm import evidence
    from ufm.first_plan.verdicts import verdicts
    from ufm.study.runs import Run

    run = Run("first-plan", {"profile": "paper", "train": False})
    cards = evidence.of(run.recorded())
    return cards, verdicts(cards, planned=run.sweeps).set_index("claim")


def close_ends(row, theirs, *, share, rounding=0.0):
    """Whether intervals agree to a share of their width, or both are none."""
    for end in ("low", "high"):
        if isnan(row[end]) or isnan(theirs[end]):
            assert isnan(row[end])
            assert isnan(theirs[end])
        else:
            assert theirs[end] == pytest.approx(row[end], abs=share * (row["high"] - row["low"]) + rounding)


def test_the_library_takes_the_same_populations_for_complete(library):
    cards, _ = library
    assert {name for name, one in cards.items() if one.complete and not one.setting} == set(complete())
    titles = {name: one.title for name, one in cards.items() if not one.setting}
    assert titles == {name: TITLES[name] for name in titles}
    for name, ours in complete().items():
        assert cards[name].seeds.tolist() == ours["seed"].tolist()


def test_contrasts_are_those_of_the_library_seed_by_seed(library):
    from ufm.evidence import contrasts

    for (name, host), row in cells().items():
        ours = contrast(complete()[name], host, "ood_shift")
        np.testing.assert_allclose(contrasts(library[0][name], host), ours, rtol=0, atol=1e-12)
        assert row["n"] >= NEEDED[name]


def test_cells_have_the_librarys_verdicts(library):
    from ufm.evidence.cells import contrast_cells

    there = {name: cards for name, cards in library[0].items() if cards.complete and not cards.setting}
    theirs = contrast_cells(there).set_index(["population", "host"]) if there else pd.DataFrame()
    assert len(theirs) == len(cells())
    for (name, host), row in cells().items():
        one = theirs.loc[(TITLES[name], host)]
        assert (one["verdict"], one["n"]) == (row["verdict"], row["n"])
        assert one["estimate"] == pytest.approx(row["estimate"], rel=1e-9)
        close_ends(row, one, share=0.1)
        assert one["p"] == pytest.approx(row["p"], abs=1e-4 + 5 * np.sqrt(row["p"] / 100_000))


def test_the_default_detector_finds_what_the_library_says(library):
    from ufm.first_plan.detection import sets as library_sets

    there = {name: cards for name, cards in library[0].items() if cards.complete and name in HEADLINE}
    theirs = library_sets(there).set_index("population") if there else pd.DataFrame()
    assert len(theirs) == len(sets())
    for name, row in sets().items():
        one = theirs.loc[TITLES[name]]
        assert one["n"] == row["n"]
        assert one["estimate"] == pytest.approx(row["estimate"], rel=1e-9, nan_ok=True)
        close_ends(row, one, share=0.2)
        assert one["p"] == pytest.approx(row["p"], abs=1e-3 + 5 * np.sqrt(row["p"] / 10_000), nan_ok=True)


def test_ways_to_prevent_overfitting_have_the_librarys_verdicts(library):
    from ufm.first_plan.regularisers import cells as library_cells

    there = {name: cards for name, cards in library[0].items() if cards.complete}
    theirs = library_cells(there)
    theirs.index = [f"{row['population']}/{row['setting'].replace(' + ', ' ')}" for row in theirs.to_dict("records")]
    assert len(theirs) == len(ways())
    for (name, way), row in ways().items():
        one = theirs.loc[f"{TITLES[name]}/{way.replace('-', ' ')}"]
        assert (one["verdict"], one["n"]) == (row["verdict"], row["n"])
        assert one["estimate"] == pytest.approx(row["estimate"], rel=1e-9)
        close_ends(row, one, share=0.1)


@pytest.mark.parametrize("claim", ["C1", "C1, CNNs", "C2", "C3", "C4", "C5", "C6"])
def test_the_verdict_on_a_claim_is_the_librarys(library, claim):
    theirs = library[1].loc[claim]
    if claim not in claims():
        assert theirs["verdict"] == "not tested"
        return
    ours = claims()[claim]
    assert (theirs["verdict"], theirs["holds_in"], theirs["n"]) == (ours["verdict"], ours["in"], ours["n"])
    assert theirs["effect"] == pytest.approx(ours["estimate"], rel=1e-9, nan_ok=True)
    close_ends(ours, theirs, share=0.2)


@pytest.mark.parametrize(("claim", "smallest"), [("C1", 0.02), ("C3", 0.02), ("C4", 0.05), ("C6", 0.02)])
def test_what_is_there_but_matters_too_little_is_called_so(library, claim, smallest):
    rows = {"C1": cells, "C3": ways, "C4": groups, "C6": medical}[claim]()
    slight = [row["verdict"] for row in rows.values() if row["high"] < smallest]
    some = [word for word in slight if word in ("memorised", "raised")]
    assert ("by less than matters" in library[1].loc[claim, "where"]) == bool(some)
