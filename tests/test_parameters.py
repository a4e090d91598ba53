"""Which sweeps a chapter shows with a reader's parameters."""

from dataclasses import replace

import pytest

from ufm.data import sources
from ufm.networks import CNN1, CNN2, MLP
from ufm.plan import registry, second
from ufm.plan.profiles import changed
from ufm.plan.registry import chapter, chapters, of_one_seed, sweeps
from ufm.plan.sensitivity import fitted
from ufm.study.parameters import shown

FOUR = ["mnist-small", "fashion_mnist-small", "mnist-full", "fashion_mnist-full"]


@pytest.mark.parametrize("profile", ["embedded", "paper"])
@pytest.mark.parametrize("notebook", chapters())
def test_unchanged_a_chapter_shows_its_sweeps(notebook, profile):
    known = {name: sweeps(profile)[name] for name in chapter(notebook, profile)}
    if of_one_seed(notebook):
        known = {name: replace(one, seeds=one.seeds[:1], needed=1) for name, one in known.items()}
    assert shown(notebook, profile) == known
    assert shown(notebook, profile, dataset=None, n_train=None, seed=None, n_seeds=None, feature=None) == shown(
        notebook, profile
    )


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"dataset": "mnist"}, ["mnist-small", "mnist-full"]),
        ({"dataset": "fashion_mnist"}, ["fashion_mnist-small", "fashion_mnist-full"]),
        ({"n_train": 10_000}, ["mnist-small", "fashion_mnist-small"]),
        ({"n_train": 60_000}, ["mnist-full", "fashion_mnist-full"]),  # all there are
        ({"dataset": "fashion_mnist", "n_train": 10_000}, ["fashion_mnist-small"]),
    ],
)
def test_data_set_and_size_choose_among_a_chapters_sweeps(changes, names):
    assert shown("controls", "paper", **changes) == {name: sweeps()[name] for name in names}


@pytest.mark.parametrize(
    ("notebook", "profile", "changes", "name", "expected"),
    [
        ("controls", "paper", {"dataset": "mnist", "n_train": 5000}, "mnist-small", ("mnist", 5000)),
        ("controls", "paper", {"n_train": 5000}, "mnist-small", ("mnist", 5000)),
        ("controls", "embedded", {"dataset": "mnist"}, "digits-small", ("mnist", 600)),
        ("method", "paper", {"dataset": "fashion_mnist"}, "method", ("fashion_mnist", None)),
        ("method", "embedded", {"n_train": 400}, "method", ("digits", 400)),
    ],
)
def test_where_none_is_like_that_the_first_is_changed(notebook, profile, changes, name, expected):
    found, planned = shown(notebook, profile, **changes), sweeps(profile)[name]
    assert next(iter(found)) == name
    protocol = found[name].protocol
    assert (protocol.dataset, protocol.n_train) == expected
    assert found[name].seeds == planned.seeds
    assert (protocol.model, protocol.training, protocol.scoring, protocol.hosts, protocol.measure) == (
        planned.protocol.model,
        planned.protocol.training,
        planned.protocol.scoring,
        planned.protocol.hosts,
        planned.protocol.measure,
    )


def test_a_chosen_data_set_and_its_images_are_changed_together():
    found = shown("method", "paper", dataset="cifar10", ood_set="mnist")["method"].protocol
    assert (found.dataset, found.scoring.ood_set) == ("cifar10", "mnist")
    found = shown("method", "paper", dataset="cifar10")["method"].protocol
    assert (found.dataset, found.scoring.ood_set, found.scoring.n_ood) == ("cifar10", "mnist", 50_000)
    with pytest.raises(ValueError, match="^ood_set: cifar10 is what the models are trained on"):
        shown("method", "paper", dataset="cifar10", ood_set="cifar10")


def test_other_changes_go_for_every_sweep():
    found = shown("controls", "paper", feature="B", n_ood=300)
    assert list(found) == FOUR
    for name, sweep in found.items():
        assert (sweep.protocol.feature, sweep.protocol.scoring.n_ood) == ("B", 300)
        assert sweep.protocol == changed(sweeps()[name].protocol, feature="B", n_ood=300)
        assert sweep.protocol != sweeps()[name].protocol


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, lambda n: range(1000, 1000 + n)),
        ({"seed": 7}, lambda n: range(7, 7 + n)),
        ({"n_seeds": 3}, lambda n: range(1000, 1003)),
        ({"seed": 0, "n_seeds": 2}, lambda n: range(2)),
    ],
)
def test_seeds_start_where_asked_and_are_as_many_as_asked(changes, expected):
    found = {name: sweep.seeds for name, sweep in shown("controls", "paper", **changes).items()}
    assert found == {name: expected(len(sweeps()[name].seeds)) for name in FOUR}


