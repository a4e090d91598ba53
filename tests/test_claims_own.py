"""The words of this book's own questions once more, as `test_claims_second` has those of the paper's claims.

Ways of training of the third plan and systems of the fourth: their models beside those that they are compared with, on
the same seeds. Rows are looked at when they have theirs; those that have not count in every correction.
"""

import json
import re
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_claims import holm, sign_flips
from test_claims_second import RECORDS, area, bootstrap_t, change, clear, found, prevents, seeds_of, there

from ufm import features

HOSTS = ("random", "hard")
TITLES = {"mnist": "MNIST, 10 000 images", "fashion_mnist": "Fashion-MNIST, 10 000 images"}
NOISES = ("4.375", "1.748", "0.857", "0.579", "0.1", "0.03", "0.01")
PRIVATE = ("drawn images", "clipping alone", "noise alone", *(f"private, noise {noise}" for noise in NOISES))
OTHER = (
    *("label smoothing 0.1", "batches of 512", "batches of 2048", "mixup 0.2", "mixup 1", "CutMix 1", "random erasing"),
    *("masked border 3", "masked border 6", "patience 1", "distillation", "distillation without the letter"),
)
# By family, whose rows are corrected together: its plan, data sets, the models that its ways are compared with, and how
# many seeds each way has.
FAMILIES = {
    "prevention": ("third", tuple(TITLES), "plain", dict.fromkeys(PRIVATE, 12) | dict.fromkeys(OTHER, 20)),
    "L2UL": (
        *("fourth", ("mnist",), "plain"),
        dict.fromkeys(("ascent alone", "ascent, adversarial images kept", "L2UL"), 20),
    ),
    "VisualMixer": (
        *("fourth", ("mnist",), "placebo aside"),
        dict.fromkeys(("VisualMixer, boxes of 4", "VisualMixer, boxes of 7"), 20),
    ),
    "Syfer": ("fourth", ("mnist",), "patches as they are", {"NeuraCrypt": 12}),
    "AdvBN": (
        *("fourth", ("mnist",), "plain"),
        dict.fromkeys(("fine-tuned alone", "AdvBN, fine-tuned", "AdvBN from scratch"), 20),
    ),
    "Automatic Recall Machines": (
        *("fourth", ("mnist",), "all classes at once"),
        dict.fromkeys(("task after task", "automatic recall"), 20),
    ),
    "FALCO": (
        *("fourth", ("mnist",), "plain"),
        dict.fromkeys(("FALCO, margin 0.9", "FALCO, margin 0", "FALCO, margin 0, looser"), 20),
    ),
}


def sweep_of(plan, dataset, way):
    """The folder of a way's records."""
    slug = "-".join(re.sub(r"[^a-z0-9]+", " ", way.lower()).split())
    return f"{dataset}-small-{'second' if way == 'plain' else plan}-plan-{slug}"


def rows_of(family):
    """By data set, way and kind of host what the seeds of a family say, None where some are missing."""
    plan, datasets, base, ways = FAMILIES[family]
    rows = {}
    for dataset, (way, n), host in product(datasets, ({base: max(ways.values())} | ways).items(), HOSTS):
        seeds = [one for one in seeds_of(sweep_of(plan, dataset, way), host) if 4800 <= one["seed"] < 4800 + n]
        whole = len(seeds) == n
        rows[dataset, way, host] = {key: np.array([one[key] for one in seeds]) for key in seeds[0]} if whole else None
    return rows


def corrected(p_values):
    """After Holm over all rows, those without a p among them, which have none then."""
    found = holm({key: 1.0 if p is None else p for key, p in p_values.items()})
    return {key: None if p is None else found[key] for key, p in p_values.items()}


def whole(family):
    """The rows of a family's ways that can be compared, by data set, way and kind of host, or a skip without any."""
    rows, base = rows_of(family), FAMILIES[family][2]
    found = [key for key, row in rows.items() if row and key[1] != base and rows[key[0], base, key[2]]]
    if not found:
        pytest.skip(f"{family}: no way has all its seeds, so that nothing is decided yet")
    return found


