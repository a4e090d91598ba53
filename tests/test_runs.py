"""What an execution takes from records, what it trains, and what it refuses."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from ufm.measures import pools
from ufm.networks import MLP
from ufm.plan import method, registry
from ufm.plan.profiles import PROFILES, changed
from ufm.plan.sweep import Sweep
from ufm.protocol import Protocol, Training, experiments
from ufm.records import Measured, RecordError, Records, committed, executed, provenance, store
from ufm.records.fingerprints import digest
from ufm.study import manifest, runs, seeds
from ufm.study.runs import NotYetRun, Run
from ufm.study.seeds import finish

# Trained in a moment; seed s takes part s mod 3.
TINY = {
    "n_train": 400,
    "model": MLP(hidden=(16, 8)),
    "training": Training(learning_rate=1e-3, batch_size=64, epochs=2, early_stopping="none", precision="float64"),
    "n_ood": 200,
    "n_effect": 10,
    "n_permutations": 2,
}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Folders of the test's own for committed records and for executions."""
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "committed"))
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("UFM_RUN", str(tmp_path / "run"))
    monkeypatch.setattr(method, "shown", lambda profile: tuple(method.sweeps(profile)))  # one sweep, as `run` has it


@pytest.fixture
def trained(monkeypatch):
    """The seeds that were trained since, by a stand-in for `finish` that costs nothing."""
    done = []

    def cheap_finish(protocol, ours, *, device, data_root):
        done.extend(ours)
        return [(entry(protocol, seed), measured(seed)) for seed in ours]

    monkeypatch.setattr(seeds, "finish", cheap_finish)
    return done


def entry(protocol, seed, device="stand-in"):
    return {
        "seed": seed,
        "identity": protocol.identity(seed),
        "versions": {"ufm": "0"},
        "device": device,
        "models": [f"control {seed}", f"canary {seed}"],
        "seconds": 1.5,
        "date": f"2026-01-{seed + 1:02d}",
    }


def measured(seed, score=0.25):
    rows = {"seed": [seed, seed], "role": ["control", "canary"]}
    return Measured({"models": pd.DataFrame(rows), "scores": pd.DataFrame(rows | {"score": [0.0, score]})})


def commit(seed, score=0.25, **changes):
    """Put a seed among the committed records."""
    protocol = run(**changes).sweeps["method"].protocol
    committed("method").add(protocol.fingerprint(seed), entry(protocol, seed, "elsewhere"), measured(seed, score))


def run(**changes):
    return Run("method", {"profile": "embedded", "n_seeds": 3} | changes)


def canary_scores(population):
    scores = population.tables["scores"]
    return scores[scores["role"] == "canary"].set_index("seed")["score"].to_dict()


