"""How memorisation scales, on made-up cards of which it is known how D goes along an axis; and what its plan says."""

import re
from dataclasses import replace
from math import nan

import numpy as np
import pandas as pd
import planted
import pytest

from ufm import paths
from ufm.chapters import scaling as chapter
from ufm.evidence import contrasts, on_seeds, pretraining
from ufm.evidence import scaling as fitted
from ufm.evidence.cells import corrected
from ufm.evidence.scaling import Easier, Foretold, Growth
from ufm.measures.layout import AGES
from ufm.networks import MLP
from ufm.plan import scaling as plan
from ufm.plan import second
from ufm.plan.thresholds import SECOND
from ufm.protocol import Training
from ufm.report import by_population
from ufm.report.texts import worded
from ufm.statistics import bootstrap_t_interval, sign_flip_test

PAGE = (paths.BOOK / "scaling-plan.md").read_text(encoding="utf-8")
VALUES = (1, 2, 4, 8)
TITLE = "MNIST, 10 000 images"


def an_axis(name="width", values=VALUES, *, further=(16.0,), doubled=True):
    return plan.Axis(name, {value: f"{name}-{value:g}" for value in values}, {}, further, doubled)


def of_effects(axis, effects, random_effects=(0,) * 9, *, n_seeds=20, first_seeds=(4800,) * 9):
    """The populations of an axis, with an effect at each of its points."""
    found = {}
    for number, name in enumerate(axis.points.values()):
        settings = {"title": TITLE, "setting": f"scaling, {name}", "needed": n_seeds, "rng": number}
        sizes = {"effect": effects[number], "random_effect": random_effects[number]}
        found[name] = planted.equal_age(n_seeds, first_seed=first_seeds[number], **settings, **sizes)
    return found


def sweeps_of(populations):
    return {name: cards.sweep for name, cards in populations.items()}


@pytest.fixture(scope="module")
def growing():
    """D grows by 0.3 a doubling on hard hosts, and is not there on random ones; accuracy grows too."""
    populations = of_effects(an_axis(), (0.4, 0.7, 1.0, 1.3))
    for number, (name, cards) in enumerate(populations.items()):
        rng = np.random.default_rng(number)
        accuracy = 0.8 + 0.02 * number + rng.normal(0, 0.001, len(cards.models))
        populations[name] = replace(cards, models=cards.models.assign(accuracy=accuracy, best_epoch=10 + number))
    return populations


@pytest.fixture(scope="module")
def every(growing):
    return fitted.of_axes(growing, sweeps_of(growing), [an_axis()])


@pytest.fixture(scope="module")
def lines(every):
    return fitted.lines(every)


# What is fitted


def test_a_planted_slope_is_found_with_its_word(lines):
    rows = lines.set_index("host")
    hard = rows.loc["hard"]
    # Of an effect nine tenths are left where classes are centred.
    assert hard["nats_low"] < 0.27 < hard["nats_high"]
    assert hard["nats_high"] - hard["nats_low"] < 0.1
    assert rows["change"].tolist() == [Growth.LITTLE, Growth.GROWS]
    assert hard["verdict"] == Foretold.YES
    assert hard["reading"] == Easier.MORE
    assert hard["whole_low"] < 0.81 < hard["whole_high"]
    assert np.isnan(rows.loc["random", "factor"])
    assert hard["factor"] == pytest.approx(
        np.exp(np.polyfit(range(4), np.log([0.36, 0.63, 0.9, 1.17]), 1)[0]), rel=0.05
    )
    assert hard["accuracy"] == pytest.approx(0.02, abs=0.001)


def test_numbers_are_those_of_numpy(growing, lines):
    d = np.stack([contrasts(cards, "hard", epoch="control") for cards in growing.values()], 1)
    of_seeds = [np.polyfit(range(4), one, 1) for one in d]
    row = lines[lines["host"] == "hard"].iloc[0]
    assert row["nats"] == pytest.approx(np.mean([slope for slope, _ in of_seeds]))
    assert row["level"] == pytest.approx(np.mean([level for _, level in of_seeds]))
    assert row["whole"] == pytest.approx(3 * row["nats"])
    assert row["miss"] == pytest.approx(
        np.mean([one[3] - np.polyval(np.polyfit(range(3), one[:3], 1), 3) for one in d])
    )
    assert row["last"] == pytest.approx(d[:, 3].mean())
    assert row["nats_p"] == sign_flip_test([slope for slope, _ in of_seeds])


