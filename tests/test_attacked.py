"""How robust ways leave models: shares against plain loops, words at their borders, and what would make them wrong."""

from dataclasses import replace
from math import nan

import numpy as np
import planted
import pytest

from ufm.evidence import attacked, on_seeds, planned_as
from ufm.evidence.attacked import Robust
from ufm.measures.layout import RADII
from ufm.plan.thresholds import ATTACKED
from ufm.statistics import bootstrap_t_interval, sign_flip_test

EPS = 1e-9
PLAIN = "plain, attacked"
PLACES = (RADII["L∞"].index(0.05), RADII["L2"].index(1.0))  # of the radii of the words


def table(*ways, plain=None):
    cards = {PLAIN: planted.robust(PLAIN) if plain is None else plain} | {
        f"way {place}": of for place, of in enumerate(ways)
    }
    named = {
        name: planned_as(of, setting=f"{'fourth' if name == PLAIN else 'third'} plan, {name}")
        for name, of in cards.items()
    }
    return attacked.table(named, [name for name in named if name != PLAIN], PLAIN)


def changed(linf, l2, linf_p=0.01, l2_p=0.01, left=0.0, left_plain=0.0):
    lefts = {"left": left, "left_plain": left_plain}
    return {"linf_more": linf, "l2_more": l2, "linf_p_holm": linf_p, "l2_p_holm": l2_p} | lefts


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (changed(0.1, 0.2), Robust.MORE),
        (changed(-0.1, -0.2, left_plain=ATTACKED.left + 1e-9), Robust.FAIL),
        (changed(-0.1, -0.2, left_plain=ATTACKED.left), Robust.LESS),
        (changed(-0.1, -0.2), Robust.LESS),
        (changed(-0.1, 0.2), Robust.OPPOSITE),
        (changed(0.1, -0.2), Robust.OPPOSITE),
        (changed(0.1, 0.2, l2_p=0.05), Robust.ONE_NORM),
        (changed(-0.1, 0.2, linf_p=0.05), Robust.ONE_NORM),
        (changed(0.1, 0.2, l2_p=0.05 - EPS), Robust.MORE),
        (changed(0.1, 0.2, 0.05, 0.05), Robust.NOTHING),
        (changed(0.1, 0.2, nan), Robust.OPEN),
        (changed(0.1, 0.2, left=0.2), Robust.MORE),
        (changed(0.1, 0.2, left=0.2 + EPS), Robust.FAIL),
        (changed(-0.1, -0.2, left=0.3), Robust.FAIL),
        (changed(0.1, 0.2, nan, left=0.3), Robust.OPEN),
        ({}, Robust.OPEN),
    ],
)
def test_words_at_every_border(row, word):
    assert attacked.change(row) is word


def random_cards(seed, n_seeds=10):
    """Robust cards in which attacks, norms and radii have nothing to do with each other."""
    cards, rng = planted.robust(PLAIN, n_images=12, n_seeds=n_seeds), np.random.default_rng(seed)
    arrays = dict(cards.arrays)
    arrays["attack_right"] = rng.random(arrays["attack_right"].shape) < 0.9
    arrays["attack_clean"] = rng.random(arrays["attack_clean"].shape) < 0.8
    arrays["attack_distance"] = rng.random(arrays["attack_clean"].shape) + 0.1
    arrays["attack_linear"] = rng.random(arrays["attack_clean"].shape)
    return replace(cards, arrays=arrays)


def withstood_alone(cards, seed, model, norm, radius, image):
    """Whether no attack at that radius or a smaller one was enough."""
    if not cards.arrays["attack_clean"][seed, model, image]:
        return False
    for smaller in range(radius + 1):
        for attack in range(4):
            if not cards.arrays["attack_right"][seed, model, norm, attack, smaller, image]:
                return False
    return True


def test_shares_are_counted_image_by_image():
    one, other = random_cards(1), random_cards(2)
    row = table(one, plain=other).to_dict("records")[1]
    for norm, name in enumerate(("linf", "l2")):
        differences, accuracies = [], []
        for seed in range(10):
            of_models, of_all = [], []
            for model in range(5):
                both = [
                    image
                    for image in range(12)
                    if one.arrays["attack_clean"][seed, model, image]
                    and other.arrays["attack_clean"][seed, model, image]
                ]
                held = [
                    [withstood_alone(cards, seed, model, norm, PLACES[norm], image) for image in both]
                    for cards in (one, other)
                ]
                of_models.append(np.mean(held[0]) - np.mean(held[1]))
                of_all += [withstood_alone(one, seed, model, norm, PLACES[norm], image) for image in range(12)]
            differences.append(np.mean(of_models))
            accuracies.append(np.mean(of_all))
        interval = bootstrap_t_interval(differences)
        assert row[f"{name}_more"] == pytest.approx(interval.estimate)
        assert row[f"{name}_more_low"] == pytest.approx(interval.low)
        assert row[f"{name}_p"] == pytest.approx(sign_flip_test(differences))
        assert row[name] == pytest.approx(np.mean(accuracies))


