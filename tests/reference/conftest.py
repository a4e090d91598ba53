"""nbval's kernels talk over sockets in files of their own.

Of two kernels that workers start at once, both may choose the same TCP port, and one of them dies.
"""

import tempfile
from pathlib import Path

from jupyter_client.manager import KernelManager
from nbval import kernel
from traitlets import default


class FileSocketKernelManager(KernelManager):
    """Every kernel has a folder for its sockets."""

    @default("transport")
    def _transport_default(self):
        return "ipc"

    @default("ip")
    def _ip_default(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ufm-")  # goes with the manager
        return str(Path(self.folder.name) / "kernel")


kernel.KernelManager = FileSocketKernelManager