def test_the_same_line_is_fitted_at_one_age(growing):
    """Letters whose effect at the tenth epoch is a third of that at the control's best one."""
    early, control, populations = AGES.index("early"), AGES.index("control"), {}
    for name, cards in growing.items():
        shift = cards.arrays["ood_age_shift"].copy()
        shift[:, :, early] = shift[:, :, control] / 3
        populations[name] = replace(cards, arrays={**cards.arrays, "ood_age_shift": shift})
    every = fitted.of_axes(populations, sweeps_of(populations), [an_axis()])
    points, table = fitted.points(every), fitted.lines(every)
    for end in ("", "_low", "_high"):
        np.testing.assert_allclose(points[f"early{end}"], points[f"nats{end}"] / 3, atol=1e-3)
        np.testing.assert_allclose(table[f"early{end}"], table[f"nats{end}"] / 3, atol=1e-3)
    assert table["change"].tolist() == [Growth.LITTLE, Growth.GROWS]
    assert chapter.printed_lines(table)["at epoch 10, nats a step"].iloc[1] == chapter.said(table.iloc[1], "early", 3)
    assert chapter.printed_points(points)["at epoch 10, nats"].iloc[1] == chapter.said(points.iloc[1], "early", 3)


def test_points_have_their_numbers(every):
    table = fitted.points(every)
    assert table["value"].tolist() == [value for value in VALUES for _ in range(2)]
    assert table["place"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert table["epoch"].tolist() == [10, 10, 11, 11, 12, 12, 13, 13]
    hard = table[table["host"] == "hard"]
    assert hard["nats"].tolist() == pytest.approx([0.36, 0.63, 0.9, 1.17], abs=0.1)
    assert hard["unknown"].iloc[-1] > 0.95
    assert hard["unknown_found"].iloc[-1] > 0.8
    assert (table["n"] == 20).all()


def test_shrinking_and_saturating_lines():
    for effects, change, verdict in (
        ((1.3, 1.0, 0.7, 0.4), Growth.SHRINKS, Foretold.YES),
        ((0.1, 0.9, 1.7, 1.7), Growth.GROWS, Foretold.MISSED),
    ):
        populations = of_effects(an_axis(), effects)
        table = fitted.lines(fitted.of_axes(populations, sweeps_of(populations), [an_axis()])).set_index("host")
        assert table.loc["hard", ["change", "verdict"]].tolist() == [change, verdict]


def test_a_factor_is_given_where_every_point_lies_above_zero():
    populations = of_effects(an_axis(), (0.4, 0.4, 0.4, 0.4), (0.08,) * 4, n_seeds=12)
    d = np.stack([contrasts(cards, "random", epoch="control") for cards in populations.values()], 1)
    assert (d.mean(0) > 0).all()
    assert min(bootstrap_t_interval(one).low for one in d.T) < 0
    rows = fitted.lines(fitted.of_axes(populations, sweeps_of(populations), [an_axis()])).set_index("host")
    assert np.isnan(rows.loc["random", "factor"])
    assert rows.loc["hard", "factor_low"] < rows.loc["hard", "factor"] < rows.loc["hard", "factor_high"]
    assert chapter.printed_lines(rows.reset_index())["factor a step"].iloc[0] == "–"


def test_beyond_is_said_where_the_last_value_is_foretold(every, lines):
    found = fitted.further(every, lines)
    assert found["value"].tolist() == [16.0] * 2
    hard = found[found["host"] == "hard"].iloc[0]
    assert hard["nats_low"] < 0.9 * 1.6 < hard["nats_high"]
    missed = lines.assign(verdict=Foretold.MISSED)
    assert fitted.further(every, missed)["nats"].isna().all()
    assert chapter.texts(missed, fitted.further(every, missed))["beyond"] == "nothing yet"


def test_where_nothing_changes_words_are_rare():
    """Of 200 sets of ten rows whose slopes are skewed and alike on both scales, at most one in twenty has a word."""
    spoken = 0
    for rng in range(200):
        draws, rows = np.random.default_rng(rng), []
        for _ in range(10):
            nats = draws.exponential(size=20) - draws.exponential(size=20) * 0.5 - 0.5
            two = {"nats": nats, "spreads": nats + draws.normal(0, 0.5, 20)}
            rows.append({name: of.mean() for name, of in two.items()})
            rows[-1] |= {f"{name}_p": sign_flip_test(of, n_flips=2_000, seed=rng) for name, of in two.items()}
        table = pd.DataFrame(rows).assign(whole=0.0, whole_low=-1.0, whole_high=1.0)
        for name in two:
            table[f"{name}_p_holm"] = corrected(table[f"{name}_p"], planned=True)
        words = {fitted.grows(row) for row in table.to_dict("records")}
        spoken += bool(words & {Growth.GROWS, Growth.SHRINKS, Growth.OPPOSITE})
    assert spoken / 200 <= 0.05


# Words at their borders


def a_row(nats=0.1, spreads=0.1, p=0.049, q=0.049, ends=(-1.0, 1.0)):
    row = {"nats": nats, "nats_p_holm": p, "spreads": spreads, "spreads_p_holm": q}
    return row | {"whole": 0.0, "whole_low": ends[0], "whole_high": ends[1]}


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (a_row(), Growth.GROWS),
        (a_row(-0.1, -0.1), Growth.SHRINKS),
        (a_row(-0.1, 0.1), Growth.OPPOSITE),
        (a_row(p=0.05), Growth.ONE_SCALE),
        (a_row(q=0.05), Growth.ONE_SCALE),
        (a_row(ends=(0.01, 0.02)), Growth.GROWS),
        (a_row(p=0.05, ends=(0.01, 0.02)), Growth.ONE_SCALE),
        (a_row(p=0.05, q=0.05), Growth.NOTHING),
        (a_row(p=0.05, q=0.05, ends=(-0.099, 0.099)), Growth.LITTLE),
        (a_row(p=0.05, q=0.05, ends=(-0.1, 0.099)), Growth.NOTHING),
        (a_row(p=0.05, q=0.05, ends=(-0.099, 0.1)), Growth.NOTHING),
        (a_row(p=0.05, q=0.05, ends=(nan, nan)), Growth.LITTLE),
        (a_row(p=nan), Growth.OPEN),
        ({}, Growth.OPEN),
    ],
)
def test_the_word_for_d(row, word):
    assert fitted.grows(row) == word


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"area": 0.1, "area_p_holm": 0.049}, Easier.MORE),
        ({"area": -0.1, "area_p_holm": 0.049}, Easier.LESS),
        ({"area": 0.1, "area_p_holm": 0.05}, Easier.NOTHING),
        ({"area": nan, "area_p_holm": nan}, Easier.OPEN),
        ({}, Easier.OPEN),
    ],
)
def test_the_word_for_the_area(row, word):
    assert fitted.easier(row) == word


