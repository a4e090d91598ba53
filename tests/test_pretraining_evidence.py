"""Pretrained networks beside networks from scratch, on made-up cards; and what their plan says."""

import re
from dataclasses import replace
from math import nan

import numpy as np
import pandas as pd
import planted
import pytest

from ufm import paths
from ufm.chapters import scaling as chapter
from ufm.evidence import contrasts, on_seeds
from ufm.evidence import pretraining as found
from ufm.evidence.regimes import scaled_contrasts
from ufm.evidence.scaling import Growth
from ufm.evidence.ways import Change
from ufm.plan import pretraining as plan
from ufm.plan import registry, scaling, second
from ufm.plan.thresholds import SECOND
from ufm.protocol import Pretraining, Training, hosts
from ufm.report import by_population, by_way
from ufm.report.texts import number
from ufm.statistics import bootstrap_t_interval, sign_flip_test
from ufm.study.parameters import shown

PAGE = (paths.BOOK / "scaling-plan.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Pretraining")[2].partition("\n## ")[0]
TITLE = "PneumoniaMNIST, full"
WHOLE, LAST = plan.WAYS


def made(effects, n_seeds=20, **changes):
    """Populations from scratch, with more seeds, and pretrained, with these effects on hard hosts."""
    every = {}
    for rng, (way, name) in enumerate(plan.names().items()):
        settings = {"first_seed": 4100, "title": TITLE, "setting": way, "needed": n_seeds, "rng": rng}
        more = 4 if way == plan.SCRATCH else 0
        every[name] = planted.equal_age(n_seeds + more, effect=effects[rng], **(settings | changes))
    return every


def sweeps_of(populations):
    return {name: cards.sweep for name, cards in populations.items()}


@pytest.fixture(scope="module")
def populations():
    return made((1.0, 0.5, 1.0), by_age={"early": 0.5})


@pytest.fixture(scope="module")
def sides(populations):
    return found.side_by_side(populations, sweeps_of(populations))


def test_a_planted_change_has_its_word(sides):
    table = found.compared(sides).set_index(["way", "host"])
    assert table["change"].to_dict() == {
        (WHOLE, "random"): Growth.LITTLE,
        (WHOLE, "hard"): Change.REDUCES,
        (LAST, "random"): Growth.LITTLE,
        (LAST, "hard"): Growth.LITTLE,
    }
    hard = table.loc[WHOLE, "hard"]
    # Of an effect nine tenths are left where classes are centred.
    assert hard["nats"] == pytest.approx(-0.45, abs=0.05)
    assert hard["early"] == pytest.approx(-0.225, abs=0.03)
    assert (table["n"] == 20).all()
    assert set(table["versus"]) == {plan.SCRATCH}


def test_numbers_are_those_of_pairs_of_seeds(populations, sides):
    scratch, whole = (populations[plan.names()[way]] for way in (plan.SCRATCH, WHOLE))
    scratch = on_seeds(scratch, whole.seeds)
    table = found.compared(sides).set_index(["way", "host"])
    for host in ("random", "hard"):
        ours, theirs = (scaled_contrasts(one, host) for one in (whole, scratch))
        row = table.loc[WHOLE, host]
        for scale in ("nats", "spreads"):
            difference = ours[scale] - theirs[scale]
            assert row[scale] == pytest.approx(difference.mean())
            assert row[f"{scale}_p"] == sign_flip_test(difference)
        early = contrasts(whole, host, epoch="early") - contrasts(scratch, host, epoch="early")
        interval = bootstrap_t_interval(early)
        assert (row["early"], row["early_low"], row["early_high"]) == (interval.estimate, interval.low, interval.high)
    assert table.loc[(WHOLE, "hard"), "nats_p_holm"] == pytest.approx(4 * table.loc[(WHOLE, "hard"), "nats_p"])


def test_models_stand_beside_each_other(populations, sides):
    table = found.models(sides)
    assert table["way"].tolist() == [way for way in plan.names() for _ in range(2)]
    assert (table["n"] == 20).all()
    hard = table[table["host"] == "hard"].set_index("way")
    scratch = on_seeds(populations[plan.names()[plan.SCRATCH]], range(4100, 4120))
    assert hard.loc[plan.SCRATCH, "nats"] == pytest.approx(contrasts(scratch, "hard", epoch="control").mean())
    assert hard.loc[plan.SCRATCH, "early"] == pytest.approx(contrasts(scratch, "hard", epoch="early").mean())
    assert hard["nats"].tolist() == pytest.approx([0.9, 0.45, 0.9], abs=0.1)


