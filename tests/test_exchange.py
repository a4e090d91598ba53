"""Records are carried from machine to machine whole, or not at all."""

import json
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import damage
import numpy as np
import pandas as pd
import pytest
import tiny

from ufm.data import fetching
from ufm.plan.sweep import Sweep
from ufm.protocol import experiments
from ufm.records import INDEX, Measured, RecordError, Records, committed, entry_digest
from ufm.study import parcel as parcels
from ufm.study.parcel import export, fetch, import_, publish
from ufm.study.reproduce import complete
from ufm.study.verification import verify


def measured(seed):
    """A seed's tables and arrays; every second seed has a column more."""
    more = {"note": ["NA", ""]} if seed % 2 else {}
    scores = pd.DataFrame({"seed": [seed] * 2, "score": [0.1 + 0.2, seed / 7]} | more)
    models = pd.DataFrame({"seed": [seed] * 2, "canary_index": pd.array([None, 7 + seed], dtype="Int64")})
    arrays = {"host": np.full((1, 3), seed, np.uint8), "ood_shift": np.full(4, seed / 3, np.float16)}
    return Measured({"scores": scores, "models": models}, arrays)


def fill(sweep, seeds):
    protocol = tiny.SWEEPS[sweep].protocol
    for seed in seeds:
        more = tiny.MADE | {"models": [f"model {seed}"], "seconds": 1.5 + seed}
        entry = {"seed": seed, "identity": protocol.identity(seed)} | more
        committed(sweep).add(protocol.fingerprint(seed), entry, measured(seed))
    return [protocol.fingerprint(seed) for seed in seeds]


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    """From here on records are those at home, which has none yet."""

    def go():
        monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "home"))
        return tmp_path / "home"

    return go


@pytest.fixture(autouse=True)
def away(tmp_path, monkeypatch):
    """Records on another machine, of which some were finished there just now."""
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "away"))
    tiny.install(monkeypatch)
    fill("scores", [3])
    return {"scores": fill("scores", [2, 0]), "steps": fill("steps", [1])}


@pytest.fixture
def parcel(tmp_path, away):
    path = tmp_path / "carried" / "parcel.zip"
    export(away, path)
    return path


