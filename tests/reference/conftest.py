"""nbval's kernels are like those of the book: what they say of a long training goes to the terminal, not into a cell.

They talk over sockets in files of their own: of two kernels that workers start at once, both may choose the same TCP
port, and one of them dies. Drawings are no more compared than pictures: on another processor a point moves by a hair.
"""

import os
import tempfile
from pathlib import Path

from jupyter_client.manager import KernelManager
from nbval import kernel, plugin
from traitlets import default

from ufm.book.kernel import SETTINGS


class OwnFolderKernelManager(KernelManager):
    """Every kernel has a folder for its sockets, its settings and what it writes."""

    @default("transport")
    def _transport_default(self):
        return "ipc"

    @default("ip")
    def _ip_default(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ufm-")  # goes with the manager
        return str(Path(self.folder.name) / "kernel")

    def start_kernel(self, **options):
        """Start the kernel as one that executes for the book."""
        folder = Path(self.ip).parent
        profile = folder / "ipython" / "profile_default"
        profile.mkdir(parents=True, exist_ok=True)  # a kernel may be started again
        (profile / "ipython_kernel_config.py").write_text(SETTINGS, encoding="utf-8")
        own = {"IPYTHONDIR": str(folder / "ipython"), "UFM_RUN": str(folder / "run")}
        return super().start_kernel(**options | {"env": {**os.environ, **own}})


kernel.KernelManager = OwnFolderKernelManager

compare = plugin.IPyNbCell.compare_outputs


def without_drawings(cell, test, reference, skip_compare=None):
    """What nbval compares of a cell's outputs, but drawings, whose coordinates it would compare as text."""
    return compare(cell, test, reference, (*(skip_compare or cell.parent.skip_compare), "image/svg+xml"))


plugin.IPyNbCell.compare_outputs = without_drawings
