"""Images and labels: a file a source."""

from ufm.discovery import discover

discover(__name__, but=("on_device",))  # which imports torch
