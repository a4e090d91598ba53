"""Records are checked whole, and trained again: what was edited, lost or made up is found."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import damage
import numpy as np
import pandas as pd
import pytest
import tiny

from ufm.records import Measured, RecordError, committed
from ufm.study import verification
from ufm.study.reproduce import complete, pending
from ufm.study.verification import TOLERANCE, Retrained, deviation, effects, identical, retrain, verify


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The small sweeps, trained once."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UFM_RECORDS", str(folder))
        tiny.install(patch)
        complete()
    return folder


@pytest.fixture(autouse=True)
def records(trained, tmp_path, monkeypatch):
    """A copy of their records."""
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "records"))
    tiny.install(monkeypatch)
    return shutil.copytree(trained, tmp_path / "records")


def test_whole_records_have_no_fault():
    assert verify() == (9, [])


def test_a_folder_without_records_is_a_fault(monkeypatch, tmp_path):
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "nowhere"))
    n_records, [fault] = verify()
    assert n_records == 0
    assert str(tmp_path / "nowhere" / "index.txt") in fault
    assert list(retrain(3)) == []


def without_an_entry(folder):
    manifest = folder / "manifest.json"
    entries = json.loads(manifest.read_text(encoding="utf-8"))
    del entries[next(iter(entries))]
    manifest.write_text(json.dumps(entries), encoding="utf-8")


@pytest.mark.parametrize(
    ("lose", "gone"),
    [
        (without_an_entry, "1 of"),
        (lambda folder: (folder / "manifest.json").unlink(), "of"),
        (shutil.rmtree, "of"),
    ],
    ids=["an entry", "a manifest", "a folder"],
)
def test_what_is_lost_is_a_fault(records, lose, gone):
    lose(records / "scores")
    _, faults = verify()
    [fault] = [one for one in faults if "are gone" in one]
    assert fault.startswith(f"{records / 'scores'}: ")
    assert gone in fault
    assert "\n" not in fault


def without_half_its_lines(index):
    lines = index.read_text(encoding="utf-8").splitlines(keepends=True)
    index.write_text("".join(lines[::2]), encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "n_faults"),
    [
        (Path.unlink, 1),
        (damage.as_folder, 1),
        (lambda index: index.write_bytes(b"\0\xff\n"), 1),
        (
            lambda index: index.write_text(
                index.read_text(encoding="utf-8") + "../../elsewhere 0123456789abcdef\n", encoding="utf-8"
            ),
            1,
        ),
        (lambda index: index.write_text("", encoding="utf-8"), 3),  # folders of records that it does not list
        (without_half_its_lines, 2),
    ],
    ids=["gone", "a folder", "binary", "a name that leads elsewhere", "emptied", "without half its lines"],
)
def test_an_index_that_is_damaged_is_a_fault(records, harm, n_faults):
    harm(records / "index.txt")
    n_records, faults = verify()
    assert n_records == 9
    assert [fault.startswith(f"{records / 'index.txt'}: ") for fault in faults] == [True] * n_faults
    assert "\n" not in "".join(faults)


def test_a_seed_that_a_killed_process_did_not_list_is_listed_with_the_next(records):
    index = records / "index.txt"
    before = index.read_text(encoding="utf-8")
    sweep = tiny.SWEEPS["steps"]
    *_, last = committed("steps").entries()
    index.write_text(before.replace(f"steps {last}\n", ""), encoding="utf-8")
    assert verify() == (9, [])
    entry, measured = committed("steps").whole(last)
    entry = entry | {"seed": 7, "identity": sweep.protocol.identity(7)}
    committed("steps").add(sweep.protocol.fingerprint(7), entry, measured)
    assert sorted(index.read_text(encoding="utf-8").splitlines()[:-1]) == sorted(before.splitlines())


def test_an_emptied_folder_of_records_is_a_fault(records):
    for path in records.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    n_records, faults = verify()
    assert (n_records, len(faults)) == (0, 1)


@pytest.mark.parametrize("harm", damage.ALL + damage.FORGED_ARRAYS, ids=lambda one: one.__name__)
def test_every_damage_is_listed_by_name(records, harm):
    one = damage.recorded(records / "steps")
    path = harm(records / "steps")
    _, faults = verify()
    assert faults
    for fault in faults:
        assert fault.startswith(f"{path}: ")
        assert "\n" not in fault
    if harm in damage.NAMING_THE_RECORD:
        assert len(faults) == 1 or harm in (damage.renamed_column, damage.removed_table)  # which harm all records
        assert one in faults[0]


@pytest.mark.parametrize("harm", damage.ALL, ids=lambda one: one.__name__)
def test_what_is_damaged_is_neither_used_nor_trained_again(records, harm):
    """It is to be restored: complete refuses it, or leaves it to whoever reads it."""
    sweep = tiny.SWEEPS["steps"]
    fingerprints = [sweep.protocol.fingerprint(seed) for seed in sweep.seeds]
    harm(records / "steps")
    with pytest.raises(RecordError):
        read_all(committed("steps"), fingerprints)
    before = {path: path.read_bytes() for path in records.rglob("*") if path.is_file()}
    try:
        assert complete() == {}
    except RecordError:
        assert harm in damage.IN_ENTRY + damage.IN_MANIFEST
    assert {path: path.read_bytes() for path in records.rglob("*") if path.is_file()} == before


def read_all(records, fingerprints):
    assert records.tables(fingerprints).keys() == {"models", "scores", "examples", "divergences", "settling"}
    for one in fingerprints:
        assert records.arrays(one)


def test_faults_of_several_folders_are_listed_together(records):
    damage.edited_cell(records / "scores")
    damage.torn_manifest(records / "cards")
    damage.removed_arrays(records / "steps")
    n_records, faults = verify()
    assert n_records == 7
    names = [re.search(r"records/(\w+)/", fault)[1] for fault in faults]
    assert sorted(names) == ["cards", "scores", "steps"]


def test_arrays_of_no_record_are_listed(records):
    stray = records / "steps" / "arrays" / "0123456789abcdef.npz"
    shutil.copy(damage.array_file(records / "steps"), stray)
    n_records, faults = verify()
    assert n_records == 9
    assert faults == [f"{stray}: belongs to no record; delete it"]


def test_a_removed_manifest_makes_its_seeds_pending_again(records):
    """Without it nothing says what the rows are, so all of them are trained again and give the same."""
    before = committed("cards").tables([tiny.SWEEPS["cards"].protocol.fingerprint(seed) for seed in (0, 1)])
    (records / "cards" / "manifest.json").unlink()
    assert [item.sweep for item in pending()] == ["cards", "cards"]
    fingerprints = complete()["cards"]
    for name, table in committed("cards").tables(fingerprints).items():
        pd.testing.assert_frame_equal(table, before[name])


# Training again


def test_on_the_same_machine_every_number_is_the_same():
    found = list(retrain(20))
    assert sorted((one.sweep, one.seed) for one in found) == sorted(
        (name, seed) for name, sweep in tiny.SWEEPS.items() for seed in sweep.seeds
    )
    for one in found:
        assert one == Retrained(one.sweep, one.seed, True, 0.0, 0.0)
        assert one.agrees
        assert str(one) == f"{one.sweep}, seed {one.seed}: the same to the last digit"


def test_seeds_are_drawn_at_random_and_the_same_again(monkeypatch):
    monkeypatch.setattr(verification, "finish", lambda protocol, seeds, device: [store_again(protocol, *seeds)])

    def drawn(n, draw):
        return [(one.sweep, one.seed) for one in retrain(n, draw=draw)]

    assert drawn(3, 0) == drawn(3, 0)
    assert len({tuple(drawn(3, draw)) for draw in range(5)}) > 1
    assert len(set(drawn(3, 1))) == 3


def store_again(protocol, seed):
    (name,) = (name for name, sweep in tiny.SWEEPS.items() if sweep.protocol == protocol)
    return committed(name).whole(protocol.fingerprint(seed))


def forge(name, seed, change):
    """Put a made-up record in the place of a seed's, with digests that fit; `change` alters its tables and arrays."""
    records, fingerprint = committed(name), tiny.SWEEPS[name].protocol.fingerprint(seed)
    entry, measured = records.whole(fingerprint)
    others = {one: records.whole(one) for one in records.entries() if one != fingerprint}
    shutil.rmtree(records.folder)
    for one, kept in others.items():
        records.add(one, *kept)
    tables = {key: table.copy() for key, table in measured.tables.items()}
    arrays = {key: array.copy() for key, array in measured.arrays.items()}
    change(tables, arrays)
    records.add(fingerprint, entry, Measured(tables, arrays))
    assert verify() == (9, [])