def stamped_accuracies(sweep, host, n):
    """Mean accuracy of canary and placebo model of each of the first seeds, as the table of models has it."""
    models = pd.read_csv(RECORDS / sweep / "models.csv", dtype={"host": str})
    ours = models[(models["host"] == host) & models["seed"].between(4800, 4800 + n - 1)]
    return ours.groupby("seed")["accuracy"].mean().to_numpy()


def control_accuracies(sweep, _, n):
    """Accuracy of the control of each of the first seeds, as the table of models has it."""
    models = pd.read_csv(RECORDS / sweep / "models.csv", dtype={"host": str})
    ours = models[(models["role"] == "control") & models["seed"].between(4800, 4800 + n - 1)]
    return ours.sort_values("seed")["accuracy"].to_numpy()


@pytest.fixture(scope="module")
def library():
    """What the library says of the same records, by family."""
    from ufm import evidence
    from ufm.chapters import neighbours, prevention
    from ufm.evidence.ways import side_by_side
    from ufm.plan import fourth, third
    from ufm.study.runs import Run

    found = {}
    for name, chapter, plan in (("neighbours", neighbours, fourth), ("prevention", prevention, third)):
        run = Run(name, {"profile": "paper", "train": False})
        populations = run.recorded() if name == "neighbours" else chapter.carded(run.recorded())
        planned = plan.side_by_side(run.sweeps)
        cards = side_by_side(evidence.of(populations), planned)
        table = chapter.became(cards, chapter.asked(cards, planned))
        found |= dict(list(table.groupby("system"))) if name == "neighbours" else {name: table}
    return {name: table.set_index(["population", "way", "host"]) for name, table in found.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_row_of_a_family_is_asked(library, family):
    _, datasets, _, ways = FAMILIES[family]
    expected = {(TITLES[dataset], way, host) for dataset, way, host in product(datasets, ways, HOSTS)}
    assert set(library[family].index) == expected
    waiting = {(TITLES[dataset], way, host) for (dataset, way, host), row in rows_of(family).items() if row is None}
    assert {key for key, row in library[family].iterrows() if row["there"] == "waits for seeds"} == waiting & expected


@pytest.mark.parametrize("family", FAMILIES)
def test_what_becomes_of_the_letter(library, family):
    keys, rows, (plan, _, base, ways) = whole(family), rows_of(family), FAMILIES[family]
    p = corrected({key: sign_flips(row["d"]) if row else None for key, row in rows.items()})
    answers = {key: (p[key], row["d"].mean(), *bootstrap_t(row["d"])) for key, row in rows.items() if row}
    accuracies = control_accuracies if family == "prevention" else stamped_accuracies
    for dataset, way, host in keys:
        said, key, n = library[family].loc[TITLES[dataset], way, host], (dataset, way, host), ways[way]
        _, mean, low, high = answers[key]
        assert said["n"] == n
        assert said["contrast"] == pytest.approx(mean, abs=1e-12)
        assert said["contrast_low"] == pytest.approx(low, abs=0.1 * (high - low))
        assert said["contrast_high"] == pytest.approx(high, abs=0.1 * (high - low))
        assert said["p_holm"] == pytest.approx(p[key], abs=0.002 + 0.1 * p[key])
        two = [answers[key], answers[dataset, base, host]]
        if all(clear(one, low, high) for one, _, low, high in two):
            assert said["prevents"] == prevents(*(there(*one) for one in two), rows[key]["gain"]), key
        assert said["gain"] == pytest.approx(rows[key]["gain"].mean(), abs=1e-9)
        flags, false = found(rows[key]["seed"], *rows[key]["unknown"].T)
        ends = stats.binomtest(int(flags.sum()), n).proportion_ci(method="exact")
        assert (said["unknown_found"], said["unknown_false"]) == pytest.approx((flags.mean(), false), abs=1e-12)
        assert said["unknown_found_low"] == pytest.approx(ends.low)
        _, canary, placebo = rows[key]["unknown"].T
        assert said["unknown"] == pytest.approx(area(canary, placebo), abs=1e-12)
        with_it, without = (accuracies(sweep_of(plan, dataset, one), host, n) for one in (way, base))
        assert said["cost"] == pytest.approx((with_it - without).mean(), abs=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_way_changes_on_both_scales(library, family):
    keys, rows, (_, _, base, ways) = whole(family), rows_of(family), FAMILIES[family]
    every = {}
    for dataset, way, host in (key for key in rows if key[1] != base):
        one, two, n = rows[dataset, way, host], rows[dataset, base, host], ways[way]
        if not (one and two):
            every[dataset, way, host] = dict.fromkeys(("nats", "spreads"))
            continue
        assert (one["seed"] == two["seed"][:n]).all()
        spreads = one["d"] / one["spread"] - (two["d"] / two["spread"])[:n]
        every[dataset, way, host] = {"nats": one["d"] - two["d"][:n], "spreads": spreads}
    p = {
        scale: corrected({key: None if of[scale] is None else sign_flips(of[scale]) for key, of in every.items()})
        for scale in ("nats", "spreads")
    }
    for dataset, way, host in keys:
        said, key, signs = library[family].loc[TITLES[dataset], way, host], (dataset, way, host), []
        for scale, values in every[key].items():
            assert said[scale] == pytest.approx(values.mean(), abs=1e-9), key
            assert said[f"{scale}_p_holm"] == pytest.approx(p[scale][key], abs=0.003 + 0.15 * p[scale][key])
            signs.append(int(np.sign(values.mean())) * (p[scale][key] < 0.05))
        if all(abs(p[scale][key] - 0.05) > 0.01 for scale in p):
            assert said["change"] == change(*signs), key


# Task after task


N_TASKS = 5
LETTER = np.array([[int(pixel) for pixel in row] for row in ("00100", "01010", "11111", "10001", "10001")], float)


@cache
def in_tasks(way, host):
    """Of each host that has a later task D after its own and after the last, and what is recalled right after its own.

    A row a seed: own D, last D, correlations of what is recalled by the canary and the control with the letter, R.
    """
    folder, rows = RECORDS / sweep_of("fourth", "mnist", way), []
    if not (folder / "manifest.json").exists():
        pytest.skip(f"{way}: has no models yet")
    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    models = pd.read_csv(folder / "models.csv", dtype={"host": str}).groupby("record")
    for record, entry in sorted(entries.items(), key=lambda one: one[1]["seed"]):
        canary, placebo = 1 + 2 * HOSTS.index(host), 2 + 2 * HOSTS.index(host)
        label = int(models.get_group(record)["canary_label"].iloc[canary])
        own = label * N_TASKS // 10
        if own == N_TASKS - 1:
            continue
        with np.load(folder / "arrays" / f"{record}.npz") as card:
            shift = card["task_shift"].astype(float)[..., label]  # of a model, task and feature
            other = 1 + HOSTS.index(host)
            d = shift[canary, :, 0] - shift[placebo, :, 0] + shift[placebo, :, other] - shift[canary, :, other]
            row = [d[own] / 2, d[-1] / 2]
            if "recalled_patch" in card:
                feature = features.placebo(
                    LETTER.astype(np.float32), seed=entry["seed"], host=host, scope="mnist/10000"
                )
                patches = card["recalled_patch"].astype(float)[:, own + 1]
                letter, stamped = ((patches * standard(one)).mean((1, 2)) for one in (LETTER, feature))
                more = letter[canary] - letter[placebo] + stamped[placebo] - stamped[canary]
                row += [letter[canary], letter[0], more / 2]
        rows.append(row)
    return np.array(rows)


def standard(pixels):
    return (pixels - pixels.mean()) / pixels.std()


def shown(mean, p):
    return int(np.sign(mean)) * (p < 0.05)


@pytest.fixture(scope="module")
def said_of_tasks():
    """What the library says of tasks, by the name of the table."""
    from ufm import evidence
    from ufm.chapters import neighbours
    from ufm.evidence.ways import side_by_side
    from ufm.plan import fourth
    from ufm.study.runs import Run

    run = Run("neighbours", {"profile": "paper", "train": False})
    return neighbours.in_tasks(side_by_side(evidence.of(run.recorded()), fourth.side_by_side(run.sweeps)))


def test_what_is_forgotten_over_tasks(said_of_tasks):
    said = said_of_tasks["over_tasks"].set_index(["setting", "host"])
    every = {(way, host): in_tasks(way, host) for way in ("task after task", "automatic recall") for host in HOSTS}
    p = holm({key: sign_flips(rows[:, 1] - rows[:, 0]) for key, rows in every.items()})
    assert len(said) == len(every)
    for key, rows in every.items():
        row, own, last = said.loc[key], rows[:, 0], rows[:, 1]
        assert row["n"] == len(rows)
        assert row[["own", "last", "change"]].tolist() == pytest.approx([own.mean(), last.mean(), (last - own).mean()])
        assert row["own_p"] == pytest.approx(sign_flips(own), abs=0.003)
        assert row["p_holm"] == pytest.approx(p[key], abs=0.005 + 0.05 * p[key])
        words = {1: "grows, in nats", -1: "fades, in nats", 0: "no change shown"}
        if abs(p[key] - 0.05) > 0.01:
            assert row["course"] == words[shown((last - own).mean(), p[key])]


def test_what_goes_with_the_letter_in_what_is_recalled(said_of_tasks):
    said = said_of_tasks["recalls"].set_index("host")
    every = {host: in_tasks("automatic recall", host) for host in HOSTS}
    p = holm({host: sign_flips(rows[:, 4]) for host, rows in every.items()})
    for host, rows in every.items():
        row = said.loc[host]
        assert row[["letter", "control", "recalled"]].tolist() == pytest.approx(rows[:, 2:].mean(0).tolist())
        assert row["p_holm"] == pytest.approx(p[host], abs=0.005 + 0.05 * p[host])
        if abs(p[host] - 0.05) > 0.01:
            words = {1: "goes with it", -1: "goes against it", 0: "not shown"}
            assert row["word"] == words[shown(rows[:, 4].mean(), p[host])]


# Networks that were trained on other images before


def test_what_pretraining_changes():
    from ufm import evidence
    from ufm.evidence import pretraining
    from ufm.study.runs import Run

    run = Run("scaling", {"profile": "paper", "train": False})
    said = pretraining.compared(pretraining.side_by_side(evidence.of(run.recorded()), run.sweeps))
    ways = "fine-tuned whole", "last layer alone"
    names = {way: f"pneumoniamnist-pretrained-{way.replace(' ', '-')}" for way in ways}
    every = {}
    for (way, name), host in product(names.items(), HOSTS):
        one, two = (
            [seed for seed in seeds_of(sweep, host) if 4100 <= seed["seed"] < 4120]
            for sweep in (name, "pneumoniamnist-second-plan-mlp-letter")
        )
        if len(one) < 20:
            pytest.skip(f"{name}: has {len(one)} of 20 seeds, so that nothing is decided yet")
        assert [seed["seed"] for seed in one] == [seed["seed"] for seed in two] == list(range(4100, 4120))
        d, other, spread, other_spread = (
            np.array([seed[key] for seed in some]) for key in ("d", "spread") for some in (one, two)
        )
        every[way, host] = {"nats": d - other, "spreads": d / spread - other / other_spread}
    p = {scale: holm({key: sign_flips(of[scale]) for key, of in every.items()}) for scale in ("nats", "spreads")}
    table = said.set_index(["way", "host"])
    assert len(table) == len(every)
    for key, of in every.items():
        row = table.loc[key]
        for scale, values in of.items():
            assert row[scale] == pytest.approx(values.mean(), abs=1e-9)
            assert row[f"{scale}_p_holm"] == pytest.approx(p[scale][key], abs=0.005 + 0.1 * p[scale][key])
        low, high = bootstrap_t(of["nats"])
        word = change(*(shown(of[scale].mean(), p[scale][key]) for scale in ("nats", "spreads")))
        if word == "no change shown" and max(-low, high) < 0.1:
            word = "changes by little"
        near = min(abs(p[scale][key] - 0.05) for scale in p) < 0.01 or min(abs(-low - 0.1), abs(high - 0.1)) < 0.01
        if not near:
            assert row["change"] == word, key


# How it scales

SMALL = "mnist-small-scaling"
PLAIN, FIRST_SEED = "mnist-small-second-plan-plain", 4800
# By axis its points in their order, each the records that have it; and whether a step is a doubling, else a tenth.
AXES = {
    "width": {n: f"{SMALL}-width-{n:g}".replace(".", "-") for n in (0.125, 0.25, 0.5, 1, 2, 4)},
    "hidden layers": {n: f"{SMALL}-{n}-hidden-layers" for n in (1, 2, 4, 8)},
    "image side": {n: f"{SMALL}-image-side-{n}" for n in (1, 2, 3, 4)},
    "training images": {n: f"{SMALL}-{n}-training-images" for n in (1_000, 3_000, 10_000, 30_000, 60_000)},
    "copies": {n: f"{SMALL}-{n}-copies" for n in (1, 3, 10, 30, 100)},
    "label noise": {n: f"{SMALL}-label-noise-{n:g}".replace(".", "-") for n in (0, 0.1, 0.2, 0.4)},
}
for axis, value in {"width": 1, "hidden layers": 2, "image side": 1, "training images": 10_000, "copies": 1}.items():
    AXES[axis][value] = PLAIN
AXES["label noise"][0] = PLAIN
AXES["training images"][60_000] = "mnist-full-second-plan-both-hosts"
# No axis of the plan, but models that are there, by which the comparison itself is tested while others wait.
DECAYS = {"decay": {n: f"mnist-small-second-plan-weight-decay-{n:g}".replace(".", "-") for n in (0.3, 1, 2, 3, 10)}}


def of_point(sweep, host, n):
    """What the first seeds of a point say, an array each, or None where one lacks."""
    first = 4100 if "-full-" in sweep else FIRST_SEED
    seeds = [one for one in seeds_of(sweep, host) if first <= one["seed"] < first + n]
    return {key: np.array([one[key] for one in seeds]) for key in seeds[0]} if len(seeds) == n else None


@cache
def lines_said(which):
    """What the library says of the plan's axes, or of the stand-in's."""
    from ufm import evidence
    from ufm.evidence import scaling as fitted
    from ufm.plan import scaling as plan
    from ufm.study.runs import Run

    run = Run("scaling" if which == "planned" else "detection", {"profile": "paper", "train": False})
    axes = plan.axes("paper")
    if which != "planned":
        axes = [plan.Axis(name, points, {}, (), True) for name, points in DECAYS.items()]
    return fitted.lines(fitted.of_axes(evidence.of(run.recorded()), run.sweeps, axes)).set_index(["axis", "host"])


@pytest.mark.parametrize(("which", "axes", "n"), [("planned", AXES, 20), ("of models that are there", DECAYS, 24)])
def test_lines_along_axes(which, axes, n):
    said, every = lines_said(which), {}
    assert set(said.index) == set(product(axes, HOSTS))
    for key in said.index:
        found = [of_point(sweep, key[1], n) for sweep in axes[key[0]].values()]
        every[key] = None if any(one is None for one in found) else found
    waiting = {key for key, points in every.items() if points is None}
    assert set(said.index[said["change"] == "waits for seeds"]) == waiting
    if waiting == set(every):
        pytest.skip("no axis has all its points, so that nothing is decided yet")
    slopes, places = {}, {}
    for key, points in every.items():
        steps = np.array(list(axes[key[0]]), float)
        places[key] = steps / 0.1 if key[0] == "label noise" else np.log2(steps)
        slopes[key] = {
            scale: None if points is None else np.polyfit(places[key], of_seeds(points, scale), 1)[0]
            for scale in ("nats", "spreads")
        }
    p = {
        scale: corrected({key: None if of[scale] is None else sign_flips(of[scale]) for key, of in slopes.items()})
        for scale in ("nats", "spreads")
    }
    area_p = corrected({key: None if key in waiting else said.loc[key, "area_p"] for key in every})
    for key in set(every) - waiting:
        row, x, points = said.loc[key], places[key], every[key]
        for scale, values in slopes[key].items():
            assert row[scale] == pytest.approx(values.mean(), abs=1e-9), key
            assert row[f"{scale}_p_holm"] == pytest.approx(p[scale][key], abs=0.003 + 0.15 * p[scale][key])
        d, length = of_seeds(points, "nats"), x[-1] - x[0]
        low, high = (length * end for end in bootstrap_t(slopes[key]["nats"]))
        assert row["whole"] == pytest.approx(length * slopes[key]["nats"].mean(), abs=1e-9)
        assert (row["whole_low"], row["whole_high"]) == pytest.approx((low, high), abs=0.1 * (high - low))
        assert row["level"] == pytest.approx(np.polyfit(x, d, 1)[1].mean(), abs=1e-9)
        signs = [shown(values.mean(), p[scale][key]) for scale, values in slopes[key].items()]
        word = {"raises": "grows", "reduces": "shrinks"}.get(change(*signs), change(*signs))
        if word == "no change shown" and max(-low, high) < 0.1:
            word = "changes by little"
        near = [abs(p[scale][key] - 0.05) < 0.01 for scale in p] + [abs(end - 0.1) < 0.01 for end in (-low, high)]
        if not any(near):
            assert row["change"] == word, key
        miss = d[-1] - np.array([np.polyval(np.polyfit(x[:-1], one[:-1], 1), x[-1]) for one in d.T])
        low, high = bootstrap_t(miss)
        assert row["miss"] == pytest.approx(miss.mean(), abs=1e-9)
        margin = max(0.1, abs(d[-1].mean()) / 2)
        verdict = "missed" if low > 0 or high < 0 else "foretold" if max(-low, high) < margin else "cannot be checked"
        if key == ("training images", "hard"):
            verdict = "not asked"
        if all(abs(end - line) > 0.1 * (high - low) for end in (low, high) for line in (0, margin, -margin)):
            assert row["verdict"] == verdict, key
        areas = [area(*one["unknown"][:, 1:].T) for one in points]
        assert row["area"] == pytest.approx(np.polyfit(x, areas, 1)[0], abs=1e-9)
        assert row["area_p_holm"] == pytest.approx(area_p[key], abs=1e-12)
        told = (
            "no change shown" if area_p[key] >= 0.05 else "told more easily" if row["area"] > 0 else "told less easily"
        )
        assert row["reading"] == told, key


def of_seeds(points, scale):
    """D of every point and seed (n_points, n_seeds), in nats or over the models' own spread."""
    return np.array([one["d"] / (one["spread"] if scale == "spreads" else 1) for one in points])


def test_the_p_of_an_area_along_an_axis_is_that_of_seeds_drawn_anew():
    said, rng = lines_said("of models that are there"), np.random.default_rng(7)
    for host in HOSTS:
        scores = np.array([of_point(sweep, host, 24)["unknown"][:, 1:] for sweep in DECAYS["decay"].values()])
        x = np.log2(list(DECAYS["decay"]))
        weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
        drawn = rng.integers(24, size=(2000, 24))
        sums = np.array([[area(*one[seeds].T) for one in scores] for seeds in drawn]) @ weights
        p = min(1.0, 2 * (1 + min((sums <= 1e-12).sum(), (sums >= -1e-12).sum())) / 2001)
        assert said.loc[("decay", host), "area_p"] == pytest.approx(p, abs=0.01 + 0.3 * p)
