"""nbval's kernels are like those of the book: what they say of a long training goes to the terminal, not into a cell.

They talk over sockets in files of their own: of two kernels that workers start at once, both may choose the same TCP
port, and one of them dies.
"""

import os
import tempfile
from pathlib import Path

from jupyter_client.manager import KernelManager
from nbval import kernel
from traitlets import default


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
        settings = "c.IPKernelApp.capture_fd_output = False\n"
        (profile / "ipython_kernel_config.py").write_text(settings, encoding="utf-8")
        own = {"IPYTHONDIR": str(folder / "ipython"), "UFM_RUN": str(folder / "run")}
        return super().start_kernel(**options | {"env": {**os.environ, **own}})


kernel.KernelManager = OwnFolderKernelManager
