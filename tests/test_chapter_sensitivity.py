"""What varying the experiment changes, on made-up cards in which it is known."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest

from ufm import paths
from ufm.chapters import sensitivity
from ufm.evidence import ELSEWHERE, contrasts, on_seeds
from ufm.plan import registry
from ufm.plan.profiles import PROFILES
from ufm.plan.sensitivity import USUAL, VARIED
from ufm.report import by_population
from ufm.report.texts import span
from ufm.statistics import bootstrap_interval
from ufm.study import parameters
from ufm.study.runs import NotYetRun

ONE = "MNIST, 10 000 images"
PAGE = (paths.NOTEBOOKS / "sensitivity.md").read_text(encoding="utf-8")


def setting(name, n_seeds=12, **changes):
    """Models of one setting."""
    return planted.three(name, n_seeds, title=ONE, **changes)


@pytest.fixture(scope="module")
def populations():
    """A usual setting, a letter that is memorised twice as much, and another place where nothing is."""
    usual = setting(USUAL, effect=0.3)
    share = {"one pixel on": 0.5, "top right": 0.0, "centre": 0.0, "bottom right": -1.0}
    moved = np.stack([usual.arrays["ood_shift"] * share[place] for place in ELSEWHERE], axis=2)
    return {
        "usual": replace(usual, arrays=dict(usual.arrays) | {"ood_moved_shift": moved}),
        "letter": setting("letter: B", effect=0.6),
        "place": on_seeds(setting("place: centre", effect=0.0), range(1000, 1009)),
        "images": setting("scoring images: Fashion-MNIST", effect=0.3),
    }


def test_each_seed_has_a_contrast_in_every_setting(populations):
    points = sensitivity.points(populations)
    assert points["population"].unique().tolist() == [ONE]
    assert points["what"].unique().tolist() == list(sensitivity.USUALLY)
    usual = contrasts(populations["usual"], "hard")
    for what in sensitivity.USUALLY:
        rows = points[points["what"] == what]
        assert rows["setting"].iloc[0] == {"scoring images": "CIFAR-10"}.get(what, sensitivity.USUALLY[what])
        np.testing.assert_array_equal(rows["contrast"].iloc[:12], usual)
    settings = points.groupby("what")["setting"].unique().map(list)
    assert settings["letter"] == ["A", "B"]
    assert settings["size"] == ["5 × 5"]
    assert settings["scoring images"] == ["CIFAR-10", "test images", "black image", "Fashion-MNIST"]
    assert settings["moved at test time"] == ["as in training", *ELSEWHERE]
    other = points[(points["what"] == "letter") & (points["setting"] == "B")]
    np.testing.assert_array_equal(other["contrast"], contrasts(populations["letter"], "hard"))
    black = points[points["setting"] == "black image"]
    np.testing.assert_array_equal(black["contrast"], contrasts(populations["usual"], "hard", "black"))


def test_changes_are_paired_over_seeds(populations):
    points = sensitivity.points(populations)
    means = sensitivity.means(points).set_index(["what", "setting"])
    usual, other = (contrasts(populations[name], "hard") for name in ("usual", "letter"))
    row = means.loc["letter", "B"]
    assert row["contrast"] == pytest.approx(other.mean())
    assert row["change"] == pytest.approx((other - usual).mean())
    paired = bootstrap_interval(other - usual)
    assert [row["change_low"], row["change_high"]] == pytest.approx([paired.low, paired.high])
    assert row["n"] == 12
    spread = contrasts(populations["place"], "hard") - usual[:9]
    row = means.loc["place", "centre"]
    assert (row["n"], row["change"]) == (9, pytest.approx(spread.mean()))
    assert row["change_high"] < 0
    assert np.isnan(means.loc["letter", "A"]["change"])
    half = means.loc["moved at test time", "one pixel on"]
    assert half["contrast"] == pytest.approx(usual.mean() / 2)


def test_seeds_are_paired_by_their_numbers_not_by_their_order(populations):
    backwards = populations["letter"]
    order = np.arange(12)[::-1]
    backwards = replace(
        backwards,
        seeds=backwards.seeds[order],
        labels=backwards.labels[order],
        arrays={name: values[order] for name, values in backwards.arrays.items()},
    )
    there, back = (
        sensitivity.means(sensitivity.points({"usual": populations["usual"], "letter": one}))
        for one in (populations["letter"], backwards)
    )
    pd.testing.assert_frame_equal(there, back)


def test_settings_that_differ_are_counted(populations):
    means = sensitivity.means(sensitivity.points(populations))
    assert sensitivity.differing(means, "letter") == "1 of 1"
    assert sensitivity.differing(means, "size") == "0 of 0"
    assert sensitivity.settings_shown(means) == 1 + 1 + 1 + 4 + 3  # usual, letter, place, moved, images


def rows_of(figure):
    """A forest's rows: words, estimate, whether it is filled."""
    [axis] = figure.axes
    words = [label.get_text() for label in axis.get_yticklabels()]
    marks = [(one.get_offsets()[0], tuple(one.get_facecolor()[0])) for one in axis.collections]
    white = (1.0, 1.0, 1.0, 1.0)
    return {words[round(y)]: (x, face != white) for (x, y), face in marks}, words