def visible(folder):
    """What lies in a folder of records, but for what is hidden."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_what_was_finished_is_carried_home_as_it_is(parcel, away, tmp_path, at_home):
    there = {name: [committed(name).whole(one) for one in ours] for name, ours in away.items()}
    tables = {name: committed(name).tables(ours) for name, ours in away.items()}
    home = at_home()
    assert import_(parcel) == {"scores": 2, "steps": 1}
    for name, ours in away.items():
        assert list(committed(name).entries()) == ours  # seed 3 of scores was not finished just now
        for one, (entry, results) in zip(ours, there[name], strict=True):
            found, kept = committed(name).whole(one)
            assert found == entry
            assert kept.tables.keys() == results.tables.keys()
            for key, array in results.arrays.items():
                assert kept.arrays[key].dtype == array.dtype
                np.testing.assert_array_equal(kept.arrays[key], array)
        for key, table in committed(name).tables(ours).items():
            # A column that only another seed has stays away with it.
            pd.testing.assert_frame_equal(table, tables[name][key].dropna(axis=1, how="all"))
    digests = [
        json.loads((tmp_path / at / "steps" / "manifest.json").read_text(encoding="utf-8")) for at in ("away", "home")
    ]
    assert digests[0] == digests[1]
    assert verify() == (3, [])
    before = visible(home)
    assert import_(parcel) == {"scores": 0, "steps": 0}
    assert visible(home) == before


def test_what_is_there_already_stays(parcel, away, at_home):
    at_home()
    fill("scores", [1, 2])
    before = committed("scores").entries()
    assert import_(parcel) == {"scores": 1, "steps": 1}
    entries = committed("scores").entries()
    assert list(entries) == [tiny.PROTOCOL.fingerprint(seed) for seed in (1, 2, 0)]
    assert {one: entries[one] for one in before} == before
    assert verify() == (4, [])


def test_seeds_that_were_trained_are_not_pending_after_an_import(tmp_path, monkeypatch, at_home):
    monkeypatch.setenv("UFM_RECORDS", str(tmp_path / "trained"))
    export(complete(["cards"]), tmp_path / "cards.zip")
    at_home()
    assert import_(tmp_path / "cards.zip") == {"cards": 2}
    assert complete(["cards"]) == {}


def test_nothing_finished_is_an_empty_parcel(tmp_path, at_home):
    export({}, tmp_path / "empty.zip")
    home = at_home()
    assert import_(tmp_path / "empty.zip") == {}
    assert not home.exists()


def test_the_parcel_holds_no_more_than_records(parcel):
    with zipfile.ZipFile(parcel) as archive:
        names = archive.namelist()
    one, other, third = (tiny.PROTOCOL.fingerprint(seed) for seed in (2, 0, 3))
    assert sorted(name for name in names if "/" in name) == sorted(
        [f"{sweep}/{name}" for sweep in ("scores", "steps") for name in ("manifest.json", "models.csv", "scores.csv")]
        + [f"scores/arrays/{one}.npz", f"scores/arrays/{other}.npz"]
        + [f"steps/arrays/{tiny.STEPS.fingerprint(1)}.npz"]
    )
    assert not [name for name in names if third in name or Path(name).name.startswith(".")]


def test_a_damaged_record_is_not_exported(away, tmp_path):
    damage.edited_cell(committed("scores").folder)
    with pytest.raises(RecordError, match=r"scores\.csv: the rows of record"):
        export({"scores": [tiny.PROTOCOL.fingerprint(3)]}, tmp_path / "parcel.zip")
    assert not (tmp_path / "parcel.zip").exists()


# What is published


@pytest.fixture
def release(tmp_path):
    """All records of the other machine in a file, as a release has it."""
    file = tmp_path / "release" / "records.zip"
    assert publish(file) == 4
    return file


def test_what_is_published_is_added_where_it_is_missing(release, tmp_path, at_home):
    folders = {name: visible(tmp_path / "away" / name) for name in ("scores", "steps")}
    home = at_home()
    fill("scores", [2])
    assert fetch(str(release)) == {"scores": 2, "steps": 1}
    assert verify() == (4, [])
    assert visible(home / "steps") == folders["steps"]
    assert fetch(str(release)) == {"scores": 0, "steps": 0}


def test_the_checksum_is_one_that_md5sum_reads(release):
    done = subprocess.run(["md5sum", "--check", "records.zip.md5"], cwd=release.parent, capture_output=True, check=True)
    assert done.stdout == b"records.zip: OK\n"


def test_a_file_from_an_address_is_taken_where_it_is_the_published_one(release, at_home, monkeypatch):
    home, sent = at_home(), {"https://a.org/records.zip": release.read_bytes()}
    monkeypatch.setattr(fetching, "answer", sent.__getitem__)
    md5 = fetching.md5_of(release.read_bytes())
    with pytest.raises(ValueError, match="^md5: give that of https://a.org/records.zip, as it was published$"):
        fetch("https://a.org/records.zip")
    with pytest.raises(ValueError, match="what came is not the published file"):
        fetch("https://a.org/records.zip", "0" * 32)
    assert not home.exists()
    assert fetch("https://a.org/records.zip", md5) == {"scores": 3, "steps": 1}


def test_another_file_than_the_published_one_is_refused(release, at_home):
    home = at_home()
    with pytest.raises(ValueError, match=r"is not the file that was published, whose md5 is 0{32}; fetch it again$"):
        fetch(str(release), "0" * 32)
    release.write_bytes(release.read_bytes() + b" ")
    with pytest.raises(ValueError, match="is not the file that was published"):
        fetch(str(release))
    parcels.checksum(release).write_text("nothing\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"records\.zip\.md5: no md5 of records\.zip; fetch it too"):
        fetch(str(release))
    with pytest.raises(OSError, match="gone.zip"):
        fetch(str(release.with_name("gone.zip")), "0" * 32)
    assert not home.exists()


def test_what_is_damaged_or_not_planned_is_not_published(away, tmp_path):
    entry = {"seed": 77, "identity": tiny.PROTOCOL.identity(77)} | tiny.MADE | {"models": ["m"], "seconds": 1.0}
    committed("scores").add(tiny.PROTOCOL.fingerprint(77), entry, measured(77))
    with pytest.raises(RecordError, match=f"record {tiny.PROTOCOL.fingerprint(77)} is none that is planned"):
        publish(tmp_path / "out.zip")
    damage.edited_cell(committed("scores").folder)
    with pytest.raises(RecordError, match=r"scores\.csv: the rows of record"):
        publish(tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


# What is refused


def refused(parcel, home, *words):
    """Assert that an import fails in one line that has these words, and adds nothing."""
    before = visible(home)
    with pytest.raises((ValueError, OSError)) as raised:
        import_(parcel)
    assert "\n" not in str(raised.value)
    for word in (str(parcel), *words):
        assert word in str(raised.value)
    assert visible(home) == before


def repacked(parcel, change):
    """The parcel again, its content changed by a function of the folder."""
    folder = parcel.parent / "unpacked"
    with zipfile.ZipFile(parcel) as archive:
        archive.extractall(folder)
    change(folder)
    with zipfile.ZipFile(parcel, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return parcel


@pytest.fixture
def home(parcel, at_home):
    """A home that has a record already."""
    home = at_home()
    fill("cards", [0])
    return home


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 and no more"])
def test_a_file_that_is_no_parcel_is_refused(parcel, home, content):
    parcel.write_bytes(content)
    refused(parcel, home, "not a file of records")


def test_a_missing_file_is_named(parcel, home):
    parcel.unlink()
    refused(parcel, home)


def test_a_folder_is_no_parcel(parcel, home):
    parcel.unlink()
    parcel.mkdir()
    refused(parcel, home)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_parcel_is_refused(parcel, home, share):
    whole = parcel.read_bytes()
    parcel.write_bytes(whole[: int(share * len(whole))])
    refused(parcel, home, "not a file of records")


def outcome(parcel):
    """What was added, or what an error says."""
    try:
        return import_(parcel)
    except (ValueError, OSError) as error:
        return str(error)


@pytest.mark.parametrize("where", ["a record", "the directory", "the directory's end"])
def test_a_parcel_with_a_flipped_bit_is_refused_or_imported_whole(parcel, away, home, where):
    whole, kept, refusals = parcel.read_bytes(), visible(home), 0
    directory, end = whole.index(b"PK\x01\x02"), whole.index(b"PK\x05\x06")
    places = {
        "a record": np.random.default_rng(5).integers(0, directory, 40).tolist(),
        "the directory": range(directory, directory + 46),
        "the directory's end": range(end, end + 22),
    }
    for place in places[where]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        parcel.write_bytes(flipped)
        found = outcome(parcel)
        if isinstance(found, dict):
            assert found == {"scores": 2, "steps": 1}
            assert verify() == (4, [])
            for name in away:
                shutil.rmtree(committed(name).folder)
            (home / INDEX).write_bytes(kept[INDEX])
        else:
            assert "\n" not in found
            assert found.startswith(f"{parcel}")
            refusals += 1
        assert visible(home) == kept
    assert refusals > 10


@pytest.mark.parametrize("harm", damage.ALL + damage.FORGED_ARRAYS, ids=lambda one: one.__name__)
def test_a_damaged_record_in_a_parcel_is_refused(parcel, home, harm):
    refused(repacked(parcel, lambda folder: harm(folder / "steps")), home)


def test_nothing_is_added_where_a_table_at_home_is_damaged(parcel, home):
    fill("steps", [0])
    path, before = damage.crlf_table(home / "steps"), visible(home)
    with pytest.raises(RecordError, match=f"^{path}: "):
        import_(parcel)
    assert visible(home) == before


def test_a_parcel_that_lost_a_whole_sweep_is_refused(parcel, home):
    repacked(parcel, lambda folder: shutil.rmtree(folder / "steps"))
    refused(parcel, home, "contents.json")


def test_records_of_an_unknown_sweep_are_refused(parcel, home):
    repacked(parcel, lambda folder: (folder / "steps").rename(folder / "strides"))
    refused(parcel, home, "'strides'", "scores, steps, cards")


def test_records_under_another_sweeps_name_are_refused(parcel, home):
    repacked(parcel, lambda folder: (folder / "steps").rename(folder / "cards"))
    refused(parcel, home, tiny.STEPS.fingerprint(1), "cards, seed 1", "none that is planned")


@pytest.mark.parametrize("what", ["recipe", "data", "setting", "seed"])
def test_records_of_other_recipe_data_settings_or_seeds_are_refused(parcel, home, monkeypatch, what):
    if what == "recipe":
        monkeypatch.setattr(experiments, "RECIPE", experiments.RECIPE + 1)
    elif what == "data":
        monkeypatch.setattr(experiments, "checksum", lambda name: f"other {name}")
    else:
        protocol = replace(tiny.STEPS, feature="C") if what == "setting" else tiny.STEPS
        seeds = range(2, 9) if what == "seed" else range(3)
        tiny.install(monkeypatch, tiny.SWEEPS | {"steps": Sweep(protocol, seeds, 1, 0)})
    refused(parcel, home, "none that is planned", "settings, data or recipe")


def test_a_later_fault_leaves_nothing_of_what_came_before(parcel, home):
    """The records of scores, which are whole, are not added where those of steps are refused."""
    repacked(parcel, lambda folder: damage.removed_arrays(folder / "steps"))
    refused(parcel, home)
    assert not committed("scores").entries()


@pytest.mark.parametrize("name", ["../escaped.txt", "../../escaped.txt", "/escaped.txt", "scores/../../escaped.txt"])
def test_member_names_cannot_escape(parcel, home, tmp_path, name):
    with zipfile.ZipFile(parcel, "a") as archive:
        archive.writestr(name, "here I am")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    found = outcome(parcel)
    assert found == {"scores": 2, "steps": 1} or "escaped.txt" in found
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert not [path for path in new if path.name == "escaped.txt"]
    assert not Path("/escaped.txt").exists()
    assert verify()[1] == []


def test_an_import_goes_on_after_a_kill(parcel, away, home, monkeypatch):
    add = Records.add

    def killed(records, one, *kept):
        if one == away["steps"][0]:
            raise KeyboardInterrupt
        add(records, one, *kept)

    with monkeypatch.context() as patch:
        patch.setattr(Records, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            import_(parcel)
    assert verify() == (3, [])
    assert import_(parcel) == {"scores": 0, "steps": 1}


@pytest.mark.parametrize("name", ["../scores/models", "/tmp/models", "models.csv", "", "Models"])
def test_a_table_whose_name_leads_elsewhere_is_refused(parcel, home, name):
    """Its digests are right, as of somebody who wrote the file on purpose."""

    def renamed(folder):
        manifest = folder / "steps" / "manifest.json"
        entries = json.loads(manifest.read_text(encoding="utf-8"))
        for entry in entries.values():
            entry["digests"][name] = entry["digests"].pop("models")
            entry["digests"]["entry"] = entry_digest(entry)
        manifest.write_text(json.dumps(entries), encoding="utf-8")

    repacked(parcel, renamed)
    refused(parcel, home, "a table called", repr(name))
