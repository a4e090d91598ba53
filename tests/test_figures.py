"""Figures of the chapters, from made-up populations: panels, points, and tables with nothing to show.

From what a chapter's figures are drawn says its own test: `DRAWN`, by the name of the function, and `DRAWN_WITH` and
`PANELS` for those that need settings or have a number of panels of their own, of n populations.
"""

import warnings
from copy import deepcopy
from importlib import import_module
from inspect import isfunction
from itertools import pairwise
from math import nan
from pathlib import Path
from pkgutil import iter_modules

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import planted
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from ufm import chapters
from ufm.chapters import as_released
from ufm.evidence import cells, keyed
from ufm.plan import fourth
from ufm.report import by_key, by_way, figures

N_SEEDS = 12


@pytest.fixture(scope="module")
def populations():
    return [planted.cards(N_SEEDS, effect=0.5, rng=rng, title=title) for rng, title in enumerate(planted.TITLES)]


def images(populations):
    return planted.each(
        populations, lambda cards: [(np.full((1, 4, 4), place, np.uint8), f"{place}") for place in range(3)]
    )


def forest_rows(populations):
    """Two labels of two kinds, a panel a population."""
    return pd.DataFrame(
        [
            {"panel": title, "label": label, "kind": kind, "estimate": mean, "low": mean - 0.1, "high": mean + 0.2}
            for title, _ in zip(planted.TITLES, populations, strict=False)
            for label, kind, mean in (("a", "random", 0.1), ("a", "hard", 0.2), ("b", "hard", 0.3))
        ]
    )


def keys(populations):
    """What is told with a key and without it, of as many data sets as populations."""
    every = [planted.keyed(one.title) for one in populations]
    return keyed.by_key({name: cards for some in every for name, cards in some.items()}, fourth.ENCODED, fourth.PATCHES)


DRAWN = {
    "figures.pictures": lambda some: [images(some)],
    "figures.contrast_cells": lambda some: [cells.contrast_cells(dict(zip(planted.TITLES, some, strict=False)))],
    "figures.contrast_rows": lambda some: [planted.questions(some)],
    "figures.by_setting": planted.settings,
    "figures.forest": lambda some: [forest_rows(some)],
    "figures.waiting": lambda some: [],
    "by_way.drawn_ways": lambda some: [planted.by_way(some)[0]],
    "by_way.drawn_changes": lambda some: [planted.by_way(some)[1]],
    "by_way.drawn_costs": lambda some: [planted.by_way(some)[1]],
    "by_key.drawn_keys": lambda some: [keys(some)],
}
SETTINGS = {
    "figures.contrast_cells": {"smallest": 0.02},
    "figures.contrast_rows": {"lines": (0.02, 0.1)},
    "figures.forest": {"x": "nats", "lines": (0.05,)},
    "by_way.drawn_ways": {"smallest": 0.02, "large": 0.1},
}
ONE_PANEL = {
    "figures.contrast_cells": 1,
    "figures.contrast_rows": 1,
    "figures.waiting": 1,
    "by_way.drawn_changes": 2,
    "by_key.drawn_keys": 4,
}
for path in sorted(Path(__file__).parent.glob("test_chapter_*.py")):
    ours, chapter = vars(import_module(path.stem)), path.stem.removeprefix("test_chapter_")
    for every, own in ((DRAWN, "DRAWN"), (SETTINGS, "DRAWN_WITH"), (ONE_PANEL, "PANELS")):
        every |= {f"{chapter}.{function}": value for function, value in ours.get(own, {}).items()}
BY_POPULATION = sorted(set(DRAWN) - set(ONE_PANEL) - {"figures.pictures"})


MODULES = {"figures": figures, "by_key": by_key, "by_way": by_way} | {
    module.name: import_module(f"ufm.chapters.{module.name}") for module in iter_modules(chapters.__path__)
}


def draw(name, tables, **changes):
    module, function = name.split(".")
    return getattr(MODULES[module], function)(*tables, **(SETTINGS.get(name, {}) | changes))


def visible(figure):
    return [axis for axis in figure.axes if axis.axison]