def test_every_setting_is_a_row_under_what_is_varied(populations):
    means = sensitivity.means(sensitivity.points(populations))
    rows, words = rows_of(sensitivity.drawn_settings(means))
    assert words[:3] == ["as usual", "place", "centre"]
    assert words[3:5] == ["moved at test time", ELSEWHERE[0]]
    assert "B" not in rows  # letters have a figure of their own
    table = means.set_index(["what", "setting"])
    assert rows["as usual"][0] == table.loc[("letter", "A"), "contrast"]
    assert rows["black image"][0] == table.loc[("scoring images", "black image"), "contrast"]
    assert rows["top right"] == (pytest.approx(0, abs=1e-9), True)
    assert rows["Fashion-MNIST"][1] == (table.loc[("scoring images", "Fashion-MNIST"), "change_low"] > 0)


def test_a_group_without_a_name_has_no_heading(populations):
    table = varied([0]).assign(group=["", "", "place", "place"], name=["A", "B", "corner", "edge"], filled=False)
    [axis] = sensitivity.drawn_rows(table, beside=0.2).axes
    words = [label.get_text() for label in axis.get_yticklabels()]
    assert words == ["A", "B", "place", "corner", "edge"]
    assert [label.get_fontweight() == "bold" for label in axis.get_yticklabels()] == [False, False, True, False, False]
    offsets = [one.get_offsets()[0].tolist() for one in axis.collections]
    assert offsets == [[pytest.approx(x), y] for x, y in zip(table["contrast"], (0, 1, 3, 4), strict=True)]
    lines = [tuple(line.get_xdata()) for line in axis.lines]
    assert lines == [(0.2, 0.5)] * 4 + [(0, 0), (0.2, 0.2)]
    assert axis.yaxis_inverted()  # the first row is the uppermost


def test_letters_are_rows_from_the_highest_down(populations):
    means = sensitivity.means(sensitivity.points(populations))
    rows, words = rows_of(sensitivity.drawn_letters(means))
    assert words == ["B", "A"]
    assert [filled for _, filled in rows.values()] == [True, False]
    [axis] = sensitivity.drawn_letters(means).axes
    [dashed] = [line for line in axis.lines if line.get_linestyle() == "--"]
    assert set(dashed.get_xdata()) == {rows["A"][0]}


def test_the_text_has_every_setting_recorded_or_not(populations):
    means = sensitivity.means(sensitivity.points(populations))
    texts = sensitivity.texts(means)
    asked = set(re.findall(r"`((?:place|moved|size|brightness|images|batch|scoring)_\w+)`", PAGE))
    assert asked
    assert asked <= texts.keys()
    assert float(texts["letter_b"]) == pytest.approx(means.set_index("setting").loc["B", "contrast"], abs=5e-4)
    assert texts["size_15_15"] == "not recorded"
    assert texts["contrast_usual"] == texts["letter_a"]
    moved = sensitivity.means(sensitivity.points(populations)).query(
        "what == 'moved at test time' and change == change"
    )
    assert texts["moved_elsewhere"] == span(moved["contrast"], digits=3)
    assert texts["n"] == "9 to 12"


def test_without_the_usual_setting_nothing_is_shown(populations):
    with pytest.raises(NotYetRun, match="^The usual setting, beside which the others stand, has too few seeds yet.$"):
        sensitivity.points({"letter": populations["letter"]})


