"""The page of many marks: the plan's words, what is drawn and printed, and that its plan says what is trained."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_lots import made_up

from ufm import paths
from ufm.chapters import many_marks as chapter
from ufm.evidence import lots
from ufm.measures.lots import UNUSED
from ufm.plan import many_marks as plan
from ufm.plan.thresholds import SECOND
from ufm.protocol import Lot
from ufm.statistics import share_interval
from ufm.study.runs import NotYetRun, Run


def rows(some):
    """A table of cells: so many numbers of marks as populations, on two kinds of host, and one at places drawn."""
    found = []
    for n in (1, 10, 100, 300)[: len(some)]:
        for hosts, share in (("random", 0.2), ("mislabelled", 0.7)):
            cell = plan.Cell(n, hosts)
            found.append({"setting": cell.setting, "marks": n, "hosts": hosts, "places": "one", "share": share})
    found.append({"setting": "10 marks, places drawn", "marks": 10, "hosts": "random", "places": "drawn", "share": 0.3})
    table = pd.DataFrame(found).assign(population="MNIST, 10 000 images", training="plain", images=1)
    for name, times in (("found_known", 1.2), ("found_unknown", 1.0), ("contrast", 0.5)):
        middle = table["share"] * times
        table = table.assign(**{name: middle, f"{name}_low": middle - 0.1, f"{name}_high": middle + 0.1})
    return table.drop(columns="share")


DRAWN = {
    "drawn_power": lambda some: [rows(some)],
    "drawn_contrasts": lambda some: [rows(some)],
    "drawn_others": lambda some: [rows(some)],
}
PANELS = {"drawn_power": 2, "drawn_contrasts": 1, "drawn_others": 1}


@pytest.mark.parametrize(
    ("low", "word"),
    [(0.51, chapter.MOSTLY), (0.5, chapter.SOMETIMES), (0.051, chapter.SOMETIMES), (0.05, chapter.NOT_TOLD)],
)
def test_the_word_is_that_of_the_low_end(low, word):
    assert chapter.told({"found_known_low": low, "found_unknown_low": 0.0}, "known") == word
    assert chapter.told({"found_known_low": 0.9, "found_unknown_low": low}, "unknown") == word


@pytest.fixture(scope="module")
def populations():
    """Two cells of ten seeds, one of them not whole, and no models without marks."""
    found = {}
    for n, planned in ((3, 10), (5, 20)):
        population = made_up(effect=3, n=n, lot=Lot(n, labels="wrong"))
        sweep = plan.Sweep(population.protocol, range(planned), planned, 0, f"{n} marks on mislabelled hosts")
        found[f"of-{n}"] = type(population)(sweep, population.tables, population.arrays, population.entries)
    return found


def test_a_row_a_cell_and_no_word_before_it_is_whole(populations):
    audits = chapter.audited(populations)
    table = chapter.cells(populations, audits)
    assert table["marks"].tolist() == [3, 5]
    assert set(table["hosts"]) == {"mislabelled"}
    assert table["n"].tolist() == [20, 20]
    assert table["planned"].tolist() == [20, 40]
    assert table["known_told"].iloc[0] in (chapter.MOSTLY, chapter.SOMETIMES)
    assert table["known_told"].iloc[1] == table["unknown_told"].iloc[1] == chapter.WAITS
    expected = lots.summary(populations["of-3"], audits["of-3"])
    assert table["found_known"].iloc[0] == expected["found_known"]
    printed = chapter.printed(table)
    assert printed["found, label known"].iloc[0].startswith(f"{expected['found_known']:.2f} (")
    assert chapter.of_setting(table, "3 marks on mislabelled hosts", "known") == printed["found, label known"].iloc[0]
    assert chapter.of_setting(table, "30 marks on mislabelled hosts", "known") == "not recorded"
    assert chapter.told_of(table, "3 marks on mislabelled hosts", "known") == table["known_told"].iloc[0]
    assert chapter.told_of(table, "5 marks on mislabelled hosts", "unknown") == chapter.WAITS
    assert chapter.told_of(table, "30 marks on mislabelled hosts", "known") == "not recorded"


def test_a_cell_of_few_seeds_is_not_shown(populations):
    few = made_up(effect=3, n=4, n_seeds=7, lot=Lot(4))
    assert list(chapter.audited(populations | {"few": few})) == list(populations)
    with pytest.raises(NotYetRun, match="^Fewer than 8 seeds are recorded yet"):
        chapter.audited({"few": few})
    with pytest.raises(ValueError, match="^n_seeds: evidence needs at least 8 seeds"):
        Run("many-marks", {"n_seeds": 7})


def test_the_first_row_of_false_alarms_is_of_all_audits(populations):
    audits = chapter.audited(populations)
    [row] = chapter.false_alarms(populations, audits).to_dict("records")
    assert row["models"] == "trained with others' marks, at one place"
    every = pd.concat(audits.values())
    assert row["audits"] == 40
    assert row["unknown"] == pytest.approx((every["p_other_unknown"] <= 0.05).mean())


def test_lines_are_drawn_for_each_kind_of_host(populations):
    table = chapter.cells(populations, chapter.audited(populations))
    figure = chapter.drawn_power(table)
    assert [axis.get_title() for axis in figure.axes] == ["label unknown", "label known"]
    for axis, knows in zip(figure.axes, lots.KNOWS, strict=True):
        [line] = [one for one in axis.lines if len(one.get_xdata()) == 2 and one.get_linestyle() == "-."]
        assert list(line.get_ydata()) == table[f"found_{knows}"].tolist()
    [axis] = chapter.drawn_contrasts(table).axes
    assert any(list(one.get_ydata()) == table["contrast"].tolist() for one in axis.lines)


def test_each_training_has_its_panels(populations):
    table = chapter.cells(populations, chapter.audited(populations))
    both = pd.concat([table.assign(training=training) for training in ("plain", "weight decay 3")], ignore_index=True)
    titles = [axis.get_title().replace("\n", " ") for axis in chapter.drawn_power(both).axes]
    assert titles == [f"label {knows}, {how}" for how in ("plain", "weight decay 3") for knows in ("unknown", "known")]


def test_cells_that_mark_otherwise_are_drawn_apart():
    rows = pd.DataFrame(
        {"population": ["a", "a", "a", "b"], "places": ["one", "drawn", "one", "one"], "images": [1, 1, 10, 1]}
    )
    assert chapter.usual(rows).index.tolist() == [0]
    assert chapter.others(rows).index.tolist() == [1, 2, 3]


@pytest.mark.parametrize("profile", ["embedded", "paper"])
def test_a_cell_can_be_read_from_what_is_trained(profile):
    for (dataset, n_train), cells in plan.CELLS[profile].items():
        plain = plan.population(profile, dataset, n_train)
        assert [plan.cell_of(cell.of(plain)) for cell in cells] == list(cells)
        assert len({cell.setting for cell in cells}) == len(cells)


def test_the_plan_says_what_is_trained():
    page = (paths.BOOK / "marks-plan.md").read_text(encoding="utf-8")
    sweeps = plan.sweeps("paper")
    cells = {name: plan.cell_of(sweep.protocol) for name, sweep in sweeps.items()}
    small = {
        (cell.hosts, cell.marks, cell.training)
        for name, cell in cells.items()
        if cell and name.startswith("mnist-small") and cell.places == "one" and cell.images == 1
    }
    every = (1, 3, 10, 30, 100, 300)
    for hosts, plain, decayed in (
        ("random", every, every),
        ("mislabelled", every, every[:3]),
        ("hard", every[:4], every[:4]),
        ("blank", (1, 10, 100), (1, 10, 100)),
    ):
        assert {one for one in small if one[0] == hosts} == {
            *((hosts, n, "plain") for n in plain),
            *((hosts, n, "weight decay 3") for n in decayed),
        }
    for name, sweep in sweeps.items():
        assert (len(sweep.seeds) * sweep.protocol.n_models, sweep.seeds.start) == (40, 6000), name
        assert bool(sweep.needed) == (not name.startswith("cifar10"))
        assert sweep.protocol.scoring.n_effect == 300
    for words in (
        "40 a row",
        "from 6000 on",
        "40 seeds from 6000 on",
        "on 300\nout-of-distribution images",
        "200 that were never",
        "which has up to 10 on mislabelled ones; 10 with places drawn",
        f"one of either and {UNUSED['drawn']} others",
    ):
        assert words in page, words
    for n, counts in ((300, 120), (100, 67)):
        assert round(n * 200 / (n + 200)) == counts
        assert re.search(rf"\b{n}( marks count)? as {counts}\b", page)
    fewest = next(n for n in range(41) if share_interval(np.arange(40) < n).low > SECOND.level)
    assert f"a chance of {100 * stats.binom.sf(fewest - 1, 40, SECOND.level):.1f} %" in page
    assert re.search(r"\*mostly found\*.* above one half, \*sometimes found\* .* above the level", page)