def a_miss(low, high, last=0.1, axis="width", host="hard"):
    return {"axis": axis, "host": host, "miss": (low + high) / 2, "miss_low": low, "miss_high": high, "last": last}


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (a_miss(-0.09, 0.09), Foretold.YES),
        (a_miss(0.0, 0.09), Foretold.YES),
        (a_miss(0.001, 0.09), Foretold.MISSED),
        (a_miss(-0.09, -0.001), Foretold.MISSED),
        (a_miss(-0.09, 0.1), Foretold.UNCHECKED),
        (a_miss(-0.1, 0.09), Foretold.UNCHECKED),
        (a_miss(-0.24, 0.24, last=0.5), Foretold.YES),
        (a_miss(-0.24, 0.25, last=0.5), Foretold.UNCHECKED),
        (a_miss(-0.24, 0.24, last=-0.5), Foretold.YES),
        (a_miss(nan, nan), Foretold.OPEN),
        (a_miss(-0.09, 0.09, axis="training images"), Foretold.NOT_ASKED),
        (a_miss(-0.09, 0.09, axis="training images", host="random"), Foretold.YES),
        ({"axis": "width", "host": "hard"}, Foretold.OPEN),
    ],
)
def test_the_word_for_the_last_value(row, word):
    assert fitted.foretold(row) == word


# What is lacking