def test_the_table_says_what_changes(populations):
    means = sensitivity.means(sensitivity.points(populations))
    printed = sensitivity.printed_means(means)
    assert list(printed) == ["population", "varied", "setting", "seeds", "mean D, nats", "change, nats"]
    assert printed.loc[0, "change, nats"] == "–"
    ranges = by_population.ranges(sensitivity.quantities(means), digits=3)
    letters = means[means["what"] == "letter"]["contrast"]
    assert ranges["contrast_letter"] == f"{letters.min():.3f} to {letters.max():.3f}"
    assert " to " not in ranges["contrast_size"]


def test_every_sweep_differs_from_the_usual_one_in_one_thing():
    for profile in PROFILES:
        known = registry.sweeps(profile)
        sweeps = [known[name] for name in registry.chapter("sensitivity", profile)]
        usual = replace(sweeps[0].protocol, measure="short card")
        assert (sweeps[0].setting, sweeps[0].protocol.measure) == (USUAL, "moved card")
        assert len({sweep.protocol for sweep in sweeps}) == len(sweeps)
        for sweep in sweeps[1:]:
            what, _, value = sweep.setting.partition(": ")
            changes, protocol = dict(VARIED[what][value]), sweep.protocol
            if changes.pop("n_ood", None):  # of some images there are not so many
                assert protocol.scoring.n_effect == usual.scoring.n_effect
                protocol = replace(protocol, scoring=replace(protocol.scoring, n_ood=usual.scoring.n_ood))
            [(field, changed)] = changes.items()
            holder = next(name for name in ("scoring", "training", "") if hasattr(getattr(usual, name, usual), field))
            there = getattr(protocol, holder) if holder else protocol
            assert getattr(there, field) == changed
            back = {field: getattr(getattr(usual, holder) if holder else usual, field)}
            assert replace(protocol, **({holder: replace(there, **back)} if holder else back)) == usual
        assert set(sensitivity.USUALLY) >= {sweep.setting.partition(": ")[0] for sweep in sweeps[1:]}


def test_images_that_are_trained_on_are_not_scored():
    found = parameters.shown("sensitivity", "paper", dataset="fashion_mnist")
    assert set(registry.chapter("sensitivity", "paper")) - set(found) == {"mnist-small-scoring-images-fashion-mnist"}
    assert {sweep.protocol.dataset for sweep in found.values()} == {"fashion_mnist"}


@pytest.mark.parametrize(
    ("notebook", "changes"),
    [("cnns", {"dataset": "mnist"}), ("regularisers", {"dataset": "cifar10"}), ("sensitivity", {"dataset": "cifar10"})],
)
def test_elsewhere_others_are_scored_and_asking_for_the_same_is_refused(notebook, changes):
    for sweep in parameters.shown(notebook, "paper", **changes).values():
        assert sweep.protocol.dataset == changes["dataset"]
        assert sweep.protocol.scoring.ood_set != changes["dataset"]
    with pytest.raises(ValueError, match="^ood_set: .* is what the models are trained on; choose other images$"):
        parameters.shown(notebook, "paper", **changes, ood_set=changes["dataset"])
    assert parameters.shown(notebook, "paper", **changes, ood_set="pneumoniamnist")


def varied(some):
    """What `means` makes of several populations."""
    rows = [
        {"population": title, "what": what, "setting": setting, "n": 9, "contrast": 0.3 + change}
        | {"contrast_low": 0.2, "contrast_high": 0.5, "change": change or np.nan}
        | {"change_low": change - 0.05 if change else np.nan, "change_high": change + 0.05 if change else np.nan}
        for title in planted.TITLES[: len(some)]
        for what, setting, change in (
            ("letter", "A", 0),
            ("letter", "B", 0.1),
            ("place", "corner", 0),
            ("place", "edge", 0.01),
        )
    ]
    return pd.DataFrame(rows)


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {
    "drawn_settings": lambda some: [varied(some)],
    "drawn_letters": lambda some: [varied(some)],
    "drawn_rows": lambda some: [varied(some).assign(group="place", name="edge", filled=True)],
}
PANELS = dict.fromkeys(DRAWN, 1)
