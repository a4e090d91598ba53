"""On what a result stands: code, libraries and device."""

import platform
import time
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from ufm import __version__


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
    lines = information.read_text().splitlines() if information.exists() else []
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
    """Sixteen hexadecimal digits of this library's code and the versions of others.

    Only executions with the same ones share what they trained.
    """
    files = sorted(Path(__file__).parent.glob("*.py"))
    others = [version(name) for name in ("torch", "numpy", "pandas", "scipy", "scikit-learn", "pillow")]
    content = [file.read_bytes() for file in files] + [str(others).encode()]
    return sha256(b"".join(content)).hexdigest()[:16]