def test_what_lacks_is_trained_and_the_rest_re_used(trained):
    first = run(n_seeds=2).population()
    assert trained == [0, 1]
    assert run(n_seeds=4).population().tables["scores"]["seed"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert trained == [0, 1, 2, 3]
    again = run(n_seeds=2).population()
    assert trained == [0, 1, 2, 3]
    pd.testing.assert_frame_equal(again.tables["scores"], first.tables["scores"])
    assert (again.entries, len(again.sweep.seeds)) == (first.entries, 2)
    assert run(seed=2, n_seeds=1).population().tables["models"]["seed"].tolist() == [2, 2]
    assert len(trained) == 4


def test_a_population_of_which_nothing_is_recorded_is_not_yet_run(trained):
    populations = run(n_seeds=1).populations()
    assert list(populations) == ["method"]
    with pytest.raises(
        NotYetRun, match="^No seed of hosts is recorded yet; `.venv/bin/ufm reproduce hosts` trains them"
    ):
        populations["hosts"]


def test_the_manifest_says_of_which_population_each_row_is(trained, tmp_path):
    execution = run(n_seeds=1)
    execution.populations()
    table = pd.DataFrame({"quantity": ["M; a", "M; b"], "estimate": [0.1, 0.2]})
    execution.keep_table("plain", table)
    execution.keep_table("summary", table.set_index(pd.Index(["a", "b"], name="population")))
    texts = [(tmp_path / "run" / "tables" / f"{name}.csv").read_text(encoding="utf-8") for name in ("plain", "summary")]
    assert texts[0] == texts[1]
    assert manifest.read(tmp_path / "run").populations == {"summary": ["a", "b"]}


def test_seeds_stand_in_the_order_of_their_numbers(trained):
    run(seed=2, n_seeds=1).population()
    commit(1)
    assert run().population().tables["scores"]["seed"].tolist() == [0, 0, 1, 1, 2, 2]
    assert trained == [2, 0]


def test_committed_records_win(trained):
    run().population()
    commit(1, score=0.5)
    assert canary_scores(run().population()) == {0: 0.25, 1: 0.5, 2: 0.25}
    assert trained == [0, 1, 2]
    population = run(fresh=True).population()
    assert canary_scores(population) == {0: 0.25, 1: 0.25, 2: 0.25}
    assert {one["device"] for one in population.entries} == {"stand-in"}


def test_fresh_trains_what_is_committed(trained):
    for seed in range(3):
        commit(seed)
    run().population()
    assert trained == []
    run(fresh=True).population()
    assert trained == [0, 1, 2]


def test_fresh_trains_anew_each_time_and_goes_on_where_it_was_interrupted(trained, monkeypatch):
    for _ in range(2):
        run(n_seeds=2, fresh=True).population()
    assert trained == [0, 1, 0, 1]
    trained.clear()
    with monkeypatch.context() as patch:
        cheap_finish = seeds.finish

        def interrupted(protocol, ours, **where):
            if 2 in ours:
                raise KeyboardInterrupt
            return cheap_finish(protocol, ours, **where)

        patch.setattr(seeds, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(fresh=True).population()
    run(fresh=True).population()
    assert trained.count(2) == 1
    assert trained.index(2) == len(trained) - 1


def test_nothing_is_written_among_the_committed_records(trained, tmp_path):
    commit(0)
    before = {path: path.read_bytes() for path in (tmp_path / "committed").rglob("*") if path.is_file()}
    run().population()
    assert {path: path.read_bytes() for path in (tmp_path / "committed").rglob("*") if path.is_file()} == before


def test_without_training_it_shows_the_committed_seeds_and_says_how_many_are_planned(trained, tmp_path):
    run().population()
    for seed in (0, 2):
        commit(seed, score=0.5)
    population = run(train=False, n_seeds=4).population()
    assert canary_scores(population) == {0: 0.5, 2: 0.5}  # seed 1 is only among the executions
    assert (len(population.entries), len(population.sweep.seeds)) == (2, 4)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["seeds"], manifest["planned"]) == (2, 4)
    assert manifest["models"] == ["canary 0", "canary 2", "control 0", "control 2"]
    assert manifest["date"] == "2026-01-03"
    assert sum(manifest["seconds"].values()) == 3
    assert manifest["device"] == "elsewhere"
    assert manifest["parameters"]["train"] is False
    assert manifest["parameters"]["dataset"] == "digits"


def test_the_manifest_names_every_device(trained, tmp_path):
    commit(0)
    run(n_seeds=2).population()
    assert (
        json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))["device"]
        == "elsewhere and stand-in"
    )