def test_no_more_seeds_are_needed_than_are_asked_for():
    assert {sweep.needed for sweep in shown("controls", "paper", n_seeds=3).values()} == {3}
    assert shown("controls", "paper", n_seeds=50)["fashion_mnist-full"].needed == 20


def test_seeds_of_one_part_keep_their_distance(monkeypatch):
    of_one_part = replace(sweeps()["mnist-small"], seeds=range(1002, 1062, 6))
    monkeypatch.setattr(registry, "sweeps", lambda profile: {"mnist-small": of_one_part})
    monkeypatch.setattr(registry, "chapter", lambda notebook, profile: ("mnist-small",))
    assert shown("controls", "paper")["mnist-small"].seeds == range(1002, 1062, 6)
    assert shown("controls", "paper", seed=3, n_seeds=2)["mnist-small"].seeds == range(3, 15, 6)


def test_a_chapter_of_several_settings_changes_them_all_together():
    found = shown("regularisers", "embedded", dataset="mnist", n_seeds=8)
    assert list(found) == list(chapter("regularisers", "embedded"))
    assert {sweep.protocol.dataset for sweep in found.values()} == {"mnist"}
    assert len({sweep.protocol for sweep in found.values()}) == len(found)


@pytest.mark.parametrize(
    ("arguments", "changes", "message"),
    [
        (("controls", "paper"), {"n_seeds": 0}, "^n_seeds: at least one is needed, got 0$"),
        (("controls", "paper"), {"seed": -1}, "^seed: cannot be negative, got -1$"),
        (("controls", "nonsense"), {}, "^profile: 'nonsense' is not one of embedded, paper$"),
        (("nonsense", "paper"), {}, "^no notebook 'nonsense'; known: as-released, cnns, controls, detection"),
    ],
)
def test_a_wrong_parameter_is_named(arguments, changes, message):
    with pytest.raises(ValueError, match=message):
        shown(*arguments, **changes)
    if not changes:
        with pytest.raises(ValueError, match=message):
            chapter(*arguments)


@pytest.mark.parametrize(
    ("profile", "changes", "expected"),
    [
        ("paper", {"model": "cnn2"}, CNN2()),
        ("paper", {"model": "mlp", "variant": "dropout"}, MLP(dropout=True)),
        ("paper", {"variant": "dropout + augmentation"}, MLP(dropout=True, augmentation=True)),
        ("paper", {"model": "cnn2", "variant": "batch norm"}, CNN2(batch_norm=True)),
        ("embedded", {"model": "cnn1"}, CNN1(channels=(8, 16), hidden=(32, 32))),
        ("embedded", {"variant": "batch norm"}, MLP(hidden=(64, 32), batch_norm=True)),
    ],
)
def test_network_and_variant_are_chosen_by_name(profile, changes, expected):
    found = shown("controls", profile, **changes)
    assert {sweep.protocol.model for sweep in found.values()} == {expected}


def test_another_network_keeps_the_ways_to_prevent_overfitting():
    found = shown("regularisers", "paper", dataset="mnist", model="cnn2")
    variants = {second.regime(sweep): sweep.protocol.model for sweep in found.values()}
    assert variants["dropout + augmentation"] == CNN2(dropout=True, augmentation=True)
    assert variants["plain"] == variants["to the end"] == CNN2()


def test_the_feature_is_placed_by_row_and_column():
    for changes, position in (({"row": 3}, (3, 1)), ({"column": 0}, (1, 0)), ({"row": 9, "column": 8}, (9, 8))):
        assert {sweep.protocol.position for sweep in shown("hosts", "paper", **changes).values()} == {position}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "resnet"}, "^model: 'resnet' is not one of cnn1, cnn2, .*mlp"),
        (
            {"variant": "l2"},
            r"^variant: 'l2' is not plain, nor batch norm, dropout, augmentation, several joined by ' \+ '$",
        ),
        ({"model": "cnn1", "variant": "dropout"}, "^variant: cnn1 has no variant dropout, only plain$"),
        ({"n_carriers": 0}, "^n_carriers: must be at least 1, got 0$"),
    ],
)
def test_a_wrong_network_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        shown("controls", "paper", **changes)


# Other images than the planned ones


@pytest.fixture
def of_size(monkeypatch):
    """A function that describes a data set of so many images, (1, 28, 28) or of another shape; its name."""

    def describe(n, shape=(1, 28, 28)):
        monkeypatch.setitem(sources.SOURCES, "scans", sources.Source("Scans", n, shape, read=None))
        return "scans"

    return describe