def clouds(axis):
    """The numbers of points in each cloud of a panel, by its label where it has one."""
    found = [one for one in axis.collections if isinstance(one, PathCollection)]
    return [len(one.get_offsets()) for one in found]


def nothing(table):
    """The table with every measured number gone."""
    kept = {"seed", "n_images", "n_permutations", "canary_index", "canary_label"}
    numbers = [name for name in table.select_dtypes("number") if name not in kept]
    return table.assign(**dict.fromkeys(numbers, nan))


def test_every_figure_is_drawn_here():
    """But those of the method, which are of one seed."""
    functions = {
        f"{name}.{function.__name__}"
        for name, module in MODULES.items()
        for function in filter(isfunction, vars(module).values())
        if function.__module__ == module.__name__ and function.__annotations__["return"] is Figure
    }
    assert {name for name in functions if not name.startswith("method.")} - {"figures.closed"} == set(DRAWN)
    for module, function in (name.split(".") for name in functions):
        assert module == "figures" or function.startswith("drawn_")  # by which a cell with a figure is known


@pytest.mark.parametrize("n", [1, 3, 4])
@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_narrow_closed_has_its_panels_and_leaves_its_tables(name, n, populations):
    tables = DRAWN[name](populations[:n])
    untouched = deepcopy(tables)
    plt.close("all")
    figure = draw(name, tables)
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == []  # else a notebook shows it twice
    assert_panels(figure, name, n)
    figure.draw_without_rendering()
    assert figure.get_figwidth() <= figures.WIDTH
    for axis in figure.axes:
        assert axis.images or axis.lines or axis.collections or not axis.axison
    for given, before in zip(tables, untouched, strict=True):
        for title in given if isinstance(given, dict) else []:
            if isinstance(given[title], np.ndarray):
                np.testing.assert_array_equal(given[title], before[title])
            else:
                pd.testing.assert_frame_equal(pd.DataFrame(given[title]), pd.DataFrame(before[title]))
        if isinstance(given, pd.DataFrame):
            pd.testing.assert_frame_equal(given, before)


@pytest.mark.parametrize("name", BY_POPULATION)
def test_two_populations_have_a_panel_each(name, populations):
    assert_panels(draw(name, DRAWN[name](populations[:2])), name, 2)


def assert_panels(figure, name, n):
    """Assert that each of n populations has a panel under its title, or that another figure has those that it has."""
    if name in ONE_PANEL:
        expected = ONE_PANEL[name]
        assert len(figure.axes) == (expected(n) if callable(expected) else expected)
    if name in BY_POPULATION:
        assert [axis.get_title() for axis in visible(figure)] == list(planted.TITLES[:n])
        assert all(axis.lines or axis.collections for axis in visible(figure))


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize(
    "name",
    [
        "controls.drawn_scores",
        "controls.drawn_siblings",
        "controls.drawn_false_positive_rates",
        "detection.drawn_power",
        "hosts.drawn_seeds",
        "figures.contrast_cells",
        "as_released.drawn_scores",
    ],
)
def test_a_table_without_numbers_is_drawn_empty(name, n, populations):
    tables = [
        {title: nothing(table) for title, table in one.items()} if isinstance(one, dict) else nothing(one)
        for one in DRAWN[name](populations[:n])
    ]
    draw(name, tables).draw_without_rendering()


@pytest.mark.parametrize("score", ["memorisation", "memorisation_raw", "label_known"])
def test_every_model_is_a_point(score, populations):
    tables = DRAWN["controls.drawn_scores"](populations)
    figure = draw("controls.drawn_scores", tables, score=score)
    for axis, table in zip(visible(figure), tables[0].values(), strict=True):
        assert clouds(axis) == [N_SEEDS] * 5
        control = [one for one in axis.collections if isinstance(one, PathCollection)][0]
        np.testing.assert_array_equal(control.get_offsets()[:, 0], table.loc[table["role"] == "control", score])
        rows = [round(float(one.get_offsets()[:, 1].mean())) for one in axis.collections]
        assert rows == list(range(5))  # in the order of the labels
        assert len(axis.get_yticks()) == 5


