"""Records survive kills, neighbours and time, and say so where someone edited them."""

import fcntl
import multiprocessing
import os
import re
import signal
import time
from pathlib import Path

import damage
import numpy as np
import pandas as pd
import pytest
import tiny

from ufm import files, records
from ufm.records import Measured, RecordError, Records, joined
from ufm.records.fingerprints import digest

ROOT = Path(__file__).parents[1]


def entry(seed, **more):
    return {"seed": seed, "identity": {"seed": seed}, **tiny.MADE, **more}


def fingerprint(seed):
    return digest(entry(seed)["identity"])


PLANNED = [fingerprint(seed) for seed in range(12)]

# Children are forked from a process that has imported the library and holds nothing else.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["ufm.records"])


def measured(seed=0, **columns):
    """A seed's table of two rows, with further columns, and one array."""
    table = pd.DataFrame(
        {"seed": [seed, seed], "role": ["control", "canary"], "score": [seed / 7, 0.1 + 0.2]} | columns
    )
    return Measured({"scores": table}, {"host": np.full((1, 4, 4), seed % 256, dtype=np.uint8)})


def add_seeds(folder, n_seeds, ready):
    """Claim and add seeds one after the other, as a child process."""
    store = Records(folder)
    ready.set()
    for seed in range(n_seeds):
        with store.claim(fingerprint(seed)) as ours:
            if ours:
                store.add(fingerprint(seed), entry(seed), measured(seed))


def claim_and_wait(folder, held):
    """Claim the first planned seed and never finish it."""
    with Records(folder).claim(PLANNED[0]) as ours:
        assert ours
        held.set()
        time.sleep(600)


def add_and_die(folder, seed, step, number):
    """Add a seed, and be killed before the step of a write that has this number, or after the last replacement."""
    there, left = getattr(files.os, step), iter(range(number))

    def step_or_die(*arguments):
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return there(*arguments)

    setattr(files.os, step, step_or_die)
    Records(folder).add(fingerprint(seed), entry(seed), measured(seed))
    os.kill(os.getpid(), signal.SIGKILL)


def start(target, *arguments):
    child = CONTEXT.Process(target=target, args=arguments, daemon=True)  # so that a failing test ends it
    child.start()
    return child