def test_what_attacks_miss_is_counted_image_by_image():
    cards = random_cards(3)
    right, clean = cards.arrays["attack_right"], cards.arrays["attack_clean"]
    missed, grey, flat = [], [], []
    for seed in range(10):
        for model in range(5):
            kept = [image for image in range(12) if clean[seed, model, image]]
            for norm, place in enumerate(PLACES):
                of = right[seed, model, norm, :, place]
                missed.append(np.mean([of[3, image] and not of[1, image] for image in kept]))
            grey.append(np.mean([withstood_alone(cards, seed, model, 0, 4, image) for image in kept]))
            linear, found = (cards.arrays[f"attack_{name}"][seed, model] for name in ("linear", "distance"))
            flat.append(np.median([linear[image] / found[image] for image in kept]))
    row = table(plain=cards).to_dict("records")[0]
    assert row["hidden"] == pytest.approx(np.mean(missed))
    assert row["left"] == pytest.approx(np.mean(grey))
    assert row["flat"] == pytest.approx(np.mean(flat))


def test_ways_have_the_words_that_were_planted():
    ways = {
        Robust.MORE: planted.robust("a", linf=0.08, l2=1.6),
        Robust.LESS: planted.robust("b", linf=0.04, l2=0.9),
        Robust.OPPOSITE: planted.robust("c", linf=0.08, l2=0.9),
        Robust.ONE_NORM: planted.robust(PLAIN, linf=0.08),
        Robust.NOTHING: planted.robust(PLAIN),
        Robust.FAIL: planted.robust("f", linf=0.08, l2=1.6, grey=0.5),
    }
    found = table(*ways.values())
    assert found["change"].tolist() == [Robust.OPEN, *ways]
    plain, more, less, *_ = found.to_dict("records")
    assert less["distance_more_high"] < 0 < more["distance_more_low"]
    assert plain["distance"] == pytest.approx(1.2, rel=0.1)
    assert plain["flat"] == pytest.approx(0.9)
    assert more["left_plain"] == pytest.approx(plain["left"])
    assert np.isnan(plain["linf_more"])
    assert plain["hard"] == pytest.approx(0.3, abs=0.05)


def test_a_model_that_is_right_on_easy_images_alone_is_no_more_robust():
    """It withstands on nearly all that it classifies right, and on no image on which plain models do not."""
    plain, easy = planted.robust(PLAIN), planted.robust(PLAIN, clean=0.5)
    own = [attacked.shares(cards, attacked.clean(cards))["L∞"].mean() for cards in (plain, easy)]
    assert own[1] > own[0] + 0.1
    found = table(easy, plain=plain)
    assert found["linf_more"][1] == 0
    assert found["change"][1] == Robust.NOTHING


def test_ways_are_corrected_together_within_each_norm_whether_they_are_there_or_not():
    more, less = planted.robust("a", linf=0.08, l2=1.6), planted.robust("b", linf=0.04, l2=0.9)
    both = table(more, less)
    smallest = 2 / 2**10  # all ten seeds alike
    assert both["linf_p"][1:].tolist() == pytest.approx([smallest] * 2)
    assert both["linf_p_holm"][1:].tolist() == pytest.approx([2 * smallest] * 2)
    cards = {
        name: planned_as(of, setting=f"third plan, {name}")
        for name, of in {PLAIN: planted.robust(PLAIN), "a": more}.items()
    }
    waiting = attacked.table(cards, ["a", *"cdefghijk"], PLAIN)
    assert waiting["l2_p_holm"][1] == pytest.approx(10 * smallest)
    assert waiting["change"].tolist()[1:3] == [Robust.MORE, Robust.OPEN]
    assert 10 * smallest < ATTACKED.level  # so that ten ways and ten seeds can be said anything of


def test_ways_wait_for_their_seeds_and_need_the_same_ones():
    few = planned_as(on_seeds(planted.robust("a", linf=0.08), range(1006)), needed=10)
    found = table(few)
    assert found["change"][1] == Robust.OPEN
    assert np.isnan(found["accuracy"].iloc[1])
    assert found["n"].tolist() == [10, 6]
    with pytest.raises(ValueError, match=r"^way 0: seeds with it are not those without"):
        table(planned_as(few, needed=6))
    none = attacked.table({}, ["a"], PLAIN)
    assert none["change"].tolist() == [Robust.OPEN, Robust.OPEN]


def test_curves_begin_at_accuracy_and_fall():
    cards = {"one": planned_as(planted.robust(PLAIN), setting=f"fourth plan, {PLAIN}")}
    rows = attacked.curves(cards, [PLAIN, "another"])
    for norm, of_norm in rows.groupby("norm"):
        assert of_norm["radius"].tolist() == [0, *RADII[norm]]
        assert (np.diff(of_norm["estimate"]) <= 0).all()
        assert of_norm["estimate"].iloc[0] == pytest.approx(0.95, abs=0.01)
    assert set(rows["way"]) == {PLAIN}