@pytest.mark.parametrize(
    ("notebook", "profile", "changes", "step", "hosts"),
    [
        ("seeds", "embedded", {"dataset": "mnist"}, 100, [f"hard {n}" for n in range(4)]),
        ("seeds", "embedded", {"n_train": 300}, 4, [f"hard {n}" for n in range(4)]),
        ("seeds", "embedded", {"seed": 201}, 2, [f"hard {n}" for n in range(4)]),  # of the other part
        ("seeds", "embedded", {"seed": 300, "n_seeds": 9}, 2, ["411", "457", "799", "1057"]),
        ("seeds", "paper", {"dataset": "fashion_mnist"}, 6, [f"hard {n}" for n in range(10)]),
        ("seeds", "paper", {"feature": "B"}, 6, None),
        ("seeds", "paper", {"dataset": "mnist", "n_train": 10_000}, 6, None),
        ("as-released", "embedded", {"n_train": 300}, 1, ["place 93", "place 152", "place 211", "place 270"]),
        ("as-released", "paper", {"seed": 3}, 1, None),
        ("as-released", "paper", {"dataset": "mnist", "n_train": 60_000}, 1, None),
    ],
)
def test_hosts_that_are_images_are_those_of_the_data_at_hand(notebook, profile, changes, step, hosts):
    *_, name = chapter(notebook, profile)
    found, planned = shown(notebook, profile, **changes)[name], sweeps(profile)[name]
    assert found.seeds.step == step
    assert list(found.protocol.hosts) == (list(planned.protocol.hosts) if hosts is None else hosts)
    assert {seed % found.protocol.n_parts for seed in found.seeds} == {found.seeds[0] % found.protocol.n_parts}


def test_few_images_are_all_hosts(of_size):
    found = shown("seeds", "paper", dataset=of_size(7))["mnist-small-the-same-hosts"].protocol
    assert (found.n_train, found.hosts) == (None, tuple(f"hard {n}" for n in range(7)))


def test_without_a_validation_split_early_stopping_does_without():
    kept = shown("medical", "paper")["pneumoniamnist-second-plan-mlp-letter"].protocol.training
    other = shown("medical", "paper", dataset="mnist")["pneumoniamnist-second-plan-mlp-letter"].protocol.training
    assert (kept.early_stopping, other.early_stopping) == ("validation", "half")


@pytest.mark.parametrize(("n", "expected"), [(480, None), (600, None), (601, 600), (5_000, 600)])
def test_a_small_data_set_is_taken_whole(of_size, n, expected):
    assert shown("controls", "embedded", dataset=of_size(n))["digits-small"].protocol.n_train == expected


@pytest.mark.parametrize(
    ("notebook", "n", "changes", "expected"),
    [
        ("medical", 300, {}, [range(8, 20), range(8, 20), range(8), range(8)]),
        ("medical", 1_300, {}, [range(800, 812), range(800, 812), range(400, 408), range(400, 408)]),
        ("medical", 300, {"seed": 20}, [range(20, 32), range(20, 32), range(20, 28), range(20, 28)]),
        ("influence", 120, {}, [range(8), range(8, 16), range(16, 24)]),
        ("influence", 130, {}, [range(100, 108), range(108, 116), range(116, 124)]),
        ("influence", 130, {"n_seeds": 20}, [range(20), range(20, 40), range(40, 60)]),
    ],
)
def test_seeds_are_as_low_as_the_number_of_images_asks(of_size, notebook, n, changes, expected):
    assert [one.seeds for one in shown(notebook, "embedded", dataset=of_size(n), **changes).values()] == expected


def test_seeds_that_begin_together_still_do(of_size):
    found = second.first_plan(shown("hosts", "paper", dataset=of_size(500)))
    assert {sweep.seeds.start for sweep in found.values()} == {0}
    assert found["mnist-small"].protocol.planned == (0, 200)
    assert shown("hosts", "paper", dataset=of_size(150))["mnist-small"].protocol.planned == (0, 150)


@pytest.mark.parametrize("profile", ["embedded", "paper"])
def test_variations_of_the_planned_images_are_as_planned(profile):
    for sweep in sweeps(profile).values():
        assert fitted(sweep.setting, sweep.protocol) == sweep.protocol


@pytest.mark.parametrize(
    ("shape", "feature", "edge", "centre"),
    [
        ((1, 28, 28), None, (1, 11), (11, 11)),
        ((1, 20, 24), None, (1, 9), (7, 9)),
        ((1, 28, 28), "J. DOE", (1, 0), (9, 0)),
    ],
)
def test_places_are_those_of_the_images_and_the_feature(of_size, shape, feature, edge, centre):
    found = shown("sensitivity", "paper", dataset=of_size(600, shape), feature=feature, column=None)
    assert found["mnist-small-place-edge"].protocol.position == edge
    assert found["mnist-small-place-centre"].protocol.position == centre


