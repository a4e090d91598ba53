"""Chapter *MLPs*: the populations."""

from ufm.plan import populations

shown = populations.names
PICTURED = shown  # images of its hosts are kept with the records
