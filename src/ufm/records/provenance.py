"""On what a result stands: code, libraries and device."""

import platform
import re
import time
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from ufm import __version__

LIBRARY = Path(__file__).resolve().parents[1]
IMPORT = re.compile(r"^\s*from (ufm[\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)


def versions() -> dict[str, str]:
    """Of the libraries on which results depend."""
    import numpy as np
    import torch

    return {
        "ufm": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def device_name(device: str) -> str:
    """A GPU's name, or the processor's and how many threads torch uses."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    threads = torch.get_num_threads()
    return f"{model}, {threads} thread{'s' * (threads > 1)}"


def made(device: str, started: float) -> dict[str, object]:
    """What a manifest entry says of how its result came about; `started` is of `time.perf_counter`."""
    return {
        "versions": versions(),
        "device": device_name(device),
        "seconds": round(time.perf_counter() - started, 1),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


@cache
def source_digest() -> str:
    """Sixteen hexadecimal digits of all of this library's code and the versions of others."""
    return digest_of(sorted(LIBRARY.rglob("*.py")))


@cache
def training_digest() -> str:
    """The same of the code alone that training and measuring a seed stands on.

    Only executions with the same one share what they trained: a change of a figure retrains nothing.
    """
    return digest_of(stood_on("study/seeds.py"))


def digest_of(files: list[Path]) -> str:
    """Sixteen hexadecimal digits of files and of the versions of the libraries on which results depend."""
    others = [version(name) for name in ("torch", "numpy", "pandas", "scipy", "scikit-learn", "pillow")]
    content = [file.read_bytes() for file in files] + [str(others).encode()]
    return sha256(b"".join(content)).hexdigest()[:16]


def stood_on(module: str) -> list[Path]:
    """The files of this library that a module imports, itself and what these import, also inside functions."""
    start = LIBRARY / module
    found, left = set(), [start, start.with_name("__init__.py")]
    while left:
        path = left.pop()
        if path in found or not path.exists():
            continue
        found.add(path)
        text = path.read_text(encoding="utf-8")
        if "discover(__name__" in text:  # see `ufm.discovery`
            left += path.parent.glob("*.py")
        for line in IMPORT.findall(text):
            package, names = line[0].replace(".", "/"), re.findall(r"\w+", line[1])
            folder = LIBRARY.parent / package
            left += [parent / "__init__.py" for parent in folder.parents if parent.is_relative_to(LIBRARY)]
            left += [folder.with_suffix(".py"), folder / "__init__.py", *(folder / f"{name}.py" for name in names)]
            left += [folder / name / "__init__.py" for name in names]
    return sorted(found)
