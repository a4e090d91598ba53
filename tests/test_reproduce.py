"""What is pending is trained in order, in slices of time, by processes that may be killed and share the work."""

import json
import multiprocessing
import os
import signal
import time
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny
import torch

from ufm import paths
from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.networks import DenseNetBC
from ufm.networks.build import build
from ufm.plan.sweep import Sweep
from ufm.protocol import experiments
from ufm.records import INDEX, Measured, Records, committed
from ufm.study import reproduce, seeds
from ufm.study.reproduce import InProcess, Item, Task, complete, listing, pending, seconds_a_seed, tasks
from ufm.study.verification import effects, verify
from ufm.training import evaluate

# Children are forked from a process that has imported the library and holds nothing else.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["ufm.study.reproduce"])
RANDOM_SEED = 20261125  # of the moments at which a sweep is killed


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Small sweeps, and records of the test's own."""
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "records"))
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "runs"))
    tiny.install(monkeypatch)


@pytest.fixture
def trained(monkeypatch):
    """The seeds that were trained since, by a stand-in for `finish` that costs nothing: sweep's measure and seed."""
    done = []

    def cheap_finish(protocol, seeds, *, device, weights):
        done.extend((protocol.measure, seed) for seed in seeds)
        return [(entry(protocol, seed), measured(seed)) for seed in seeds]

    monkeypatch.setattr(reproduce, "finish", cheap_finish)
    monkeypatch.setattr(reproduce, "require", lambda *_, **__: None)
    return done


def entry(protocol, seed, **more):
    return {"seed": seed, "identity": protocol.identity(seed), **tiny.MADE, "device": "x", "seconds": 1.0} | more


def measured(seed, epochs=2):
    return Measured({"models": pd.DataFrame({"seed": [seed] * 2, "role": ["control", "canary"], "epochs": epochs})})


def keep(name, *seeds, **more):
    """Record seeds of a sweep without training."""
    protocol = tiny.SWEEPS[name].protocol
    for seed in seeds:
        committed(name).add(protocol.fingerprint(seed), entry(protocol, seed, **more), measured(seed))


def shown(items):
    return [f"{item.sweep} {item.seed}{'' if item.needed else ' later'}" for item in items]


# What is pending, in which order


def test_needed_seeds_come_first_then_turns_then_places_side_by_side(monkeypatch):
    one, other, last = (sweep.protocol for sweep in tiny.SWEEPS.values())
    sweeps = {
        "late": Sweep(one, range(10, 13), 1, 2),
        "left": Sweep(other, range(5), 3, 1),
        "right": Sweep(last, range(7, 9), 2, 1),
        "early": Sweep(replace(one, feature="C"), range(3), 2, 0),
    }
    tiny.install(monkeypatch, sweeps)
    first = ["early 0", "early 1", "left 0", "right 7", "left 1", "right 8", "left 2", "late 10"]
    later = ["early 2 later", "left 3 later", "left 4 later", "late 11 later", "late 12 later"]
    assert shown(pending()) == first + later
    assert shown(pending(["right", "late"])) == ["right 7", "right 8", "late 10", "late 11 later", "late 12 later"]


def test_what_is_recorded_is_not_pending():
    keep("scores", 0, 3)
    keep("steps", 0, 1, 2)
    assert shown(pending()) == ["scores 1", "cards 0", "scores 2 later", "cards 1 later"]
    assert shown(pending(["steps"])) == []


def test_an_unknown_sweep_is_named(trained):
    for call in (pending, complete):
        with pytest.raises(ValueError, match="^chapter: 'nonsense' is not one of scores, steps, cards$"):
            call(["scores", "nonsense"])
    assert trained == []


def test_complete_trains_what_is_pending_in_its_order(trained, tmp_path):
    keep("scores", 0)
    finished = complete()
    order = ["scores 1", "steps 0", "cards 0", "steps 1", "steps 2", "scores 2", "scores 3", "cards 1"]
    names = {sweep.protocol.measure: name for name, sweep in tiny.SWEEPS.items()}
    assert [f"{names[measure]} {seed}" for measure, seed in trained] == order
    assert {name: len(done) for name, done in finished.items()} == {"scores": 3, "steps": 3, "cards": 2}
    assert finished["scores"] == [tiny.PROTOCOL.fingerprint(seed) for seed in (1, 2, 3)]
    assert complete() == {}
    assert len(trained) == len(order)


def test_only_the_sweeps_asked_for_are_trained(trained):
    complete(["cards"])
    assert trained == [("card", 0), ("card", 1)]