def test_siblings_are_set_against_their_own_control(populations):
    tables = DRAWN["controls.drawn_siblings"](populations[:1])
    [shuffled] = [{title: table.sample(frac=1, random_state=0) for title, table in tables[0].items()}]
    [axis] = visible(draw("controls.drawn_siblings", [shuffled]))
    assert clouds(axis) == [N_SEEDS] * 2
    scores = populations[0].arrays["score_memorisation"][:, :, 0, -1]
    points = {one.get_label(): {tuple(point) for point in one.get_offsets().tolist()} for one in axis.collections}
    canaries = [of_label for label, of_label in points.items() if label.startswith("canary")]
    assert canaries == [{(float(one[0]), float(one[3])) for one in scores}]


def test_a_line_a_published_rule(populations):
    tables = DRAWN["controls.drawn_false_positive_rates"](populations[:2])
    rates = tables[0]["first"]
    for inputs in ("normalised", "raw"):
        axis = draw("controls.drawn_false_positive_rates", tables, inputs=inputs).axes[0]
        lines = {line.get_label(): line for line in axis.lines}
        for rule in ("M > 0", "t-test", "Mann–Whitney"):
            rows = rates[(rates["rule"] == rule) & (rates["inputs"] == inputs)]
            np.testing.assert_array_equal(lines[rule].get_xydata(), rows[["n_images", "estimate"]])


def test_permutation_p_values_climb_from_corner_to_corner(populations):
    tables = DRAWN["controls.drawn_p_values"](populations[:1])
    [axis] = draw("controls.drawn_p_values", tables).axes
    steps = [line for line in axis.lines if not line.get_label().startswith("_")]
    assert {line.get_label() for line in steps} == set(tables[0]["first"]["statistic"])
    for line in steps:
        x, y = line.get_data()
        assert ((x[0], y[0]), (x[-1], y[-1])) == ((0, 0), (1, 1))
        assert len(x) == 3 * N_SEEDS + 2
        assert (np.diff(y) >= 0).all()


def test_power_has_a_line_a_population_in_both_panels(populations):
    tables = DRAWN["detection.drawn_power"](populations)
    for axis, rows in zip(draw("detection.drawn_power", tables).axes, tables, strict=True):
        lines = {line.get_label(): line for line in axis.lines}
        assert set(planted.TITLES) <= set(lines)
        for title, table in rows.items():
            np.testing.assert_array_equal(lines[title].get_ydata(), table["estimate"])
            np.testing.assert_array_equal(lines[title].get_xdata(), table.iloc[:, 0])


@pytest.mark.parametrize("x", ["gain", "loss"])
def test_every_host_is_a_point(x, populations):
    tables = DRAWN["hosts.drawn_seeds"](populations)
    figure = draw("hosts.drawn_seeds", tables, x=x)
    for axis, table in zip(figure.axes, tables[0].values(), strict=True):
        assert clouds(axis) == [N_SEEDS] * 2
        assert axis.get_xscale() == ("log" if x == "loss" else "linear")
        for one, (_, rows) in zip(axis.collections, table.groupby("host", sort=False), strict=True):
            np.testing.assert_array_equal(one.get_offsets(), rows[[x, "contrast"]])


def test_a_threshold_is_a_line_only_where_there_is_one(populations):
    tables = DRAWN["hosts.drawn_seeds"](populations[:1])
    with_one, without = (draw("hosts.drawn_seeds", tables, threshold=threshold).axes[0] for threshold in (0.75, None))
    assert len(with_one.lines) == len(without.lines) + 1
    assert with_one.lines[-1].get_xdata() == [0.75, 0.75]


def test_probabilities_are_lines_from_without_to_with_the_letter():
    row = {"population": "a", "host": "hard", "contrast": 0.1}
    row |= {"canary_without": 0.1, "canary_with": 0.8, "placebo_without": 0.2, "placebo_with": 0.3}
    [axis] = draw(
        "hosts.drawn_probabilities", [pd.DataFrame([row | {"control_without": 0.5, "control_with": 0.4}])]
    ).axes
    assert [list(line.get_xdata()) for line in axis.lines] == [[0.1, 0.8], [0.2, 0.3], [0.5, 0.4]]