@pytest.fixture
def store(tmp_path):
    return Records(tmp_path / "records")


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_a_failing_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, step):
    path = tmp_path / "deep" / "file.csv"
    files.write(path, b"old")

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, step, fail)
        with pytest.raises(OSError, match="disk full"):
            files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in path.parent.iterdir()] == ["file.csv"]
    files.write(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644


def test_tables_and_arrays_come_back_to_the_last_digit(store):
    table = pd.DataFrame(
        {
            "seed": [3, 3, 3],
            "score": [0.1 + 0.2, 1e-300, -1 / 3],
            "canary_index": pd.array([None, 49237, 12], dtype="Int64"),
            "host": [None, "random", "NA"],
            "large": [2**53 + 1, -1, 0],
        }
    )
    arrays = {"image": np.arange(6, dtype=np.uint8).reshape(2, 3), "p": np.array([1 / 3, np.pi], dtype=np.float32)}
    store.add(PLANNED[3], entry(3), Measured({"scores": table}, arrays))
    back = store.tables(PLANNED[3:4])["scores"]
    assert list(back) == ["record", *table]
    assert back["score"].tolist() == table["score"].tolist()
    assert back["seed"].dtype == np.int64
    assert back["large"].tolist() == [2**53 + 1, -1, 0]
    assert pd.isna(back["canary_index"][0])
    assert back["canary_index"][1:].tolist() == [49237, 12]
    assert pd.isna(back["host"][0])
    assert back["host"][1:].tolist() == ["random", "NA"]
    assert ",49237,random," in (store.folder / "scores.csv").read_text(
        encoding="utf-8"
    )  # no 49237.0 for one who reads the file
    kept = store.arrays(PLANNED[3])
    assert kept.keys() == arrays.keys()
    for name, array in arrays.items():
        assert kept[name].dtype == array.dtype
        np.testing.assert_array_equal(kept[name], array)


def test_seeds_come_in_the_order_asked_for(store):
    for seed in (2, 0, 1):
        store.add(PLANNED[seed], entry(seed), measured(seed))
    assert store.tables([PLANNED[1], PLANNED[2]])["scores"]["seed"].tolist() == [1, 1, 2, 2]


def test_rows_without_an_entry_are_not_read_and_go_with_the_next_seed(store, monkeypatch):
    store.add(PLANNED[0], entry(0), measured(0))

    def killed_before_the_manifest(path, content):
        if path.name == records.MANIFEST:
            raise KeyboardInterrupt
        files.write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr("ufm.records.store.write", killed_before_the_manifest)
        with pytest.raises(KeyboardInterrupt):
            store.add(PLANNED[1], entry(1), measured(1))
    assert PLANNED[1] in (store.folder / "scores.csv").read_text(encoding="utf-8")
    assert list(store.entries()) == PLANNED[:1]
    assert store.tables(PLANNED[:1])["scores"]["seed"].tolist() == [0, 0]
    store.add(PLANNED[2], entry(2), measured(2))
    assert PLANNED[1] not in (store.folder / "scores.csv").read_text(encoding="utf-8")
    store.add(PLANNED[1], entry(1), measured(1))
    assert store.tables(PLANNED[:3])["scores"]["seed"].tolist() == [0, 0, 1, 1, 2, 2]


def test_killed_at_any_moment_it_is_readable_and_goes_on(tmp_path):
    store, counts, ready = Records(tmp_path / "records"), [], CONTEXT.Event()
    for moment in np.random.default_rng(0).uniform(0, 0.25, 60):
        ready.clear()
        child = start(add_seeds, store.folder, 1000, ready)
        assert ready.wait(60)
        time.sleep(moment)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        complete = list(store.entries())
        assert complete == [fingerprint(seed) for seed in range(len(complete))]
        assert [store.arrays(one)["host"][0, 0, 0] for one in complete] == [seed % 256 for seed in range(len(complete))]
        if complete:
            seeds = np.repeat(np.arange(len(complete)), 2)
            scores = store.tables(complete)["scores"]
            assert scores["seed"].tolist() == seeds.tolist()
            assert scores["score"][::2].tolist() == (seeds[::2] / 7).tolist()
        counts.append(len(complete))
        if len(counts) >= 10 and len(set(counts)) > 3:  # where the machine is busy, that takes more
            break
    assert counts == sorted(counts)
    assert len(set(counts)) > 3  # it was killed in the middle of its work
    child = start(add_seeds, store.folder, counts[-1] + 5, ready)
    child.join()
    assert child.exitcode == 0
    assert len(store.entries()) == counts[-1] + 5
    kept = {path.name for path in store.folder.iterdir()} - {".lock"}
    assert {name for name in kept if not name.startswith(".")} == {"manifest.json", "scores.csv", "arrays"}


def visible(folder):
    """What lies in a folder of records, but for what is hidden."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_killed_at_each_step_of_each_write_a_seed_is_whole_or_absent(tmp_path, step):
    undisturbed = Records(tmp_path / "undisturbed")
    for seed in (0, 1):
        undisturbed.add(PLANNED[seed], entry(seed), measured(seed))
    n_writes = 3  # the table, the arrays, the manifest
    for number in range(n_writes + 1):
        store = Records(tmp_path / f"{step} {number}")
        store.add(PLANNED[0], entry(0), measured(0))
        child = start(add_and_die, store.folder, 1, step, number)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        there = [PLANNED[0], PLANNED[1]] if number == n_writes else [PLANNED[0]]
        assert list(store.entries()) == there
        assert store.tables(there)["scores"]["seed"].tolist() == [0, 0, 1, 1][: 2 * len(there)]
        for seed, one in enumerate(there):
            assert store.arrays(one)["host"].max() == seed
        store.add(PLANNED[1], entry(1), measured(1))
        assert visible(store.folder) == visible(undisturbed.folder)


def test_a_whole_seed_can_be_added_elsewhere(store, tmp_path):
    store.add(PLANNED[0], entry(0, seconds=1.5), measured(0))
    store.add(PLANNED[1], entry(1, seconds=2.5), measured(1, patch_effect=[None, 0.1 + 0.7], note=["NA", ""]))
    copy = Records(tmp_path / "copy")
    for one in PLANNED[:2]:
        copy.add(one, *store.whole(one))
    assert visible(copy.folder) == visible(store.folder)


def test_two_processes_share_the_seeds(tmp_path):
    ready = CONTEXT.Event()
    children = [start(add_seeds, tmp_path / "records", len(PLANNED), ready) for _ in range(2)]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    store = Records(tmp_path / "records")
    assert sorted(store.entries()) == sorted(PLANNED)
    assert len((store.folder / "scores.csv").read_text(encoding="utf-8").splitlines()) == 1 + 2 * len(PLANNED)
    assert store.tables(PLANNED)["scores"]["seed"].tolist() == np.repeat(range(len(PLANNED)), 2).tolist()


def test_two_processes_that_finish_the_same_seed_keep_one(store):
    store.add(PLANNED[0], entry(0, device="first"), measured(0))
    before = {path: path.read_bytes() for path in store.folder.rglob("*.*")}
    store.add(PLANNED[0], entry(0, device="second"), measured(5))
    assert {path: path.read_bytes() for path in store.folder.rglob("*.*")} == before


def test_a_seed_is_claimed_by_one_process_until_it_ends(store):
    held = CONTEXT.Event()
    child = start(claim_and_wait, store.folder, held)
    assert held.wait(60)
    with store.claim(PLANNED[0]) as ours:
        assert not ours
    with store.claim(PLANNED[1]) as ours:
        assert ours
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    with store.claim(PLANNED[0]) as ours:
        assert ours
        store.add(PLANNED[0], entry(0), measured(0))
    with store.claim(PLANNED[0]) as ours:
        assert not ours
    assert not list(store.folder.glob(".claim-*"))


def test_a_seed_is_claimed_by_one_even_where_another_gives_it_up_meanwhile(store, monkeypatch):
    """Between the moments at which a claim is opened and locked, the one who held it ends and a third one claims it."""
    held = {name: store.claim(PLANNED[0]) for name in ("first", "second", "third")}
    assert held["first"].__enter__()
    flock, claimed = fcntl.flock, {}

    def flock_late(file, how):
        monkeypatch.setattr(fcntl, "flock", flock)
        held["first"].__exit__(None, None, None)
        claimed["third"] = held["third"].__enter__()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", flock_late)
    claimed["second"] = held["second"].__enter__()
    assert sorted(claimed.values()) == [False, True]
    for name in ("second", "third"):
        held[name].__exit__(None, None, None)


@pytest.mark.parametrize("harm", damage.ALL, ids=lambda one: one.__name__)
def test_what_was_damaged_or_edited_is_refused_by_name(store, harm):
    for seed in (0, 1):
        store.add(PLANNED[seed], entry(seed), measured(seed))
    read_all(store)
    path = harm(store.folder)
    with pytest.raises(RecordError, match=re.escape(str(path))) as raised:
        read_all(store)
    assert "\n" not in str(raised.value)
    assert PLANNED[0] in str(raised.value) or harm not in damage.NAMING_THE_RECORD


def read_all(store):
    """All that the book reads of the first planned seed."""
    store.entries()
    assert store.tables(PLANNED[:1]).keys() == {"scores"}
    assert store.arrays(PLANNED[0]).keys() == {"host"}


def test_many_seeds_are_read_at_once_in_the_order_asked_for(store, monkeypatch):
    for seed in range(4):
        store.add(PLANNED[seed], entry(seed), measured(seed))
    reads = []
    text, entries = store.text, store.entries
    monkeypatch.setattr(store, "text", lambda name: reads.append(name) or text(name))
    monkeypatch.setattr(store, "entries", lambda: reads.append("manifest") or entries())
    found = store.read([PLANNED[2], PLANNED[5], PLANNED[0]])  # nobody recorded the one between
    assert list(found) == [PLANNED[2], PLANNED[0]]
    assert reads == ["manifest", "scores"]
    assert [one["seed"] for one, _ in found.values()] == [2, 0]
    for one, (_, kept) in found.items():
        np.testing.assert_array_equal(kept.arrays["host"], store.arrays(one)["host"])
    tables = joined(kept.tables for _, kept in found.values())
    pd.testing.assert_frame_equal(tables["scores"], store.tables(list(found))["scores"])


@pytest.mark.parametrize("harm", damage.ALL, ids=lambda one: one.__name__)
def test_many_seeds_read_at_once_are_verified(store, harm):
    for seed in range(3):
        store.add(PLANNED[seed], entry(seed), measured(seed))
    assert len(store.read(PLANNED[:3])) == 3
    path = harm(store.folder)
    with pytest.raises(RecordError, match=re.escape(str(path))):
        store.read(PLANNED[:3])


def test_another_seeds_rows_may_be_damaged(store):
    for seed in (0, 1):
        store.add(PLANNED[seed], entry(seed), measured(seed, note=f"seed {seed}"))
    path = store.folder / "scores.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("seed 1", "edited"), encoding="utf-8")
    assert store.tables(PLANNED[:1])["scores"]["note"].tolist() == ["seed 0", "seed 0"]
    with pytest.raises(RecordError, match="seed 1"):
        store.tables(PLANNED[:2])


def test_a_column_added_later_leaves_earlier_seeds_as_they_are(store):
    store.add(PLANNED[0], entry(0), measured(0))
    store.add(PLANNED[1], entry(1), measured(1, patch_effect=[0.25, 0.5]))
    both = store.tables(PLANNED[:2])["scores"]
    assert both["patch_effect"].isna().tolist() == [True, True, False, False]
    assert "patch_effect" not in measured(0).tables["scores"]
    assert both["score"].tolist() == [0.0, 0.1 + 0.2, 1 / 7, 0.1 + 0.2]
    store.add(PLANNED[2], entry(2), measured(2))  # without the column again
    assert len(store.tables(PLANNED[:3])["scores"]) == 6


def test_five_lines_of_pandas_read_the_records(tmp_path, capsys):
    page = (ROOT / "book" / "data-dictionary.md").read_text(encoding="utf-8")
    block = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)[0]
    lines = [line for line in block.splitlines() if line]
    assert len(lines) == 5
    assert "ufm" not in block
    store = Records(tmp_path / "as-released")
    for seed in range(3):
        rows = {"dataset": ["mnist"] * 2, "n_train": [60_000] * 2, "canary_index": [seed] * 2}
        rows["role"] = ["control", "canary"]
        models = pd.DataFrame(rows | {"accuracy": [0.5, 0.75]})
        scores = pd.DataFrame(rows | {"memorisation_score_raw": [0.0, [0.5, -0.5, 0.25][seed]]})
        store.add(PLANNED[seed], entry(seed), Measured({"models": models, "scores": scores}))
    other = pd.DataFrame({"dataset": ["digits"], "n_train": [1200], "canary_index": [0], "role": ["canary"]})
    small = {"models": other.assign(accuracy=1.0), "scores": other.assign(memorisation_score_raw=9.0)}
    store.add(PLANNED[3], entry(0), Measured(small))  # of another data set, which they leave out
    assert block.count("book/records/as-released") == 2
    found = {}
    exec(block.replace("book/records/as-released", str(store.folder)), found)
    assert found["wide"]["canary"].tolist() == [0.5, -0.5, 0.25]
    printed = capsys.readouterr().out
    assert "0.6666666666666666" in printed
    assert re.search(r"canary +0\.75\ncontrol +0\.50", printed)