def test_what_another_process_has_claimed_is_left_to_it(trained):
    with committed("scores").claim(tiny.PROTOCOL.fingerprint(1)) as theirs:
        assert theirs
        complete(["scores"])
    assert [seed for _, seed in trained] == [0, 2, 3]
    assert shown(pending(["scores"])) == ["scores 1"]
    complete(["scores"])
    assert [seed for _, seed in trained] == [0, 2, 3, 1]


def test_as_many_files_are_open_after_many_seeds_as_before(trained):
    open_files = []
    with ExitStack() as others:
        for seed in (0, 1):
            others.enter_context(committed("scores").claim(tiny.PROTOCOL.fingerprint(seed)))
        before = len(os.listdir("/proc/self/fd"))
        complete(after=lambda finished: open_files.append(len(os.listdir("/proc/self/fd")) - before))
    assert open_files == [0] * len(trained)
    assert len(trained) == 7


def test_what_another_process_finishes_meanwhile_is_not_trained(trained, monkeypatch):
    finish = reproduce.finish

    def finish_beside_another(protocol, seeds, **where):
        keep("scores", *[1, 2] * (seeds == [0]), device="another")
        return finish(protocol, seeds, **where)

    monkeypatch.setattr(reproduce, "finish", finish_beside_another)
    complete(["scores"])
    assert [seed for _, seed in trained] == [0, 3]
    assert [one["device"] for one in committed("scores").entries().values()] == ["another", "another", "x", "x"]


@pytest.mark.parametrize("what", ["recipe", "data", "setting"])
def test_records_of_other_recipe_data_or_settings_are_pending_again_and_not_mixed(trained, monkeypatch, what):
    complete(["scores"])
    old = committed("scores").entries()
    trained.clear()
    if what == "recipe":
        monkeypatch.setattr(experiments, "RECIPE", experiments.RECIPE + 1)
    elif what == "data":
        monkeypatch.setattr(experiments, "checksum", lambda name: f"other {name}")
    else:
        training = replace(tiny.PROTOCOL.training, epochs=3)
        tiny.install(monkeypatch, {"scores": Sweep(replace(tiny.PROTOCOL, training=training), range(4), 2, 0)})
    assert shown(pending(["scores"])) == ["scores 0", "scores 1", "scores 2 later", "scores 3 later"]
    new = complete(["scores"])["scores"]
    assert [seed for _, seed in trained] == [0, 1, 2, 3]
    assert not set(new) & set(old)
    assert committed("scores").entries().keys() == {*old, *new}
    assert committed("scores").tables(new)["models"]["record"].unique().tolist() == new
    assert verify() == (8, [])


# Tasks


def test_on_a_cpu_a_task_is_one_seed():
    assert tasks(pending(["scores"]), "cpu") == [Task("scores", [seed]) for seed in range(4)]


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_on_a_gpu_seeds_of_one_part_are_trained_together(device):
    items = [Item("scores", seed, seed < 7) for seed in range(12)] + [Item("cards", 1, False)]
    grouped = [[0, 3, 6], [1, 4], [2, 5], [9], [7, 10], [8, 11]]  # digits have three parts of 400; needed ones first
    expected = sorted(grouped[3:], key=min)
    assert tasks(items, device) == [
        *(Task("scores", seeds) for seeds in grouped[:3]),
        *(Task("scores", seeds) for seeds in expected),
        Task("cards", [1]),
    ]


def test_on_a_gpu_no_more_seeds_are_trained_together_than_fit(monkeypatch):
    whole = {"scores": Sweep(replace(tiny.PROTOCOL, n_train=None), range(50), 50, 0)}  # one part
    tiny.install(monkeypatch, whole)
    sizes = [task.seeds for task in tasks(pending(), "cuda")]
    assert sizes == [list(range(20)), list(range(20, 40)), list(range(40, 50))]
    assert reproduce.SEEDS_ON_GPU == 20


def test_on_a_gpu_networks_as_published_are_trained_seed_by_seed(monkeypatch):
    whole = {"scores": Sweep(replace(tiny.PROTOCOL, n_train=None, model=DenseNetBC(depth=10)), range(3), 3, 0)}
    tiny.install(monkeypatch, whole)
    assert [task.seeds for task in tasks(pending(), "cuda")] == [[0], [1], [2]]


# Budgets