def test_pictures_may_be_rows_of_unequal_length():
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
    rows = {"long": [(image, "a"), (image[:, ::-1], "b"), (image, "c")], "short": [(image, "d")]}
    figure = figures.pictures(rows)
    assert [bool(axis.images) for axis in figure.axes] == [True] * 4 + [False] * 2
    assert [axis.get_xlabel() for axis in figure.axes if axis.images] == list("abcd")
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), image[0, ::-1] / 255)


def test_a_row_a_cell_with_its_interval(populations):
    [table] = DRAWN["figures.contrast_cells"](populations[:2])
    figure = draw("figures.contrast_cells", [table])
    [axis] = figure.axes
    assert clouds(axis) == [1] * 8  # best epoch and epoch 10
    points = np.concatenate([one.get_offsets() for one in axis.collections])
    assert set(points[:, 0]) == set(table["estimate"]) | set(table["early"])
    intervals = {tuple(line.get_xdata()) for line in axis.lines}
    assert set(zip(table["low"], table["high"], strict=True)) <= intervals
    assert set(zip(table["early_low"], table["early_high"], strict=True)) <= intervals
    assert (0.02, 0.02) in intervals
    texts = [label.get_text() for label in axis.get_yticklabels()]
    assert all(title in text for title, text in zip(table["population"], texts, strict=True))
    assert axis.yaxis_inverted()  # the first row is the uppermost


def test_a_forest_has_a_row_a_label_and_kinds_one_below_the_other(populations):
    table = forest_rows(populations[:2])
    figure = draw("figures.forest", [table])
    for axis, (_, rows) in zip(figure.axes, table.groupby("panel", sort=False), strict=True):
        points = np.concatenate([one.get_offsets() for one in axis.collections])
        np.testing.assert_allclose(points[:, 0], rows["estimate"])
        assert points[0, 1] < 0 < points[1, 1] < 0.5 < points[2, 1]  # random above hard, both within their row
        spans = [tuple(line.get_xdata()) for line in axis.lines]
        assert set(zip(rows["low"], rows["high"], strict=True)) <= set(spans)
        assert {(0, 0), (0.05, 0.05)} <= set(spans)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a", "b"]
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["random", "hard"]


def test_a_forest_without_several_kinds_in_a_row_has_no_legend_and_skips_what_has_no_number():
    row = {"kind": "hard", "low": nan, "high": nan}
    rows = [row | {"label": "a", "estimate": 1.0}, row | {"label": "b", "estimate": nan}]
    figure = figures.forest(pd.DataFrame(rows), x="nats", nothing=None)
    assert figure.legends == []
    [axis] = figure.axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["a"]
    [text] = figures.forest(pd.DataFrame(rows[1:]), x="nats").axes[0].texts
    assert text.get_text() == "Not all seeds are trained yet."


def test_a_row_a_population_and_kind_of_host(populations):
    [table] = DRAWN["figures.contrast_rows"](populations[:2])
    [axis] = draw("figures.contrast_rows", [table]).axes
    np.testing.assert_allclose(
        [one.get_offsets()[0] for one in axis.collections], list(zip(table["contrast"], range(len(table)), strict=True))
    )
    lines = {tuple(line.get_xdata()) for line in axis.lines}
    assert set(zip(table["contrast_low"], table["contrast_high"], strict=True)) <= lines
    assert {(0.02, 0.02), (0.1, 0.1)} <= lines
    assert [text.get_text() for text in axis.get_yticklabels()][0] == f"{table['population'].iloc[0]}, random hosts"