def a_row(nats=0.1, spreads=0.1, p=0.049, q=0.049, ends=(-1.0, 1.0)):
    row = {"nats": nats, "nats_p_holm": p, "spreads": spreads, "spreads_p_holm": q}
    return row | {"nats_low": ends[0], "nats_high": ends[1]}


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (a_row(), Change.RAISES),
        (a_row(-0.1, -0.1), Change.REDUCES),
        (a_row(-0.1, 0.1), Change.OPPOSITE),
        (a_row(p=0.05), Change.ONE_SCALE),
        (a_row(q=0.05), Change.ONE_SCALE),
        (a_row(ends=(0.01, 0.02)), Change.RAISES),
        (a_row(p=0.05, ends=(0.01, 0.02)), Change.ONE_SCALE),
        (a_row(p=0.05, q=0.05), Change.NOTHING),
        (a_row(p=0.05, q=0.05, ends=(-0.099, 0.099)), Growth.LITTLE),
        (a_row(p=0.05, q=0.05, ends=(-0.1, 0.099)), Change.NOTHING),
        (a_row(p=0.05, q=0.05, ends=(-0.099, 0.1)), Change.NOTHING),
        (a_row(p=nan), Change.OPEN),
    ],
)
def test_the_word(row, word):
    assert found.becomes(row) == word


def test_rows_wait_for_seeds_and_count_in_the_correction(populations):
    names, asked = plan.names(), sweeps_of(populations)
    few = populations | {names[LAST]: on_seeds(populations[names[LAST]], range(4112))}
    none = {name: cards for name, cards in populations.items() if name != names[LAST]}
    for there, n in ((few, 12), (none, 0)):
        sides = found.side_by_side(there, asked)
        table, models = found.compared(sides), found.models(sides)
        assert table["change"].tolist() == [Growth.LITTLE, Change.REDUCES, Change.OPEN, Change.OPEN]
        assert table["n"].tolist() == [20, 20, n, n]
        assert table["nats_p_holm"].iloc[1] == pytest.approx(4 * table["nats_p"].iloc[1])
        assert models["nats"].notna().tolist() == [True] * 4 + [False] * 2
        assert chapter.printed_pretrained(models)["seeds"].tolist()[-1] == f"{n} of 20"
        assert "nan" not in chapter.printed_pretrained(models).to_string() + by_way.printed_changes(table).to_string()
        texts = chapter.pretrained_texts(table, models)
        assert texts["last_layer_alone_hard"] == "not recorded"
        assert texts["pretrained"].endswith(
            "Waits for seeds: last layer alone (random hosts); last layer alone (hard hosts)"
        )


def test_nothing_is_recorded_or_asked_for(populations):
    asked, empty = sweeps_of(populations), {}
    waiting = found.compared(found.side_by_side({}, asked))
    assert waiting["change"].tolist() == [Change.OPEN] * 4
    alone = {name: sweep for name, sweep in asked.items() if name == plan.names()[plan.SCRATCH]}
    assert found.side_by_side(populations, alone) == found.side_by_side(populations, {}) == empty
    table, models = found.compared(empty), found.models(empty)
    assert table.empty
    assert models.empty
    for changes, of_models in ((waiting, found.models(found.side_by_side({}, asked))), (table, models)):
        [text] = by_way.drawn_changes(changes).axes[0].texts
        assert text.get_text() == "Not all seeds are trained yet."
        assert by_way.printed_changes(changes).empty
        assert by_population.summary(chapter.pretrained_quantities(of_models, changes)).empty
    assert set(chapter.pretrained_texts(table, models).values()) == {"not recorded"}
    assert chapter.printed_pretrained(models).empty