@pytest.fixture
def clock(monkeypatch, trained):
    """A clock that goes on by what each seed takes; costs are what is expected of a sweep's seeds."""
    told = SimpleNamespace(now=100.0, takes={"scores": 3.0, "walkthrough": 3.0, "card": 3.0}, began=[])
    told.costs = {"scores": 3.0, "steps": 3.0, "cards": 3.0}
    monkeypatch.setattr(reproduce, "time", SimpleNamespace(monotonic=lambda: told.now))
    monkeypatch.setattr(reproduce, "seconds_a_seed", lambda name, device, engine: told.costs[name])
    cheap_finish = reproduce.finish

    def slow_finish(protocol, seeds, **where):
        told.began.append(told.now - 100)
        told.now += told.takes[protocol.measure] * len(seeds)
        return cheap_finish(protocol, seeds, **where)

    monkeypatch.setattr(reproduce, "finish", slow_finish)
    return told


def test_within_a_budget_nothing_is_begun_that_would_not_end(clock, trained):
    complete(["scores"], budget=10)
    assert [seed for _, seed in trained] == [0, 1, 2]
    assert clock.now - 100 <= 10
    complete(["scores"], budget=10)
    assert [seed for _, seed in trained] == [0, 1, 2, 3]


def test_a_budget_that_is_just_enough_is_used(clock, trained):
    complete(["scores"], budget=12)
    assert len(trained) == 4


@pytest.mark.parametrize("budget", [0, 2.9])
def test_a_budget_for_no_seed_trains_none(clock, trained, budget):
    assert complete(budget=budget) == {}
    assert trained == []
    assert len(pending()) == 9


def test_what_takes_longer_than_expected_counts(clock, trained):
    clock.takes["scores"] = 5
    complete(["scores"], budget=10)
    assert [seed for _, seed in trained] == [0, 1]


def test_what_is_too_expensive_gives_way_to_what_fits(clock, trained):
    clock.costs["scores"], clock.costs["cards"] = 50, 4
    clock.takes["card"] = 4
    complete(budget=14)
    assert trained == [("walkthrough", 0), ("card", 0), ("walkthrough", 1), ("walkthrough", 2)]


def test_of_seeds_to_be_trained_together_as_many_as_fit_are_begun(clock, trained):
    complete(["scores"], device="cuda", budget=5)
    assert trained == [("scores", 0)]  # of 0 and 3, which have one part, only one fits
    complete(["scores"], device="cuda")
    assert sorted(seed for _, seed in trained) == [0, 1, 2, 3]


def test_without_a_budget_nothing_is_estimated(trained, monkeypatch):
    monkeypatch.setattr(reproduce, "seconds_a_seed", lambda *_: pytest.fail("estimated"))
    complete(["scores"])
    assert len(trained) == 4


# What a seed costs


@pytest.fixture
def processor(monkeypatch):
    """A processor of known name, on which a model takes 100 s if it takes all its epochs."""
    monkeypatch.setattr(reproduce, "device_name", lambda device: "P, 1 thread")
    monkeypatch.setattr(reproduce, "estimate", lambda protocol, shape, n_images, device: n_images / 4)
    return "P"


def test_a_seed_takes_as_long_as_recorded_ones_of_this_processor_did(processor):
    for seed, device, seconds in [(0, "P, 1 thread", 2.0), (1, "P, 2 threads", 5.0), (2, "Q, 1 thread", 60.0)]:
        keep("scores", seed, device=device, seconds=seconds)
    assert seconds_a_seed("scores", "cpu", InProcess()) == 3.5


def test_records_of_another_processor_tell_how_many_epochs_a_seed_takes(processor, monkeypatch):
    long = replace(tiny.PROTOCOL, training=replace(tiny.PROTOCOL.training, epochs=100))
    tiny.install(monkeypatch, {"scores": Sweep(long, range(4), 4, 0)})
    # Two models of 400 / 4 s each, of whose 100 epochs 40 are typical.
    assert seconds_a_seed("scores", "cpu", InProcess()) == pytest.approx(200 * reproduce.TYPICAL_EPOCHS / 100)
    committed("scores").add(long.fingerprint(0), entry(long, 0, device="Q"), measured(0, epochs=[10, 30]))
    assert seconds_a_seed("scores", "cpu", InProcess()) == pytest.approx(200 * 20 / 100)


def test_a_seed_takes_no_more_epochs_than_it_may(processor):
    assert seconds_a_seed("cards", "cpu", InProcess()) == 3 * 100