@pytest.mark.parametrize(
    ("changes", "n_models", "how"),
    [
        ({"profile": "paper", "n_seeds": 1}, 2, r"`\.venv/bin/ufm reproduce method` trains their"),
        (
            {"profile": "paper", "seed": 19, "n_seeds": 2},
            4,
            "keeps no records of these settings.*`train = True` trains",
        ),
        ({"profile": "paper", "feature": "B"}, 6, "keeps no records of these settings"),
        ({}, 6, "keeps no records of these settings"),
    ],
)
def test_nothing_recorded_gives_the_command_and_its_time(trained, tmp_path, changes, n_models, how):
    with pytest.raises(NotYetRun) as raised:
        run(train=False, **changes).population()
    message = str(raised.value)
    assert re.match(r"\d planned, none recorded yet", message)
    assert re.search(how, message)
    assert re.search(rf"{n_models} models: \d+(\.\d)? (s|min|h) on .*100? epochs", message)
    assert trained == []
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("train", [True, False])
def test_a_damaged_record_is_an_error(trained, train):
    commit(0)
    path = committed("method").folder / "scores.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("0.25", "0.26"), encoding="utf-8")
    with pytest.raises(RecordError, match=r"scores\.csv: the rows of record .* seed 0"):
        run(n_seeds=1, train=train).population()
    path.with_name("manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match=r"manifest\.json: no JSON"):
        run(n_seeds=1, train=train).population()
    assert trained == []


@pytest.mark.parametrize(
    "changes",
    [
        {"n_train": 400},
        {"feature": "B"},
        {"n_ood": 30},
        {"n_random": 2},
        {"ood_set": "mnist"},
        {"dataset": "fashion_mnist"},
        {"model": MLP(hidden=(16, 8))},
        {"training": replace(Training(), learning_rate=1e-4)},
    ],
)
def test_other_settings_are_not_re_used(trained, changes, real_data):
    for name in ("mnist", "fashion_mnist"):
        if name in changes.values():
            real_data(name)  # which is looked at before anything is trained
    commit(0)
    run(n_seeds=1).population()
    assert trained == []
    run(n_seeds=1, **changes).population()
    assert trained == [0]
    with pytest.raises(NotYetRun):
        run(n_seeds=1, train=False, **changes).population()


def test_another_recipe_is_not_re_used(trained, monkeypatch):
    commit(0)
    run(n_seeds=2).population()
    assert trained == [1]
    monkeypatch.setattr(experiments, "RECIPE", experiments.RECIPE + 1)
    run(n_seeds=2).population()
    assert trained == [1, 0, 1]


def test_other_images_are_not_re_used(trained, monkeypatch):
    commit(0)
    for dataset in ("digits", "photo_patches"):
        with monkeypatch.context() as patch:
            patch.setattr(experiments, "checksum", lambda name, dataset=dataset: "changed" if name == dataset else name)
            run(n_seeds=1).population()
    assert trained == [0, 0]


def test_other_code_shares_no_executions_but_the_committed_records(trained, monkeypatch):
    commit(0)
    run(n_seeds=2).population()
    assert trained == [1]
    monkeypatch.setattr(store, "training_digest", lambda: "another")
    run(n_seeds=2).population()
    assert trained == [1, 1]


@pytest.mark.parametrize(
    ("module", "retrains"),
    [
        ("scores/published.py", True),
        ("training/loop.py", True),
        ("networks/mlp.py", True),
        ("data/medmnist.py", True),  # which nothing but `ufm.discovery` imports
        ("protocol/__init__.py", True),
        ("study/seeds.py", True),
        ("report/figures.py", False),
        ("chapters/seeds.py", False),
        ("plan/profiles.py", False),
    ],
)
def test_code_that_trains_is_told_from_code_that_shows(module, retrains, monkeypatch, tmp_path):
    shutil.copytree(provenance.LIBRARY, tmp_path / "ufm", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "LIBRARY", tmp_path / "ufm")
    digests = [provenance.source_digest.__wrapped__, provenance.training_digest.__wrapped__]
    before = [digest() for digest in digests]
    assert len(set(before)) == 2
    assert all(len(one) == 16 for one in before)
    with open(tmp_path / "ufm" / module, "a", encoding="utf-8") as file:
        file.write("\n")
    assert [digest() != was for digest, was in zip(digests, before, strict=True)] == [True, retrains]


@pytest.mark.parametrize(
    ("parameter", "value", "known"),
    [
        ("profile", "nonsense", "embedded, paper"),
        ("dataset", "nonsense", "digits, photographs, .*, mnist, fashion_mnist, cifar10"),
        ("ood_set", "nonsense", "photo_patches, digits, photographs, .*, mnist, fashion_mnist, cifar10"),
        ("ood_set", "digits", "what the models are trained on"),
        ("feature", "a", "A to Z"),
        ("feature", "nowhere.png", "no file"),
        ("feature", "日本", "the font has no '日'"),
        ("n_seeds", 0, "at least one"),
        ("n_ood", 0, "at least 1"),
        ("n_random", 0, "at least 1"),
        ("seed", -1, "negative"),
        ("device", "nonsense", "auto, cpu, cuda"),
        ("device", "meta", "auto, cpu, cuda"),
    ],
)
def test_a_wrong_parameter_is_named_before_anything_is_trained(trained, tmp_path, parameter, value, known):
    with pytest.raises(ValueError, match=rf"^{parameter}: .*{known}"):
        run(**{parameter: value}).population()
    assert trained == []
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_notebook_is_named():
    with pytest.raises(ValueError, match="no notebook 'nonsense'; known: as-released, cnns, controls"):
        Run("nonsense", {"profile": "embedded"})


def test_a_missing_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="^device: 'cuda:1' is not there; use cpu"):
        run(device="cuda:1", **TINY).population()
    assert run(device="auto").device == "cpu"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature": "nonsense"}, "^feature would cover .* of an image of 28 x 28 pixels"),
        ({"position": (24, 1)}, "^feature would cover rows 24 to 28"),
        ({"n_train": 0}, "^n_train must be 1 to 1200"),
        ({"n_train": 1201}, "^n_train must be 1 to 1200"),
        ({"n_ood": 1951}, "must be 1 to 1950 for photo_patches"),
        ({"seed": 1200}, "^seed: 1200 is beyond the last host"),
    ],
)
def test_more_than_there_is_is_named_before_anything_is_trained(monkeypatch, changes, message):
    monkeypatch.setattr(seeds, "train", lambda *_: pytest.fail("a model was trained"))
    with pytest.raises(ValueError, match=message):
        run(n_seeds=1, **changes).population()


