"""The chapter CNNs: learning curves of every model."""

import pandas as pd
import planted

from ufm.chapters import cnns


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
DRAWN = {"drawn_learning": lambda some: [histories(some)]}


def test_learning_curves_are_two_lines_a_model_and_named_once():
    figure = cnns.drawn_learning(histories(planted.TITLES[:2]))
    assert [len(axis.lines) for axis in figure.axes] == [8, 8]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["control, training", "control, held out", "canary, training", "canary, held out"]