def test_an_estimate_of_a_few_measured_steps_is_of_the_right_size():
    started = time.perf_counter()
    complete(["cards"])
    took = (time.perf_counter() - started) / 2
    for path in committed("cards").folder.rglob("*.*"):
        path.unlink()
    assert 0 < seconds_a_seed("cards", "cpu", InProcess()) < 5 * took


def test_seeds_that_took_no_measurable_time_leave_a_budget_usable(processor, trained):
    keep("scores", 0, device="P, 1 thread", seconds=0.0)
    complete(["scores"], budget=60)
    assert len(trained) == 3


def test_the_listing_counts_and_trains_nothing(processor, trained, tmp_path):
    assert listing(["steps"], "cpu") == [
        {"sweep": "steps", "recorded": 0, "planned": 3, "needed": 3, "models": 6, "seconds_a_seed": 200, "seconds": 600}
    ]
    assert list(tmp_path.iterdir()) == []
    keep("scores", 0, 2, device="P", seconds=1.5)
    keep("steps", 0, 1, 2)
    rows = [list(row.values()) for row in listing(None, "cpu")]
    assert rows == [["scores", 2, 4, 1, 4, 1.5, 3.0], ["cards", 0, 2, 1, 6, 300, 600]]
    keep("scores", 1, 3)
    assert listing(["scores"], "cpu") == []
    assert trained == []


# Real sweeps


def test_kept_weights_give_the_recorded_numbers(tmp_path):
    finished = complete(["scores", "cards"], weights=tmp_path / "weights")
    for name, fingerprints in finished.items():
        protocol, models = tiny.SWEEPS[name].protocol, committed(name).tables(fingerprints)["models"]
        assert {path.stem for path in (tmp_path / "weights" / name).iterdir()} == set(fingerprints)
        for one in fingerprints:
            states = torch.load(tmp_path / "weights" / name / f"{one}.pt", weights_only=True)
            rows = models[models["record"] == one]
            assert len(states) == len(rows) == protocol.n_models
            data = to_device(datasets.load("digits", n_train=400, part=rows["part"].iloc[0]), precision="float64")
            for state, row in zip(states, rows.itertuples(), strict=True):
                network = build(protocol.model, (1, 28, 28), 10, seed=row.seed, dtype=torch.float64)
                network.load_state_dict(state)
                found = evaluate(network, data.reported_images, data.reported_labels)
                assert found == (row.loss, row.accuracy)


def test_a_diverging_training_leaves_the_others_records(monkeypatch):
    finish = reproduce.finish

    def sometimes(protocol, seeds, **where):
        if seeds == [2]:
            raise ValueError("learning_rate: training of seed 2 diverged")
        return finish(protocol, seeds, **where)

    with monkeypatch.context() as patch:
        patch.setattr(reproduce, "finish", sometimes)
        with pytest.raises(ValueError, match="seed 2 diverged"):
            complete(["scores"])
    assert [one["seed"] for one in committed("scores").entries().values()] == [0, 1]
    assert not list(committed("scores").folder.glob(".claim-*"))
    complete(["scores"])
    assert [one["seed"] for one in committed("scores").entries().values()] == [0, 1, 2, 3]


LONG = {"steps": Sweep(tiny.STEPS, range(14), 14, 0)}


@pytest.fixture(scope="module")
def nursery():
    """Ask the process that starts others; all of them are ended with it."""
    pipe, end = CONTEXT.Pipe()
    process = CONTEXT.Process(target=tiny.nursery, args=(end, LONG), daemon=True)
    process.start()
    end.close()
    assert pipe.recv() == "ready"
    started = []

    def ask(order):
        pipe.send(order)
        answer = pipe.recv()
        if not isinstance(order, int):
            started.append(answer)
        elif order in started:
            started.remove(order)
        return answer

    yield ask
    for child in started:
        tiny.kill(child)
    pipe.send(None)
    process.join()
    pipe.close()
    process.close()


