"""On what a result stands: code, libraries and device."""

import platform
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from ufm import __version__


def versions() -> dict[str, str]:
    """Of the libraries on which results depend."""
    return {
        "ufm": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def device_name(device: str) -> str:
    """A GPU's name, or the processor's and how many threads torch uses."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    threads = torch.get_num_threads()
    return f"{model}, {threads} thread{'s' * (threads > 1)}"


@cache
def source_digest() -> str:
    """Sixteen hexadecimal digits of the library's code: only executions of the same code share what they trained."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