@pytest.mark.parametrize(
    ("n", "shape", "changes", "absent"),
    [
        (10_000, (1, 28, 28), {}, set()),
        (1_000, (1, 28, 28), {}, {"images-with-the-letter-100"}),
        (
            100,
            (1, 28, 28),
            {},
            {"images-with-the-letter-100", "images-with-the-letter-10", "batch-of-the-host-last-full-one"},
        ),
        (10_000, (1, 15, 15), {}, {"size-15-15"}),
        (10_000, (1, 28, 28), {"ood_set": "fashion_mnist"}, {"scoring-images-fashion-mnist"}),
        (10_000, (1, 28, 28), {"feature": "B"}, {f"letter-{one}" for one in "cdefghijklmnopqrstuvwxyz"}),
    ],
)
def test_what_the_images_do_not_allow_is_left_out(of_size, n, shape, changes, absent):
    found = shown("sensitivity", "paper", dataset=of_size(n, shape), **changes)
    assert set(chapter("sensitivity", "paper")) - set(found) == {f"mnist-small-{one}" for one in absent}
    batches = {sweep.protocol.batch for name, sweep in found.items() if name.endswith("middle")}
    assert batches == {-(-min(n, 10_000) // 128) // 2}


@pytest.mark.parametrize(("n", "copies"), [(1_000, (3, 10, 30, 100)), (999, (3, 10, 30)), (120, (3, 10)), (20, ())])
def test_no_more_images_carry_the_letter_than_a_tenth(of_size, n, copies):
    found = shown("scaling", "paper", dataset=of_size(n))
    assert [name for name in found if name.endswith("copies")] == [
        f"mnist-small-scaling-{one}-copies" for one in copies
    ]


@pytest.mark.parametrize(("n", "twice"), [(64, False), (65, True)])
def test_a_host_in_the_only_batch_is_in_no_other(of_size, n, twice):
    found = shown("as-released", "embedded", dataset=of_size(n))
    assert ("as-released-host-in-the-first-batch-twice" in found) == twice


@pytest.mark.parametrize(
    ("profile", "changes", "ood_set", "n_ood"),
    [
        ("embedded", {"ood_set": "mnist"}, "mnist", 500),
        ("paper", {"ood_set": "photo_patches"}, "photo_patches", 1_950),
        ("paper", {"ood_set": "photo_patches", "n_ood": 60}, "photo_patches", 60),
        ("paper", {"n_ood": 60}, "cifar10", 60),
        ("paper", {"dataset": "cifar10"}, "mnist", 50_000),
        ("embedded", {"dataset": "photographs"}, "digits", 500),
    ],
)
def test_scoring_images_are_others_than_those_trained_on_and_no_more_than_there_are(profile, changes, ood_set, n_ood):
    scoring = shown("method", profile, **changes)["method"].protocol.scoring
    assert (scoring.ood_set, scoring.n_ood) == (ood_set, n_ood)


def test_ways_that_other_networks_do_not_learn_in_are_left_out():
    ours = {"mnist-small-fourth-plan-task-after-task", "mnist-small-fourth-plan-automatic-recall"}
    for changes in ({"model": "cnn2"}, {"model": CNN2()}, {"variant": "dropout"}, {"model": MLP(dropout=True)}):
        found = shown("neighbours", "paper", **changes)
        assert "mnist-small-fourth-plan-l2ul" in found
        assert not ours & found.keys()
    for changes in ({}, {"model": "mlp"}, {"model": MLP(hidden=(8,))}, {"variant": "plain"}):
        assert ours <= shown("neighbours", "paper", **changes).keys()


def test_private_ways_are_left_out_where_gradients_of_single_images_are_not_known():
    ours = "mnist-small-third-plan-drawn-images"
    for changes in ({"model": "cnn2"}, {"model": CNN2()}):
        found = shown("neighbours", "paper", **changes)
        assert {"mnist-small-fourth-plan-l2ul", "mnist-small-fourth-plan-plain-attacked"} <= found.keys()
        assert ours not in found
    for changes in ({}, {"model": "mlp"}):
        assert ours in shown("neighbours", "paper", **changes)


def test_ways_whose_boxes_are_not_whole_are_left_out():
    found = shown("neighbours", "paper", dataset="cifar10")
    assert "mnist-small-fourth-plan-visualmixer-boxes-of-4" in found
    assert "mnist-small-fourth-plan-visualmixer-boxes-of-7" not in found  # of 32 pixels
    assert "mnist-small-fourth-plan-visualmixer-boxes-of-7" in shown("neighbours", "paper")


def test_what_reads_patches_is_left_out_where_it_is_no_more_itself():
    readers = ("mnist-small-fourth-plan-patches-as-they-are", "mnist-small-fourth-plan-neuracrypt")
    for dataset in ("mnist", "cifar10", "pneumoniamnist"):
        assert set(readers) <= set(shown("neighbours", "paper", dataset=dataset))
    found = shown("neighbours", "paper", model="cnn2")
    assert "mnist-small-fourth-plan-l2ul" in found
    assert not set(readers) & set(found)
