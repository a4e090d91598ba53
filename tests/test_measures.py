"""Measures: what each needs, and that a new one is an object in the registry."""

from dataclasses import replace

import pandas as pd
import pytest
import tiny

from ufm.measures.registry import MEASURES, Measure, every_epoch, measure_of
from ufm.networks import NeuraCrypt
from ufm.protocol import Lot, Scoring, Tasks, Training
from ufm.records import Measured
from ufm.study import seeds

LOT_CARD = "lot card"
CARDS = [word for word in MEASURES if "card" in word and word != LOT_CARD]
AT_CONTROL = ("equal-age card", "compact card", "keyless card", "task card", "robust card")
STOPPING = Training(epochs=30, patience=4, early_stopping="half")


@pytest.mark.parametrize(
    ("word", "epochs"),
    [
        ("scores", []),
        ("walkthrough", []),
        ("card", [5]),  # that every model is sure to reach
        ("short card", [5]),
        ("moved card", [5]),
        ("epoch card", list(range(1, 31))),
        ("influence card", list(range(1, 31))),
        ("equal-age card", [1, 5]),
        ("compact card", [1, 5]),
        ("robust card", [1, 5]),
        ("keyless card", [1, 5]),
        ("task card", [1, 2, 3, 4, 5]),
    ],
)
def test_epochs_that_are_kept(word, epochs):
    measure = MEASURES[word]
    assert (measure.word, list(measure.epochs(STOPPING))) == (word, epochs)
    assert measure.at_control == (word in AT_CONTROL)


def test_cards_do_without_a_control_and_know_placebos_and_raw_inputs():
    protocol = replace(
        tiny.PROTOCOL, control=False, roles=("canary", "placebo"), scoring=Scoring("photo_patches", inputs="raw")
    )
    for word in CARDS:
        if word not in AT_CONTROL:
            MEASURES[word].check(replace(protocol, measure=word))
    MEASURES["equal-age card"].check(replace(protocol, control=True))


REFUSED = [
    *(
        (word, changes, message.format(word))
        for word in ("scores", "walkthrough")
        for changes, message in (
            ({"control": False}, "control: {} needs one; choose a card"),
            ({"roles": ("canary", "placebo")}, "measure: {} knows no placebo; choose a card"),
            ({"scoring": Scoring("photo_patches", inputs="raw")}, "inputs: {} has both kinds anyway; choose a card"),
        )
    ),
    (
        "epoch card",
        {"training": STOPPING},
        "early_stopping: an epoch card needs models that are all trained to the end",
    ),
    (
        "equal-age card",
        {"control": False},
        "control: an equal-age card needs one, whose best epoch its models are kept at",
    ),
]


@pytest.mark.parametrize(("word", "changes", "message"), REFUSED)
def test_what_a_measure_cannot_do_is_refused_before_anything_is_trained(word, changes, message):
    protocol = replace(tiny.PROTOCOL, measure=word)
    MEASURES[word].check(protocol)
    with pytest.raises(ValueError, match=f"^{message}$"):
        seeds.finish(replace(protocol, **changes), [0])


@pytest.mark.parametrize("word", MEASURES)
def test_ood_images_of_every_label_are_asked_for_where_they_are_needed(word):
    """One image has one label, and the host another."""
    roles = ("canary", "placebo") if "card" in word else ("canary",)
    protocol = replace(tiny.PROTOCOL, measure=word, roles=roles, scoring=replace(tiny.PROTOCOL.scoring, n_ood=1))
    protocol = replace(protocol, lot=Lot(2) if word == LOT_CARD else None)
    if word == "keyless card":
        protocol = replace(protocol, model=NeuraCrypt(width=8, units=(8,), hidden=(8,)))
    if word == "task card":
        protocol = replace(protocol, training=replace(protocol.training, tasks=Tasks(n=2)))
    if word in ("scores", "walkthrough", "card"):
        with pytest.raises(ValueError, match="^n_ood: none of the 1 images has the label . of a host of seed 1$"):
            seeds.finish(protocol, [1])
    else:
        assert seeds.finish(protocol, [1])


def test_an_unknown_measure_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="^measure: 'cards' is not one of scores, walkthrough, card, short card, mov"):
        measure_of("cards")
    with pytest.raises(ValueError, match="^measure: 'cards' is not one of scores,"):
        seeds.finish(replace(tiny.PROTOCOL, measure="cards"), [0])


def test_a_measure_from_outside_is_kept(monkeypatch):
    def losses(protocol, trained, data, ood):
        rows = [
            {"role": one.experiment.role, "epochs": list(one.snapshots), "n_ood": len(ood.images)} for one in trained
        ]
        return Measured({"toy": pd.DataFrame(rows)})

    monkeypatch.setitem(MEASURES, "toy", Measure("toy", losses, every_epoch))
    [(entry, kept)] = seeds.finish(replace(tiny.PROTOCOL, measure="toy"), [2])
    assert entry["identity"]["protocol"]["measure"] == "toy"
    rows = kept.tables["toy"].to_dict("list")
    assert rows == {"role": ["control", "canary"], "epochs": [[1, 2]] * 2, "n_ood": [50] * 2}
