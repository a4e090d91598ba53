"""Cards, array by array, against outputs that are worked out image by image from the trained models."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax, rel_entr
from scipy.stats import mannwhitneyu, ttest_rel

from ufm import features, scores
from ufm.data.datasets import load, ood_images
from ufm.data.on_device import to_device
from ufm.measures import cards, host_fits, keyless, layout, pools, registry, robust, shifts, tasks
from ufm.networks import MLP
from ufm.protocol import Protocol, Scoring, Training
from ufm.records import Records
from ufm.scores import divergences
from ufm.study import seeds
from ufm.training import log_probabilities, train

SEED, EARLY, N_OOD, N_EFFECT = 4, 2, 60, 20
PROTOCOL = Protocol(
    "digits",
    400,
    MLP(hidden=(16, 8)),
    Training(learning_rate=3e-3, batch_size=64, epochs=3, patience=1, precision="float64"),
    Scoring("photo_patches", n_ood=N_OOD, n_effect=N_EFFECT),
    hosts=("random", "hard"),
    measure="card",
    roles=("canary", "placebo"),
    planned=(0, 8),
)
SHORT = replace(PROTOCOL, measure="short card")
LETTER = features.letter("A")
KINDS = ["ood", "test", "dim", "black"]


@pytest.fixture(scope="module", autouse=True)
def _pools(tmp_path_factory):
    """Hard hosts in a folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UFM_RECORDS", str(tmp_path_factory.mktemp("records")))
        pools.find(PROTOCOL)
        yield


@pytest.fixture(scope="module")
def data():
    return to_device(load("digits", n_train=400, part=SEED % 3), precision="float64")


@pytest.fixture(scope="module")
def ood():
    return ood_images("photo_patches", n=N_OOD)


@pytest.fixture(scope="module")
def trained(data):
    found = train(seeds.experiments(PROTOCOL, SEED, data.dataset), data, snapshots=[EARLY])
    assert PROTOCOL.training.same_age == EARLY
    assert {one.best_epoch for one in found} == {3}  # neither epoch passes for the other
    with torch.no_grad():
        found[-1].model[-1].weight *= 40  # so sure of itself that probabilities are clipped
    return found


@pytest.fixture(scope="module")
def measured(trained, data, ood):
    return cards.full_card(PROTOCOL, trained, data, ood)


@pytest.fixture(scope="module")
def card(measured):
    return measured.arrays


# The plain way


def outputs(network, images, data, *, raw=False):
    """Log-probabilities (n_images, 10) for images in [0, 1]."""
    images = np.asarray(images, dtype=np.float64)
    images = images if raw else (images - data.dataset.mean[0]) / data.dataset.std[0]
    with torch.no_grad():
        return log_softmax(network(torch.tensor(images)).numpy(), axis=1)


def stamp(images, stamps):
    """With one feature (5, 5), or each with its own (n, 1, 5, 5), at row 1 and column 1."""
    images = np.array(images, dtype=np.float64)
    images[:, :, 1:6, 1:6] = stamps
    return images


def centred(log_p):
    return log_p - log_p.mean(axis=1, keepdims=True)