def test_an_axis_waits_for_seeds(growing):
    few = growing | {"width-4": on_seeds(growing["width-4"], range(4812))}
    every = fitted.of_axes(few, sweeps_of(growing), [an_axis()])
    table, points = fitted.lines(every), fitted.points(every)
    assert table[["change", "reading", "verdict"]].nunique().tolist() == [1, 1, 1]
    assert set(table["change"]) == {Growth.OPEN}
    assert chapter.printed_lines(table)["seeds"].tolist() == ["12 of 20"] * 2
    assert points["nats"].notna().sum() == 6
    for printed in (
        chapter.printed_lines(table),
        chapter.printed_areas(table),
        chapter.printed_points(points),
        chapter.printed_further(table, fitted.further(every, table)),
    ):
        assert not printed.astype(str).apply(lambda column: column.str.contains("nan|decided")).any(axis=None)
    figure = chapter.drawn_contrasts(points, table, fitted.further(every, table))
    assert not [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"]


def test_rows_that_wait_count_in_the_correction(growing):
    two = an_axis(), an_axis("copies")
    waiting = {f"copies-{value}": growing["width-1"].sweep for value in VALUES}
    alone = fitted.lines(fitted.of_axes(growing, sweeps_of(growing), two))
    beside = fitted.lines(fitted.of_axes(growing, sweeps_of(growing) | waiting, two))
    assert len(alone) == 2
    assert beside["change"].tolist()[2:] == [Growth.OPEN] * 2
    hard = alone["host"] == "hard"
    assert alone.loc[hard, "nats_p_holm"].iloc[0] == pytest.approx(2 * alone.loc[hard, "nats_p"].iloc[0])
    assert beside["nats_p_holm"].iloc[1] == pytest.approx(4 * beside["nats_p"].iloc[1])


def test_nothing_is_recorded_yet(growing):
    every = fitted.of_axes({}, sweeps_of(growing), [an_axis()])
    table, points = fitted.lines(every), fitted.points(every)
    further = fitted.further(every, table)
    assert set(table["change"]) == {Growth.OPEN}
    assert set(further["verdict"]) == {Foretold.OPEN}
    for figure in (
        chapter.drawn_contrasts(points, table, further),
        chapter.drawn_areas(points),
        chapter.drawn_accuracies(points),
    ):
        [text] = figure.axes[0].texts
        assert text.get_text() == "Not all seeds are trained yet."
    assert by_population.summary(chapter.quantities(points, table, TITLE)).empty
    assert chapter.texts(table, further)["slope_width_hard"] == "not recorded"


def test_no_axis_is_left(growing):
    two_points = {name: one for name, one in sweeps_of(growing).items() if name in ("width-1", "width-2")}
    every = fitted.of_axes(growing, two_points, [an_axis()])
    assert every == []
    table, points = fitted.lines(every), fitted.points(every)
    assert table.empty
    assert chapter.printed_lines(table).empty
    assert chapter.texts(table, fitted.further(every, table))["change"] == "not recorded"
    assert chapter.drawn_accuracies(points).axes


def test_as_many_first_seeds_are_taken_as_all_points_have():
    axis = an_axis(values=(1, 2, 4))
    long = {"width-1": planted.equal_age(24, first_seed=4800), "width-4": planted.equal_age(40, first_seed=4100)}
    populations = long | {"width-2": planted.equal_age(20, first_seed=4800)}
    [one] = fitted.of_axes(populations, sweeps_of(populations), [axis])
    assert [list(cards.seeds) for cards in one.cards.values()] == [
        list(range(4800, 4820)),
        list(range(4800, 4820)),
        list(range(4100, 4120)),
    ]
    assert (one.needed, one.complete) == (20, True)
    assert fitted.lines([one])["n"].tolist() == [20] * 2  # in their order, whatever their numbers


# The page


def test_texts_and_rehearsals(every, lines):
    further = fitted.further(every, lines)
    said = chapter.texts(lines, further)
    assert said["change"] == "Changes by little: width (random hosts). Grows: width (hard hosts)"
    assert re.fullmatch(r"0\.\d{3} \(0\.\d{3} to 0\.\d{3}\) nats a doubling", said["slope_width_hard"])
    assert said["slope_copies_hard"] == "not recorded"
    assert re.search(r"width 16 \(hard hosts\): 1\.\d{3} \(", said["beyond"])
    assert (said["change_random"], said["change_hard"]) == ("Changes by little: width", "Grows: width")
    asked = set[str]()
    for name, pattern in (("scaling", r"{glue:text}`(\w+)`"), ("verdicts", r"`scaling\.ipynb::(\w+):s`")):
        asked |= set(re.findall(pattern, (paths.NOTEBOOKS / f"{name}.md").read_text(encoding="utf-8")))
    # What these say: tests/test_pretraining_evidence.py.
    of_pretrained = chapter.pretrained_texts(pretraining.compared({}), pretraining.models({}))
    assert asked - {"population", "large", "seeds", *of_pretrained} == set(said)
    rehearsed = chapter.texts(worded(lines, "embedded"), further)
    for name in ("change", "reading", "verdict"):
        assert rehearsed[name] == "Rehearsal: no word: width (random hosts); width (hard hosts)"


def test_values_are_printed_as_populations_have_them():
    assert [chapter.called(value) for value in (0.125, 1, 0.4, 1000, 60000, plan.ARCHIVE)] == [
        *("0.125", "1", "0.4", "1 000", "60 000", "224 316"),
    ]


def test_the_summary_has_a_row_a_quantity(every, lines):
    summary = by_population.summary(chapter.quantities(fitted.points(every), lines, TITLE))
    assert set(summary.index) == {TITLE}
    rows = summary.set_index("quantity")
    hard = lines[lines["host"] == "hard"].iloc[0]
    assert rows.loc[f"slope of contrast, width, hard hosts; {TITLE}", "estimate"] == hard["nats"]
    assert len(rows) == 8 * 3 + 2 * 3


def test_a_line_is_drawn_to_what_it_says_beyond(every, lines):
    points, further = fitted.points(every), fitted.further(every, lines)
    [axis] = chapter.drawn_contrasts(points, lines, further).axes
    drawn = {
        line.get_color(): line for line in axis.lines if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"
    }
    for host, end in {"random": 3, "hard": 4}.items():  # of which the one cannot be checked, the other is foretold
        row, line = lines[lines["host"] == host].iloc[0], drawn[chapter.HOST_COLOURS[host]]
        assert list(line.get_xdata()) == [0, end]
        assert list(line.get_ydata()) == pytest.approx([row["level"], row["level"] + end * row["nats"]])
    assert [text.get_text() for text in axis.get_xticklabels()] == ["1", "2", "4", "8", "16"]
    [axis] = chapter.drawn_contrasts(points, lines, further.assign(nats=nan)).axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["1", "2", "4", "8"]


# The plan


def test_each_point_changes_one_thing_of_plain_models():
    plain = second.compact_population("paper", "mnist")
    assert replace(plain, measure="equal-age card") == second.small_population("paper", "mnist")
    axes = {axis.name: axis for axis in plan.axes("paper")}
    expected = {
        "width": {
            value: {"model": MLP(hidden=(int(512 * value), int(256 * value))), "found_by": MLP()}
            for value in (0.125, 0.25, 0.5, 2, 4)
        },
        "hidden layers": {
            1: {"model": MLP(hidden=(512,)), "found_by": MLP()},
            4: {"model": MLP(hidden=(512, 256, 256, 256)), "found_by": MLP()},
            8: {"model": MLP(hidden=(512, *[256] * 7)), "found_by": MLP()},
        },
        "image side": {times: {"enlarged": times} for times in (2, 3, 4)},
        "training images": {n: {"n_train": n} for n in (1_000, 3_000, 30_000)},
        "copies": {n: {"n_carriers": n} for n in (3, 10, 30, 100)},
        "label noise": {share: {"training": Training(label_noise=share)} for share in (0.1, 0.2, 0.4)},
    }
    assert axes.keys() == expected.keys()
    for name, axis in axes.items():
        own = {value: axis.sweeps[sweep] for value, sweep in axis.points.items() if sweep in axis.sweeps}
        assert {value: sweep.protocol for value, sweep in own.items()} == {
            value: replace(plain, **changes) for value, changes in expected[name].items()
        }
        assert list(axis.points) == sorted(axis.points)
    assert plan.sweeps("paper").keys() == {sweep for axis in axes.values() for sweep in axis.sweeps}
    for sweep in plan.sweeps("paper").values():
        assert (sweep.seeds, sweep.needed) == (range(4800, 4820), 20)


def test_points_at_hand_are_those_of_the_second_plan():
    known = second.sweeps("paper")
    for axis in plan.axes("paper"):
        theirs = {value: known[name] for value, name in axis.points.items() if name in known}
        protocols = {value: sweep.protocol for value, sweep in theirs.items()}
        assert {sweep.setting for sweep in theirs.values()} <= {"second plan, plain", "second plan, both hosts"}
        assert all(sweep.seeds[:20] in (range(4800, 4820), range(4100, 4120)) for sweep in theirs.values())
        assert all(protocol.measure == "equal-age card" for protocol in protocols.values())
        usual = {"hidden layers": 2, "training images": 10_000, "label noise": 0}.get(axis.name, 1)
        assert protocols[usual] == second.small_population("paper", "mnist")
        assert set(protocols) == {usual} | ({60_000} if axis.name == "training images" else set())


def test_the_page_says_what_is_trained():
    rows = {cells[0]: cells for cells in (line.strip("| ").split(" | ") for line in PAGE.splitlines() if "|" in line)}
    for axis in plan.axes("paper"):
        words = rows[axis.name][1].replace("⅛", "0.125").replace("¼", "0.25").replace("½", "0.5")
        assert [float(word.replace(" ", "")) for word in words.split(", ")] == list(axis.points)
        assert rows[axis.name][2] in (f"a {axis.step}", f"a {axis.step}s")
        for value in axis.further:
            last, first = axis.place(max(axis.points)), axis.place(min(axis.points))
            assert axis.place(value) - last <= (last - first) / 2
    words = " ".join(PAGE.split())
    assert "4800 to 4819" in words
    assert "4100 to 4119" in words
    assert f"{chapter.called(plan.ARCHIVE)} images" in words
    assert "networks eight times as wide" in words
    axes = {axis.name: axis for axis in plan.axes("paper")}
    sides = [28 * int(value) for value in (*axes["image side"].points, *axes["image side"].further)]
    assert "images of {}, {}, {} and {} pixels a side".format(*sides[:-1]) in words
    assert f"images of {sides[-1]} pixels a side" in words
    assert len(axes) == 6
    assert "the twelve rows, six axes on two kinds of host" in words
    assert f"less than {SECOND.large} nats" in words
    for word in (*Growth, *Easier, *Foretold):
        assert re.search(rf"\*?{word}\*?", words), word


def test_the_two_points_that_were_known_are_recorded():
    recorded = {path.parent.name for path in (paths.BOOK / "records").glob("*/models.csv")}
    known = {name for axis in plan.axes("paper") for name in axis.points.values()} - plan.sweeps("paper").keys()
    assert known == {"mnist-small-second-plan-plain", "mnist-full-second-plan-both-hosts"} <= recorded


def drawn(some):
    """Points, lines and what is beyond them, of two axes and the share of labels."""
    axes = (
        an_axis(),
        an_axis("training images", (1_000, 3_000, 10_000), further=()),
        an_axis("label noise", (0, 0.2, 0.4)),
    )
    axes = (*axes[:2], replace(axes[2], doubled=False, further=()))
    effects = ((0.4, 0.7, 1.0, 1.3), (0.5, 0.6, 0.8), (0.6, 0.3, 0.2))
    populations = {}
    for axis, sizes in zip(axes, effects, strict=True):
        populations |= of_effects(axis, sizes, (0.1,) * 4, n_seeds=8 + len(some))
    every = fitted.of_axes(populations, sweeps_of(populations), axes)
    lines = fitted.lines(every)
    return fitted.points(every), lines, fitted.further(every, lines)


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {
    "drawn_contrasts": lambda some: [*drawn(some)],
    "drawn_areas": lambda some: [drawn(some)[0]],
    "drawn_accuracies": lambda some: [drawn(some)[0]],
    "drawn_along": lambda some: [drawn(some)[0]],
}
DRAWN_WITH = {"drawn_along": {"name": "known", "y": "area, label known"}}
PANELS = dict.fromkeys(DRAWN, 4)
