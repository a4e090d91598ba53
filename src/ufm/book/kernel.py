"""What a notebook's kernel is and inherits: this Python, and nothing of the caller's that would show on a page."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ufm import paths

NAME = "python3"
# Standard error of the process itself goes to the terminal instead of into the notebook; there a kernel would say at
# level 40, on some machines, that it was interrupted when it ends after a failed cell. Pictures are drawings without a
# ground, and do not say when or by what they were made.
SETTINGS = """\
c.IPKernelApp.capture_fd_output = False
c.IPKernelApp.log_level = 50
c.InlineBackend.figure_formats = {"svg"}
c.InlineBackend.print_figure_kwargs = {
    "bbox_inches": "tight",
    "pad_inches": 0.02,
    "facecolor": "none",
    "metadata": dict.fromkeys(("Creator", "Date", "Format", "Type")),
}
"""
INHERITED_NOT = ("PYTHONWARNINGS", "PYTHONSTARTUP", "JUPYTER_CONFIG_PATH", "MATPLOTLIBRC")


@contextmanager
def environment(folder: Path, scratch: Path, threads: int | None) -> Iterator[None]:
    """What the kernel inherits: where to write, how many threads, how to draw, and whose Python it is.

    folder: of the execution. scratch: where what Jupyter writes for itself goes, which ends with it. threads: of the
    processor; None for all.
    """
    profile = scratch / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text(SETTINGS, encoding="utf-8")
    # Another kernel of that name, of another Python, may come first on the caller's path.
    spec = scratch / "jupyter" / "kernels" / NAME
    spec.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": command, "display_name": "Python 3", "language": "python"}), encoding="utf-8"
    )
    drawing = paths.BUILD / "matplotlib"  # kept, for it takes seconds to list the fonts
    drawing.mkdir(parents=True, exist_ok=True)
    ours = {
        "UFM_RUN": str(folder),
        "IPYTHONDIR": str(scratch / "ipython"),
        "JUPYTER_PATH": str(scratch / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        "JUPYTER_DATA_DIR": str(scratch / "data"),
        "JUPYTER_CONFIG_DIR": str(scratch / "configuration"),
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "inductor"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": str(drawing),
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
    }
    if threads:
        ours["OMP_NUM_THREADS"] = str(threads)
    before = dict(os.environ)
    os.environ.update(ours)
    for name in INHERITED_NOT:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def connection(scratch: Path) -> dict[str, str]:
    """How to reach the kernel: over sockets in files, for of two kernels both may choose the same TCP port."""
    return {"transport": "ipc", "ip": str(scratch / "kernel"), "connection_file": str(scratch / "connection.json")}