def turned_effects(tables, arrays):
    for key in arrays:
        if key.endswith("_shift"):
            arrays[key] = -arrays[key]


def turned_scores(tables, arrays):
    for column in [one for one in tables["scores"] if one.startswith(("patch_effect", "specific_effect"))]:
        tables["scores"][column] = (-tables["scores"][column].astype(float)).map(repr)


def again(name, seed):
    """The one seed trained again."""
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch, {name: replace(tiny.SWEEPS[name], seeds=range(seed, seed + 1))})
        (found,) = retrain(1)
    assert (found.sweep, found.seed) == (name, seed)
    return found


@pytest.mark.parametrize(
    ("name", "seed", "change"),
    [("cards", 1, turned_effects), ("scores", 2, turned_scores), ("steps", 0, turned_scores)],
)
def test_a_forged_record_is_found(name, seed, change):
    forge(name, seed, change)
    found = again(name, seed)
    assert not found.identical
    assert not found.agrees
    assert found.deviation == pytest.approx(2, rel=1e-3)
    assert str(found) == (
        f"{name}, seed {seed}: effects differ by {found.deviation:.3f} of their size, BEYOND the tolerance of "
        f"{TOLERANCE}; accuracy by up to 0.0000"
    )


@pytest.mark.parametrize("what", ["effect", "accuracy", "score", "array"])
def test_a_number_off_by_its_last_digit_is_not_the_same_but_agrees(what):
    name, seed = ("cards", 0) if what == "array" else ("scores", 1)

    def change(tables, arrays):
        if what == "array":
            arrays["score_kl_unique"] = np.nextafter(arrays["score_kl_unique"], np.float32(1))
            return
        table, column = {
            "effect": ("scores", "patch_effect"),
            "accuracy": ("models", "accuracy"),
            "score": ("scores", "memorisation_score"),
        }[what]
        cells = tables[table][column].tolist()
        cells[0] = repr(float(np.nextafter(float(cells[0]), 9)))
        tables[table][column] = cells

    forge(name, seed, change)
    found = again(name, seed)
    assert not found.identical
    assert found.agrees
    assert found.deviation < 1e-9
    assert "within the tolerance" in str(found)