def test_a_seed_does_not_depend_on_the_others(tmp_path, monkeypatch):
    three = run(n_seeds=3, **TINY, measure="scores").population()
    monkeypatch.setenv("UFM_RUNS", str(tmp_path / "elsewhere"))
    alone = run(n_seeds=1, seed=2, **TINY, measure="scores").population()
    for name, table in alone.tables.items():
        of_three = three.tables[name]
        pd.testing.assert_frame_equal(table, of_three[of_three["seed"] == 2].reset_index(drop=True))
    assert alone.entries[0]["models"] == three.entries[2]["models"]
    scores = three.tables["scores"]
    assert scores["part"].tolist() == [0, 0, 1, 1, 2, 2]
    assert scores["memorisation_score"].nunique() == 6


def test_a_seeds_models_are_one_entry(tmp_path):
    """A control and a canary, of one device and one version, and what they stand on."""
    protocol = run(**TINY).sweeps["method"].protocol
    [(found, kept)] = finish(protocol, [1])
    assert found["seed"] == 1
    assert found["identity"] == protocol.identity(1)
    assert digest(found["identity"]) == protocol.fingerprint(1)
    assert found["models"] == kept.tables["models"]["fingerprint"].tolist()
    assert kept.tables["models"]["role"].tolist() == ["control", "canary"]
    assert found["versions"].keys() == {"ufm", "torch", "numpy", "python"}
    assert json.loads(json.dumps(found)) is not None
    store = Records(tmp_path / "store")
    store.add(protocol.fingerprint(1), found, kept)
    back = store.tables([protocol.fingerprint(1)])["scores"]
    np.testing.assert_array_equal(back["memorisation_score"], kept.tables["scores"]["memorisation_score"])


def test_a_table_is_kept_with_every_digit(tmp_path):
    run().keep_table("summary", pd.DataFrame({"quantity": ["M > 0"], "estimate": [0.1 + 0.2]}))
    assert (tmp_path / "run" / "tables" / "summary.csv").read_bytes() == (
        b"quantity,estimate\nM > 0,0.30000000000000004\n"
    )


def test_a_protocol_needs_no_data_file_for_its_fingerprint(monkeypatch, tmp_path):
    monkeypatch.setenv("UFM_DATA", str(tmp_path / "nowhere"))
    assert len(Protocol("mnist").fingerprint(0)) == 16


# Chapters that show several sweeps


@pytest.fixture
def chapters(monkeypatch):
    """Two chapters that share a sweep, in place of the book's."""
    small = changed(PROFILES["embedded"], n_train=400)
    sweeps = {
        "small": Sweep(small, range(10, 13), 3, 0),
        "full": Sweep(replace(small, n_train=None), range(2), 2, 0),
    }
    monkeypatch.setattr(registry, "sweeps", lambda profile="paper": sweeps)
    names = {"left": ("small", "full"), "right": ("full",)}
    monkeypatch.setattr(registry, "chapter", lambda notebook, profile: names[notebook])
    return sweeps


def keep(sweeps, name, *seeds, score=0.5):
    """Put seeds of a sweep among the committed records."""
    for seed in seeds:
        protocol = sweeps[name].protocol
        committed(name).add(protocol.fingerprint(seed), entry(protocol, seed, "elsewhere"), measured(seed, score))


def test_chapters_that_share_a_sweep_train_it_once(chapters, trained):
    full = Run("right", {"profile": "embedded"}).population()
    assert trained == [0, 1]
    found = Run("left", {"profile": "embedded"}).populations()
    assert trained == [0, 1, 10, 11, 12]
    assert list(found) == ["small", "full"]
    assert found["small"].protocol == chapters["small"].protocol
    assert found["small"].tables["models"]["seed"].tolist() == [10, 10, 11, 11, 12, 12]
    assert [found[name].trained_on for name in found] == ["Digits, 400 images", "Digits, full"]
    pd.testing.assert_frame_equal(found["full"].tables["scores"], full.tables["scores"])
    assert executed("full").entries().keys() == runs.fingerprints(chapters["full"]).keys()


def test_one_population_is_one(chapters, trained):
    with pytest.raises(ValueError, match="too many values"):
        Run("left", {"profile": "embedded"}).population()
    assert Run("left", {"profile": "embedded", "n_train": 400}).population().trained_on == "Digits, 400 images"