def test_texts_and_quantities(sides):
    table, models = found.compared(sides), found.models(sides)
    said = chapter.pretrained_texts(table, models)
    of = [chapter.said(row, "nats", 3) for row in table.to_dict("records")]
    scratch = models.set_index(["way", "host"]).loc[plan.SCRATCH, "nats"]
    assert said["pretrained"].startswith(
        f"Changes by little: fine-tuned whole (random hosts, by {of[0]} from {number(scratch['random'], 3)} nats); "
    )
    assert f"fine-tuned whole (hard hosts, by {of[1]} from {number(scratch['hard'], 3)} nats)" in said["pretrained"]
    assert re.fullmatch(
        r"-0\.4\d\d \(-0\.\d{3} to -0\.\d{3}\) nats, -0\.2\d\d \(-0\.\d{3} to -0\.\d{3}\) nats after ten epochs",
        said["fine_tuned_whole_hard"].replace("−", "-"),
    )
    summary = by_population.summary(chapter.pretrained_quantities(models, table)).set_index("quantity")
    hard = table[(table["way"] == WHOLE) & (table["host"] == "hard")].iloc[0]
    quantity = f"change of the contrast, {WHOLE}, hard hosts; {TITLE}"
    assert summary.loc[quantity, "estimate"] == hard["nats"]
    assert len(summary) == 6 * 3 + 4 * 2
    assert len(by_way.drawn_changes(table).axes) == 2
    page = (paths.NOTEBOOKS / "scaling.md").read_text(encoding="utf-8")
    assert set(said) <= set(re.findall(r"{glue:text}`(\w+)`", page))


# The plan


def test_what_is_trained_differs_in_what_was_trained_on_before():
    scratch = second.sweeps("paper")[plan.names()[plan.SCRATCH]]
    assert (scratch.protocol.training, scratch.seeds[:20]) == (Training(early_stopping="validation"), plan.SEEDS)
    ours = plan.sweeps("paper")
    assert [sweep.protocol.training.pretrained for sweep in ours.values()] == [Pretraining(), Pretraining(frozen=True)]
    for sweep in ours.values():
        training = replace(sweep.protocol.training, pretrained=None, learning_rate=3e-4)
        plain = replace(sweep.protocol, training=training, measure="equal-age card", found_at=None)
        assert plain == scratch.protocol
        assert (sweep.seeds, sweep.needed, sweep.trained_on) == (range(4100, 4120), 20, scratch.trained_on)
        assert hosts.fingerprint(sweep.protocol, 0) == hosts.fingerprint(scratch.protocol, 0)
    assert ours.items() <= registry.sweeps().items()
    assert plan.sweeps("embedded") == {}
    assert scaling.shown("paper")[-3:] == tuple(plan.names().values())
    assert not {*plan.names().values()} & {*scaling.shown("embedded")}


def test_networks_from_scratch_are_recorded():
    assert (paths.BOOK / "records" / plan.names()[plan.SCRATCH] / "models.csv").exists()


def test_rates_are_the_best_of_the_pilot():
    lines = (paths.BOOK / "benchmarks" / "pretraining.md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if "|" in line][2:]
    table = pd.DataFrame(rows, columns=["networks", "rate", "loss", "training", "epoch"])
    best = table.loc[table.assign(loss=table["loss"].astype(float)).groupby("networks")["loss"].idxmin()]
    rates = dict(zip(best["networks"], best["rate"].astype(float), strict=True))
    assert rates == plan.RATES | {plan.SCRATCH: Training().learning_rate}


def test_the_page_says_what_is_trained_and_every_word():
    words = " ".join(SECTION.split())
    for way in plan.names():
        assert f"| {way} |" in words
    for word in (*Change, Growth.LITTLE):
        assert re.search(rf"\b{word}\b", words), word
    assert f"{plan.SEEDS.start} to {plan.SEEDS.stop - 1}" in words
    assert f"within {SECOND.large} nats" in words
    weights = int(np.prod((256, 2))) + 2
    assert f"{weights} weights" in words


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, [*plan.names()]),
        ({"ood_set": "fashion_mnist"}, [plan.SCRATCH]),
        ({"variant": "batch norm"}, [plan.SCRATCH, WHOLE]),
        ({"variant": "dropout"}, [*plan.names()]),
    ],
)
def test_what_does_not_go_with_pretraining_is_left_out(changes, left):
    assert list(shown("scaling", "paper", dataset="pneumoniamnist", **changes)) == [plan.names()[way] for way in left]
