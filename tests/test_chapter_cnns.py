"""The chapter CNNs: the second plan's questions, moved letters, and learning curves of every model."""

import numpy as np
import pandas as pd
import planted

from ufm import evidence, features
from ufm.chapters import cnns
from ufm.evidence.questions import There
from ufm.plan import second


def test_both_kinds_of_host_are_asked_and_corrected_apart():
    planned = second.cnns("paper")
    asked = cnns.questions({}, planned)
    assert asked[["setting", "host"]].to_numpy().tolist() == [
        [network, host] for host in ("random", "hard") for network in ("CNN-1", "CNN-2")
    ]
    assert cnns.waiting(asked) == (
        "4 of its 4 rows wait for seeds (CNN-1: 0 of 100, CNN-2: 0 of 100), whose training takes a GPU."
    )
    name, sweep = next(iter(planned.items()))
    cards = planted.equal_age(24, effect=1.0, random_effect=1.0, setting=sweep.setting, needed=24)
    asked = cnns.questions({name: cards}, {name: cards.sweep})
    assert asked["there"].tolist() == [There.LARGE] * 2
    assert asked["p"].tolist() == asked["p_holm"].tolist()  # one row a family
    assert cnns.waiting(asked) == "All 2 rows have their seeds."
    assert cnns.waiting(cnns.questions({}, {})) == "The second plan is not asked here."


def moved(settings=("CNN-1", "CNN-2")):
    """Mean contrasts that fall as the letter moves on, of each network."""
    rows = [
        {"setting": setting, "place": place, "estimate": value, "low": value - 0.1, "high": value + 0.1, "n": 8}
        for n, setting in enumerate(settings)
        for value, place in zip(1.0 + n - np.arange(5) / 5, ("as in training", *evidence.ELSEWHERE), strict=True)
    ]
    return pd.DataFrame(rows)


def test_beside_the_contrasts_stands_where_the_letter_was():
    pictures = cnns.places(planted.equal_age(4))
    assert list(pictures) == ["as in training", *evidence.ELSEWHERE]
    letter = features.feature("A")
    for image, (top, left) in zip(pictures.values(), ((1, 1), (2, 2), (1, 22), (11, 11), (22, 22)), strict=True):
        np.testing.assert_array_equal(image[0, top : top + 5, left : left + 5] > 0, letter > 0)
        assert (image > 0).sum() == (letter > 0).sum()
    figure = cnns.drawn_moved(moved(), pictures)
    *small, axis = figure.axes
    assert len(small) == 5
    heights = {text.get_text(): n for n, text in enumerate(axis.get_yticklabels())}
    for points, (setting, rows) in zip(axis.collections[1::2], moved().groupby("setting"), strict=True):
        assert points.get_label() == setting
        drawn = points.get_offsets()
        np.testing.assert_allclose(drawn[:, 0], rows["estimate"])
        assert np.round(drawn[:, 1]).tolist() == [heights[place] for place in rows["place"]]


def histories(populations):
    """What `evidence.curves` makes of two models of two seeds."""
    rows = [
        {"seed": seed, "role": role, "host": host, "epoch": epoch, "train_loss": 1 / epoch, "stopping_loss": 1.0}
        for seed in (1, 2)
        for role, host in (("control", ""), ("canary", "hard"))
        for epoch in (1, 2, 3)
    ]
    return {title: pd.DataFrame(rows) for title in planted.TITLES[: len(populations)]}


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {
    "drawn_learning": lambda some: [histories(some)],
    "drawn_moved": lambda some: [moved(some), cnns.places(planted.equal_age(4))],
}


def test_learning_curves_are_two_lines_a_model_and_named_once():
    figure = cnns.drawn_learning(histories(planted.TITLES[:2]))
    assert [len(axis.lines) for axis in figure.axes] == [8, 8]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["control, training", "control, held out", "canary, training", "canary, held out"]