@pytest.fixture(scope="module")
def undisturbed(nursery, tmp_path_factory):
    """The long sweep trained by one process that nothing disturbs: its content, and the seconds that a seed took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    started = time.monotonic()
    assert nursery(nursery((folder / "records", folder / "log"))) == 0
    seconds = (time.monotonic() - started) / len(FINGERPRINTS)
    return content(Records(folder / "records" / "steps"), FINGERPRINTS), seconds


@pytest.fixture
def long(monkeypatch):
    """The long sweep here too."""
    tiny.install(monkeypatch, LONG)
    return committed("steps")


FINGERPRINTS = [tiny.STEPS.fingerprint(seed) for seed in LONG["steps"].seeds]


def content(records, fingerprints):
    """All that is kept of seeds but what differs from run to run: time, and the digest of that."""
    kept = []
    for one in fingerprints:
        entry, results = records.whole(one)
        tables = {name: table.to_csv(index=False) for name, table in results.tables.items()}
        arrays = {name: (array.dtype, array.shape, array.tobytes()) for name, array in results.arrays.items()}
        kept.append(({name: entry[name] for name in entry if name not in ("seconds", "date")}, tables, arrays))
    return kept


def test_killed_at_ten_random_moments_a_sweep_ends_as_if_undisturbed(nursery, undisturbed, long, tmp_path):
    expected, seconds = undisturbed
    moments = np.random.default_rng(RANDOM_SEED).uniform(0, 3 * seconds, 10)
    print(f"killed after {moments} s, random seed {RANDOM_SEED}")
    counts = [0]
    for moment in moments:
        child = nursery((tmp_path / "records", tmp_path / "log"))
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        nursery(child)
        there = list(long.entries())
        assert there == FINGERPRINTS[: len(there)]
        assert content(long, there) == expected[: len(there)]
        n_records, faults = verify()
        assert n_records == len(there)
        assert bool(faults) == (not there)  # where nothing is recorded yet, there is no index either
        assert len(there) >= counts[-1]  # nothing that was finished is lost
        counts.append(len(there))
    assert any(0 < count < len(expected) for count in counts), counts  # it was killed in the middle of its work
    assert nursery(nursery((tmp_path / "records", tmp_path / "log"))) == 0
    assert content(long, FINGERPRINTS) == expected
    assert verify() == (len(expected), [])
    runs = [int(seed) for seed in (tmp_path / "log").read_text(encoding="utf-8").split()]
    assert sorted(set(runs)) == list(range(len(expected)))
    assert len(runs) <= len(expected) + 10  # each kill cost one seed at most


def test_two_processes_at_once_train_each_seed_once(nursery, undisturbed, long, tmp_path):
    expected, _ = undisturbed
    logs = [tmp_path / "one", tmp_path / "other"]
    children = [nursery((tmp_path / "records", log)) for log in logs]
    assert [nursery(child) for child in children] == [0, 0]
    shares = [[int(seed) for seed in log.read_text(encoding="utf-8").split()] for log in logs]
    assert all(shares)
    assert sorted(shares[0] + shares[1]) == list(range(len(expected)))
    assert content(long, FINGERPRINTS) == expected
    assert verify() == (len(expected), [])


def test_records_can_be_verified_while_they_grow(nursery, long, tmp_path):
    child, counts = nursery((tmp_path / "records", tmp_path / "log")), [0]
    while counts[-1] < len(FINGERPRINTS):
        if not (tmp_path / "records" / INDEX).exists():  # which comes with the first record
            continue
        n_records, faults = verify()
        assert faults == []
        assert n_records >= counts[-1]
        counts.append(n_records)
    assert nursery(child) == 0
    assert len(set(counts)) > 3


def test_killed_before_the_manifest_leaves_no_fault():
    """What lies there of a seed without an entry is not read, and is replaced when the seed is finished."""
    complete(["steps"])
    manifest = committed("steps").folder / "manifest.json"
    whole = json.loads(manifest.read_text(encoding="utf-8"))
    last = list(whole)[-1]
    manifest.write_text(json.dumps({one: whole[one] for one in whole if one != last}), encoding="utf-8")
    index = paths.committed_records() / INDEX
    index.write_text(index.read_text(encoding="utf-8").replace(f"steps {last}\n", ""), encoding="utf-8")
    assert verify() == (2, [])
    assert complete(["steps"]) == {"steps": [last]}
    assert committed("steps").entries()[last]["digests"]["arrays"] == whole[last]["digests"]["arrays"]
    assert verify() == (3, [])


def test_seeds_that_are_trained_together_are_kept_apart(monkeypatch):
    """Each gives the same numbers as alone, but for rounding."""
    together = dict(zip((7, 1, 4), seeds.finish(tiny.STEPS, [7, 1, 4]), strict=True))
    for seed, (found, results) in together.items():
        [(alone, expected)] = seeds.finish(tiny.STEPS, [seed])
        assert {**found, "seconds": 0} == {**alone, "seconds": 0}
        assert results.tables["models"]["fingerprint"].tolist() == found["models"]
        np.testing.assert_allclose(effects(results), effects(expected), rtol=1e-8)
        assert results.arrays["host"].tobytes() == expected.arrays["host"].tobytes()