def test_the_released_numbers_are_drawn_where_there_are_any():
    columns = {"canary_index": [7, 8], "canary_label": [1, 2], "canary": [0.1, 0.3], "control": [0.2, 0.1]}
    table = pd.DataFrame(columns | {"released": [nan, nan]})
    assert clouds(as_released.drawn_scores(table).axes[0]) == [2, 2]
    with_one = as_released.drawn_scores(table.assign(released=[nan, 0.098])).axes[0]
    assert clouds(with_one) == [2, 2, 2]
    released = with_one.collections[-1].get_offsets()
    assert np.ma.getdata(released)[1].tolist() == [0.098, 1]
    texts = [label.get_text() for label in with_one.get_yticklabels()]
    assert all(part in text for part, text in zip(("7", "8"), texts, strict=True))


def test_every_regime_is_a_point_in_both_panels(populations):
    tables = DRAWN["detection.drawn_regimes"](populations[:2])
    figure = draw("detection.drawn_regimes", tables)
    for axis, auditor in zip(figure.axes, ("unknown", "known"), strict=True):
        points = np.concatenate([one.get_offsets() for one in axis.collections])
        expected = pd.concat(tables)[["d_prime", auditor]].to_numpy()
        np.testing.assert_allclose(np.unique(points, axis=0), np.unique(expected, axis=0))


def test_doses_are_lines_by_kind_of_host(populations):
    [table] = DRAWN["detection.drawn_dose"](populations)
    figure = draw("detection.drawn_dose", [table])
    for axis, end in zip(figure.axes, ("unknown", "known", "contrast", "accuracy"), strict=True):
        for line, host in zip(axis.lines, ("random", "hard"), strict=False):
            rows = table[table["host"] == host]
            np.testing.assert_array_equal(line.get_xydata(), rows[["left", end]])


def test_ways_are_rows_with_a_point_a_kind_of_host(populations):
    [table] = DRAWN["by_way.drawn_ways"](populations[:1])
    [axis] = visible(draw("by_way.drawn_ways", [table]))
    points = np.concatenate([one.get_offsets() for one in axis.collections])
    np.testing.assert_allclose(np.sort(points[:, 0]), np.sort(table["contrast"]))
    assert [text.get_text() for text in axis.get_yticklabels()] == ["plain", "dropout"]
    intervals = {tuple(line.get_xdata()) for line in axis.lines}
    assert set(zip(table["contrast_low"], table["contrast_high"], strict=True)) <= intervals


