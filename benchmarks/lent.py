"""What a bare machine with a GPU does that is lent for some minutes: measures, and trains what is pending.

It needs neither a network nor anything of this book but what is carried to it, in pieces of so many MB:

    .venv/bin/python benchmarks/lent.py pack FOLDER --megabytes 56 --python 3.12 --wheels pandas pydantic
    python3 FOLDER/piece0/lent.py take FOLDER/piece0    # there, piece by piece: the last one unpacks all
    python3 /tmp/lent/lent.py work 560 OUT              # there: measures and trains so many seconds, then fills OUT
    .venv/bin/python benchmarks/lent.py receive OUT     # here: adds the records and keeps what was measured

CNNs and the ways of MLPs that take longest train on the GPU, the other MLPs on the processor's cores. Each process is
`ufm reproduce`, so that what is not finished when the time is over is lost and nothing else.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LENT = Path("/tmp/lent")  # where everything lies there
ON_GPU = ("pneumoniamnist-second-plan-cnn-1-letter", "pneumoniamnist-second-plan-cnn-1-name")
SLOW = ("augmentation", "to-the-end", "dropout-augmentation", "same-hosts", "mnist-full")  # of MLPs, on a CPU
CIFAR = "cifar10-full-second-plan-cnn-1"
FILES, LARGEST = 7, 14_000_000  # that come home, and the bytes of one


def pack(folder: Path, megabytes: int, python: str, wheels: list[str]) -> None:
    """Write the pieces: the library, packages that are missing there, images, and the records that are begun."""
    from ufm import paths
    from ufm.data.sources import data_root
    from ufm.records import INDEX
    from ufm.study.reproduce import pending

    if folder.exists():
        raise SystemExit(f"lent: {folder} is there already; name another folder")
    inside, root = folder / "inside", HERE.parent
    inside.mkdir(parents=True)
    for name in ("src", "benchmarks"):
        shutil.copytree(root / name, inside / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "_config.yml"):
        shutil.copy(root / name, inside)
    told = inside / "site" / "ufm-0.1.0.dist-info"  # by which the library knows its version
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: ufm\nVersion: 0.1.0\n", encoding="utf-8")
    begun = {item.sweep for item in pending()} | {"hosts", "hosts-middling", "hosts-influential", "hosts-uninfluential"}
    records = paths.committed_records()
    for name in sorted(begun):
        if (records / name).exists():
            shutil.copytree(records / name, inside / "records" / name)
    lines = (records / INDEX).read_text(encoding="utf-8").splitlines(keepends=True)
    kept = "".join(line for line in lines if line.split()[0] in begun)
    (inside / "records" / INDEX).write_text(kept, encoding="utf-8")
    (inside / "pending.json").write_text(json.dumps(sorted({item.sweep for item in pending()})), encoding="utf-8")
    if wheels:
        platforms = [f"manylinux_2_{n}_x86_64" for n in (28, 27, 24, 17)] + ["manylinux2014_x86_64"]
        where = [part for one in platforms for part in ("--platform", one)]
        only = ["--only-binary=:all:", "--no-deps", "--python-version", python, "--implementation", "cp", *where]
        command = [sys.executable, "-m", "pip", "download", "-q", *only, "-d", str(inside / "wheels"), *wheels]
        subprocess.run(command, check=True)
    os.symlink(Path(data_root()).resolve(), inside / "data")
    subprocess.run(["tar", "chJf", str(folder / "all.tar.xz"), "-C", str(inside), "."], check=True, env=threads())
    content, size = (folder / "all.tar.xz").read_bytes(), megabytes * 1_000_000
    for number, start in enumerate(range(0, len(content), size)):
        piece = folder / f"piece{number}"
        piece.mkdir()
        (piece / "part").write_bytes(content[start : start + size])
        n_pieces = -(-len(content) // size)
        (piece / "which.json").write_text(json.dumps([number, n_pieces]), encoding="utf-8")
        shutil.copy(__file__, piece)
    shutil.rmtree(inside)
    (folder / "all.tar.xz").unlink()
    print(f"{len(content) / 1e6:.0f} MB in {n_pieces} pieces")


def threads() -> dict[str, str]:
    return os.environ | {"XZ_OPT": "-T0 -6"}


def take(piece: Path) -> None:
    """Keep a piece; unpack all once the last one is there."""
    number, n_pieces = json.loads((piece / "which.json").read_text(encoding="utf-8"))
    LENT.mkdir(exist_ok=True)
    shutil.copy(piece / "part", LENT / f"part{number}")
    parts = [LENT / f"part{n}" for n in range(n_pieces)]
    print(f"piece {number} of {n_pieces}", flush=True)
    if all(part.exists() for part in parts):
        with subprocess.Popen(["tar", "xJf", "-", "-C", str(LENT)], stdin=subprocess.PIPE) as unpacking:
            assert unpacking.stdin is not None
            for part in parts:
                unpacking.stdin.write(part.read_bytes())
            unpacking.stdin.close()
        if unpacking.returncode:
            raise SystemExit("lent: the pieces do not make an archive; carry them anew")
        shutil.copy(LENT / "benchmarks" / Path(__file__).name, LENT)
        shutil.copytree(LENT / "records", LENT / "records before")
        wheels = [str(one) for one in (LENT / "wheels").glob("*.whl")]
        pip = ["-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir"]
        if wheels:
            subprocess.run([sys.executable, *pip, "--target", str(LENT / "site"), *wheels], check=True)


def work(seconds: float, out: Path, device: str, n_cores: int) -> None:
    """Measure, train until the time is over, and leave what was made in a folder."""
    end = time.monotonic() + seconds
    logs, out = LENT / "logs", out.absolute()
    logs.mkdir(exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    sweeps = json.loads((LENT / "pending.json").read_text(encoding="utf-8"))
    mlps = [one for one in sweeps if "cnn" not in one and "densenet" not in one and not one.startswith("cifar10")]
    slow, quick = [one for one in mlps if one_of(one, SLOW)], [one for one in mlps if not one_of(one, SLOW)]
    measured = start("convolutions", ["benchmarks/convolutions.py"])
    cores = [start(f"cpu {n}", [__file__, "train", "cpu", "1", *quick]) for n in range(n_cores)]
    while measured.poll() is None and time.monotonic() < end - seconds + 100:
        time.sleep(1)
    measured.kill()
    x_rays = [one for one in ON_GPU if one in sweeps]
    on_gpu = [start(one, [__file__, "train", device, "10", one]) for one in x_rays]
    on_gpu += [start(f"slow {n}", [__file__, "train", device, "20", *slow[n::2]]) for n in range(2)]
    hosts = start("hosts", ["-c", f"from ufm import cli; import sys; sys.argv[1:] = {of_hosts(device)}; cli.main()"])
    later = [
        (hosts, f"{CIFAR} {n}", [__file__, "train", device, "4", CIFAR]) for n in range(3 if CIFAR in sweeps else 0)
    ]
    if x_rays:
        folder, name = LENT / "precision", x_rays[0]
        (folder / "float32").mkdir(parents=True, exist_ok=True)
        os.symlink(LENT / "records" / name, folder / "float32" / name)
        later.append((on_gpu[0], "precision", ["benchmarks/precision.py", "train", str(folder), name]))
    while time.monotonic() < end:
        time.sleep(1)
        for one in [one for one in later if one[0].poll() is not None]:
            later.remove(one)
            on_gpu.append(start(*one[1:]))
    for one in [*cores, *on_gpu, hosts]:
        one.kill()
    start("home", [__file__, "home", str(out)]).wait()
    packed = ["logs", "precision", "records/hosts"]
    subprocess.run(["tar", "czhf", str(out / "logs.tar.gz"), "-C", str(LENT), *packed], check=False)
    for log in sorted(logs.iterdir()):
        last = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").strip().splitlines()[-1:]
        print(f"{log.name}: {''.join(last)[:200]}")
    print((logs / "convolutions").read_text(encoding="utf-8"), (logs / "home").read_text(encoding="utf-8"), sep="\n")


def one_of(sweep: str, endings: tuple[str, ...]) -> bool:
    return any(one in sweep for one in endings)


def of_hosts(device: str) -> list[str]:
    """Arguments of `ufm` that find the hard hosts of full CIFAR-10; where they are known it ends at once."""
    return ["hosts", "cifar10", "--device", device]


def start(name: str, command: list[str]) -> subprocess.Popen:
    """A Python process with the library, which writes what it says to a log of this name."""
    places = [LENT / "site", LENT / "src", LENT / "benchmarks"]
    settings = {"UFM_DATA": "data", "UFM_RECORDS": "records", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    settings |= {name: str(LENT / settings[name]) for name in ("UFM_DATA", "UFM_RECORDS")}
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if name.startswith("cpu ") else {}
    with (LENT / "logs" / name).open("w", encoding="utf-8") as log:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=LENT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | settings | hidden | {"PYTHONPATH": os.pathsep.join(map(str, places))},
        )


def train(device: str, at_once: int, sweeps: list[str]) -> None:
    """`ufm reproduce`, so many seeds at once, with convolutions as they were measured to be quickest in float32."""
    from torch import channels_last, contiguous_format

    from ufm import cli
    from ufm.study import reproduce
    from ufm.training import layers, operations

    rows = [line.strip("|\n ").split(" | ") for line in (LENT / "logs" / "convolutions").open(encoding="utf-8")]
    rows = [row for row in rows if len(row) == 8 and row[0] == "CNN-1" and row[2] == "float32"]
    if rows and device == "cuda":
        best = min(rows, key=lambda row: float(row[6].split()[0]))
        layers.GROUPED[device] = best[3] == "in groups"
        operations.LAST[device] = channels_last if best[4] == "channels" else contiguous_format
        print(best, flush=True)
    reproduce.SEEDS_ON_GPU = at_once
    sys.argv[1:] = ["reproduce", *sweeps, "--device", device]
    cli.main()


def home(out: Path) -> None:
    """Parcels of what is new, none larger than may be carried."""
    from ufm.records import Records, committed
    from ufm.study import parcel

    piles, size = [{}], 0
    for folder in sorted(one for one in (LENT / "records").iterdir() if one.is_dir() and one.name[:5] != "hosts"):
        entries, before = committed(folder.name).entries(), Records(LENT / "records before" / folder.name).entries()
        new = [one for one in entries if one not in before]
        for one in new:
            own = (folder / "arrays" / f"{one}.npz").stat().st_size + 5_000
            if size + own > LARGEST and len(piles) < FILES:
                piles.append({})
                size = 0
            piles[-1].setdefault(folder.name, []).append(one)
            size += own
        if new:
            print(
                f"{folder.name}: {len(new)} seeds, {sum(entries[one]['seconds'] for one in new) / len(new):.3g} s each"
            )
    for number, pile in enumerate(piles):
        parcel.export(pile, out / f"home{number}.zip")


def receive(out: Path) -> None:
    """Add what came home to the records, and keep the table of convolutions; precision's records go to `_build`."""
    from ufm import paths
    from ufm.files import scratch
    from ufm.records import Records, committed
    from ufm.study import parcel

    for file in sorted(out.glob("home*.zip")):
        print(file.name, parcel.import_(file))
    with scratch() as folder, tarfile.open(out / "logs.tar.gz") as archive:
        archive.extractall(folder, filter="data")
        hosts = Records(folder / "records" / "hosts")
        for one in [one for one in hosts.entries() if one not in committed("hosts").entries()]:
            committed("hosts").add(one, *hosts.whole(one))
            print("hosts:", one)
        table = (folder / "logs" / "convolutions").read_text(encoding="utf-8")
        if table.count("CNN") > 1:
            (HERE.parent / "book" / "benchmarks" / "convolutions.md").write_text(table, encoding="utf-8")
        if (folder / "precision").exists():
            shutil.copytree(folder / "precision", paths.BUILD / "precision", dirs_exist_ok=True)
    print("look at them, then `ufm records verify`, `make readme`, and commit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    packing = verbs.add_parser("pack")
    packing.add_argument("folder", type=Path)
    packing.add_argument("--megabytes", type=int, default=56)
    packing.add_argument("--python", default="3.12")
    packing.add_argument("--wheels", nargs="*", default=[])
    verbs.add_parser("take").add_argument("piece", type=Path)
    working = verbs.add_parser("work")
    working.add_argument("seconds", type=float)
    working.add_argument("out", type=Path)
    working.add_argument("--device", default="cuda")
    working.add_argument("--n-cores", type=int, default=max(1, (os.cpu_count() or 1) - 7))
    training = verbs.add_parser("train")
    training.add_argument("device")
    training.add_argument("at_once", type=int)
    training.add_argument("sweeps", nargs="*")
    verbs.add_parser("home").add_argument("out", type=Path)
    verbs.add_parser("receive").add_argument("out", type=Path)
    settings = vars(parser.parse_args())
    {"pack": pack, "take": take, "work": work, "train": train, "home": home, "receive": receive}[settings.pop("verb")](
        **settings
    )


if __name__ == "__main__":
    main()