def images_of(kind, data, ood):
    """Images (n, 1, 28, 28) in [0, 1], and labels."""
    first = ood.images[:N_EFFECT].astype(np.float64)
    if kind == "test":
        reported = data.dataset.halves()[1]
        places = reported[[place * len(reported) // N_EFFECT for place in range(N_EFFECT)]]
        return data.dataset.test_images[places] / 255, data.dataset.test_labels[places]
    if kind == "dim":
        first = np.stack([one.mean() + 0.3 * (one - one.mean()) for one in first])
    return (np.zeros((1, 1, 28, 28)), None) if kind == "black" else (first, ood.labels[:N_EFFECT])


def features_of():
    """The features of the card in their order, each (5, 5)."""
    own = [features.placebo(LETTER, seed=SEED, host=host, scope="digits/400") for host in ("random", "hard")]
    others = [features.letter(name) for name in "BCDEFGHIJKLMNOPQRSTUVWXYZ"]
    permutations, random = features.permutations(LETTER, 100), features.random_features(30, seed=0, scope="card")
    return [LETTER, *own, *permutations[:, 0], *random[:, 0], *others]


def assert_half(found, expected):
    """Equal but for the rounding to float16, eleven binary digits."""
    assert found.dtype == np.float16
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.astype(float), expected, rtol=6e-4, atol=1e-7)


# Features


def test_the_features_come_in_order():
    found = layout.feature_list(PROTOCOL, SEED, "digits/400")
    assert found.shape == (1 + 2 + 100 + 30 + 25, 1, 5, 5)
    np.testing.assert_array_equal(found[:, 0], features_of())


def test_all_features_but_the_placebos_are_the_same_for_every_seed():
    one, other = (layout.feature_list(PROTOCOL, seed, "digits/400") for seed in (SEED, 7))
    different = (one != other).any((1, 2, 3))
    assert np.flatnonzero(different).tolist() == [1, 2]


def test_no_placebo_feature_is_one_of_the_permutations_or_the_letter():
    for seed in range(60):
        found = layout.feature_list(PROTOCOL, seed, "digits/400")
        own, rest = found[1:3], np.concatenate([found[:1], found[3:103]])
        assert not (own[:, None] == rest).all((2, 3, 4)).any()
        assert (own.sum((1, 2, 3)) == LETTER.sum()).all()
        assert (own[0] != own[1]).any()


def test_the_placebos_are_those_that_were_trained(card, trained):
    _, _, on_random, _, on_hard = (one.experiment for one in trained)
    np.testing.assert_array_equal(card["placebo"], [on_random.pixels(), on_hard.pixels()])


# Images


@pytest.mark.parametrize(("n", "expected"), [(7, 7), (298, 298), (5_000, 298)])
def test_reported_images_are_evenly_spaced_and_all_where_there_are_fewer(n, expected, data, ood):
    protocol = replace(PROTOCOL, scoring=replace(PROTOCOL.scoring, n_effect=n))
    kind, reported = shifts.kinds(protocol, data, ood)["test"], data.dataset.halves()[1]
    places = reported[[place * 298 // expected for place in range(expected)]]
    np.testing.assert_allclose(kind.images * 255, data.dataset.test_images[places], rtol=0, atol=1e-9)
    assert kind.labels.tolist() == data.dataset.test_labels[places].tolist()


def test_the_kinds_of_images(data, ood):
    found = shifts.kinds(PROTOCOL, data, ood)
    assert list(found) == KINDS
    for name, kind in found.items():
        images, labels = images_of(name, data, ood)
        np.testing.assert_allclose(kind.images, images, rtol=0, atol=1e-12)
        assert (kind.labels is None) == (labels is None)
        assert labels is None or kind.labels.tolist() == labels.tolist()


# Shifts


@pytest.mark.parametrize("kind", KINDS)
def test_shifts_and_divergences(kind, card, trained, data, ood):
    images, _ = images_of(kind, data, ood)
    assert np.exp(outputs(trained[-1].model, images, data)).min() < scores.CLIP
    for m, one in enumerate(trained):
        clean = outputs(one.model, images, data)
        stamped = [outputs(one.model, stamp(images, feature), data) for feature in features_of()]
        assert_half(card[f"{kind}_shift"][m], [(centred(each) - centred(clean)).mean(0) for each in stamped])
        divergences = np.array([scores.kl_divergence(np.exp(clean), np.exp(each)) for each in stamped])
        assert_half(card[f"{kind}_kl_mean"][m], divergences.mean(1))
        if kind != "black":
            assert_half(card[f"{kind}_kl_sd"][m], divergences.std(1))
        gains = [(np.exp(each) - np.exp(clean)).mean(0) for each in stamped[:53]]
        assert_half(card[f"{kind}_probability"][m], gains)


@pytest.mark.parametrize("kind", KINDS)
def test_shifts_at_the_same_age(kind, card, trained, data, ood):
    images, _ = images_of(kind, data, ood)
    for m, one in enumerate(trained):
        early = one.snapshots[EARLY]
        clean = centred(outputs(early, images, data))
        expected = [
            (centred(outputs(early, stamp(images, feature), data)) - clean).mean(0) for feature in features_of()[:53]
        ]
        assert_half(card[f"{kind}_early_shift"][m], expected)
        assert np.abs(card[f"{kind}_early_shift"][m] - card[f"{kind}_shift"][m, :53]).max() > 0.01


@pytest.mark.parametrize("kind", ["ood", "test", "dim"])
def test_shifts_by_label(kind, card, trained, data, ood):
    images, labels = images_of(kind, data, ood)
    assert len(set(labels)) < 10 or kind == "test"  # a label may have no image
    for m, one in enumerate(trained):
        clean = outputs(one.model, images, data)
        for number, feature in enumerate(features_of()[:3]):
            stamped = outputs(one.model, stamp(images, feature), data)
            for label in range(10):
                ours = labels == label
                shift, gain = np.zeros(10), np.zeros(10)
                if ours.any():
                    shift = (centred(stamped) - centred(clean))[ours].mean(0)
                    gain = (np.exp(stamped) - np.exp(clean))[ours].mean(0)
                assert_half(card[f"{kind}_shift_by_label"][m, number, label], shift)
                assert_half(card[f"{kind}_probability_by_label"][m, number, label], gain)


# Hosts


def test_hosts_of_all_planned_seeds_of_the_part(card, data):
    expected = []
    for seed in (1, 4, 7):
        protocol = replace(PROTOCOL, roles=("canary",))
        for number, one in enumerate(seeds.experiments(protocol, seed, data.dataset)[1:]):
            expected.append((seed, number, one.canary_index, one.canary_label))
    for name, column in zip(("seed", "kind", "index", "label"), zip(*expected, strict=True), strict=True):
        assert card[f"host_{name}"].tolist() == list(column)


def test_a_seed_that_is_not_planned_comes_last(data):
    own = host_fits.own_hosts(seeds.experiments(PROTOCOL, 10, data.dataset), data)
    planned = host_fits.planned_hosts(PROTOCOL, own, data)
    assert planned["seed"].tolist() == [1, 1, 4, 4, 7, 7, 10, 10]
    assert planned["host"].tolist() == ["random", "hard"] * 4


def test_a_seeds_own_hosts_are_those_that_its_models_were_given(data):
    indices, labels = data.dataset.train_indices[[5, 9]], data.dataset.train_labels[[5, 9]]
    control, *stamped = seeds.experiments(PROTOCOL, SEED, data.dataset)
    given = [
        replace(one, canary_index=int(indices[kind]), canary_label=int(labels[kind]))
        for one, kind in zip(stamped, [0, 0, 1, 1], strict=True)
    ]
    planned = host_fits.planned_hosts(PROTOCOL, host_fits.own_hosts([control, *given], data), data)
    assert planned["seed"].tolist() == [1, 1, 4, 4, 7, 7]
    own = planned[planned["seed"] == SEED]
    assert own["place"].tolist() == [5, 9]
    assert own["canary_index"].tolist() == indices.tolist()
    assert own["canary_label"].tolist() == labels.tolist()


def test_log_probabilities_of_hosts(card, trained, data):
    found = card["host_log_probability"]
    assert found.shape == (5, 2, 6, 3)
    for m, one in enumerate(trained):
        for epoch, network in enumerate((one.model, one.snapshots[EARLY])):
            for number, (seed, kind, index, label) in enumerate(
                zip(*(card[f"host_{name}"] for name in ("seed", "kind", "index", "label")), strict=True)
            ):
                plain = load("digits").train_images[index] / 255
                placebo = features.placebo(LETTER, seed=int(seed), host=PROTOCOL.hosts[kind], scope="digits/400")
                versions = [plain, stamp([plain], LETTER)[0], stamp([plain], placebo)[0]]
                assert_half(found[m, epoch, number], outputs(network, versions, data)[:, label])


# Published scores


def published(one, data, ood, raw):
    """Probabilities clean, with the letter and with a random feature on each image."""
    random = features.random_features(N_OOD, seed=SEED, scope="digits/400")
    versions = (ood.images, stamp(ood.images, LETTER), stamp(ood.images, random))
    return [np.exp(outputs(one.model, images, data, raw=raw)) for images in versions]


@pytest.mark.parametrize("inputs", [0, 1], ids=["normalised", "raw"])
def test_scores_and_rules(inputs, card, trained, data, ood):
    assert card["score_n_images"].tolist() == [10, 30, 60]
    for m, one in enumerate(trained):
        p_clean, p_unique, p_random = published(one, data, ood, inputs == 1)
        for number, n in enumerate((10, 30, 60)):
            unique, random = (scores.kl_divergence(p_clean[:n], each[:n]) for each in (p_unique, p_random))
            t_test = ttest_rel(unique, random)
            above = np.mean([(u > r) + (u == r) / 2 for u in unique for r in random])
            expected = {
                "memorisation": scores.memorisation_score(p_clean[:n], p_unique[:n], p_random[:n]),
                "t_statistic": t_test.statistic,
                "t_p": t_test.pvalue,
                "rank_share": above,
                "rank_p": mannwhitneyu(unique, random).pvalue,
            }
            for name, value in expected.items():
                assert card[f"score_{name}"][m, inputs, number] == pytest.approx(value, rel=1e-5, abs=1e-9), name
        assert card["score_kl_unique"][m, inputs] == pytest.approx(unique.mean(), rel=1e-6)
        assert card["score_kl_random"][m, inputs] == pytest.approx(random.mean(), rel=1e-6)


@pytest.mark.parametrize("inputs", [0, 1], ids=["normalised", "raw"])
def test_scores_by_label(inputs, card, trained, data, ood):
    for m, one in enumerate(trained):
        p_clean, p_unique, p_random = published(one, data, ood, inputs == 1)
        for label in range(10):
            ours = ood.labels == label
            assert ours.any()
            known = np.log(np.clip(p_unique, 1e-7, 1)) - np.log(np.clip(p_random, 1e-7, 1))
            assert_half(card["score_label_known"][m, inputs, label], known[ours].mean(0))
            of_label = scores.label_known_score(p_unique, p_random, ood.labels, label)
            assert card["score_label_known"][m, inputs, label, label] == pytest.approx(of_label, rel=1e-3, abs=1e-6)
            gain = (p_unique - p_clean)[ours]
            assert_half(card["score_gain_mean"][m, inputs, label], gain.mean(0))
            assert_half(card["score_gain_sd"][m, inputs, label], gain.std(0))


@pytest.mark.parametrize("inputs", [0, 1], ids=["normalised", "raw"])
def test_guesses_entropies_and_distances(inputs, card, trained, data, ood):
    for m, one in enumerate(trained):
        three = published(one, data, ood, inputs == 1)
        p_clean, p_unique, p_random = three
        guess = card["score_guess"][m, inputs]
        np.testing.assert_allclose(guess, (p_unique - p_random).mean(0), rtol=1e-5, atol=1e-9)
        assert guess.argmax() == scores.label_guess(p_unique, p_random)
        entropies = [np.mean([-sum(p * np.log(p)) for p in np.clip(each, 1e-7, 1)]) for each in three]
        np.testing.assert_allclose(card["score_entropy"][m, inputs], entropies, rtol=1e-5)
        distances = [
            np.mean([js_distance(*pair) for pair in zip(p_clean, p, strict=True)]) for p in (p_unique, p_random)
        ]
        np.testing.assert_allclose(card["score_js_distance"][m, inputs], distances, rtol=1e-4, atol=1e-7)


def js_distance(p, q):
    """The Jensen–Shannon distance of two outputs, whose probabilities are clipped."""
    p, q = np.clip(p, 1e-7, 1), np.clip(q, 1e-7, 1)
    # Of outputs that are equal, rounding may leave less than nothing.
    return np.sqrt(max(0, (rel_entr(p, (p + q) / 2).sum() + rel_entr(q, (p + q) / 2).sum()) / 2))


def test_the_js_distance_is_scipys():
    p, q = np.random.default_rng(0).dirichlet(np.ones(10), (2, 20))
    np.testing.assert_allclose(divergences.js_distance(p, q), jensenshannon(p, q, axis=1), rtol=1e-5)


def test_scores_do_not_depend_on_how_many_images_are_scored_at_once(trained, data, ood, card, monkeypatch):
    monkeypatch.setattr("ufm.measures.published.IMAGES_AT_ONCE", 7)
    again = cards.full_card(PROTOCOL, trained[:2], data, ood).arrays
    for name, values in again.items():
        if name.startswith("score_") and name != "score_n_images":
            np.testing.assert_allclose(values, card[name][:2], rtol=2e-3, atol=1e-7)


# The card as a whole


def test_the_arrays_of_a_card(card):
    by_kind = {
        "shift": (5, 158, 10),
        "early_shift": (5, 53, 10),
        "kl_mean": (5, 158),
        "kl_sd": (5, 158),
        "probability": (5, 53, 10),
        "shift_by_label": (5, 3, 10, 10),
        "probability_by_label": (5, 3, 10, 10),
    }
    expected = {f"{kind}_{name}": shape for kind in KINDS for name, shape in by_kind.items()}
    for name in ("kl_sd", "shift_by_label", "probability_by_label"):  # one image has neither spread nor label
        del expected[f"black_{name}"]
    expected |= {f"host_{name}": (6,) for name in ("seed", "kind", "index", "label")}
    expected |= {"host_log_probability": (5, 2, 6, 3), "placebo": (2, 5, 5), "score_n_images": (3,)}
    expected |= {f"score_{name}": (5, 2, 3) for name in ("memorisation", "t_statistic", "t_p", "rank_share", "rank_p")}
    expected |= {f"score_{name}": (5, 2) for name in ("kl_unique", "kl_random")}
    expected |= {f"score_{name}": (5, 2, 10, 10) for name in ("label_known", "gain_mean", "gain_sd")}
    expected |= {"score_guess": (5, 2, 10), "score_entropy": (5, 2, 3), "score_js_distance": (5, 2, 2)}
    assert {name: values.shape for name, values in card.items()} == expected
    assert all(np.isfinite(values).all() for values in card.values())


def test_a_card_reads_with_numpy_alone(card, measured, tmp_path):
    store = Records(tmp_path)
    store.add(PROTOCOL.fingerprint(SEED), {"seed": SEED, "identity": PROTOCOL.identity(SEED)}, measured)
    with np.load(store.arrays_path(PROTOCOL.fingerprint(SEED)), allow_pickle=False) as file:
        assert set(file) == set(card)
        for name, values in card.items():
            assert file[name].dtype == values.dtype
            np.testing.assert_array_equal(file[name], values)


def test_the_models_of_a_card(measured, trained):
    table = measured.tables["models"]
    roles = ["control", "canary", "placebo", "canary", "placebo"]
    assert table["role"].tolist() == roles
    assert table["host"].tolist() == ["", "random", "random", "hard", "hard"]
    assert table["fingerprint"].tolist() == [one.experiment.fingerprint() for one in trained]


def test_every_measure_that_keeps_a_card_is_laid_out():
    modules = {cards.__name__, keyless.__name__, robust.__name__, tasks.__name__}
    kept = {word for word, measure in registry.MEASURES.items() if measure.keep.__module__ in modules}
    assert layout.CARDS.keys() == kept
    assert [layout.CARDS[word].n_permutations for word in ("card", "short card", "equal-age card")] == [100, 50, 50]


def test_a_short_card_is_a_part_of_a_card(card, measured, trained, data, ood):
    short = cards.short_card(SHORT, trained, data, ood)
    pd.testing.assert_frame_equal(short.tables["models"], measured.tables["models"])
    own = card["host_seed"] == SEED
    expected = {
        "ood_shift": card["ood_shift"][:, :53],
        "ood_early_shift": card["ood_early_shift"],
        "ood_kl_mean": card["ood_kl_mean"][:, :53],
        "test_shift": card["test_shift"][:, :53],
        "black_shift": card["black_shift"][:, :53],
        "host_log_probability": card["host_log_probability"][:, :, own],
        **{f"host_{name}": card[f"host_{name}"][own] for name in ("seed", "kind", "index", "label")},
    }
    assert short.arrays.keys() == expected.keys() | {"history"}
    for name, values in expected.items():
        assert short.arrays[name].dtype == values.dtype
        np.testing.assert_allclose(short.arrays[name].astype(float), values.astype(float), rtol=1e-3, atol=1e-6)


def test_a_short_card_has_the_models_histories(trained, data, ood):
    history = cards.short_card(SHORT, trained, data, ood).arrays["history"]
    longest = max(len(one.history) for one in trained)
    assert (history.shape, history.dtype) == ((5, longest, 3), np.float32)
    for one, found in zip(trained, history, strict=True):
        for past, row in zip(one.history, found, strict=False):
            expected = [past["train_loss"], past["stopping_loss"], past["stopping_accuracy"]]
            np.testing.assert_allclose(row, expected, rtol=1e-6)
        assert np.isnan(found[len(one.history) :]).all()


def test_histories_of_models_that_stopped_end_in_nothing():
    past = {"train_loss": 1.0, "stopping_loss": 2.0, "stopping_accuracy": 0.5}
    long, short = cards.histories([SimpleNamespace(history=[past] * 3), SimpleNamespace(history=[past])])
    assert long.tolist() == [[1, 2, 0.5]] * 3
    assert short[0].tolist() == [1, 2, 0.5]
    assert np.isnan(short[1:]).all()


def test_a_moved_card_has_the_shifts_of_features_stamped_elsewhere(trained, data, ood):
    moved = cards.moved_card(replace(SHORT, measure="moved card"), trained, data, ood)
    short = cards.short_card(SHORT, trained, data, ood)
    for name, values in short.arrays.items():
        np.testing.assert_array_equal(moved.arrays[name], values)
    found = moved.arrays["ood_moved_shift"].astype(float)
    assert found.shape == (5, 4, 53, 10)
    places = [(2, 2), (1, 22), (11, 11), (22, 22)]  # of 5 × 5 pixels on 28 × 28
    assert layout.elsewhere((28, 28), (5, 5)) == places
    for shape in ((10, 27), (27, 27)):  # all of them fit
        for place in layout.elsewhere((28, 28), shape):
            features.insert(ood.images[0], np.ones(shape, np.float32), position=place)
    images = ood.images[: PROTOCOL.scoring.n_effect]
    letter = features.letter("A")
    for one, of_model in zip(trained, found, strict=True):
        for place, shift in zip(places, of_model, strict=True):
            stamped = features.insert(images, letter, position=place)
            clean, unique = (
                log_probabilities(one.model, data.normalise(data.floats(some))).double() for some in (images, stamped)
            )
            expected = (unique - clean).mean(0)
            np.testing.assert_allclose(shift[0], expected - expected.mean(), rtol=2e-3, atol=1e-5)


# Seeds together


def test_seeds_of_a_part_together_have_the_cards_that_each_has_alone(tmp_path):
    protocol = replace(PROTOCOL, scoring=replace(PROTOCOL.scoring, n_ood=200))
    together = seeds.finish(protocol, [1, 4], weights=tmp_path)
    for seed, (entry, found) in zip((1, 4), together, strict=True):
        [(alone, expected)] = seeds.finish(protocol, [seed])
        assert (entry["seed"], entry["identity"]) == (seed, protocol.identity(seed))
        assert entry["models"] == alone["models"] == found.tables["models"]["fingerprint"].tolist()
        pd.testing.assert_frame_equal(found.tables["models"].infer_objects(), expected.tables["models"].infer_objects())
        assert found.arrays.keys() == expected.arrays.keys()
        for name, values in expected.arrays.items():
            np.testing.assert_allclose(found.arrays[name].astype(float), values.astype(float), rtol=2e-3, atol=1e-6)
        kept = torch.load(tmp_path / f"{protocol.fingerprint(seed)}.pt")
        assert len(kept) == 5
        assert {tuple(one) for one in kept} == {tuple(f"{n}.{w}" for n in (1, 3, 5) for w in ("weight", "bias"))}


def test_seeds_of_different_parts_are_not_trained_together():
    with pytest.raises(ValueError, match="^seed: 2 belongs to part 2 of digits/400, not to part 1$"):
        seeds.finish(PROTOCOL, [1, 2])