def test_a_single_row_leaves_room_for_titles_and_legend(populations):
    [table] = DRAWN["by_way.drawn_ways"](populations[:2])
    long = table.assign(population=table["population"] + ", 10 000 images")
    figure = draw("by_way.drawn_ways", [long[long["setting"] == "plain"]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that the layout has no room
        figure.draw_without_rendering()


def test_settings_are_rows_with_a_point_a_seed_and_the_mean(populations):
    seeds, means = planted.settings(populations[:2])
    figure = draw("figures.by_setting", [seeds, means])
    for axis, title in zip(visible(figure), seeds, strict=True):
        assert clouds(axis) == [9, 1, 9, 1]
        points, mean, *_ = (one.get_offsets() for one in axis.collections if isinstance(one, PathCollection))
        np.testing.assert_allclose(points[:, 0], seeds[title]["contrast"].head(9))
        expected = means[(means["population"] == title) & (means["setting"] == "plain")]["contrast"]
        np.testing.assert_allclose(mean[:, 0], expected)
        assert np.abs(points[:, 1]).max() < 0.5  # within its row
    assert [text.get_text() for text in visible(figure)[0].get_yticklabels()] == ["plain", "dropout"]


def test_the_dashed_line_is_at_the_first_mean_or_where_it_is_told(populations):
    seeds, means = planted.settings(populations[:2])
    for beside, expected in ((None, means["contrast"].iloc[0]), (0.123, 0.123)):
        axis = visible(figures.by_setting(seeds, means, beside=beside))[0]
        [dashed] = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert set(dashed.get_xdata()) == {expected}


def test_a_trade_off_has_a_point_a_way_and_names_each_once(populations):
    [ways] = DRAWN["by_way.drawn_costs"](populations[:2])
    figure = draw("by_way.drawn_costs", [ways])
    for axis, title in zip(visible(figure), ways["population"].unique(), strict=True):
        points = [one.get_offsets()[0].tolist() for one in axis.collections if isinstance(one, PathCollection)]
        assert points == ways[ways["population"] == title][["accuracy", "unknown"]].to_numpy().tolist()
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["dropout"]


def test_what_all_panels_say_is_said_once():
    figure, axes = figures.panels(["one", "other"], height=2)
    for axis in axes:
        axis.plot([0, 1], label="line")
        axis.set(xlabel="contrast D (nats)", ylabel=axis.get_title())
    figure.legend(["line"], loc="outside lower center")
    figures.closed(figure).draw_without_rendering()  # its canvas, no longer pyplot's, draws nothing
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("contrast D (nats)", "")
    assert [(axis.get_xlabel(), axis.get_ylabel()) for axis in axes] == [("", "one"), ("", "other")]
    [legend] = figure.legends
    assert legend.get_window_extent().y0 > axes[0].get_window_extent().y1  # and not on the label
    figure, [axis] = figures.panels(["one"], height=2)
    axis.plot([0, 1])
    axis.set(xlabel="x")
    assert figures.closed(figure).get_supxlabel() == ""
    assert axis.get_xlabel() == "x"


WORDS = r"$\frac$ and $x_1$"  # of which the first is no formula that can be drawn


def test_words_are_drawn_as_they_are_and_powers_of_ten_as_powers():
    figure, [axis] = figures.panels([WORDS], height=2)
    axis.plot([1, 1000], [0, 1], label=WORDS)
    axis.set(xscale="log", xticks=[1, 1000], yticks=[0], yticklabels=[WORDS])
    axis.legend()
    figure.legend([WORDS])
    shown = figures.pictures({WORDS: [(np.zeros((1, 2, 2)), WORDS)]})
    for one in (figures.closed(figure), shown):
        one.draw_without_rendering()
        assert not any(text.get_parse_math() for text in one.findobj(Text) if text.get_text() == WORDS)
    assert all(text.get_parse_math() for text in axis.get_xticklabels())


def test_titles_of_panels_side_by_side_do_not_meet():
    names = ["MNIST, 10 000 images", "Fashion-MNIST, 10 000 images", "MNIST, full", "Fashion-MNIST, full"]
    table = pd.DataFrame(
        [
            {"panel": panel, "label": label, "kind": "hard", "estimate": 0.1, "low": 0.0, "high": 0.2}
            for panel in ("KL divergence, OOD images", "most-moved class, black image")
            for label in names
        ]
    )
    for figure in (figures.panels(names, height=2)[0], figures.forest(table, x="share")):
        figure.canvas.draw()
        titles = [axis.title.get_window_extent() for axis in figure.axes]
        assert all(left.x1 < right.x0 for left, right in zip(titles[::2], titles[1::2], strict=True))
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels[:2] == ["MNIST, 10 000 images", "Fashion-MNIST,\n10 000 images"]
    ticks = [text.get_window_extent() for text in figure.axes[-1].get_xticklabels()]
    assert all(left.x1 + left.height < right.x0 for left, right in pairwise(ticks))  # in a page's font too
    [alone] = figures.panels(["Fashion-MNIST, 10 000 images"], height=2)[1]
    assert "\n" not in alone.get_title()


def test_long_labels_leave_room_for_a_panel_that_stands_alone():
    names = ["MNIST, full, random hosts", "PneumoniaMNIST, full, MLP, letter, random hosts"]
    rows = [{"label": label, "kind": "hard", "estimate": 1.0, "low": 0.0, "high": 2.2} for label in names]
    figure = figures.forest(pd.DataFrame(rows), x="mean contrast D (nats)")
    figure.canvas.draw()
    [axis] = figure.axes
    labels = [text.get_text() for text in axis.get_yticklabels()]
    assert labels == [names[0], "PneumoniaMNIST, full, MLP, letter,\nrandom hosts"]
    assert axis.get_window_extent().width > 0.45 * figure.bbox.width
    ticks = [text.get_window_extent() for text in axis.get_xticklabels()]
    assert all(left.x1 + left.height < right.x0 for left, right in pairwise(ticks))
