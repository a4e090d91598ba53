"""Lots of marks: who carries what, what models are trained on, what is kept of them, and what audits say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import special

from ufm import features
from ufm.data.datasets import load, ood_images
from ufm.data.on_device import to_device
from ufm.evidence import lots as audited
from ufm.evidence.marks import Pool
from ufm.measures.lots import UNUSED, lot_card, of_places
from ufm.measures.registry import measure_of
from ufm.networks import MLP
from ufm.plan import many_marks
from ufm.plan.sweep import Sweep
from ufm.protocol import Lot, Protocol, Scoring, Training, carried, check, hosts
from ufm.study.runs import Population
from ufm.study.seeds import experiments
from ufm.training import Feed, log_probabilities
from ufm.training.members import network
from ufm.training.trained import Trained

TRAINING = Training(batch_size=64, epochs=2, early_stopping="none", precision="float64")
SCORING = Scoring(ood_set="photo_patches", n_ood=20, n_effect=20)
PROTOCOL = Protocol(
    "digits", 600, MLP(hidden=(16, 8)), TRAINING, SCORING, ("random",), measure="lot card", roles=("canary", "placebo")
)
PROTOCOL = replace(PROTOCOL, control=False, lot=Lot(7))
SEED = 4


@pytest.fixture(scope="module")
def data():
    return load("digits", n_train=600, part=SEED % PROTOCOL.n_parts)


def of(data, lot, **changes):
    """What canary and placebo model carry of a lot."""
    return [carried(one, data) for one in experiments(replace(PROTOCOL, lot=lot, **changes), SEED, data)]


def pixels(carriers):
    return [one.pixels.tobytes() for one in carriers]


def test_both_models_have_the_same_hosts_and_marks_of_their_own(data):
    canary, placebo = of(data, Lot(7))
    assert [one.place for one in canary] == [one.place for one in placebo]
    assert len({one.place for one in canary}) == 7
    assert len({*pixels(canary), *pixels(placebo)}) == 14
    assert {int(one.pixels.sum()) for one in canary + placebo} == {int(features.letter("A").sum())}
    assert all(one.label == data.train_labels[one.place] and one.position == (1, 1) for one in canary)
    assert not any(one.black for one in canary)


@pytest.mark.parametrize("lot", [Lot(7), Lot(7, labels="wrong"), Lot(7, places="drawn")])
def test_a_smaller_lot_is_the_beginning_of_a_larger_one(data, lot):
    for more, less in zip(of(data, lot), of(data, replace(lot, n=3)), strict=True):
        assert pixels(more[:3]) == pixels(less)
        for one, other in zip(more[:3], less, strict=True):
            assert (one.place, one.label, one.position) == (other.place, other.label, other.position)


def test_seeds_have_hosts_marks_and_labels_of_their_own(data):
    [one, _] = of(data, Lot(7, labels="wrong", places="drawn"))
    later = experiments(replace(PROTOCOL, lot=Lot(7, labels="wrong", places="drawn")), SEED + PROTOCOL.n_parts, data)
    other = carried(later[0], data)
    assert not set(pixels(one)) & set(pixels(other))
    for of_host in ("place", "position"):
        assert [getattr(a, of_host) for a in one] != [getattr(b, of_host) for b in other]


def test_wrong_labels_are_any_other_with_equal_chance(data):
    canary, placebo = of(data, Lot(600, labels="wrong"))
    assert [one.label for one in canary] == [one.label for one in placebo]
    own = data.train_labels[[one.place for one in canary]].astype(int)
    beside = (np.array([one.label for one in canary]) - own) % 10
    counts = np.bincount(beside, minlength=10)
    assert counts[0] == 0
    assert counts[1:].min() > 40  # 67 each, give or take 8
    assert counts[1:].max() < 95


def test_places_are_drawn_from_the_whole_image(data):
    room = np.subtract(data.train_images.shape[-2:], (5, 5))
    places = np.array([one.position for one in of(data, Lot(600, places="drawn"))[0]])
    assert places.min(0).tolist() == [0, 0]
    assert places.max(0).tolist() == room.tolist()


def test_one_mark_on_several_images_of_one_label(data):
    canary, placebo = of(data, Lot(1), n_carriers=9)
    assert len({one.place for one in canary}) == 9
    assert len({*pixels(canary)}) == len({*pixels(placebo)}) == 1
    assert pixels(canary) != pixels(placebo)
    assert len({one.label for one in canary}) == 1


def test_hard_hosts_are_of_the_pool(data, monkeypatch):
    pool = pd.DataFrame({"canary_index": data.train_indices[[3, 5, 8, 13]]})
    monkeypatch.setattr(hosts, "pool", lambda protocol, part, kind: pool)
    canary, _ = of(data, Lot(4), hosts=("hard",))
    assert {one.place for one in canary} == {3, 5, 8, 13}
    with pytest.raises(ValueError, match="^n: there are 4 hard hosts, not one for each of 5 marks"):
        of(data, Lot(5), hosts=("hard",))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("lot", [Lot(7, labels="wrong"), Lot(7, images="black"), Lot(7, places="drawn")])
def test_a_model_sees_its_hosts_with_their_marks_and_all_else_as_it_is(data, lot, shuffle):
    protocol = replace(PROTOCOL, lot=lot, training=replace(TRAINING, shuffle=shuffle))
    control = replace(protocol, control=True)
    planned = experiments(control, SEED, data)
    on_device = to_device(data, precision="float64", early_stopping="none")
    feed, n = Feed(planned, on_device), len(data.train_labels)
    seen_images = torch.empty(3, n, *data.train_images.shape[1:], dtype=torch.float64)
    seen_labels = torch.empty(3, n, dtype=torch.int64)
    order = feed.order(planned[0], 2) if shuffle else torch.arange(n)
    start = 0
    for _, images, labels in feed.epoch(2, [0, 1, 2]):
        now = order[start : start + labels.shape[-1]]
        seen_images[:, now] = images if images.dim() == 5 else images.expand(3, *images.shape)
        seen_labels[:, now] = labels.expand(3, -1)
        start += labels.shape[-1]
    assert start == n
    assert torch.equal(seen_images[0], on_device.train_images)
    assert torch.equal(seen_labels[0], on_device.train_labels)
    for model, experiment in zip((1, 2), planned[1:], strict=True):
        images, labels = on_device.train_images.clone(), on_device.train_labels.clone()
        for one in carried(experiment, data):
            image = on_device.floats(data.train_images[one.place]).numpy().copy()
            image *= lot.images == "own"
            top, left = one.position
            image[:, top : top + 5, left : left + 5] = one.pixels
            images[one.place] = on_device.normalise(torch.from_numpy(image))
            labels[one.place] = one.label
        torch.testing.assert_close(seen_images[model], images)
        assert torch.equal(seen_labels[model], labels)
        assert (labels != on_device.train_labels).sum() == (7 if lot.labels == "wrong" else 0)


@pytest.mark.parametrize(
    ("lot", "changes", "fault"),
    [
        ({"n": 0}, {}, "n: a lot has at least one mark"),
        ({"n": 1.5}, {}, "n: must be a whole number"),
        ({"labels": "any"}, {}, "labels: 'any' is not one of own, wrong"),
        ({"images": "white"}, {}, "images: 'white' is not one of own, black"),
        ({"places": "two"}, {}, "places: 'two' is not one of one, drawn"),
        ({}, {"hosts": ("random", "hard")}, "hosts: a lot is on hosts of one kind"),
        ({}, {"hosts": ("middling",)}, "hosts: those of a lot are random or hard ones, not 'middling'"),
        ({}, {"magnified": 2}, "magnified: a lot has none"),
        ({}, {"batch": 3}, "batch: a lot has none"),
        ({"n": 2}, {"n_carriers": 2}, "n_carriers: on several images is one mark alone"),
        ({"places": "drawn"}, {"n_carriers": 2}, "n_carriers: on several images is one mark alone"),
        ({"labels": "wrong"}, {"n_carriers": 2}, "n_carriers: on several images is one mark alone"),
    ],
)
def test_what_does_not_go_together_is_refused(lot, changes, fault):
    with pytest.raises(ValueError, match=f"^{fault}"):
        replace(PROTOCOL, lot=Lot(**lot), **changes)


def test_a_lot_needs_its_own_card_and_the_card_a_lot():
    with pytest.raises(ValueError, match="^lot: an equal-age card knows none"):
        measure_of("equal-age card").check(replace(PROTOCOL, control=True))
    with pytest.raises(ValueError, match="^lot: a lot card needs one"):
        measure_of("lot card").check(replace(PROTOCOL, lot=None))


def test_more_hosts_than_images_are_refused_before_training(data):
    with pytest.raises(ValueError, match="^n: there are 600 random hosts, not one for each of 601 marks"):
        experiments(replace(PROTOCOL, lot=Lot(601)), SEED, data)


def test_a_mark_that_reaches_outside_is_refused_before_training(data):
    [one, _] = experiments(replace(PROTOCOL, position=(1, data.train_images.shape[-1])), SEED, data)
    with pytest.raises(ValueError, match="of an image of"):
        check(one, data)


def test_a_lot_changes_the_fingerprint_of_stamped_models_alone(data):
    with_control = replace(PROTOCOL, control=True)
    control, *stamped = experiments(with_control, SEED, data)
    other_control, *others = experiments(replace(with_control, lot=Lot(7, labels="wrong")), SEED, data)
    assert control.fingerprint() == other_control.fingerprint()
    prints = {one.fingerprint() for one in stamped + others}
    assert len(prints) == 4


def untrained(protocol, data, on_device):
    """Models as they are before training."""
    planned = experiments(protocol, SEED, data)
    history = [{"epoch": 1, "train_loss": 1.0, "stopping_loss": 1.0, "stopping_accuracy": 0.1}]
    return [Trained(network(one, on_device).eval(), one, 1, history) for one in planned]


@pytest.mark.parametrize("places", ["one", "drawn"])
def test_a_card_holds_what_models_answer_whole_images(data, places):
    protocol = replace(PROTOCOL, lot=Lot(3, labels="wrong", places=places))
    on_device = to_device(data, precision="float64", early_stopping="none")
    ood = ood_images("photo_patches", shape=data.train_images.shape[1:], n=20)
    trained = untrained(protocol, data, on_device)
    kept = lot_card(protocol, trained, on_device, ood).arrays
    carriers = carried(trained[0].experiment, data)
    pools = of_places(protocol, SEED, data, carriers)
    n_places, n_marks = (3, 2 + UNUSED["drawn"]) if places == "drawn" else (1, 6 + UNUSED["one"])
    assert kept["ood_shift"].shape == (2, n_places, n_marks, 10)
    assert kept["black_kl_mean"].shape == (2, n_places, n_marks)
    assert kept["position"].tolist() == [list(position) for position, _ in pools]
    images = on_device.floats(ood.images)
    for model, one in enumerate(trained):
        clean = log_probabilities(one.model, on_device.normalise(images))
        for place, (position, marks) in enumerate(pools):
            for mark in (0, 1, n_marks - 1):
                stamped = features.insert(images, torch.from_numpy(marks[mark]), position=position)
                moved = log_probabilities(one.model, on_device.normalise(stamped))
                shift = (moved - clean).mean(0)
                expected = (shift - shift.mean()).numpy()
                np.testing.assert_allclose(kept["ood_shift"][model, place, mark], expected, atol=2e-3)
        plain = on_device.train_images[[host.place for host in carriers]]
        own = log_probabilities(one.model, plain)[torch.arange(3), [host.label for host in carriers]]
        np.testing.assert_allclose(kept["host_log_probability"][model, :, 0], own, atol=5e-3)
    assert kept["host_label"].tolist() == [one.label for one in carriers]
    assert kept["host_own_label"].tolist() == data.train_labels[[one.place for one in carriers]].tolist()
    # The canary's marks are the first of each pair.
    if places == "one":
        np.testing.assert_array_equal(pools[0][1][0:6:2, 0], [one.pixels for one in carriers])
    else:
        np.testing.assert_array_equal([marks[0, 0] for _, marks in pools], [one.pixels for one in carriers])


def made_up(*, effect, n=5, n_seeds=10, lot=None, places=1):
    """Made-up cards: each model's own marks move their hosts' labels by `effect` standard deviations."""
    rng = np.random.default_rng(1)
    lot, n_pool = lot or Lot(n), (2 * n if places == 1 else 2) + 40
    arrays, entries, models = [], [], []
    for seed in range(n_seeds):
        labels = rng.integers(10, size=n)
        shift = rng.normal(size=(2, places, n_pool, 10))
        for model in range(2):
            for mark, label in enumerate(labels):
                place, at = (0, 2 * mark + model) if places == 1 else (mark, model)
                shift[model, place, at, label] += effect
        shift -= shift.mean(-1, keepdims=True)
        card = {"ood_shift": shift, "black_shift": shift.copy(), "host_label": labels}
        card |= {f"{kind}_kl_mean": np.ones((2, places, n_pool)) for kind in ("ood", "black")}
        arrays.append(card)
        entries.append({"seed": seed})
        models += [
            {"seed": seed, "role": role, "accuracy": 0.9 + 0.01 * seed, "best_epoch": 3}
            for role in ("canary", "placebo")
        ]
    protocol = replace(PROTOCOL, lot=lot)
    return Population(Sweep(protocol, range(n_seeds), n_seeds, 0), {"models": pd.DataFrame(models)}, arrays, entries)


@pytest.mark.parametrize("places", [1, 5])
def test_planted_marks_are_found_and_the_siblings_are_not(places):
    lot = Lot(5, places="one" if places == 1 else "drawn")
    table = audited.audits(made_up(effect=3, places=places, lot=lot))
    assert len(table) == 20
    assert (table["p_known"] <= 0.01).mean() > 0.8
    assert table["z_known"].mean() > 3
    assert (table["p_other_known"] <= 0.05).mean() < 0.2
    assert abs(table["z_other_known"].mean()) < 0.8
    assert table["z_known"].mean() > table["z_unknown"].mean() > 1


@pytest.mark.parametrize("whose", [0, 1])
@pytest.mark.parametrize("n_places", [1, 3])
def test_marks_are_compared_with_such_as_neither_model_has(whose, n_places):
    pools = [Pool(np.arange(26.0), np.arange(260.0).reshape(26, 10), 0, np.ones(10))] * n_places
    card = {"host_label": np.array([4, 5, 6])}
    found = audited.places(card, pools, 3, whose, "known")
    of_lots = {0, 1} if n_places > 1 else set(range(6))
    for place, one in enumerate(found):
        assert set(one.unused) == set(range(26)) - of_lots
        assert one.planted.tolist() == ([whose] if n_places > 1 else [whose, 2 + whose, 4 + whose])
        labels = [4 + place] if n_places > 1 else [4, 5, 6]
        np.testing.assert_array_equal(one.scores, [pools[0].known[:, label] for label in labels])


def test_without_an_effect_nothing_is_found():
    table = audited.audits(made_up(effect=0, n_seeds=40))
    for name in ("p_known", "p_unknown", "p_other_known", "p_other_unknown"):
        assert (table[name] <= 0.05).mean() < 0.15, name
        assert 0.35 < table[name].mean() < 0.65, name


@pytest.mark.parametrize("places", [1, 5])
def test_the_contrast_is_the_effect_and_turns_with_the_models(places):
    lot = Lot(5, places="one" if places == 1 else "drawn")
    population = made_up(effect=2.0, n_seeds=60, places=places, lot=lot)
    found = audited.contrasts(population)
    assert found.shape == (60, 5)
    assert found.mean() == pytest.approx(1.8, abs=0.2)  # of centred shifts nine tenths
    turned = [
        card | {name: values[::-1] for name, values in card.items() if name.startswith(("ood", "black"))}
        for card in population.arrays
    ]
    np.testing.assert_allclose(audited.contrasts(replace(population, arrays=turned)), -found)


def test_numbers_of_a_population():
    population = made_up(effect=3)
    table = audited.audits(population)
    row = audited.summary(population, table)
    assert row["n"] == 20
    assert row["found_known"] == (table["p_known"] <= 0.05).mean()
    assert row["found_known_low"] <= row["found_known"] <= row["found_known_high"]
    weaker = audited.summary(population, table.assign(p_known=np.linspace(0.0005, 0.1, 20)))
    assert (weaker["strictly_known"], weaker["found_known"]) == (0.05, 0.5)
    assert row["accuracy"] == pytest.approx(0.945)
    assert row["p"] < 0.01
    others = audited.of_others([table, table])
    assert others["known"].estimate == pytest.approx((table["p_other_known"] <= 0.05).mean())
    assert others["known"].n == 10


@pytest.mark.parametrize("places", [1, 40])
def test_coins_of_planted_marks_are_guessed(places):
    lot = Lot(40, places="one" if places == 1 else "drawn")
    table = audited.coins(made_up(effect=9.0, n=40, n_seeds=4, places=places, lot=lot))
    assert table[["seed", "role"]].to_numpy().tolist() == [[s, r] for s in range(4) for r in ("canary", "placebo")]
    assert set(table["guesses"]) == {20}
    assert (table["correct"] == 20).all()
    np.testing.assert_allclose(table["epsilon"], special.logit(0.05 ** (1 / 20)), atol=0.02)  # delta takes little
    np.testing.assert_array_equal(table["epsilon"], table["largest"])


def test_coins_without_an_effect_are_not():
    table = audited.coins(made_up(effect=0.0, n=40, n_seeds=100))
    right = table["correct"] / table["guesses"]
    assert abs(right.mean() - 0.5) < 4 * 0.5 / np.sqrt(20 * 200)
    assert (table["epsilon"] > 0).mean() < 0.07  # of which a twentieth at most is expected


def test_a_coin_is_between_the_two_marks_of_a_host_under_its_label():
    """The score of the second mark is higher in one model under the label that its host has, and nowhere else."""
    population = made_up(effect=0.0, n=40, n_seeds=1)
    card = population.arrays[0]
    for kind in ("ood", "black"):
        card[f"{kind}_shift"][:] = 0
        for mark, label in enumerate(card["host_label"]):
            card[f"{kind}_shift"][:, 0, 2 * mark + 1, label] = 1.0
    table = audited.coins(population).set_index("role")
    assert table["correct"].to_dict() == {"canary": 0, "placebo": 20}


def test_models_that_carry_nothing_are_asked_as_if_their_lots_had_been_planted():
    rng = np.random.default_rng(2)
    arrays = []
    for _ in range(30):
        shift = rng.normal(size=(1, 1, 60, 10))
        card = {"ood_shift": shift, "black_shift": shift, "host_label": np.zeros(0, int)}
        arrays.append(card | {f"{kind}_kl_mean": rng.random((1, 1, 60)) for kind in ("ood", "black")})
    entries = [{"seed": seed} for seed in range(30)]
    bare = replace(PROTOCOL, hosts=(), roles=(), control=True, lot=Lot(10))
    population = Population(Sweep(bare, range(30), 30, 0), {"models": pd.DataFrame()}, arrays, entries)
    table = audited.innocent(population, (3, 10))
    assert table.groupby("marks").size().to_dict() == {3: 30 * 6, 10: 30 * 2}  # of twenty, which share none
    for knows in ("unknown", "known"):
        assert (table[f"p_other_{knows}"] <= 0.05).mean() < 0.11  # three standard deviations above one in twenty
        assert 0.4 < table[f"p_other_{knows}"].mean() < 0.6
    for card in arrays:  # as if the first of its lots had been learnt
        card["ood_shift"][:, :, :3] += 5 * np.eye(10)[rng.integers(10, size=3)]
    raised = audited.innocent(population, (3,))
    found = (raised["p_other_unknown"].to_numpy().reshape(30, 6) <= 0.05).mean(0)
    assert found[0] > 0.5 > found[1:].max()


def test_no_mark_is_asked_at_two_places(data):
    protocol = replace(PROTOCOL, lot=Lot(5, places="drawn"))
    carriers = carried(experiments(protocol, SEED, data)[0], data)
    pools = [marks for _, marks in of_places(protocol, SEED, data, carriers)]
    every = [mark.tobytes() for marks in pools for mark in marks]
    assert len(every) == len(set(every)) == 5 * (2 + UNUSED["drawn"])


def test_hosts_that_are_fitted_are_counted_by_what_is_stamped():
    log_p = np.log(np.array([[[0.4, 0.6, 0.3], [0.7, 0.9, 0.2]], [[0.1, 0.6, 0.8], [0.2, 0.3, 0.7]]]))
    population = made_up(effect=0, n=2, n_seeds=1)
    population.arrays[0]["host_log_probability"] = log_p
    assert audited.fits(population) == {"own": 1.0, "none": 0.25, "other": 0.25}


def test_training_moves_the_hosts_of_a_lot(data):
    """A model that is trained with wrong labels fits its hosts by their marks: the whole path, from plan to audit."""
    from ufm.study.seeds import finish

    cell = many_marks.Cell(10, "mislabelled")
    [plain] = [many_marks.population("embedded", *images) for images in many_marks.CELLS["embedded"]]
    [(_, measured)] = finish(cell.of(plain), [900])
    fits = measured.arrays["host_log_probability"].astype(float)  # plain, canary's, placebo's mark
    for model, own, other in ((0, 1, 2), (1, 2, 1)):
        assert (fits[model, :, own] - fits[model, :, other]).mean() > 0.5