def test_a_changed_accuracy_is_told():
    forge("scores", 3, lambda tables, arrays: tables["models"].__setitem__("accuracy", ["0.5", "0.5"]))
    accuracies = tiny_accuracies("scores", 3)
    assert again("scores", 3).accuracy == pytest.approx(max(abs(one - 0.5) for one in accuracies))


def tiny_accuracies(name, seed):
    [(_, found)] = verification.finish(tiny.SWEEPS[name].protocol, [seed])
    return found.tables["models"]["accuracy"].tolist()


@pytest.mark.parametrize(
    ("recorded", "found", "expected"),
    [
        ([3.0, 4.0], [3.0, 4.0], 0.0),
        ([3.0, 4.0], [0.0, 0.0], 1.0),
        ([3.0, 4.0], [-3.0, -4.0], 2.0),
        ([1.0, -1.0, 1.0, -1.0], [1.5, -0.5, 0.5, -1.5], 0.5),
        ([0.0, 2.0], [1.0, 2.0], 0.5),
        ([0.0, 0.0, 0.0, 4.0], [0.0, 3.0, 0.0, 4.0], 0.75),
    ],
)
def test_deviations(recorded, found, expected):
    assert deviation(np.array(recorded), np.array(found)) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    ("same", "far", "agrees"),
    [(True, 0.0, True), (False, 0.0, True), (False, 0.5, True), (False, 0.5001, False), (False, float("nan"), False)],
)
def test_what_agrees(same, far, agrees):
    found = Retrained("mlp", 3, same, far, 0.01)
    assert found.agrees is agrees
    assert ("BEYOND" in str(found)) is not agrees


TABLE = pd.DataFrame({"seed": [1, 1], "canary_index": pd.array([None, 7], dtype="Int64"), "score": [0.1 + 0.2, 1e-9]})
ONE = Measured({"scores": TABLE}, {"a": np.array([1, 2], dtype=np.float16)})


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (ONE, True),
        (Measured({"scores": TABLE.assign(note=["", None])}, ONE.arrays), True),  # an empty column says nothing
        (Measured({"scores": TABLE[["score", "seed", "canary_index"]]}, ONE.arrays), True),
        (Measured({"scores": TABLE.astype({"score": str})}, ONE.arrays), True),
        (Measured({"scores": TABLE.assign(score=[0.3, 1e-9])}, ONE.arrays), False),
        (Measured({"scores": TABLE.iloc[:1]}, ONE.arrays), False),
        (Measured({"scores": TABLE.iloc[::-1]}, ONE.arrays), False),
        (Measured({"scores": TABLE.rename(columns={"score": "effect"})}, ONE.arrays), False),
        (Measured({"scores": TABLE, "models": TABLE}, ONE.arrays), False),
        (Measured({}, ONE.arrays), False),
        (Measured(ONE.tables, {}), False),
        (Measured(ONE.tables, {"b": ONE.arrays["a"]}), False),
        (Measured(ONE.tables, {"a": ONE.arrays["a"][:1]}), False),
        (Measured(ONE.tables, {"a": np.array([1, 3], dtype=np.float16)}), False),
    ],
)
def test_what_is_identical(other, expected):
    assert identical(ONE, other) is expected
    assert identical(other, ONE) is expected


def test_the_same_missing_number_is_identical():
    missing = Measured({}, {"t_p": np.array([np.nan, 0.5])})
    assert identical(missing, replace(missing))


def test_effects_are_those_of_the_card_or_of_the_scores():
    card = Measured({}, {"ood_shift": np.ones((2, 3), np.float16), "ood_kl": np.zeros(2), "test_shift": np.zeros(2)})
    assert effects(card).tolist() == [1.0] * 6 + [0.0] * 2
    scores = TABLE.assign(patch_effect=[1, 2], patch_effect_test=[3, 4], specific_effect=["5.5", "6"], effect=[9, 9])
    assert effects(Measured({"scores": scores})).tolist() == [1, 2, 3, 4, 5.5, 6]
