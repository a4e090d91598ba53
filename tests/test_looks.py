"""The main figures of the chapters look as they did: compared as pictures with those in tests/baseline.

`make baseline` draws those anew. A chapter's main figure is the first in its test's `DRAWN`; see tests/test_figures.py.
"""

import matplotlib.pyplot as plt
import planted
import pytest
import seaborn as sns
from matplotlib.testing.compare import compare_images
from test_figures import DRAWN, draw

from ufm import paths
from ufm.report import figures

# Of the differences of pixels, 0 to 255, the root of the mean square: a letter more is above, another processor below.
TOLERANCE = 1.0
PICTURE = {"dpi": 60, "facecolor": "white", "metadata": {"Software": None}}
OURS = dict(sns.axes_style()) | dict(sns.plotting_context())  # as `ufm.report.figures` has set them
OURS |= {name: plt.rcParams[name] for name in ("axes.prop_cycle", "figure.dpi", "legend.frameon")}
OURS |= {"text.hinting": "no_hinting"}  # which fonts are read with differs between machines

CHAPTERS = dict.fromkeys(name.split(".")[0] for name in DRAWN)
MAIN = [name for name in DRAWN if name.startswith("figures.")]
MAIN += [next(name for name in DRAWN if name.startswith(f"{one}.")) for one in CHAPTERS if one != "figures"]


def drawn(name):
    """A figure from the same two made-up populations each time."""
    some = [planted.cards(12, effect=0.5, rng=rng, title=planted.TITLES[rng]) for rng in range(2)]
    return draw(name, DRAWN[name](some))


@pytest.mark.parametrize("name", MAIN)
@pytest.mark.mpl_image_compare(
    baseline_dir="baseline", style=OURS, backend="agg", tolerance=TOLERANCE, savefig_kwargs=PICTURE
)
def test_a_main_figure_looks_as_it_did(name):
    return drawn(name)


def test_every_chapter_that_draws_has_its_picture():
    expected = {f"test_a_main_figure_looks_as_it_did_{name}.png" for name in MAIN}
    there = {path.name for path in (paths.ROOT / "tests" / "baseline").iterdir()}
    assert there == expected, "run `make baseline`, look at what it drew, and remove what is drawn no more"


def another_row():
    [table] = DRAWN["figures.contrast_rows"](
        [planted.cards(12, effect=0.5, rng=r, title=planted.TITLES[r]) for r in (0, 1)]
    )
    table.loc[table.index[0], "contrast"] += 0.05
    return figures.contrast_rows(table, lines=(0.02, 0.1))


def another_colour(patch):
    patch.setitem(figures.HOST_MARKS, "hard", ("#CC79A7", "o", True))
    return drawn("figures.contrast_rows")


def another_label():
    figure = drawn("figures.contrast_rows")
    axis = figure.axes[0]
    axis.set_yticks(axis.get_yticks(), [text.get_text().replace("hard", "hart") for text in axis.get_yticklabels()])
    return figure


@pytest.mark.parametrize("change", ["row", "colour", "label", None])
def test_what_is_changed_is_noticed(change, tmp_path, monkeypatch):
    with plt.style.context(OURS, after_reset=True):
        changes = {"row": another_row, "colour": lambda: another_colour(monkeypatch), "label": another_label}
        figure = changes.get(change, lambda: drawn("figures.contrast_rows"))()
        figure.savefig(tmp_path / "now.png", **PICTURE)
    baseline = paths.ROOT / "tests" / "baseline" / "test_a_main_figure_looks_as_it_did_figures.contrast_rows.png"
    different = compare_images(str(baseline), str(tmp_path / "now.png"), TOLERANCE, in_decorator=True)
    assert bool(different) == bool(change), different