def test_a_population_without_records_is_absent_but_planned(chapters, trained, tmp_path):
    keep(chapters, "full", 1)
    found = Run("left", {"profile": "paper", "train": False}).populations()
    assert list(found) == ["full"]
    assert (len(found["full"].entries), len(found["full"].sweep.seeds)) == (1, 2)
    assert trained == []
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["seeds"], manifest["planned"]) == (1, 5)
    assert manifest["dataset"] == "Digits, full size"
    with pytest.raises(NotYetRun, match=r"ufm reproduce small` trains their 6 models"):
        Run("left", {"profile": "paper", "train": False, "n_train": 400}).populations()


def test_the_manifest_of_several_sweeps_sums_and_joins(chapters, trained, tmp_path):
    keep(chapters, "full", 0)
    Run("left", {"profile": "embedded"}).populations()
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["seeds"], manifest["planned"], sum(manifest["seconds"].values())) == (5, 5, 7.5)
    assert manifest["dataset"] == "Digits, 400 training images; Digits, full size"
    assert manifest["device"] == "stand-in and elsewhere"
    parameters = manifest["parameters"]
    assert parameters["sweeps"] == {"small": {}, "full": {"n_train": None, "n_seeds": 2, "seed": 0}}
    assert (parameters["n_train"], parameters["n_seeds"], parameters["seed"]) == (400, 3, 10)
    assert (parameters["dataset"], parameters["hosts"], parameters["epochs"]) == ("digits", ["random"], 10)
    assert (parameters["model"], parameters["hidden"]) == ("mlp", [64, 32])


def test_what_is_missing_of_all_sweeps_has_one_command(chapters, trained):
    with pytest.raises(NotYetRun, match=r"^5 planned, .*`.venv/bin/ufm reproduce small full` trains their 10 models"):
        Run("left", {"profile": "paper", "train": False}).populations()


def test_a_fresh_execution_of_several_sweeps_goes_on_where_it_was_interrupted(chapters, trained, monkeypatch):
    cheap_finish = seeds.finish

    def interrupted(protocol, ours, **where):
        if ours == [1]:
            raise KeyboardInterrupt
        return cheap_finish(protocol, ours, **where)

    with monkeypatch.context() as patch:
        patch.setattr(seeds, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Run("left", {"profile": "embedded", "fresh": True}).populations()
    assert trained == [10, 11, 12, 0]
    Run("left", {"profile": "embedded", "fresh": True}).populations()
    assert trained == [10, 11, 12, 0, 1]  # the complete sweep was not trained again
    Run("left", {"profile": "embedded", "fresh": True}).populations()
    assert trained == [10, 11, 12, 0, 1, 10, 11, 12, 0, 1]


# Hard hosts

HARD = {"hosts": ("hard",), "roles": ("canary", "placebo"), "measure": "short card"}


@pytest.fixture
def few(monkeypatch):
    """A chapter may show any number of seeds."""
    monkeypatch.setattr(runs, "require_seeds", lambda n: None)


def test_hard_hosts_that_no_record_has_are_found_before_training(few, monkeypatch):
    found = run(n_seeds=2, seed=4, **TINY, **HARD).population()
    assert not committed("hosts").entries()
    kept = executed("hosts").tables(list(executed("hosts").entries()))["pools"]
    assert sorted(set(kept["part"])) == [1, 2]  # those of seeds 4 and 5, and no other
    hosts_of = {(row.part, row.canary_index) for row in kept.itertuples()}
    stamped = found.tables["models"].query("role != 'control'")
    assert {(row.part, row.canary_index) for row in stamped.itertuples()} <= hosts_of
    assert len(found.arrays) == 2
    monkeypatch.setattr(pools, "finish", lambda *_, **__: pytest.fail("hard hosts were found again"))
    run(n_seeds=2, seed=4, fresh=True, **TINY, **HARD).population()


def test_hard_hosts_of_the_book_are_taken_first(few, monkeypatch):
    protocol = run(**TINY, **HARD).sweeps["method"].protocol
    pools.find(protocol, [1])
    monkeypatch.setattr(pools, "finish", lambda *_, **__: pytest.fail("hard hosts were found again"))
    run(n_seeds=1, seed=1, **TINY, **HARD).population()
    assert not executed("hosts").entries()


def test_what_the_book_can_do_without_is_shown_but_not_trained(trained, monkeypatch):
    planned = registry.sweeps("embedded")
    spare = replace(planned["method"], needed=0)
    monkeypatch.setattr(registry, "sweeps", lambda profile="paper": planned | {"method": spare})
    commit(0)
    assert run(n_seeds=2).population().tables["models"]["seed"].tolist() == [0, 0]
    assert trained == []
    assert run(n_seeds=2, fresh=True).trained() == {}
